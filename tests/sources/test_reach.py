"""What a fingerprint covers: whatever a function reaches, edited, is another function."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import actzoo
from actzoo.errors import UsageError
from actzoo.plugins.registry import default
from actzoo.training.fingerprint import of_activation

FUNCTION = "import torch\n{imports}\n\n\ndef foo(x):\n    {first}\n    return torch.tanh({k} * x)\n"
SCRIPT = """
import json, sys
import actzoo, torch
from actzoo.training.fingerprint import of_activation
from actzoo.plugins.registry import default
act = actzoo.get(sys.argv[1])
found = of_activation(act, default())
print(json.dumps([found.digest, found.imports, found.not_covered, act(torch.ones(1)).item()]))
"""


def write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def asked_elsewhere(name: str, *folders: Path) -> list:
    """Digest, imports, what is not covered, and f(1), in a process with folders on its path."""
    path = os.pathsep.join(map(str, folders))
    own = {"PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, name],
        capture_output=True,
        text=True,
        env={**os.environ, **own},
        cwd=folders[0],
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def function(imports: str = "", k: str = "K", first: str = "pass") -> str:
    return FUNCTION.format(imports=imports, k=k, first=first)


K = {"h.py": "K = {k}\n"}
KINDS = {
    "helper": {"f.py": function("from h import K"), **K},
    "import as": {"f.py": function("import h as other", "other.K"), **K},
    "helper of helper": {
        "f.py": function("from g import K"),
        "g.py": "from h import K\n",
        **K,
    },
    "submodule": {
        "f.py": function("import a.b", "a.b.K"),
        "a/__init__.py": "",
        "a/b.py": "K = {k}\n",
    },
    "package itself": {
        "f.py": function("import a.b", "a.K"),
        "a/__init__.py": "K = {k}\n",
        "a/b.py": "",
    },
    "from package a module": {
        "f.py": function("from a import b", "b.K"),
        "a/__init__.py": "",
        "a/b.py": "K = {k}\n",
    },
    "relative sibling": {
        "f.py": function("from a.b import K"),
        "a/__init__.py": "",
        "a/b.py": "from .c import K\n",
        "a/c.py": "K = {k}\n",
    },
    "relative module": {
        "f.py": function("from a.d.b import K"),
        "a/__init__.py": "",
        "a/d/__init__.py": "",
        "a/d/b.py": "from .. import c\nK = c.K\n",
        "a/c.py": "K = {k}\n",
    },
    "star": {"f.py": function("from h import *"), **K},
    "star of a package": {
        "f.py": function("from a import *", "b.K"),
        "a/__init__.py": "__all__ = ['b']\n",
        "a/b.py": "K = {k}\n",
    },
    "conditional": {
        "f.py": function("try:\n    import absent\nexcept ImportError:\n    import h", "h.K"),
        **K,
    },
    "in the function": {"f.py": function(first="from h import K"), **K},
    "namespace package": {"f.py": function("from ns.b import K"), "ns/b.py": "K = {k}\n"},
    "in a circle": {
        "f.py": function("from g import K"),
        "g.py": "import h\nK = h.K\n",
        "h.py": "import g\nK = {k}\n",
    },
    "compiled text that is no function": {
        "f.py": "from torch import nn\nfrom h import K\n\n\nclass foo(nn.Module):\n"
        "    def forward(self, x):\n        return (K * x).tanh()\n",
        **K,
    },
    "module instance": {
        "f.py": "from g import Scale\nfoo = Scale()\n",
        "g.py": "from torch import nn\nfrom h import K\n\n\nclass Scale(nn.Module):\n"
        "    def forward(self, x):\n        return (K * x).tanh()\n",
        **K,
    },
    "partial": {
        "f.py": "import functools, torch\nfrom h import K\n\ndef g(k, x):\n"
        "    return torch.tanh(k * x)\n\nfoo = functools.partial(g, K)\n",
        **K,
    },
    "closure of a helper": {
        "f.py": "from h import make\nfoo = make()\n",
        "h.py": "def make(k={k}):\n    return lambda x: (k * x).tanh()\n",
    },
    "activation": {
        "f.py": "from actzoo import Activation\nfrom h import K\n"
        "foo = Activation(name='foo', formula='tanh(k*x)', parameters=dict(k=K))\n",
        **K,
    },
}  # fmt: skip


BY_NAME = {
    "import_module": {
        "f.py": function("import importlib\nh = importlib.import_module('a.b')", "h.K"),
        "a/__init__.py": "",
        "a/b.py": "K = {k}\n",
    },
    "helper of helper": KINDS["helper of helper"],
    "relative sibling": KINDS["relative sibling"],
}


BY_NAME["package that imports"] = {
    "p/__init__.py": "from . import f, other\n",
    "p/other.py": "from h import K\nfrom . import f\nf.K = K\n",
    "p/f.py": function("K = 1.0"),
    **K,
}


def edited(files: dict[str, str], k: float) -> dict[str, str]:
    return {name: text.replace("{k}", repr(k)) for name, text in files.items()}


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_file_reaches_is_part_of_it_and_is_read_again(kind, tmp_path):
    path, found = tmp_path / "f.py", []
    before = list(sys.path)
    for k in (0.5, 0.25, 0.5):
        write(tmp_path, edited(KINDS[kind], k))
        act = actzoo.get(f"{path}:foo")
        assert act(torch.ones(1)).item() == pytest.approx(torch.tanh(torch.tensor(k)).item())
        found.append(of_activation(act, default()))
    assert found[0] == found[2] and found[0].digest != found[1].digest
    assert found[0].not_covered == "" and found[0].imports == ""
    assert sys.path == before


@pytest.mark.parametrize("kind", BY_NAME)
@pytest.mark.slow
def test_a_module_by_its_name_in_another_process(kind, tmp_path):
    found = []
    for k in (0.5, 0.25):
        write(tmp_path, edited(BY_NAME[kind], k))
        found.append(asked_elsewhere("p.f:foo" if "p/f.py" in BY_NAME[kind] else "f:foo", tmp_path))
        assert found[-1][3] == pytest.approx(torch.tanh(torch.tensor(k)).item())
    assert found[0][0] != found[1][0] and found[0][2] == ""


def test_another_process_finds_the_same(tmp_path):
    write(tmp_path, edited(KINDS["helper of helper"], 0.5))
    here = of_activation(actzoo.get(f"{tmp_path / 'f.py'}:foo"), default())
    assert here.digest == asked_elsewhere("f.py:foo", tmp_path)[0]


def test_two_sources_that_change_places_are_another_function(tmp_path):
    digests = set()
    for one, two in (("1.0", "2.0"), ("2.0", "1.0")):
        write(
            tmp_path,
            {
                "f.py": function("import g, h", "(g.K - h.K)"),
                "g.py": f"K = {one}\n",
                "h.py": f"K = {two}\n",
            },
        )
        digests.add(of_activation(actzoo.get(f"{tmp_path / 'f.py'}:foo"), default()).digest)
    assert len(digests) == 2


def test_a_helper_that_was_edited_after_its_import_is_refused(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    write(
        tmp_path,
        {"reach_f.py": function("from reach_h import K"), "reach_h.py": "K = 0.5\n"},
    )
    before = of_activation(actzoo.get("reach_f:foo"), default())
    assert of_activation(actzoo.get("reach_f:foo"), default()) == before
    write(tmp_path, {"reach_h.py": "K = 0.25\n"})
    with pytest.raises(UsageError, match=r"reach_h\.py was changed after this process began"):
        of_activation(actzoo.get("reach_f:foo"), default())
    importlib.reload(sys.modules["reach_h"])
    importlib.reload(sys.modules["reach_f"])
    assert of_activation(actzoo.get("reach_f:foo"), default()).digest != before.digest


def distribution(folder: Path, version: str, record: bool, requires: str = "") -> None:
    lines = f"Metadata-Version: 2.1\nName: wrapped-lib\nVersion: {version}\n{requires}"
    info = "wrapped_lib-1.0.dist-info"
    write(folder, {f"{info}/METADATA": lines, f"{info}/top_level.txt": "wrapped_lib\n"})
    if record:
        write(folder, {f"{info}/RECORD": "wrapped_lib/__init__.py,sha256=abc,12\n"})


@pytest.mark.parametrize(("record", "name"), [(True, "f:foo"), (False, "f.py:foo")])
@pytest.mark.slow
def test_another_version_of_a_wrapped_distribution(record, name, tmp_path):
    site, own = tmp_path / "site", tmp_path / "own"
    write(site, {"wrapped_lib/__init__.py": "K = 0.5\n"})
    write(own, {"f.py": function("from wrapped_lib import K")})
    found = []
    for version in ("1.0", "2.0"):
        distribution(site, version, record)
        found.append(asked_elsewhere(name, own, site))
    assert [f[1] for f in found] == ["wrapped-lib 1.0", "wrapped-lib 2.0"]
    assert found[0][0] != found[1][0]


def test_what_a_distribution_requires_counts_and_the_standard_library_does_not(tmp_path):
    write(tmp_path, {"f.py": function("import json, math, scipy.special", "math.pi")})
    found = of_activation(actzoo.get(f"{tmp_path / 'f.py'}:foo"), default())
    names = [text.partition(" ")[0] for text in found.imports.split(", ")]
    assert names == ["numpy", "scipy"]


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("import importlib\nh = importlib.import_module('h' + '')", "names made at run time"),
        ("with open(__file__) as file:\n    K = len(file.read())", "files that it reads"),
        ("from pathlib import Path\nK = len(Path(__file__).read_text())", "files that it reads"),
        ("import os\nK = float(os.environ.get('SURELY_NOT_SET', 1))", "environment variables"),
        ("from os import getenv\nK = float(getenv('SURELY_NOT_SET') or 1)", "environment"),
        ("exec('K = 1')", "code made at run time"),
        ("from numpy import load", "files that it reads"),
        ("from io import open as o", "files that it reads"),
        ("import configparser", "files that it reads"),
        ("from linecache import getline", "files that it reads"),
        ("import subprocess", "other programs"),
        ("from runpy import run_path", "code made at run time"),
        ("from importlib import import_module as im", "names made at run time"),
        ("import pkgutil", "names made at run time"),
    ],
)
def test_what_cannot_be_followed_is_said(code, said, tmp_path):
    write(tmp_path, {"f.py": function(f"K = 1.0\n{code}"), "h.py": "K = 1.0\n"})
    if "import_module" in code:  # only what Python itself would find has such a name
        write(tmp_path, {"f.py": function(f"K = 1.0\nif False:\n    {code.splitlines()[-1]}")})
    found = of_activation(actzoo.get(f"{tmp_path / 'f.py'}:foo"), default())
    assert said in found.not_covered and found.not_covered.startswith("f: ")


def make(k, held=None):
    return lambda x: k * x if held is None else x


def test_what_a_given_function_carries_counts_or_is_refused():
    from functools import partial

    given = [
        make(1.0), make(2.0), make(torch.ones(1)), make(torch.zeros(1)),
        partial(torch.nn.functional.leaky_relu, negative_slope=0.2),
        partial(torch.nn.functional.leaky_relu, negative_slope=0.9),
        torch.nn.LeakyReLU(0.2), torch.nn.LeakyReLU(0.9),
        lambda x, k=1: x * k, lambda x, k=2: x * k,
    ]  # fmt: skip
    digests = [of_activation(actzoo.get(f), default()).digest for f in given]
    again = [of_activation(actzoo.get(f), default()).digest for f in given]
    assert digests == again and len(set(digests)) == len(digests)
    with pytest.raises(UsageError, match=r"holds <object object .* in f\.held"):
        of_activation(actzoo.get(make(1.0, object())), default())


def test_every_built_in_has_a_fingerprint_with_nothing_open():
    for value, _ in default().activations.entries:
        found = of_activation(value, default())
        assert found.not_covered == "" and found.imports == "", value
