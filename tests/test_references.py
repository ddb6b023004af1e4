from __future__ import annotations

import contextlib
import importlib
import inspect
import pickle
import sys

import hypothesis.strategies
import pytest
import torch
import torch.nn.functional as F
from hypothesis import example, given, settings

import actzoo
from actzoo.errors import ActzooError, UnknownNameError, UsageError

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


def test_an_activation_of_a_file_takes_other_values(mine):
    variant = actzoo.get(f"{mine}:wave").with_parameters(a=3.0)
    again = actzoo.get(variant.name)
    assert variant.name == again.name == f"{mine}:wave(a=3.0)"
    for wave in (variant, again, pickle.loads(pickle.dumps(again))):
        assert torch.allclose(wave(X), X * torch.sin(3 * X))
    with pytest.raises(UsageError, match=r"expected values by name; write .*:wave\(a=2\.0\)"):
        actzoo.get(f"{mine}:wave(3.0)")
    with pytest.raises(ActzooError, match="has no parameter 'b'"):
        actzoo.get(f"{mine}:wave(b=3.0)")
    with pytest.raises(UsageError, match="is no class, so it takes no arguments"):
        actzoo.get(f"{mine}:bump(a=3.0)")


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


IN_PLACE = [
    name
    for name in sorted(torch.nn.modules.activation.__all__)
    if "inplace" in inspect.signature(getattr(torch.nn, name)).parameters
]


@pytest.mark.parametrize("name", IN_PLACE)
def test_every_module_that_works_in_place_is_refused(name):
    given = {"Threshold": "threshold=-20, value=0, ", "Hardtanh": "max_val=100, "}.get(name, "")
    with pytest.raises(UsageError, match="changes its input in place"):
        actzoo.get(f"torch.nn:{name}({given}inplace=True)")
    made = getattr(torch.nn, name)(**eval(f"dict({given}inplace=True)"))
    with pytest.raises(UsageError, match="changes its input in place"):
        actzoo.Mixture(["relu", made])


ARGUMENTS = {
    "CELU": "alpha=0.5", "ELU": "alpha=0.5", "GELU": "approximate='tanh'",
    "Hardshrink": "lambd=0.25", "Hardtanh": "min_val=-2, max_val=0.5",
    "LeakyReLU": "negative_slope=0.2", "RReLU": "lower=0.1, upper=0.3",
    "Softplus": "beta=2, threshold=10", "Softshrink": "lambd=0.25",
    "Threshold": "threshold=0.1, value=0",
    "Softmax": "dim=0", "Softmin": "dim=0", "LogSoftmax": "dim=0", "GLU": "dim=0",
    "MultiheadAttention": "embed_dim=4, num_heads=2", "PReLU": "num_parameters=1",
}  # fmt: skip
MODULES = sorted(set(torch.nn.modules.activation.__all__) & set(dir(torch.nn)))


@pytest.mark.parametrize("with_arguments", [False, True])
@pytest.mark.parametrize("name", MODULES)
def test_every_activation_module_of_torchs_works_or_is_one_sentence(name, with_arguments):
    given = f"({ARGUMENTS.get(name, '')})" if with_arguments else ""
    try:
        act = actzoo.get(f"torch.nn:{name}{given}")
    except UsageError as error:
        assert "\n" not in str(error) and name in str(error)
        assert name in {
            "GLU", "MultiheadAttention", "PReLU", "Softmax2d", "Threshold",
        } | ({"Softmax", "Softmin", "LogSoftmax"} if not with_arguments else set())  # fmt: skip
        assert name != "Threshold" or not with_arguments
        return
    module = eval(f"torch.nn.{name}({given[1:-1]})").eval()
    assert torch.equal(act(X), module(X))
    assert actzoo.get(act.name).name == act.name
    if act.kind == "elementwise":
        mixture = actzoo.Mixture([f"torch.nn:{name}{given}", "tanh"]).eval()
        assert torch.allclose(mixture(X), (module(X) + X.tanh()) / 2, atol=1e-6)


def test_a_module_that_needs_arguments_is_told_what_to_write():
    with pytest.raises(UsageError, match=r"write 'torch\.nn:Threshold\(threshold=\.\.\., value="):
        actzoo.get("torch.nn:Threshold")
    with pytest.raises(UsageError, match=r"write 'torch\.nn:ELU\(alpha=1\.0, inplace=False\)'"):
        actzoo.get("torch.nn:ELU(beta=2)")
    with pytest.raises(UsageError, match="is no class, so it takes no arguments"):
        actzoo.get("torch.nn.functional:relu(inplace=False)")
    for text in ("(alpha=x)", "(alpha=f(1))", "(*[1])", "(**{})", "(alpha=1", "(alpha=)"):
        with pytest.raises(UsageError):
            actzoo.get(f"torch.nn:ELU{text}")


