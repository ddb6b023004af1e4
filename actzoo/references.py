"""Activations from where they are written: `module:attribute`, `file.py:attribute`, a callable."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import inspect
import re
import sys
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from actzoo.activation import Activation
from actzoo.errors import UnknownNameError, UsageError

FROM_FILE = "actzoo_file_"
"""How the names of modules begin that come from a file by its path."""
_REFERENCE = re.compile(r"(?P<where>[^:]*(?:\.py|[\w.]+)):(?P<attribute>[A-Za-z_]\w*)")


def is_reference(text: str) -> bool:
    """Whether a text has the form of a reference."""
    return text.isprintable() and _REFERENCE.fullmatch(text) is not None


def load(text: str) -> Activation:
    """The activation that a reference leads to; its name is the reference.

    The attribute may be an Activation, a function of a tensor, or an `nn.Module` (class or
    instance) without parameters of its own. The module's code is run.

    Raises:
        UnknownNameError: There is no such module, file or attribute.
        UsageError: What is there is no activation, or cannot be imported.
    """
    module, attribute = source_of(text), text.rpartition(":")[2]
    if not hasattr(module, attribute):
        raise UnknownNameError(f"{text!r}: {text.rpartition(':')[0]} has no {attribute!r}")
    return _named(getattr(module, attribute), text)


def source_of(text: str) -> ModuleType:
    """The module that a reference names, imported."""
    where = text.rpartition(":")[0]
    return _from_file(Path(where)) if where.endswith(".py") else _from_name(where, text)


def from_callable(function: Any) -> Activation:
    """A function of a tensor as an activation, named after where it is defined.

    Raises:
        UsageError: It is not callable.
    """
    if not callable(function):
        raise UsageError(f"{function!r} is no activation: expected a name, formula or function")
    module = getattr(function, "__module__", None) or type(function).__module__
    name = getattr(function, "__qualname__", type(function).__name__)
    return _named(function, f"{module}:{name}")


def _from_name(name: str, text: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name and not name.startswith(error.name):
            raise UsageError(f"{name} cannot be imported: {_words(error)}") from error
        raise UnknownNameError(
            f"{text!r}: no distribution and no module is called {name!r}"
        ) from None
    except Exception as error:
        raise UsageError(f"{name} cannot be imported: {_words(error)}") from error


def _from_file(path: Path) -> ModuleType:
    full = path.resolve()
    if not full.is_file():
        raise UnknownNameError(f"no file {str(path)!r}; expected a path to a Python file")
    # One name for each place and content, so that an edited file is read again.
    digest = hashlib.sha256(str(full).encode() + full.read_bytes()).hexdigest()[:12]
    name = f"{FROM_FILE}{full.stem}_{digest}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, full)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException as error:
        del sys.modules[name]
        if isinstance(error, Exception):
            raise UsageError(f"{path} cannot be imported: {_words(error)}") from error
        raise
    return module


def _words(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


def _try(function: Callable[..., Tensor], name: str) -> None:
    """Call a user's function once, so that what is wrong with it is said in one line."""
    given = torch.linspace(-1, 1, 5)
    x = given.clone()
    try:
        y = function(x)
    except Exception as error:
        raise UsageError(f"{name} failed on a tensor of 5 numbers: {_words(error)}") from error
    if not isinstance(y, Tensor) or y.shape != x.shape:
        got = f"a tensor of shape {tuple(y.shape)}" if isinstance(y, Tensor) else repr(y)
        raise UsageError(f"{name} made {got} of a tensor of shape (5,); expected the same shape")
    if y.isnan().all():
        raise UsageError(
            f"{name} made nan of all of {given.tolist()}; a network cannot train on it"
        )
    if not torch.equal(x, given):
        raise UsageError(f"{name} changes its input in place; let it return a new tensor")


def _named(value: Any, name: str) -> Activation:
    if isinstance(value, Activation):
        parts = {f.name: getattr(value, f.name) for f in fields(value)}
        return Activation(**{**parts, "name": name, "aliases": ()})
    if inspect.isclass(value) and issubclass(value, nn.Module):
        value = value()
    if isinstance(value, nn.Module) and any(True for _ in value.parameters()):
        raise UsageError(
            f"{name} has parameters of its own; declare an Activation with `learnable`, "
            f"so that each layer gets its own"
        )
    if not callable(value):
        raise UsageError(f"{name} is {type(value).__name__}, not a function of a tensor")
    function: Callable[..., Tensor] = value
    _try(function, name)
    label = name.rpartition(":")[2].replace("_", r"\_")
    return Activation(
        name=name,
        fn=function,
        latex=rf"\mathrm{{{label}}}\left(x\right)",
        reference="given as a Python function",
    )
