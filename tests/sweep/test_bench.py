from __future__ import annotations

import csv
import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
import torch

import actzoo
from actzoo.errors import StoreError, UnknownNameError, UsageError
from actzoo.report.markdown import write_report
from actzoo.results.store import Store
from actzoo.sweep import bench
from actzoo.sweep.plan import Run
from actzoo.sweep.prepare import make_plan
from actzoo.training import cell as cells
from actzoo.training.protocol import PAPER, Phase
from actzoo.training.setup import Setup
from actzoo.training.spec import CellSpec

QUICK = tuple(replace(p, epochs=1) for p in PAPER)


@pytest.fixture
def quick(tiny_npz):
    """Options of a run of a second."""
    return {
        "datasets": (f"npz:{tiny_npz}",),
        "models": ("mlp(width=8)",),
        "seeds": (0, 1),
        "protocol": QUICK,
        "threads": 1,
    }


def without_times(folder):
    with (folder / "results.csv").open(newline="") as file:
        return [
            {k: v for k, v in row.items() if not k.endswith("_seconds")}
            for row in csv.DictReader(file)
        ]


@pytest.mark.parametrize(
    ("options", "summary"),
    [
        ({}, "1 mixture of 3, its 3 members, 3 seeds: 12 cells"),
        ({"members": False}, "1 mixture of 3, the baseline relu, 3 seeds: 6 cells"),
        ({"mixtures": False}, "3 single functions, 3 seeds: 9 cells"),
        (
            {"sets": (("gelu",),), "seeds": (0,)},
            "1 single function, the baseline relu, 1 seed: 2 cells",
        ),
        (
            {"sets": (("tanh", "sin"), ("gelu", "silu")), "seeds": (0, 1)},
            "2 mixtures, their 4 members, the baseline relu, 2 seeds: 14 cells",
        ),
        (
            {"control": "equal-epochs", "seeds": (5,)},
            "1 mixture of 3, its 3 members, 3 controls of equal epochs, 1 seed: 7 cells",
        ),
    ],
)
def test_the_first_line_says_what_will_run(options, summary):
    run = Run(**{"sets": (("relu", "tanh", "sin"),), **options})
    assert run.summary() == summary
    assert run.cell_count() == len(list(run.variants())) * len(run.seeds)


def test_bench_from_names_to_a_frame(tmp_path, quick):
    events = []
    results = actzoo.bench(["relu,tanh"], out=tmp_path / "out", show=events.append, **quick)
    frame = results.to_frame()
    assert list(frame["set"]) == ["relu + tanh", "relu", "tanh"] * 2
    assert (frame["status"] == "ok").all() and results.failed == 0
    assert frame["test_accuracy"].between(0, 1).all()
    assert [e.kind for e in events if e.kind != "epoch"] == ["start", "done"] * 6


def test_running_it_again_redoes_nothing_and_twice_is_the_same(tmp_path, quick):
    actzoo.bench(["relu,tanh"], out=tmp_path / "one", **quick)
    before = (tmp_path / "one" / "results.csv").read_bytes()
    kinds = []
    actzoo.bench(["relu,tanh"], out=tmp_path / "one", show=lambda e: kinds.append(e.kind), **quick)
    assert set(kinds) == {"kept"}
    assert (tmp_path / "one" / "results.csv").read_bytes() == before
    actzoo.bench(["relu,tanh"], out=tmp_path / "two", **quick)
    assert without_times(tmp_path / "one") == without_times(tmp_path / "two")


@pytest.mark.parametrize("stop_at", [("start", 3), ("epoch", 2), ("done", 4)])
def test_an_interrupted_run_is_finished_by_the_same_command(tmp_path, quick, stop_at):
    actzoo.bench(["relu,tanh"], out=tmp_path / "whole", **quick)

    def interrupt(event):
        if (event.kind, event.number) == stop_at:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        actzoo.bench(["relu,tanh"], out=tmp_path / "torn", show=interrupt, **quick)
    kinds = []
    actzoo.bench(["relu,tanh"], out=tmp_path / "torn", show=lambda e: kinds.append(e.kind), **quick)
    assert kinds.count("kept") == stop_at[1] - (0 if stop_at[0] == "done" else 1)
    assert without_times(tmp_path / "whole") == without_times(tmp_path / "torn")


