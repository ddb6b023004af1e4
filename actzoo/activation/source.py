"""An activation as a module of Python that needs torch alone."""

from __future__ import annotations

from actzoo.activation.declaration import Activation
from actzoo.errors import DeclarationError
from actzoo.formula.source import torch_source


def module_source(activation: Activation) -> str:
    """Return the text of a module with a function and a layer that need torch alone.

    The function has the name of the activation, and the layer the same in CamelCase. What learns
    stands at its declared value.

    Args:
        activation: An elementwise function with a formula, such as `Mixture.freeze()` returns.

    Raises:
        DeclarationError: It has no formula, no plain name, or is not elementwise.
    """
    if activation.formula is None or activation.kind != "elementwise":
        raise DeclarationError(
            f"{activation.name} has no formula of x alone, so it cannot be written as a module"
        )
    if not activation.name.isidentifier():
        raise DeclarationError(
            f"{activation.name!r} cannot name a function of Python; give it another name, such as "
            f"mixture.freeze('mine')"
        )
    values = dict(activation.parameters)
    formula = activation.parsed()
    source = torch_source(formula, values, activation.name)
    about = f'"""{activation.name}: {activation.reference or "an activation function"}."""'
    numbers = "\n".join(f"#   {key} = {value}" for key, value in values.items())
    kind = "".join(part.title() for part in activation.name.split("_"))
    return f'''{about}

from __future__ import annotations

import math
from typing import Any, Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

# f(x) = {formula.text}
{numbers}


{source}

class {kind}(nn.Module):
    """The function as a layer."""

    def forward(self, x: Tensor) -> Tensor:
        return {activation.name}(x)
'''
