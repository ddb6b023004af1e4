"""The tables, from a document written by hand."""

from __future__ import annotations

import re
from typing import Any

import pytest

from actzoo.cost.text import markdown, plain, ratio


def spread(median: float) -> dict[str, Any]:
    return {"median": median, "low": 0.9 * median, "high": 1.1 * median, "count": 9}


def row(name: str, median: float, ran: str = "") -> dict[str, Any]:
    return {"name": name, "ran": ran, "seconds": spread(1e-3), "ratio": spread(median)}


def refused(name: str, reason: str) -> dict[str, Any]:
    return {"name": name, "ran": "", "refused": reason}


def operator(label: str, mode: str, table: float) -> dict[str, Any]:
    rows = [
        row("copy", 1.0), row("eager sum", 123.4), refused("torch.compile", "no compiler is here"),
        row("table", table, "table"), row("auto", table, "table + reference"),
    ]  # fmt: skip
    if mode != "x and w":
        rows.append(row("F.mish", 6.34))
    facts = {"set": label, "dtype": "float32", "threads": 1, "elements": 4096, "mode": mode}
    return {**facts, "base": "copy", "unit": 2.5, "rows": rows}


@pytest.fixture
def document() -> dict[str, Any]:
    modes = {"forward": 1.06, "x": 1.13, "x and w": 1.66}
    labels = ("3", "relu+tanh+sin+sigmoid+silu+gelu+softplus")
    return {
        "command": "actzoo speed",
        "clocks": ["processor time with 1 thread"],
        "environment": {
            "commit": {"id": "0123456789abcdef", "dirty": True}, "packages": {"torch": "2.14.1"},
            "python": "3.11.0", "system": "Linux", "processor": "a processor", "actzoo": "0.1.0",
            "capability": "AVX512", "cores": 2, "device": "cpu", "device_name": "a processor",
        },
        "operator": [operator(k, mode, t) for k in labels for mode, t in modes.items()],
        "kept": [
            {"set": "3", "dtype": "float32", "name": "eager sum", "ratio": 4.0},
            {"set": "3", "dtype": "float32", "name": "table", "refused": "it is not here"},
        ],
        "compile": [
            {"set": "3", "dtype": "float32", "name": "fused", "cold": 18.04, "warm": 4.0},
            {"set": "8", "dtype": "float32", "name": "fused", "refused": "took too long"},
        ],
        "functions": [
            {
                "function": name, "dtype": "float32", "threads": 1, "elements": 4096,
                "rows": [
                    row("F.relu", 0.96), row("eager", 6.7),
                    {**row("auto", 1.2, "table"), "beside": row("auto", 1.25)["ratio"]},
                    row("torch", 6.3), timm,
                ],
            }
            for name, timm in (
                ("shifted_softplus", refused("timm", "timm has none")), ("mish", row("timm", 5.5)),
            )
        ],
        "certificates": [
            {"name": "mish", "refused": "", "value_error": 9e-8, "slope_error": 1e-7,
             "seconds": 0.05},
            {"name": "laplace", "refused": "its value is off"},
        ],
        "step": [
            {
                "dtype": "bfloat16", "threads": 1, "batch": 128, "model": "paper_cnn",
                "base": "relu",
                "rows": [
                    row("relu", 1.0, "reference"), row("3, auto", 1.04, "table"),
                    row("3, auto, phase 2", 0.91, "table"), refused("3, fused", "not compiled"),
                ],
            }
        ],
        "step_kept": [
            {"model": "paper_cnn", "batch": 128, "dtype": "float32", "name": name, **found}
            for name, found in (
                ("relu, torch's pooling", {"kept": 28_966_912, "network": 33_789_952}),
                ("3, one pass", {"kept": 6_086_656, "network": 10_909_696}),
                ("20, one pass", {"refused": "nothing computes these"}),
            )
        ]
        + [
            {"model": "gpt", "batch": 32, "dtype": "float32", **found}
            for found in (
                {"name": "relu", "network": 20_000_000},
                {"name": "3, auto, 8-bit", "network": 25_000_000},
                {"name": "20, auto, 8-bit", "refused": "no compiler"},
            )
        ],
    }  # fmt: skip


def test_a_terminal_of_80_columns(document: dict[str, Any]) -> None:
    assert max(map(len, plain(document).splitlines())) <= 80


def lines(document: dict[str, Any]) -> list[str]:
    return [re.sub(" +", " ", line).strip() for line in plain(document).splitlines()]


