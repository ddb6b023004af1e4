"""Controls: runs of the same sets that differ in one thing, to see what that thing did."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from actzoo.mixture import Init
from actzoo.training.protocol import (
    Protocol,
    equal_epochs,
    frozen,
    joint,
    joint_long,
    shuffled,
)

SCALE = 10.0
"""How many times as large w starts in `w-scale`: P is the same, a step of Adam moves it less."""
STARTS = 10
"""How many other starts of w there are."""


@dataclass(frozen=True, kw_only=True)
class Control:
    """What is different in the cells of a control.

    Attributes:
        name: What cells, flags and tables call it.
        words: What the first line of a run calls it: "1 control of WORDS".
        says: What a report says of it, after "Sets marked (NAME) are a control:".
        runs: What it is run for: "single" functions or "mixture"s.
        protocol: The phases of the control from those of the run.
        init: How w starts; None for as in the run.
        w_start: Which random draw of w it starts from; see `CellSpec.w_start`.
        w_scale: How many times as large w starts.
    """

    name: str
    words: str
    says: str
    runs: Literal["single", "mixture"] = "mixture"
    protocol: Callable[[Protocol], Protocol] = lambda protocol: protocol
    init: Init | None = None
    w_start: int = 0
    w_scale: float = 1.0


_ALL = (
    Control(
        name="equal-epochs",
        words="equal epochs",
        says="in place of the phases that train only mixture weights they train the network, so "
        "that a single function gets as many epochs in all as the mixture, and more network "
        "updates than it.",
        runs="single",
        protocol=equal_epochs,
    ),
    Control(
        name="frozen",
        words="frozen w",
        says="w stays at its start, and the network trains for the same epochs as with the "
        "mixture. The difference to the mixture is what learning w did.",
        protocol=frozen,
    ),
    Control(
        name="joint",
        words="joint training",
        says="network and w train together, w at its own learning rate, for as many epochs as "
        "the network trains in the phases of the run. The difference to the mixture is what the "
        "separate phases did, at the same number of network updates; w may train for another "
        "number of epochs than in a phase of its own.",
        protocol=joint,
    ),
    Control(
        name="joint-long",
        words="longer joint training",
        says="network and w train together, w at its own learning rate, for as many epochs as all "
        "phases of the run have together, so with more network updates than the mixture.",
        protocol=joint_long,
    ),
    Control(
        name="equal-start",
        words="equal starts of w",
        says="w starts equal in place of random.",
        init="equal",
    ),
    Control(
        name="shuffled",
        words="shuffled layers",
        says="before the last phase of the network each layer is given the weights w of the next "
        "one, and the last layer those of the first. The difference to the mixture is what it "
        "costs a trained network to get the weights of another layer: their place and the "
        "disturbance together.",
        protocol=shuffled,
    ),
    Control(
        name="w-scale",
        words="a larger scale of w",
        says=f"every raw weight w starts {SCALE:g} times as large. P starts the same, since it "
        "does not see the scale, but a step of the optimiser moves it less.",
        w_scale=SCALE,
    ),
    *(
        Control(
            name=f"w-start-{n}",
            words="other starts of w",
            says="random w is drawn from another stream of numbers. The network starts from the "
            "same weights, and its batches come in the same order.",
            w_start=n,
        )
        for n in range(1, STARTS + 1)
    ),
)
CONTROLS: Mapping[str, Control] = {control.name: control for control in _ALL}
"""All controls by name, in the order of the documentation."""
GROUPS: Mapping[str, tuple[str, ...]] = {
    "w-only": tuple(name for name, control in CONTROLS.items() if control.w_start)
}
"""Names that stand for several controls."""
NONE = Control(name="", words="", says="")
"""What the sets of a run are: no control."""


def control_of(name: str) -> Control:
    """Return the control of a name, "" for none."""
    return CONTROLS[name] if name else NONE
