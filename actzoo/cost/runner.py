"""The interleaved runner: all contestants in turn, round by round, so that ratios hold.

A machine that is busy for a while is busy for all of them; a ratio is taken within a round.
"""

from __future__ import annotations

import gc
import math
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

Timer = Callable[[Callable[[], object], int], float]
"""Seconds that so many calls of a function take, its device waited for."""
LEAST_ROUNDS, LONG_ROUNDS = 3, 5
"""The least numbers of rounds: of any case, and of one whose calls take long and so run no more,
since quartiles of three say little."""


@dataclass(frozen=True)
class Contestant:
    """Something to be timed.

    Attributes:
        name: What tables call it; unique among those it runs with.
        call: What is timed.
        setup: Called before each sample, not timed.
        ran: Which kernel really computes it, where there is a choice.
        refused: Why it cannot run here; "" if it can. It is then never called.
    """

    name: str
    call: Callable[[], object] = lambda: None
    setup: Callable[[], object] = lambda: None
    ran: str = ""
    refused: str = ""


@dataclass(frozen=True)
class Spread:
    """Median and quartiles of so many numbers."""

    median: float
    low: float
    high: float
    count: int

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Return the spread of some numbers, quartiles by linear interpolation."""
        low, median, high = np.quantile(values, (0.25, 0.5, 0.75))
        return cls(float(median), float(low), float(high), len(values))


@dataclass(frozen=True)
class Timings:
    """What the runner found.

    Attributes:
        seconds: Of one call, one entry a round, by contestant.
        refused: Why a contestant has none.
    """

    seconds: dict[str, list[float]] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)

    def spread(self, name: str) -> Spread:
        """Return seconds of one call."""
        return Spread.of(self.seconds[name])

    def ratio(self, name: str, base: str, unit: float = 1.0) -> Spread:
        """Round by round, its time over `unit` times that of the base."""
        pairs = zip(self.seconds[name], self.seconds[base], strict=True)
        return Spread.of([own / (unit * other) for own, other in pairs])


def interleave(
    contestants: Sequence[Contestant],
    *,
    budget: float,
    least_rounds: int = LEAST_ROUNDS,
    most_rounds: int = 50,
    warm_calls: int = 1,
    seed: int = 0,
    shortest: float = 1e-3,
    timer: Timer | None = None,
    device: torch.device | None = None,
) -> Timings:
    """Time all contestants in turn.

    Each is called `warm_calls` times, then once more to see how often it must be repeated for
    a sample of `shortest`; one that is called once a sample is called once before it, too.
    Rounds follow, each in an order of its own, until the budget is
    spent, but never fewer than the least. Garbage is collected between rounds only.

    Args:
        contestants: What to time; one whose first calls raise is refused with its error.
        budget: Seconds for the rounds.
        least_rounds: No fewer rounds than this, whatever they take.
        most_rounds: No more rounds than this.
        warm_calls: Calls before anything is timed, at least 1: compilation happens there.
        seed: Of the orders.
        shortest: Seconds that one sample lasts at least; shorter calls are repeated.
        timer: How to measure; what fits the device if left out.
        device: Where the contestants compute; the CPU if left out.
    """
    measure = timer or timer_for(device or torch.device("cpu"))
    found = Timings()
    repeats: dict[str, int] = {}
    entered = []
    for contestant in contestants:
        reason = contestant.refused or _try(contestant, warm_calls)
        if reason:
            found.refused[contestant.name] = reason
            continue
        contestant.setup()
        once = measure(contestant.call, 1)
        repeats[contestant.name] = max(1, math.ceil(shortest / max(once, 1e-9)))
        found.seconds[contestant.name] = []
        entered.append(contestant)
    draws = random.Random(seed)
    was_enabled = gc.isenabled()
    spent = 0.0
    gc.disable()
    try:
        for number in range(most_rounds):
            if number >= least_rounds and spent >= budget:
                break
            gc.collect(1)  # what the last round left; all of the process would take too long
            for contestant in draws.sample(entered, len(entered)):
                contestant.setup()
                count = repeats[contestant.name]
                if count == 1:  # a single call would pay for the memory that the one before freed
                    contestant.call()
                    contestant.setup()
                seconds = measure(contestant.call, count)
                spent += seconds
                found.seconds[contestant.name].append(seconds / count)
    finally:
        if was_enabled:
            gc.enable()
    return found


def _try(contestant: Contestant, calls: int) -> str:
    """Call it; why it cannot run, or "". Whatever stops it belongs in its row."""
    try:
        for _ in range(max(1, calls)):
            contestant.setup()
            contestant.call()
    except Exception as error:
        lines = str(error).strip().splitlines()
        return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
    return ""


def timer_for(device: torch.device) -> Timer:
    """Return events on a GPU, the clock elsewhere; of a single CPU thread its processor time.

    On an idle machine that is the same as the clock's, on a busy one other work is left out.
    """
    return {"events": _by_events, "processor time": _by_processor, "clock": _by_clock}.get(
        clock_for(device, torch.get_num_threads()), _by_waiting
    )


def clock_for(device: torch.device, threads: int) -> str:
    """Return what `timer_for` reads with so many threads, in words."""
    if device.type == "cuda":
        return "events"
    if device.type != "cpu":
        return "clock, after the device was waited for"
    return "processor time" if threads == 1 else "clock"


def _by_processor(call: Callable[[], object], repeats: int) -> float:
    started = time.process_time()
    for _ in range(repeats):
        call()
    return time.process_time() - started


def _by_clock(call: Callable[[], object], repeats: int) -> float:
    started = time.perf_counter()
    for _ in range(repeats):
        call()
    return time.perf_counter() - started


def _by_waiting(call: Callable[[], object], repeats: int) -> float:
    torch.accelerator.synchronize()
    started = time.perf_counter()
    for _ in range(repeats):
        call()
    torch.accelerator.synchronize()
    return time.perf_counter() - started


def _by_events(call: Callable[[], object], repeats: int) -> float:
    start, end = (torch.Event(device="cuda", enable_timing=True) for _ in range(2))
    torch.cuda.synchronize()
    start.record()
    for _ in range(repeats):
        call()
    end.record()
    end.synchronize()
    return float(start.elapsed_time(end)) / 1e3
