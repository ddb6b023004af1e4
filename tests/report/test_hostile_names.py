"""Names that try to be something else: none acts in a terminal, report, figure or table."""

from __future__ import annotations

import csv
import io
import json
import re
import sys
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from actzoo import escaping
from actzoo.cli import main
from actzoo.files import csv_bytes
from actzoo.report.figures import style
from actzoo.report.markdown import write_report
from actzoo.report.text import code, table

HOSTILE = {
    "escape": "a\x1b[31mb\x1b]0;title\x07",
    "lines": "a\nb\r\nc\rd",
    "bidi": "a\u202egnp.exe\u2066b",
    "c1": "a\x9b31mb\x85c",
    "separators": "a\u2028b\u2029c\u200b",
    "markup": "[red]a[/red][link=x]b[/] :smile: [/]",
    "html": "<script>a</script><img src=x>",
    "link": "[a](http://x) ![b](http://y) <http://z>",
    "url": "http://x.y www.x.y",
    "code": "a`b``c",
    "cell": "a|b\\|c\\",
    "emphasis": "**a** _b_ ~~c~~ *d*",
    "math": "a$b$c $$d$$ \\frac",
    "heading": "# a",
    "formula": "=1+1",
    "wide": "名前😀é",
}
ACTS = ("Cc", "Cf", "Cs", "Zl", "Zp")


def acting(text: str, keep: str = "\n") -> list[str]:
    return [c for c in text if unicodedata.category(c) in ACTS and c not in keep]


@pytest.mark.parametrize("name", HOSTILE.values(), ids=HOSTILE)
class TestOneName:
    def test_terminal(self, name):
        shown = escaping.visible(name)
        assert not acting(shown, "")
        assert shown == name or "\\" in shown

    def test_markdown_shows_the_text_and_nothing_else(self, name):
        renderer = MarkdownIt("commonmark").enable(["table", "strikethrough"])
        shown = escaping.visible(name)
        html = renderer.renderInline(escaping.markdown(name))
        assert _text(html) == shown
        assert _text(renderer.renderInline(code(name))) == re.sub("^ | $", "", shown) or (
            shown != shown.strip()
        )
        page = renderer.render(
            f"## {escaping.markdown(name)}\n\n![{escaping.markdown(name)}](f.png)"
        )
        assert re.findall("<(?!/?h2|/?p|img)", page) == []
        assert page.count("<img") == 1 and 'src="f.png"' in page

    def test_a_table_keeps_its_cells(self, name):
        renderer = MarkdownIt("commonmark").enable("table")
        text = table(("set", name), [(code(name), "1"), (escaping.markdown(name), "2")])
        html = renderer.render(text)
        assert (html.count("<tr>"), html.count("<td"), html.count("<th")) == (3, 4, 3)  # and thead

    def test_a_figure_draws_it(self, name, tmp_path):
        from matplotlib.figure import Figure

        def draw() -> Figure:
            figure = style.new(1)
            figure.add_subplot().set_title(style.label(name))
            return figure

        for form in style.FORMATS:  # a glyph that the font lacks is a warning, and here an error
            style.write(tmp_path / f"a.{form}", draw)
        assert not acting(style.label(name))

    def test_a_table_of_numbers(self, name):
        rows = [{"set": name, "n": -1, "x": -1.5, "text": "-2.5", "no": None}]
        (back,) = csv.DictReader(io.StringIO(csv_bytes(rows).decode()))
        assert (back["n"], back["x"], back["text"], back["no"]) == ("-1", "-1.5", "-2.5", "")
        assert not acting(csv_bytes(rows).decode())
        assert not back["set"].startswith(("=", "+", "-", "@", "\t"))
        assert back["set"].removeprefix("'") == escaping.visible(name)

    def test_latex_has_no_command_of_it(self, name):
        text = escaping.latex(name)
        assert not acting(text, "")
        assert "`" not in text and "\\frac" not in text
        assert re.sub(r"\\[_#%&$^{}]|\\backslash |\\sim ", "", text).count("\\") == 0


def _text(html: str) -> str:
    """What a reader sees of inline HTML that has no tags but those of code."""
    bare = re.sub("</?code>", "", html)
    assert "<" not in bare, html
    for sign, entity in (("<", "&lt;"), (">", "&gt;"), ('"', "&quot;"), ("&", "&amp;")):
        bare = bare.replace(entity, sign)
    return bare


@given(st.text())
def test_whatever_it_is_nothing_acts(text):
    assert not acting(escaping.visible(text), "")
    assert not acting(escaping.markdown(text), "")
    assert not acting(escaping.one_line(text), "")
    escaping.visible(text).encode()
    cell = escaping.spreadsheet(text)
    assert not str(cell).startswith(("=", "+", "-", "@", "\t", "\r")) or float(str(cell)) < np.inf


