from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from typing import NamedTuple

import click
import pytest
import torch

import actzoo
from actzoo.cli import COMMANDS, group, main
from actzoo.errors import UsageError
from actzoo.plugins.registry import default
from actzoo.sweep.config import parse_seeds


class Done(NamedTuple):
    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def run(monkeypatch, capsys):
    """Run a command line within this process, as `main` would."""

    def run(*words: str) -> Done:
        monkeypatch.setattr(sys, "argv", ["actzoo", *words])
        with pytest.raises(SystemExit) as stop:
            main()
        return Done(stop.value.code, *capsys.readouterr())

    return run


def quick(tiny_npz, out, *more):
    return (
        "bench", "--set", "relu,tanh", "--dataset", f"npz:{tiny_npz}", "--model", "mlp(width=8)",
        "--epochs", "1", "--seeds", "0-1", "--threads", "1", "--out", str(out), *more,
    )  # fmt: skip


@pytest.mark.parametrize("words", [["--help"], ["--version"]])
def test_help_imports_nothing_heavy(words):
    code = (
        "import sys, json\nfrom actzoo.cli import main\n"
        f"sys.argv = ['actzoo', *{words!r}]\n"
        "try:\n    main()\nexcept SystemExit as stop:\n    assert stop.code == 0\n"
        "print(json.dumps(list(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {m.split(".")[0] for m in json.loads(done.stdout.splitlines()[-1])}
    assert not loaded & {"torch", "numpy", "pandas", "matplotlib", "sympy", "sklearn", "pluggy"}
    assert not any(m.startswith("actzoo.zoo") for m in json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.slow
def test_the_first_command_imports_little(tmp_path):
    # Whatever it imports is compiled at the first start, and takes as long as it trains.
    code = (
        "import json, sys\nfrom actzoo.cli import main\n"
        "try:\n    main()\nexcept SystemExit as stop:\n    assert not stop.code\n"
        "print(json.dumps(list(sys.modules)))"
    )
    words = ["bench", "--set", "relu,tanh,sin", "--epochs", "1", "--seeds", "0-1", "--out", "out"]
    done = subprocess.run(
        [sys.executable, "-c", code, *words],
        cwd=tmp_path, capture_output=True, text=True, check=True,
    )  # fmt: skip
    loaded = set(json.loads(done.stdout.splitlines()[-1]))
    assert "matplotlib.figure" in loaded
    assert not loaded & {"pandas", "sklearn", "torchvision", "scipy.optimize", "scipy.stats"}


@pytest.mark.slow
def test_a_run_works_with_its_own_number_of_threads(run, tiny_npz, tmp_path):
    # Two threads wait for each other, and on a busy machine each of them for its turn.
    seen, model, before = tmp_path / "seen.txt", tmp_path / "net.py", torch.get_num_threads()
    model.write_text(
        "import torch\nfrom torch import nn\n"
        "class Seen(nn.Module):\n"
        "    def forward(self, x):\n"
        f"        with open({str(seen)!r}, 'a') as file:\n"
        "            print(torch.get_num_threads(), file=file)\n"
        "        return x\n"
        "def net(activation, shape, outputs):\n"
        "    a, width = activation(4)\n"
        "    size = shape[0] * shape[1] * shape[2]\n"
        "    return nn.Sequential(\n"
        "        Seen(), nn.Flatten(), nn.Linear(size, 4), a, nn.Linear(width, outputs))\n"
    )
    words = [*quick(tiny_npz, tmp_path / "out", "--model", f"{model}:net")]
    del words[words.index("--threads") : words.index("--out")]
    torch.set_num_threads(2)
    try:
        assert run(*words).returncode == 0
        after = torch.get_num_threads()
    finally:
        torch.set_num_threads(before)
    assert set(seen.read_text().split()) == {"1"}
    assert after == 2


@pytest.mark.parametrize("own", [{}, {"OMP_WAIT_POLICY": "ACTIVE"}, {"GOMP_SPINCOUNT": "5"}])
def test_threads_that_wait_sleep_unless_the_user_says_how(run, monkeypatch, own):
    names = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")
    for name in names:
        monkeypatch.setenv(name, own.get(name, ""))
        if name not in own:
            monkeypatch.delenv(name)
    assert run("bench", "--set", "rellu").returncode == 2
    expected = own or {"OMP_WAIT_POLICY": "PASSIVE"}
    assert {name: os.environ[name] for name in names if name in os.environ} == expected


def test_version(run):
    assert actzoo.__version__ in run("--version").stdout


@pytest.mark.slow
def test_a_run_in_a_pipe(run, tmp_path, tiny_npz):
    words = [sys.executable, "-m", "actzoo", *quick(tiny_npz, tmp_path / "out")]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[:2] == ["loading torch ...", "1 mixture of 2, its 2 members, 2 seeds: 6 cells"]
    assert "[1/6] relu + tanh on npz:" in done.stdout and "seed 0" in done.stdout
    assert str(tmp_path / "out" / "report.md") in re.sub(r"\s", "", done.stdout)
    assert "\x1b" not in done.stdout
    assert (tmp_path / "out" / "report.md").exists()
    assert (tmp_path / "out" / "results.csv").exists()
    again = run(*quick(tiny_npz, tmp_path / "out"))
    assert "\n6 of 6 cells were done before and are kept\n" in again.stdout
    rewritten = run("report", str(tmp_path / "out"))
    assert rewritten.returncode == 0 and "report.md" in rewritten.stdout


def test_json_is_one_document(run, tmp_path, tiny_npz):
    done = run(*quick(tiny_npz, tmp_path / "out", "--json", "--no-members"))
    document = json.loads(done.stdout)
    assert document["failed"] == 0
    assert [cell["set"] for cell in document["cells"]] == ["relu + tanh", "relu"] * 2
    assert "cells" in done.stderr


def test_a_failed_cell_is_exit_code_1(run, tmp_path, tiny_npz):
    done = run(*quick(tiny_npz, tmp_path / "out", "--set", "exp(99*x*x)"))
    assert done.returncode == 1
    assert "failed: DivergedError: phase 1, epoch 1" in done.stdout
    assert "Traceback" not in done.stderr
    again = run(*quick(tiny_npz, tmp_path / "out", "--set", "exp(99*x*x)"))
    assert again.returncode == 1
    assert again.stdout.count("(failed before)") == 2
    assert "cells failed, 2 of them before; the report says why" in again.stdout
    words = ["--set", "exp(99*x*x)", "--retry-failed", "--fail-fast"]
    retried = run(*quick(tiny_npz, tmp_path / "out", *words))
    assert retried.returncode == 1 and "failed before" not in retried.stdout


def test_dry_run_writes_nothing(run, tmp_path, tiny_npz):
    done = run(*quick(tiny_npz, tmp_path / "out", "--dry-run"))
    assert len(done.stdout.splitlines()) == 6
    assert "1 mixture of 2" in done.stderr
    assert not (tmp_path / "out").exists()
    rows = json.loads(run(*quick(tiny_npz, tmp_path / "out", "--dry-run", "--json")).stdout)
    assert len(rows) == 6


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["bench", "--set", "rellu"], "did you mean relu"),
        (["bench", "--set", "relu", "--seeds", "3-1"], "expected for example 0-9"),
        (["bench", "--set", "relu", "--device", "tpu"], "expected auto, cpu, cuda"),
        (["bench", "--set", "relu", "--dataset", "npz:/nowhere.npz"], "/nowhere.npz"),
        (["bench", "--set", "relu", "--lr-network", "0"], "lr=0.0"),
        (["bench", "--set", "relu,(tanh"], "("),
        (["show", "nothing"], "no activation is called 'nothing'"),
        (["show", "relu", "--plot", "a.txt"], "ends in .png"),
        (["nonsense"], "No such command"),
    ],
)
def test_bad_usage_is_exit_code_2(run, words, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = run(*words)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())


