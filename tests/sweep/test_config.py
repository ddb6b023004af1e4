from __future__ import annotations

import re
import tomllib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import actzoo
from actzoo.errors import UsageError
from actzoo.plugins.registry import default
from actzoo.sweep.config import KEYS, checked, merged, read_config, to_run, to_toml
from actzoo.sweep.grid import TUNABLE
from actzoo.sweep.plan import OF_FIELDS, Run
from actzoo.sweep.prepare import make_plan
from actzoo.sweep.rows import settings_of
from actzoo.training.protocol import Phase
from actzoo.values import Suite

RATES = st.floats(1e-9, 1e3)
VALUES = {
    "lr_network": RATES,
    "lr_mixture": RATES,
    "weight_decay": RATES,
    "optimizer": st.sampled_from(["adam", "adamw", "sgd"]),
    "schedule": st.sampled_from(["constant", "cosine"]),
    "epochs": st.integers(0, 99),
    "batch_size": st.integers(1, 4096),
    "init": st.sampled_from(["equal", "random"]),
    "weight_init": st.sampled_from(["default", "gain"]),
}
NAMES = st.sampled_from(
    ["relu", "leaky_relu(slope=0.2)", "max(0, x)", "x*sigmoid(b*x), b=layer(1)", "a.py:f\\g"]
)
PATHS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1).map(lambda t: f"npz:/{t}")
PHASES = st.builds(
    Phase,
    trains=st.sampled_from(["network", "mixture", "all"]),
    epochs=VALUES["epochs"],
    optimizer=VALUES["optimizer"],
    lr=RATES,
    weight_decay=st.floats(0, 1),
    schedule=VALUES["schedule"],
)


def some(values, **limits):
    return st.lists(values, min_size=1, max_size=4, unique=True, **limits).map(tuple)


GRIDS = st.fixed_dictionaries({}, optional={name: some(v) for name, v in VALUES.items()})
RUNS = st.builds(
    Run,
    sets=st.lists(some(NAMES), min_size=1, max_size=3).map(tuple),
    datasets=some(st.one_of(st.sampled_from(["digits", "mnist"]), PATHS)),
    models=some(st.sampled_from(["paper_cnn", "mlp(depth=8, width=3)", "a:b(c='d,e')"])),
    seeds=some(st.integers(0, 999)),
    baseline=NAMES,
    members=st.booleans(),
    control=st.sampled_from(["", "equal-epochs"]),
    protocol=st.lists(PHASES, max_size=3).map(tuple),
    batch_size=VALUES["batch_size"],
    limit=st.none() | st.integers(1, 10**6),
    validation=st.floats(0.01, 0.9),
    init=VALUES["init"],
    weight_init=VALUES["weight_init"],
    device=st.sampled_from(["cpu", "cuda:1"]),
    precision=st.sampled_from(["fp32", "bf16"]),
    threads=st.integers(1, 64),
    kernel=st.sampled_from(["auto", "reference"]),
    grid=GRIDS,
    tune_seeds=some(st.integers(1000, 2000)),
)


@given(RUNS)
@settings(max_examples=60, deadline=None)
def test_a_run_written_and_read_is_the_same_run(run):
    text = to_toml(run)
    back = to_run(checked(tomllib.loads(text), ""))
    if not run.grid:  # nothing is tuned: the seeds to tune on are only written if others than usual
        assert back.tune_seeds == run.tune_seeds
    assert back == run
    assert to_toml(back) == text


def test_every_value_of_a_hyper_parameter_is_tested_here():
    assert set(VALUES) == set(TUNABLE)


@pytest.fixture
def write(tmp_path):
    def write(text: str):
        path = tmp_path / "my.toml"
        path.write_text(text)
        return path

    return write


def run_of(path, **flags):
    return to_run(merged(read_config(path), checked(flags, "--")))


