"""Names made harmless, one function a medium: terminal, markdown, LaTeX, spreadsheet.

A name (of a file, a plugin, a dataset, a function; the message of somebody's exception) may hold
any character. Whoever writes one into a medium puts it through the function of that medium.
"""

from __future__ import annotations

import re
import unicodedata

_UNSEEN = ("Cc", "Cf", "Cs", "Zl", "Zp")
"""Categories that act on the text around them, or cannot be written: controls, directions of
writing, separators of lines, halves of a character."""
_MARKED = re.compile(
    r"[\\`*\[\]<>|~$&]|(?<!\w)_|_(?!\w)|:(?=//)|(?<=www)\.|^[#+-](?=\s)|^=+$", re.I
)
_FORMULA = tuple("=+-@＝＋－＠\t\r\n")
_ESCAPES = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def visible(text: object, *, keep: str = "") -> str:
    r"""A text in which every character that acts is shown as its escape: ESC as `\x1b`.

    Args:
        text: A text, or a value such as a path.
        keep: Characters that stay as they are.
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
    r"""A character by its number: `\u202e`."""
    number = ord(character)
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"


def one_line(text: object) -> str:
    """A message of several lines on one, and what acts in it visible."""
    return visible(" ".join(str(text).split()))


def markdown(text: object) -> str:
    """A text that markdown shows as it is: no emphasis, link, HTML, mathematics or new cell."""
    return _MARKED.sub(lambda found: f"\\{found.group()}", visible(text))


def markdown_code(text: object) -> str:
    """A text as inline code of markdown, in as many backticks as it needs."""
    shown = visible(text)
    longest = max(map(len, re.findall("`+", shown)), default=0)
    fence = "`" * (longest + 1)
    room = " " if longest or shown != shown.strip() else ""
    return f"{fence}{room}{shown}{room}{fence}"


def latex(text: object) -> str:
    r"""A text as letters within `\mathrm{...}`."""
    signs = {"\\": "\\backslash ", "~": "\\sim ", "`": "'"}
    return "".join(
        signs.get(sign) or (f"\\{sign}" if sign in "_#%&$^{}" else sign) for sign in visible(text)
    )


def spreadsheet(value: object) -> object:
    """A cell of a table of which no spreadsheet makes a formula; numbers stay numbers."""
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
