"""Functions that oscillate."""

from __future__ import annotations

from math import inf, nan

import torch

from actzoo import Activation, Claims, hookimpl


@hookimpl
def actzoo_activations() -> tuple[Activation, ...]:
    """The family's declarations."""
    return (
        Activation(
            name="sin",
            aliases=("sine",),
            formula="sin(x)",
            fn=torch.sin,
            derivative=torch.cos,
            claims=Claims(
                lower=-1.0,
                upper=1.0,
                monotone=False,
                parity="odd",
                limits=(nan, nan),
                smoothness=inf,
            ),
            problems="Many inputs share one output, so the loss has many local minima.",
            reference="Sitzmann, Martel, Bergman, Lindell & Wetzstein 2020, arXiv:2006.09661",
        ),
    )
