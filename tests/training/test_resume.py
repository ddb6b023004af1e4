"""A cell that is stopped after an epoch and goes on is the cell that was never stopped."""

from __future__ import annotations

import hashlib
import io
import json
from dataclasses import replace

import pytest
import torch

import actzoo
from actzoo.errors import StoreError
from actzoo.models.model import Network
from actzoo.training import cell
from actzoo.training import checkpoint as checkpoints
from actzoo.training.checkpoint import Checkpoint
from actzoo.training.protocol import PAPER
from actzoo.training.setup import Values
from tests.training.running import run_cell


class Stop(Exception):
    pass


@pytest.fixture
def every_epoch(monkeypatch):
    monkeypatch.setattr(checkpoints, "EVERY", 0.0)


@pytest.fixture
def place(tmp_path):
    """Makes the checkpoint of a cell; what it refuses is removed and noted."""
    path = tmp_path / "checkpoint.pt"

    def make(spec):
        def refused(reason):
            make.refused.append(reason)
            path.unlink()

        return Checkpoint(path, spec.key, refused)

    make.path, make.refused = path, []
    return make


@pytest.fixture
def with_state():
    """Runs a network with what is easy to forget: dropout draws, batch norm has buffers."""

    def build(activation, shape, classes):
        a1, _ = activation(4)
        a2, _ = activation(8)
        return torch.nn.Sequential(
            torch.nn.Conv2d(shape[0], 4, 3),
            torch.nn.BatchNorm2d(4),
            a1,
            torch.nn.Flatten(),
            torch.nn.Dropout(0.3),
            torch.nn.Linear(4 * (shape[1] - 2) * (shape[2] - 2), 8),
            torch.nn.BatchNorm1d(8),
            a2,
            torch.nn.Linear(8, classes),
        )

    network = Network(name="with_state", build=build, description="for a test")

    def run(spec, task, *more, **options):
        members = tuple(actzoo.get(name) for name in spec.members)
        return cell.run_cell(spec, Values(members, task, network, {}), *more, **options)

    return run


def stop_after(count, spec, images, checkpoint, run=run_cell):
    def report(epoch):
        if epoch.done == count:
            raise Stop

    with pytest.raises(Stop):
        run(spec, images, report, checkpoint)


def with_options(spec, **options):
    return replace(spec, protocol=tuple(replace(p, **options) for p in spec.protocol))


@pytest.mark.parametrize("stop", [1, 2, 3, 4, 5, 6])
def test_stopped_after_any_epoch(
    tiny_cell, tiny_images, timeless, every_epoch, place, with_state, stop
):
    spec = tiny_cell("rrelu", "tanh", "swish")
    whole = with_state(spec, tiny_images)
    stop_after(stop, spec, tiny_images, place(spec), with_state)
    epochs = []
    resumed = with_state(spec, tiny_images, epochs.append, place(spec))
    assert [e.done for e in epochs] == list(range(stop + 1, 7))
    assert timeless(resumed) == timeless(whole)
    assert place.refused == []


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd"])
@pytest.mark.parametrize("schedule", ["constant", "cosine"])
def test_each_optimizer_and_schedule(
    tiny_cell, tiny_images, timeless, every_epoch, place, optimizer, schedule
):
    options = {"optimizer": optimizer, "schedule": schedule, "weight_decay": 0.01, "epochs": 3}
    spec = with_options(tiny_cell("relu", "tanh"), **options)
    whole = run_cell(spec, tiny_images)
    for stop in (2, 7):  # both inside a phase
        stop_after(stop, spec, tiny_images, place(spec))
    assert timeless(run_cell(spec, tiny_images, checkpoint=place(spec))) == timeless(whole)


def test_a_function_alone_and_phases_without_epochs(
    tiny_cell, tiny_images, timeless, every_epoch, place
):
    first, second, third = PAPER
    phases = (replace(first, epochs=2), replace(third, epochs=0), second, replace(third, epochs=2))
    spec = tiny_cell("tanh", protocol=phases)
    whole = run_cell(spec, tiny_images)
    assert whole.result.phases_skipped == [3]
    for stop in (1, 2, 3):
        stop_after(stop, spec, tiny_images, place(spec))
    assert timeless(run_cell(spec, tiny_images, checkpoint=place(spec))) == timeless(whole)


