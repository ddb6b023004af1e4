"""What plugins do wrong, each beside a good one in one registry."""

from __future__ import annotations

import os
import random
import sys
import types
import warnings
from importlib.metadata import EntryPoint
from pathlib import Path

import numpy as np
import pytest
import torch

import actzoo
from actzoo.errors import UsageError
from actzoo.plugins.hooks import hookimpl
from actzoo.plugins.loader import discover
from actzoo.plugins.registry import Registry


class Good:
    @staticmethod
    @hookimpl
    def actzoo_activations():
        return [actzoo.Activation(name="fine", formula="x")]


class Unmarked:
    @staticmethod
    def actzoo_activations():
        return [actzoo.Activation(name="unmarked", formula="x")]


class WrongType:
    @staticmethod
    @hookimpl
    def actzoo_activations():
        return ["relu"]


class BadName:
    @staticmethod
    @hookimpl
    def actzoo_activations():
        return [actzoo.Activation(name="Not-Snake", formula="x")]


class Exits:
    @staticmethod
    @hookimpl
    def actzoo_activations():
        sys.exit(3)


def one_hook(function, name="actzoo_activations"):
    """A plugin of one hook."""
    return type("Plugin", (), {name: staticmethod(hookimpl(function))})


def returning(value):
    return one_hook(lambda: value)


def act(name="fine", **more):
    return actzoo.Activation(name=name, formula="x", **more)


def raising(error):
    def function():
        yield act()
        raise error

    return one_hook(function)


class OddError(Exception):
    def __str__(self):
        raise RuntimeError


class OddValue:
    def __repr__(self):
        raise RuntimeError


def endless():
    while True:
        yield act()


def broken_set(*members):
    made = actzoo.ActivationSet(name="myset", members=members, description="d")
    return one_hook(lambda: [made], "actzoo_sets")


# What plugins do, and what their row says.
ODD = {
    "Unmarked": (Unmarked, "ok", ""),
    "WrongType": (WrongType, "failed", "expected values of type Activation"),
    "BadName": (BadName, "failed", "'Not-Snake' is not lower_snake_case"),
    "Exits": (Exits, "failed", "SystemExit: 3"),
    "nothing": (returning(None), "failed", "actzoo_activations returned None; expected a tuple"),
    "text": (returning("relu"), "failed", "actzoo_activations returned 'relu'; expected a tuple"),
    "one": (returning(act()), "failed", "expected a tuple of Activation"),
    "number": (returning([1]), "failed", "returned 1; expected values of type Activation"),
    "unprintable": (returning([OddValue()]), "failed", "returned a value of type OddValue"),
    "long": (returning(["x" * 10**6]), "failed", "xxx…"),
    "endless": (one_hook(endless), "failed", "more than 10,000 values"),
    "halfway": (raising(ValueError("no more")), "failed", "ValueError: no more"),
    "leaves": (raising(GeneratorExit()), "failed", "GeneratorExit"),
    "recursion": (raising(RecursionError("deep")), "failed", "RecursionError: deep"),
    "odd_error": (raising(OddError()), "failed", "OddError"),
    "twice": (returning([act("twin"), act("twin")]), "failed", "declares the Activation 'twin' tw"),
    "alias": (returning([act("a1"), act("b1", aliases=("A-1",))]), "failed", "is not lower_snake"),
    "alias_again": (returning([act("a1"), act("b1", aliases=("a_1",))]), "failed", "'a_1' twice"),
    "alias_text": (returning([act("ab", aliases="cd")]), "failed", "expected a tuple of names"),
    "alias_number": (returning([act("ab", aliases=(1,))]), "failed", "the name 1 is not lower"),
    "own_alias": (returning([act("a_b", aliases=("ab",))]), "ok", ""),
    "tensor": (torch.ones(3), "ok", ""),
    "none": (None, "ok", ""),
    "unknown_member": (broken_set("relu", "gone_fun"), "ok", "no activation is called 'gone_fun'"),
    "bad_member": (broken_set("relu", "x*)"), "ok", "the set 'myset' of unknown (plugin bad_mem"),
    "settings": (one_hook(lambda: leave_traces() or []), "ok", ""),
}


def leave_traces():
    torch.set_default_dtype(torch.float64)
    torch.set_default_device("meta")
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.set_grad_enabled(False)
    torch.set_num_threads(torch.get_num_threads() + 1)
    torch.set_float32_matmul_precision("medium")
    torch.set_flush_denormal(True)
    torch.set_autocast_enabled("cpu", True)
    torch.backends.cudnn.benchmark = True
    torch.set_rng_state(torch.Generator().manual_seed(7).get_state())
    random.seed(7)
    np.random.seed(7)
    warnings.simplefilter("ignore")
    sys.path.insert(0, "/nowhere")
    os.chdir("/")
    print("left")


def shared_state():
    tiny = torch.full((1,), 1e-310, dtype=torch.float64) * 1
    return (
        torch.get_default_dtype(), torch.get_default_device(), torch.is_grad_enabled(),
        torch.get_deterministic_debug_mode(), torch.get_num_threads(), tiny.item(),
        torch.get_float32_matmul_precision(), torch.is_autocast_enabled("cpu"),
        torch.backends.cudnn.benchmark, torch.get_rng_state().tolist(), random.getstate(),
        np.random.get_state()[1].tolist(), list(warnings.filters), list(sys.path),
        Path.cwd(),
    )  # fmt: skip


@pytest.mark.parametrize("name", ODD)
def test_a_broken_plugin_breaks_itself_only(name, monkeypatch):
    plugin, status, reason = ODD[name]
    here = types.ModuleType("tests_test_registry_plugins")
    here.Good, here.plugin = Good, plugin
    monkeypatch.setitem(sys.modules, here.__name__, here)
    points = [
        EntryPoint(n, f"{here.__name__}:{v}", "actzoo")
        for n, v in ((name, "plugin"), ("good", "Good"))
    ]
    before = shared_state()
    registry = Registry([*points, EntryPoint("missing", "not_there_at_all", "actzoo"), *discover()])
    assert shared_state() == before
    states = {s.origin.plugin: s for s in registry.states()}
    assert states[name].status == status and reason in states[name].reason
    assert bool(states[name].trace) == (status == "failed")
    assert states["good"].status == "ok" and registry.get("fine").formula == "x"
    assert "not_there_at_all" in states["missing"].reason
    assert states["rectifiers"].status == "ok" and registry.get("relu").name == "relu"
    usable, refused = registry.named_sets()
    assert {"paper", "modern"} <= set(usable) and "myset" not in usable
    assert bool(refused) == name.endswith("_member")
    if refused:
        with pytest.raises(UsageError, match=r"the set 'myset' of unknown \(plugin .*_member\)"):
            registry.members("myset")


def test_two_plugins_of_one_distribution_have_no_name_twice(monkeypatch):
    here = types.ModuleType("tests_test_registry_plugins")
    here.Good = Good
    monkeypatch.setitem(sys.modules, here.__name__, here)
    registry = Registry([EntryPoint(n, f"{here.__name__}:Good", "actzoo") for n in ("a", "b")])
    assert [s.status for s in registry.plugins] == ["ok", "failed"]
    assert "'fine' twice, in the plugin 'a'; rename one" in registry.plugins[1].reason
    assert registry.get("fine").name == "fine"
