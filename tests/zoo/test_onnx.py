"""Every function in ONNX: exported, run by another runtime, and compared."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings

import pytest
import torch

from actzoo import RATIO, SOFTMAX, Mixture, get, names
from actzoo.formula.nodes import FUNCTIONS

pytest.importorskip("onnx")
pytest.importorskip("onnxscript")
onnxruntime = pytest.importorskip("onnxruntime")

X = torch.linspace(-9, 9, 48).view(6, 8)
X[0, 0], X[0, 1], X[1, 1] = -300.0, 300.0, 0.0

_ARGUMENTS = {
    "acos": "x/400", "asin": "x/400", "atanh": "x/400", "acosh": "1 + abs(x)", "log": "abs(x)",
    "log1p": "abs(x)", "sqrt": "abs(x)", "tan": "x/400", "cosh": "x/9", "sinh": "x/9",
    "exp": "x/9", "expm1": "x/9", "clip": "x, -1, 2", "max": "x, 0.5, -x", "min": "x, 0.5, x/2",
}  # fmt: skip
CALLS = [f"{name}({_ARGUMENTS.get(name, 'x')}) + 0*x" for name in FUNCTIONS]
TYPED = [
    "sqrt(x**2 + 1)",
    "x if 0 < x and x < 2 else exp(-abs(x))",
    "a*x if x > b else 0, a=channel(1), b=layer(0.2)",
    "x**3/(1 + abs(x)**3)",
    "c[0]*x + c[1], c=(1, 2)",
    "(2 + 0.1*x**2)**0.3",
]
AT_EDGES = ["snake(a=0)", "smelu(beta=0)", "squareplus(b=0)", "celu(alpha=0)", "isru(alpha=0)"]


def exported(module, folder):
    path = folder / "function.onnx"
    logging.disable(logging.WARNING)
    try:
        with (
            warnings.catch_warnings(),
            contextlib.redirect_stdout(io.StringIO()),
            contextlib.redirect_stderr(io.StringIO()),
        ):
            warnings.simplefilter("ignore")  # of the exporter's own parts
            torch.onnx.export(module, (X,), path, dynamo=True, verbose=False)
    finally:
        logging.disable(logging.NOTSET)
    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])


def compare(module, folder):
    module.eval()
    session = exported(module, folder)
    (found,) = session.run(None, {session.get_inputs()[0].name: X.numpy()})
    # The runtime's own sigmoid has four digits far out.
    torch.testing.assert_close(torch.from_numpy(found), module(X).detach(), rtol=2e-4, atol=1e-6)


@pytest.mark.parametrize("name", ["bent_identity", "squash", "sqrt(x**2 + 1)", "mish"])
def test_some_export(name, tmp_path):
    compare(get(name).module(channels=8), tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", [*names(), *AT_EDGES, *TYPED, *CALLS])
def test_every_function_exports(name, tmp_path):
    compare(get(name).module(channels=8), tmp_path)


MEMBERS = [
    ["relu", "tanh", "sin"],
    ["prelu", "x*sigmoid(b*x), b=channel(1)"],
    ["softmax(dim=-1)", "gelu"],
    ["softplus"],
]


@pytest.mark.parametrize("rule", [RATIO, SOFTMAX], ids=lambda rule: rule.name)
@pytest.mark.parametrize("members", MEMBERS, ids=" + ".join)
def test_mixtures_export(members, rule, tmp_path):
    mixture = Mixture(members, rule=rule, channels=8)
    with torch.no_grad():
        mixture.w.copy_(torch.arange(1.0, 1 + len(members)))
    compare(torch.nn.Sequential(mixture, torch.nn.Linear(8, 3), torch.nn.Tanh()), tmp_path)
