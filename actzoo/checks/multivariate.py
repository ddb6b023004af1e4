"""Checks of functions of several inputs: those along a dimension, and gates.

They have no formula in one variable, so their float64 results are the reference. The bound
is the contract's bound with the sum over all inputs in place of |x f'|.
"""

from __future__ import annotations

import math
from functools import cache

import torch
from torch import Tensor

from actzoo.checks import accuracy, bounds, samples
from actzoo.checks.evaluation import Candidate
from actzoo.checks.result import Failed, Skip, Worst
from actzoo.errors import DeclarationError

_SCALES = (1e-4, 0.1, 1.0, 3.0, 20.0, 100.0, 1e4)


def slices(subject: Candidate, dtype: torch.dtype) -> Tensor:
    """Return test vectors of shape (n, channels): draws, zeros, ties, one large entry."""
    count = 1 if subject.pointwise else samples.channels(subject)
    return _vectors(count).to(dtype)


@cache
def _vectors(count: int) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    draws = torch.randn(8, count, generator=generator, dtype=torch.float64)
    rows = [scale * draws for scale in _SCALES]
    for value in (0.0, 1.0, -1.0, 1e4, -1e4):
        rows.append(torch.full((1, count), value, dtype=torch.float64))
    for value in (20.0, 100.0, 1e4):
        rows += [value * torch.eye(count, dtype=torch.float64), -value * torch.eye(count)]
    # Only numbers that both bfloat16 and float16 represent, so that all dtypes get the same.
    return torch.cat(rows).to(torch.bfloat16).to(torch.float16).double()


def with_jacobian(subject: Candidate, x: Tensor) -> tuple[Tensor, Tensor]:
    """Return y of shape (n, out) and dy/dx of shape (n, out, channels)."""
    x = x.detach().clone().requires_grad_()
    y = subject.activation(x)
    columns = [
        torch.autograd.grad(y[:, i].sum(), x, retain_graph=True)[0]
        if y.requires_grad
        else torch.zeros_like(x)
        for i in range(y.shape[1])
    ]
    return y.detach(), torch.stack(columns, dim=1)


def precision(subject: Candidate, dtype: torch.dtype) -> Worst:
    """Check results against float64, within 8 eps (|y| + sum of |x dy/dx|) + tiny."""
    info = torch.finfo(dtype)
    x = slices(subject, dtype)
    exact, jacobian = with_jacobian(subject, x.double())
    through_x = (x.double()[:, None, :] * jacobian).abs().sum(dim=2)
    unit = accuracy.ALLOWANCE * info.eps
    bound = unit * (exact.abs() + through_x) + info.smallest_normal * _scale(subject, x)[:, None]
    return _hold("y", subject.activation(x), exact, bound, x)


def _scale(subject: Candidate, x: Tensor) -> Tensor:
    """Return the unit of absolute errors in each slice: 1, or the largest input of a gate.

    A gate multiplies its inputs, so the error of one factor is scaled by the other.
    """
    largest = x.double().abs().amax(1).clamp(min=1)
    return largest if subject.activation.kind == "gated" else torch.ones_like(largest)


def jacobian(subject: Candidate, dtype: torch.dtype) -> Worst:
    """Check the Jacobian against its float64 values, within 8 eps max(1, |dy/dx|)."""
    x = slices(subject, dtype)
    _, exact = with_jacobian(subject, x.double())
    _, found = with_jacobian(subject, x)
    size = torch.maximum(exact.abs(), _scale(subject, x)[:, None, None])
    bound = accuracy.ALLOWANCE * torch.finfo(dtype).eps * size
    return _hold("dy/dx", found, exact, bound, x)


def _hold(what: str, found: Tensor, exact: Tensor, bound: Tensor, x: Tensor) -> Worst:
    beyond = exact.abs() + bound > torch.finfo(found.dtype).max
    off = ((found.double() - exact).abs() / bound).nan_to_num(math.inf, math.inf)
    off[beyond & found.isinf() & (found.sign() == exact.sign())] = 0
    row = int(off.flatten(1).amax(1).argmax())
    worst = Worst(off[row].max().item(), x[row].abs().max().item())
    if worst.error > 1:
        i = int(off[row].argmax())
        raise Failed(
            f"{what} at x = {x[row].tolist()} has {found[row].flatten()[i].item():.6g} where "
            f"float64 has {exact[row].flatten()[i].item():.6g}: "
            f"{worst.error:.3g} times the bound",
            worst,
        )
    return worst


