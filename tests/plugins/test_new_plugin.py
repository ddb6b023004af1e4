from __future__ import annotations

import ast
import json
import sys
import tomllib

import pytest

import actzoo
from actzoo.checks import check_task
from actzoo.cli import main
from actzoo.cli.new_plugin import quoted

FILES = [".gitignore", "README.md", "actzoo_my_wave.py", "pyproject.toml", "tests/test_my_wave.py"]


@pytest.fixture
def new_plugin(monkeypatch, capsys, tmp_path):
    """Run `actzoo new-plugin` in an empty folder: exit code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)

    def run(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["actzoo", "new-plugin", *words])
        with pytest.raises(SystemExit) as stop:
            main()
        return (stop.value.code, *capsys.readouterr())

    return run


def written(folder):
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


def declared(path):
    """The activation that a generated module declares."""
    space: dict = {}
    exec(path.read_text(encoding="utf-8"), space)
    (activation,) = space["actzoo_activations"]()
    return activation


@pytest.mark.parametrize("name", ["my_wave", "my-wave"])
def test_a_complete_package(new_plugin, tmp_path, name):
    code, out, err = new_plugin(name)
    folder = tmp_path / "actzoo-my-wave"
    assert (code, err, written(folder)) == (0, "", FILES)
    assert all(str(place) in out for place in FILES)
    assert "pip install -e actzoo-my-wave" in out and "actzoo check my_wave" in out
    project = tomllib.loads((folder / "pyproject.toml").read_text())
    assert project["project"]["name"] == "actzoo-my-wave"
    assert project["project"]["dependencies"] == [f"actzoo>={actzoo.__version__}"]
    assert project["project"]["entry-points"]["actzoo"] == {"my_wave": "actzoo_my_wave"}
    test = (folder / "tests/test_my_wave.py").read_text()
    assert '@actzoo.checks.parametrize("my_wave", expected_failures=KNOWN)' in test
    activation = declared(folder / "actzoo_my_wave.py")
    assert activation.name == "my_wave" and activation.learnable == {"a": "layer"}


@pytest.mark.parametrize(
    ("text", "formula", "parameters", "learnable"),
    [
        ("x*sin(x)", "x*sin(x)", {}, {}),
        ("x*sigmoid(b*x), b=1", "x*sigmoid(b*x)", {"b": 1.0}, {}),
        ("x*sigmoid(b*x), b=channel(-2)", "x*sigmoid(b*x)", {"b": -2.0}, {"b": "channel"}),
        (
            "c[0]*x + c[1]*x*x, c=layer(1, 2)",
            "c[0]*x + c[1]*x*x",
            {"c": (1.0, 2.0)},
            {"c": "layer"},
        ),
    ],
)
def test_the_formula_is_declared(new_plugin, tmp_path, text, formula, parameters, learnable):
    code, _, err = new_plugin("my_wave", "--formula", text, "--out", "here/below")
    assert (code, err) == (0, "")
    activation = declared(tmp_path / "here/below/actzoo_my_wave.py")
    assert activation.formula == formula
    assert dict(activation.parameters) == parameters
    assert dict(activation.learnable) == learnable
    assert formula in (tmp_path / "here/below/README.md").read_text()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["MyWave"], "'MyWave' cannot name an activation; expected lower-case letters"),
        (["2wave"], "such as my_swish"),
        (["wave_"], "such as wave"),
        (["../wave"], "such as wave"),
        (["gelu"], f"'gelu' is taken: actzoo {actzoo.__version__} has it; choose another name"),
        (["leaky-re-lu"], "is taken"),
        (["paper"], "is taken"),
        (["my_wave", "--formula", "x*sin(b*x)"], "give it a value: 'x*sin(b*x), b=1'"),
        (["my_wave", "--formula", "x*)"], "x*)"),
        (["my_wave", "--formula", "gelu"], "gelu"),
        (["my_wave", "--formula", ""], "no formula"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_is_written(new_plugin, tmp_path, words, message):
    code, _, err = new_plugin(*words)
    assert code == 2 and message in err and "Traceback" not in err
    assert not list(tmp_path.iterdir())


def test_nothing_is_overwritten(new_plugin, tmp_path):
    (tmp_path / "actzoo-my-wave").mkdir()
    code, _, err = new_plugin("my_wave")
    assert code == 2 and "exists already; name another folder with --out" in err
    assert not written(tmp_path)


def test_a_place_that_cannot_be_written(new_plugin, tmp_path):
    (tmp_path / "file").touch()
    code, _, err = new_plugin("my_wave", "--out", "file/below")
    assert code == 2 and "cannot write 'file/below': Not a directory" in err


@pytest.mark.parametrize("value", ['a"b', "a'b", "a\\b\n", 1.5, {"a": (1.0, 2.0)}, {"é": "layer"}])
def test_quoted_is_python(value):
    assert ast.literal_eval(quoted(value)) == value


@pytest.mark.slow
def test_from_nothing_to_a_report_without_an_edit(overlay, tmp_path):
    overlay.ok("actzoo", "new-plugin", "fresh", cwd=tmp_path)
    package = tmp_path / "actzoo-fresh"
    overlay.ok("pip", "install", "-e", package)
    tests = overlay.ok("pytest", "-q", "-p", "no:cacheprovider", cwd=package)
    assert "passed" in tests and "failed" not in tests
    (row,) = json.loads(overlay.ok("actzoo", "ls", "--plugin", "fresh", "--json"))
    assert row["name"] == "fresh" and row["provider"] == "actzoo-fresh 0.1.0"
    out = tmp_path / "out"
    quick = ("--seeds", "0", "--epochs", "1", "--limit", "100", "--model", "mlp", "--threads", "1")
    overlay.ok("actzoo", "bench", "--set", "relu,fresh", *quick, "--out", out)
    report = (out / "report.md").read_text()
    assert "relu + actzoo-fresh:fresh" in report, report


def test_a_package_of_a_task(new_plugin, tmp_path):
    code, out, err = new_plugin("my-wave", "--kind", "task")
    folder = tmp_path / "actzoo-my-wave"
    assert (code, err, written(folder)) == (0, "", FILES)
    assert "actzoo check --task my_wave" in out
    space: dict = {}
    exec((folder / "actzoo_my_wave.py").read_text(encoding="utf-8"), space)
    (dataset,) = space["actzoo_datasets"]()
    results = check_task(lambda: dataset.task(tmp_path))
    assert dataset.name == "my_wave" and {r.status for r in results} == {"passed"}
    test = (folder / "tests/test_my_wave.py").read_text(encoding="utf-8")
    assert "from actzoo_my_wave import load_my_wave" in test and ast.parse(test)
    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    assert project["description"] == "The task my_wave, a plugin of actzoo"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("diabetes", "--kind", "task"), "has a task of that name; choose another"),
        (("mine", "--kind", "task", "--formula", "x"), "--formula goes with --kind activation"),
    ],
)
def test_a_task_that_cannot_be_written_is_refused(new_plugin, tmp_path, words, says):
    code, _, err = new_plugin(*words)
    assert code == 2 and says in " ".join(err.split()) and not written(tmp_path)
