from __future__ import annotations

import runpy
from pathlib import Path

DOCS = Path(__file__).parents[1] / "docs"


def test_the_page_is_what_the_registry_would_write_now():
    make = runpy.run_path(str(DOCS / "make_zoo.py"))
    assert (DOCS / "zoo.md").read_text(encoding="utf-8") == make["page"](), (
        "run `python docs/make_zoo.py` and commit what it writes"
    )
    for name, members in make["families"]().items():
        if any(map(make["is_drawn"], members)):
            assert (DOCS / "zoo" / f"{name}.png").exists()