def finite(subject: Candidate, dtype: torch.dtype) -> None:
    """Check that value and Jacobian are finite where those in float64 fit the dtype."""
    x = slices(subject, dtype)
    wide = with_jacobian(subject, x.double())
    for what, y, exact in zip(("y", "dy/dx"), with_jacobian(subject, x), wide, strict=True):
        bad = (~y.isfinite() & (exact.abs() <= torch.finfo(dtype).max)).flatten(1).any(1)
        bad |= exact.isnan().flatten(1).any(1)
        if bad.any():
            row = x[int(bad.nonzero()[0, 0])].tolist()
            raise Failed(f"{what} at x = {row} is not finite", Worst(math.inf, max(row, key=abs)))


def nan(subject: Candidate, dtype: torch.dtype) -> None:
    """Check that a nan affects its own slice and no other."""
    x = samples.sample(subject, dtype)
    x[1, 0, 2] = math.nan
    y = subject.activation(x).isnan().any(dim=1)
    if not y[1, 2]:
        raise Failed("a nan in a slice leaves no nan there", Worst(math.inf, math.nan))
    y[1, 2] = False
    if y.any():
        raise Failed("a nan spreads to other slices", Worst(math.inf, math.nan))


def independence(subject: Candidate) -> None:
    """Check that each slice along the dimension is computed independently."""
    x = samples.sample(subject, torch.float64)
    y = subject.activation(x)
    for n in range(x.shape[0]):
        for j in range(x.shape[2]):
            one = subject.activation(x[n : n + 1, :, j : j + 1])
            if not torch.allclose(one[0, :, 0], y[n, :, j], rtol=1e-12, atol=1e-12):
                raise Failed("a slice gives something else when it is alone")


def dimension(subject: Candidate) -> None:
    """Check that `dim` selects the dimension: moving it and naming its new place agree."""
    act = subject.activation
    if "dim" not in act.parameters:
        raise Skip("it has no parameter dim")
    x = samples.sample(subject, torch.float64)
    expected = act(x, dim=1)
    for dim in (0, 2, -1, -2):
        found = act(x.movedim(1, dim), dim=dim).movedim(dim, 1)
        if found.shape != expected.shape or not torch.allclose(found, expected, atol=1e-12):
            raise Failed(f"along dim={dim} it does something else than along dim=1")


def channels(subject: Candidate) -> None:
    """Check that out_channels is the number of channels of the output, in 2 to 4 dimensions."""
    act = subject.activation
    taken = 0
    for count in range(1, 17):
        try:
            expected = act.channels_after(count)
        except DeclarationError:
            continue
        taken += 1
        for rest in ((), (3,), (3, 2)):
            shape = tuple(act(torch.zeros(2, count, *rest)).shape)
            if shape != (2, expected, *rest):
                raise Failed(
                    f"of {count} channels it makes {shape[1]}, out_channels says {expected}"
                )
    if not taken:
        raise Failed("out_channels refuses every number of channels up to 16")


def claims(subject: Candidate) -> None:
    """Check that only a range is claimed, and that outputs stay in it and come near its ends."""
    made = subject.activation.claims
    for name in ("monotone", "parity", "limits", "smoothness"):
        if getattr(made, name) is not None:
            raise Failed(f"a claim of {name} is about one variable, this works on several")
    if made.kinks:
        raise Failed("a claim of kinks is about one variable, this works on several")
    if made.lower is None and made.upper is None:
        raise Skip("nothing is claimed")
    y, _ = with_jacobian(subject, slices(subject, torch.float64))
    for sign, bound, word in ((1, made.lower, "lower"), (-1, made.upper, "upper")):
        if bound is None:
            continue
        least = (sign * y).min().item()
        if least < sign * bound:
            raise Failed(f"{word} = {bound}, but {sign * least:.9g} occurs")
        short = least > -bounds.LARGE if math.isinf(bound) else least - sign * bound > 1e-3
        if short:
            raise Failed(f"{word} = {bound}, but y only comes to {sign * least:.9g}")
