"""Which kernel is quicker on a machine that nobody has measured: timed once, then remembered.

It is asked in a user's own program only. In a cell "auto" is a rule, so that the same seed gives
the same bits: see `unwanted`.
"""

from __future__ import annotations

import hashlib
import os
import threading
import time
import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from actzoo.isolation import is_isolated
from actzoo.kernels import remembered
from actzoo.kernels.choice import KernelPlan
from actzoo.kernels.table import native

VARIABLE = "ACTZOO_MEASURE"
"""The environment variable that turns measuring off, by the value 0."""
RULED = "avx512"
"""The instruction set for which the rule of "auto" was measured: see reports/speed."""
_RULE_IS_MEASURED = f"it was measured for {RULED}"
LEAST, MOST = 6, 18
"""Exponents of 2: the least and the most elements that are timed."""
NOISE = 1.05
"""Times this near to each other are taken for equal; then the table serves, which keeps less."""
ROUNDS, BUDGET = 7, 0.01
"""So many rounds, but after the third no more of them than fit into so many seconds."""

Call = Callable[[Tensor, Tensor], Tensor]
"""Takes x and the weights to the weighted sum."""
Clock = Callable[[], float]

_lock = threading.RLock()
_settled: dict[tuple[KernelPlan, int, int, str], bool] = {}


def unwanted(device: torch.device) -> str:
    """Return why "auto" is a rule for a device, and not measured; "" if it is to be measured."""
    if device.type == "cuda":
        if torch.cuda.is_current_stream_capturing():
            return "a CUDA graph is being captured"
    else:
        library = native.load() if device.type == "cpu" else None
        if library is None:
            return "there is no kernel but plain torch to choose"
        if library.isa == RULED:
            return _RULE_IS_MEASURED
    if is_isolated():
        return "in a cell the same seed gives the same bits"
    if torch.are_deterministic_algorithms_enabled():
        return "torch is to use deterministic algorithms"
    return f"{VARIABLE} is 0" if os.environ.get(VARIABLE) == "0" else ""


def exponent(elements: int) -> int:
    """Return the size class of an x: it is timed with 2**exponent elements, a lower end.

    A larger x gains more from one pass over memory, so what pays there pays for all of the class.
    """
    return min(max(elements.bit_length() - 1 & ~1, LEAST), MOST)


def pays(tried: KernelPlan, x: Tensor, ours: Call, plain: Call) -> bool:
    """Return whether a plan is not slower than plain torch for tensors like x.

    It is timed once for a set, dtype, device, size class and number of threads: forward alone, and
    forward and backward. Both must pay.

    Args:
        tried: The plan.
        x: Any tensor with values.
        ours: Computes the sum by the plan.
        plain: Computes it by plain torch.
    """
    size, threads = exponent(x.numel()), torch.get_num_threads()
    library = native.load()
    known = (tried, size, threads, "" if library is None else library.isa)
    found = _settled.get(known)
    if found is None:
        with _lock:
            found = _settled[known] = _looked_up(tried, x, size, threads, ours, plain)
    return found


def measurements(device: torch.device) -> dict[str, Any]:
    """Return what is known of a device, in plain values of JSON.

    Args:
        device: Which.

    Returns:
        `measures`: whether "auto" measures there, else `why` not; `file`: where that is kept;
        `measured`: for each set, dtype, size class and number of threads what was found.
    """
    why, where = unwanted(device), remembered.path(device)
    return {
        "measures": not why,
        "why": why,
        "file": None if where is None else str(where),
        "measured": list(remembered.found(device).values()),
    }


def forget() -> None:
    """Forget all that this process knows; files stay."""
    _settled.clear()
    remembered.forget()


