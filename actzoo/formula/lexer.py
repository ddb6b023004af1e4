"""The first check of a formula's text: characters, words, literals and brackets.

It runs before Python's own parser. So the parser never gets a string, a lambda, a literal of a
million digits or a thousand brackets, and an error can point at the exact character.
"""

from __future__ import annotations

import ast
import keyword
import re
import warnings
from typing import NoReturn

from actzoo.errors import FormulaError

MAX_LENGTH = 6000
MAX_BRACKETS = 60
MAX_DIGITS = 40
MAX_EXPONENT = 400
_SHOWN = 72

_TOKEN = re.compile(
    r" +|(?P<number>(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)"
    r"|(?P<word>[A-Za-z_][A-Za-z_0-9]*)|(?P<open>[(\[])|(?P<close>[)\]])|<=|>=|\*\*|[<>*/+,-]"
)
_WORDS = frozenset(("if", "else", "and", "or"))
_ADVICE = {
    "^": "a power is written with **, as in x**2",
    "|": "the absolute value is written abs(x)",
    "=": "compare with <, <=, > or >=; parameters follow after a comma: 'x*sigmoid(b*x), b=1'",
    "!": "compare with <, <=, > or >=",
    "&": "join conditions with 'and'",
    "%": "there is no remainder in a formula",
    ".": "attributes are not part of a formula",
    "'": "a formula holds no text in quotes",
    '"': "a formula holds no text in quotes",
}
_TEXTBOOK = {
    "\u00b7": "write * for a product",
    "\u00d7": "write * for a product",
    "\u2212": "write - for minus",
    "\u2013": "write - for minus",
    "\u03c0": "write pi",
    "\u03c3": "write sigmoid(x)",
    "\u03a6": "write erfc(-x/sqrt(2))/2",
    "\u221a": "write sqrt(x)",
    "\u00b2": "a power is written with **, as in x**2",
    "\u221e": "there is no infinity in a formula",
}


def read_python(text: str) -> ast.expr:
    """Return Python's syntax tree of an expression, without Python's warnings."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ast.parse(text, mode="eval").body


def complain(text: str, position: int, problem: str, advice: str) -> NoReturn:
    """Raise a FormulaError that quotes the text with a caret under one character."""
    position = max(0, min(position, len(text)))
    start = 0
    if len(text) > _SHOWN:
        start = max(0, min(position - _SHOWN // 2, len(text) - _SHOWN))
    shown = text[start : start + _SHOWN]
    before = "..." if start else ""
    after = "..." if start + _SHOWN < len(text) else ""
    printable = "".join(c if c.isprintable() else "?" for c in shown)
    caret = " " * (len(before) + position - start) + "^"
    raise FormulaError(
        f"not a formula: {problem}\n    {before}{printable}{after}\n    {caret}\n{advice}"
    )


def normalise(text: object) -> str:
    """Return the text on one line with single blanks; raise if it is not text or too long."""
    if not isinstance(text, str):
        raise FormulaError(f"a formula is text such as 'x*tanh(x)', not {type(text).__name__}")
    # The length is checked first, so that a huge text costs nothing.
    if len(text) > MAX_LENGTH:
        complain(
            text[: MAX_LENGTH + 1],
            MAX_LENGTH,
            f"it has {len(text)} characters",
            f"at most {MAX_LENGTH} are read; give a Python function instead",
        )
    line = " ".join(text.split())
    if not line:
        complain("", 0, "it is empty", "write one in x, such as 'x*tanh(x)'")
    return line


def check(text: str) -> None:
    """Raise for characters, words, literals and bracket nesting that no formula needs."""
    position = 0
    opened: list[int] = []
    match = _TOKEN.match
    while position < len(text):
        found = match(text, position)
        if found is None:
            _bad_character(text, position)
        kind = found.lastgroup
        end = found.end()
        if kind == "number":
            _check_number(text, position, end)
        elif kind == "word":
            word = text[position:end]
            if keyword.iskeyword(word) and word not in _WORDS:
                complain(
                    text,
                    position,
                    f"the word '{word}' is not part of a formula",
                    "expected numbers, x, parameters, functions and 'a if condition else b'",
                )
        elif kind == "open":
            opened.append(position)
            if len(opened) > MAX_BRACKETS:
                complain(
                    text, position, "brackets too deep", f"at most {MAX_BRACKETS} inside each other"
                )
        elif kind == "close":
            _close(text, position, opened)
        position = end
    if opened:
        complain(text, opened[-1], "this bracket is never closed", "add the closing bracket")


def _close(text: str, position: int, opened: list[int]) -> None:
    if not opened:
        complain(text, position, "this bracket was never opened", "remove it, or open it before")
    expected = ")" if text[opened.pop()] == "(" else "]"
    if text[position] != expected:
        complain(text, position, "brackets do not match", f"expected '{expected}' here")


def _check_number(text: str, start: int, end: int) -> None:
    if end < len(text) and (text[end].isalnum() or text[end] in "_."):
        complain(
            text,
            end,
            "a number runs into what follows",
            "write * for a product, as in 2*x; numbers are decimal, such as 0.5 or 1e-3",
        )
    mantissa, _, exponent = text[start:end].lower().partition("e")
    if len(mantissa) > MAX_DIGITS or len(exponent) > 5 or abs(int(exponent or 0)) > MAX_EXPONENT:
        complain(
            text,
            start,
            "the number is too long or too large",
            f"at most {MAX_DIGITS} digits and exponents up to {MAX_EXPONENT}",
        )


def _bad_character(text: str, position: int) -> NoReturn:
    character = text[position]
    advice = _ADVICE.get(character) or _TEXTBOOK.get(character)
    if advice is None:
        advice = "expected numbers, x, parameters, + - * / **, ( ), < <= > >= and functions"
    complain(text, position, f"unexpected character {character!a}", advice)
