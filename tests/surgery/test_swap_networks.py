"""Replacing activations in the networks of torchvision, timm and transformers, none missed.

What a network really computed is read from autograd's graph of its output: no operator of the old
functions is left in it, and there are as many of the new one.
"""

from __future__ import annotations

import warnings
from collections import Counter
from typing import Any

import pytest
import torch
import torchvision
from torch import Tensor, nn

import actzoo

OLD = ("Relu", "Hardtanh", "LeakyRelu", "Gelu", "Silu", "Hardswish", "Mish", "Elu", "Tanh")


# Torch's own operator, which autograd shows by name: no kernel computes what learns.
SINE = "sin(a*x), a=layer(1)"


def nodes(result: Tensor) -> Counter[str]:
    """How often each operator stands in the graph of a result."""
    seen, rest = set(), [result.grad_fn]
    while rest:
        node = rest.pop()
        if node is not None and node not in seen:
            seen.add(node)
            rest += [before for before, _ in node.next_functions]
    return Counter(type(node).__name__.removesuffix("Backward0") for node in seen)


def first(result: Any) -> Tensor:
    """The sum of all tensors in an output."""
    if isinstance(result, Tensor):
        return result.float().sum()
    parts = result.values() if hasattr(result, "values") else result
    tensors = [
        first(p) for p in parts if isinstance(p, (Tensor, tuple, list)) or hasattr(p, "keys")
    ]
    return sum(tensors, torch.zeros(()))


def check(model: nn.Module, example: Any, kept: int = 0) -> actzoo.Swap[nn.Module]:
    """Swap, and count by autograd; `kept` operators of old names belong to gates and poolers."""

    def run() -> Counter[str]:
        return nodes(first(model(**example) if isinstance(example, dict) else model(example)))

    model.eval()
    before = run()
    swapped = actzoo.swap(model, SINE, example=example)
    after = run()
    assert sum(after[name] for name in OLD) == kept
    assert after["Sin"] - before["Sin"] > 0
    in_eval = sum(before[name] for name in OLD if name != "Tanh")
    assert after["Sin"] - before["Sin"] >= in_eval - kept
    assert after["Sin"] - before["Sin"] <= len(swapped.replaced)
    swapped.undo()
    assert run() == before
    return swapped


def vision(name: str) -> tuple[nn.Module, Tensor]:
    named = {"init_weights": False} if name in ("googlenet", "inception_v3") else {}
    model = torchvision.models.get_model(name, num_classes=4, **named)
    fixed = name.startswith(("vit", "maxvit", "swin"))
    side = 224 if fixed else 75 if name == "inception_v3" else 64
    return model, torch.randn(2, 3, side, side)


QUICK = ["resnet18", "mobilenet_v3_small", "squeezenet1_1", "googlenet", "convnext_tiny"]
MORE = [
    "alexnet",
    "vgg11_bn",
    "resnet50",
    "densenet121",
    "inception_v3",
    "mobilenet_v2",
    "shufflenet_v2_x0_5",
    "mnasnet0_5",
    "efficientnet_b0",
    "regnet_y_400mf",
    "swin_t",
    "vit_b_32",
    "resnext50_32x4d",
    "mobilenet_v3_large",
    "efficientnet_v2_s",
    "maxvit_t",
    "swin_v2_t",
]


@pytest.mark.parametrize(
    "name", [*QUICK, *(pytest.param(name, marks=pytest.mark.slow) for name in MORE)]
)
def test_torchvision(name: str) -> None:
    torch.manual_seed(0)
    model, x = vision(name)
    if name == "inception_v3":  # its auxiliary head needs a larger image than this one
        model.aux_logits, model.AuxLogits = False, None
    traced = actzoo.swap(model, SINE, in_place=False)
    swapped = check(model, x)
    assert {m.reason for m in swapped.missed} <= {
        "a gate or an output: its values lie in [0, 1]",
        "weights of attention, or an output",
    }
    if not traced.missed or "torch.fx" not in traced.missed[-1].reason:
        assert {r.name for r in traced.replaced} == {r.name for r in swapped.replaced}


