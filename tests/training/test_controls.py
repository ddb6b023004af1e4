"""Controls: what each does to the weights, and what it leaves as it is."""

from __future__ import annotations

import tomllib
from dataclasses import replace

import pytest
import torch

import actzoo
from actzoo.errors import UsageError
from actzoo.mixture import Mixture
from actzoo.sweep.config import checked, from_python, to_run, to_toml
from actzoo.sweep.plan import Run
from actzoo.sweep.prepare import make_plan
from actzoo.sweep.resolve import Given
from actzoo.training import checkpoint as checkpoints
from actzoo.training.build import Built
from actzoo.training.checkpoint import Checkpoint
from actzoo.training.controls import CONTROLS, GROUPS
from actzoo.training.loop import prepare_phase, set_up
from actzoo.training.protocol import PAPER, Phase
from actzoo.training.setup import set_up_cell, stream_of
from actzoo.training.spec import CellSpec
from tests.training.running import run_cell

SHORT = tuple(replace(phase, epochs=2) for phase in PAPER)
OF_MIXTURES = [name for name, control in CONTROLS.items() if control.runs == "mixture"]
STARTS = GROUPS["w-only"]


def run_of(tiny_npz, **options):
    values = {
        "sets": (("relu", "tanh", "sin"),), "datasets": (f"npz:{tiny_npz}",), "seeds": (0,),
        "models": ("mlp(depth=3,width=8)",), "control": ",".join(CONTROLS), "protocol": SHORT,
        "batch_size": 32, "init": "random",
    }  # fmt: skip
    return Run(**{**values, **options})


@pytest.fixture(scope="module")
def specs(tiny_npz):
    """The cells of one run by (is a mixture, control)."""
    plan, _ = make_plan(run_of(tiny_npz, members=False), tiny_npz.parent)
    return {(len(cell.members) > 1, cell.control): cell for cell in plan.cells}


@pytest.fixture(scope="module")
def outputs(specs, tiny_images):
    """What came of the mixture and of each control of it."""
    return {
        control: run_cell(spec, tiny_images)
        for (mixture, control), spec in specs.items()
        if mixture
    }


def ends(output):
    return [layer.w for layer in output.result.layers]


def starts(output):
    return [layer.w_start for layer in output.result.layers]


def of_phase(output, number):
    return [row for row in output.history if row.phase == number]


def raw(row):
    return [layer.w for layer in row.layers]


def test_each_control_runs_what_it_is_for(specs):
    singles = {control for mixture, control in specs if not mixture}
    mixtures = {control for mixture, control in specs if mixture}
    assert mixtures == {"", *OF_MIXTURES}
    assert singles == {"", *CONTROLS.keys() - {*OF_MIXTURES}}


@pytest.mark.parametrize("name", CONTROLS)
def test_each_is_a_cell_of_its_own(specs, name):
    runs = CONTROLS[name].runs == "mixture"
    cell, plain = specs[runs, name], specs[runs, ""]
    assert cell.control == name and cell.label == f"{plain.label} ({name})"
    assert cell.key not in {other.key for other in specs.values() if other is not cell}
    assert CellSpec.from_json(cell.to_json()) == cell
    assert replace(cell, control="").key != plain.key  # it is another experiment, not a name


def test_cells_without_controls_name_nothing_new(specs):
    parts = specs[True, ""].to_json()
    assert "w_start" not in parts
    assert {name for phase in parts["protocol"] for name in phase} == {
        "trains", "epochs", "optimizer", "lr", "weight_decay", "schedule",
    }  # fmt: skip


@pytest.mark.parametrize("name", OF_MIXTURES)
def test_the_network_starts_the_same_bit_for_bit(specs, tiny_images, name):
    def start(spec):
        values = Given().values(spec, tiny_images)
        setup = set_up_cell(spec, values)
        order = torch.cat(setup.batches.order(1, 1))
        return [*setup.built.network_parameters(), order], setup.built.mixture_weights()

    (network, w), (other, other_w) = start(specs[True, ""]), start(specs[True, name])
    assert all(map(torch.equal, network, other))
    same = all(map(torch.equal, w, other_w))
    assert same is (name not in (*STARTS, "equal-start", "w-scale"))


