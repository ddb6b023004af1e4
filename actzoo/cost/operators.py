"""The operator: a weighted sum of functions, forward and backward, against a copy."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator

import torch
import torch._dynamo
import torch.nn.functional as F
from torch import Tensor

from actzoo.activation import Activation
from actzoo.cost.case import Case, Planned
from actzoo.cost.compute import Sum, eager_sum, free_bytes, keeps_not, our_sum, what_runs
from actzoo.cost.runner import Contestant
from actzoo.cost.settings import DTYPES, Functions, Settings
from actzoo.kernels import KERNELS

MODES = ("forward", "x", "x and w")
"""Forward alone, without a graph; forward and backward of x; of x and w."""
LIMITS = {"forward": 1.0, "x": 2.5, "x and w": 2.5}
"""The least anything can cost, in copies: forward reads x and writes y; backward reads x and the
gradient and writes another. A copy reads once and writes once."""
OURS = (*(kernel.name for kernel in KERNELS), "auto")
KNOWN: dict[str, Callable[[Tensor], Tensor]] = {
    "F.relu": F.relu,
    "F.tanh": torch.tanh,
    "F.gelu": F.gelu,
    "F.mish": F.mish,
}
EIGHT_BIT = "auto, 8-bit"
"""Auto, with 8 bits of the slopes kept for the backward pass of x."""
BASE = "copy"
COPY_INTO = "copy into place"


class Bench:
    """The tensors that the contestants of one size and dtype share.

    Args:
        elements: The length of x.
        dtype: Of x.
        device: Where.
        count: The number of weights, each 1/count.
    """

    def __init__(self, elements: int, dtype: torch.dtype, device: torch.device, count: int) -> None:
        draws = torch.Generator().manual_seed(0)
        x, g = (torch.randn(elements, generator=draws).mul_(s) for s in (1.5, 1.0))
        self.x = x.to(device, dtype)
        self.g = g.to(device, dtype)
        self.w = torch.full((count,), 1 / count, device=device)

    def call(self, total: Sum, mode: str, *, dynamic: bool = False) -> Callable[[], object]:
        """Once through a mode. Gradients are returned, not accumulated.

        Args:
            total: What computes the sum.
            mode: One of MODES.
            dynamic: Whether to tell torch.compile that the length of x will change.
        """
        x, w, g = self.x.detach(), self.w.detach(), self.g
        if dynamic and x.numel() > 1:
            torch._dynamo.mark_dynamic(x, 0)
        if mode == "forward":
            return lambda: total(x, w)
        x.requires_grad_()
        w.requires_grad_(mode == "x and w")
        wanted = (x, w) if mode == "x and w" else (x,)
        return lambda: torch.autograd.grad(total(x, w), wanted, g)

    def copy(self) -> Contestant:
        """Return the base: a copy that allocates its output, as every contestant does."""
        x = self.x.detach()
        return Contestant(BASE, x.clone)

    def copy_into(self) -> Contestant:
        """Return a copy to where memory is already: what allocation costs."""
        x, place = self.x.detach(), torch.empty_like(self.x)
        return Contestant(COPY_INTO, lambda: place.copy_(x))

    def fits(self, tensors: int) -> str:
        """Return why so many tensors like x do not fit into half the free memory; "" if they do."""
        needed = tensors * self.x.numel() * self.x.element_size()
        free = free_bytes(self.x.device)
        if needed <= free / 2:
            return ""
        return f"needs about {needed / 2**30:.1f} GiB; {free / 2**30:.1f} GiB are free"


def compiled_for(chosen: Functions, x: Tensor) -> Sum:
    """Return the eager sum by torch.compile, never eager in silence."""
    return _compiled(chosen.activations, x.dtype, x.device, torch.get_num_threads())


@functools.lru_cache(maxsize=1)
def _compiled(
    activations: tuple[Activation, ...], dtype: torch.dtype, device: torch.device, threads: int
) -> Sum:
    """Return one is kept: a set's lengths come one after another, and share what was compiled."""
    torch.compiler.reset()  # the sums share a code object, of which it compiles eight at most
    x = torch.empty(0, dtype=dtype, device=device)
    return torch.compile(eager_sum(activations, x), fullgraph=True)


def contestants(
    bench: Bench, chosen: Functions, mode: str, compile_up_to: int
) -> tuple[Contestant, ...]:
    """Return all who compute the set in a mode, and the known operators beside them."""
    count = len(chosen.activations)
    # Eager keeps each function's own intermediates: two a function is about right.
    room = bench.fits(2 * count + 4 if mode != "forward" else 4)
    late = chosen.not_compiled(compile_up_to)
    found = [bench.copy(), bench.copy_into()]
    found.append(
        Contestant(
            "eager sum", bench.call(eager_sum(chosen.activations, bench.x), mode), refused=room
        )
    )
    if late:
        found.append(Contestant("torch.compile", refused=late))
    else:
        inner = compiled_for(chosen, bench.x)
        found.append(Contestant("torch.compile", bench.call(inner, mode, dynamic=True)))
    for kernel in OURS:
        ran, reason = what_runs(chosen.activations, bench.x, kernel, late)
        reason = reason or (room if ran == "reference" else "")
        call = bench.call(our_sum(chosen.activations, bench.x, kernel), mode)
        found.append(Contestant(kernel, call, ran=ran, refused=reason))
    if mode == "x":
        call = bench.call(our_sum(chosen.activations, bench.x, "auto", "8bit"), mode)
        reason = keeps_not(chosen.activations, bench.x)
        found.append(Contestant(EIGHT_BIT, call, refused=reason))
    if mode != "x and w":
        for name, fn in KNOWN.items():
            found.append(Contestant(name, bench.call(_without_weights(fn), mode)))
    return tuple(found)


def _without_weights(fn: Callable[[Tensor], Tensor]) -> Sum:
    return lambda x, w: fn(x)


def cases(settings: Settings) -> Iterator[Planned]:
    """Yield the cases of the operator's table, each made when its turn comes.

    A set's sizes come one after another, since it is compiled once for all of them.
    """
    for threads in settings.threads:
        for dtype in settings.dtypes:
            for chosen in settings.sets:
                for elements in settings.sizes:
                    for mode in MODES:
                        yield threads, _maker(settings, threads, dtype, chosen, elements, mode)


def _maker(
    settings: Settings, threads: int, dtype: str, chosen: Functions, elements: int, mode: str
) -> Callable[[], Case]:
    def make() -> Case:
        bench = Bench(elements, DTYPES[dtype], settings.device, len(chosen.activations))
        facts = {
            "set": chosen.label, "members": chosen.names, "dtype": dtype, "threads": threads,
            "elements": elements, "mode": mode,
        }  # fmt: skip
        entered = contestants(bench, chosen, mode, settings.compile_up_to)
        return Case(facts, BASE, LIMITS[mode], entered)

    return make
