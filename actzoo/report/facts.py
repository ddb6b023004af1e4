"""What a result says of how it was made, as words by name: to show, and to hold side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from actzoo.experiment.spec import CellSpec
from actzoo.report.text import UNKNOWN

Facts = dict[str, str]

MADE_WITH = (
    "device",
    "processor",
    "vector instructions",
    "threads",
    "torch",
    "actzoo",
    "actzoo's commit",
)
"""Facts of the environment that can change a result's last digits, or more.

The kernel is none of them: what is asked for is the same in a run, and what ran is decided by
the set and the machine."""


def environment(result: dict[str, Any]) -> Facts:
    """Versions, machine and what computed it."""
    found = result["environment"]
    commit = found.get("commit")
    if commit is None:
        known = "unknown: not run from a checkout"
    else:
        known = commit["id"] + (" with uncommitted changes" if commit["dirty"] else "")
    packages = found.get("packages", {})
    return {
        "actzoo": str(found.get("actzoo", UNKNOWN)),
        "actzoo's commit": known,
        "python": str(found.get("python", UNKNOWN)),
        **{name: str(version) for name, version in packages.items()},
        "system": str(found.get("system", UNKNOWN)),
        "processor": str(found.get("processor", UNKNOWN)),
        "vector instructions": str(found.get("capability", UNKNOWN)),
        "cores": str(found.get("cores", UNKNOWN)),
        "device": f"{found.get('device')} ({found.get('device_name')})",
        "threads": str(found.get("threads", UNKNOWN)),
        "kernel": str(result.get("kernel", UNKNOWN)),
    }


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
        found[kind] = ", ".join(word for word in words if word)
    return found


def phases(protocol: Sequence[Mapping[str, Any]]) -> Facts:
    """A protocol phase by phase and field by field."""
    return {
        f"phase {number}: {name.replace('_', ' ')}": str(value)
        for number, phase in enumerate(protocol, start=1)
        for name, value in phase.items()
    }
