"""What one cell runs, as a value with a canonical form and a key."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, NamedTuple

import msgspec

from actzoo.kernels import Keep
from actzoo.mixture import Init
from actzoo.rules import RATIO, Scope
from actzoo.training.build import WeightInit
from actzoo.training.fingerprint import Fingerprint
from actzoo.training.protocol import Phase, Protocol

RECIPE = 2
"""Raised by hand whenever the same spec trains another model or tests it otherwise: a part of
every key, as "format". How files are laid out has a number of its own, `results.layouts.LAYOUT`.
Which commit measured what goes on inside is in each result."""

Precision = Literal["fp32", "bf16"]


class Coordinates(NamedTuple):
    """What a cell is a cell of, in the words of the run.

    Attributes:
        dataset: Name of the task.
        model: The model with its options.
        seed: The seed.
        members: The functions of the set.
        control: "" or the name of the control that it is.
    """

    dataset: str
    model: str
    seed: int
    members: tuple[str, ...]
    control: str


@dataclass(frozen=True, kw_only=True)
class MixtureRule:
    """How the members of a cell are mixed, with what a reader needs once the rule is gone.

    Attributes:
        name: Name of the rule.
        scope: "layer" or "channel": what has weights of its own.
        terms: What the weights are of, where it is no weighted sum of the members.
        fingerprint: Of the rule, whose definition is its formula; None for the ratio.
    """

    name: str = RATIO.name
    scope: Scope = "layer"
    terms: tuple[str, ...] = ()
    fingerprint: Fingerprint | None = None

    @property
    def formula(self) -> str:
        """The rule in LaTeX."""
        return RATIO.formula if self.fingerprint is None else self.fingerprint.definition


@dataclass(frozen=True, kw_only=True)
class CellSpec:
    """One task, model, set, seed and protocol: the unit of work and of statistics.

    It holds fingerprints beside names, so that an edited function, a newer plugin or other
    data is another cell.

    Attributes:
        members: Names of the set's functions, as `actzoo.get` takes them; one or more.
        dataset: Name of the task.
        model: Model with its options, `mlp(depth=8)`.
        seed: What the random streams are made from.
        protocol: The phases.
        batch_size: Examples a step.
        limit: How many training examples; None for all.
        validation: Share of the training examples held out.
        init: How the mixture weights start.
        device: "cpu", "cuda", "cuda:1", "mps".
        precision: "fp32", or "bf16" for autocast.
        threads: Torch's threads on the CPU.
        control: "" or the name of the control this cell is; what it changes is in the spec.
        fingerprints: Of the members, the task and the model.
        weight_init: "default" (the model's own), or "gain": that scaled by the set's gain.
        kernel: What was asked for; which one ran is in the result.
        keep: What activations keep for the backward pass; see `Mixture`.
        rule: How the members are mixed; as it is by default for a function alone.
        w_start: Which random draw of w this is. All have streams of their own, and the
            network the same one; 0 is the draw of a run without controls.
        w_scale: How many times as large as usual w starts.
    """

    members: tuple[str, ...]
    dataset: str
    model: str
    seed: int
    protocol: Protocol
    batch_size: int
    limit: int | None
    validation: float
    init: Init
    device: str
    precision: Precision
    threads: int
    control: str
    fingerprints: tuple[Fingerprint, ...]
    weight_init: WeightInit = "default"
    kernel: str = "reference"  # what cells ran before there was a choice
    keep: Keep = "x"
    rule: MixtureRule = MixtureRule()
    w_start: int = 0
    w_scale: float = 1.0

    @property
    def coordinates(self) -> Coordinates:
        """Where it belongs in a run."""
        return Coordinates(self.dataset, self.model, self.seed, self.members, self.control)

    @property
    def label(self) -> str:
        """What tables and figures call the set."""
        text = " + ".join(self.members)
        return f"{text} ({self.control})" if self.control else text

    def to_json(self) -> dict[str, Any]:
        """Return the canonical form: plain JSON values."""
        parts: dict[str, Any] = json.loads(json.dumps(msgspec.to_builtins(self)))
        parts["fingerprints"] = [print_.to_json() for print_ in self.fingerprints]
        parts["protocol"] = [phase.to_json() for phase in self.protocol]
        # As in cells from before there was a choice; of a spec that msgspec read it is not there.
        if self.rule == MixtureRule():
            parts.pop("rule", None)
        if self.keep == "x":
            parts.pop("keep", None)
        if self.w_start == 0:
            parts.pop("w_start", None)
        if self.w_scale == 1:
            parts.pop("w_scale", None)
        return {"format": RECIPE, **parts}

    @classmethod
    def from_json(cls, parts: dict[str, Any]) -> CellSpec:
        """Return the spec back from its canonical form."""
        values = {k: v for k, v in parts.items() if k != "format"}
        values["members"] = tuple(values["members"])
        values["protocol"] = tuple(Phase(**phase) for phase in values["protocol"])
        values["fingerprints"] = tuple(Fingerprint(**f) for f in values["fingerprints"])
        if "rule" in values:
            values["rule"] = msgspec.convert(values["rule"], MixtureRule)
        return cls(**values)

    @cached_property
    def key(self) -> str:
        """Hash of the canonical form, 16 hex digits: the name of the cell's folder."""
        return key_of(self.to_json())


def key_of(parts: dict[str, Any]) -> str:
    """Return the key of a canonical form, of whatever format."""
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]
