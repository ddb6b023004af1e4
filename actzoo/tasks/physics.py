"""Physics as a task: the Poisson equation. The loss takes second derivatives of the model."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from actzoo import Dataset, Examples, Metric, Objective, Task, hookimpl
from actzoo.tasks.objective import Measured

POINTS = 1024
"""Points inside that train; a quarter as many lie on the edge."""
GRID = 32
"""Points a side of the grid that tests; the edge is a part of it. None of them trains."""
EDGE = 10.0
"""The weight of the squared error at the edge, beside that of the equation inside."""
FORCE = math.pi**2 / 2
"""Δu of the solution is -FORCE times the solution."""


def solution(x: Tensor) -> Tensor:
    """Return u(x, y) = cos(πx/2) cos(πy/2), which is 0 at the edge of [-1, 1]²."""
    along = torch.cos(math.pi / 2 * x)
    return along[:, :1] * along[:, 1:]


def laplacian(model: nn.Module, x: Tensor) -> tuple[Tensor, Tensor]:
    """Return u and Δu of a model with one output, at points (N, d).

    What a model is not differentiable in twice counts as 0: the second derivative of a function
    that is linear between its kinks.
    """
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        u = model(x).float()
        (slopes,) = torch.autograd.grad(u.sum(), x, create_graph=True)
        second = torch.zeros_like(u)
        for d in range(x.shape[1]):
            if not slopes.requires_grad:
                break
            (row,) = torch.autograd.grad(
                slopes[:, d].sum(), x, create_graph=True, materialize_grads=True
            )
            second = second + row[:, d : d + 1]
    return u, second


def _measure(model: nn.Module, inputs: Tensor, targets: Tensor) -> Measured:
    """Return the loss of each point: of the equation inside, of the value at the edge."""
    u, second = laplacian(model, inputs)
    residual = second / FORCE + solution(inputs)
    at_edge = inputs.abs().amax(dim=1, keepdim=True) == 1
    loss = torch.where(at_edge, EDGE * u.square(), residual.square())
    return {
        "loss": loss[:, 0],
        "error": (u - targets).square()[:, 0],
        "size": targets.square()[:, 0],
    }


def _loss(model: nn.Module, inputs: Tensor, targets: Tensor) -> Tensor:
    return _measure(model, inputs, targets)["loss"].mean()


def _summary(measured: Measured) -> Mapping[str, float]:
    error, size = (float(measured[name].double().sum()) for name in ("error", "size"))
    return {SCORE.name: 0.5 * math.log10(error / size) if error and size else -math.inf}


SCORE = Metric(name="log10_relative_error")
POISSON = Objective(
    name="residual of the equation",
    loss=_loss,
    measure=_measure,
    summary=_summary,
    metrics=(SCORE,),
)
"""Inputs are points of [-1, 1]², targets the solution there, which only the test looks at."""


def load_poisson(root: Path) -> Task:
    """Return Δu = -π²/2 cos(πx/2) cos(πy/2) on [-1, 1]² with u = 0 at the edge.

    The points that train are those of a Sobol sequence, the same for every seed.
    """
    sobol = torch.quasirandom.SobolEngine(2)  # type: ignore[no-untyped-call]
    inside = 2 * sobol.draw(POINTS + 1)[1:] - 1  # the first point is a corner
    along = (2 * torch.arange(POINTS // 16) + 1) / (POINTS // 16) - 1
    end = torch.ones_like(along)
    sides = [(along, end), (along, -end), (end, along), (-end, along)]
    edge = torch.cat([torch.stack(side, dim=1) for side in sides])
    train = torch.cat([inside, edge])
    test = torch.cartesian_prod(*[torch.linspace(-1, 1, GRID)] * 2)
    return Task(
        name="poisson",
        inputs="coordinates",
        train=Examples(train, solution(train)),
        test=Examples(test, solution(test)),
        outputs=1,
        objective=POISSON,
    )


@hookimpl
def actzoo_datasets() -> tuple[Dataset, ...]:
    """Return the Poisson equation."""
    poisson = Dataset(
        name="poisson",
        load=load_poisson,
        description="the Poisson equation on a square, whose solution is known: no data",
        caution="the loss takes second derivatives, which are 0 for functions made of straight "
        "lines (relu, leaky_relu): these cannot learn it, and stay near 0, the score of u = 0",
    )
    return (poisson,)
