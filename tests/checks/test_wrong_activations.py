"""Each check fails for an activation that is wrong in what the check is for, in that way."""

from __future__ import annotations

import math
from typing import NamedTuple

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from actzoo import Activation, Claims, checks

inf, nan = math.inf, math.nan


class Case(NamedTuple):
    check: str
    message: str
    changes: dict


def tanh_slope(x):
    return 4 * torch.sigmoid(2 * x) * torch.sigmoid(-2 * x)


RIGHT = {
    "name": "subject",
    "formula": "tanh(x)",
    "fn": torch.tanh,
    "derivative": tanh_slope,
    "claims": Claims(
        lower=-1, upper=1, monotone=True, parity="odd", limits=(-1, 1), smoothness=inf
    ),
}


def relu_slope(x):
    return torch.where(x.isnan(), x, (x > 0).to(x.dtype))


RELU = {
    "formula": "max(0, x)",
    "fn": F.relu,
    "derivative": relu_slope,
    "claims": Claims(lower=0, upper=inf, monotone=True, limits=(0, inf), kinks=((0, 0),)),
}


def claim(**claims):
    return {"claims": Claims(**claims)}


def relu_claim(**claims):
    return {**RELU, "claims": Claims(**claims)}


def opaque(fn, **more):
    return {"formula": None, "latex": "x", "fn": fn, "derivative": None, "claims": Claims(), **more}


class Backward(torch.autograd.Function):
    """tanh whose backward is off by a factor."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return torch.tanh(x)

    @staticmethod
    def backward(ctx, grad):
        (x,) = ctx.saved_tensors
        return grad * tanh_slope(x) * 1.01


class Once(torch.autograd.Function):
    """tanh whose backward carries no graph."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return torch.tanh(x)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad):
        (x,) = ctx.saved_tensors
        return grad * tanh_slope(x)


def in_place(x):
    with torch.no_grad():
        x.clamp_(-1, 1)
    return torch.tanh(x)


def branching(x):
    return torch.tanh(x) if x.sum() > 0 else torch.tanh(x) + 0.0


def read_in_memory_order(x):
    return torch.tanh(torch.as_strided(x, x.shape, torch.empty(x.shape).stride()))


def gradient_two_at_kink(x):
    return 2 * (x + F.relu(-x)) - F.relu(x)


def detached(x, slope):
    value = slope.detach() if isinstance(slope, torch.Tensor) else slope
    return torch.where(x > 0, x, value * x)


def ignoring_channels(x, slope):
    one = slope.flatten()[0] if isinstance(slope, torch.Tensor) else slope
    return torch.where(x > 0, x, one * x)


def fixed(x, slope):
    return F.leaky_relu(x, 0.25) + 0 * slope


def value_alone_at_0(x, a):
    if not isinstance(a, torch.Tensor):
        return x + (torch.sin(a * x) ** 2 / a if a else 0)
    return torch.where(a == 0, x, x + torch.sin(a * x) ** 2 / a)


def per_a(fn):
    return {
        "formula": "x + sin(a*x)**2/a",
        "fn": fn,
        "derivative": lambda x, a: 1 + torch.sin(2 * a * x),
        "claims": Claims(),
        "parameters": {"a": 1.0},
        "learnable": {"a": "channel"},
    }


def learnable(fn):
    return {
        "formula": "x if x > 0 else slope*x",
        "fn": fn,
        "derivative": None,
        "claims": Claims(),
        "parameters": {"slope": 0.25},
        "learnable": {"slope": "channel"},
    }


