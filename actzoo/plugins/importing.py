"""Activations from Python code: `module:attribute`, `file.py:attribute`, or a callable.

A module class may be given with its arguments: `torch.nn:Threshold(threshold=0.1, value=0)`.
"""

from __future__ import annotations

import ast
import copy
import importlib
import inspect
import re
import sys
import warnings
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from actzoo.activation import Activation
from actzoo.errors import UnknownNameError, UsageError
from actzoo.isolation import isolated
from actzoo.sources import neighbours
from actzoo.sources.guarded import printed_to_stderr, restored

_REFERENCE = re.compile(
    r"(?P<where>.+\.py|[\w.]+):(?P<attribute>[A-Za-z_]\w*)\s*(?P<given>\(.*\))?", re.DOTALL
)
_MAX_TEXT = 20_000


class Reference(NamedTuple):
    """The parts of a reference: a module or file, a name in it, and the text of arguments."""

    where: str
    attribute: str
    given: str


def parse(text: str) -> Reference | None:
    """Return the parts of a reference; None if the text does not have that form."""
    found = _REFERENCE.fullmatch(text) if len(text) <= _MAX_TEXT else None
    return Reference(found["where"], found["attribute"], found["given"] or "") if found else None


def is_reference(text: str) -> bool:
    """Return whether a text has the form of a reference."""
    return text.isprintable() and parse(text) is not None


def load(text: str) -> Activation:
    """Return the activation of a reference, which is also its name.

    The attribute may be an Activation, a function of a tensor, or an `nn.Module` (class or
    instance) without parameters. The module's code runs.

    Raises:
        UnknownNameError: There is no such module, file or attribute.
        UsageError: The attribute is not an activation, or the module cannot be imported.
    """
    where, attribute, given = parsed(text)
    value = attribute_of(text)
    name = f"{where}:{attribute}"
    if given and isinstance(value, Activation):
        return _named(value, name).with_parameters(**_values(value, name, given))
    if given:
        value, said = _called(value, name, given)
        name = f"{name}({said})"
    return _named(value, name)


def attribute_of(text: str) -> Any:
    """Return the value that a reference leads to, of whatever type.

    Raises:
        UnknownNameError: There is no such module, file or attribute.
        UsageError: It cannot be imported.
    """
    where, attribute, _ = parsed(text)
    try:
        return getattr(source_of(text), attribute)
    except AttributeError:
        raise UnknownNameError(f"{text!r}: {where} has no {attribute!r}") from None
    except (UsageError, UnknownNameError):
        raise
    except Exception as error:  # of a module that makes its attributes when asked
        raise UsageError(f"{text!r} cannot be had: {_words(error)}") from error


def source_of(text: str) -> ModuleType:
    """Import and return the module that a reference names."""
    where = parsed(text).where
    return _from_file(where) if where.endswith(".py") else _from_name(where, text)


def parsed(text: str) -> Reference:
    """Return the parts of a reference.

    Raises:
        UsageError: The text has not that form.
    """
    found = parse(text)
    if found is None:
        raise UsageError(f"{text!r}; expected module:name or file.py:name")
    return found


def _called(value: Any, name: str, given: str) -> tuple[Any, str]:
    """Return an instance of a class for literal arguments, and the text of the arguments."""
    if not inspect.isclass(value):
        raise UsageError(
            f"{name}{given}: {name} is no class, so it takes no arguments; leave {given}"
        )
    positional, keywords = _arguments(name, given)
    try:
        names = dict(inspect.signature(value).parameters)
        inspect.signature(value).bind(*positional, **keywords)
    except TypeError as error:
        raise UsageError(f"{name}{given}: {error}; {_how(value, name)}") from None
    except ValueError:  # a class written in C has no signature
        names = {}
    if names and all(p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY) for p in names.values()):
        keywords |= dict(zip(names, positional, strict=False))  # the same text for the same value
        positional, keywords = [], {n: keywords[n] for n in names if n in keywords}
    said = [*map(repr, positional), *(f"{k}={v!r}" for k, v in keywords.items())]
    return _made(value, name, positional, keywords), ", ".join(said)


def _values(activation: Activation, name: str, given: str) -> dict[str, Any]:
    """Return the values of parameters that are given to an activation."""
    positional, keywords = _arguments(name, given)
    if positional:
        own = ", ".join(f"{n}={v!r}" for n, v in activation.parameters.items())
        example = f"write {name}({own})" if own else f"{name} has no parameters; leave {given}"
        raise UsageError(f"{name}{given}: expected values by name; {example}")
    return keywords


