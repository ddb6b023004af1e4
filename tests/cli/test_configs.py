"""The configs that come with actzoo, and how long a dry run says that a run takes."""

from __future__ import annotations

import json
from importlib.metadata import files

import pytest
from click.testing import CliRunner

import actzoo
from actzoo.cli import group
from actzoo.cli.bench_options import CONFIGS
from actzoo.sweep.config import ELSEWHERE, read_config, to_run
from actzoo.sweep.estimate import Costs
from actzoo.sweep.feasible import check_controls
from actzoo.sweep.prepare import make_plan
from actzoo.training.controls import CONTROLS
from actzoo.training.protocol import PAPER


def bench(*words):
    return CliRunner().invoke(group, ["bench", *map(str, words)], standalone_mode=False)


@pytest.fixture
def quick(tiny_npz):
    return (
        "--set", "relu,tanh", "--dataset", f"npz:{tiny_npz}", "--model", "mlp(depth=2,width=8)",
        "--seeds", "0-1", "--epochs", "1", "--device", "cpu",
    )  # fmt: skip


@pytest.mark.parametrize("name", CONFIGS)
def test_each_config_is_the_experiment_of_the_paper(name):
    settings = read_config(CONFIGS[name])
    run = to_run(settings)
    check_controls(run, actzoo.RATIO)
    assert run.sets == (("relu", "tanh", "sin"),) and run.protocol == PAPER
    assert run.init == "random" and run.models == ("paper_cnn",)
    assert set(run.datasets) <= {"mnist", "fashion_mnist", "kmnist"}
    assert settings["note"]


def test_the_whole_has_each_dataset_and_control():
    run = to_run(read_config(CONFIGS["paper"]))
    assert run.datasets == ("mnist", "fashion_mnist", "kmnist") and run.members
    parts = [to_run(read_config(CONFIGS[name])) for name in ("paper-10k", "paper-starts")]
    assert set(run.controls) == {n for n, control in CONTROLS.items() if not control.w_start}
    assert {*parts[0].controls, *parts[1].controls} == set(CONTROLS)


def test_configs_of_one_report_differ_in_what_may_be_merged_alone():
    one, other = (to_run(read_config(CONFIGS[name])) for name in ("paper-10k", "paper-starts"))
    assert (one.limit, one.validation, one.protocol) == (
        other.limit, other.validation, other.protocol,
    )  # fmt: skip


def test_a_config_is_found_by_its_name_and_a_file_of_that_name_by_its_path(
    quick, tiny_npz, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "paper").write_text("sets = ['gelu']\nmembers = false\n")
    flags = ("--dry-run", "--json", *quick[2:])
    named = json.loads(bench("--config", "paper", *flags).stdout)
    assert {row["set"] for row in named} >= {"relu + tanh + sin", "relu + tanh + sin (frozen)"}
    own = json.loads(bench("--config", "./paper", *flags).stdout)
    assert {row["set"] for row in own} == {"gelu", "relu"}
    (tmp_path / "paper").unlink()
    (tmp_path / "paper").mkdir()
    assert json.loads(bench("--config", "paper", *flags).stdout) != own
    (tmp_path / "mine").write_text("sets = ['gelu']\nmembers = false\n")  # as before
    assert len(json.loads(bench("--config", "mine", *flags).stdout)) == len(own)


@pytest.mark.parametrize("name", ["papr", "paper-big", "Paper"])
def test_an_unknown_name_is_refused_with_those_there_are(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    message = getattr(bench("--config", name, "--dry-run").exception, "message", "")
    assert f"no file and no config is called {name!r}; there are the configs paper, " in message


def test_help_names_each_config_and_control():
    text = "".join(bench("--help").stdout.split())  # lines may end within a name
    assert all(name in text for name in CONFIGS)
    assert all(n in text for n, control in CONTROLS.items() if not control.w_start)
    assert "w-only" in text


def test_configs_are_installed():
    installed = {path.name for path in files("actzoo") or () if path.parent.name == "configs"}
    on_disk = {path.name for path in CONFIGS.values()}
    assert not installed or installed == on_disk  # an editable install lists no data
    assert "paper.toml" in on_disk


def test_a_note_is_shown_and_is_no_setting_of_the_run(quick, tmp_path):
    path = tmp_path / "my.toml"
    path.write_text("note = 'what it cannot show'\n")
    done = bench("--config", path, "--dry-run", *quick)
    assert "note: what it cannot show" in done.stderr
    assert done.stdout == bench("--dry-run", *quick).stdout
    assert "note" in ELSEWHERE


def test_a_dry_run_says_the_hours_and_from_what(quick):
    done = bench("--dry-run", *quick)
    assert len(done.stdout.splitlines()) == 6
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("estimate: ")]
    assert "for 6 cells, one after another" in line
    assert "measured now on this machine" in line
    more = bench("--dry-run", *quick, "--executor", "local", "--workers", 3).stderr
    assert "for 6 cells, 3 at a time" in more


def test_the_document_has_the_seconds_of_each_cell(quick):
    rows = json.loads(bench("--dry-run", "--json", *quick).stdout)
    assert len(rows) == 6 and all(row["estimated_seconds"] > 0 for row in rows)
    of_set = {row["set"]: row["estimated_seconds"] for row in rows}
    assert [row["estimated_seconds"] for row in rows] == [of_set[row["set"]] for row in rows]


def test_the_seconds_of_a_cell_by_hand(tiny_npz):
    run = to_run({"sets": (("relu", "tanh"),), "datasets": (f"npz:{tiny_npz}",), "epochs": 4})
    mixture, single = make_plan(run, tiny_npz.parent)[0].cells[:2]
    step = {("network", "adam"): 2.0, ("mixture", "adam"): 1.0}
    costs = Costs(start=100.0, step=step, batches=3, epoch=10.0, test=1000.0)
    assert costs.of(mixture) == 1100 + 2 * 4 * (3 * 2 + 10) + 4 * (3 * 1 + 10)
    alone = Costs(100.0, {**step, ("mixture", "adam"): 0.0}, 3, 10.0, 1000.0)
    assert alone.of(single) == 1100 + 2 * 4 * (3 * 2 + 10)


def test_cells_that_follow_a_choice_are_counted(quick):
    done = bench("--dry-run", *quick, "--lr-network", "1e-3,1e-2", "--tune-seeds", "7")
    assert "6 cells to report follow the choice" in done.stderr
    assert "for 12 cells" in done.stderr


def test_cells_that_cannot_make_a_step_are_left_out(quick, tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(
        "import torch\n\n\ndef breaks(x):\n    if torch.is_grad_enabled() and x.dim() == 2:\n"
        "        raise RuntimeError('no')\n    return x * 2\n"
    )
    words = ("--dry-run", *quick, "--set", f"{path}:breaks")
    assert "for 6 cells, one after another" in (said := bench(*words).stderr)
    assert "; 2 more cannot make a step here" in said
    rows = json.loads(bench(*words, "--json").stdout)
    unknown = {row["set"] for row in rows if row["estimated_seconds"] is None}
    assert len(unknown) == 1 and "breaks" in unknown.pop()


def test_cells_of_other_machines_are_not_measured_here(quick):
    words = [word for word in quick if word not in ("--device", "cpu")]
    rows = bench("--dry-run", "--json", *words, "--executor", "dask", "--device", "cuda:97")
    assert {row["estimated_seconds"] for row in json.loads(rows.stdout)} == {None}
    assert "how long it takes is not known" in rows.stderr