def test_frozen_leaves_w_and_trains_the_network_as_long(outputs):
    plain, frozen = outputs[""], outputs["frozen"]
    assert starts(frozen) == starts(plain) == ends(frozen)
    assert all(raw(row) == starts(frozen) for row in frozen.history)
    assert ends(plain) != starts(plain)
    network = [(row.phase, row.epoch) for row in plain.history if row.trains == "network"]
    assert [(row.phase, row.epoch) for row in frozen.history] == network
    first = [row.loss for row in of_phase(frozen, 1)]
    assert first == [row.loss for row in of_phase(plain, 1)]


@pytest.mark.parametrize(("name", "epochs"), [("joint", 4), ("joint-long", 6)])
def test_joint_trains_both(specs, outputs, name, epochs):
    output = outputs[name]
    assert [(row.phase, row.trains) for row in output.history] == [(1, "all")] * epochs
    moved = [raw(row) for row in output.history]
    assert all(map(list.__ne__, [starts(output), *moved[:-1]], moved))
    (phase,) = specs[True, name].protocol
    assert (phase.lr, phase.lr_mixture) == (1e-3, 1e-2)
    # w moves from the first batch on, so the network learns otherwise from there.
    assert output.history[0].loss != outputs["frozen"].history[0].loss


def test_w_has_its_own_rate_in_a_joint_phase():
    """The first step of Adam moves each parameter by its rate, whatever the gradient."""
    torch.manual_seed(0)
    mixture = Mixture(["relu", "tanh", "sin"])
    built = Built(torch.nn.Sequential(torch.nn.Linear(4, 4), mixture), (mixture,))
    optimizer = set_up(built, Phase(trains="all", lr=1e-3, lr_mixture=1e-2))
    before = {name: value.detach().clone() for name, value in built.model.named_parameters()}
    built.model(torch.randn(64, 4)).square().sum().backward()
    optimizer.step()
    moved = {n: (v - before[n]).abs().max().item() for n, v in built.model.named_parameters()}
    assert moved == pytest.approx({"0.weight": 1e-3, "0.bias": 1e-3, "1.w": 1e-2}, rel=1e-3)


def test_shuffled_gives_each_layer_the_weights_of_the_next(outputs):
    plain, shuffled = outputs[""], outputs["shuffled"]
    for number in (1, 2):  # until then it is the same experiment
        assert [(row.loss, raw(row)) for row in of_phase(shuffled, number)] == [
            (row.loss, raw(row)) for row in of_phase(plain, number)
        ]
    first, *others = raw(of_phase(plain, 2)[-1])
    assert first not in others
    for row in of_phase(shuffled, 3):
        assert raw(row) == [*others, first]
    assert ends(shuffled) == [*others, first]
    assert of_phase(shuffled, 3)[0].loss != of_phase(plain, 3)[0].loss


def test_rotating_changes_the_weights_alone(specs, tiny_images):
    spec = specs[True, "shuffled"]
    setup = set_up_cell(spec, Given().values(spec, tiny_images))
    built = setup.built
    before = {n: v.detach().clone() for n, v in built.model.named_parameters()}
    for phase in spec.protocol[:2]:
        prepare_phase(built.mixtures, phase)
        assert all(torch.equal(v, before[n]) for n, v in built.model.named_parameters())
    for times in (1, 2, 3):
        prepare_phase(built.mixtures, spec.protocol[2])
        back = all(torch.equal(v, before[n]) for n, v in built.model.named_parameters())
        assert back is (times == len(built.mixtures))
    of_w = {id(w) for w in built.mixture_weights()}
    prepare_phase(built.mixtures, spec.protocol[2])
    for name, value in built.model.named_parameters():
        assert torch.equal(value, before[name]) is (id(value) not in of_w)