def test_report_of_no_run_is_exit_code_2(run, tmp_path):
    done = run("report", str(tmp_path))
    assert done.returncode == 2 and "holds no run" in done.stderr


def test_ls_and_show_tell_every_activation(run, tmp_path):
    rows = json.loads(run("ls", "--json").stdout)
    assert {row["name"] for row in rows} == set(actzoo.names())
    assert "gelu" in run("ls", "erfc").stdout and "relu " not in run("ls", "erfc").stdout
    assert "digits" in run("ls", "--datasets").stdout
    assert "paper_cnn" in run("ls", "--models").stdout
    shown = run("show", "gelu", "--plot", str(tmp_path / "gelu.png"))
    assert "arXiv:1606.08415" in shown.stdout and (tmp_path / "gelu.png").stat().st_size > 1000
    assert all(len(line) <= 80 for line in shown.stdout.splitlines())
    facts = json.loads(run("show", "relu", "--json").stdout)
    assert facts["formula"] == "max(0, x)" and facts["provider"].startswith("actzoo")


@pytest.mark.parametrize(
    ("word", "names"),
    [
        ("heaviside", {"binary_step"}),  # an alias
        ("ERFC", {"gelu", "laplace"}),  # a formula
        ("bumps", {"gaussian"}),  # a family
        ("1606.08415", {"gelu", "gelu_tanh", "quick_gelu"}),  # a source
        ("bent_", {"bent_identity"}),
        *((key, set()) for key in ("reference", "aliases", "learnable", "provider", "None", "[]")),
    ],
)
def test_ls_looks_for_a_word_in_the_texts_that_the_help_names(run, word, names):
    assert {row["name"] for row in json.loads(run("ls", word, "--json").stdout)} == names


