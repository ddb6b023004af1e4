from __future__ import annotations

import csv
import itertools
import json
import statistics
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from math import inf, nan
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

import actzoo
from actzoo.errors import DataError, DivergedError, TuningError, UsageError
from actzoo.results.layouts import read_result
from actzoo.results.schema import digest_of
from actzoo.results.store import Store
from actzoo.sweep import worker as work_module
from actzoo.sweep.plan import Run
from actzoo.sweep.prepare import make_plan
from actzoo.sweep.resolve import resolve
from actzoo.sweep.tune import choose, read_tuning, settings, trials
from actzoo.training.protocol import PAPER
from actzoo.training.result import CellOutput, EpochRow, Validation
from actzoo.training.spec import CellSpec

RATES = (1e-4, 1e-2)
QUICK = tuple(replace(p, epochs=1) for p in PAPER)


@pytest.fixture(scope="module")
def quick(tiny_npz):
    return {
        "datasets": (f"npz:{tiny_npz}",),
        "models": ("mlp(width=8)",),
        "seeds": (0, 1),
        "protocol": QUICK,
        "validation": 0.3,
        "threads": 1,
        "kernel": "reference",
        "grid": {"lr_network": RATES, "batch_size": [8, 32]},
        "tune_seeds": (10, 11),
    }


class Done(NamedTuple):
    folder: Path
    results: actzoo.sweep.events.Results
    kinds: list[str]


@pytest.fixture(scope="module")
def tuned(quick, tmp_path_factory):
    folder = tmp_path_factory.mktemp("tuned")
    kinds = []
    results = actzoo.bench(
        ["tanh"], out=folder, show=lambda e: kinds.append((e.kind, e.number, e.total)), **quick
    )
    return Done(folder, results, kinds)


def spec_of(folder, key):
    return json.loads((folder / "cells" / key / "cell.json").read_text())


class TestAWholeRun:
    def test_tries_everything_alike_and_then_reports_on_fresh_seeds(self, tuned):
        asked = json.loads((tuned.folder / "spec.json").read_text())
        tried = [spec_of(tuned.folder, key) for key in asked["tuning_keys"]]
        seen = {
            (s["members"][0], s["protocol"][0]["lr"], s["batch_size"], s["seed"]) for s in tried
        }
        assert len(tried) == 16
        assert seen == set(itertools.product(("tanh", "relu"), RATES, (8, 32), (10, 11)))
        assert {s["protocol"][1]["lr"] for s in tried} == {1e-2}  # that of mixtures is not tuned
        reported = [spec_of(tuned.folder, key) for key in asked["keys"]]
        assert [s["seed"] for s in reported] == [0, 0, 1, 1]
        assert [row["key"] for row in tuned.results.rows] == asked["keys"]
        with (tuned.folder / "results.csv").open() as file:
            assert [row["key"] for row in csv.DictReader(file)] == asked["keys"]
        whole = [(n, total) for kind, n, total in tuned.kinds if kind == "done"]
        assert whole == [(n, 20) for n in range(1, 21)]

    def test_chooses_by_the_held_out_images(self, tuned):
        """Held against the histories, read without the code under test."""
        asked = json.loads((tuned.folder / "spec.json").read_text())
        for name in ("tanh", "relu"):
            best = {}
            for key in asked["tuning_keys"]:
                spec = spec_of(tuned.folder, key)
                if spec["members"] == [name]:
                    with (tuned.folder / "cells" / key / "history.csv").open() as file:
                        last = list(csv.DictReader(file))[-1]
                    setting = spec["protocol"][0]["lr"], spec["batch_size"]
                    both = float(last["validation_accuracy"]), -float(last["validation_loss"])
                    best.setdefault(setting, []).append(both)
            means = {s: tuple(map(statistics.mean, zip(*v, strict=True))) for s, v in best.items()}
            expected = max(means, key=means.__getitem__)
            for key in asked["keys"]:
                spec = spec_of(tuned.folder, key)
                if spec["members"] == [name]:
                    assert (spec["protocol"][0]["lr"], spec["batch_size"]) == expected
                    assert spec["protocol"][2]["lr"] == expected[0]

    def test_stores_every_outcome_and_what_it_cost(self, tuned):
        found = read_tuning(tuned.folder)
        assert found.grid == {"lr_network": RATES, "batch_size": (8, 32)}
        assert found.seeds == (10, 11) and len(found.tuned) == 2
        for one in found.tuned:
            assert [dict(o.setting) for o in one.outcomes] == settings(found.grid)
            assert all(len(o.score) == 2 and o.epochs == 4 for o in one.outcomes)
            assert all(o.seconds > 0 and not o.failures for o in one.outcomes)

    def test_is_all_kept_by_the_same_command(self, tuned, quick):
        before = (tuned.folder / "tuning.json").read_bytes()
        kinds = []
        results = actzoo.bench(
            ["tanh"], out=tuned.folder, show=lambda e: kinds.append(e.kind), **quick
        )
        assert kinds == ["kept"] * 20
        assert (tuned.folder / "tuning.json").read_bytes() == before
        assert results.rows == tuned.results.rows

    @pytest.mark.parametrize(("stop", "pool"), [(3, ThreadPoolExecutor(1)), (17, None)])
    def test_is_finished_after_an_interruption(self, tuned, quick, tmp_path, stop, pool):
        def interrupt(event):
            if (event.kind, event.number) == ("start", stop):
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            actzoo.bench(["tanh"], out=tmp_path, show=interrupt, **quick)
        asked = json.loads((tmp_path / "spec.json").read_text())
        assert len(asked["keys"]) == (0 if stop <= 16 else 4)
        actzoo.bench(["tanh"], out=tmp_path, executor=pool, **quick)
        again, whole = read_tuning(tmp_path), read_tuning(tuned.folder)
        assert again.chosen == whole.chosen
        for one, other in zip(again.tuned, whole.tuned, strict=True):
            assert [o.score for o in one.outcomes] == [o.score for o in other.outcomes]
        keys = [json.loads((f / "spec.json").read_text())["keys"] for f in (tmp_path, tuned.folder)]
        assert keys[0] == keys[1]


