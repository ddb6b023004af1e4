"""An activation as a module of Python that needs torch alone."""

from __future__ import annotations

import ast
import keyword

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
    name = activation.name
    kind = "".join(part.title() for part in name.split("_"))
    if not all(text.isidentifier() and not keyword.iskeyword(text) for text in (name, kind)):
        raise _refused(name, "function of Python, or in CamelCase a class")
    # Under two other names the module shows what else it needs by a name.
    others = _identifiers(_written(activation, f"{name}_function", f"{name}_layer"))
    if name == kind or name.startswith("__") or not others.isdisjoint((name, kind)):
        raise _refused(name, "function beside its class and what both of them use")
    return _written(activation, name, kind)


def _refused(name: str, what: str) -> DeclarationError:
    return DeclarationError(
        f"{name!r} cannot name a {what}; give it another name, such as mixture.freeze('mine')"
    )


def _identifiers(source: str) -> set[str]:
    """Return the names that a module uses."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        found |= {getattr(node, key, None) for key in ("id", "name", "asname", "arg")}
    return {name for name in found if isinstance(name, str)}


def _written(activation: Activation, name: str, kind: str) -> str:
    """Return the text of the module, with these names of the function and the layer."""
    values = dict(activation.parameters)
    formula = activation.parsed()
    source = torch_source(formula, values, name)
    about = f'"""{activation.name}: {activation.reference or "an activation function"}."""'
    numbers = "\n".join(f"#   {key} = {value}" for key, value in values.items())
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
        return {name}(x)
'''
