"""How numbers and tables are written."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from tabulate import tabulate

from actzoo.escaping import markdown_code
from actzoo.report.statistics import Combined, Interval
from actzoo.tasks.objective import Metric

UNKNOWN = "–"
AGAIN = "`actzoo report` writes it again"
"""Words that stand in every report, and that tell one from somebody else's report.md."""
_BARE_PIPE = re.compile(r"(?<!\\)((?:\\\\)*)\|")


def table(
    headers: Sequence[str], rows: Iterable[Sequence[Any]], left: int = 1, words: int = 0
) -> str:
    """Return a GitHub table: the first columns and the last `words` left, numbers right."""
    lines = [[_in_cell(str(cell)) for cell in row] for row in rows]
    if not lines:
        return "Nothing yet."
    last = len(headers) - words
    alignment = ["left" if n < left or n >= last else "right" for n in range(len(headers))]
    text: str = tabulate(
        lines,
        list(map(_in_cell, headers)),
        tablefmt="github",
        colalign=alignment,
        disable_numparse=True,
    )
    return text


def _in_cell(text: str) -> str:
    """Return a cell's text with its upright lines escaped, which end a cell even within code."""
    return _BARE_PIPE.sub(r"\1\\|", text)


def code(name: str) -> str:
    """Return a name as it would be typed; of a shortened or controlled set too."""
    return markdown_code(name)


def number(value: float, decimals: int = 2) -> str:
    """Return a number with that many decimals; a dash where there is none."""
    if not math.isfinite(value):
        return UNKNOWN
    text = f"{value:.{decimals}f}"
    return text.replace("-", "−") if float(text) else text.replace("-", "")


def decimals_for(metric: Metric, values: Iterable[float]) -> int:
    """Return decimals to write values with: 2 of a percentage, else four digits of the largest."""
    sizes = [abs(value) for value in values if math.isfinite(value) and value]
    if metric.unit == "%" or not sizes:
        return 2
    return min(12, max(0, 3 - math.floor(math.log10(max(sizes)))))


def detectable(difference: float, metric: Metric, decimals: int = 2) -> str:
    """Return a size of a difference between scores; none between percentages is over 100 points."""
    return "over 100" if metric.unit == "%" and difference > 100 else number(difference, decimals)


def signed(value: float, decimals: int = 2) -> str:
    """Return a number with its sign."""
    text = number(value, decimals)
    plus = math.isfinite(value) and value > 0 and float(f"{value:.{decimals}f}") > 0
    return f"+{text}" if plus else text


def significant(value: float, digits: int = 3) -> str:
    """Return a number of any size with that many digits."""
    return f"{value:.{digits}g}".replace("-", "−") if math.isfinite(value) else UNKNOWN


def p_value(value: float) -> str:
    """Return a p-value."""
    if not math.isfinite(value):
        return UNKNOWN
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def percent(share: float, decimals: int = 1) -> str:
    """Return a share as a percentage."""
    return f"{number(100 * share, decimals)}%" if math.isfinite(share) else UNKNOWN


def with_half(interval: Interval, decimals: int = 2) -> str:
    """Return a mean with half its interval's width."""
    if math.isfinite(interval.half):
        return f"{number(interval.mean, decimals)} ± {number(interval.half, decimals)}"
    same = " (every seed the same)" if interval.n > 1 else ""
    return number(interval.mean, decimals) + same


def ends(interval: Interval | Combined, decimals: int = 2) -> str:
    """Return the ends of an interval."""
    if not math.isfinite(interval.half):
        return UNKNOWN
    return f"[{signed(interval.low, decimals)}, {signed(interval.high, decimals)}]"


def spread(values: Any, decimals: int = 4) -> str:
    """Mean and, from two values on, their standard deviation."""
    x = np.asarray(values, dtype=float)
    x = x[np.isfinite(x)]
    if not x.size:
        return UNKNOWN
    mean = number(float(x.mean()), decimals)
    return f"{mean} ± {number(float(x.std(ddof=1)), decimals)}" if x.size > 1 else mean


def duration(seconds: float) -> str:
    """Return a time for people."""
    if seconds < 90:
        return f"{seconds:.1f} s"
    if seconds < 5400:
        return f"{seconds / 60:.1f} min"
    return f"{seconds / 3600:.1f} h"


def listed(words: Sequence[str]) -> str:
    """Return `a`, `a and b`, `a, b and c`."""
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def plural(count: int, noun: str) -> str:
    """Return `1 seed`, `3 seeds`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
