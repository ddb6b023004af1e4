"""Phases of training, as data."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, get_args

from actzoo.errors import UsageError

Trains = Literal["network", "mixture", "all"]
OptimizerName = Literal["adam", "adamw", "sgd"]
Schedule = Literal["constant", "cosine"]


@dataclass(frozen=True, kw_only=True)
class Phase:
    """One stretch of training; it starts with a fresh optimiser.

    Attributes:
        trains: "network" (every parameter but the mixture weights), "mixture" (the mixture
            weights only) or "all".
        epochs: Passes over the training examples, at least 0.
        optimizer: "adam", "adamw", or "sgd" with momentum 0.9.
        lr: Learning rate.
        weight_decay: For the network's own weights; never for mixture weights or the
            parameters of activations.
        schedule: "constant", or "cosine" from lr to 0 over the phase, step by step.

    Raises:
        UsageError: A value is outside what is said above.
    """

    trains: Trains
    epochs: int = 10
    optimizer: OptimizerName = "adam"
    lr: float = 1e-3
    weight_decay: float = 0.0
    schedule: Schedule = "constant"

    def __post_init__(self) -> None:
        for name, allowed in (
            ("trains", Trains),
            ("optimizer", OptimizerName),
            ("schedule", Schedule),
        ):
            value = getattr(self, name)
            if value not in get_args(allowed):
                raise UsageError(
                    f"phase: {name}={value!r}; expected one of {', '.join(get_args(allowed))}"
                )
        if isinstance(self.epochs, bool) or not isinstance(self.epochs, int) or self.epochs < 0:
            raise UsageError(f"phase: epochs={self.epochs!r}; expected a whole number, 0 or more")
        if not 0 < self.lr < float("inf"):
            raise UsageError(f"phase: lr={self.lr!r}; expected a number above 0")
        if not 0 <= self.weight_decay < float("inf"):
            raise UsageError(f"phase: weight_decay={self.weight_decay!r}; expected 0 or more")
        for name in ("lr", "weight_decay"):  # 1 and 1.0 are one cell
            object.__setattr__(self, name, float(getattr(self, name)))

    def to_json(self) -> dict[str, Any]:
        """The phase as a plain dict."""
        return asdict(self)


Protocol = tuple[Phase, ...]

PAPER: Protocol = (
    Phase(trains="network", lr=1e-3),
    Phase(trains="mixture", lr=1e-2),
    Phase(trains="network", lr=1e-3),
)
"""The three phases of Bansal 2022: the other group is frozen in each."""


def equal_epochs(protocol: Protocol) -> Protocol:
    """The control: mixture phases train the network instead, at its own learning rate.

    Gives a single function as many epochs as the mixture had in all.
    """
    network = next((phase for phase in protocol if phase.trains != "mixture"), None)
    if network is None:
        return protocol
    return tuple(
        replace(network, epochs=phase.epochs) if phase.trains == "mixture" else phase
        for phase in protocol
    )
