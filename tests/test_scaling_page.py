from __future__ import annotations

import json
import runpy
from pathlib import Path

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"


def test_the_page_shows_what_was_measured():
    make = runpy.run_path(str(DOCS / "make_scaling.py"))
    text = (DOCS / "scaling.md").read_text(encoding="utf-8")
    assert text == make["page"](), "run `python docs/make_scaling.py` and commit what it writes"
    told = json.loads((ROOT / "reports" / "scaling" / "overhead.json").read_text())
    for way in told["seconds_added_to_a_cell"].values():
        assert f"{way['median']:.2f}" in text


def test_the_default_threads_follow_what_was_faster():
    from actzoo.sweep.plan import Run

    told = json.loads((ROOT / "reports" / "scaling" / "workers.json").read_text())
    best = min(told["settings"], key=lambda setting: setting["median_sweep_seconds"])
    assert Run(sets=(("relu",),)).threads == best["threads"]
