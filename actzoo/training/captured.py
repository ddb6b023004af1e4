"""What a function carries beside its source: its closure, defaults, bound and partial arguments."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np
import torch

from actzoo.activation import Activation
from actzoo.errors import UsageError


@dataclass
class Captured:
    """What was found in a function.

    Attributes:
        values: Each value as a text that tells it from others.
        functions: The function, and those that it carries.
    """

    values: list[str] = field(default_factory=list)
    functions: list[Callable[..., Any]] = field(default_factory=list)


def carried(function: Callable[..., Any], name: str, *, strict: bool) -> Captured:
    """Return what a function carries.

    Args:
        function: The function.
        name: What messages call it.
        strict: Whether a value that no text can tell from others is refused.

    Raises:
        UsageError: It carries such a value.
    """
    found = Captured()
    seen: set[int] = set()

    def visit(value: Any, where: str) -> None:
        if id(value) in seen:
            return
        text = _text(value)
        if text is not None:
            found.values.append(f"{where}={text}")
            return
        seen.add(id(value))
        if callable(value) and not isinstance(value, type):
            found.functions.append(value)
        parts = list(_parts(value))
        if not parts and strict and not _is_plain_code(value):
            raise UsageError(
                f"{name} holds {value!r} in {where}, which cannot be told from another of its "
                f"kind in an older result; define the function in a module or file"
            )
        for key, part in parts:
            visit(part, f"{where}.{key}")

    visit(function, "f")
    return found


def _text(value: Any) -> str | None:
    if isinstance(value, torch.Tensor):
        numbers = value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()
        about = f"{tuple(value.shape)} {value.dtype} "
        return about + hashlib.sha256(numbers.tobytes()).hexdigest()
    if isinstance(value, np.ndarray) and value.dtype != object:
        return f"{value.shape} {value.dtype} {hashlib.sha256(value.tobytes()).hexdigest()}"
    plain = (int, float, complex, str, bytes, np.generic, torch.dtype, torch.device, torch.Size)
    if value is None or value is Ellipsis or isinstance(value, plain):
        return repr(value)
    if isinstance(value, ModuleType):
        return value.__name__
    if isinstance(value, Activation):
        return repr((value.name, sorted(value.parameters.items())))
    return f"{value.__module__}.{value.__qualname__}" if isinstance(value, type) else None


def _parts(value: Any) -> Iterator[tuple[str, Any]]:
    """Yield the values that one value holds, each with a name."""
    if isinstance(value, functools.partial):
        yield from (("of", value.func), ("args", value.args), ("keywords", value.keywords))
    elif isinstance(value, MethodType):
        yield from (("of", value.__func__), ("self", value.__self__))
    elif isinstance(value, FunctionType):
        yield from _numbered(value.__defaults__ or (), "default")
        yield from (value.__kwdefaults__ or {}).items()
        for name, cell in zip(value.__code__.co_freevars, value.__closure__ or (), strict=True):
            try:
                yield name, cell.cell_contents
            except ValueError:  # not yet set
                yield name, None
        if hasattr(value, "__wrapped__"):
            yield "wrapped", value.__wrapped__
    elif isinstance(value, dict):
        yield from ((repr(key), part) for key, part in value.items())
    elif isinstance(value, list | tuple):
        yield from _numbered(value, "item")
    elif isinstance(value, set | frozenset):
        yield from _numbered(sorted(value, key=repr), "item")
    else:
        yield from getattr(value, "__dict__", {}).items()


def _numbered(values: Any, word: str) -> Iterator[tuple[str, Any]]:
    """Yield values with names made of a word and their number."""
    return ((f"{word} {number}", value) for number, value in enumerate(values))


def _is_plain_code(value: Any) -> bool:
    """Return whether nothing is missing where nothing was found: code, or an empty container."""
    code = (FunctionType, BuiltinFunctionType, dict, list, tuple, set, frozenset)
    return isinstance(value, code) or type(value).__module__.split(".")[0] == "torch"
