"""What a cell has learnt in one layer, as one function."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from actzoo.activation import Activation
from actzoo.errors import ActzooError, UsageError
from actzoo.mixture import Mixture
from actzoo.mixture.prune import as_function, names_in_sum
from actzoo.plugins.registry import default, get
from actzoo.report.reading import read_study
from actzoo.training.fingerprint import of_activation
from actzoo.training.result import CellResult, LayerResult


@dataclass(frozen=True)
class Adopted:
    """What a layer has learnt.

    Attributes:
        activation: It, as a function.
        members: Of each function in its sum: the parameter that is its share, its name, and what
            its own parameters are called in the sum.
    """

    activation: Activation
    members: tuple[tuple[str, str, dict[str, str]], ...]


def adopted(
    folder: Path,
    name: str,
    *,
    layer: int | None = None,
    dataset: str | None = None,
    model: str | None = None,
    members: str | None = None,
    seed: int | None = None,
) -> Adopted:
    """Return what one layer of one cell has learnt, as a function with its numbers.

    Args:
        folder: Of the run.
        name: What to call the function.
        layer: The number of the layer, from 1.
        dataset: Of which task.
        model: Of which model.
        members: Of which set, its functions' names as `relu + tanh` or `relu,tanh`.
        seed: Of which seed. What is left out must be the only one there is.

    Raises:
        UsageError: The cell or layer is not there, or not the only one; or what it has learnt is
            not one function of x.
        StoreError: The folder holds no run.
    """
    result = _cell(folder, dataset, model, members, seed)
    label = f"{result.spec.label} on {result.spec.dataset}, {result.spec.model}"
    numbers = range(1, len(result.layers) + 1)
    number = _only("layer", numbers, layer, label)
    chosen = result.layers[number - 1]
    rule = result.spec.rule
    if rule.terms or rule.scope != "layer":
        what = "has weights for each channel" if rule.scope != "layer" else "is no weighted sum"
        raise UsageError(
            f"{label}: rule {rule.name} {what}, so that no one function of x stands for the "
            f"layer; train with --rule ratio or softmax and --rule-scope layer"
        )
    source = f"learnt by {label}, seed {result.spec.seed}, layer {number}"
    return _function(result, chosen, name, source)


def _cell(
    folder: Path, dataset: str | None, model: str | None, members: str | None, seed: int | None
) -> CellResult:
    found = [
        cell.result
        for group in read_study(folder).groups
        for variant in group.variants
        for cell in variant.cells
        if cell.result is not None and not variant.control
    ]
    for what, given, of in (
        ("dataset", dataset, lambda spec: spec.dataset),
        ("model", model, lambda spec: spec.model),
        ("set", members and _spelled(members), lambda spec: _spelled(" + ".join(spec.members))),
        ("seed", seed, lambda spec: spec.seed),
    ):
        if what == "set" and given is None:  # what has learnt something, if that is one set
            found = [r for r in found if _learns(r)] or found
        value = _only(what, (of(result.spec) for result in found), given, str(folder))
        found = [result for result in found if of(result.spec) == value]
    return found[0]


def _only(what: str, there: Iterable[Any], given: Any, where: str) -> Any:
    """Return the value that is meant.

    Raises:
        UsageError: It is not there, or it was left out and there are several.
    """
    values = list(dict.fromkeys(there))
    short = {v: v.rpartition(":")[2] if what == "dataset" else v for v in values}
    matching = [v for v in values if given is None or given in (v, short[v])]
    if len(matching) == 1:
        return matching[0]
    if not values:
        raise UsageError(f"{where} has no cell that is done; run its command again")
    has = "; ".join(map(str, values))
    if given is None:
        raise UsageError(f"{where} has more than one {what}: {has}; say which with --{what}")
    raise UsageError(f"{where} has no {what} {given!r}; it has: {has}")


def _spelled(members: str) -> str:
    return " + ".join(part.strip() for part in members.replace(" + ", ",").split(","))


def _learns(result: CellResult) -> bool:
    return len(result.spec.members) > 1 or any(any(layer.learned) for layer in result.layers)


def _function(result: CellResult, layer: LayerResult, name: str, source: str) -> Adopted:
    if not _learns(result):
        one = result.spec.members[0]
        raise UsageError(f"{one} is one function that learns nothing: use it by its own name")
    # What has no share at all is not part of the function.
    shares = [(n, p) for n, p in enumerate(layer.P) if p != 0 or len(layer.P) == 1]
    members = []
    for n, _ in shares:
        member = get(result.spec.members[n])
        was = result.spec.fingerprints[n].definition
        if (now := of_activation(member, default()).definition) != was:
            raise UsageError(
                f"{member.name} was {was!r} when this was trained, and is {now!r} now; install "
                f"the version that it was trained with: {result.spec.fingerprints[n].provider}"
            )
        per_channel = [p for p, scope in member.learnable.items() if scope == "channel"]
        if per_channel or member.kind != "elementwise":
            what = f"learns {per_channel[0]} for each channel" if per_channel else "is not one of x"
            raise UsageError(
                f"{member.name} {what}, so that no one function of x stands for the layer"
            )
        members.append(member)
    mixture = Mixture(members, kernel="reference").double()
    with torch.no_grad():
        for (n, _), part in zip(shares, mixture.layers, strict=True):
            for parameter, value in layer.learned[n].items():
                part.learned[parameter].copy_(torch.tensor(value))
    try:
        made = as_function(mixture, name, [p for _, p in shares])
    except ActzooError as error:
        raise UsageError(str(error)) from None
    numbers = {key: _short(value) for key, value in made.parameters.items()}
    return Adopted(
        Activation(
            name=name,
            formula=made.formula,
            parameters=numbers,
            derivative=made.derivative.declared,  # type: ignore[attr-defined]
            reference=source,
        ),
        tuple(
            (f"p_{n}", default().full_name(m), names_in_sum(m, n))
            for n, m in enumerate(members, start=1)
        ),
    )


def _short(value: Any) -> Any:
    """Return the shortest number that is the same in float32."""
    return tuple(map(_short, value)) if isinstance(value, tuple) else float(str(np.float32(value)))
