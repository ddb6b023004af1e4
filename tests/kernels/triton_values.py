"""Runs the Triton table kernels and prints their errors as JSON: a list of rows.

With TRITON_INTERPRET=1, which Triton reads when it is imported, they run on the CPU by Triton's
interpreter; without it, on the GPU.
"""

from __future__ import annotations

import json
import math
import os

import numpy as np
import torch
import triton.language as tl
from scipy import special
from torch import Tensor
from triton.language.extra import libdevice
from triton.runtime import interpreter

import actzoo
from actzoo.activation import Activation
from actzoo.kernels.table import cuda, triton_exact

# The interpreter knows no libdevice, so numpy stands in for it.
LIBDEVICE = {
    "acos": np.arccos,
    "acosh": np.arccosh,
    "asin": np.arcsin,
    "asinh": np.arcsinh,
    "atan": np.arctan,
    "atanh": np.arctanh,
    "cosh": np.cosh,
    "erfc": special.erfc,
    "expm1": np.expm1,
    "log1p": np.log1p,
    "pow": np.power,
    "sinh": np.sinh,
    "tan": np.tan,
    "tanh": np.tanh,
}
DEVICE = "cpu" if os.environ.get("TRITON_INTERPRET") == "1" else "cuda"
THREE = ("relu", "tanh", "sin")
FOUR = ("softsign", "gelu", "hardtanh", "squared_relu")
CASES = (
    (THREE, 1, torch.float32),
    (THREE, 1000, torch.float32),
    (THREE, 4097, torch.float32),
    (THREE, 4097, torch.bfloat16),
    (THREE, 4097, torch.float16),
    (("mish",), 900, torch.float32),
    (FOUR, 900, torch.bfloat16),
    (FOUR, 900, torch.float16),
)
# Every function and operator of the grammar, where it is defined for |x| >= 16.
FORMULAS = (
    "acos(1/x)",
    "acosh(abs(x))",
    "asin(1/x)",
    "asinh(x)",
    "atan(x)",
    "atanh(1/x)",
    "clip(x, -20, 20)",
    "cos(x)",
    "cosh(x/9)",
    "erf(9/x)",
    "erfc(9/x)",
    "exp(x/9)",
    "expm1(x/9)",
    "gelu(x/9)",
    "log(abs(x))",
    "log1p(abs(x))",
    "max(x, 17, -x/2)",
    "min(x, 3, 2*x)",
    "relu(x - 20)",
    "sech(x/9)",
    "sigmoid(x/9)",
    "x*sign(x)",
    "sin(x)",
    "sinh(x/9)",
    "softplus(x/9)",
    "sqrt(abs(x) + 1)",
    "x*step(x)",
    "tan(x/60)",
    "tanh(x/9)",
    "x**3/100 - abs(x)**1.5 + x**-2 - 0.1",
    "abs(x)**(9/x)",
    "2**(x/9)",
    "x if x > 20 or -30 <= x and x < -18 else 0.1*x**2/e + pi",
    "a*x + b[0]*cos(b[1]*x)",
)
EDGES = (16.0, -16.0, 0.0, -0.0, math.inf, -math.inf, math.nan, 15.9375, -3.0, 5.0, 250.0, -250.0)


def stand_in(function: np.ufunc) -> object:
    def computed(*args: tl.tensor) -> tl.tensor:
        with np.errstate(all="ignore"):
            result = function(*(arg.handle.data for arg in args))
        return tl.tensor(interpreter.TensorHandle(result, tl.float64), args[0].type)

    return computed


def tables(activations: list[Activation]) -> tuple[Tensor, Tensor]:
    """Polynomials through Chebyshev points: values (k, 10, 32) and slopes (k, 11, 32)."""
    u = (1 - np.cos(np.pi * (np.arange(10) + 0.5) / 10)) / 2
    fit = np.linalg.inv(np.vander(u, increasing=True))
    knots = np.arange(16.0)
    x = np.concatenate((knots + u[:, None], -(knots + u[:, None])), axis=1)
    at_knot = torch.tensor(np.concatenate((knots, -knots))[None])
    values, slopes = [], []
    for activation in activations:
        value, slope = activation(torch.tensor(x)), activation.derivative(torch.tensor(x))
        values.append(fit @ value.numpy())
        slopes.append(np.concatenate((fit @ slope.numpy(), activation.derivative(at_knot))))
    return torch.tensor(np.array(values)), torch.tensor(np.array(slopes))


def by_tables(table: Tensor, x: Tensor) -> Tensor:
    """(k, n): each table at each x in float64; nan outside."""
    size = x.abs().double()
    size = torch.where(size < 16, size, torch.nan)
    knot = torch.nan_to_num(size.floor()).long()
    column = torch.where(x < 0, knot + 16, knot)
    u = size - knot
    result = sum(table[:, d, column] * u**d for d in range(10))
    return torch.where(u == 0, table[:, 10, column], result) if table.shape[1] == 11 else result


def exactly(activations: list[Activation], x: Tensor, what: str) -> Tensor:
    points = x.double()
    functions = [a if what == "value" else a.derivative for a in activations]
    return torch.stack([f(points) for f in functions])


def error(found: Tensor, wanted: Tensor, scale: Tensor | float = 1.0) -> float:
    """Largest |error| / max(scale, |wanted|); inf where one is a number and the other is not."""
    wanted = wanted.to(found.dtype).double()  # the dtype's own range
    found = found.double()
    same = (found == wanted) | (found.isnan() & wanted.isnan())
    off = (found - wanted).abs() / torch.clamp(wanted.abs(), min=scale)
    off = torch.where(same, 0.0, torch.nan_to_num(off, nan=math.inf))
    return off.max().item()