VALUES = [
    Case("value-float32", "times the bound", {"fn": lambda x: 1.001 * torch.tanh(x)}),
    Case("value-float64", "times the bound", {"fn": lambda x: (1 + 3e-15) * torch.tanh(x)}),
    Case("value-float64", "points fail", {"fn": lambda x: torch.tanh(x.float()).double()}),
    Case("value-float16", "exactly", {"fn": lambda x: (torch.exp(x) - torch.exp(-x)) / 2}),
    Case("value-bfloat16", "shape", {"fn": lambda x: torch.tanh(x)[:-1]}),
    Case("value-float32", "no value at any point", {"formula": "log(-1 - x*x)"}),
    Case("derivative-float32", "times the bound", {"derivative": lambda x: -tanh_slope(x)}),
    # 1 - tanh(x)^2 cancels in the tails.
    Case("derivative-float32", "times the bound", {"derivative": lambda x: 1 - x.tanh() ** 2}),
    Case("autograd-float32", "the gradient", {"fn": Backward.apply}),
    Case(
        "autograd-float64",
        "no number",
        {
            "formula": "log(1 + x) if x > 0 else x",
            "fn": lambda x: torch.where(x > 0, torch.log1p(x), x),
        },
    ),
    Case("finite-float16", "f at x = 11", {"formula": "x", "fn": lambda x: x.exp().log()}),
    Case("finite-float32", "f at x = 2", {"fn": lambda x: torch.where(x == 2, nan, x.tanh())}),
    Case("finite-float32", "f' at", {"derivative": lambda x: tanh_slope(x) / x}),
    Case("finite-float64", "the gradient at", {"fn": lambda x: (x * x).sqrt()}),
    Case("limits-float32", "f(-inf) is nan", {"fn": lambda x: x / (1 + x.abs())}),
    Case("limits-float16", "f(-inf) is -1.0, not -2", claim(limits=(-2, 1))),
    Case("nan-float32", "f(nan) is 0.0", RELU | {"fn": lambda x: torch.where(x > 0, x, 0)}),
    Case("nan-float32", "f'(nan) is 0.0", RELU | {"derivative": lambda x: (x > 0).to(x.dtype)}),
    Case("nan-float64", "spreads", {"fn": lambda x: x - x.mean()}),
]  # fmt: skip
LAYOUTS = [
    Case("sizes-float32", "100000", {"fn": lambda x: x.tanh() * (1.01 if x.numel() > 99 else 1)}),
    Case("sizes-float32", "f' of", {"derivative": lambda x: tanh_slope(x) * x.ndim / x.numel()}),
    Case("sizes-float64", "nan", {"fn": lambda x: x.tanh() if len(x) > 67 else x / (1 + x.abs())}),
    Case("layout-float16", "is torch.float32", {"fn": lambda x: torch.tanh(x.float())}),
    Case("layout-float64", "is torch.float32", {"derivative": lambda x: tanh_slope(x.float())}),
    Case("layout-float32", "has shape", {"fn": lambda x: torch.tanh(x.flatten())}),
    Case("layout-float32", "transposed", {"fn": read_in_memory_order}),
    Case("layout-float32", "channels_last", {"fn": lambda x: torch.tanh(x.contiguous())}),
    Case("elementwise", "when other inputs do", {"fn": lambda x: torch.softmax(x, -1)}),
    Case("elementwise", "permut", {"fn": lambda x: x.cumsum(0)}),
    Case("elementwise", "another input", {"fn": lambda x: x + (x.sum() - x.sum().detach())}),
    Case("deterministic", "differ", {"fn": lambda x: x + torch.rand_like(x)}),
    Case("deterministic", "writes", {"fn": in_place}),
]
AGREEMENT = [
    Case("consistency", "autograd", {"derivative": lambda x: tanh_slope(x) + 1e-12}),
    Case("gradcheck", "Jacobian", {"fn": Backward.apply}),
    Case("gradgradcheck", "mismatch", {"fn": Once.apply}),
    Case("curvature-float64", "of fn at x", {"fn": Once.apply}),
    Case("curvature-float32", "of derivative at x = 90.0 is nan", {
        "formula": "1/(1 + exp(-x))", "fn": torch.sigmoid,
        "derivative": lambda x: x.exp() / (1 + x.exp()) ** 2}),
    Case("edges", "with a = 0 f at x", per_a(lambda x, a: x + torch.sin(a * x) ** 2 / a)),
    Case("edges", "with a = 0 the gradient for 'a' is nan", per_a(value_alone_at_0)),
    Case("edges", "math domain error", {
        "formula": "x*sqrt(a)", "fn": lambda x, a: x * math.sqrt(a), "parameters": {"a": 1.0},
        "derivative": None, "claims": Claims()}),
    Case("parameters", "expected to be zero", learnable(detached)),
    Case("parameters", "does not use its own", learnable(ignoring_channels)),
    Case("trained-float32", "f at x", learnable(fixed)),
    Case("kink_slopes", "declared 1", relu_claim(kinks=((0, 1),))),
    Case("kink_slopes", "outside of [0, 1]", RELU | {"fn": gradient_two_at_kink}),
]  # fmt: skip
CLAIMS = [
    Case("range", "lower = -0.9, but f(", claim(lower=-0.9)),
    Case("range", "lower = -1.1, but f only comes to -1", claim(lower=-1.1)),
    Case("range", "upper = inf, but f only reaches 1", claim(upper=inf)),
    Case("range", "upper = 0.5", relu_claim(upper=0.5)),
    Case("range", "fn gives", {"fn": lambda x: 1.01 * torch.tanh(x)}),
    # The last digits of an interior minimum count.
    Case(
        "range",
        "lower = -0.27846454",
        {"formula": "x/(1 + exp(-x))", "fn": F.silu, **claim(lower=-0.27846454)},
    ),
    Case("asymptotes", "to tend to 0.5", claim(limits=(-1, 0.5))),
    Case("asymptotes", "to tend to inf", claim(limits=(-1, inf))),
    Case("asymptotes", "to have no limit", claim(limits=(nan, 1))),
    Case("asymptotes", "to tend to 0", {"formula": "sin(x)", **claim(limits=(0, nan))}),
    Case("monotone", "decreases nowhere", claim(monotone=False)),
    Case("monotone", "it decreases", {"formula": "x*exp(-x*x)", **claim(monotone=True)}),
    Case("parity", "to be even", claim(parity="even")),
    Case("parity", "to be odd", {"formula": "tanh(x) + 1e-30", **claim(parity="odd")}),
    Case("kinks", "no kink is declared at x = 0", relu_claim(smoothness=0)),
    Case("kinks", "declared at x = 2, but", claim(kinks=((2, 0.07),))),
    Case("kinks", "no kink is declared at x = -1.41421", {
        "formula": "x if x*x < 2 else 1.5*x", **claim(smoothness=0)}),
    Case("kinks", "no kink is declared at x = 0", {
        "formula": "sqrt(x*x)", **claim(smoothness=inf)}),
    Case("smoothness", "but f' jumps at x = 0", relu_claim(smoothness=inf)),
    Case("smoothness", "but f'' jumps at x = 0", {
        "formula": "x*max(0, x)", **claim(smoothness=inf)}),
    Case("smoothness", "f jumps nowhere", claim(smoothness=-1)),
    Case("smoothness", "f'' jumps nowhere", claim(smoothness=1)),
]  # fmt: skip


