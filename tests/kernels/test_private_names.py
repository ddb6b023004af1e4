"""What torch keeps to itself is used in known places only, and may be missing."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import actzoo

PACKAGE = Path(actzoo.__file__).parent
ALLOWED = {
    "kernels/watched.py": "is a transform of torch at work? there is no public question",
    "kernels/fused.py": "Inductor, of the kernel that is refused without it",
    "kernels/fitness.py": "as above",
    "cost/operators.py": "mark_dynamic, which torch's documentation names",
    "mixture/mixture.py": "_version, which torch's notes on autograd name",
    "surgery/recognise.py": "as above",
    "surgery/observe.py": "TorchDispatchMode, which torch's notes on extending it name",
}


def private(path: Path) -> list[str]:
    """Names of torch in a file that begin with an underscore."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found = []
    for node in ast.walk(tree):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Attribute):
            names = [ast.unparse(node)]
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            names = [f"torch.{node.value}"] if node.value.startswith("_C.") else []
        for name in names:
            parts = name.split(".")
            own = parts[0] == "torch" and any(
                p.startswith("_") and not p.startswith("__") for p in parts
            )
            if own or parts[-1] == "_version":
                found.append(name)
    return found


def test_private_names_stand_in_known_places_only():
    used = {
        str(p.relative_to(PACKAGE)): names for p in PACKAGE.rglob("*.py") if (names := private(p))
    }
    assert not {k: v for k, v in used.items() if k not in ALLOWED}


ASKED = [
    "_C._functorch.peek_interpreter_stack",
    "_C._functorch.is_legacy_batchedtensor",
    "_C._len_torch_dispatch_stack",
]


@pytest.mark.parametrize("name", ASKED)
def test_where_they_are_missing_plain_torch_serves_and_says_so(name):
    code = f"""
import torch
del torch.{name}
import actzoo
mixture = actzoo.Mixture(["relu", "tanh"])
x = torch.linspace(-3, 3, 20000)
assert torch.allclose(mixture(x), (x.relu() + x.tanh()) / 2, atol=1e-6)
mixture(x).sum().backward()
assert mixture.kernel_used("cpu", torch.float32) == "reference"
for kernel in ("table", "fused"):
    try:
        actzoo.Mixture(["relu", "tanh"], kernel=kernel).kernel_used("cpu", torch.float32)
    except actzoo.ActzooError as error:
        assert "{name}" in str(error), error
    else:
        raise AssertionError(kernel)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
