"""A picture of a mixture over what arrives at it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from actzoo.errors import UsageError
from actzoo.escaping import one_line
from actzoo.mixture.mixture import Mixture

if TYPE_CHECKING:
    from matplotlib.figure import Figure

POINTS = 401


@torch.no_grad()
def plot(mixture: Mixture, half: float = 4.0) -> Figure:
    """Draw a mixture and its weighted members over the density of what arrives.

    The density is there if the mixture was watched (`mixture.watch()`), and so is the course of P.

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
    channels = max(
        (
            len(p)
            for m in mixture.layers
            for name, p in m.learned.items()
            if m.activation.learnable[name] == "channel"
        ),
        default=1,
    )
    x = line[:, None].expand(-1, channels)
    shares = mixture.proportions.tolist()
    drawn = line.float().cpu().numpy()
    total = torch.zeros(POINTS)
    for share, member in zip(shares, mixture.layers, strict=True):
        values = member.activation.fn(x, **member.parameters_for(x))
        part = share * values.float().mean(dim=1).cpu()
        total = total + part
        label = f"{share:.2f} {one_line(member.activation.name)}"
        axes.plot(drawn, part.numpy(), linewidth=1, label=label)
    axes.plot(drawn, total.numpy(), color="black", linewidth=2, label="A(x)")
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
        course.stackplot(watched.steps[-len(p) :], p.T)
        course.set_xlabel("call in training")
        course.set_ylabel("P")
        course.set_ylim(0, 1)
    return figure