class Layer(nn.Module):
    """tanh with one parameter, to be spoilt below."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, x):
        return torch.tanh(x) * self.scale


class Shared(Layer):
    def __deepcopy__(self, memo):
        return self


class Unstored(Layer):
    def state_dict(self):
        return {"scale": torch.ones(())}


def layer(kind):
    class Own(Activation):
        def module(self, channels=None):
            return kind()

    return {"class": Own}


def random_shape(x):
    return torch.tanh(x)[:1]


MODULES = [
    Case("deepcopy", "shares parameters", layer(Shared)),
    Case("pickle", "pickle", {"fn": lambda x: torch.tanh(x)}),
    Case("state_dict", "loads its state", layer(Unstored)),
    Case("half", "the output is torch.float32", {"fn": lambda x: torch.tanh(x.float())}),
    Case("half", "more than rounding", {
        "fn": lambda x: torch.tanh(x) + (0.1 if x.dtype is torch.float16 else 0)}),
    Case("meta", "meta", {"fn": lambda x: torch.tanh(x) + torch.zeros(5)}),
    Case("vmap", "vmap", {"fn": branching}),
    Case("compile", "Unsupported", {"fn": branching}),
    Case("export", "Error", {"fn": branching}),
    Case("training", "becomes", {"training_fn": random_shape}),
    Case("training", "not finite", {"training_fn": lambda x: x / (x - x)}),
    Case("declaration", "no check is called 'valu'", {"known_failures": {"valu": "why"}}),
    Case("declaration", "no reason", {"known_failures": {"value": " "}}),
]  # fmt: skip


def softmax(x, dim=1):
    return torch.softmax(x, dim)


def exploding(x):
    powers = torch.exp(x)
    return powers / powers.sum(1, keepdim=True)


def along(fn, **more):
    return opaque(fn, kind="dimwise", **more)


def gate(fn, out_channels):
    return opaque(fn, kind="gated", out_channels=out_channels)


SEVERAL = [
    Case("precision-bfloat16", "float64 has", along(lambda x: torch.softmax(x, 1).log())),
    Case("precision-float16", "times the bound", opaque(lambda x: x.float().tanh().half() * 1.1
         if x.dtype is torch.float16 else torch.tanh(x))),
    Case("jacobian-float32", "dy/dx", opaque(lambda x: Backward.apply(x)
         if x.dtype is torch.float32 else torch.tanh(x))),
    Case("finite-float32", "y at x", along(exploding)),
    Case("finite-float64", "dy/dx at x", along(lambda x: x * x.norm(dim=1, keepdim=True).sqrt())),
    Case("nan-float32", "no nan", along(lambda x: torch.softmax(x.nan_to_num(), 1))),
    Case("nan-float32", "other slices", along(lambda x: x - x.mean())),
    Case("layout-float64", "is torch.float32", along(lambda x: torch.softmax(x.float(), 1))),
    Case("slices", "alone", along(lambda x: torch.softmax(x, 0))),
    Case("dim", "dim=0", along(lambda x, dim: torch.softmax(x, 1), parameters={"dim": 1})),
    Case("channels", "it makes 2", gate(lambda x: torch.cat([x, -x], 1), lambda c: c)),
    Case("range", "occurs", along(softmax, **claim(lower=0, upper=0.5))),
    Case("range", "only comes to", along(softmax, **claim(lower=-1, upper=1))),
    Case("range", "about one variable", along(softmax, **claim(monotone=True))),
    Case("range", "about one variable", along(softmax, **claim(kinks=((0, 0),)))),
]  # fmt: skip


def build(changes):
    changes = dict(changes)
    kind = changes.pop("class", Activation)
    return kind(**{**RIGHT, **changes})


@pytest.mark.parametrize(
    "case",
    [*VALUES, *LAYOUTS, *AGREEMENT, *CLAIMS, *MODULES, *SEVERAL],
    ids=lambda case: f"{case.check}: {case.message}",
)
def test_the_check_fails(case):
    (result,) = checks.run(build(case.changes), only=[case.check])
    assert result.status == "failed"
    assert case.message.lower() in result.message.lower()


def test_every_check_is_seen_to_fail():
    cases = [*VALUES, *LAYOUTS, *AGREEMENT, *CLAIMS, *MODULES, *SEVERAL]
    assert {case.check.partition("-")[0] for case in cases} == set(checks.NAMES)


@pytest.mark.parametrize("changes", [{}, RELU], ids=["tanh", "relu"])
def test_what_they_were_made_from_is_right(changes):
    results = checks.run(build(changes), only=set(checks.NAMES) - {"compile", "export"})
    assert not [r for r in results if r.status == "failed"]