def test_test_images_play_no_role(quick, tiny_npz, tmp_path):
    arrays = dict(np.load(tiny_npz))
    rng = np.random.default_rng(5)
    arrays["x_test"] = rng.integers(0, 256, arrays["x_test"].shape, dtype=np.uint8)
    arrays["y_test"] = rng.permutation(arrays["y_test"])
    np.savez(tmp_path / "tiny.npz", **arrays)
    found, accuracies = [], []
    options = {**quick, "grid": {"lr_network": RATES}, "seeds": (0,)}
    for number, path in enumerate((tiny_npz, tmp_path / "tiny.npz")):
        folder = tmp_path / str(number)
        options["datasets"] = (f"npz:{path}",)
        results = actzoo.bench(["tanh"], out=folder, **options)
        accuracies.append([row["test_accuracy"] for row in results.rows])
        tuned = read_tuning(folder).tuned
        found.append([(t.picked, [(o.score, o.loss) for o in t.outcomes]) for t in tuned])
    assert accuracies[0] != accuracies[1]
    assert found[0] == found[1]


class TestTheChoice:
    """From stores made by hand: settings A, B and C on two seeds."""

    @pytest.fixture(params=[("lr_network", (3e-3, 1e-3, 1e-2))], ids=["rates"])
    def pick(self, quick, tmp_path, request):
        name, values = request.param
        run = resolve(Run(sets=(("tanh",),), **{**quick, "grid": {name: values}}))
        some = trials(run, make_plan(run, tmp_path)[0].prints)
        store = Store(tmp_path / "out")

        def pick(outcomes):
            """Which setting of tanh is chosen; relu has the same outcomes."""
            for trial in some:
                number = values.index(trial.setting[name])
                outcome = outcomes[number][trial.spec.seed - 10]
                if outcome is None:
                    continue
                if outcome == "failed":
                    store.fail(trial.spec, DivergedError("phase 1"), "")
                    continue
                if isinstance(outcome, Exception):
                    store.fail(trial.spec, outcome, "")
                    continue
                history = tuple(
                    EpochRow(1, "network", epoch, 0.5, 1.0, [], Validation(*held))
                    for epoch, held in enumerate([(0.99, 0.0), outcome], start=1)
                )
                numbers = {
                    "key": trial.spec.key,
                    "spec": trial.spec.to_json(),
                    "test": {"correct": 1, "images": 2, "accuracy": 0.5, "loss": 0.1},
                    "train_images": 8,
                    "validation_images": 2,
                    "parameters": {"network": 1, "activations": 0, "mixture": 0},
                    "layers": [],
                    "health": [],
                    "phases_skipped": [],
                    "kernel": "reference",
                    "environment": {},
                    "seconds": {"training": 2.0, "measuring": 0.5, "total": 3.0},
                }
                numbers["digest"] = digest_of(numbers)
                store.finish(trial.spec, CellOutput(read_result(numbers), history))
            tuning = choose(store, run, some)
            assert len({t.picked for t in tuning.tuned}) == 1
            first = tuning.tuned[0].outcomes[0]
            done = sum(isinstance(o, tuple) for o in outcomes[0])
            assert (first.epochs, first.seconds) == (2 * done, 2.0 * done)
            return tuning.tuned[0].picked

        return pick

    @pytest.mark.parametrize(
        ("outcomes", "picked"),
        [
            ([[(0.5, 1), (0.7, 1)], [(0.9, 9), (0.4, 9)], [(0.6, 1), (0.5, 1)]], 1),
            ([[(0.6, 2), (0.6, 1)], [(0.5, 1), (0.7, 1)], [(0.6, 1), (0.6, 2)]], 1),
            ([[(0.6, 1), (0.6, 1)], [(0.6, 1), (0.6, 1)], [(0.6, 1), (0.6, 1)]], 0),
            ([[(0.9, 1), "failed"], [(0.6, 1), (0.6, 1)], [(0.5, 1), (0.5, 1)]], 1),
            ([["failed", "failed"], [(0.1, 1), "failed"], ["failed", "failed"]], 1),
            ([["failed", "failed"], ["failed", "failed"], ["failed", "failed"]], 0),
            ([[(0.9, 1), (0.9, 1)], [(inf, 1), (0.1, 1)], [(0.8, 1), (0.8, 1)]], 1),
            ([[(-inf, 1), (0.9, 1)], [(0.1, 1), (0.1, 1)], [(nan, 1), (0.9, 1)]], 1),
        ],
        ids=[
            "accuracy",
            "loss",
            "order",
            "a failure",
            "fewer failures",
            "failures only",
            "a perfect score",
            "scores that are none",
        ],
    )
    def test_is_by(self, pick, outcomes, picked):
        assert pick(outcomes) == picked

    def test_waits_for_all(self, pick):
        full = [(0.5, 1), (0.5, 1)]
        with pytest.raises(TuningError, match=r"is not finished: cell [0-9a-f]{16} has no result"):
            pick([full, full, [(0.5, 1), None]])

    FULL = ((0.5, 1), (0.5, 1))

    @pytest.mark.parametrize(
        "error", [DataError("other data"), OSError("gone"), MemoryError("no room")]
    )
    def test_is_not_by_what_the_machine_did(self, pick, error):
        with pytest.raises(TuningError, match=f"nothing was chosen: 2 of.*{error}.*--retry-failed"):
            pick([self.FULL, self.FULL, ((0.1, 1), error)])

    @pytest.mark.parametrize("pick", [("batch_size", (8, 32, 64))], indirect=True)
    def test_too_large_a_batch_is_an_outcome(self, pick):
        assert pick([self.FULL, self.FULL, ((0.9, 1), MemoryError("no room"))]) == 0


