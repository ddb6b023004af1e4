from __future__ import annotations

import json
import subprocess
import sys

import pytest
from packaging.utils import canonicalize_name

import actzoo
from actzoo.errors import FormulaError, NameClashError, UnknownNameError
from actzoo.naming import distribution_key
from actzoo.plugins.catalogue import Catalogue
from actzoo.plugins.hooks import hookimpl
from actzoo.plugins.loader import Origin, discover
from actzoo.plugins.registry import Registry, default


def test_the_first_zoo_is_here():
    first = [
        "identity",
        "relu",
        "leaky_relu",
        "tanh",
        "sin",
        "sigmoid",
        "silu",
        "gelu",
        "elu",
        "softplus",
    ]
    assert set(first) <= set(actzoo.names())


@pytest.mark.parametrize("text", ["leaky_relu", "Leaky-ReLU", "LEAKYRELU", "lrelu", "actzoo:lrelu"])
def test_lookup_ignores_case_and_dashes(text):
    assert actzoo.get(text).name == "leaky_relu"


def test_a_value_is_returned_as_it_is():
    assert actzoo.get(actzoo.get("gelu")) is actzoo.get("gelu")


def test_an_unknown_name_suggests_the_nearest():
    with pytest.raises(UnknownNameError, match=r"'gellu'; did you mean gelu"):
        actzoo.get("gellu")
    with pytest.raises(UnknownNameError, match="'leaky_rel'; did you mean leaky_relu"):
        actzoo.get("leaky_rel(slope=0.2)")


def test_parameters_in_the_name():
    act = actzoo.get("leaky_relu(slope=0.2)")
    assert act.parameters["slope"] == 0.2
    assert actzoo.get(act.name).parameters == act.parameters


def test_a_formula_is_a_name():
    act = actzoo.get("x*sigmoid(b*x), b=1.5")
    assert act.parameters["b"] == 1.5
    with pytest.raises(FormulaError, match="b"):
        actzoo.get("x*sigmoid(b*x)")


def test_every_name_and_alias_finds_its_value():
    for value, _ in default().activations.entries:
        for name in (value.name, *value.aliases):
            assert actzoo.get(name) is value


def test_built_ins_come_through_the_entry_points():
    origins = {value.name: origin for value, origin in default().activations.entries}
    assert origins["relu"] == Origin(
        "actzoo", actzoo.__version__, "rectifiers", "actzoo.zoo.rectifiers"
    )
    assert all(state.status == "ok" for state in default().plugins)


def test_a_clash_is_an_error_that_names_both_sides():
    catalogue = Catalogue("activation")
    for distribution in ("one", "two"):
        act = actzoo.Activation(name="twin", formula="x")
        catalogue.add(act, Origin(distribution, "1.0", "p", "m"))
    with pytest.raises(NameClashError, match=r"one:twin \(1\.0\) and two:twin \(1\.0\)"):
        catalogue.find("twin")
    assert catalogue.find("two:twin")[1].distribution == "two"


class Twin:
    """Two distributions with one name and one formula, but functions of their own."""

    def __init__(self, factor):
        self.factor = factor

    @hookimpl
    def actzoo_activations(self):
        factor = self.factor
        return [actzoo.Activation(name="twin", formula="x", fn=lambda x: factor * x)]


def test_a_qualified_name_keeps_its_distribution():
    registry = Registry([])
    for distribution, factor in (("one", 1.0), ("two", 2.0)):
        (value,) = Twin(factor).actzoo_activations()
        registry.activations.add(value, Origin(distribution, "1.0", "p", "m"))
    for distribution in ("one", "two"):
        assert registry.full_name(registry.get(f"{distribution}:twin")) == f"{distribution}:twin"


def test_a_distribution_of_a_similar_name_is_another_one(tmp_path, monkeypatch):
    built_in = [point.name for point in discover()]
    for name, provides in (("act-zoo", ""), ("ACT.ZOO", "[actzoo]\nodd = math\n")):
        folder = tmp_path / name / f"{name}-1.0.dist-info"
        folder.mkdir(parents=True)
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (folder / "entry_points.txt").write_text(provides)
        monkeypatch.syspath_prepend(folder.parent)
        assert [point.name for point in discover()] == built_in + ["odd"] * bool(provides)
    for name in ("actzoo", "Act__zoo.-X", "FrIeNdLy-._.-bArD"):
        assert distribution_key(name) == canonicalize_name(name)


def loaded_after(code: str) -> set[str]:
    """The top-level modules that a fresh process has loaded after some code."""
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys, json\nprint(json.dumps(list(sys.modules)))"],
        capture_output=True,
        text=True,
        check=True,
    )
    return {name.split(".")[0] for name in json.loads(done.stdout.splitlines()[-1])}


def test_getting_an_activation_loads_torch_and_nothing_heavy_beside_it():
    loaded = loaded_after("import actzoo; actzoo.get('gelu')")
    assert "torch" in loaded
    assert not loaded & {"pandas", "sklearn", "matplotlib", "torchvision", "scipy", "rich", "click"}


def test_import_alone_loads_no_torch():
    assert "torch" not in loaded_after("import actzoo")