def test_equal_starts_are_equal(outputs):
    assert starts(outputs["equal-start"]) == [[1.0] * 3] * 3
    assert starts(outputs[""]) != starts(outputs["equal-start"])


def test_a_larger_scale_of_w_starts_with_the_same_proportions(outputs):
    usual, scaled = outputs[""].result, outputs["w-scale"].result
    for one, other in zip(usual.layers, scaled.layers, strict=True):
        assert other.w_start == pytest.approx([10 * w for w in one.w_start])
        assert other.P_start == pytest.approx(one.P_start)
        # Adam moves w as far, so P a tenth as far.
        moved = [sum(abs(a - b) for a, b in zip(x.P, x.P_start, strict=True)) for x in (one, other)]
        assert moved[1] < moved[0] / 3


def test_a_scale_that_changes_p_is_refused(tiny_npz):
    with pytest.raises(UsageError, match="another scale, which changes P under the rule softmax"):
        actzoo.bench(
            ["relu,tanh"], datasets=[f"npz:{tiny_npz}"], models="mlp(depth=2,width=8)", seeds=[0],
            epochs=1, rule="softmax", controls=["w-scale"],
        )  # fmt: skip


def test_starts_of_w_are_all_different(specs, outputs):
    found = [tuple(map(tuple, starts(outputs[name]))) for name in ("", *STARTS)]
    assert len(STARTS) == 10 and len(set(found)) == 11
    streams = {stream_of(specs[True, name])("network") for name in ("", *STARTS)}
    assert len(streams) == 1


@pytest.mark.parametrize("name", ["", *CONTROLS])
def test_a_stopped_cell_goes_on_to_the_same_bytes(
    specs, tiny_images, timeless, monkeypatch, tmp_path, name
):
    class Stop(Exception):
        pass

    monkeypatch.setattr(checkpoints, "EVERY", 0.0)
    spec = specs[not name or CONTROLS[name].runs == "mixture", name]
    whole = run_cell(spec, tiny_images)
    refused = []
    checkpoint = Checkpoint(tmp_path / "checkpoint.pt", spec.key, refused.append)
    for stop in range(1, len(whole.history) + 1):  # once after each epoch

        def report(epoch, stop=stop):
            if epoch.done == stop:
                raise Stop

        with pytest.raises(Stop):
            run_cell(spec, tiny_images, report, checkpoint)
    assert timeless(run_cell(spec, tiny_images, checkpoint=checkpoint)) == timeless(whole)
    assert not refused


@pytest.mark.slow
def test_a_run_has_them_in_its_results_and_report(tiny_npz, tmp_path):
    run = {"datasets": [f"npz:{tiny_npz}"], "models": "mlp(depth=2,width=8)", "seeds": [0],
           "epochs": 1, "init": "random", "members": False}  # fmt: skip
    wanted = ["frozen", "joint", "shuffled", "w-start-3"]
    results = actzoo.bench(["relu,tanh"], controls=wanted, out=tmp_path / "out", **run)
    assert [(row["set"], row["control"]) for row in results.rows] == [
        ("relu + tanh", ""),
        ("relu", ""),
        *(("relu + tanh", name) for name in wanted),
    ]
    from actzoo.report.markdown import write_report

    write_report(tmp_path / "out")
    text = (tmp_path / "out" / "report.md").read_text()
    for name in wanted:
        assert f"`relu + tanh ({name})`" in text
        assert f"Sets marked ({name}) are a control: {CONTROLS[name].says}" in text


def test_all_spellings_of_a_list_are_one_run():
    sets = {"sets": (("relu", "tanh"),)}
    run = Run(**sets, control="frozen,joint")
    for key in ("control", "controls"):
        for value in ("frozen,joint", " frozen, joint ", ["frozen", "joint"], ("frozen", "joint")):
            assert to_run({**sets, **from_python({key: value})}) == run
            assert to_run({**sets, **checked({key: value}, "--")}) == run
    assert run.controls == ("frozen", "joint")
    assert Run(**sets, control="w-only").controls == STARTS
    for nothing in ("none", "", []):
        assert to_run({**sets, **checked({"control": nothing}, "--")}) == Run(**sets)