class TestFailures:
    def test_divergence_is_an_outcome(self, quick, tmp_path):
        options = {**quick, "seeds": (0,), "grid": {"lr_network": RATES}, "baseline": "tanh"}
        results = actzoo.bench(["exp(99*x*x)"], out=tmp_path, fail_fast=True, **options)
        bad, good = read_tuning(tmp_path).tuned
        assert [len(o.failures) for o in bad.outcomes] == [2, 2] and bad.picked == 0
        assert not any(o.failures for o in good.outcomes)
        assert [row["status"] for row in results.rows] == ["failed", "not run"]
        assert results.tuning_failed == 0

    @pytest.mark.parametrize("fail_fast", [False, True])
    def test_another_failure_counts(self, quick, tmp_path, monkeypatch, fail_fast):
        run_cell = work_module.run_cell

        def breaks(spec, *more):
            if spec.seed == 11 and spec.members == ("tanh",):
                raise MemoryError("no room")
            return run_cell(spec, *more)

        monkeypatch.setattr(work_module, "run_cell", breaks)
        options = {**quick, "seeds": (0,), "grid": {"lr_network": RATES}}
        if fail_fast:
            with pytest.raises(TuningError, match="nothing was chosen"):
                actzoo.bench(["tanh"], out=tmp_path, fail_fast=True, **options)
            assert not (tmp_path / "tuning.json").exists()
            return
        for _ in range(2):  # a failure that is kept does not decide either
            with pytest.raises(TuningError, match=r"tanh with lr_network=0.0001, seed 11: Memory"
                               r".*no room.*--retry-failed"):  # fmt: skip
                actzoo.bench(["tanh"], out=tmp_path, **options)
            assert not (tmp_path / "tuning.json").exists()
        monkeypatch.undo()
        results = actzoo.bench(["tanh"], out=tmp_path, retry_failed=True, **options)
        assert results.failed == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"seeds": (0, 11)}, "seed 11 is among the tuning seeds"),
        ({"validation": 0.0}, "holds out none"),
        ({"grid": {"lr": (1, 2)}}, "no 'lr'"),
        ({"grid": {"lr_netwrk": (1, 2)}}, "did you mean lr_network"),
        ({"grid": {"lr_network": ()}}, "no value for lr_network"),
        ({"grid": {"lr_network": (1e-3, 1e-3)}}, "0.001 more than once"),
        ({"grid": {"lr_network": (1e-3, -1.0)}}, "lr=-1.0"),
        ({"grid": {"batch_size": (8, 0.5)}}, "batch_size = 0.5; expected a whole number"),
        ({"grid": {"optimizer": ("adam", "lion")}}, "'lion'"),
        ({"tune_seeds": ()}, "no tune_seeds"),
        ({"tune_seeds": (10, 10)}, "tune_seeds: 10 is there more than once"),
    ],
)
def test_what_cannot_be_tuned_is_refused(quick, tmp_path, options, message):
    with pytest.raises(UsageError, match=message):
        actzoo.bench(["tanh"], out=tmp_path / "out", **{**quick, **options})
    assert not (tmp_path / "out").exists()


