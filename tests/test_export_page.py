"""docs/export.md says of each function what can be exported."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import pytest

DOCS = Path(__file__).parents[1] / "docs"


@pytest.fixture(scope="module")
def make() -> dict[str, Any]:
    return runpy.run_path(str(DOCS / "make_export.py"))


def test_every_function_is_on_the_page(make: dict[str, Any]) -> None:
    text = (DOCS / "export.md").read_text(encoding="utf-8")
    rows = [
        line.split(" | ")[0].removeprefix("| ")
        for line in text.splitlines()
        if line.endswith(("| yes |", "| no |"))
    ]
    assert rows == list(make["subjects"]()), "run `python docs/make_export.py`"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # torch's own, while it exports
def test_the_page_is_what_is_so(make: dict[str, Any]) -> None:
    pytest.importorskip("onnxruntime")
    text = (DOCS / "export.md").read_text(encoding="utf-8")
    assert text == make["page"](), "run `python docs/make_export.py` and commit what it writes"


def test_what_fails_is_found(make: dict[str, Any]) -> None:
    class Refuses(make["nn"].Module):  # type: ignore[name-defined, misc]
        def forward(self, x: Any) -> Any:
            return x if float(x.sum()) > 0 else -x  # what no graph can hold

    layers = [make["nn"].ReLU(), Refuses(), make["nn"].Tanh()]
    assert make["works"](make["by_export"], layers) == [True, False, True]
