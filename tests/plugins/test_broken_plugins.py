"""Plugins that are broken in every way we know, all of them installed at the same time."""

from __future__ import annotations

import json
import textwrap
from typing import Any

import pytest

FINE = """
    from actzoo import Activation, hookimpl

    @hookimpl
    def actzoo_activations():
        return [Activation({fields})]
"""


def declares(fields: str) -> str:
    return FINE.format(fields=fields)


CLAIMS = """
    from actzoo import Activation, Claims, hookimpl

    @hookimpl
    def actzoo_activations():
        return [Activation(name="twisted", formula="x*x*x", claims=Claims(lower=1.0, upper=0.0))]
"""
WRONG_TYPE = """
    from actzoo import hookimpl

    @hookimpl
    def actzoo_activations():
        return ["relu"]
"""
MISSPELT = """
    from actzoo import hookimpl

    @hookimpl
    def actzoo_activation():
        return []
"""
EXITS_LATE = """
    import sys
    from actzoo import hookimpl

    @hookimpl
    def actzoo_datasets():
        sys.exit("no data today")
"""

# Plugin -> its module, and what `actzoo plugins` gives as the reason.
BROKEN = {
    "raises": ("raise RuntimeError('no weights today')", "RuntimeError: no weights today"),
    "syntax": ("def broken(:", "SyntaxError"),
    "wrong_type": (WRONG_TYPE, "actzoo_activations returned 'relu'; expected values of type Act"),
    "bad_name": (declares("name='Not-Snake', formula='x'"), "'Not-Snake' is not lower_snake_case"),
    "bad_formula": (declares("name='odd', formula='x*)'"), "activation 'odd': not a formula"),
    "bad_claims": (CLAIMS, "claims: lower=1.0 is above upper=0.0"),
    "missing": ("import surely_not_installed", "No module named 'surely_not_installed'"),
    "exits": ("import sys\nsys.exit(3)", "SystemExit: 3"),
    "exits_late": (EXITS_LATE, "SystemExit: no data today"),
    "misspelt": (MISSPELT, "unknown hook 'actzoo_activation'"),
    "too_new": (declares("name='later', formula='x'"), "it needs actzoo>=99, and this is 0."),
}
WHOLE = {
    "prints": "print('hello from prints')\nimport sys\nprint('oops', file=sys.stderr)"
    + textwrap.dedent(declares("name='printed', formula='x*cos(x)'")),
    "prints_past_python": "import os\nos.write(1, b'raw')\nos.system('echo child')",
    "one": declares("name='twin', formula='x*sin(2*x)'"),
    "two": declares("name='twin', formula='x*sin(3*x)'"),
}
REQUIRES = {"too_new": "actzoo>=99"}

# Runs command lines in one process, each as `actzoo` would in an environment of its own, and
# collects what they say.
SEVERAL = """
import contextlib, io, json, os, sys
from actzoo.cli import main
from actzoo.plugins.registry import default

said = []
for environment, words in json.loads(sys.argv[1]):
    for name in [name for name in os.environ if name.startswith("ACTZOO_")]:
        del os.environ[name]
    os.environ.update(environment)
    if environment:
        default.cache_clear()
    out, err, sys.argv = io.StringIO(), io.StringIO(), ["actzoo", *words]
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main()
        except SystemExit as stop:
            code = stop.code
    said.append([code, out.getvalue(), err.getvalue()])
print(json.dumps(said))
"""

LOADED = """
import json, sys
from actzoo.cli import main

sys.argv = ["actzoo", sys.argv[1]]
try:
    main()
finally:
    print(json.dumps(sorted({name.split(".")[0] for name in sys.modules})))
"""


def write_distribution(site, plugin: str, code: str) -> None:
    """An installed distribution, such as pip leaves behind."""
    module = f"actzoo_{plugin}"
    (site / f"{module}.py").write_text(textwrap.dedent(code))
    info = site / f"{module}-2.5.dist-info"
    info.mkdir()
    requires = REQUIRES.get(plugin, "actzoo>=0.1.0")
    files = {
        "METADATA": f"Metadata-Version: 2.1\nName: actzoo-{plugin.replace('_', '-')}\n"
        f"Version: 2.5\nRequires-Dist: {requires}\n",
        "entry_points.txt": f"[actzoo]\n{plugin} = {module}\n",
        "INSTALLER": "pip\n",
    }
    for name, text in files.items():
        (info / name).write_text(text)
    names = [f"{module}.py", *(f"{info.name}/{name}" for name in (*files, "RECORD"))]
    (info / "RECORD").write_text("".join(f"{name},,\n" for name in names))


@pytest.fixture(scope="module")
def crowded(second_overlay):
    """The overlay with all of them."""
    plugins = {**{name: code for name, (code, _) in BROKEN.items()}, **WHOLE}
    for name, code in plugins.items():
        write_distribution(second_overlay.site, name, code)
    return second_overlay


@pytest.fixture(scope="module")
def rows(crowded) -> dict[str, dict[str, Any]]:
    """What `actzoo plugins --json` says of each plugin."""
    done = crowded.run("actzoo", "plugins", "--json")
    assert (done.returncode, done.stderr) == (0, "rawchild\n")
    return {row["plugin"]: row for row in json.loads(done.stdout)}


