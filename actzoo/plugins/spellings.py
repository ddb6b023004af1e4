"""Calls in torch's spelling: `LeakyReLU(0.2)`, `gelu(approximate=tanh)`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from actzoo.errors import FormulaError, UsageError
from actzoo.formula import Call, read_value
from actzoo.formula.functions import ALIASES, FUNCTIONS

_PREFIX = re.compile(
    r"(?:torch\.nn\.functional|torch\.nn|torch|nn\.functional|nn|F)\.(?=[A-Za-z]\w*\s*(?:\(|$))"
)
_WORD = re.compile(r"[A-Za-z_]\w*")


@dataclass(frozen=True)
class _Torchs:
    """The arguments of torch's function, in its order.

    Attributes:
        order: Their names.
        own: The names of those that have another name in actzoo.
        same: Those that actzoo lacks, with the values at which both functions are the same.
        instead: Pairs (name, value) that mean another function of actzoo.
    """

    order: tuple[str, ...]
    own: Mapping[str, str] = field(default_factory=dict)
    same: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    instead: Mapping[tuple[str, Any], str] = field(default_factory=dict)


_INPLACE = {"inplace": (True, False)}


def _inplace(*order: str, **own: str) -> _Torchs:
    return _Torchs((*order, "inplace"), own, _INPLACE)


TORCH: Mapping[str, _Torchs] = {
    **dict.fromkeys(
        ("relu", "relu6", "selu", "silu", "mish", "hard_swish", "hard_sigmoid"), _inplace()
    ),
    "elu": _inplace("alpha"),
    "celu": _inplace("alpha"),
    "leaky_relu": _inplace("negative_slope", negative_slope="slope"),
    "rrelu": _Torchs(("lower", "upper", "inplace"), {}, _INPLACE),
    "hardtanh": _Torchs(
        ("min_val", "max_val", "inplace"),
        {"min_val": "low", "max_val": "high", "min_value": "low", "max_value": "high"},
        _INPLACE,
    ),
    "prelu": _Torchs(("num_parameters", "init"), {"init": "slope"}, {"num_parameters": ()}),
    "softplus": _Torchs(("beta", "threshold"), {}, {"threshold": (20,)}),
    "softshrink": _Torchs(("lambd",), {"lambd": "threshold"}),
    "hardshrink": _Torchs(("lambd",), {"lambd": "threshold"}),
    "gelu": _Torchs(
        ("approximate",),
        {},
        {"approximate": ("none",)},
        {("approximate", "tanh"): "gelu_tanh"},
    ),
}
"""The arguments of torch's functions, by actzoo's names."""

_ADVICE = {
    "num_parameters": "it learns one for each channel; say their number in module(channels=...)",
    "threshold": "it has no threshold; leave it out",
    "approximate": "expected none or tanh",
    "inplace": "expected True or False; it makes no difference here",
}


def without_torch(text: str) -> str:
    """Return the text without a prefix such as `torch.nn.`."""
    return text[found.end() :] if (found := _PREFIX.match(text)) else text


def is_formula(call: Call) -> bool:
    """Return whether a text of the form NAME(...) is a formula, as `tanh(2*x)` is."""
    return _is_function(call) and not _is_spelt_out(call)


def may_be_formula(call: Call) -> bool:
    """Return whether to read a text as a formula when its NAME is not an activation."""
    return _is_function(call) or not _is_spelt_out(call)


def _is_function(call: Call) -> bool:
    return call.name in FUNCTIONS or call.name in ALIASES


def _is_spelt_out(call: Call) -> bool:
    """Return whether each argument has a name or is a literal."""
    return all(a.key or _read(a.source) is not None for a in call.arguments)


def own_values(
    name: str, parameters: Mapping[str, Any], call: Call
) -> tuple[str, dict[str, float | tuple[float, ...]]]:
    """Return the function that a call means, and its values by actzoo's parameter names.

    Args:
        name: The name of the called function.
        parameters: Its declared parameters.
        call: The call as it was typed.

    Raises:
        UsageError: An argument is not a literal, or the function does not have it.
    """
    torchs = TORCH.get(name, _Torchs(()))
    order = torchs.order or tuple(parameters)
    values: dict[str, float | tuple[float, ...]] = {}
    example = f"{name}({', '.join(f'{n}={v!r}' for n, v in parameters.items())})"
    given: set[str] = set()
    for position, argument in enumerate(call.arguments):
        if not argument.key and position >= len(order):
            takes = f"takes {len(order)} values" if order else "takes no values"
            raise UsageError(f"{name} {takes}, not {argument.source}; write {example}")
        typed = argument.key or order[position]
        own = typed if typed in parameters else torchs.own.get(typed, typed)
        if own in given:
            raise UsageError(f"{name}: {own} is given twice; write {example}")
        given.add(own)
        value = _read(argument.source)
        if value is None and _WORD.fullmatch(argument.source):
            value = argument.source
        if typed not in parameters and (typed, value) in torchs.instead:
            name = torchs.instead[typed, value]
            continue
        if typed not in parameters and typed in torchs.same:
            if value not in torchs.same[typed]:
                ours = f"; ours is {example}" if parameters else ""
                raise UsageError(f"{name}: {typed}={argument.source}; {_ADVICE[typed]}{ours}")
            continue
        if not _is_numeric(value):
            raise UsageError(
                f"{name}: {own}={argument.source} is not a finite number"
                + (f"; write {example}" if parameters else f"; {name} has no parameters")
            )
        values[own] = value
    return name, values


def _read(source: str) -> Any:
    try:
        return read_value(source)
    except FormulaError:
        return None


def _is_numeric(value: Any) -> bool:
    parts = value if isinstance(value, tuple) else (value,)
    return all(isinstance(p, int | float) and not isinstance(p, bool) for p in parts)