def _looked_up(
    tried: KernelPlan, x: Tensor, size: int, threads: int, ours: Call, plain: Call
) -> bool:
    names = "+".join(a.name for a in tried.activations)
    dtype = str(x.dtype).removeprefix("torch.")
    key = f"{names} {dtype} {size} {threads} {_digest(tried)}"
    before = remembered.found(x.device).get(key)
    if before is not None:
        return bool(before["pays"])
    clock = clock_for(x.device, threads)
    try:
        seconds = timed(tried, x, size, {tried.name: ours, "plain torch": plain}, clock)
    except Exception as error:  # whatever it is, plain torch serves
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        warnings.warn(
            f"the {tried.name} kernel of {names} is not used for {dtype} on {x.device}: it failed "
            f"when it was tried ({reason}); plain torch serves",
            RuntimeWarning,
            stacklevel=2,
        )
        return False
    own, torchs = seconds[tried.name], seconds["plain torch"]
    found = all(own[what] <= NOISE * torchs[what] for what in own)
    described = {"functions": names, "dtype": dtype, "elements": 2**size, "threads": threads}
    remembered.remember(x.device, key, {**described, "pays": found, "seconds": seconds})
    return found


def _digest(tried: KernelPlan) -> str:
    """Return a few digits that tell tables apart: functions of one name may differ."""
    digest = hashlib.sha256(tried.name.encode())
    for part in tried.parts:
        for tensor in (
            getattr(part.prepared, "values", None),
            getattr(part.prepared, "slopes", None),
        ):
            if isinstance(tensor, Tensor):
                digest.update(tensor.cpu().numpy().tobytes())
    return digest.hexdigest()[:12]


def clock_for(device: torch.device, threads: int) -> Clock:
    """Return a clock: of one CPU thread its own time, so that other work does not count."""
    if device.type == "cuda":

        def after_the_device() -> float:
            torch.cuda.synchronize(device)
            return time.perf_counter()

        return after_the_device
    return time.thread_time if threads == 1 else time.perf_counter


def timed(
    tried: KernelPlan, x: Tensor, size: int, candidates: dict[str, Call], clock: Clock
) -> dict[str, dict[str, float]]:
    """Return the least seconds of each candidate, forward and in training, taken in turn.

    Raises:
        ArithmeticError: The candidates do not compute the same numbers.
    """
    k, near = len(tried.activations), torch.finfo(x.dtype).eps ** 0.5
    devices = [x.device] if x.device.type == "cuda" else []
    with (
        torch.random.fork_rng(devices),
        torch.inference_mode(False),
        torch.autocast(x.device.type, enabled=False),
    ):
        spread = torch.arange(2**size, device=x.device) * 40503 % 65536
        values = (spread / 8192 - 4).to(x.dtype)
        weights, grad = torch.full((k,), 1 / k, device=x.device), torch.ones_like(values)
        leaves = (values.clone().requires_grad_(), weights.clone().requires_grad_(k > 1))
        asked = leaves if k > 1 else leaves[:1]

        def forward(call: Call) -> tuple[Tensor, ...]:
            with torch.no_grad():
                return (call(values, weights),)

        def training(call: Call) -> tuple[Tensor, ...]:
            with torch.enable_grad():
                y = call(*leaves)
            if not y.requires_grad:  # functions without a slope
                return (y,)
            return (y.detach(), torch.autograd.grad(y, asked, grad)[0])

        for run in (forward, training):
            results = [run(call) for call in candidates.values()]
            for one, other in zip(*results, strict=False):
                one, other = one.double(), other.double()
                off = (one - other).abs() / other.abs().clamp_min(1)
                if not float(off.max()) <= near:
                    raise ArithmeticError(f"it is off by {float(off.max()):.1e}")
        found: dict[str, dict[str, float]] = {name: {} for name in candidates}
        spent = 0.0
        for number in range(ROUNDS):
            if number >= 3 and spent > BUDGET:
                break
            for run in (forward, training):
                for name, call in candidates.items():
                    started = clock()
                    run(call)
                    seconds = clock() - started
                    spent += seconds
                    best = found[name].get(run.__name__, seconds)
                    found[name][run.__name__] = min(best, seconds)
    return found