@pytest.mark.parametrize("sign", [*"=+-@\t", "＝", "＋", "－", "＠"])
def test_no_cell_is_a_formula(sign):
    assert str(escaping.spreadsheet(f"{sign}A1")).startswith("'")
    assert escaping.spreadsheet(-1.5) == -1.5 and escaping.spreadsheet(None) is None


@pytest.fixture
def run(monkeypatch, capsys):
    def run(*words) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["actzoo", *map(str, words)])
        with pytest.raises(SystemExit) as stop:
            main()
        out, err = capsys.readouterr()
        assert not acting(out + err), (out, err)
        assert "Traceback" not in err
        return stop.value.code, out + err

    return run


# A run each takes seconds: what may stand anywhere in a name stands in one with others.
TOGETHER = ("escape lines bidi c1 separators", "html link url markup", "code cell emphasis math",
            "heading", "formula", "wide")  # fmt: skip


@pytest.mark.parametrize("kinds", TOGETHER)
@pytest.mark.slow
def test_a_stored_run_full_of_such_names(kinds, make_store, run, tmp_path):
    name = " ".join(HOSTILE[kind] for kind in kinds.split())
    dataset = f"npz:/somewhere/{name.replace('/', '-')}.npz"
    folder = make_store(
        {"relu": [900, 905], "tanh": [910, 912], "relu + tanh": [920, None]},
        sets=(("relu", "tanh"),),
        datasets=(dataset,),
    )
    spec = json.loads((folder / "spec.json").read_text())
    spec["command"] = f"actzoo bench {name}"
    for about in spec["datasets"].values():
        about["caution"] = about["description"] = name
    (folder / "spec.json").write_text(json.dumps(spec))
    for path in (folder / "cells").glob("*/error.json"):
        error = json.loads(path.read_text())
        error["message"] = name
        path.write_text(json.dumps(error))
    write_report(folder)
    text = (folder / "report.md").read_text()
    assert not acting(text)
    page = MarkdownIt("commonmark").enable("table").render(text)
    plain = _rows_of(make_store, tmp_path)
    assert page.count("<tr>") == plain
    assert "<script" not in page and "<img src=x" not in page and 'href="http' not in page
    for words in (["status", folder], ["compare", folder, folder], ["report", folder]):
        code_, said = run(*words)
        assert code_ == 0
        assert "a\nb" not in said
        if "markup" in kinds and words[0] != "report":
            assert "[red]a[-red]" in said


def test_all_of_them_are_tried():
    assert sorted(" ".join(TOGETHER).split()) == sorted(HOSTILE)


def _rows_of(make_store, tmp_path: Path) -> int:
    folder = make_store(
        {"relu": [900, 905], "tanh": [910, 912], "relu + tanh": [920, None]},
        sets=(("relu", "tanh"),), datasets=("npz:/somewhere/plain.npz",), name="plain",
    )  # fmt: skip
    write_report(folder)
    text = (folder / "report.md").read_text()
    return MarkdownIt("commonmark").enable("table").render(text).count("<tr>")


NAMES = {k: HOSTILE[k].replace("/", "-") for k in ("escape", "lines", "bidi", "markup", "math")}


@pytest.mark.parametrize("kind", NAMES)
def test_a_command_that_names_such_a_file(kind, run, tmp_path, tiny_npz):
    """Every command that takes a name or path, with one that is there and one that is not."""
    name = NAMES[kind]
    data = tmp_path / f"{name}.npz"
    data.write_bytes(tiny_npz.read_bytes())
    quick = ("--model", "mlp(width=4)", "--epochs", "1", "--seeds", "0", "--set", "relu",
             "--threads", "1")  # fmt: skip
    out = tmp_path / f"{name} out"
    code_, said = run("bench", "--dataset", f"npz:{data}", *quick, "--out", out, "--no-cost")
    assert code_ == 0, said
    assert not acting((out / "report.md").read_text())
    assert not acting((out / "results.csv").read_text())
    bad = tmp_path / name
    for words in (
        ["bench", "--dataset", f"npz:{bad}", *quick],
        ["bench", "--set", name, "--dry-run"],
        ["bench", "--set", f"{bad}.py:f", "--dry-run"],
        ["bench", "--model", name, "--set", "relu", "--dry-run"],
        ["bench", "--config", f"{bad}.toml"],
        ["bench", "--seeds", name],
        ["bench", f"--{name}"],
        ["status", bad], ["report", bad], ["compare", bad, bad],
        ["show", name], ["show", f"{bad}.py:f"], ["check", name], ["similar", name],
        ["show", "relu", "--plot", f"{bad}.gif"],
        ["ls", "--kind", name], ["new-plugin", name], [f"x{name}"], ["speed", "--set", name],
    ):  # fmt: skip
        code_, said = run(*words)
        assert code_ == 2, (words, said)
        if kind == "lines":
            assert "a\nb" not in said and "c\rd" not in said, words