def test_an_error_while_the_table_is_written_hides_no_other(tmp_path, quick, monkeypatch):
    def torn(*_):
        raise StoreError("a result is torn")

    def interrupt(event):
        raise KeyboardInterrupt

    monkeypatch.setattr(bench, "cell_row", torn)
    with pytest.raises(KeyboardInterrupt):
        actzoo.bench(["tanh"], out=tmp_path / "out", show=interrupt, **quick)


def test_an_interruption_while_tuning_leaves_the_table_of_before(tmp_path, quick):
    quick = {**quick, "seeds": (0,)}
    actzoo.bench(["tanh"], out=tmp_path, **quick)
    before = (tmp_path / "results.csv").read_bytes()

    def interrupt(event):
        raise KeyboardInterrupt

    grid = {"lr_network": (1e-3, 1e-2)}
    with pytest.raises(KeyboardInterrupt):
        actzoo.bench(["tanh"], out=tmp_path, show=interrupt, grid=grid, **quick)
    assert (tmp_path / "results.csv").read_bytes() == before


def test_other_threads_are_other_cells_and_that_is_said(tmp_path, quick):
    quick = {**quick, "seeds": (0,), "baseline": "tanh"}
    actzoo.bench(["tanh"], out=tmp_path, **quick)
    lines = []

    def show(event):
        if event.kind == "moved":
            lines.append(event.message)

    actzoo.bench(["tanh"], out=tmp_path, show=show, **{**quick, "threads": 2})
    assert len(lines) == 1
    assert lines[0].startswith("0 of 1 cells kept: threads 1 -> 2")
    assert "give --threads 1" in lines[0]
    actzoo.bench(["tanh"], out=tmp_path, show=show, **{**quick, "threads": 2, "batch_size": 64})
    assert len(lines) == 1


def test_a_test_loss_that_is_not_finite_is_a_result(tmp_path, quick, monkeypatch):
    measure = Setup.measure

    def overflows(setup, examples):
        measured = measure(setup, examples)
        if examples is setup.task.test:
            measured["loss"][0] = float("inf")
        return measured

    monkeypatch.setattr(Setup, "measure", overflows)
    results = actzoo.bench(["tanh"], out=tmp_path, **quick)
    assert results.failed == 0
    for row in results.rows:
        assert row["test_loss"] is None
        assert 0 <= row["test_accuracy"] <= 1
    assert write_report(tmp_path).exists()


def test_a_weight_that_is_not_finite_after_the_last_step_is_a_failure(tmp_path, quick, monkeypatch):
    train = cells.train

    def diverges(spec, setup, *others):
        done = train(spec, setup, *others)
        with torch.no_grad():
            setup.built.network_parameters()[0].view(-1)[0] = float("nan")
        return done

    monkeypatch.setattr(cells, "train", diverges)
    results = actzoo.bench(["tanh"], out=tmp_path, **{**quick, "seeds": (0,)})
    assert {row["status"] for row in results.rows} == {"failed"}
    assert "is not finite" in results.rows[0]["message"]


@pytest.mark.filterwarnings("ignore:many inputs of an activation lie outside")
def test_a_cell_that_diverges_is_a_result_and_the_others_go_on(tmp_path, quick):
    results = actzoo.bench(["exp(99*x*x),tanh"], out=tmp_path / "out", **quick)
    frame = results.to_frame()
    failed = frame[frame["status"] == "failed"]
    assert set(failed["set"]) == {"exp(99*x*x) + tanh", "exp(99*x*x)"}
    assert failed["message"].str.contains("phase 1, epoch 1: the loss is").all()
    assert (frame[frame["set"] == "tanh"]["status"] == "ok").all()
    assert results.failed == 4
    store = Store(tmp_path / "out")
    assert "DivergedError" in store.error(failed["key"].iloc[0]).trace


