"""Models from where they are written: `module:NAME`, `file.py:NAME`, a callable."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from torch import nn

from actzoo.errors import ActzooError, UsageError
from actzoo.formula import parse_call
from actzoo.models.architectures import LIBRARIES, of_library
from actzoo.models.model import Model
from actzoo.plugins import importing


def load(text: str) -> tuple[Model, dict[str, Any]]:
    """Return the model that a reference leads to, and the options in its brackets.

    `torchvision:NAME` and `timm:NAME` are networks of these libraries. Otherwise the attribute
    may be a Model, or a function or class that makes an `nn.Module`.

    Raises:
        UnknownNameError: There is no such module, file or attribute.
        UsageError: What is there makes no module, or cannot be imported.
    """
    where, attribute, given = importing.parsed(text)
    options = parse_call(f"{attribute}{given}")[1] if given else {}
    if where in LIBRARIES:
        return of_library(where, attribute), options
    value = importing.attribute_of(text)
    return of_value(value, f"{where}:{attribute}"), options


def of_value(value: Any, name: str = "") -> Model:
    """Return a model, or what makes one, as a model.

    Args:
        value: A Model, or a function or class that makes an `nn.Module`.
        name: What it is called; by default after where it is defined.

    Raises:
        UsageError: It is neither.
    """
    if isinstance(value, Model):
        return replace(value, name=name) if name else value
    if isinstance(value, nn.Module):
        raise UsageError(
            f"{name or type(value).__name__} is a module that is made already, and each seed needs "
            f"one of its own; give the class or a function that makes it"
        )
    if not callable(value):
        raise UsageError(
            f"{name or repr(value)} is {type(value).__name__}, no model; expected an actzoo.Model, "
            f"or a function or class that makes an nn.Module"
        )
    module = getattr(value, "__module__", None) or type(value).__module__
    own = getattr(value, "__qualname__", type(value).__qualname__)
    try:
        inspect.signature(value)
    except (TypeError, ValueError):
        raise UsageError(
            f"{name or own} does not say which arguments it takes; give a function of Python"
        ) from None
    return Model(name=name or f"{module}:{own}", make=value)


def findable(model: Model) -> bool:
    """Return whether another process would find the same model by its name."""
    if model.name.startswith("__main__:"):
        return False
    try:
        found, _ = load(model.name)
    except ActzooError:
        return False
    same: tuple[Callable[..., Any], ...] = (found.make, model.make)
    return same[0] is same[1] and dict(found.options or {}) == dict(model.options or {})
