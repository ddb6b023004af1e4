"""The declared and computed facts of an activation, as text."""

from __future__ import annotations

import math
from typing import Any, cast

from torch import nn

from actzoo.activation import Activation
from actzoo.errors import DeclarationError
from actzoo.plugins.registry import default


def describe(activation: Activation) -> dict[str, Any]:
    """Return all facts as plain values in reading order, including empty ones."""
    claims = activation.claims
    origin = default().origin(activation)
    facts: dict[str, Any] = {
        "name": activation.name,
        "aliases": list(activation.aliases),
        "formula": activation.formula,
        "latex": activation.latex or activation.parsed().latex(),
        "parameters": dict(activation.parameters),
        "learnable": {n: f"one per {s}" for n, s in activation.learnable.items()},
        "ranges": {n: _range(text) for n, text in activation.ranges.items()},
        "kind": activation.kind,
        "role": activation.role + (f" ({activation.task})" if activation.task else ""),
    }
    if claims.lower is not None or claims.upper is not None:
        low, high = (-math.inf, math.inf)
        low = claims.lower if claims.lower is not None else low
        high = claims.upper if claims.upper is not None else high
        facts["range"] = f"from {_number(low)} to {_number(high)}"
    if claims.limits is not None:
        left, right = claims.limits
        facts["limits"] = f"{_number(left)} at -∞, {_number(right)} at +∞"
    if claims.monotone is not None:
        facts["monotone"] = "yes" if claims.monotone else "no"
    if claims.parity is not None:
        facts["symmetry"] = claims.parity
    if claims.smoothness is not None:
        facts["smoothness"] = {-1: "has a jump", 0: "continuous, with kinks"}.get(
            int(claims.smoothness) if math.isfinite(claims.smoothness) else 99,
            "infinitely smooth"
            if math.isinf(claims.smoothness)
            else f"{claims.smoothness:g} continuous derivative(s)",
        )
    facts["kinks"] = [f"at x = {place:g}, where f' is set to {s:g}" for place, s in claims.kinks]
    if activation.kind in ("elementwise", "channelwise"):
        facts["gain"] = _gain(activation)
        facts["lipschitz"] = _number(activation.lipschitz)
    facts["problems"] = activation.problems
    facts["known_failures"] = dict(activation.known_failures)
    facts["reference"] = activation.reference
    facts["provider"] = f"{origin.distribution} {origin.version}" if origin else "none"
    return facts


def _range(text: str) -> str:
    """Return an interval for reading after "="; of whole numbers it says so itself."""
    return text if text.startswith("integers") else f"in {text}"


def _number(value: float) -> str:
    if math.isnan(value):
        return "none"
    return f"{value:.10g}".replace("inf", "∞")


def _gain(activation: Activation) -> str:
    try:
        own = f"{activation.gain():.6g}"
    except DeclarationError:
        return "none"
    for name in (activation.name, *activation.aliases):
        try:
            torchs = nn.init.calculate_gain(cast(Any, name))
        except ValueError:
            continue
        return f"{own} (torch.nn.init.calculate_gain: {torchs:.6g})"
    return own
