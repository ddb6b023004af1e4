"""Phases of training, as data."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, get_args

from actzoo.errors import UsageError

Trains = Literal["network", "mixture", "all"]
OptimizerName = Literal["adam", "adamw", "sgd"]
Schedule = Literal["constant", "cosine"]
Before = Literal["", "rotate"]


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
        lr_mixture: Learning rate of the mixture weights in a phase that trains "all"; None for
            the same as the rest.
        before: What happens before the first epoch: "" for nothing; "rotate" gives each layer
            the mixture weights of the next one, and the last layer those of the first.

    Raises:
        UsageError: A value is outside what is said above.
    """

    trains: Trains
    epochs: int = 10
    optimizer: OptimizerName = "adam"
    lr: float = 1e-3
    weight_decay: float = 0.0
    schedule: Schedule = "constant"
    lr_mixture: float | None = None
    before: Before = ""

    def __post_init__(self) -> None:
        for name, allowed in (
            ("trains", Trains),
            ("optimizer", OptimizerName),
            ("schedule", Schedule),
            ("before", Before),
        ):
            value = getattr(self, name)
            if value not in get_args(allowed):
                words = ", ".join(word for word in get_args(allowed) if word)
                raise UsageError(f"phase: {name}={value!r}; expected one of {words}")
        if isinstance(self.epochs, bool) or not isinstance(self.epochs, int) or self.epochs < 0:
            raise UsageError(f"phase: epochs={self.epochs!r}; expected a whole number, 0 or more")
        if not 0 < self.lr < float("inf"):
            raise UsageError(f"phase: lr={self.lr!r}; expected a number above 0")
        if not 0 <= self.weight_decay < float("inf"):
            raise UsageError(f"phase: weight_decay={self.weight_decay!r}; expected 0 or more")
        if self.lr_mixture is not None:
            if self.trains != "all":
                raise UsageError(
                    f"phase: lr_mixture={self.lr_mixture!r} where trains={self.trains!r}; expected "
                    f"it only with trains='all'; elsewhere give lr"
                )
            if not 0 < self.lr_mixture < float("inf"):
                rate = f"lr_mixture={self.lr_mixture!r}"
                raise UsageError(f"phase: {rate}; expected a number above 0")
        for name in ("lr", "weight_decay", "lr_mixture"):  # 1 and 1.0 are one cell
            if getattr(self, name) is not None:
                object.__setattr__(self, name, float(getattr(self, name)))

    def to_json(self) -> dict[str, Any]:
        """Return the phase as a plain dict, without newer fields that are not used."""
        parts = asdict(self)
        return {name: v for name, v in parts.items() if name not in _NEWER or v != _NEWER[name]}


_NEWER = {"lr_mixture": Phase.lr_mixture, "before": Phase.before}
"""Fields that came later, and their defaults: keys of cells without them stay what they were."""


Protocol = tuple[Phase, ...]

PAPER: Protocol = (
    Phase(trains="network", lr=1e-3),
    Phase(trains="mixture", lr=1e-2),
    Phase(trains="network", lr=1e-3),
)
"""The three phases of Bansal 2022: the other group is frozen in each."""


def trains_network(phase: Phase) -> bool:
    """Return whether the network trains in a phase."""
    return phase.trains != "mixture"


def equal_epochs(protocol: Protocol) -> Protocol:
    """Return the phases with the network trained, at its own rate, where only w would be.

    Gives a single function as many epochs as the mixture had in all.
    """
    network = next(filter(trains_network, protocol), None)
    if network is None:
        return protocol
    return tuple(
        phase if trains_network(phase) else replace(network, epochs=phase.epochs, before="")
        for phase in protocol
    )


def frozen(protocol: Protocol) -> Protocol:
    """Return the phases without training of w; the network trains as long as before.

    Phases keep their numbers, so that batches come in the same order.
    """
    return tuple(
        replace(phase, trains="network", lr_mixture=None)
        if trains_network(phase)
        else replace(phase, epochs=0)
        for phase in protocol
    )


def joint(protocol: Protocol) -> Protocol:
    """Return one phase that trains network and w, as many epochs as the network was trained."""
    return _joint(protocol, sum(phase.epochs for phase in protocol if trains_network(phase)))


def joint_long(protocol: Protocol) -> Protocol:
    """Return one phase that trains network and w, as many epochs as all phases have together."""
    return _joint(protocol, sum(phase.epochs for phase in protocol))


def _joint(protocol: Protocol, epochs: int) -> Protocol:
    network = next(filter(trains_network, protocol), None)
    mixture = next((phase for phase in protocol if not trains_network(phase)), None)
    if network is None or mixture is None:
        return protocol
    return (replace(network, trains="all", epochs=epochs, lr_mixture=mixture.lr, before=""),)


def shuffled(protocol: Protocol) -> Protocol:
    """Return the phases with the weights of the layers rotated before the last network phase.

    It must come after a phase that trains w; where there is none, nothing is changed.
    """
    learnt = False
    last = None
    for number, phase in enumerate(protocol):
        if learnt and phase.trains == "network":
            last = number
        learnt = learnt or (phase.trains != "network" and phase.epochs > 0)
    return tuple(
        replace(phase, before="rotate") if number == last else phase
        for number, phase in enumerate(protocol)
    )