def test_one_value_is_set_and_not_tuned(quick, tmp_path):
    alone = {**quick, "seeds": (10, 11), "validation": 0.0}
    one = Run(sets=(("tanh",),), **{**alone, "grid": {"lr_network": (0.5,), "batch_size": (8,)}})
    protocol = tuple(replace(p, lr=p.lr if p.trains == "mixture" else 0.5) for p in QUICK)
    plain = {**alone, "grid": {}, "protocol": protocol, "batch_size": 8}
    other = make_plan(Run(sets=(("tanh",),), **plain), tmp_path)[0]
    plan = make_plan(one, tmp_path)[0]
    assert plan.trials == () and plan.cells == other.cells and len(plan.cells) == 4


def test_a_run_says_what_it_will_tune(quick):
    run = Run(sets=(("relu", "tanh"),), **quick)
    assert run.summary() == (
        "1 mixture of 2, its 2 members, 2 seeds: 6 cells, after 24 cells that tune lr_network, "
        "batch_size (4 settings, 2 seeds)"
    )


def test_a_control_that_sets_the_start_tries_no_other(quick, tmp_path):
    options = {**quick, "grid": {"init": ("random", "equal"), "lr_network": (1e-3, 1e-2)}}
    run = Run(sets=(("relu", "tanh"),), members=False, control="equal-start,joint", **options)
    plan = make_plan(run, tmp_path)[0]
    tried = Counter(trial.subject.control or trial.subject.members for trial in plan.trials)
    seeds = len(run.tune_seeds)
    assert tried == {
        ("relu", "tanh"): 4 * seeds, ("relu",): 4 * seeds, "joint": 4 * seeds,
        "equal-start": 2 * seeds,
    }  # fmt: skip
    assert len({trial.spec.key for trial in plan.trials}) == len(plan.trials)
    assert {
        trial.setting["init"] for trial in plan.trials if trial.subject.control == "equal-start"
    } == {"equal"}
    assert f"after {len(plan.trials)} cells that tune" in run.summary()


def test_controls_are_tuned_on_their_own(quick, tmp_path):
    run = Run(sets=(("relu", "tanh"),), control="equal-epochs", **quick)
    plan = make_plan(run, tmp_path)[0]
    controls = {t.subject for t in plan.trials if t.subject.control}
    assert {s.members for s in controls} == {("relu",), ("tanh",)}
    assert all(isinstance(t.spec, CellSpec) and t.spec.control == t.subject.control
               for t in plan.trials)  # fmt: skip
