"""How the raw weights of a mixture start."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from actzoo.errors import DeclarationError
from actzoo.rules import Rule

Init = Literal["equal", "random"]


def initial(
    rule: Rule, init: Init, shape: tuple[int, ...], generator: torch.Generator | None
) -> Tensor:
    """Return raw weights of a shape; see `Mixture`."""
    if init == "equal":
        return torch.full(shape, rule.start)
    if init != "random":
        raise DeclarationError(f"init={init!r}: expected 'equal' or 'random'")
    # torch.rand includes 0, from which the ratio rule could not tell a draw apart.
    draw = torch.rand(shape, generator=generator).clamp_(min=torch.finfo(torch.float32).tiny)
    return draw if rule.nonnegative else draw.log()