@pytest.mark.parametrize("control", ["equal-epochs", "w-only,frozen", "joint-long"])
def test_controls_and_their_phases_are_written_and_read(control):
    protocol = (
        Phase(trains="all", lr_mixture=0.1), Phase(trains="mixture"),
        Phase(trains="network", before="rotate"),
    )  # fmt: skip
    run = Run(sets=(("relu", "tanh"),), control=control, protocol=protocol)
    assert to_run(checked(tomllib.loads(to_toml(run)), "")) == run


@pytest.mark.parametrize(
    ("control", "message"),
    [
        ("frozn", "no 'frozn'; did you mean frozen"),
        ("frozen,frozen", "'frozen' is there more than once"),
        ("w-only,w-start-2", "'w-start-2' is there more than once"),
        ("frozen,,joint", "no ''"),
        (" ", "no ''"),
    ],
)
def test_what_is_no_list_of_controls_is_refused(control, message):
    with pytest.raises(UsageError, match=message):
        Run(sets=(("relu", "tanh"),), control=control)


def test_two_names_of_one_setting_are_refused():
    with pytest.raises(UsageError, match="control and controls are one setting"):
        from_python({"control": "frozen", "controls": ["joint"]})


@pytest.mark.parametrize("name", OF_MIXTURES)
def test_a_control_of_mixtures_needs_one(name):
    with pytest.raises(UsageError, match=f"control '{name}' is a control of mixtures"):
        Run(sets=(("relu",), ("tanh",)), control=name)
    with pytest.raises(UsageError, match=f"control '{name}' is a control of mixtures"):
        Run(sets=(("relu", "tanh"),), mixtures=False, control=name)


@pytest.mark.parametrize("name", CONTROLS)
def test_a_control_that_changes_nothing_is_refused(tiny_npz, name):
    """Where w starts equal, or the phases have nothing that the control could change."""
    control = CONTROLS[name]
    by_start = control.init is not None or control.w_start
    options = {"init": "equal"} if by_start else {"protocol": SHORT[:1]}
    with pytest.raises(UsageError, match=f"control '{name}' changes nothing"):
        make_plan(run_of(tiny_npz, control=name, **options), tiny_npz.parent)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rule_scope": "channel"}, "layers cannot exchange weights of channels"),
        ({"models": ("mlp(depth=1,width=8)",)}, "has one activation layer"),
    ],
)
@pytest.mark.parametrize("asked", ["control", "phase"])
def test_layers_that_cannot_exchange_weights_are_refused(tiny_npz, options, message, asked):
    own = {"control": "shuffled"} if asked == "control" else {
        "control": "", "protocol": (*SHORT, Phase(trains="network", epochs=1, before="rotate")),
    }  # fmt: skip
    with pytest.raises(UsageError, match=message):
        make_plan(run_of(tiny_npz, **own, **options), tiny_npz.parent)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"trains": "network", "lr_mixture": 0.1}, "expected it only with trains='all'"),
        ({"trains": "all", "lr_mixture": 0}, "lr_mixture=0; expected a number above 0"),
        ({"trains": "all", "before": "swap"}, "before='swap'; expected one of rotate"),
    ],
)
def test_a_phase_refuses_what_it_cannot_do(options, message):
    with pytest.raises(UsageError, match=message):
        Phase(**options)


def test_a_tuned_rate_of_w_reaches_joint_phases(tiny_npz):
    run = run_of(tiny_npz, control="joint").with_setting({"lr_mixture": 0.5, "lr_network": 0.25})
    (phase,) = run.phases("joint")
    assert (phase.lr, phase.lr_mixture) == (0.25, 0.5)
    own = Run(sets=(("relu", "tanh"),), protocol=(Phase(trains="all", lr_mixture=0.1),))
    assert own.with_setting({"lr_mixture": 0.5}).protocol[0].lr_mixture == 0.5
