"""What the documents say is so."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import actzoo
from actzoo.cli import COMMANDS

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")])


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda p: p.name)
def test_links_lead_somewhere(path):
    for target in re.findall(r"\]\(([^)#\s]+)", path.read_text(encoding="utf-8")):
        if not target.startswith("http"):
            assert (path.parent / target).exists(), f"{path.name} links to {target}"


def test_readme_has_the_two_commands_and_every_command():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert "pip install -e . && actzoo bench --set relu,tanh,sin" in text
    assert "pip install -e '.[test]' && pytest" in text
    for command in COMMANDS:
        assert f"actzoo {command}" in text, command


def test_readme_python_runs(monkeypatch, tmp_path):
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    ran = []
    monkeypatch.setattr(actzoo, "bench", lambda *a, **k: ran.append(k) or Frame(), raising=False)
    exec(code, {})
    assert ran == [{"tasks": ["digits"], "seeds": (0, 1, 2)}]


class Frame:
    def to_frame(self):
        return None
