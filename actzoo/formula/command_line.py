"""Functions that read text from a command line: sets of names, calls and values."""

from __future__ import annotations

import ast
import keyword
import re
import typing
from typing import NamedTuple

from actzoo.errors import FormulaError
from actzoo.formula.lexer import complain, read_python

Scope = typing.Literal["layer", "channel"]
Scalar = float | int | str | bool
Literal = Scalar | tuple[Scalar, ...]

MAX_TEXT = 20_000
MAX_ENTRIES = 1000
MAX_LITERAL = 400

_ASSIGNMENT = re.compile(r"\s*([A-Za-z_][A-Za-z_0-9]*)\s*=(?!=)")
_SCOPED = re.compile(r"\s*(layer|channel)\s*\((.*)\)\s*", re.DOTALL)
_CALL = re.compile(r"\s*([A-Za-z][A-Za-z_0-9-]*)\s*(?:\((.*)\))?\s*", re.DOTALL)
_PAIRS = {")": "(", "]": "["}


def split_names(text: str) -> tuple[str, ...]:
    """Split `'relu, x*sigmoid(b*x), b=1, tanh'` into its members.

    Commas inside brackets or quotes do not split, and an item `name=value` belongs to the formula
    before it: the text above has three members, the second `'x*sigmoid(b*x), b=1'`.

    Raises:
        FormulaError: On an empty item, an unbalanced bracket or an open quote.
    """
    members: list[str] = []
    for position, item in _items(text):
        if not item:
            complain(text, position, "an empty item", "write names with single commas: relu,tanh")
        if _ASSIGNMENT.match(item):
            if not members:
                complain(text, position, "a value without a formula", "write 'x*sigmoid(b*x), b=1'")
            members[-1] += f", {item}"
        else:
            members.append(item)
    return tuple(members)


class Declared(NamedTuple):
    """A formula with the declarations of its parameters.

    Attributes:
        formula: The formula text.
        values: The parameters' values.
        learnable: Which of them train: one per "layer" or one per "channel".
    """

    formula: str
    values: dict[str, float | tuple[float, ...]]
    learnable: dict[str, Scope]


def split_assignments(text: str) -> Declared:
    """Split `'x*sigmoid(b*x) + a, b=layer(1), a=0'` into the formula and its parameters.

    A value is `1` or `(1, 2)`; `layer(1)` and `channel(1)` are values that train, one for the
    whole layer or one for each channel.

    Raises:
        FormulaError: On anything that is not one formula followed by such assignments.
    """
    formula = ""
    values: dict[str, float | tuple[float, ...]] = {}
    learnable: dict[str, Scope] = {}
    for count, (position, item) in enumerate(_items(text)):
        found = _ASSIGNMENT.match(item)
        if count == 0:
            if not item or found:
                complain(text, position, "no formula", "write 'x*sigmoid(b*x), b=1'")
            formula = item
            continue
        if not found:
            complain(
                text, position, "not a value of a parameter", "after the formula write name=number"
            )
        name = found[1]
        if name in values:
            complain(text, position, f"'{name}' has two values", "give it one")
        start, source = position + found.end(), item[found.end() :]
        scoped = _SCOPED.fullmatch(source)
        if scoped:
            learnable[name] = "layer" if scoped[1] == "layer" else "channel"
            start, source = start + scoped.start(2), scoped[2]
            if "," in source:
                source = f"({source})"
        value = _literal(text, start, source)
        entries = value if isinstance(value, tuple) else (value,)
        if not entries or any(isinstance(entry, (bool, str)) for entry in entries):
            advice = f"write {name}=1 or {name}=(1, 2), or {name}=layer(1) if it trains"
            complain(text, start, f"'{name}' is not a number", advice)
        numbers = tuple(float(entry) for entry in entries)
        values[name] = numbers if isinstance(value, tuple) else numbers[0]
    return Declared(formula, values, learnable)


class Argument(NamedTuple):
    """One argument of a call, as it was typed.

    Attributes:
        key: Its name; "" for one without.
        source: The text of its value.
        position: Where the item starts in the text.
        at: Where its value starts.
    """

    key: str
    source: str
    position: int
    at: int


class Call(NamedTuple):
    """The parts of a text of the form NAME or NAME(...)."""

    name: str
    arguments: tuple[Argument, ...]


