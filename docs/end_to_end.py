"""The whole way with public names: swap, train, prune, adopt, export, and run without actzoo.

    python docs/end_to_end.py IMAGES.npz OUT [--epochs 1] [--limit 500]

The file holds x_train (N, H, W, 3) of bytes, y_train, x_test and y_test. Then
the same, but for adopting, with small transformers made from configs, on random tokens.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torchvision
from torch import Tensor, nn

import actzoo

MEMBERS = ["relu", "tanh", "sin"]
WITHOUT = """
import sys
from pathlib import Path

sys.modules["actzoo"] = None  # importing it fails
import onnxruntime
import torch

folder = Path(sys.argv[1])
x, y = torch.load(folder / "both.pt")
session = onnxruntime.InferenceSession(folder / "model.onnx")
(found,) = session.run(None, {session.get_inputs()[0].name: x.numpy()})
torch.testing.assert_close(torch.from_numpy(found), y, atol=1e-4, rtol=1e-3)
print(f"{folder.name}: ONNX gives the same outputs without actzoo")
if (folder / "adopted.py").exists():
    sys.path.insert(0, str(folder))
    import adopted

    x, y = torch.load(folder / "function.pt")
    torch.testing.assert_close(adopted.Adopted()(x), y, atol=1e-6, rtol=1e-5)
    print(f"{folder.name}: the adopted function gives the same values without actzoo")
"""


def images_of(path: Path, limit: int | None) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """Return scaled training and test images with their labels."""
    with np.load(path) as data:
        parts = {name: torch.from_numpy(data[name]) for name in data.files}
    pairs = []
    for name in ("train", "test"):
        x = parts[f"x_{name}"][:limit].permute(0, 3, 1, 2).float() / 255
        pairs.append(((x - 0.5) / 0.25, parts[f"y_{name}"][:limit].long().flatten()))
    return pairs[0], pairs[1]


def protocol(epochs: int) -> tuple[actzoo.Phase, ...]:
    """Return the three phases."""
    return (
        actzoo.Phase(trains="network", epochs=epochs, lr=1e-3),
        actzoo.Phase(trains="mixture", epochs=epochs, lr=1e-2),
        actzoo.Phase(trains="network", epochs=epochs, lr=1e-3),
    )


def prune(swapped: actzoo.Swap[Any]) -> None:
    """Prune each mixture to two members, by what arrived while training."""
    for place, mixture in zip(swapped.replaced, swapped.mixtures, strict=True):
        print(f"{place.name}: {mixture.prune(keep=2)}")


def export(model: nn.Module, x: Tensor, folder: Path) -> None:
    """Export to ONNX and store what the model gives."""
    model.eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's own, while it exports
        torch.onnx.export(model, (x,), str(folder / "model.onnx"), dynamo=True, verbose=False)
    with torch.no_grad():
        torch.save((x, model(x)), folder / "both.pt")


def run_without(folder: Path) -> None:
    """Run what was exported in a process that cannot import actzoo."""
    code = folder / "without.py"
    code.write_text(WITHOUT, encoding="utf-8")
    subprocess.run([sys.executable, str(code), str(folder)], check=True)


def of_images(path: Path, folder: Path, epochs: int, limit: int | None) -> None:
    """Take a residual network the whole way."""
    folder.mkdir(parents=True)
    train, test = images_of(path, limit)
    model = torchvision.models.resnet18(num_classes=int(train[1].max()) + 1)
    swapped = actzoo.swap(model, MEMBERS, example=train[0][:2])
    print(swapped)
    assert not swapped.missed
    watches = [mixture.watch(every=10) for mixture in swapped.mixtures]
    print(actzoo.train(model, train, protocol(epochs), test=test, show=print))
    for watch in watches:
        watch.remove()
    prune(swapped)
    print(actzoo.train(model, train, protocol(epochs)[2:], test=test))
    first = swapped.mixtures[0]
    x = torch.linspace(-5, 5, 101)
    function = first.freeze("adopted")
    (folder / "adopted.py").write_text(actzoo.module_source(function), encoding="utf-8")
    torch.save((x, function(x)), folder / "function.pt")
    values = ", ".join(f"{name}={value:.4g}" for name, value in function.parameters.items())
    print(f"adopted: {function.formula}, {values}")
    export(model, test[0][:8], folder)
    run_without(folder)


class Logits(nn.Module):
    """The first output of a transformer, for tokens."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, tokens: Tensor) -> Tensor:
        """Return the first output."""
        first: Tensor = self.network(input_ids=tokens, use_cache=False, return_dict=False)[0]
        return first


def transformers() -> dict[str, nn.Module]:
    """Return small networks made from configs."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of others, while they are imported
        import transformers as t

        sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
        text = {**sizes, "intermediate_size": 24, "vocab_size": 50}
        gpt2 = {"n_embd": 16, "n_layer": 2, "n_head": 2, "vocab_size": 50, "n_positions": 16}
        return {
            "bert": t.BertForMaskedLM(t.BertConfig(**text)),
            "gpt2": t.GPT2LMHeadModel(t.GPT2Config(**gpt2)),
            "llama": t.LlamaForCausalLM(t.LlamaConfig(**text)),
        }


def of_tokens(name: str, network: nn.Module, folder: Path) -> None:
    """Take a transformer the whole way, but for adopting."""
    folder.mkdir(parents=True)
    model, tokens = Logits(network), torch.randint(0, 50, (16, 8))
    swapped = actzoo.swap(model, [*MEMBERS, "gelu", "swish"], example=tokens[:2])
    print(f"{name}:\n{swapped}")
    assert not swapped.missed
    examples = (tokens[:, :-1], tokens[:, 1:])
    print(actzoo.train(model, examples, protocol(1), objective=actzoo.NEXT_TOKEN, test=examples))
    prune(swapped)
    export(model, tokens[:2], folder)
    run_without(folder)


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("images", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--limit", type=int)
    given = parser.parse_args()
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    torch.manual_seed(0)
    of_images(given.images, given.out / "resnet18", given.epochs, given.limit)
    for name, network in transformers().items():
        of_tokens(name, network, given.out / name)


if __name__ == "__main__":
    main()