def inputs(n: int, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(n)
    x = torch.randn(n, generator=generator) * 5
    if n > 1:
        x[7 : 7 + len(EDGES)] = torch.tensor(EDGES)
    if n > 4000:  # the last block too, and a block in the middle that has none
        x[-1] = -40.0
        x[1024:2048].clamp_(-15, 15)
    return x.to(dtype), torch.randn(n, generator=generator).to(dtype)


def forward(x: Tensor, weights: Tensor, values: Tensor, members: list[Activation]) -> Tensor:
    there = x.to(DEVICE)
    y = torch.empty_like(there)
    cuda.forward(there, y, weights.to(DEVICE), values.to(DEVICE), members)
    return y.cpu()


def backward(
    grad: Tensor,
    x: Tensor,
    weights: Tensor,
    values: Tensor,
    slopes: Tensor,
    members: list[Activation],
    wanted: str = "both",
) -> tuple[Tensor, Tensor]:
    """The gradients; where one is not wanted, an empty tensor."""
    there = x.to(DEVICE)
    grad_x = torch.empty_like(there) if wanted != "weights" else None
    grad_weights = None
    if wanted != "x":
        grad_weights = torch.empty(len(members), dtype=torch.float64, device=DEVICE)
    tables = weights.to(DEVICE), values.to(DEVICE), slopes.to(DEVICE)
    cuda.backward(grad.to(DEVICE), there, grad_x, grad_weights, *tables, members)
    none = torch.empty(0)
    return (
        none if grad_x is None else grad_x.cpu(),
        none if grad_weights is None else grad_weights.cpu(),
    )


def run_tables() -> list[dict[str, object]]:
    rows = []
    for names, n, dtype in CASES:
        # The interpreter's time is that of its steps, however many elements each has.
        cuda.LANES = 128 if (n, dtype) == (1000, torch.float32) else cuda.BLOCK
        members = [actzoo.get(name) for name in names]
        values, slopes = tables(members)
        weights = torch.linspace(0.2, 0.7, len(names))
        x, grad = inputs(n, dtype)
        inside = x.abs() < 16
        w, g = weights.double()[:, None], grad.double()
        f = torch.where(inside, by_tables(values, x), exactly(members, x, "value"))
        d = torch.where(inside, by_tables(slopes, x), exactly(members, x, "slope"))
        grad_x, grad_weights = backward(grad, x, weights, values, slopes, members)
        only_x, _ = backward(grad, x, weights, values, slopes, members, "x")
        _, only_w = backward(grad, x, weights, values, slopes, members, "weights")
        # A sum over inf and nan says nothing of the other terms, so it is taken again without.
        kept = x.isfinite()
        _, sums = backward(
            grad, torch.where(kept, x, 0.5), weights, values, slopes, members, "weights"
        )
        terms = torch.where(kept, f, by_tables(values, torch.full_like(x, 0.5))) * g
        rows.append(
            {
                "what": f"{'+'.join(names)}, n={n}, {dtype}",
                "dtype": str(dtype).removeprefix("torch."),
                "y": error(forward(x, weights, values, members), (w * f).sum(0)),
                "grad_x": error(grad_x, g * (w * d).sum(0)),
                "grad_weights": error(sums, terms.sum(1), terms.abs().sum(1)),
                "grad_weights, inf and nan": error(grad_weights, (f * g).sum(1), 1e3),
                "alone": error(only_x, grad_x) + error(only_w, grad_weights),
            }
        )
    return rows


def run_formulas() -> list[dict[str, object]]:
    """Every printed member where its table does not serve, against its declaration."""
    far = 2.0 ** torch.linspace(4, 127.9, 400)
    near = torch.linspace(16, 40, 100)
    ends = torch.tensor([math.inf, -math.inf, math.nan])
    zeros, one = torch.zeros(1, 11, 32, dtype=torch.float64), torch.ones(1)
    zoo = [(actzoo.get(name), torch.cat((far, -far, ends))) for name in actzoo.names()]
    made = [
        (
            Activation(
                name=formula,
                formula=formula,
                parameters={"a": 0.3, "b": (1.5, 0.7)} if "b[0]" in formula else {},
            ),
            torch.cat((near, -near, ends[2:])),
        )
        for formula in FORMULAS
    ]
    rows = []
    cuda.LANES = cuda.BLOCK
    for member, x in zoo + made:
        if triton_exact.refusal(member):
            continue
        slope, _ = backward(torch.ones_like(x), x, one, zeros[:, :10], zeros, [member], "x")
        rows.append(
            {
                "what": member.name,
                "y": error(forward(x, one, zeros[:, :10], [member]), member(x.double())),
                "slope": error(slope, member.derivative(x.double())),
            }
        )
    return rows


def run_empty() -> list[dict[str, object]]:
    members = [actzoo.get("tanh")]
    values, slopes = tables(members)
    none, one = torch.empty(0), torch.ones(1)
    grad_x, grad_weights = backward(none, none, one, values, slopes, members)
    y = forward(none, one, values, members)
    return [{"what": "empty", "found": [y.numel(), grad_x.numel(), grad_weights.tolist()]}]


if __name__ == "__main__":
    if DEVICE == "cpu":
        for name, function in LIBDEVICE.items():
            setattr(libdevice, name, stand_in(function))
    found = {"table": run_tables(), "formulas": run_formulas(), "empty": run_empty()}
    print(json.dumps(found))