@pytest.mark.parametrize("name", ["googlenet", "inception_v3"])
@pytest.mark.slow
def test_auxiliary_heads_are_seen_in_training(name: str) -> None:
    model, _ = vision(name)
    x = torch.randn(2, 3, 299, 299) if name == "inception_v3" else torch.randn(2, 3, 64, 64)
    model.train()
    swapped = actzoo.swap(model, SINE, example=x)
    assert any("aux" in r.name.lower() for r in swapped.replaced)
    after = nodes(first(model(x)))
    assert after["Relu"] == 0
    assert after["Sin"] == len(swapped.replaced)


@pytest.mark.parametrize(
    "name",
    ["resnet26d", "efficientnet_lite0", "convnext_atto", "ghostnet_050", "vit_tiny_patch16_224"],
)
def test_timm(name: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of others, while they are imported
        timm = pytest.importorskip("timm")
    torch.manual_seed(0)
    model = timm.create_model(name, num_classes=4)
    side = 224 if "vit" in name else 64
    check(model, torch.randn(2, 3, side, side))


def transformer(name: str) -> tuple[nn.Module, dict[str, Tensor], int]:
    """A small model made from a config, an input, and how many poolers it has."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        t = pytest.importorskip("transformers")
        sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
        text = {**sizes, "intermediate_size": 20, "vocab_size": 60}
        ids = {"input_ids": torch.randint(3, 50, (2, 7))}
        d = {"dim": 16, "n_layers": 2, "n_heads": 2, "hidden_dim": 20, "vocab_size": 60}
        t5 = {"d_model": 16, "d_kv": 8, "d_ff": 20, "num_layers": 2, "num_heads": 2}
        gpt2 = {"n_embd": 16, "n_layer": 2, "n_head": 2, "vocab_size": 60, "n_positions": 16}
        xlm = {"emb_dim": 16, "n_layers": 2, "n_heads": 2, "n_words": 60}
        vit = {**sizes, "intermediate_size": 20, "image_size": 32, "patch_size": 8}
        both = {**ids, "decoder_input_ids": ids["input_ids"]}
        pixels = {"pixel_values": torch.randn(2, 3, 32, 32)}
        gated = {"feed_forward_proj": "gated-gelu"}
        make: dict[str, Any] = {
            "bert": lambda: (t.BertModel(t.BertConfig(**text)), ids, 1),
            "gpt2": lambda: (t.GPT2LMHeadModel(t.GPT2Config(**gpt2)), ids, 0),
            "llama": lambda: (t.LlamaForCausalLM(t.LlamaConfig(**text)), ids, 0),
            "distilbert": lambda: (
                t.DistilBertForSequenceClassification(t.DistilBertConfig(**d)),
                ids,
                0,
            ),
            "vit": lambda: (t.ViTModel(t.ViTConfig(**vit)), pixels, 1),
            "t5": lambda: (
                t.T5ForConditionalGeneration(t.T5Config(**t5, vocab_size=60)),
                both,
                0,
            ),
            "t5-gated": lambda: (
                t.T5ForConditionalGeneration(t.T5Config(**t5, **gated, vocab_size=60)),
                both,
                0,
            ),
            "xlm": lambda: (t.XLMModel(t.XLMConfig(**xlm)), ids, 0),
        }
        model, example, poolers = make[name]()
    return model, example, poolers


TRANSFORMERS = ["bert", "gpt2", "llama", "distilbert", "vit", "t5", "t5-gated", "xlm"]


@pytest.mark.filterwarnings("ignore")  # of others
@pytest.mark.parametrize("name", TRANSFORMERS)
def test_transformers(name: str) -> None:
    torch.manual_seed(0)
    model, example, poolers = transformer(name)
    swapped = check(model, example, kept=poolers)
    assert len([m for m in swapped.missed if m.reason == "a pooler's output"]) == poolers


@pytest.mark.filterwarnings("ignore")  # of others
@pytest.mark.parametrize("name", TRANSFORMERS)
def test_a_warm_start_keeps_the_outputs_of_transformers(name: str) -> None:
    torch.manual_seed(0)
    model, example, _ = transformer(name)
    model.eval()
    with torch.no_grad():
        before = model(**example)[0]
        members = ["relu", "gelu", "gelu_tanh", "silu"]
        swapped = actzoo.swap(model, members, example=example, warm=True)
        assert {r.start for r in swapped.replaced} == {"the same"}
        torch.testing.assert_close(model(**example)[0], before, atol=1e-5, rtol=1e-5)
