"""A function alone by its table, with all that a call needs but x settled before it.

What Python does on the way of a layer costs several times what it seems to: the caches are full of
the tensors of the calls before.
"""

from __future__ import annotations

import torch
from torch import Tensor

from actzoo.kernels.kernel import weight_one
from actzoo.kernels.table import run
from actzoo.kernels.table.native import TYPES, sizes


class BoundTable:
    """f(x) and its gradient, as `run` computes them for one function of weight 1.

    Args:
        tables: Of the one function, on the CPU. Their memory must stay where it is.
    """

    def __init__(self, tables: run.Tables) -> None:
        self._tables = tables
        self._weight = weight_one(tables.values.device)
        self._library = run.loaded()
        weight, values, slopes = self._weight, tables.values, tables.slopes
        where = (tables.shift, tables.flat, tables.widening)
        self._of_values = (1, weight.data_ptr(), values.data_ptr(), *where)
        exact = tables.exact.data_ptr()
        self._of_slopes = (None, 1, weight.data_ptr(), exact, slopes.data_ptr(), *where)

    def forward(self, x: Tensor) -> Tensor:
        """Return f(x), laid out like x, which is dense.

        Raises:
            TooManyOutside: As `run.forward`.
            ValueError: x is of a dtype that the library does not take.
        """
        if x.dtype not in TYPES:
            raise ValueError(sizes(x))
        y = torch.empty_like(x)
        found = self._library.call_forward(
            *(TYPES[x.dtype], torch.get_num_threads(), x.numel(), x.data_ptr(), y.data_ptr()),
            *self._of_values,
        )
        if found:
            run.answer_values(self._tables, self._weight, x, y, self._library.listed(found))
        return y

    def backward(self, x: Tensor, grad: Tensor) -> Tensor:
        """Return grad · f'(x); grad is laid out like x.

        Raises:
            TooManyOutside: As `run.backward`.
            ValueError: x and grad have not one shape and one dtype that the library takes: what a
                hook on saved tensors returned is another x.
        """
        if x.dtype not in TYPES or grad.dtype is not x.dtype or grad.shape != x.shape:
            raise ValueError(sizes(x, grad=grad))
        grad_x = torch.empty_like(x)
        found = self._library.call_backward(
            *(TYPES[x.dtype], torch.get_num_threads(), x.numel()),
            *(grad.data_ptr(), x.data_ptr(), grad_x.data_ptr(), *self._of_slopes),
        )
        if found:
            outside = self._library.listed(found)
            run.answer_slopes(self._tables, self._weight, x, grad, grad_x, outside)
        return grad_x


def bind(tables: run.Tables) -> BoundTable | None:
    """Return what computes a function alone, where that is the C library."""
    is_one = len(tables.activations) == 1 and tables.values.device.type == "cpu"
    return BoundTable(tables) if is_one else None