def test_ls_looks_for_a_word_in_names_and_descriptions_of_models(run):
    found = json.loads(run("ls", "--models", "--json", "SIREN").stdout)
    assert [row["name"] for row in found] == ["coordinate_mlp"]
    assert not json.loads(run("ls", "--models", "--json", "provider").stdout)


def test_a_range_is_shown_as_a_sentence_has_it(run):
    assert json.loads(run("show", "softmax", "--json").stdout)["ranges"] == {
        "dim": "integers in (-inf, inf)"
    }
    assert json.loads(run("show", "celu", "--json").stdout)["ranges"] == {"alpha": "in [0, inf)"}


def test_without_a_set_every_named_set_runs(run):
    done = run("bench", "--dry-run", "--seeds", "0")
    sets = [s for s, _ in default().sets.entries]
    assert {"paper", "modern"} <= {s.name for s in sets}
    assert done.stderr.splitlines()[1].startswith(f"{len(sets)} mixtures, their ")
    for s in sets:
        assert s.name in run("ls", "--sets").stdout
        assert " + ".join(s.members) in done.stdout
    named = run("bench", "--set", "paper", "--dry-run", "--seeds", "0")
    assert "1 mixture of 3, its 3 members, 1 seed: 4 cells" in named.stderr


def test_env_and_plugins(run):
    rows = json.loads(run("plugins", "--no-load", "--json").stdout)
    assert {row["status"] for row in rows} == {"not loaded"}
    facts = json.loads(run("env", "--json").stdout)
    assert facts["actzoo"] == actzoo.__version__ and facts["packages"]["torch"]
    rows = json.loads(run("plugins", "--json").stdout)
    assert {row["plugin"] for row in rows} == {s.origin.plugin for s in default().plugins}


@pytest.mark.parametrize(
    ("text", "seeds"),
    [("0-2", (0, 1, 2)), ("5", (5,)), ("0,3,7", (0, 3, 7)), ("0-1, 4-5", (0, 1, 4, 5))],
)
def test_seeds(text, seeds):
    assert parse_seeds(text) == seeds


@pytest.mark.parametrize("text", ["", "a", "1-", "-1", "0,0", "2-1", "1.5", "0-999999"])
def test_bad_seeds(text):
    with pytest.raises(UsageError, match="seeds"):
        parse_seeds(text)


