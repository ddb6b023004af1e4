"""A mixture by its rule, in plain torch: whatever combines, with weights for a layer or channel."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from actzoo.errors import DeclarationError, UsageError
from actzoo.rules import Rule


def combined(rule: Rule, proportions: Tensor, x: Tensor, values: Sequence[Tensor]) -> Tensor:
    """Return A(x).

    Args:
        rule: How P and the members' values give A(x).
        proportions: P, shape (terms,) or (terms, channels).
        x: The input.
        values: The members' values at x.

    Raises:
        DeclarationError: The rule gives something of another shape than x.
        UsageError: x has other channels than P.
    """
    result = rule.combined(along_channels(proportions.to(x.dtype), x), values)
    if result.shape != x.shape:
        raise DeclarationError(
            f"rule {rule.name}: combine gave shape {tuple(result.shape)} for an input of shape "
            f"{tuple(x.shape)}; expected the same shape"
        )
    return result


def along_channels(proportions: Tensor, x: Tensor) -> tuple[Tensor, ...]:
    """Return P of each term, shaped to broadcast against x; a single channel serves any x.

    Raises:
        UsageError: x has other channels than P.
    """
    channels = 1 if proportions.dim() == 1 else proportions.shape[1]
    if channels == 1:
        return proportions.reshape(-1).unbind()
    if x.dim() < 2 or x.shape[1] != channels:
        found = f"{x.shape[1]} channels" if x.dim() > 1 else "no dimension 1 for channels"
        raise UsageError(
            f"the mixture has weights for {channels} channels; the input of shape "
            f"{tuple(x.shape)} has {found}; make it with Mixture(..., channels=...) for it"
        )
    return proportions.reshape(-1, channels, *(1,) * (x.dim() - 2)).unbind()