class TestFailures:
    @pytest.fixture
    def broken(self, quick, tmp_path):
        """A run of six cells, of which numbers 1, 2, 4 and 5 diverge."""

        def bench(folder="out", **options):
            events = []
            results = actzoo.bench(
                ["exp(99*x*x),tanh"],
                **{**quick, "show": events.append, "baseline": "tanh", **options},
                out=tmp_path / folder,
            )
            return results, [(e.kind, e.number) for e in events if e.kind != "epoch"]

        return bench

    def test_are_kept_until_they_are_to_run_again(self, broken, tmp_path):
        first, _ = broken()
        table = (tmp_path / "out" / "results.csv").read_bytes()
        kept, shown = broken()
        assert [kind for kind, _ in shown] == ["failed", "failed", "kept"] * 2
        assert (first.kept_failed, kept.kept_failed, kept.failed) == (0, 4, 4)
        assert (tmp_path / "out" / "results.csv").read_bytes() == table
        again, shown = broken(retry_failed=True)
        assert [n for kind, n in shown if kind == "start"] == [1, 2, 4, 5]
        assert (again.kept_failed, again.failed) == (0, 4)

    def test_a_retry_that_works_is_done(self, broken, tmp_path):
        whole, _ = broken()
        key = next(row["key"] for row in whole.rows if row["status"] == "ok")
        store = Store(tmp_path / "out")
        spec = store.result(key).spec
        (store.cell(key) / "result.json").unlink()
        store.fail(spec, MemoryError("of an earlier try"), "trace")
        assert broken()[0].failed == 5
        assert broken(retry_failed=True)[0].failed == 4
        assert store.error(key) is None

    def test_fail_fast_stops_at_the_first(self, broken):
        results, shown = broken(fail_fast=True)
        assert shown == [("start", 1), ("failed", 1)]
        assert [row["status"] for row in results.rows] == ["failed"] + ["not run"] * 5
        assert results.failed == 6
        results, shown = broken(fail_fast=True)  # the one that is known is no reason to stop
        assert shown[:3] == [("failed", 1), ("start", 2), ("failed", 2)]
        assert [row["status"] for row in results.rows][1:3] == ["failed", "not run"]

    def test_fail_fast_leaves_what_an_executor_has_not_begun(self, broken):
        with ThreadPoolExecutor(1) as pool:
            results, _ = broken("apart", fail_fast=True, executor=pool)
        # The one thread may have begun its next cells when the first failure was seen.
        states = [row["status"] for row in results.rows]
        assert states[0] == "failed" and "not run" in states


def test_the_key_covers_what_is_run(quick, tiny_npz, tmp_path, monkeypatch):
    def key(**changes):
        run = Run(sets=(("tanh",),), **{**quick, "seeds": (0,), **changes})
        return make_plan(run, tmp_path)[0].cells[0].key

    base = key()
    assert key() == base
    others = {
        key(batch_size=64),
        key(seeds=(1,)),
        key(threads=2),
        key(limit=60),
        key(validation=0.2),
        key(models=("mlp(width=9)",)),
        key(protocol=(replace(QUICK[0], lr=0.5), *QUICK[1:])),
        key(precision="bf16"),
        key(init="random"),
    }
    assert base not in others and len(others) == 9
    from actzoo.training import fingerprint

    monkeypatch.setattr(fingerprint, "_digest", lambda files, again=(): "edited")
    assert key() != base


def test_an_alias_is_the_same_cell(quick, tmp_path):
    keys = {
        make_plan(Run(sets=((name,),), **quick), tmp_path)[0].cells[0].key
        for name in ("leaky_relu", "LReLU", "actzoo:leaky-relu")
    }
    assert len(keys) == 1


def test_one_experiment_has_one_name(quick, tmp_path):
    def keys(**changes):
        return {
            c.key for c in make_plan(Run(sets=(("tanh",),), **quick | changes), tmp_path)[0].cells
        }

    assert (
        keys(models=("mlp",)) == keys(models=("MLP(depth=2)",)) == keys(models=("mlp(width=128)",))
    )
    digits = {"limit": 200, "seeds": (0,)}
    assert keys(datasets=("digits",), **digits) == keys(datasets=("Digits",), **digits)


