"""Escaping of names, with one function for each medium: terminal, markdown, LaTeX, spreadsheet.

A name (of a file, a plugin, a dataset, a function; the message of an exception) may contain any
character. Code that writes a name into a medium calls the function of that medium.
"""

from __future__ import annotations

import re
import unicodedata

_UNSEEN = ("Cc", "Cf", "Cs", "Zl", "Zp")
"""Categories of characters that change the text around them or cannot be written: controls,
writing directions, line separators, lone surrogates."""
_MARKED = re.compile(
    r"[\\`*\[\]<>|~$&]|(?<!\w)_|_(?!\w)|:(?=//)|(?<=www)\.|^[#+-](?=\s)|^=+$", re.I
)
_FORMULA = tuple("=+-@＝＋－＠\t\r\n")
_ESCAPES = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def visible(text: object, *, keep: str = "") -> str:
    r"""Return a text with control and similar characters as escapes: ESC as `\x1b`.

    Args:
        text: A text, or a value such as a path.
        keep: Characters that are not escaped.
    """
    text = str(text)
    if text.isascii() and text.isprintable():
        return text
    return "".join(c if c in keep else _seen(c) for c in text)


def _seen(character: str) -> str:
    if unicodedata.category(character) not in _UNSEEN:
        return character
    if character in _ESCAPES:
        return _ESCAPES[character]
    number = ord(character)
    return f"\\x{number:02x}" if number < 0x100 else coded(character)


def coded(character: str) -> str:
    r"""Return the escape of a character by its number: `\u202e`."""
    number = ord(character)
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"


def one_line(text: object) -> str:
    """Return a message on one line, with control characters escaped."""
    return visible(" ".join(str(text).split()))


def markdown(text: object) -> str:
    """Return a text escaped for markdown: no emphasis, link, HTML, mathematics or table cell."""
    return _MARKED.sub(lambda found: f"\\{found.group()}", visible(text))


def markdown_code(text: object) -> str:
    """Return a text as inline code of markdown, with as many backticks as it needs."""
    shown = visible(text)
    longest = max(map(len, re.findall("`+", shown)), default=0)
    fence = "`" * (longest + 1)
    room = " " if longest or shown != shown.strip() else ""
    return f"{fence}{room}{shown}{room}{fence}"


def latex(text: object) -> str:
    r"""Return a text as letters within `\mathrm{...}`."""
    signs = {"\\": "\\backslash ", "~": "\\sim ", "`": "'"}
    return "".join(
        signs.get(sign) or (f"\\{sign}" if sign in "_#%&$^{}" else sign) for sign in visible(text)
    )


def spreadsheet(value: object) -> object:
    """Return a table cell that no spreadsheet reads as a formula; numbers do not change."""
    if not isinstance(value, str):
        return value
    return (
        f"'{visible(value)}"
        if value.startswith(_FORMULA) and not _number(value)
        else (visible(value))
    )


def _number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
