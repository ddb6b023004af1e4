"""Networks of torchvision and timm by name: classes, channels and sizes; sets are swapped in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision
from torch import Tensor, nn

import actzoo
from actzoo.errors import UnknownNameError, UsageError
from actzoo.plugins.registry import default, get
from actzoo.report.reading import read_study
from actzoo.training.build import Built, build
from actzoo.training.result import CellResult

# The reader knows that these fail at 28 pixels as they are, but for resnet18.
SEEDS = {
    "alexnet": 7,
    "vgg11": 10,
    "resnet18": 17,
    "squeezenet1_1": 26,
    "densenet121": 121,
    "inception_v3": 94,
    "googlenet": 57,
}


def built(text: str, shape: tuple[int, ...], outputs: int = 3, **more: Any) -> Built:
    model, options = default().model(text)
    return build(
        model, options, [get("relu"), get("sin")], shape, outputs, init="equal",
        example=torch.randn(1, *shape), network_seed=1, mixture_seed=2, **more,
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", SEEDS)
def test_it_builds_for_small_images_and_trains_a_step(name: str) -> None:
    made = built(f"torchvision:{name}", (1, 28, 28))
    assert len(made.layers) == SEEDS[name]
    assert (
        not [m for m in made.model.modules() if isinstance(m, nn.ReLU)] or name == "squeezenet1_1"
    )
    model, x = made.model.train(), torch.randn(4, 1, 28, 28)
    calls: set[int] = set()
    for number, layer in enumerate(made.layers):
        layer.register_forward_hook(lambda *_, n=number: calls.add(n))
    loss = nn.functional.cross_entropy(model(x), torch.tensor([0, 1, 2, 0]))
    loss.backward()
    assert calls == set(range(len(made.layers)))
    grads = [m.w.grad for m in made.mixtures]
    assert all(g is not None and g.isfinite().all() for g in grads)
    before = made.network_parameters()[0].detach().clone()
    torch.optim.SGD(made.model.parameters(), lr=0.1).step()
    assert not torch.equal(before, made.network_parameters()[0])


def plain(name: str, outputs: int = 3) -> nn.Module:
    torch.manual_seed(5)
    return torchvision.models.get_model(name, num_classes=outputs).eval()


def baseline(text: str, shape: tuple[int, ...], outputs: int = 3, seed: int = 1) -> nn.Module:
    model, options = default().model(text)
    return build(
        model, options, [get("relu")], shape, outputs, init="equal", kernel="reference",
        example=torch.randn(1, *shape), network_seed=seed, mixture_seed=2,
    ).model.eval()  # fmt: skip


def test_weights_of_a_file_are_the_networks(tmp_path: Path) -> None:
    network, x = plain("resnet18"), torch.randn(2, 3, 40, 40)
    torch.save(network.state_dict(), tmp_path / "weights.pt")
    text = f"torchvision:resnet18(weights={str(tmp_path / 'weights.pt')!r})"
    with torch.no_grad():
        torch.testing.assert_close(baseline(text, (3, 40, 40))(x), network(x))
        grey = x[:, :1]  # of three equal channels
        found = baseline(text, (1, 40, 40))(grey)
        torch.testing.assert_close(found, network(grey.expand(-1, 3, -1, -1)))
        other = baseline(text, (3, 40, 40), outputs=5)
    assert torch.equal(other.layer4[1].conv2.weight, network.layer4[1].conv2.weight)
    assert other.fc.weight.shape == (5, 512)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot be read"),
        ([1], "hold list, no state dict"),
        ({}, r"lack bn1\.bias"),
        ("more", "also hold other"),
        ("shape", r"have another shape of bn1\.bias"),
    ],
)
def test_weights_that_do_not_fit_are_refused(tmp_path: Path, content: Any, message: str) -> None:
    path = tmp_path / "weights.pt"
    state = plain("resnet18").state_dict()
    if content == "more":
        content = {**state, "other": torch.ones(1)}
    elif content == "shape":
        content = {**state, "bn1.bias": torch.ones(7)}
    if content is not None:
        torch.save(content, path)
    with pytest.raises(UsageError, match=message):
        baseline(f"torchvision:resnet18(weights={str(path)!r})", (3, 32, 32))


def test_unknown_names_say_what_is_near() -> None:
    with pytest.raises(UnknownNameError, match="'resnet19'; near it: resnet18"):
        default().model("torchvision:resnet19")
    with pytest.raises(UnknownNameError, match="no classification network"):
        default().model("torchvision:fasterrcnn_resnet50_fpn")


def test_large_images_are_left_as_they_are() -> None:
    network, x = baseline("torchvision:squeezenet1_1", (3, 64, 64)), torch.randn(1, 3, 64, 64)
    assert not [m for m in network.modules() if isinstance(m, nn.Upsample)]
    assert network(x).shape == (1, 3)


@pytest.mark.filterwarnings("ignore")  # of others, while they are imported
def test_timm() -> None:
    pytest.importorskip("timm")
    made = built("timm:resnet10t", (1, 28, 28))
    assert len(made.layers) == 11
    assert made.model(torch.randn(2, 1, 28, 28)).shape == (2, 3)


class Own(nn.Module):
    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(64, 5), nn.Linear(5, outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.b(torch.relu(self.a(x.flatten(1))))


def test_a_model_that_asks_for_no_activation_is_swapped(tmp_path: Path) -> None:
    results = actzoo.bench(
        "relu,sin", models=Own, epochs=1, limit=60, seeds=[0], members=False, out=tmp_path
    )
    assert len(results.to_frame()) == 2
    found = {len(r.spec.members): r.layers for r in read_results(tmp_path)}
    assert [len(layers) for layers in found.values()] == [1, 1]
    assert found[2][0].P_start != found[2][0].P


def read_results(folder: Path) -> list[CellResult]:
    cells = [c for g in read_study(folder).groups for v in g.variants for c in v.cells]
    return [cell.result for cell in cells if cell.result is not None]


def test_weights_are_a_setting_of_a_run(tmp_path: Path) -> None:
    state = plain("squeezenet1_1", 10).state_dict()
    torch.save(state, tmp_path / "weights.pt")
    options: dict[str, Any] = {"models": "torchvision:squeezenet1_1", "seeds": [0], "limit": 20}
    options |= {"epochs": 1, "batch_size": 20, "validation": 0.0}
    keys = []
    for number in (1, 1, 2):
        if number == 2:  # the same file with other numbers is another experiment
            torch.save({**state, "classifier.1.bias": torch.ones(10)}, tmp_path / "weights.pt")
        actzoo.bench("relu", **options, weights=str(tmp_path / "weights.pt"), out=tmp_path / "run")
        (result,) = read_results(tmp_path / "run")
        assert str(tmp_path / "weights.pt") in result.spec.model
        keys.append(result.key)
    assert keys[0] == keys[1] != keys[2]
    with pytest.raises(UsageError, match=r"paper_cnn.*weights"):
        actzoo.bench("relu", weights=str(tmp_path / "weights.pt"), out=tmp_path / "other")
    with pytest.raises(UsageError, match="nowhere"):
        actzoo.bench("relu", **options, weights="nowhere.pt", out=tmp_path / "other")
