"""Hyper-parameters by name: which there are, what type each has, and phases that have them."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from actzoo.errors import UsageError
from actzoo.training.protocol import Phase

Value = str | int | float
Setting = Mapping[str, Value]
"""Values of some hyper-parameters by name: `{"lr_network": 1e-3}`."""
Grid = Mapping[str, tuple[Value, ...]]
"""Values to choose from, by hyper-parameter."""

OF_PHASES: Mapping[str, type] = {
    "lr_network": float,
    "lr_mixture": float,
    "weight_decay": float,
    "optimizer": str,
    "schedule": str,
    "epochs": int,
}
"""Hyper-parameters that stand for a field of every phase they concern, and their types."""
OF_RUN: Mapping[str, type] = {"batch_size": int, "init": str, "weight_init": str}
"""Hyper-parameters that are fields of `Run`, and their types."""
TUNABLE: Mapping[str, type] = {**OF_PHASES, **OF_RUN}

WORDS: Mapping[type, str] = {
    str: "a text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
}
"""What a value of a type is called in messages."""


def fits(value: object, kind: type) -> bool:
    """Whether a value is of a type: a whole number is a number, true is neither."""
    return isinstance(value, (int, float) if kind is float else kind) and (
        kind is bool or not isinstance(value, bool)
    )


def check(setting: Setting) -> None:
    """Look at the types of values.

    Raises:
        UsageError: One is of another type than its hyper-parameter.
    """
    for name, value in setting.items():
        if not fits(value, TUNABLE[name]):
            raise UsageError(f"{name}={value!r}; expected {WORDS[TUNABLE[name]]}")


def typed(name: str, values: Iterable[Value]) -> tuple[Value, ...]:
    """Values of a hyper-parameter as one type, so that 1 and 1.0 are one cell."""
    number = TUNABLE.get(name) is float
    return tuple(float(v) if number and fits(v, float) else v for v in values)


def phase_with(phase: Phase, setting: Setting) -> Phase:
    """A phase with what a setting says of it: `lr_mixture` of phases that train the mixture alone.

    Raises:
        UsageError: A value is out of range.
    """
    values: dict[str, Any] = {name: v for name, v in setting.items() if name in OF_PHASES}
    network, mixture = values.pop("lr_network", None), values.pop("lr_mixture", None)
    rate = mixture if phase.trains == "mixture" else network
    return replace(phase, **values, lr=phase.lr if rate is None else float(rate))


def said(setting: Setting) -> str:
    """`lr_network=0.001, optimizer=sgd`."""
    return ", ".join(f"{name}={value}" for name, value in setting.items())


def unknown(name: str, names: Iterable[str]) -> str:
    """What to say of a name that is none of these: `no 'sed'; did you mean seeds? ...`."""
    names = list(names)
    near = " or ".join(difflib.get_close_matches(name, names, n=2))
    hint = f"did you mean {near}? " if near else ""
    return f"no {name!r}; {hint}there are: {', '.join(names)}"
