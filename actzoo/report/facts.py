"""What a result says of how it was made, as words by name: to show, and to hold side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from actzoo.environment import in_words
from actzoo.report.text import UNKNOWN
from actzoo.training.spec import CellSpec

Facts = dict[str, str]


def environment(result: dict[str, Any]) -> Facts:
    """Versions, machine and what computed it."""
    kernel = str(result.get("kernel", UNKNOWN))
    return {**in_words(result["environment"]), "kernel": kernel}


def asked(result: dict[str, Any]) -> Facts:
    """What its spec asked for, but the set and the seed: phases, settings, data, network.

    Phases come number by number and field by field; data, network and functions with the
    start of their digest.
    """
    spec = CellSpec.from_json(result["spec"]).to_json()  # with what older ones do not name
    left_out = ("format", "members", "dataset", "model", "seed", "protocol", "control")
    found = {
        name.replace("_", " "): str(value)
        for name, value in spec.items()
        if name not in (*left_out, "fingerprints", "device", "threads", "kernel")
    }
    found |= phases(spec["protocol"])
    prints = spec["fingerprints"]
    kinds = [*(f"source of {name}" for name in spec["members"]), "data", "network"]
    for kind, print_ in zip(kinds, prints, strict=False):
        own = print_["provider"].startswith("actzoo ")  # its version is in the environment
        words = ["" if own else print_["provider"], print_["definition"], print_["digest"][:12]]
        more = {"with": print_.get("imports"), "not covered:": print_.get("not_covered")}
        words += [f"{name} {said}" for name, said in more.items() if said]
        found[kind] = ", ".join(word for word in words if word)
    return found


def phases(protocol: Sequence[Mapping[str, Any]]) -> Facts:
    """A protocol phase by phase and field by field."""
    return {
        f"phase {number}: {name.replace('_', ' ')}": str(value)
        for number, phase in enumerate(protocol, start=1)
        for name, value in phase.items()
    }
