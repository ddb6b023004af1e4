"""Sparse alternatives to softmax, by the package entmax of their authors."""

from math import nan

import torch
from entmax import entmax15, entmax_bisect

from actzoo import Activation, Claims, hookimpl

KNOWN = {
    "gradgradcheck": "entmax writes its gradient by hand, and that has no correct derivative",
    "vmap": "entmax has autograd functions of the old style, which torch.vmap does not take",
    "compile": "entmax has autograd functions that torch.compile does not trace",
}


def _along(dim, fn, x):
    """fn along dim; half precision in float32, and a slice with a nan becomes nan."""
    wide = x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
    z = wide.movedim(int(dim), -1)  # keeps the memory format of x, which entmax loses
    bad = z.isnan().any(-1, keepdim=True)  # entmax15 raises IndexError there
    return fn(z.masked_fill(bad, 0.0)).masked_fill(bad, nan).movedim(-1, int(dim)).to(x.dtype)


def _entmax15(x, dim):
    return _along(dim, entmax15, x)


def _entmax(x, alpha, dim):
    def fn(z):
        return entmax_bisect(z, torch.as_tensor(alpha, dtype=z.dtype, device=z.device))

    return _along(dim, fn, x)


@hookimpl
def actzoo_activations():
    return (
        Activation(
            name="entmax15",
            latex=r"\operatorname{argmax}_{p \in \Delta} p \cdot x + H_{1.5}(p)",
            fn=_entmax15,
            parameters={"dim": 1},
            kind="dimwise",
            role="output",
            task="multi-class classification",
            claims=Claims(lower=0.0, upper=1.0),
            known_failures=KNOWN,
            reference="Peters, Niculae & Martins 2019, arXiv:1905.05702",
        ),
        Activation(
            name="entmax",
            latex=r"\operatorname{argmax}_{p \in \Delta} p \cdot x + H_\alpha(p)",
            fn=_entmax,
            parameters={"alpha": 1.5, "dim": 1},
            learnable={"alpha": "layer"},
            kind="dimwise",
            role="output",
            task="multi-class classification",
            claims=Claims(lower=0.0, upper=1.0),
            known_failures=KNOWN,
            reference="Correia, Niculae & Martins 2019, arXiv:1909.00015",
        ),
    )