def _arguments(name: str, given: str) -> tuple[list[Any], dict[str, Any]]:
    """Return the literal arguments that a text in brackets holds, without names and with them."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            call = ast.parse(f"f{given}", mode="eval").body
        assert isinstance(call, ast.Call) and all(k.arg for k in call.keywords)
        positional = [ast.literal_eval(argument) for argument in call.args]
        keywords = {str(k.arg): ast.literal_eval(k.value) for k in call.keywords}
    except (SyntaxError, ValueError, TypeError, AssertionError, RecursionError, MemoryError):
        raise UsageError(
            f"the arguments of {name}{given} cannot be read; expected numbers, texts, True, False, "
            f"None or tuples of these, such as {name}(key=1)"
        ) from None
    return positional, keywords


@isolated()
def _made(kind: type, name: str, positional: Any = (), keywords: Any = None) -> Any:
    try:
        with restored():
            return kind(*positional, **(keywords or {}))
    except Exception as error:
        raise UsageError(f"{name} cannot be made: {_words(error)}; {_how(kind, name)}") from error


def _how(kind: type, name: str) -> str:
    """Return advice on how to write a class with its arguments."""
    try:
        parameters = inspect.signature(kind).parameters.values()
    except (TypeError, ValueError):
        return f"write for example '{name}(key=1)'"
    by_name = [p for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    needed = [p for p in by_name if p.default is p.empty]
    said = [f"{p.name}=..." if p.default is p.empty else f"{p.name}={p.default!r}"
            for p in needed or by_name]  # fmt: skip
    return f"write '{name}({', '.join(said)})'"


def from_callable(function: Any) -> Activation:
    """Return a function of a tensor as an activation, named after its module.

    Raises:
        UsageError: The value is not callable.
    """
    if not callable(function):
        raise UsageError(f"{function!r} is no activation: expected a name, formula or function")
    module = getattr(function, "__module__", None) or type(function).__module__
    name = getattr(function, "__qualname__", type(function).__name__)
    return _named(function, f"{module}:{name}")


def _from_name(name: str, text: str) -> ModuleType:
    try:
        if name in sys.modules:
            return sys.modules[name]
        with printed_to_stderr():
            return importlib.import_module(name)
    except KeyboardInterrupt:
        raise
    except ModuleNotFoundError as error:
        if error.name and not name.startswith(error.name):
            raise UsageError(f"{name} cannot be imported: {_words(error)}") from error
        raise UnknownNameError(
            f"{text!r}: no distribution and no module is called {name!r}"
        ) from None
    except BaseException as error:
        raise UsageError(f"{name} cannot be imported: {_words(error)}") from error


def _from_file(where: str) -> ModuleType:
    try:
        file = Path(where).resolve()
        there = file.is_file()
    except (OSError, ValueError, RuntimeError):  # it is too long, has a NUL, or links to itself
        there = False
    if not there:
        raise UnknownNameError(f"no file {where!r}; expected a path to a Python file")
    try:
        return neighbours.load(file)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # it may even call sys.exit
        raise UsageError(f"{where} cannot be imported: {_words(error)}") from error


def _words(error: BaseException) -> str:
    return neighbours.without_package(f"{type(error).__name__}: {error}")


def _try(function: Callable[..., Tensor], name: str) -> None:
    """Call a user's function once, so that an error in it gives a message of one line."""
    given = torch.linspace(-1, 1, 5)
    x = given.clone()
    try:
        with restored():
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
    if not torch.equal(x, given) or _changes(function, torch.linspace(-1e4, 1e4, 401)):
        raise UsageError(f"{name} changes its input in place; let it return a new tensor")


def _changes(function: Callable[..., Tensor], given: Tensor) -> bool:
    """Return whether a function changes its input, perhaps only for large values."""
    x = given.clone()
    try:
        with restored(), torch.no_grad():
            function(x)
    except Exception:  # it may accept only certain shapes
        return False
    return not torch.equal(x, given)


@isolated()
def _named(value: Any, name: str) -> Activation:
    if isinstance(value, Activation):
        parts = {f.name: getattr(value, f.name) for f in fields(value)}
        return Activation(**{**parts, "name": name, "aliases": ()})
    if inspect.isclass(value) and issubclass(value, nn.Module):
        value = _made(value, name)
    training: Callable[..., Tensor] | None = None
    if isinstance(value, nn.Module):
        if any(True for _ in value.parameters()):
            raise UsageError(
                f"{name} has parameters of its own; declare an Activation with `learnable`, "
                f"so that each layer gets its own"
            )
        value, training = _by_mode(value, name)
    if not callable(value):
        raise UsageError(f"{name} is {type(value).__name__}, not a function of a tensor")
    function: Callable[..., Tensor] = value
    _try(function, name)
    found = parse(name)
    label = (found.attribute if found else name.rpartition(":")[2]).replace("_", r"\_")
    return Activation(
        name=name,
        fn=function,
        training_fn=training,
        kind="elementwise" if _is_elementwise(function) else "dimwise",
        latex=rf"\mathrm{{{label}}}\left(x\right)",
        reference="given as a Python function",
    )


def _by_mode(
    module: nn.Module, name: str
) -> tuple[Callable[..., Tensor], Callable[..., Tensor] | None]:
    """Return a module as a function, and a second one if it differs in training mode."""
    try:
        quiet, loud = copy.deepcopy(module).eval(), copy.deepcopy(module).train()
    except Exception:  # a module that cannot be copied is used directly
        return module, None
    x = torch.linspace(-4, 4, 512)
    try:
        with restored(), torch.no_grad():
            same = all(
                torch.allclose(quiet(x.clone()), loud(x.clone()), rtol=0, atol=0, equal_nan=True)
                for _ in range(2)
            )
    except Exception:  # `_try` reports the error
        same = True
    return (quiet, None) if same else (quiet, loud)


@torch.no_grad()
def _is_elementwise(function: Callable[..., Tensor]) -> bool:
    """Return whether each output seems to depend on its own input alone."""
    x = torch.linspace(-4, 4, 64)
    try:
        with restored():
            whole, again, part = function(x.clone()), function(x.clone()), function(x[::7].clone())
    except Exception:  # it may accept only certain shapes
        return False
    random = not torch.allclose(whole, again, rtol=0, atol=0, equal_nan=True)
    return random or torch.allclose(whole[::7], part, rtol=1e-4, atol=1e-6, equal_nan=True)