def test_cells_and_reasons(document: dict[str, Any]) -> None:
    text = lines(document)
    assert "Mixtures, 4,096 elements, float32, 1 thread" in text
    assert "table 1.06 [0.95, 1.17] 1.13 [1.02, 1.24] 1.66 [1.49, 1.83]" in text
    assert "torch.compile – – –" in text
    assert "- torch.compile of 3: no compiler is here" in text
    assert "- auto of 3: ran as table + reference" in text
    assert text.count("F.mish 6.34 [5.71, 6.97] 6.34 [5.71, 6.97] –") == 1
    assert "eager sum 4.00" in text and "- table of 3: it is not here" in text
    assert "3, auto, 8-bit 25.00 (1.25)" in text and "- 20, auto, 8-bit: no compiler" in text
    assert "3 float32 fused 18.0 4.0" in text and "- fused of 8: took too long" in text
    assert "mish 1.25 1.20 [1.08, 1.32] 6.70 6.30 5.50" in text
    assert "- timm: timm has none: shifted_softplus" in text
    assert "mish 9.0e-08 1.0e-07 50" in text and "- no table for laplace: its value is off" in text
    assert "3, auto 1.04 [0.94, 1.14] 0.91 [0.82, 1.00]" in text
    assert "- 3, fused: not compiled" in text
    assert "- 3, auto: ran as table" in text
    assert "Kept by paper_cnn for the backward pass, batch 128, float32" in text
    assert "relu, torch's pooling 28.97 (1.00) 33.79 (1.00)" in text
    assert "3, one pass 6.09 (0.21) 10.91 (0.32)" in text
    assert "20, one pass – –" in text and "- 20, one pass: nothing computes these" in text


def test_each_table_says_of_how_many_rounds_its_medians_are(document: dict[str, Any]) -> None:
    counts = iter(range(3, 500))
    operators = [r for case in document["operator"] for r in case["rows"] if "ratio" in r]
    for found in operators:
        found["ratio"]["count"] = next(counts)
    text = " ".join(plain(document).split())
    assert f"of the ratio to a copy in the same round, of 3 to {2 + len(operators)} rounds." in text
    assert text.count("of the ratio to a copy in the same round, of 9 rounds.") == 1  # functions
    assert (
        "Units of the step of the same network with torch's own ReLU and pooling. Median "
        "[quartiles] of the ratio to it in the same round, of 9 rounds." in text
    )


def test_the_page_says_what_its_words_mean(document: dict[str, Any]) -> None:
    for case in document["operator"]:
        case["members"] = case["set"].split("+") if "+" in case["set"] else ["relu", "tanh", "sin"]
    for whole in (plain(document), markdown(document)):
        text = whole.partition("Mixtures, ")[0]
        assert text.count("k = 3: relu, tanh, sin.") == 1
        assert "k = relu+tanh+sin+sigmoid+silu+gelu+softplus:" not in text  # which says it itself
        for word in ("eager sum", "torch.compile", "table", "auto", "x and w", "phase 2", "fused"):
            assert text.count(f"\n- {word}: ") == 1
        assert "\n- one pass: " not in text
    assert max(map(len, plain(document).splitlines())) <= 80


def test_options_of_functions_have_commas_too(document: dict[str, Any]) -> None:
    label = "hardtanh(low=-2.0, high=2.0)+relu"
    for case in document["operator"]:
        case["set"] = label
    (case,) = document["step"][:1]
    row = next(row for row in case["rows"] if row["name"] == "3, auto")
    case["rows"] = [{**row, "name": f"{label}, {k}", "ran": "table"} for k in ("table", "auto")]
    for name in ("table, phase 2", "auto, phase 2"):
        case["rows"].append({**row, "name": f"{label}, {name}", "ran": "table"})
    assert f"k = {label}" in markdown(document)
    page = plain(document)
    assert "k = hardtanh(low=-2.0…" in page
    assert max(map(len, page.splitlines())) <= 80
    text = " ".join(page.split())
    assert f"- {label}, auto: ran as table" in text
    assert f"- {label}, auto, phase 2: ran as table" in text
    assert f"- {label}, table" not in text


def test_the_page_says_where_it_comes_from(document: dict[str, Any]) -> None:
    page = markdown(document, {"speed.png": "what it shows"})
    for words in ("0123456789ab with uncommitted changes", "torch 2.14.1", "AVX512, 2 cores",
                  "processor time with 1 thread", "](speed.png)"):  # fmt: skip
        assert words in page
    document["environment"]["commit"] = None
    assert "commit unknown" in markdown(document)


@pytest.mark.parametrize(
    ("median", "text"),
    [(1.0, "1.00 [0.90, 1.10]"), (9.996, "10.0 [9.00, 11.0]"), (123.4, "123 [111, 136]")],
)
def test_ratios_have_three_digits(median: float, text: str) -> None:
    assert ratio({"ratio": spread(median)}) == text


def test_a_document_without_tables_is_empty() -> None:
    assert plain({}) == ""
    assert ratio(None) == ratio({"refused": "no"}) == "–"
