"""Functions that let positive values through and hold negative ones back: ReLU and its kin."""

from __future__ import annotations

from math import inf
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from actzoo import Activation, Claims, hookimpl

Number = float | Tensor


def _indicator(x: Tensor, condition: Tensor) -> Tensor:
    return torch.where(x.isnan(), x, condition.to(x.dtype))


def _relu_derivative(x: Tensor) -> Tensor:
    return _indicator(x, x > 0)


def _leaky_relu(x: Tensor, slope: float) -> Tensor:
    return F.leaky_relu(x, slope)


def _leaky_relu_derivative(x: Tensor, slope: Number) -> Tensor:
    return torch.where(x > 0, torch.ones_like(x), torch.where(x.isnan(), x, slope))


def _prelu(x: Tensor, slope: Number) -> Tensor:
    if not isinstance(slope, Tensor):
        return F.leaky_relu(x, slope)
    if slope.dim() == x.dim() - 1 and slope.shape[1:].numel() == 1:
        return F.prelu(x, slope.flatten())  # one per channel, as torch's operator wants it
    return torch.where(x > 0, x, slope * x)


def _rrelu(x: Tensor, lower: float, upper: float) -> Tensor:
    return F.leaky_relu(x, (lower + upper) / 2)


def _rrelu_training(x: Tensor, lower: float, upper: float) -> Tensor:
    if x.dtype == torch.float16:  # which torch does not draw on the CPU
        return F.rrelu(x.float(), lower, upper, training=True).to(x.dtype)
    return F.rrelu(x, lower, upper, training=True)


def _rrelu_derivative(x: Tensor, lower: float, upper: float) -> Tensor:
    return _leaky_relu_derivative(x, (lower + upper) / 2)


def _relu6_derivative(x: Tensor) -> Tensor:
    return _indicator(x, (x > 0) & (x < 6))


def _squared_relu(x: Tensor) -> Tensor:
    return F.relu(x).square()


def _squared_relu_derivative(x: Tensor) -> Tensor:
    return 2 * F.relu(x)


def _star_relu(x: Tensor, scale: Number, bias: Number) -> Tensor:
    # Scaled before it is squared: half precision overflows later.
    positive = F.relu(x)
    return scale * positive * positive + bias


def _star_relu_derivative(x: Tensor, scale: Number, bias: Number) -> Tensor:
    return 2 * scale * F.relu(x)


def _smelu(x: Tensor, beta: Number) -> Tensor:
    if not isinstance(beta, Tensor) and not beta:
        return F.relu(x)
    return torch.where(x >= beta, x, beta * _smelu_derivative(x, beta).square())


def _smelu_derivative(x: Tensor, beta: Number) -> Tensor:
    info = torch.finfo(x.dtype)
    end: Any = min(beta, info.max) if isinstance(beta, float | int) else beta.clamp(min=info.tiny)
    if not isinstance(end, Tensor) and not end:
        return _relu_derivative(x)
    return (x.clamp(-end, end) + end) / (2 * end)  # clamp takes no number beyond the dtype


def _modrelu(x: Tensor, bias: Number) -> Tensor:
    if isinstance(bias, Tensor) and bias.is_complex():
        bias = bias.real
    if not x.is_complex():
        return torch.where(x.abs() + bias < 0, 0.0, x + bias * x.sign())
    size = x.abs()
    # At z = 0, where z/|z| has no value, the result is 0.
    return x * (F.relu(size + bias) / torch.where(size > 0, size, 1.0))


def _modrelu_derivative(x: Tensor, bias: Number) -> Tensor:
    return _indicator(x, x.abs() + bias >= 0)


