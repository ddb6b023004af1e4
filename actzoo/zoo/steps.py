"""The perceptron's step, and the surrogate that lets it train."""

from __future__ import annotations

import torch
from torch import Tensor

from actzoo import Activation, Claims, hookimpl


def _step(x: Tensor) -> Tensor:
    return torch.where(x.isnan(), x, (x >= 0).to(x.dtype))


def _zeros(x: Tensor) -> Tensor:
    return torch.where(x.isnan(), x, 0.0)


def _step_ste(x: Tensor) -> Tensor:
    # The difference is exactly 0, so it adds nothing but its gradient: 1 within the window.
    window = torch.where(x.abs() <= 1, x, 0.0)
    return _step(x).detach() + (window - window.detach())


def _window(x: Tensor) -> Tensor:
    return torch.where(x.isnan(), x, (x.abs() <= 1).to(x.dtype))


_SURROGATE = "its derivative is a surrogate by design: the true one is 0"


def _claims(slope: float) -> Claims:
    """What is claimed of the step, with a derivative that is `slope` at the jump."""
    return Claims(
        lower=0.0,
        upper=1.0,
        monotone=True,
        kinks=((0.0, slope),),
        limits=(0.0, 1.0),
        smoothness=-1,
    )


@hookimpl
def actzoo_activations() -> tuple[Activation, ...]:
    """The family's declarations."""
    return (
        Activation(
            name="binary_step",
            aliases=("perceptron", "heaviside", "step"),
            formula="1 if x >= 0 else 0",
            fn=_step,
            derivative=_zeros,
            claims=_claims(0.0),
            problems="Its derivative is 0, so nothing before it trains; binary_step_ste has "
            "a straight-through surrogate.",
            reference="Rosenblatt 1958, The perceptron, Psychological Review 65(6)",
        ),
        Activation(
            name="binary_step_ste",
            aliases=("straight_through_step",),
            formula="1 if x >= 0 else 0",
            fn=_step_ste,
            derivative=_window,
            claims=_claims(1.0),
            known_failures=dict.fromkeys(
                ("derivative", "autograd", "kink_slopes", "gradcheck"), _SURROGATE
            ),
            problems="The binary step with a derivative that is not its own: 1 for |x| <= 1, "
            "else 0, so that gradient descent has something to follow.",
            reference="Straight-through: Bengio, Leonard & Courville 2013, arXiv:1308.3432, who "
            "pass the gradient unchanged; the window |x| <= 1: Courbariaux, Hubara et al. 2016, "
            "Binarized Neural Networks, arXiv:1602.02830",
        ),
    )
