from __future__ import annotations

import importlib
import pickle
import sys

import pytest
import torch
import torch.nn.functional as F

import actzoo
from actzoo.errors import UnknownNameError, UsageError

X = torch.linspace(-3, 3, 7)

MINE = """
import torch
from actzoo import Activation

WIDTH = 3

def bump(x):
    return torch.exp(-x * x)

wave = Activation(name="wave", formula="x*sin(a*x)", parameters={"a": 2.0})
"""


def cube(x):
    return x**3


@pytest.fixture
def mine(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(MINE)
    return path


def test_a_module_attribute():
    assert torch.equal(actzoo.get("torch.nn.functional:hardswish")(X), F.hardswish(X))
    assert torch.equal(actzoo.get("torch.nn:Hardswish")(X), F.hardswish(X))


def test_a_file_attribute(mine):
    bump = actzoo.get(f"{mine}:bump")
    assert torch.equal(bump(X), torch.exp(-X * X))
    assert bump.name == f"{mine}:bump"
    wave = actzoo.get(f"{mine}:wave")
    assert torch.allclose(wave(X), X * torch.sin(2 * X))
    assert torch.equal(pickle.loads(pickle.dumps(bump))(X), bump(X))


def test_an_edited_file_is_read_again(mine):
    before = actzoo.get(f"{mine}:bump")(X)
    mine.write_text(MINE.replace("-x * x", "-x * x / 2"))
    assert not torch.equal(actzoo.get(f"{mine}:bump")(X), before)


def test_any_callable():
    assert torch.equal(actzoo.get(cube)(X), X**3)
    assert torch.allclose(actzoo.get(cube).derivative(X), 3 * X**2)
    mixture = actzoo.Mixture([cube, "tanh", lambda x: x])
    assert torch.allclose(mixture(X), (X**3 + X.tanh() + X) / 3)


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("nowhere.at_all:f", UnknownNameError, "no module is called 'nowhere.at_all'"),
        ("torch:nothing_here", UnknownNameError, "torch has no 'nothing_here'"),
        ("/nowhere/file.py:f", UnknownNameError, "no file '/nowhere/file.py'"),
        ("actzoo:gellu", UnknownNameError, "did you mean gelu"),
        ("torch:pi", UsageError, "is float, not a function"),
        ("torch.nn:PReLU", UsageError, "declare an Activation with `learnable`"),
    ],
)
def test_what_is_not_there_is_said(text, error, message):
    with pytest.raises(error, match=message):
        actzoo.get(text)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("return x.sum()", r"made a tensor of shape \(\) of a tensor of shape \(5,\)"),
        ("return x.mul_(2)", "changes its input in place"),
        ("return 3", "made 3 of a tensor"),
        ("return x @ x @ x", "failed on a tensor of 5 numbers: RuntimeError"),
    ],
)
def test_a_function_that_is_none_is_told_so_in_one_line(tmp_path, body, message):
    (tmp_path / "mine.py").write_text(f"def f(x):\n    {body}\n")
    with pytest.raises(UsageError, match=message):
        actzoo.get(f"{tmp_path / 'mine.py'}:f")
    with pytest.raises(UnknownNameError, match=r"mine\.py:NAME"):
        actzoo.get(f"{tmp_path / 'mine.py'}")


def test_what_is_no_activation_is_refused():
    with pytest.raises(UsageError, match="expected a name, formula or function"):
        actzoo.get(3)


def test_a_file_runs_in_a_bench_and_its_edit_is_another_cell(mine, tiny_npz, tmp_path):
    from actzoo.sweep.plan import Run
    from actzoo.sweep.prepare import make_plan

    def key():
        run = Run(sets=((f"{mine}:bump",),), datasets=(f"npz:{tiny_npz}",), seeds=(0,))
        return make_plan(run, tmp_path)[0].cells[0].key

    before = key()
    assert key() == before
    mine.write_text(MINE.replace("WIDTH = 3", "WIDTH = 4"))  # anything in the file may matter
    assert key() != before


def test_a_module_of_torchs_made_in_a_file_is_known_by_the_file(tmp_path):
    from actzoo.experiment.fingerprint import of_activation
    from actzoo.registry import default

    path = tmp_path / "my.py"
    prints = set()
    for slope in ("0.2", "0.9"):
        path.write_text(f"import torch\nact = torch.nn.LeakyReLU({slope})\n")
        prints.add(of_activation(actzoo.get(f"{path}:act"), default()))
    assert len(prints) == 2


def test_a_module_that_was_edited_after_its_import_is_refused(tmp_path, monkeypatch):
    from actzoo.experiment.fingerprint import of_activation
    from actzoo.registry import default

    monkeypatch.syspath_prepend(tmp_path)
    file = tmp_path / "edited_module.py"
    file.write_text("def f(x):\n    return x + 1\n")
    before = of_activation(actzoo.get("edited_module:f"), default())
    assert of_activation(actzoo.get("edited_module:f"), default()) == before
    file.write_text("def f(x):\n    return x + 100\n")
    with pytest.raises(UsageError, match="changed after this process began to use it"):
        of_activation(actzoo.get("edited_module:f"), default())
    path = f"{file}:f"  # by its path the new code runs, and may
    assert actzoo.get(path)(torch.zeros(1)).item() == 100
    assert of_activation(actzoo.get(path), default()).digest != before.digest
    importlib.reload(sys.modules["edited_module"])
    after = of_activation(actzoo.get("edited_module:f"), default())
    assert after.digest != before.digest
    assert actzoo.get("edited_module:f")(torch.zeros(1)).item() == 100


def test_what_trains_is_part_of_a_fingerprint():
    from actzoo.experiment.fingerprint import of_activation
    from actzoo.registry import default

    texts = ("x*b, b=1", "x*b, b=layer(1)", "x*b, b=channel(1)")
    assert len({of_activation(actzoo.get(t), default()).definition for t in texts}) == 3


@pytest.mark.parametrize("content", ["def f(x):\n    return (x", "import nothing_like_this"])
def test_a_file_that_cannot_be_imported_is_a_usage_error(tmp_path, content):
    (tmp_path / "broken.py").write_text(content)
    with pytest.raises(UsageError, match=r"broken\.py cannot be imported: "):
        actzoo.get(f"{tmp_path / 'broken.py'}:f")
