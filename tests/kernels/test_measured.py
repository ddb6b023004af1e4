"""What "auto" times on a machine that nobody has measured, and what it remembers."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from click.testing import CliRunner

import actzoo
from actzoo.cli.env import command
from actzoo.isolation import isolated
from actzoo.kernels import measured, measurements
from actzoo.kernels.table import native

CPU = torch.device("cpu")
MEMBERS = ["relu", "tanh", "sin"]
SLOW = Callable[[str], None]


@pytest.fixture(autouse=True)
def unmeasured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A processor that nobody has measured, in an empty home."""
    library = native.load()
    if library is None:
        pytest.skip(native.absent())
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv(measured.VARIABLE, raising=False)
    library.use("portable")
    measured.forget()
    yield
    library.use(None)
    measured.forget()


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> SLOW:
    """Makes one candidate take longer on the clock: "table" or "plain torch"."""

    def choose(which: str) -> None:
        # The clock is read before and after each call; the table is timed first.
        steps = itertools.cycle([0, 9, 0, 5] if which == "table" else [0, 1, 0, 5])
        times = itertools.accumulate(steps)
        monkeypatch.setattr(measured, "clock_for", lambda *_: lambda: float(next(times)))

    return choose


def files(home: Path) -> list[Path]:
    return sorted(home.rglob("*.json"))


def eager(x: torch.Tensor) -> torch.Tensor:
    third = torch.full((3,), 1 / 3).unbind()
    return torch.addcmul(torch.addcmul(third[0] * F.relu(x), x.tanh(), third[1]), x.sin(), third[2])


@pytest.mark.parametrize("which", ["table", "plain torch"])
def test_the_quicker_one_serves(slow: SLOW, which: str) -> None:
    slow(which)
    x = torch.linspace(-3, 3, 5000).requires_grad_()
    y = actzoo.Mixture(MEMBERS)(x)
    right = eager(x)
    assert torch.equal(y, right) == (which == "table")  # a table rounds otherwise
    torch.testing.assert_close(y, right, rtol=1e-6, atol=1e-6)
    (row,) = measurements(CPU)["measured"]
    assert row["pays"] == (which != "table")
    assert (row["functions"], row["dtype"], row["elements"]) == ("relu+tanh+sin", "float32", 4096)


@pytest.mark.parametrize("name", ["silu", "sigmoid", "elu", "gelu", "hard_swish"])
def test_a_layer_is_torchs_own_operator_where_that_is_quicker(slow: SLOW, name: str) -> None:
    slow("table")
    own = {"silu": F.silu, "sigmoid": torch.sigmoid, "elu": F.elu, "gelu": F.gelu}
    x = torch.linspace(-5, 5, 70000)
    layer = actzoo.get(name).module()
    assert torch.equal(layer(x), own.get(name, F.hardswish)(x))


def test_each_set_dtype_size_and_number_of_threads_is_timed_once(slow: SLOW) -> None:
    slow("plain torch")
    mixture = actzoo.Mixture(MEMBERS)
    for dtype, n in itertools.product((torch.float32, torch.bfloat16), (300, 400, 100_000)):
        mixture(torch.ones(n, dtype=dtype))
    actzoo.Mixture(MEMBERS[:2])(torch.ones(300))
    assert len(measurements(CPU)["measured"]) == 5
    before = torch.get_num_threads()
    torch.set_num_threads(before + 1)
    mixture(torch.ones(300))
    torch.set_num_threads(before)
    assert len(measurements(CPU)["measured"]) == 6
    actzoo.Mixture(MEMBERS)(torch.ones(350))
    assert len(measurements(CPU)["measured"]) == 6


def test_the_random_stream_of_the_program_is_untouched() -> None:
    torch.manual_seed(1)
    right = torch.rand(3)
    torch.manual_seed(1)
    actzoo.Mixture(MEMBERS)(torch.ones(3))
    assert torch.equal(torch.rand(3), right)


@pytest.mark.slow
def test_another_process_finds_what_was_measured(tmp_path: Path) -> None:
    code = (
        "import torch, actzoo; from actzoo.kernels.table import native;"
        "native.load().use('portable'); torch.set_num_threads(1);"
        "actzoo.Mixture(['relu', 'tanh', 'sin'])(torch.ones(300));"
        "from actzoo.kernels import measurements; import json;"
        "print(json.dumps(measurements(torch.device('cpu'))))"
    )
    env = {**os.environ, "HOME": str(tmp_path)}
    said = [
        subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True)
        for _ in range(2)
    ]
    first, second = (json.loads(done.stdout) for done in said)
    assert first == second  # with the same seconds, so the second one timed nothing
    assert [Path(first["file"])] == files(tmp_path)
    document = json.loads(files(tmp_path)[0].read_text())
    assert document["machine"]["torch"] == torch.__version__
    assert document["machine"]["vector instructions"] == "portable"


