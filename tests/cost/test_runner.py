"""The interleaved runner, with a timer that takes what it is told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest
import torch

from actzoo.cost.case import Case
from actzoo.cost.runner import Contestant, Spread, Timings, clock_for, interleave, timer_for
from actzoo.environment import threads


class FakeTimer:
    """Seconds of one call by contestant; notes who was measured, and how often each time."""

    def __init__(self, seconds: dict[str, float]) -> None:
        self.seconds = seconds
        self.samples: list[tuple[str, int]] = []

    def __call__(self, call: Callable[[], object], repeats: int) -> float:
        name = str(call())
        self.samples.append((name, repeats))
        return repeats * self.seconds[name]


def entered(*names: str) -> list[Contestant]:
    return [Contestant(name, lambda name=name: name) for name in names]


def test_each_round_has_each_contestant_once_in_an_order_of_its_own() -> None:
    timer = FakeTimer(dict.fromkeys("abcd", 0.01))
    found = interleave(entered(*"abcd"), budget=0.4, timer=timer)
    assert {name: len(found.seconds[name]) for name in "abcd"} == dict.fromkeys("abcd", 10)
    rounds = [name for name, _ in timer.samples[4:]]
    orders = [tuple(rounds[n : n + 4]) for n in range(0, len(rounds), 4)]
    assert all(sorted(order) == list("abcd") for order in orders)
    assert len(set(orders)) > 3


def test_the_seed_fixes_the_orders() -> None:
    def orders(seed: int) -> list[tuple[str, int]]:
        timer = FakeTimer(dict.fromkeys("abcd", 0.01))
        interleave(entered(*"abcd"), budget=0.4, timer=timer, seed=seed)
        return timer.samples

    assert orders(1) == orders(1) != orders(2)


def test_short_calls_are_repeated_and_long_ones_are_not() -> None:
    timer = FakeTimer({"short": 1e-4, "long": 0.5})
    found = interleave(entered("short", "long"), budget=0, timer=timer)
    assert Counter(timer.samples) == {
        ("short", 1): 1, ("short", 10): 3, ("long", 1): 4,
    }  # fmt: skip
    assert found.seconds["short"] == pytest.approx([1e-4] * 3)


@pytest.mark.parametrize(("budget", "rounds"), [(0.0, 3), (0.07, 4), (100.0, 6)])
def test_rounds_end_with_the_budget(budget: float, rounds: int) -> None:
    timer = FakeTimer({"a": 0.01, "b": 0.01})
    found = interleave(entered("a", "b"), budget=budget, most_rounds=6, timer=timer)
    assert len(found.seconds["a"]) == len(found.seconds["b"]) == rounds


def test_setup_runs_before_each_call() -> None:
    log: list[str] = []
    contestant = Contestant("a", lambda: log.append("call"), lambda: log.append("setup"))

    def timer(call: Callable[[], object], repeats: int) -> float:
        call()
        return 1.0

    interleave([contestant], budget=0, warm_calls=2, timer=timer)
    assert log == ["setup", "call"] * (2 + 1 + 3 * 2)


def test_ratios_are_taken_within_a_round() -> None:
    # The machine gets slower by the round; the ratio stays at 3.
    timings = Timings({"a": [3.0, 6.0, 12.0, 300.0], "base": [1.0, 2.0, 4.0, 100.0]})
    assert timings.ratio("a", "base") == Spread(3.0, 3.0, 3.0, 4)
    assert timings.ratio("a", "base", unit=2.5).median == pytest.approx(1.2)
    assert timings.spread("base") == Spread(3.0, 1.75, 28.0, 4)


def test_quartiles_by_hand() -> None:
    assert Spread.of([5.0, 1.0, 2.0, 4.0, 3.0]) == Spread(3.0, 2.0, 4.0, 5)
    assert Spread.of([1.0, 2.0]) == Spread(1.5, 1.25, 1.75, 2)


def test_who_cannot_run_is_a_row_with_the_reason() -> None:
    def broken() -> None:
        raise ValueError("no such thing\nand more")

    case = Case(
        {"what": "test"}, "a", 2.0,
        [*entered("a", "b"), Contestant("c", broken), Contestant("d", refused="not here")],
    )  # fmt: skip
    found = case.measure(0)
    rows = {row["name"]: row for row in found["rows"]}
    assert list(rows) == ["a", "b", "c", "d"]
    assert rows["c"]["refused"] == "ValueError: no such thing" and "seconds" not in rows["c"]
    assert rows["d"]["refused"] == "not here" and "ratio" not in rows["d"]
    assert rows["a"]["ratio"]["median"] == pytest.approx(0.5)
    assert (found["what"], found["base"], found["unit"]) == ("test", "a", 2.0)


def test_without_its_base_a_case_has_times_but_no_ratios() -> None:
    case = Case({}, "a", 1.0, [Contestant("a", refused="not here"), *entered("b")])
    (_, row) = case.measure(0)["rows"]
    assert row["seconds"]["count"] == 3 and "ratio" not in row


def test_one_thread_is_timed_by_its_processor() -> None:
    cpu = torch.device("cpu")
    with threads(1):
        one = timer_for(cpu)
    with threads(2):
        assert torch.get_num_threads() == 2 and timer_for(cpu) is not one
    assert clock_for(cpu, 1) == "processor time" and clock_for(cpu, 2) == "clock"
    assert clock_for(torch.device("cuda"), 1) == "events"