class TestConfig:
    """`bench --config`: what is given on the command line goes over the file."""

    @pytest.fixture
    def cells(self, run, tmp_path, tiny_npz):
        path = tmp_path / "my.toml"
        path.write_text(
            f"sets = 'relu,tanh'\ndatasets = 'npz:{tiny_npz}'\nmodels = 'mlp(width=8)'\n"
            f"seeds = [4]\nmembers = false\nepochs = 1\nout = '{tmp_path / 'out'}'\n"
        )

        def cells(*more):
            done = run("bench", "--config", str(path), "--dry-run", "--json", *more)
            assert done.returncode == 0, done.stderr
            return [(row["set"], row["seed"]) for row in json.loads(done.stdout)]

        return cells

    def test_alone(self, cells):
        assert cells() == [("relu + tanh", 4), ("relu", 4)]

    def test_under_flags(self, cells):
        flags = ["--members", "--seeds", "0", "--no-mixture"]
        assert cells(*flags) == [("relu", 0), ("tanh", 0)]

    def test_is_written_back(self, cells, run, tmp_path):
        words = ["bench", "--config", str(tmp_path / "my.toml"), "--threads", "1"]
        done = run(*words)
        assert done.returncode == 0, done.stderr
        again = run("bench", "--config", str(tmp_path / "out" / "sweep.toml"),
                    "--out", str(tmp_path / "out"))  # fmt: skip
        assert again.returncode == 0
        assert "\n2 of 2 cells were done before and are kept\n" in again.stdout

    def test_no_executor_is_none_of_the_file_s(self, cells, tmp_path):
        path = tmp_path / "my.toml"
        more = "executor = 'local'\nworkers = 2\nretry_failed = true\nno_cost = true\n"
        path.write_text(path.read_text() + more)
        assert len(cells("--executor", "none")) == 2

    def test_mistakes_are_usage(self, run, tmp_path):
        (tmp_path / "bad.toml").write_text("seed = 3")
        done = run("bench", "--config", str(tmp_path / "bad.toml"))
        assert done.returncode == 2 and "did you mean seeds" in done.stderr


class TestTuning:
    def test_several_rates_are_a_grid(self, run, tmp_path, tiny_npz):
        words = ["--lr-network", "1e-4,1e-2", "--grid", "batch-size=8", "--tune-seeds", "7"]
        done = run(*quick(tiny_npz, tmp_path / "out", *words, "--dry-run", "--json"))
        rows = json.loads(done.stdout)
        assert [row["tries"] for row in rows] == ["lr_network=0.0001"] * 3 + ["lr_network=0.01"] * 3
        assert {row["seed"] for row in rows} == {7}
        assert "6 cells, after 6 cells that tune lr_network" in done.stderr
        assert "6 cells to report follow the choice" in done.stderr

    @pytest.mark.parametrize(
        ("words", "message"),
        [
            (["--grid", "lr_netwrk=1,2"], "did you mean lr_network"),
            (["--grid", "lr_network"], "expected for example lr_network=3e-4,1e-3"),
            (["--grid", "batch_size=8,many"], "'many'"),
            (["--lr-network", "1e-3,fast"], "expected a number, or several"),
            (["--tune-seeds", "7"], "--tune-seeds goes with --grid"),
            (["--lr-network", "1e-3,1e-2", "--validation", "0"], "holds out none"),
            (["--lr-network", "1e-3,1e-2", "--tune-seeds", "1-2"], "seed 1 is among"),
        ],
    )
    def test_mistakes_are_usage(self, run, tmp_path, tiny_npz, words, message):
        done = run(*quick(tiny_npz, tmp_path / "out", *words))
        assert done.returncode == 2 and message in done.stderr
        assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_has_a_help_text(name):
    command = group.get_command(None, name)
    options = [p for p in command.params if isinstance(p, click.Option)]
    assert [o.opts for o in options if not o.help and not o.hidden] == []


@pytest.mark.parametrize("command", ["card", "bench"])
def test_defaults_beside_a_suite_are_said_to_be_those_of_where_it_says_nothing(run, command):
    text = " ".join(run(command, "--help").stdout.split())
    assert "replaces the suite's own in every row; a default in brackets holds only where" in text


def test_help_of_bench_fits_a_terminal_and_names_every_option(run):
    from actzoo.cli.bench import command

    text = run("bench", "--help").stdout
    assert all(len(line) <= 80 for line in text.splitlines())
    for option in command.params:
        assert option.opts[0] in text
