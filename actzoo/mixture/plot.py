"""A picture of a mixture over what arrives at it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from actzoo.errors import UsageError
from actzoo.escaping import one_line
from actzoo.mixture.mixture import Mixture

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

POINTS = 401


@torch.no_grad()
def plot(mixture: Mixture, half: float = 4.0) -> Figure:
    """Draw a mixture and what each weight adds to it over the density of what arrives.

    The density is there if the mixture was watched (`mixture.watch()`), and so is the course of P.
    Where channels have weights or parameters of their own, the mean over them is drawn.

    Args:
        mixture: The mixture; its mode and weights stay as they are.
        half: Half the width: drawn is [-half, half].

    Returns:
        A figure of matplotlib, bound to no window; `figure.savefig("mixture.png")` writes it.

    Raises:
        UsageError: It is no mixture.
    """
    from matplotlib.figure import Figure

    if not isinstance(mixture, Mixture):
        raise UsageError(f"plot({type(mixture).__name__}): expected an actzoo.Mixture")
    watched = mixture.watched
    has_course = watched is not None and len(watched.steps) > 1
    figure = Figure(figsize=(10 if has_course else 5.5, 4), layout="constrained")
    axes = figure.add_subplot(1, 2 if has_course else 1, 1)
    w = mixture.w
    line = torch.linspace(-half, half, POINTS, device=w.device, dtype=w.dtype)
    x = line[:, None].expand(-1, mixture.parameter_channels)
    shares = mixture.proportions
    shares = shares.mean(dim=1) if shares.dim() > 1 else shares
    drawn = line.float().cpu().numpy()
    modes = [(module, module.training) for module in mixture.modules()]
    mixture.eval()
    try:
        parts, total = mixture.contributions(x), mixture.forward(x)  # calls no hook of the layer
    finally:
        for module, mode in modes:
            module.training = mode
    for share, name, part in zip(shares.tolist(), mixture.terms, parts, strict=True):
        axes.plot(drawn, _mean(part), linewidth=1, label=f"{share:.2f} {one_line(name)}")
    axes.plot(drawn, _mean(total), color="black", linewidth=2, label="A(x)")
    axes.set_xlabel("x")
    axes.set_xlim(-half, half)
    axes.legend(fontsize="small")
    if watched is not None and watched.counts.sum():
        behind = axes.twinx()
        width = float(watched.centres[1] - watched.centres[0])
        density = watched.counts / (watched.counts.sum() + watched.outside) / width
        behind.fill_between(watched.centres, density, alpha=0.15, color="gray", linewidth=0)
        behind.set_ylim(bottom=0)
        behind.set_ylabel("density of what arrives")
    if watched is not None and has_course:
        course = figure.add_subplot(1, 2, 2)
        p = watched.proportions
        p = p.mean(axis=2) if p.ndim > 2 else p
        steps = watched.steps[-len(p) :]
        if p.min() >= 0 and abs(p.sum(axis=1) - 1).max() < 1e-3:
            course.stackplot(steps, p.T)
            course.set_ylim(0, 1)
        else:  # a rule whose P are no parts of a whole
            course.plot(steps, p)
        course.set_xlabel("call in training")
        course.set_ylabel("P")
    return figure


def _mean(values: Tensor) -> NDArray[np.float32]:
    """Return values of shape (points, channels) as their mean over the channels."""
    mean: NDArray[np.float32] = values.float().mean(dim=1).cpu().numpy()
    return mean