def test_everything_a_file_may_say(write):
    path = write("""
        sets = ["relu,tanh", ["sin", "max(0, x)"], "modern"]
        datasets = "digits, mnist"
        models = ["paper_cnn", "mlp(depth=8)"]
        seeds = "0-2,7"
        baseline = "gelu"
        members = false
        mixtures = true
        control = "equal-epochs"
        batch_size = 64
        limit = 1000
        validation = 0
        init = "random"
        weight_init = "gain"
        device = "cpu"
        precision = "bf16"
        threads = 2
        kernel = "reference"

        [[phase]]
        trains = "network"
        lr = 1
        [[phase]]
        trains = "mixture"
        epochs = 3
        optimizer = "sgd"
        weight_decay = 0.5
        schedule = "cosine"
    """)
    assert run_of(path) == Run(
        sets=(("relu", "tanh"), ("sin", "max(0, x)"), default().members("modern")),
        datasets=("digits", "mnist"),
        models=("paper_cnn", "mlp(depth=8)"),
        seeds=(0, 1, 2, 7),
        baseline="gelu",
        members=False,
        control="equal-epochs",
        protocol=(
            Phase(trains="network", lr=1.0),
            Phase(trains="mixture", epochs=3, optimizer="sgd", weight_decay=0.5, schedule="cosine"),
        ),
        batch_size=64,
        limit=1000,
        validation=0.0,
        init="random",
        weight_init="gain",
        precision="bf16",
        threads=2,
        kernel="reference",
    )


def test_the_example_of_the_guide_is_a_config(tmp_path):
    guide = Path(__file__).parents[2] / "docs" / "running-sweeps.md"
    text, suite = re.findall(r"```toml\n(.*?)```", guide.read_text(), flags=re.DOTALL)
    run = to_run(checked(tomllib.loads(text), "guide: "))
    assert run.sets == (("relu", "tanh", "sin"), ("gelu",)) and run.seeds == tuple(range(10))
    assert [p.epochs for p in run.protocol] == [10, 5]
    (tmp_path / "mine.toml").write_text(suite)
    flags = {"sets": (("relu",),)}
    rows = settings_of(Suite.from_toml(tmp_path / "mine.toml"), flags)
    assert [to_run(row).seeds for row in rows.values()] == [tuple(range(5)), tuple(range(10))]
    example = Suite.from_toml(guide.with_name("image_suite.toml"))
    assert [to_run(row).datasets for row in settings_of(example, {}).values()] == [
        ("cifar10",), ("cifar100",), ("fashion_mnist",),
    ]  # fmt: skip


def test_flags_go_over_the_file(write):
    path = write("""
        sets = "relu"
        seeds = [5]
        epochs = 7
        lr_network = [1e-3, 3e-3]
        batch_size = 64
        [grid]
        optimizer = ["adam", "sgd"]
    """)
    run = run_of(path)
    assert run.grid == {"optimizer": ("adam", "sgd"), "lr_network": (1e-3, 3e-3)}
    assert {p.epochs for p in run.protocol} == {7} and run.batch_size == 64
    run = run_of(path, lr_network=0.5, epochs=2, seeds="0,1", batch_size=(8, 16))
    assert run.grid == {"optimizer": ("adam", "sgd"), "batch_size": (8, 16)}
    assert [p.lr for p in run.protocol] == [0.5, 0.01, 0.5]
    assert {p.epochs for p in run.protocol} == {2}
    assert run.seeds == (0, 1) and run.sets == (("relu",),)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sed = [0]", r"my\.toml: no 'sed'; did you mean seeds"),
        ("protocol = []", r"my\.toml: no 'protocol'"),
        ("validation = 'all'", r"my\.toml: validation = 'all'; expected a number"),
        ("members = 1", "members = 1; expected true or false"),
        ("threads = true", "threads = True; expected a whole number"),
        ("threads = 1.0", "threads = 1.0; expected a whole number"),
        ("precision = 'fp16'", "precision = 'fp16'; expected one of fp32, bf16"),
        ("figure_format = 'gif'", "expected one of png, svg, pdf"),
        ("control = 1", "expected one of equal-epochs"),
        ("sets = 3", "sets = 3; expected a list of sets"),
        ("sets = [['relu', 3]]", "expected a list of sets, each a text or a list of names"),
        ("sets = ['relu,(tanh']", r"\("),
        ("datasets = [3]", "datasets = .*expected a list of names"),
        ("seeds = [0.5]", "expected a list of whole numbers"),
        ("seeds = '3-1'", "expected for example 0-9"),
        ("phase = 3", "phase = 3; expected a list: "),
        ("[[phase]]\nepochs = 3", r"my\.toml: phase 1: trains is missing"),
        ("[[phase]]\ntrains = 'network'\nlearning_rate = 3", "phase 1: no 'learning_rate'"),
        ("[[phase]]\ntrains = 'network'\nlr = '3'", "phase 1: lr = '3'; expected a number"),
        ("[[phase]]\ntrains = 'network'\nlr = -1", r"my\.toml: phase 1: phase: lr=-1"),
        ("grid = 3", r"grid = 3; expected a table: \[grid\]"),
        ("[grid]\nlr = [1]", "grid: no 'lr'"),
        ("[grid]\nlr_network = ['1']", "grid: lr_network = '1'; expected a number"),
        ("sets = [", r"my\.toml is not TOML"),
    ],
)
def test_a_mistake_is_named_with_its_file_and_key(write, text, message):
    with pytest.raises(UsageError, match=message):
        read_config(write(text))


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(UsageError, match=r"cannot read .*nothing\.toml: No such file"):
        read_config(tmp_path / "nothing.toml")


