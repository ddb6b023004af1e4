"""The tables of a measured document, for a terminal of 80 columns and as markdown."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

from tabulate import tabulate

from actzoo import escaping
from actzoo.cost.operators import BASE, COPY_INTO, KNOWN, MODES
from actzoo.cost.reading import reading

WIDTH = 80
LABEL = 22
"""Columns for the name of a set."""
SET = "k = "
"""Begins a row that names the set of the rows below it."""
NONE = "–"
_LIMIT = (
    "Units of the limit: 1 copy of x forward; 2.5 with a backward pass, which reads x and the "
    "gradient and writes one."
)
_BESIDE = {"relu": "torch's own ReLU and pooling", "gelu": "torch's own GELU"}


@dataclass(frozen=True)
class CostTable:
    """One table.

    Attributes:
        title: A line above it.
        headers: Of its columns.
        rows: Its cells, as text.
        note: What to know to read it, below.
        reasons: Why something is not in it, one line each.
    """

    title: str
    headers: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str
    reasons: Sequence[str] = ()


def plain(document: dict[str, Any]) -> str:
    """Return all tables for a terminal."""
    parts = ["\n".join(map(_hung, reading(document)))]
    for section in sections(document):
        short = replace(section, rows=[_cut(row) for row in section.rows])
        lines = [section.title, _table(short, "plain"), textwrap.fill(section.note, WIDTH)]
        lines += [_hung(reason) for reason in section.reasons]
        parts.append("\n".join(lines))
    return "\n\n".join(filter(None, parts))


def markdown(document: dict[str, Any], figures: Mapping[str, str] | None = None) -> str:
    """Return all tables and where they come from, as a page.

    Args:
        document: What was measured.
        figures: By the name of each file what it shows.
    """
    parts = ["# What activations cost", _provenance(document)]
    if words := reading(document):
        parts.append("\n".join(f"- {escaping.markdown(line)}" for line in words))
    for section in sections(document):
        parts.append(f"## {escaping.markdown(section.title)}")
        parts.append(_table(_named(section), "github"))
        parts.append(section.note)
        if section.reasons:
            parts.append("\n".join(f"- {escaping.markdown(r)}" for r in section.reasons))
    for path, what in (figures or {}).items():
        parts.append(f"![{escaping.markdown(what)}]({path})")
    return "\n\n".join(parts) + "\n"


def _named(section: CostTable) -> CostTable:
    """Return the same table with its names, which are its headers and first column, as markdown."""
    rows = [[_cell(first), *rest] for first, *rest in section.rows]
    return replace(section, headers=[_cell(text) for text in section.headers], rows=rows)


def _cell(text: str) -> str:
    return escaping.markdown(text) if text.strip() else text


def sections(document: dict[str, Any]) -> Iterator[CostTable]:
    """Yield the tables that a document holds."""
    yield from _operator(document.get("operator", []))
    if "kept" in document:
        yield from _kept(document["kept"])
    if "compile" in document:
        yield _compile(document["compile"])
    yield from _functions(document.get("functions", []))
    if "certificates" in document:
        yield _certificates(document["certificates"])
    yield from _pooling(document.get("pooling", []))
    yield from _step(document.get("step", []))
    yield from _step_kept(document.get("step_kept", []))


def ratio(row: dict[str, Any] | None, to: str = "ratio") -> str:
    """Return `1.13 [1.10, 1.20]`, or a dash."""
    if row is None or to not in row:
        return NONE
    found = row[to]
    return f"{_number(found['median'])} [{_number(found['low'])}, {_number(found['high'])}]"


def _number(value: float) -> str:
    """Return three digits, but never more than two decimals."""
    if value >= 99.5:
        return f"{value:.0f}"
    return f"{value:.1f}" if value >= 9.995 else f"{value:.2f}"


def _rounds(cases: Sequence[dict[str, Any]], to: str) -> str:
    """Return of how many rounds the ratios of some cases are, and to what."""
    counts = [row["ratio"]["count"] for case in cases for row in case["rows"] if "ratio" in row]
    if not counts:
        return ""
    least, most = min(counts), max(counts)
    over = f"{least}" if least == most else f"{least} to {most}"
    return f" Median [quartiles] of the ratio to {to} in the same round, of {over} rounds."


def _operator(cases: list[dict[str, Any]]) -> Iterator[CostTable]:
    def place(case: dict[str, Any]) -> tuple[int, str, int]:
        return case["threads"], case["dtype"], case["elements"]

    for (threads, dtype, elements), of_place in groupby(sorted(cases, key=place), key=place):
        found = list(of_place)
        lines: list[list[str]] = []
        reasons: dict[str, None] = {}
        known: dict[str, list[str]] = {}
        for label, of_set in groupby(found, key=lambda case: case["set"]):
            modes = {case["mode"]: {r["name"]: r for r in case["rows"]} for case in of_set}
            lines.append([f"{SET}{label}", "", "", ""])
            for name in dict.fromkeys(name for rows in modes.values() for name in rows):
                rows = [modes.get(mode, {}).get(name) for mode in MODES]
                line = [name, *map(ratio, rows)]
                if name in (*KNOWN, COPY_INTO):
                    known.setdefault(name, line)
                elif name != BASE:
                    lines.append(line)
                    reasons |= dict.fromkeys(_reasons(f"{name} of {label}", rows))
        yield CostTable(
            f"Mixtures, {elements:,} elements, {dtype}, {_threads(threads)}",
            ("", "forward", "+ backward of x", "of x and w"),
            [*lines, ["known", "", "", ""], *known.values()],
            _LIMIT + _rounds(found, "a copy"),
            list(reasons),
        )


def _reasons(what: str, rows: Sequence[dict[str, Any] | None]) -> Iterator[str]:
    for row in rows:
        if row is not None and (text := _odd(row, row["name"])):
            yield f"{what}: {text}"


def _odd(row: dict[str, Any], asked: str) -> str:
    """Return why a row has no numbers, or what ran in place of what was asked for; else ""."""
    if row.get("refused"):
        return str(row["refused"])
    return f"ran as {row['ran']}" if asked and row["ran"] not in ("", asked) else ""


def _kept(rows: list[dict[str, Any]]) -> Iterator[CostTable]:
    for dtype, of_dtype in groupby(rows, key=lambda row: row["dtype"]):
        found = list(of_dtype)
        labels = list(dict.fromkeys(row["set"] for row in found))
        names = list(dict.fromkeys(row["name"] for row in found))
        by_place = {(row["name"], row["set"]): row for row in found}
        lines = [
            (name, *(_size(by_place.get((name, label))) for label in labels)) for name in names
        ]
        yield CostTable(
            f"Kept for the backward pass, {dtype}",
            ("", *labels),
            lines,
            "Units of x, which counts where it is kept.",
            list(
                dict.fromkeys(
                    f"{row['name']} of {row['set']}: {row['refused']}"
                    for row in found
                    if row.get("refused")
                )
            ),
        )


def _size(row: dict[str, Any] | None) -> str:
    return NONE if row is None or "ratio" not in row else f"{row['ratio']:.2f}"


def _compile(rows: list[dict[str, Any]]) -> CostTable:
    lines = [
        (row["set"], row["dtype"], row["name"], *(_seconds(row.get(s)) for s in ("cold", "warm")))
        for row in rows
    ]
    return CostTable(
        "Time to compile",
        ("k", "dtype", "", "cold (s)", "warm (s)"),
        lines,
        "The first forward and backward in a fresh process, with an empty cache and a full one.",
        [f"{row['name']} of {row['set']}: {row['refused']}" for row in rows if row.get("refused")],
    )


def _seconds(value: float | None) -> str:
    return NONE if value is None else f"{value:.1f}"


def _functions(cases: list[dict[str, Any]]) -> Iterator[CostTable]:
    def place(case: dict[str, Any]) -> tuple[int, str]:
        return case["threads"], case["dtype"]

    columns = ("auto", "eager", "torch", "timm")
    for (threads, dtype), of_place in groupby(sorted(cases, key=place), key=place):
        found = list(of_place)
        lines: list[list[str]] = []
        reasons: list[str] = []
        for case in found:
            rows = {row["name"]: row for row in case["rows"]}
            ours, *others = columns
            medians = [ratio(rows.get(name)).partition(" ")[0] for name in others]
            beside = ratio(rows.get(ours), "beside").partition(" ")[0]
            lines.append([case["function"], beside, ratio(rows.get(ours)), *medians])
        for name in (*columns, "table"):
            of_reason: dict[str, list[str]] = {}
            for case in found:
                for row in (r for r in case["rows"] if r["name"] == name):
                    if text := _odd(row, name):
                        of_reason.setdefault(text, []).append(case["function"])
            for text, those in of_reason.items():
                all_of_them = len(those) == len(found)
                reasons.append(f"{name}: {text}{'' if all_of_them else ': ' + ', '.join(those)}")
        yield CostTable(
            f"Functions alone, forward + backward, {found[0]['elements']:,} elements, {dtype}, "
            f"{_threads(threads)}",
            ("", "/ F.relu", "ours (auto)", "declared", "torch's", "timm's"),
            lines,
            f"{_LIMIT}{_rounds(found, 'a copy')} The first column is ours over F.relu, likewise.",
            reasons,
        )


def _certificates(rows: list[dict[str, Any]]) -> CostTable:
    held = [row for row in rows if not row["refused"]]
    lines = [
        [
            row["name"],
            f"{row['value_error']:.1e}",
            f"{row['slope_error']:.1e}",
            f"{1e3 * row['seconds']:.0f}",
        ]
        for row in held
    ]
    if held:
        worst = [f"{max(row[key] for row in held):.1e}" for key in ("value_error", "slope_error")]
        total = 1e3 * math.fsum(row["seconds"] for row in held)
        lines.append([f"all {len(held)}", *worst, f"{total:.0f}"])
    return CostTable(
        "Tables: certified error and time to build",
        ("", "value", "slope", "ms"),
        lines,
        "Largest errors over (-16, 16) in float32, in units of max(1, |f|) and max(1, |f'|).",
        [f"no table for {row['name']}: {row['refused']}" for row in rows if row["refused"]],
    )


def _pooling(cases: list[dict[str, Any]]) -> Iterator[CostTable]:
    for case in cases:
        rows = case["rows"]
        shape = " x ".join(map(str, case["shape"]))
        yield CostTable(
            f"Activation and 2x2 max-pooling, forward + backward, {shape}, {case['dtype']}, "
            f"{_threads(case['threads'])}",
            ("", "of x, or of x and w"),
            [(row["name"], ratio(row)) for row in rows],
            f"Units of torch's own {case['base']}.{_rounds([case], 'it')}",
            [f"{row['name']}: {row['refused']}" for row in rows if row.get("refused")],
        )


def _step(cases: list[dict[str, Any]]) -> Iterator[CostTable]:
    for case in cases:
        rows = {row["name"]: row for row in case["rows"]}
        names = [name for name in rows if not name.endswith(", phase 2")]
        lines = [(n, ratio(rows[n]), ratio(rows.get(f"{n}, phase 2"))) for n in names]
        reasons = []
        for name, row in rows.items():
            asked = name.removesuffix(", phase 2").rpartition(", ")[2]  # options have commas too
            asked = "" if asked == name else asked
            if text := _odd(row, asked):
                reasons.append(f"{name}: {text}")
        yield CostTable(
            f"Training step of {case['model']}, batch {case['batch']}, {case['dtype']}, "
            f"{_threads(case['threads'])}",
            ("", "phases 1 and 3", "phase 2"),
            lines,
            f"Units of the step of the same network with {_BESIDE[case['base']]}."
            f"{_rounds([case], 'it')}",
            reasons,
        )


def _step_kept(rows: list[dict[str, Any]]) -> Iterator[CostTable]:
    for (model, dtype), of_model in groupby(rows, key=lambda row: (row["model"], row["dtype"])):
        found = list(of_model)
        base = found[0]
        columns = {
            key: title
            for key, title in (("kept", "activations and pooling"), ("network", "whole network"))
            if key in base
        }
        beside = " What other layers keep is in the second column." if len(columns) > 1 else ""
        yield CostTable(
            f"Kept by {model} for the backward pass, batch {base['batch']}, {dtype}",
            ("", *columns.values()),
            [
                (row["name"], *(_megabytes(row.get(key), base[key]) for key in columns))
                for row in found
            ],
            "Megabytes, and in brackets in units of the first row, while the weights of mixtures "
            f"do not train. Inputs and weights count only as copies in bfloat16.{beside}",
            [f"{row['name']}: {row['refused']}" for row in found if row.get("refused")],
        )


def _megabytes(value: int | None, base: int) -> str:
    return NONE if value is None else f"{value / 1e6:.2f} ({_number(value / base)})"


def _cut(row: Sequence[str]) -> Sequence[str]:
    """Return a row for 80 columns: the members of a set may be any number of names."""
    first, *rest = row
    is_long = first.startswith(SET) and len(first) > LABEL
    return [f"{first[: LABEL - 1]}…" if is_long else first, *rest]


def _threads(count: int) -> str:
    return f"{count} thread{'' if count == 1 else 's'}"


def _table(section: CostTable, form: str) -> str:
    alignment = ["left", *["right"] * (len(section.headers) - 1)]
    text: str = tabulate(
        section.rows, section.headers, tablefmt=form, colalign=alignment, disable_numparse=True
    )
    return text


def _hung(text: str) -> str:
    return textwrap.fill(text, WIDTH, initial_indent="- ", subsequent_indent="  ")


def _provenance(document: dict[str, Any]) -> str:
    facts = document["environment"]
    commit = facts["commit"]
    known = "unknown" if commit is None else commit["id"][:12]
    if commit is not None and commit["dirty"]:
        known += " with uncommitted changes"
    versions = ", ".join(f"{name} {version}" for name, version in facts["packages"].items())
    rows = [
        ("command", escaping.markdown_code(document["command"]).replace("|", "\\|")),
        ("device", f"{facts['device']} ({facts['device_name']})"),
        ("processor", f"{facts['processor']}, {facts['capability']}, {facts['cores']} cores"),
        ("system", facts["system"]),
        ("clock", "; ".join(document["clocks"])),
        ("actzoo", f"{facts['actzoo']}, commit {known}"),
        ("versions", f"Python {facts['python']}, {versions}"),
    ]
    text: str = tabulate(rows, ("what", "value"), tablefmt="github", disable_numparse=True)
    return text
