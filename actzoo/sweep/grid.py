"""Hyper-parameters and controls by name, and the one check of a setting's value by its type."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Annotated, Any, Literal, get_args, get_origin

import msgspec
from msgspec import inspect

from actzoo.errors import UsageError
from actzoo.mixture import Init
from actzoo.training.build import WeightInit
from actzoo.training.controls import CONTROLS, GROUPS
from actzoo.training.protocol import OptimizerName, Phase, Schedule

LARGEST = 2**63 - 1
"""What torch, tables and other readers of the stored files can take for a whole number."""
_SEVERAL = Annotated[tuple[Any, ...], msgspec.Meta(description="a value or a list of values")]
Count = Annotated[int, msgspec.Meta(ge=1, le=LARGEST)]
Value = str | int | float
Setting = Mapping[str, Value]
"""Values of some hyper-parameters by name: `{"lr_network": 1e-3}`."""
Grid = Mapping[str, tuple[Value, ...]]
"""Values to choose from, by hyper-parameter."""

OF_PHASES: Mapping[str, Any] = {
    "lr_network": float,
    "lr_mixture": float,
    "weight_decay": float,
    "optimizer": OptimizerName,
    "schedule": Schedule,
    "epochs": int,
}
"""Hyper-parameters that stand for a field of every phase they concern, and their types."""
OF_RUN: Mapping[str, Any] = {"batch_size": Count, "init": Init, "weight_init": WeightInit}
"""Hyper-parameters that are fields of `Run`, and their types."""
TUNABLE: Mapping[str, Any] = {**OF_PHASES, **OF_RUN}
WORDS: Mapping[str, str] = {
    "lr_network": "learning rate of the network",
    "lr_mixture": "learning rate of the mixture weights",
    "init": "start of the mixture weights",
    "weight_init": "start of the network's weights",
}
"""What a reader calls a hyper-parameter, where that is not its name."""


def valid(name: str, value: Any, kind: Any, source: str = "", *, strict: bool = True) -> Any:
    """Return a value as its type has it: 1 as 1.0 where a number is expected, a list as a tuple.

    Args:
        name: The setting.
        value: What was given for it; what can be gone through counts as a list.
        kind: Its type, with limits and a description by `msgspec.Meta`.
        source: What messages put before the name: where it comes from.
        strict: Whether a text is no number.

    Raises:
        UsageError: The value is of another type, or outside the limits.
    """
    plain = isinstance(value, str | bytes | list | tuple | Mapping)
    if isinstance(value, Iterable) and not plain:
        value = tuple(value)
    if isinstance(value, float):  # NumPy's are of a type of their own
        value = float(value)
    try:
        return msgspec.convert(value, kind, strict=strict)
    except msgspec.ValidationError:
        raise UsageError(f"{source}{name} = {value!r}; expected {_in_words(kind)}") from None


def choices(table: Mapping[str, Any], source: str, *, strict: bool = True) -> Grid:
    """Return the values to choose from by hyper-parameter; one alone is a list of one.

    Raises:
        UsageError: There is no hyper-parameter of a name, or a value is not of its type.
    """
    grid: dict[str, tuple[Value, ...]] = {}
    for name, given in table.items():
        if name not in TUNABLE:
            raise UsageError(f"{source}{unknown(name, TUNABLE)}")
        values = valid(name, [given] if isinstance(given, Value) else given, _SEVERAL, source)
        grid[name] = tuple(valid(name, v, TUNABLE[name], source, strict=strict) for v in values)
    return grid


def _in_words(kind: Any) -> str:
    """Return what a value of a type is called in messages."""
    if get_origin(kind) is Literal:
        return f"one of {', '.join(word for word in get_args(kind) if word)}"
    info = inspect.type_info(kind)
    if isinstance(info, inspect.UnionType):  # with None
        info = info.types[0]
    if isinstance(info, inspect.Metadata):
        if info.extra_json_schema:
            return str(info.extra_json_schema["description"])
        info = info.type
    match info:
        case inspect.BoolType():
            return "true or false"
        case inspect.FloatType():
            return "a number"
        case inspect.IntType(ge=int() as low, le=int() as high):
            return f"a whole number, {low} or more and at most {high:,}"
        case inspect.IntType():
            return "a whole number"
    return "a text"


def phase_with(phase: Phase, setting: Setting) -> Phase:
    """Return a phase with what a setting says of it.

    `lr_mixture` is of phases that train the mixture alone, and of those that train all and have
    a rate for it.

    Raises:
        UsageError: A value is out of range.
    """
    values: dict[str, Any] = {name: v for name, v in setting.items() if name in OF_PHASES}
    network, mixture = values.pop("lr_network", None), values.pop("lr_mixture", None)
    rate = mixture if phase.trains == "mixture" else network
    if phase.lr_mixture is not None and mixture is not None:
        values["lr_mixture"] = float(mixture)
    return replace(phase, **values, lr=phase.lr if rate is None else float(rate))


def control_names(text: str) -> str:
    """Return a list of controls as it is stored: each by its own name.

    Raises:
        UsageError: There is no such control, or one is there twice.
    """
    names: list[str] = []
    for name in [part.strip() for part in text.split(",")] if text else []:
        if name not in CONTROLS and name not in GROUPS:
            raise UsageError(f"control = {text!r}; {unknown(name, (*CONTROLS, *GROUPS))}")
        names += GROUPS.get(name, (name,))
    repeated = [name for name, count in Counter(names).items() if count > 1]
    if repeated:
        raise UsageError(f"control = {text!r}: {repeated[0]!r} is there more than once")
    return ",".join(names)


def said(setting: Setting) -> str:
    """Return `lr_network=0.001, optimizer=sgd`."""
    return ", ".join(f"{name}={value}" for name, value in setting.items())


def unknown(name: str, names: Iterable[str]) -> str:
    """Return what to say of a name that is none of these: `no 'sed'; did you mean seeds? ...`."""
    names = list(names)
    near = " or ".join(difflib.get_close_matches(name, names, n=2))
    hint = f"did you mean {near}? " if near else ""
    return f"no {name!r}; {hint}there are: {', '.join(names)}"