def test_the_times_count_what_earlier_processes_spent(tiny_cell, tiny_images, every_epoch, place):
    spec = tiny_cell("tanh")
    stop_after(3, spec, tiny_images, place(spec))
    head, packed = checkpoints.read(place.path, spec.key)
    state = torch.load(io.BytesIO(packed), weights_only=True)
    state["training"] |= {"seconds": 900.0, "elapsed": 1000.0}
    rewrite(place.path, head, state)
    seconds = run_cell(spec, tiny_images, checkpoint=place(spec)).result.seconds
    assert 900 < seconds.training < 1000 < seconds.total < 1100


def test_nothing_is_written_before_its_time(tiny_cell, tiny_images, place, monkeypatch):
    monkeypatch.setattr(checkpoints, "EVERY", 3600.0)
    spec = tiny_cell("tanh")
    stop_after(3, spec, tiny_images, place(spec))
    assert not place.path.exists()


def rewrite(path, head, state):
    """A checkpoint with another state and the right digest."""
    packed = io.BytesIO()
    torch.save(state, packed)
    head = {**head, "digest": hashlib.sha256(packed.getvalue()).hexdigest()}
    path.write_bytes(json.dumps(head).encode() + b"\n" + packed.getvalue())


class TestRefused:
    """A checkpoint that cannot be used costs time and nothing else."""

    @pytest.fixture
    def stopped(self, tiny_cell, tiny_images, every_epoch, place):
        spec = tiny_cell("tanh")
        stop_after(3, spec, tiny_images, place(spec))
        return spec

    def begins_anew(self, spec, tiny_images, timeless, place):
        epochs = []
        result = run_cell(spec, tiny_images, epochs.append, place(spec))
        assert [e.done for e in epochs] == [1, 2, 3, 4]
        assert timeless(result) == timeless(run_cell(spec, tiny_images))
        (reason,) = place.refused
        return reason

    @pytest.mark.parametrize("size", [0, 10, 1000, -1])
    def test_torn(self, stopped, tiny_images, timeless, place, size):
        place.path.write_bytes(place.path.read_bytes()[:size])
        reason = self.begins_anew(stopped, tiny_images, timeless, place)
        assert "torn" in reason and str(place.path) in reason

    def test_one_bit_flipped(self, stopped, tiny_images, timeless, place):
        content = bytearray(place.path.read_bytes())
        content[len(content) // 2] ^= 1
        place.path.write_bytes(content)
        assert "digest" in self.begins_anew(stopped, tiny_images, timeless, place)

    def test_of_another_cell(self, stopped, tiny_images, timeless, place, tiny_cell):
        other = replace(stopped, seed=1)
        reason = self.begins_anew(other, tiny_images, timeless, place)
        assert stopped.key in reason and other.key in reason

    @pytest.mark.parametrize(
        ("name", "value", "said"),
        [
            ("processor", "an abacus", "processor was an abacus"),
            ("packages", {"torch": "1.0"}, "torch was 1.0"),
            ("table_library", "abacus", "table library was abacus"),
            ("kernel", "fused", "kernel was fused"),
        ],
    )
    def test_from_another_machine(self, stopped, tiny_images, timeless, place, name, value, said):
        head, packed = checkpoints.read(place.path, stopped.key)
        head["machine"][name] = value
        place.path.write_bytes(json.dumps(head).encode() + b"\n" + packed)
        reason = self.begins_anew(stopped, tiny_images, timeless, place)
        assert said in reason

    def test_of_another_form_of_the_state(self, stopped, place):
        head, packed = checkpoints.read(place.path, stopped.key)
        del head["state"]
        place.path.write_bytes(json.dumps(head).encode() + b"\n" + packed)
        with pytest.raises(StoreError, match="another version of actzoo"):
            checkpoints.read(place.path, stopped.key)

    def test_of_another_format(self, stopped, place):
        head, packed = checkpoints.read(place.path, stopped.key)
        head["format"] = 0
        place.path.write_bytes(json.dumps(head).encode() + b"\n" + packed)
        with pytest.raises(StoreError, match="format 0"):
            checkpoints.read(place.path, stopped.key)

    def test_with_code_in_it(self, stopped, tiny_images, timeless, place):
        """Nothing in a checkpoint is ever executed."""
        head, _ = checkpoints.read(place.path, stopped.key)
        rewrite(place.path, head, {"training": Stop})
        assert "cannot be read" in self.begins_anew(stopped, tiny_images, timeless, place)