def split_call(text: str) -> Call | None:
    """Return the parts of a call, its values as text; None if the text has another form.

    Raises:
        FormulaError: The text is too long, or brackets or quotes inside do not match.
    """
    if len(text) > MAX_TEXT:
        raise FormulaError(f"a name of {len(text)} characters; at most {MAX_TEXT} are read")
    found = _CALL.fullmatch(text)
    if not found:
        return None
    name, inside = found[1], found[2]
    if inside is None or not inside.strip():
        return Call(name, ())
    arguments = []
    for at, item in _items(inside):
        start = found.start(2) + at
        key = _ASSIGNMENT.match(item)
        value = item[key.end() :] if key else item
        begin = start + (key.end() if key else 0)
        arguments.append(Argument(key[1] if key else "", value.strip(), start, begin))
    return Call(name, tuple(arguments))


def read_value(source: str) -> Literal:
    """Return the number, True, False, quoted text or tuple of these that a text holds.

    Raises:
        FormulaError: The text holds none of these.
    """
    return _literal(source, 0, source)


def parse_call(text: str) -> tuple[str, dict[str, Literal]]:
    """Split `leaky_relu(slope=0.2)` into its name and its arguments.

    Args:
        text: A name, or a name with keyword arguments that are literals: numbers, quoted text,
            True, False, or tuples of these.

    Raises:
        FormulaError: On anything else.
    """
    call = split_call(text)
    if call is None:
        complain(text, 0, "not a name", "write name or name(key=value), such as relu(slope=0.2)")
    arguments: dict[str, Literal] = {}
    for key, source, position, at in call.arguments:
        if not key:
            complain(text, position, "not an argument", "write key=value, as in slope=0.2")
        if key in arguments or keyword.iskeyword(key):
            complain(text, position, f"'{key}' cannot be given here", "give each name once")
        arguments[key] = _literal(text, at, source)
    return call.name, arguments


def _items(text: str) -> list[tuple[int, str]]:
    """Return the parts between top-level commas, stripped, each with its position."""
    if not isinstance(text, str) or len(text) > MAX_TEXT:
        raise FormulaError(f"expected text of at most {MAX_TEXT} characters")
    items: list[tuple[int, str]] = []
    opened: list[int] = []
    quote = -1
    start = 0
    for position, character in enumerate(text):
        if quote >= 0:
            if character == text[quote]:
                quote = -1
        elif character in "'\"":
            quote = position
        elif character in "([":
            opened.append(position)
        elif character in _PAIRS:
            if not opened or text[opened.pop()] != _PAIRS[character]:
                complain(text, position, "brackets do not match", "open each bracket you close")
        elif character == "," and not opened:
            items.append(_strip(text, start, position))
            start = position + 1
    if quote >= 0:
        complain(text, quote, "this quote is never closed", "add the closing quote")
    if opened:
        complain(text, opened[-1], "this bracket is never closed", "add the closing bracket")
    items.append(_strip(text, start, len(text)))
    return items


def _strip(text: str, start: int, end: int) -> tuple[int, str]:
    item = text[start:end]
    return start + len(item) - len(item.lstrip()), item.strip()


def _literal(text: str, position: int, source: str) -> Literal:
    source = source.strip()
    advice = "expected a number, True, False, quoted text or a tuple of these"
    if source[:1] in ("(", "["):
        inside = source[1:-1].strip()
        if source[-1] not in ")]" or not inside:
            complain(text, position, "not a tuple of values", advice)
        parts = _items(inside.removesuffix(","))
        if len(parts) > MAX_ENTRIES:
            complain(text, position, "too many entries", f"at most {MAX_ENTRIES} are read")
        return tuple(_scalar(text, position, part, advice) for _, part in parts)
    return _scalar(text, position, source, advice)


def _scalar(text: str, position: int, source: str, advice: str) -> Scalar:
    if len(source) > MAX_LITERAL:
        complain(text, position, "this value is too long", f"at most {MAX_LITERAL} characters")
    sign, digits = 1, source
    if source[:1] in ("+", "-"):
        sign, digits = (-1 if source[0] == "-" else 1), source[1:].lstrip()
    try:
        tree: object = read_python(digits.strip())
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        tree = None
    value = tree.value if isinstance(tree, ast.Constant) else None
    if isinstance(value, (bool, str)) and digits is source:
        return value
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        if abs(value) > 1e308:
            complain(text, position, f"{source} is too large", "expected a finite number")
        return sign * value
    complain(text, position, f"{source!a} is not a value", advice)