def test_a_file_that_is_no_text(tmp_path):
    (tmp_path / "a.toml").write_bytes(b"sets = '\xff'")
    with pytest.raises(UsageError, match="is not TOML"):
        read_config(tmp_path / "a.toml")


def test_every_field_of_a_run_has_a_key():
    names = {"phase" if name == "protocol" else name for name in Run.__dataclass_fields__}
    assert names <= set(KEYS)


@pytest.mark.parametrize("grid", [{}, {"weight_decay": (0,)}, {"lr_network": (1, 2)}])
def test_whole_numbers_and_lists_are_the_same_run(grid, tmp_path, tiny_npz):
    protocol = [Phase(trains="network", lr=1, weight_decay=0)]
    run = Run(
        sets=[["relu"]], datasets=[f"npz:{tiny_npz}"], models=["mlp(width=8)"], seeds=range(2),
        protocol=protocol, validation=0.5 if "lr_network" in grid else 0, grid=grid,
    )  # fmt: skip
    plan, _ = make_plan(run, tmp_path)
    path = tmp_path / "sweep.toml"
    path.write_text(to_toml(plan.run))
    again, _ = make_plan(to_run(read_config(path)), tmp_path)
    assert again.run == plan.run
    assert [c.key for c in again.cells] == [c.key for c in plan.cells]
    assert [t.spec.key for t in again.trials] == [t.spec.key for t in plan.trials]
    assert plan.run.seeds == (0, 1)


@pytest.mark.parametrize(
    "options",
    [{"sets": "relu"}, {"sets": ("relu",)}, {"seeds": 3}, {"datasets": "mnist"}, {"grid": 0.1}],
)  # fmt: skip
def test_one_where_several_are_expected(options):
    with pytest.raises(UsageError, match=r"expected a (list|table)"):
        Run(**{"sets": (("relu",),), **options})


@pytest.mark.parametrize("name", OF_FIELDS)
def test_every_field_quotes_what_it_refuses_and_says_what_it_takes(name):
    with pytest.raises(UsageError, match=rf"^{name} = <object .*>; expected (a|one of|true)"):
        Run(**{"sets": (("relu",),), name: object()})


def test_numbers_of_numpy_are_numbers():
    rates = np.array([1e-3, 1e-2])
    run = Run(sets=[["relu"]], validation=np.float64(0.2), grid={"lr_network": rates})
    assert run == Run(sets=[["relu"]], validation=0.2, grid={"lr_network": (1e-3, 1e-2)})
    assert type(run.validation) is type(run.grid["lr_network"][0]) is float


def test_a_run_leaves_a_file_that_gives_the_same_cells(tmp_path, tiny_npz):
    results = actzoo.bench(
        ["relu,tanh", "LReLU"],
        epochs=1,
        datasets=(f"npz:{tiny_npz}",),
        models=("MLP(width=8)",),
        seeds=(3,),
        control="equal-epochs",
        limit=60,
        out=tmp_path / "out",
    )
    plan, _ = make_plan(to_run(read_config(tmp_path / "out" / "sweep.toml")), tmp_path)
    assert [cell.key for cell in plan.cells] == [row["key"] for row in results.rows]