@hookimpl
def actzoo_activations() -> tuple[Activation, ...]:
    """The family's declarations."""
    return (
        Activation(
            name="relu",
            formula="max(0, x)",
            fn=F.relu,
            derivative=_relu_derivative,
            claims=Claims(
                lower=0.0,
                upper=inf,
                monotone=True,
                kinks=((0.0, 0.0),),
                limits=(0.0, inf),
                smoothness=0,
            ),
            problems="A unit whose inputs are all negative gets no gradient and stays dead. "
            "Some texts take relu'(0) = 1; here, as in torch, it is 0.",
            reference="Nair & Hinton 2010, Rectified linear units improve restricted "
            "Boltzmann machines, ICML",
        ),
        Activation(
            name="leaky_relu",
            aliases=("lrelu",),
            formula="x if x > 0 else slope*x",
            fn=_leaky_relu,
            derivative=_leaky_relu_derivative,
            parameters={"slope": 0.01},
            claims=Claims(
                lower=-inf,
                upper=inf,
                monotone=True,
                kinks=((0.0, 0.01),),
                limits=(-inf, inf),
                smoothness=0,
            ),
            problems="Texts differ in the slope: 0.01, 0.1 and 0.2 are all in use; say which, "
            "as in leaky_relu(slope=0.2).",
            reference="Maas, Hannun & Ng 2013, Rectifier nonlinearities improve neural "
            "network acoustic models, ICML workshop",
        ),
        Activation(
            name="prelu",
            formula="x if x > 0 else slope*x",
            fn=_prelu,
            derivative=_leaky_relu_derivative,
            parameters={"slope": 0.25},
            learnable={"slope": "channel"},
            claims=Claims(
                lower=-inf,
                upper=inf,
                monotone=True,
                kinks=((0.0, 0.25),),
                limits=(-inf, inf),
                smoothness=0,
            ),
            problems="Weight decay would pull its slopes to 0, towards ReLU.",
            reference="He, Zhang, Ren & Sun 2015, arXiv:1502.01852",
        ),
        Activation(
            name="rrelu",
            formula="x if x > 0 else (lower + upper)/2*x",
            fn=_rrelu,
            derivative=_rrelu_derivative,
            training_fn=_rrelu_training,
            parameters={"lower": 1 / 8, "upper": 1 / 3},
            ranges={"lower": "(-inf, upper]", "upper": "[lower, inf)"},
            claims=Claims(
                lower=-inf,
                upper=inf,
                monotone=True,
                kinks=((0.0, 11 / 48),),
                limits=(-inf, inf),
                smoothness=0,
            ),
            problems="In training each negative slope is drawn from U(lower, upper); the "
            "function here is the evaluation form, with their mean. This is torch's form: the "
            "paper divides by a number from U(3, 8), and by their mean in evaluation.",
            reference="Xu, Wang, Chen & Li 2015, arXiv:1505.00853",
        ),
        Activation(
            name="relu6",
            formula="clip(x, 0, 6)",
            fn=F.relu6,
            derivative=_relu6_derivative,
            claims=Claims(
                lower=0.0,
                upper=6.0,
                monotone=True,
                kinks=((0.0, 0.0), (6.0, 0.0)),
                limits=(0.0, 6.0),
                smoothness=0,
            ),
            problems="No gradient below 0 nor above 6.",
            reference="Krizhevsky 2010, Convolutional deep belief networks on CIFAR-10",
        ),
        Activation(
            name="squared_relu",
            aliases=("relu2",),
            formula="max(0, x)**2",
            fn=_squared_relu,
            derivative=_squared_relu_derivative,
            claims=Claims(lower=0.0, upper=inf, monotone=True, limits=(0.0, inf), smoothness=1),
            problems="Overflows float16 from x = 256.",
            reference="So, Manke, Liu, Dai, Shazeer & Le 2021, arXiv:2109.08668",
        ),
        Activation(
            name="star_relu",
            formula="scale*max(0, x)**2 + bias",
            fn=_star_relu,
            derivative=_star_relu_derivative,
            parameters={"scale": 0.8944, "bias": -0.4472},
            learnable={"scale": "layer", "bias": "layer"},
            claims=Claims(
                lower=-0.4472, upper=inf, monotone=True, limits=(-0.4472, inf), smoothness=1
            ),
            problems="Its constants give unit variance and zero mean for a unit Gaussian input.",
            reference="Yu, Si, Zhou, Luo, Zhou, Feng, Yan & Wang 2022, arXiv:2210.13452",
        ),
        Activation(
            name="smelu",
            formula="0 if x <= -beta else (x if x >= beta else (x + beta)**2/(4*beta))",
            fn=_smelu,
            derivative=_smelu_derivative,
            parameters={"beta": 1.0},
            ranges={"beta": "[0, inf)"},
            claims=Claims(lower=0.0, upper=inf, monotone=True, limits=(0.0, inf), smoothness=1),
            problems="No gradient below -beta. At beta = 0 it is ReLU.",
            reference="Shamir, Lin & Coviello 2020, arXiv:2010.09931",
        ),
        Activation(
            name="modrelu",
            takes_complex=True,
            formula="x + bias*sign(x) if abs(x) + bias >= 0 else 0",
            fn=_modrelu,
            derivative=_modrelu_derivative,
            parameters={"bias": 0.0},
            learnable={"bias": "channel"},
            claims=Claims(
                lower=-inf,
                upper=inf,
                monotone=True,
                parity="odd",
                limits=(-inf, inf),
                smoothness=inf,
            ),
            problems="Starts as the identity; a negative bias opens a dead zone |x| < -bias. "
            "On complex z it is relu(|z| + bias) z/|z|, and `derivative` is for real x.",
            reference="Arjovsky, Shah & Bengio 2015, arXiv:1511.06464",
        ),
    )