def test_arguments_by_place_and_by_name_are_one_function():
    texts = ("Threshold(0.1,0)", "Threshold(value=0, threshold=0.1)", "Threshold (0.1, value=0)")
    names = {actzoo.get(f"torch.nn:{text}").name for text in texts}
    assert names == {"torch.nn:Threshold(threshold=0.1, value=0)"}


def test_a_class_with_arguments_in_a_set(mine, tiny_npz, tmp_path):
    mine.write_text(
        "import torch\n\n\nclass Scale(torch.nn.Module):\n"
        "    def __init__(self, k, word='a,b'):\n        super().__init__()\n        self.k = k\n\n"
        "    def forward(self, x):\n        return self.k * x\n"
    )
    text = f"relu, {mine}:Scale(k=2, word='c,d'), torch.nn:Threshold(threshold=0.1, value=0)"
    results = actzoo.bench(
        [text], datasets=(f"npz:{tiny_npz}",), models=("mlp(width=4)",), seeds=(0,), epochs=1,
        out=tmp_path / "out",
    )  # fmt: skip
    assert {row["status"] for row in results.rows} == {"ok"} and len(results.rows) == 4
    assert torch.equal(actzoo.get(f"{mine}:Scale(2)")(X), 2 * X)


@pytest.mark.parametrize("text", ["torch.nn:Softmax(dim=0)", "torch.nn:LogSoftmax(dim=-1)"])
def test_a_module_over_a_dimension_is_no_elementwise_one(text):
    assert actzoo.get(text).kind == "dimwise"
    assert actzoo.get("torch.nn:Hardswish").kind == "elementwise"


def test_a_module_that_is_random_in_training_is_not_in_evaluation():
    for one in ("torch.nn:RReLU", "torch.nn:Dropout(p=0.9)", torch.nn.RReLU()):
        act = actzoo.get(one)
        assert act.training_fn is not None and torch.equal(act(X), act(X))
        module = act.module()
        assert not torch.equal(module(X), module.eval()(X))
    assert actzoo.get("torch.nn:Hardswish").training_fn is None


@given(
    hypothesis.strategies.one_of(
        hypothesis.strategies.text(max_size=30),
        hypothesis.strategies.tuples(
            hypothesis.strategies.text("ab./\\\0\n:*[]()'\" \ud800é~", max_size=12),
            hypothesis.strategies.sampled_from(
                (
                    ".py:f",
                    ".py",
                    ":f",
                    ":f(",
                    ":f(a=1)",
                    ":f()",
                    ".py:f(1,",
                    "(a=1)",
                    ":",
                    "actzoo:",
                )
            ),
        ).map("".join),
    )
)
@settings(max_examples=300, deadline=None)
@example("file\x00.py:f")
@example("\ud800.py:f")
@example("a" * 5000 + ".py:f")
@example("torch.nn:" + "(" * 3000)
@example("torch.nn:ELU(alpha=" + "-" * 4000 + "1)")
@example("torch.nn:ELU(alpha='\\d')")
@example("..:f")
@example("/.py:f")
@example("")
def test_any_text_is_an_activation_or_a_usage_error(text):
    with contextlib.suppress(ActzooError):
        assert isinstance(actzoo.get(text), actzoo.Activation)


def test_a_file_that_cannot_be_read_and_a_folder_are_said(tmp_path):
    (tmp_path / "folder.py").mkdir()
    (tmp_path / "circle.py").symlink_to("circle.py")
    for name in ("folder", "circle"):
        with pytest.raises(UnknownNameError, match=rf"no file '.*{name}\.py'"):
            actzoo.get(f"{tmp_path / name}.py:f")
    odd = tmp_path / "a:b (c), d"
    odd.mkdir()
    (odd / "f.py").write_text("def f(x):\n    return 2 * x\n")
    assert torch.equal(actzoo.get(f"{odd / 'f.py'}:f")(X), 2 * X)


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
    from actzoo.plugins.registry import default
    from actzoo.training.fingerprint import of_activation

    path = tmp_path / "my.py"
    prints = set()
    for slope in ("0.2", "0.9"):
        path.write_text(f"import torch\nact = torch.nn.LeakyReLU({slope})\n")
        prints.add(of_activation(actzoo.get(f"{path}:act"), default()))
    assert len(prints) == 2


def test_a_module_that_was_edited_after_its_import_is_refused(tmp_path, monkeypatch):
    from actzoo.plugins.registry import default
    from actzoo.training.fingerprint import of_activation

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
    from actzoo.plugins.registry import default
    from actzoo.training.fingerprint import of_activation

    texts = ("x*b, b=1", "x*b, b=layer(1)", "x*b, b=channel(1)")
    assert len({of_activation(actzoo.get(t), default()).definition for t in texts}) == 3


@pytest.mark.parametrize("content", ["def f(x):\n    return (x", "import nothing_like_this"])
def test_a_file_that_cannot_be_imported_is_a_usage_error(tmp_path, content):
    (tmp_path / "broken.py").write_text(content)
    with pytest.raises(UsageError, match=r"broken\.py cannot be imported: "):
        actzoo.get(f"{tmp_path / 'broken.py'}:f")
