"""Several folders as one report, and cells that were not made alike."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from actzoo.errors import StoreError, UsageError
from actzoo.report.content import Report
from actzoo.report.figures import Figures
from actzoo.report.markdown import render, write_merged, write_report
from actzoo.report.merge import read_studies
from actzoo.report.reading import read_study
from actzoo.report.unlike import mixed, refuse_mixed
from actzoo.report.verdicts import compare
from actzoo.report.view import Study

Make = Callable[..., Path]
Edit = Callable[..., None]
RELU = [900, 902, 899, 903]
TANH = [910, 913, 909, 912]
SIN = [880, 884, 879, 881]


def text(study: Study) -> str:
    report = Report(study, Path(), mixed_machines=True, keep_order=True)
    report.figures = Figures(Path(), "png")
    return re.sub(" +", " ", render(report))


def test_sets_of_two_folders_stand_in_one_table(make_store: Make) -> None:
    one = make_store({"relu": RELU, "tanh": TANH}, sets=(("tanh",),), name="one")
    two = make_store({"relu": RELU, "sin": SIN}, sets=(("sin",),), name="two")
    whole = make_store(
        {"relu": RELU, "tanh": TANH, "sin": SIN}, sets=(("tanh",), ("sin",)), name="whole"
    )
    merged = read_studies([one, two])
    assert len(merged.groups) == 1
    found = {row.variant.name: row for row in compare(merged)[0]}
    expected = {row.variant.name: row for row in compare(read_study(whole))[0]}
    assert set(found) == {"relu", "tanh", "sin"}
    for name, row in expected.items():
        assert row.difference == pytest.approx(found[name].difference, nan_ok=True)
        assert row.adjusted_p == pytest.approx(found[name].adjusted_p, nan_ok=True)
        assert row.verdict == found[name].verdict
    assert "| command of `one` |" in text(merged)
    assert "| command of `two` |" in text(merged)


def test_a_folder_twice_is_no_two_folders(make_store: Make) -> None:
    folder = make_store({"relu": RELU, "tanh": TANH}, sets=(("tanh",),))
    with pytest.raises(UsageError, match="is given twice"):
        read_studies([folder, folder.parent / "x" / ".." / folder.name])


def test_seeds_of_two_folders_are_one_set_of_pairs(make_store: Make) -> None:
    correct = {"relu": RELU, "tanh": TANH}
    parts = [
        make_store(correct, sets=(("tanh",),), seeds=seeds, name=f"from{seeds[0]}")
        for seeds in ((2, 3), (0, 1))
    ]
    whole = read_study(make_store(correct, sets=(("tanh",),), name="whole"))
    merged = read_studies(parts)
    assert merged.run.seeds == (0, 1, 2, 3)
    assert [c.key for c in merged.cells] == [c.key for c in whole.cells]
    assert compare(merged)[0][0].difference == compare(whole)[0][0].difference
    assert compare(merged)[0][0].difference.n == 4


def test_datasets_of_two_folders_are_two_groups(make_store: Make) -> None:
    correct = {"relu + tanh": TANH, "relu": RELU, "tanh": TANH}
    sets = (("relu", "tanh"),)
    one = make_store(correct, sets=sets, datasets=("digits",), name="one")
    two = make_store({"relu": RELU, "sin": SIN}, sets=(("sin",),), datasets=("mnist",), name="two")
    merged = read_studies([one, two])
    groups = {g.dataset: [v.name for v in g.variants] for g in merged.groups}
    assert groups == {"digits": ["relu + tanh", "relu", "tanh"], "mnist": ["relu", "sin"]}
    assert "### digits, paper_cnn" in text(merged)


def test_datasets_of_other_sizes_stand_in_one_report(make_store: Make) -> None:
    correct = {"relu": RELU, "tanh": TANH}
    asked = (("digits", 500), ("mnist", 800), ("kmnist", None))
    stores = [
        make_store(correct, sets=(("tanh",),), datasets=(name,), limit=limit, name=name)
        for name, limit in asked
    ]
    merged = read_studies(stores)
    assert merged.limits == dict(asked)
    said = text(merged)
    sizes = "digits: 500, stratified; mnist: 800, stratified; kmnist: all"
    assert f"| training images | {sizes} |" in said
    assert f"did not take the same share of all training data ({sizes})" in said
    alone = text(read_study(stores[0]))
    assert "| training images | 500, stratified |" in alone
    assert "It took 500 training images only, 10% of them held out." in alone
    whole = make_store({"relu": RELU}, sets=(("relu",),), limit=500, validation=0.0, name="all")
    assert "It took 500 training images only." in text(read_study(whole))


def test_seeds_and_sets_are_counted_on_all_data(make_store: Make) -> None:
    many = make_store({"relu": RELU, "tanh": TANH}, sets=(("tanh",),), name="many")
    few = {"relu": RELU[:1], "sin": SIN[:1]}
    one = make_store(few, sets=(("sin",),), datasets=("mnist",), name="one")
    said = text(read_studies([many, one]))
    seeds = "4 seeds on digits, 1 seed on mnist"
    assert "3 sets of activation functions compared on digits and mnist in the network " in said
    assert f" `paper_cnn`, {seeds}." in said
    assert f"| seeds | 0, 1, 2, 3: {seeds} |" in said
    assert f"Its intervals are over {seeds}: " in said and "One seed has no interval." in said
    beside = make_store(few, sets=(("sin",),), name="beside")
    said = text(read_studies([many, beside]))
    assert "in the network `paper_cnn`, 4 seeds (some sets have fewer)." in said
    # Two seeds in all, and one on each: nothing to tell noise from.
    other = make_store(
        {"relu": RELU}, sets=(("relu",),), seeds=(1,), datasets=("mnist",), name="other"
    )
    first = make_store({"relu": RELU}, sets=(("relu",),), seeds=(0,), name="first")
    said = text(read_studies([first, other]))
    assert "With one seed it cannot tell an effect" in said and "1 seed." in said


def test_a_baseline_alone_on_the_first_task_hides_no_comparison(make_store: Make) -> None:
    long = ("relu", "tanh", "sin", "gelu", "silu", "elu")
    own = {"relu": RELU, " + ".join(long): TANH}
    first = make_store({"relu": RELU}, sets=(("relu",),), name="first")
    other = make_store(own, sets=(long,), members=False, datasets=("mnist",), name="other")
    said = text(read_studies([first, other]))
    assert "`relu + tanh + … (6)` stands for relu, tanh, sin, gelu, silu, elu." in said
    assert "How to read it:" in said and "2 sets of" in said


@pytest.mark.parametrize(
    ("seeds", "message"),
    [
        (((0, 1), (0, 1)), "relu on digits, .*: limit is 500 in one and None in the other"),
        (((0, 1), (2, 3)), "the limit of the dataset digits is not the same in .*500.*None"),
    ],
)
def test_one_dataset_of_two_sizes_is_refused(
    make_store: Make, seeds: tuple[tuple[int, ...], ...], message: str
) -> None:
    stores = [
        make_store(
            {"relu": RELU, name: TANH}, sets=((name,),), limit=limit, seeds=own, name=name
        )
        for name, limit, own in zip(("tanh", "sin"), (500, None), seeds, strict=True)
    ]  # fmt: skip
    with pytest.raises(UsageError, match=message):
        read_studies(stores)


def test_controls_of_two_folders_are_joined(make_store: Make) -> None:
    both = {"relu + tanh": TANH, "relu": RELU}
    options = {"sets": (("relu", "tanh"),), "members": False, "init": "random"}
    stores = [
        make_store(
            {**both, **{f"relu + tanh ({n})": TANH for n in control.split(",")}},
            control=control, name=control, **options,
        )
        for control in ("frozen,joint", "joint,shuffled")
    ]  # fmt: skip
    merged = read_studies(stores)
    assert merged.run.controls == ("frozen", "joint", "shuffled")
    assert [(v.members, v.control) for v in merged.groups[0].variants] == [
        (("relu", "tanh"), ""), (("relu",), ""),
        *((("relu", "tanh"), name) for name in merged.run.controls),
    ]  # fmt: skip
    said = text(merged)
    for name in merged.run.controls:
        assert f"### relu + tanh ({name}) in paper_cnn" in said


def test_a_merged_report_is_written_beside_the_runs(make_store: Make, tmp_path: Path) -> None:
    one = make_store({"relu": RELU, "tanh": TANH}, sets=(("tanh",),), name="one")
    two = make_store({"relu": RELU, "sin": SIN}, sets=(("sin",),), name="two")
    path = write_merged([one, two], tmp_path / "both")
    assert path == tmp_path / "both" / "report.md"
    assert "Better than `relu`: `tanh`. Worse than `relu`: `sin`." in path.read_text("utf-8")
    assert not (one / "report.md").exists()
    with pytest.raises(UsageError, match="holds a run of its own; give a new folder with --out"):
        write_merged([one, two], two)
    for n in (1, 2):  # a report of somebody else's is kept, one of ours is written again
        path.write_text("my own notes") if n == 1 else None
        write_merged([one, two], tmp_path / "both")
        (kept,) = (tmp_path / "both" / "set-aside").glob("*-report.md")
        assert kept.read_text() == "my own notes"
    (tmp_path / "both" / "suite.json").write_text("{}")
    with pytest.raises(UsageError, match="holds a suite; give a new folder with --out"):
        write_merged([one, two], tmp_path / "both")


def test_the_cell_that_is_done_counts(make_store: Make) -> None:
    broken = make_store({"relu": [900, None], "tanh": TANH}, sets=(("tanh",),), name="one",
                        seeds=(0, 1))  # fmt: skip
    whole = make_store({"relu": RELU, "tanh": TANH}, sets=(("tanh",),), name="two", seeds=(0, 1))
    for folders in ([broken, whole], [whole, broken]):
        assert len(read_studies(folders).results) == 4


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 64}, "batch size is 128 in one and 64 in the other"),
        ({"baseline": "tanh"}, "baseline is relu in one and tanh in the other"),
        ({"protocol": ()}, "phase 1: trains is network in one and – in the other"),
    ],
)
def test_runs_that_differ_otherwise_are_refused(
    make_store: Make, options: dict[str, Any], message: str
) -> None:
    correct = {"relu": RELU, "tanh": TANH}
    one = make_store(correct, sets=(("tanh",),), name="one")
    two = make_store(correct, sets=(("relu",), ("tanh",)), name="two", **options)
    with pytest.raises(UsageError, match=f"one and .*two cannot be one report: .*{message}"):
        read_studies([one, two])


def test_seeds_to_tune_on_matter_where_something_is_tuned(make_store: Make) -> None:
    one = make_store({"relu": RELU, "tanh": TANH}, sets=(("tanh",),), name="one")
    two = make_store({"relu": RELU, "sin": SIN}, sets=(("sin",),), name="two", tune_seeds=(7,))
    assert len(read_studies([one, two]).results) == 12
    grid = {"lr_network": (1e-3, 1e-2)}
    tuned = [
        make_store({"relu": RELU}, sets=(("relu",),), name=f"tuned{seed}", grid=grid,
                   tune_seeds=(seed,))
        for seed in (7, 8)
    ]  # fmt: skip
    with pytest.raises(UsageError, match="tune seeds is"):
        read_studies(tuned)


def test_one_cell_with_two_results_is_refused(make_store: Make) -> None:
    one = make_store({"relu": RELU, "tanh": TANH}, sets=(("tanh",),), name="one")
    two = make_store({"relu": [900, 902, 898, 903]}, sets=(("relu",),), name="two")
    with pytest.raises(StoreError) as error:
        read_studies([one, two])
    said = str(error.value)
    assert said.startswith("relu on digits, paper_cnn, seed 2 is in two folders with different")
    assert str(one / "cells") in said
    assert str(two / "cells") in said


def test_one_place_with_two_cells_is_refused(make_store: Make) -> None:
    one = make_store({"relu": RELU}, sets=(("relu",),), name="one")
    two = make_store({"relu": RELU}, sets=(("relu",),), name="two", threads=2)
    with pytest.raises(UsageError, match="is in two folders and not the same cell"):
        read_studies([one, two])


def test_other_data_under_one_name_are_refused(make_store: Make) -> None:
    correct = {"relu": RELU, "tanh": TANH}

    def part(seeds: tuple[int, ...], **digests: str) -> Path:
        name = "-".join(map(str, (*seeds, *digests.values())))
        return make_store(correct, sets=(("tanh",),), seeds=seeds, name=name, digests=digests)

    one = part((0, 1), digits="d1")
    assert len(read_studies([one, part((2, 3), digits="d1")]).results) == 8
    with pytest.raises(UsageError, match=r"the dataset digits is not the same in .*d1.*d2"):
        read_studies([one, part((2, 3), digits="d2")])
    with pytest.raises(UsageError, match=r"the network paper_cnn is not the same in .*same.*n2"):
        read_studies([one, part((2, 3), digits="d1", paper_cnn="n2")])
    with pytest.raises(UsageError, match=r"the function tanh is not the same in .*same.*f2"):
        read_studies([one, part((2, 3), digits="d1", tanh="f2")])


def test_a_set_tuned_in_two_ways_is_refused(make_store: Make) -> None:
    def part(seeds: tuple[int, ...], **tuned: float) -> Path:
        correct = {"relu": RELU, "tanh": TANH}
        name = "-".join(map(str, (*seeds, *tuned)))
        return make_store(correct, sets=(("tanh",),), seeds=seeds, name=name, tuned=tuned)

    one, two = part((0, 1), tanh=3e-3), part((2, 3), tanh=3e-3)
    tanh, relu = read_studies([one, two]).groups[0].variants
    assert (tanh.protocol[0].lr, relu.protocol[0].lr) == (3e-3, 1e-3)  # each its own
    with pytest.raises(UsageError, match=r"phase 1: lr of relu on digits, .*0\.001.*0\.003"):
        read_studies([one, part((2, 3), tanh=3e-3, relu=3e-3)])


def test_a_newer_run_is_refused(make_store: Make) -> None:
    folder = make_store({"relu": RELU}, sets=(("relu",),))
    path = folder / "spec.json"
    path.write_text(path.read_text().replace('"batch_size"', '"size_of_batch"'))
    with pytest.raises(StoreError, match=r"does not know .*size_of_batch"):
        read_study(folder)


def environment(**facts: Any) -> Callable[[dict[str, Any]], None]:
    return lambda result: result["environment"].update(facts)


CHANGES = [
    ("device", {"device": "cuda", "device_name": "a GPU"}, "cuda (a GPU)"),
    ("device", {"device_name": "another GPU"}, "cpu (another GPU)"),
    ("processor", {"processor": "another"}, "another"),
    ("vector instructions", {"capability": "AVX512"}, "AVX512"),
    ("torch", {"packages": {"torch": "2.12.0"}}, "2.12.0"),
    ("threads", {"threads": 2}, "2"),
    ("actzoo", {"actzoo": "0.2.0"}, "0.2.0"),
    ("actzoo's commit", {"commit": {"id": "def456", "dirty": True}}, "def456 with"),
    ("actzoo's commit", {"commit": {"id": "abc123", "dirty": False}}, "abc123"),
    ("actzoo's commit", {"commit": None}, "unknown: not run from a checkout"),
]


@pytest.mark.parametrize(("fact", "changes", "value"), CHANGES)
def test_unlike_cells_of_one_seed_are_refused(
    make_store: Make, edit: Edit, fact: str, changes: dict[str, Any], value: str
) -> None:
    folder = make_store({"relu": RELU, "tanh": TANH, "sin": SIN}, sets=(("tanh",), ("sin",)))
    edit(folder, environment(**changes), seed=1, members=["sin"])
    (found,) = mixed(read_study(folder))
    assert (found.dataset, found.model, found.seed, found.fact) == (
        "digits", "paper_cnn", 1, fact,
    )  # fmt: skip
    assert list(found.values.values()) == [("tanh", "relu"), ("sin",)]
    with pytest.raises(StoreError) as error:
        write_report(folder)
    said = str(error.value)
    assert f"digits, paper_cnn, seed 1: {fact} is " in said
    assert value in said
    assert str(found.others[0]) in said
    assert "--mixed-machines" in said
    assert not (folder / "report.md").exists()


def test_a_kernel_of_its_own_belongs_to_the_set(make_store: Make, edit: Edit) -> None:
    folder = make_store({"relu": RELU, "tanh": TANH}, sets=(("tanh",),))
    edit(folder, lambda result: result.update(kernel="table"), members=["tanh"])
    refuse_mixed(read_study(folder))


@pytest.mark.parametrize("commit", [None, {"id": "abc123", "dirty": True}])
def test_what_is_equal_is_no_difference(
    make_store: Make, edit: Edit, commit: dict[str, Any] | None
) -> None:
    folder = make_store({"relu": RELU, "tanh": TANH}, sets=(("tanh",),))
    edit(folder, environment(commit=commit))
    refuse_mixed(read_study(folder))


def test_each_seed_may_have_its_machine(make_store: Make, edit: Edit) -> None:
    folder = make_store({"relu": RELU, "tanh": TANH}, sets=(("tanh",),))
    edit(folder, environment(processor="another"), seed=1)
    study = read_study(folder)
    refuse_mixed(study)
    assert "**processor**" in text(study)
    assert "within a pair" not in text(study)


def test_many_differences_are_cut_short(make_store: Make, edit: Edit) -> None:
    correct = {"relu": list(range(900, 908)), "tanh": list(range(910, 918))}
    folder = make_store(correct, sets=(("tanh",),), layers=1)
    edit(folder, environment(processor="another"), members=["tanh"])
    with pytest.raises(StoreError) as error:
        refuse_mixed(read_study(folder))
    assert "and 2 more differences" in str(error.value)
    assert "and 2 more)" in str(error.value)


def test_mixed_machines_are_shown_where_they_are_allowed(make_store: Make, edit: Edit) -> None:
    folder = make_store({"relu": RELU, "tanh": TANH}, sets=(("tanh",),))
    edit(folder, environment(processor="another"), members=["tanh"], seed=2)
    report = write_report(folder, mixed_machines=True).read_text("utf-8")
    assert "Some differ within a pair" in report
    assert (
        "digits, paper_cnn, seed 2: processor is another for tanh; a processor for relu" in report
    )