def test_two_processes_add_to_one_file(tmp_path: Path, slow: SLOW) -> None:
    slow("table")
    actzoo.Mixture(MEMBERS)(torch.ones(300))
    (file,) = files(tmp_path)
    one = file.read_bytes()
    file.unlink()
    measured.forget()
    actzoo.Mixture(MEMBERS[:2])(torch.ones(300))  # a process that read the file before
    file.write_bytes(one)
    actzoo.Mixture(MEMBERS[1:])(torch.ones(300))
    rows = json.loads(file.read_text())["measured"].values()
    assert {r["functions"] for r in rows} == {"relu+tanh+sin", "relu+tanh", "tanh+sin"}


def torn(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-20])


def foreign(file: Path) -> None:
    document = json.loads(file.read_text())
    document["machine"]["torch"] = "1.0"
    file.write_text(json.dumps(document))


def odd(file: Path) -> None:
    document = json.loads(file.read_text())
    document["measured"] = {key: {"pays": "maybe"} for key in document["measured"]}
    file.write_text(json.dumps(document))


@pytest.mark.parametrize("damage", [torn, foreign, odd, Path.unlink])
def test_a_file_that_is_not_ours_is_measured_again(
    tmp_path: Path, slow: SLOW, damage: Callable[[Path], None]
) -> None:
    slow("table")
    actzoo.Mixture(MEMBERS)(torch.ones(300))
    (file,) = files(tmp_path)
    right = json.loads(file.read_text())
    damage(file)
    measured.forget()
    slow("table")
    actzoo.Mixture(MEMBERS)(torch.ones(300))
    assert json.loads(file.read_text()) == right


@pytest.mark.parametrize("home", ["file", "none"])
def test_without_a_home_that_can_be_written_memory_serves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, slow: SLOW, home: str
) -> None:
    (tmp_path / "file").write_text("")
    if home == "file":
        monkeypatch.setenv("HOME", str(tmp_path / "file"))
    else:
        monkeypatch.setattr(Path, "expanduser", lambda _: (_ for _ in ()).throw(RuntimeError()))
    slow("table")
    mixture, x = actzoo.Mixture(MEMBERS), torch.linspace(-3, 3, 300)
    for _ in range(2):
        assert torch.equal(mixture(x), eager(x))
    assert len(measurements(CPU)["measured"]) == 1


def by_rule(x: torch.Tensor) -> torch.Tensor:
    return actzoo.Mixture(MEMBERS, kernel="table")(x)


def test_where_auto_is_a_rule(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, slow: SLOW) -> None:
    slow("table")
    mixture, x = actzoo.Mixture(MEMBERS), torch.linspace(-3, 3, 300)
    with isolated():
        assert torch.equal(mixture(x), by_rule(x))
    torch.use_deterministic_algorithms(True)
    assert torch.equal(mixture(x), by_rule(x))
    torch.use_deterministic_algorithms(False)
    monkeypatch.setenv(measured.VARIABLE, "0")
    assert torch.equal(mixture(x), by_rule(x))
    assert not files(tmp_path)
    monkeypatch.delenv(measured.VARIABLE)
    assert torch.equal(mixture(x), eager(x))
    assert len(files(tmp_path)) == 1


@pytest.mark.parametrize("fault", ["raises", "wrong"])
def test_a_kernel_that_fails_or_is_wrong_is_said_and_not_used(
    monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    library = native.load()
    assert library is not None
    own = type(library).forward

    def broken(self: Any, x: Any, y: Any, *rest: Any) -> torch.Tensor:
        if fault == "raises":
            raise OSError("no such kernel")
        outside = own(self, x, y, *rest)
        y.add_(1)
        return outside

    monkeypatch.setattr(type(library), "forward", broken)
    x = torch.linspace(-3, 3, 300)
    with pytest.warns(RuntimeWarning, match="plain torch serves"):
        assert torch.equal(actzoo.Mixture(MEMBERS)(x), eager(x))


def test_env_shows_what_was_found(slow: SLOW) -> None:
    slow("table")
    actzoo.get("silu").module()(torch.ones(70000))
    measured.forget()
    runner = CliRunner()
    assert "silu float32, 65536 elements" in runner.invoke(command, []).stdout
    (row,) = json.loads(runner.invoke(command, ["--json"]).stdout)["auto"]["measured"]
    assert (row["functions"], row["pays"]) == ("silu", False)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_on_a_gpu_the_quicker_one_serves_with_the_same_numbers() -> None:
    device = torch.device("cuda", torch.cuda.current_device())
    x = torch.linspace(-3, 3, 5000, device=device).requires_grad_()
    y = actzoo.Mixture(MEMBERS).to(device)(x)
    torch.testing.assert_close(y.cpu(), eager(x.detach().cpu()), rtol=1e-5, atol=1e-5)
    (row,) = measurements(device)["measured"]
    assert set(row["seconds"]) == {"table", "plain torch"}
