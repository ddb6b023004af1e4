"""pytest-benchmark's suites: `pytest benchmarks -n 0 --benchmark-enable`.

pytest-benchmark runs one contestant after the other, so its times are not to be divided by one
another: the number to read is `ratio` in the extra info, from the interleaved runner of
`actzoo speed`, which ran the same contestants in turn.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import Any

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from actzoo.cost.case import Case
from actzoo.cost.runner import Timings, interleave
from actzoo.environment import environment, threads

SECONDS = 0.2
"""Of the interleaved rounds of each case."""


def pytest_benchmark_update_machine_info(config: pytest.Config, machine_info: Any) -> None:
    machine_info["actzoo"] = environment()


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    with threads(1):
        yield


@pytest.fixture
def run(benchmark: BenchmarkFixture) -> Callable[[Case, str, dict[int, Timings]], None]:
    """Run one contestant of a case under pytest-benchmark, with its interleaved ratio beside."""

    def run(case: Case, name: str, timings: dict[int, Timings]) -> None:
        contestant = next(c for c in case.contestants if c.name == name)
        if contestant.refused:
            pytest.skip(contestant.refused)
        if id(case) not in timings:  # once for all contestants of the case
            timings[id(case)] = interleave(case.contestants, budget=SECONDS)
        found = timings[id(case)]
        if name in found.refused:
            pytest.skip(found.refused[name])
        ratio = asdict(found.ratio(name, case.base, case.unit))
        benchmark.extra_info.update(
            {**case.facts, "base": case.base, "ratio": ratio, "ran": contestant.ran}
        )
        benchmark.group = ", ".join(f"{k} {v}" for k, v in case.facts.items() if k != "members")
        contestant.setup()
        benchmark.pedantic(contestant.call, rounds=5, warmup_rounds=1)

    return run


@pytest.fixture(scope="session")
def timings() -> dict[int, Timings]:
    return {}