@pytest.fixture(scope="module")
def said(crowded):
    """What a number of commands say in one process: (exit code, stdout, stderr) of each."""
    commands = {
        "ls": ["ls", "--json"],
        "show": ["show", "relu", "--json"],
        "printed": ["show", "printed", "--json"],
        "twin": ["show", "twin"],
        "one": ["show", "actzoo-one:twin", "--json"],
        "two": ["show", "actzoo-two:twin", "--json"],
        "plan": ["bench", "--set", "relu,actzoo-two:twin", "--seeds", "0", "--dry-run", "--json"],
        "text": ["plugins", "--trace"],
        "metadata": ["plugins", "--no-load", "--json"],
    }
    strict = {"ACTZOO_STRICT_PLUGINS": "1"}
    disabled = ",".join(["actzoo-two", *BROKEN])
    chosen = {
        "strict": ({**strict, "ACTZOO_LOAD_PLUGINS": "actzoo-raises"}, ["ls"]),
        "loaded": ({"ACTZOO_LOAD_PLUGINS": "actzoo-one"}, ["show", "twin", "--json"]),
        "none": ({"ACTZOO_LOAD_PLUGINS": ""}, ["show", "twin"]),
        "disabled": ({**strict, "ACTZOO_DISABLE_PLUGINS": disabled}, ["show", "twin", "--json"]),
    }
    runs = {**{name: ({}, words) for name, words in commands.items()}, **chosen}
    done = crowded.run("python", "-c", SEVERAL, json.dumps(list(runs.values())))
    assert done.returncode == 0, done.stderr
    return dict(zip(runs, json.loads(done.stdout), strict=True))


@pytest.mark.slow
@pytest.mark.parametrize("plugin", BROKEN)
def test_a_broken_plugin_is_a_row_with_its_reason(rows, plugin):
    row = rows[plugin]
    assert row["distribution"] == f"actzoo-{plugin.replace('_', '-')}"
    assert (row["version"], row["status"], row["provides"]) == ("2.5", "failed", 0)
    assert BROKEN[plugin][1] in row["reason"]


@pytest.mark.slow
def test_all_others_are_as_ever(rows):
    assert {row["status"] for name, row in rows.items() if name not in BROKEN} == {"ok"}
    assert rows["rectifiers"]["provides"] > 3 and rows["rectifiers"]["reason"] == ""
    assert rows["prints"]["reason"] == "it printed: 'hello from prints\\noops'"


@pytest.mark.slow
def test_every_command_keeps_working(said):
    assert {name: code for name, (code, _, _) in said.items() if code} == {
        "twin": 2,
        "strict": 3,
        "none": 2,
    }
    names = [row["name"] for row in json.loads(said["ls"][1])]
    assert "relu" in names and "printed" in names and names.count("twin") == 2
    assert json.loads(said["show"][1])["name"] == "relu"
    assert json.loads(said["printed"][1])["provider"] == "actzoo-prints 2.5"


@pytest.mark.slow
def test_the_trace_of_each_failure_is_shown(said):
    text = said["text"][1]
    assert text.count("Traceback (most recent call last)") >= len(BROKEN)
    assert "raise RuntimeError('no weights today')" in text


@pytest.mark.slow
def test_a_clash_names_both_sides_and_the_qualified_name_works(said):
    assert said["twin"][2].startswith("error: the activation 'twin' is provided by")
    assert "actzoo-one:twin (2.5) and actzoo-two:twin (2.5)" in said["twin"][2]
    for side, formula in (("one", "x*sin(2*x)"), ("two", "x*sin(3*x)")):
        facts = json.loads(said[side][1])
        assert facts["formula"] == formula and facts["provider"] == f"actzoo-{side} 2.5"
    sets = {cell["set"] for cell in json.loads(said["plan"][1])}
    assert any("actzoo-two:twin" in name for name in sets), sets


@pytest.mark.slow
def test_the_environment_chooses_and_strict_mode_raises(said):
    assert "RuntimeError: no weights today" in said["strict"][2]
    for name in ("loaded", "disabled"):
        assert json.loads(said[name][1])["provider"] == "actzoo-one 2.5"
    assert "no activation is called 'twin'" in said["none"][2]


@pytest.mark.slow
@pytest.mark.parametrize("option", ["--help", "--version"])
def test_help_loads_no_plugin_however_many_there_are(crowded, option):
    done = crowded.run("python", "-c", LOADED, option)
    assert done.returncode == 0, done.stderr
    loaded = set(json.loads(done.stdout.splitlines()[-1]))
    assert not loaded & {"torch", "numpy", "pandas", "matplotlib", "sympy", "pluggy"}
    assert not {name for name in loaded if name.startswith("actzoo_")}


@pytest.mark.slow
def test_the_metadata_alone_lists_them_all(said):
    rows = {row["plugin"]: row for row in json.loads(said["metadata"][1])}
    assert {*BROKEN, *WHOLE, "rectifiers"} <= set(rows)
    assert {row["status"] for row in rows.values()} == {"not loaded"}
