"""All tables of one run, as one document."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from actzoo.cost import functions, operators, pooling, step
from actzoo.cost.case import Planned, Show
from actzoo.cost.compiling import compile_times
from actzoo.cost.model_memory import model_memory
from actzoo.cost.runner import clock_for
from actzoo.cost.saved_memory import kept
from actzoo.cost.settings import Settings
from actzoo.environment import environment
from actzoo.isolation import isolated

FORMAT = 2
"""Version of the document; raised by hand when its form changes."""
STEP_SHARE = 10
"""A training step takes so many times as long as the rounds of another case may."""


def measure(settings: Settings, command: str, show: Show = lambda *_: None) -> dict[str, Any]:
    """Measure everything that the settings ask for.

    Args:
        settings: What.
        command: How it was asked for.
        show: Told of each case before it runs.

    Returns:
        Plain JSON values: `environment` and `settings` for provenance; under `operator`,
        `functions`, `pooling` and `step` one entry a case, with one row a contestant, either
        `seconds` and `ratio` (median, low and high quartile, count; for functions also `beside`,
        over F.relu) or `refused`; under `kept`, `certificates`, `compile` and `step_kept`
        flat rows. A table that was not asked for is absent.
    """
    document: dict[str, Any] = {
        "format": FORMAT,
        "command": command,
        "environment": environment(settings.device, max(settings.threads)),
        "clocks": [
            f"{clock_for(settings.device, n)} with {n} thread{'' if n == 1 else 's'}"
            for n in settings.threads
        ],
        "settings": {
            "tables": list(settings.tables),
            "models": list(settings.models),
            "sets": {s.label: s.names for s in (*settings.sets, *settings.step_sets)},
            "sizes": list(settings.sizes),
            "dtypes": list(settings.dtypes),
            "threads": list(settings.threads),
            "seconds": settings.seconds,
            "compile_up_to": settings.compile_up_to,
        },
    }
    if "operator" in settings.tables:
        document["operator"] = _run(
            "mixtures", operators.cases(settings), settings, settings.seconds, show
        )
        document["kept"] = [
            row
            for dtype in settings.dtypes
            for chosen in settings.sets
            for row in kept(settings, dtype, chosen)
        ]
        if settings.compile_times:
            document["compile"] = _compile(settings, show)
    if "functions" in settings.tables:
        document["functions"] = _run(
            "functions", functions.cases(settings), settings, settings.seconds / 2, show
        )
        document["certificates"] = functions.certificates()
    if "pooling" in settings.tables:
        document["pooling"] = _run(
            "pooling", pooling.cases(settings), settings, 2 * settings.seconds, show
        )
    if "step" in settings.tables:
        seconds = STEP_SHARE * settings.seconds
        document["step"] = _run(
            "training steps", step.cases(settings), settings, seconds, show, step.WARM
        )
        with isolated(1):
            document["step_kept"] = [
                row
                for model in settings.models
                for dtype in step.dtypes(settings)
                for row in model_memory(model, settings.step_sets, dtype, settings.device)
            ]
    return document


def _run(
    what: str,
    planned: Iterable[Planned],
    settings: Settings,
    seconds: float,
    show: Show,
    warm_calls: int = 1,
) -> list[dict[str, Any]]:
    """Return each case, made and measured at its own number of threads."""
    found, all_planned = [], list(planned)
    for number, (count, make) in enumerate(all_planned):
        show(what, number, len(all_planned))
        with isolated(count), _unsaid():
            found.append(make().measure(seconds, device=settings.device, warm_calls=warm_calls))
    show(what, len(all_planned), len(all_planned))
    return found


@contextmanager
def _unsaid() -> Iterator[None]:
    """Yield where nvcc is found and no GPU, torch says so on stderr when it first compiles."""
    logger = logging.getLogger("torch.utils.cpp_extension")
    before, logger.disabled = logger.disabled, True
    try:
        yield
    finally:
        logger.disabled = before


def _compile(settings: Settings, show: Show) -> list[dict[str, Any]]:
    wanted = [
        (dtype, chosen)
        for dtype in settings.dtypes
        for chosen in settings.sets
        if len(chosen.activations) <= settings.compile_up_to
    ]
    rows = []
    for number, (dtype, chosen) in enumerate(wanted):
        show("compile times", number, len(wanted))
        rows += compile_times(settings, dtype, chosen)
    show("compile times", len(wanted), len(wanted))
    return rows