def test_a_function_that_draws_in_training_is_repeatable_and_its_curve_is_not_noise(
    tmp_path, quick
):
    runs = [actzoo.bench(["rrelu"], out=tmp_path / name, **quick) for name in ("one", "two")]
    assert without_times(tmp_path / "one") == without_times(tmp_path / "two")
    key = next(row["key"] for row in runs[0].rows if row["set"] == "rrelu")
    curve = Store(tmp_path / "one").arrays(key, "layers")["A1_on_1"]
    assert curve[0] == pytest.approx(-(1 / 8 + 1 / 3) / 2, rel=1e-5)


def test_a_retry_forgets_the_old_failure_before_it_runs(tmp_path, quick):
    cell = make_plan(Run(sets=(("tanh",),), **quick), tmp_path)[0].cells[0]
    store = Store(tmp_path / "out")
    store.fail(cell, ValueError("of an earlier try"), "trace")
    assert store.error(cell.key).message == "of an earlier try"
    store.begin(cell)
    assert store.error(cell.key) is None


def test_a_spec_survives_its_canonical_form(quick, tmp_path):
    plan, _ = make_plan(Run(sets=(("relu", "leaky_relu(slope=0.2)"),), **quick), tmp_path)
    for cell in plan.cells:
        assert CellSpec.from_json(json.loads(json.dumps(cell.to_json()))) == cell


def test_members_of_one_seed_are_paired(tmp_path, quick):
    """The same function under another name trains to the same bits: one start, one order."""
    results = actzoo.bench(["relu", "max(0, x)"], out=tmp_path / "out", **quick)
    frame = results.to_frame()
    one, two = (frame[frame["set"] == name] for name in ("relu", "max(0, x)"))
    assert list(one["test_loss"]) == pytest.approx(list(two["test_loss"]), rel=1e-6)


@pytest.mark.parametrize(
    ("sets", "options", "error", "message"),
    [
        (["relu,gellu"], {}, UnknownNameError, "did you mean gelu"),
        (["relu,relu"], {}, UsageError, "names relu more than once"),
        (["identity,linear"], {}, UsageError, "identity more than once"),
        ([], {}, UsageError, "no set to run"),
        (["relu"], {"datasets": ("digit",)}, UnknownNameError, "did you mean digits"),
        (["relu"], {"models": ("vgg",)}, UnknownNameError, "no model is called 'vgg'"),
        (["relu"], {"seeds": (-1,)}, UsageError, "0 or more"),
        (["relu"], {"seeds": ()}, UsageError, "no seeds"),
        (["relu"], {"validation": 0.95}, UsageError, "0 to 0.9"),
        (["relu"], {"batch_size": 0}, UsageError, "batch_size = 0"),
        (["relu"], {"init": "ones"}, UsageError, "expected one of equal, random"),
        (["relu"], {"limit": 100_000}, UsageError, "100"),
        (["relu"], {"baseline": "nothing"}, UnknownNameError, "'nothing'"),
        (["relu"], {"seeds": (0, 0)}, UsageError, "seeds: 0 is there more than once"),
        (["relu"], {"device": "tpu"}, UsageError, "expected auto, cpu, cuda"),
        (["relu,tanh"], {"members": False, "mixtures": False}, UsageError, "neither mixtures"),
    ],
)
def test_bad_input_is_refused_before_anything_is_written(
    tmp_path, quick, sets, options, error, message
):
    with pytest.raises(error, match=message):
        actzoo.bench(sets, out=tmp_path / "out", **{**quick, **options})
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"trains": "weights"}, "expected one of network, mixture, all"),
        ({"trains": "network", "epochs": -1}, "epochs=-1"),
        ({"trains": "network", "lr": 0.0}, "lr=0.0"),
        ({"trains": "network", "lr": float("nan")}, "lr=nan"),
        ({"trains": "network", "weight_decay": -1.0}, "weight_decay=-1.0"),
        ({"trains": "network", "optimizer": "lion"}, "adam, adamw, sgd"),
        ({"trains": "network", "schedule": "step"}, "constant, cosine"),
    ],
)
def test_a_phase_out_of_range_is_refused(values, message):
    with pytest.raises(UsageError, match=message):
        Phase(**values)
