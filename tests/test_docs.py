"""What the documents say is so."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import actzoo
from actzoo.cli import COMMANDS
from actzoo.cli.bench_options import GROUPS
from actzoo.cli.card import command as card

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


def test_what_a_card_takes_of_bench_is_said_in_its_help_and_on_the_page():
    taken = {option.name for option in card.params}
    left_out = {o.opts[0] for group in GROUPS.values() for o in group if o.name not in taken}
    page = (ROOT / "docs/running-sweeps.md").read_text(encoding="utf-8")
    for text in (page.partition("## The card of")[2].partition("\n## ")[0], card.help):
        said = text.partition("Options are those")[2]
        assert set(re.findall(r"--[a-z-]+", said)) - {"--suite"} == left_out


class Frame:
    def to_frame(self):
        return None


PACKAGE = ROOT / "actzoo"
PLAIN = sorted(
    path for path in PACKAGE.rglob("*.py") if "zoo" not in path.relative_to(PACKAGE).parts[:1]
)  # the bytes of the zoo are in the keys of cells
NO_VERBS = re.compile("The|An?|All|Each|Every|Its|One|Two|Whether|What|How|Where|Who|Which|Why")


@pytest.mark.parametrize("path", PLAIN, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_functions_say_what_they_do_in_the_imperative(path):
    """As in "Return ..."; properties and hooks are named by what they are."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.FunctionDef):
            continue
        decorators = " ".join(map(ast.unparse, node.decorator_list))
        text = ast.get_docstring(node)
        if not text or "property" in decorators:
            continue
        first = text.split()[0]
        place = f"{path.name}:{node.lineno} {node.name}: {text.splitlines()[0]}"
        assert re.fullmatch(r"[A-Z][a-z]*([^s\W]|ss)", first), place
        assert not NO_VERBS.fullmatch(first), place
        assert text.split("\n\n")[0].endswith((".", ":")), place
