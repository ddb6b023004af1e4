"""The C library of the table kernel: found, loaded, and called with raw pointers.

It is loaded by its path and linked against neither torch nor Python, so one build serves every
torch. Its threads are those of the OpenMP library that torch itself runs on: a second pool
would spin against the first.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterator
from ctypes import c_int, c_int64, c_void_p
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor

from actzoo.kernels.kernel import Declined

INTERFACE = 6
"""The number that table.c gives its exported functions; another one means an old build."""

LIBRARY = "actzoo.kernels.table._table"
ISAS = ("portable", "avx2", "avx512")
HELD = {"avx2": "avx2", "default": "portable"}
"""What the table runs on where torch is held to less than the processor has, by its variable."""
TYPES = {torch.float32: 0, torch.bfloat16: 1, torch.float16: 2}
POOL = ("GOMP_parallel", "omp_get_thread_num", "omp_get_num_threads")
TOO_MANY, NO_MEMORY = -1, -2


class TooManyOutside(Declined):
    """More elements lie outside the table than are worth doing one by one."""


class Native:
    """One loaded library.

    Its calls release the GIL; `call_forward` and `call_backward` are the bare ones, which check
    nothing at all. Tensors are one-dimensional, contiguous and on the CPU; x, y,
    grad and grad_x share one dtype (float32, bfloat16 or float16) and do not overlap. None of
    this is checked but the sizes and the dtypes.

    Attributes:
        isa: The instruction set that calls run on: "avx512", "avx2" or "portable".
        threaded: whether torch's pool of threads was found; if not, calls use one thread.
        library: what was loaded.
    """

    isa: str

    def __init__(self, library: ctypes.CDLL) -> None:
        self.library = library
        pointers = (c_void_p, c_void_p)
        self.call_forward = library.actzoo_table_forward
        self.call_forward.restype = c_int64
        self.call_forward.argtypes = (
            *(c_int, c_int, c_int64, *pointers, c_int, *pointers),
            *(c_int, c_int, c_int),
        )
        self.call_backward = library.actzoo_table_backward
        self.call_backward.restype = c_int64
        self.call_backward.argtypes = (
            *(c_int, c_int, c_int64, *pointers, *pointers),
            *(c_int, *pointers, c_void_p, c_int, c_int, c_int),
        )
        self._free = library.actzoo_table_free
        self._free.restype = None
        self._free.argtypes = (c_void_p,)
        self._isa = library.actzoo_table_isa
        self._use = library.actzoo_table_use
        if not self.use(HELD.get(os.environ.get("ATEN_CPU_CAPABILITY", ""))):
            self.use(None)
        pool = next(_pools(), None)
        self.threaded = pool is not None
        if pool is not None:
            library.actzoo_table_pool.restype = None
            library.actzoo_table_pool(*pool)

    def use(self, isa: str | None) -> bool:
        """Run on this instruction set from now on, the best if None; False if it is absent."""
        done = bool(self._use(-1 if isa is None else ISAS.index(isa)))
        self.isa = ISAS[self._isa()]
        return done

    def forward(
        self,
        x: Tensor,
        y: Tensor,
        weights: Tensor,
        values: Tensor,
        threads: int,
        shift: int = 0,
        flat: bool = False,
        widening: int = 0,
    ) -> Tensor:
        """Write the weighted sum of the tables' functions at x to y.

        Args:
            x: (n,)
            y: (n,), overwritten
            weights: (k,) float32
            values: (k, 10, 32) float64; for each function, power of u and cell a coefficient
            threads: at most so many; the result does not depend on it
            shift: the table is of x * 2**shift
            widening: which of the grids that widen from 0 on, 0 for units; see `grid.Grid`
            flat: whether the last intervals are constant and stand for all beyond them

        Returns:
            The places in x of the elements outside the table, ascending, int64: nan and, unless
            it is flat, |x| >= 16 / 2**shift. Their y is to be overwritten.

        Raises:
            TooManyOutside: y is then incomplete.
        """
        n, k = x.numel(), weights.numel()
        if (
            x.dtype not in TYPES
            or y.dtype != x.dtype
            or y.numel() != n
            or values.numel() != 320 * k
        ):
            raise ValueError(sizes(x, y=y, weights=weights, values=values))
        found = self.call_forward(
            *(TYPES[x.dtype], threads, n, x.data_ptr(), y.data_ptr(), k),
            *(weights.data_ptr(), values.data_ptr(), shift, flat, widening),
        )
        return self.listed(found)

    def backward(
        self,
        grad: Tensor,
        x: Tensor,
        grad_x: Tensor | None,
        grad_weights: Tensor | None,
        weights: Tensor,
        values: Tensor,
        slopes: Tensor,
        threads: int,
        shift: int = 0,
        flat: bool = False,
        widening: int = 0,
    ) -> Tensor:
        """Write the gradients for x and for the weights, or one of the two.

        Args:
            grad: (n,) the gradient of the sum
            x: (n,)
            grad_x: (n,), overwritten; or None
            grad_weights: (k,) float64, overwritten: sums of grad times each function's value,
                over the elements inside the table; or None
            weights: (k,) float32
            values: (k, 10, 32) float64
            slopes: (k, 11, 32) float64: tables of the derivatives for x, then the slope at the
                cell's knot, where u = 0
            threads: at most so many; the same number gives the same bits
            shift, flat, widening: as in `forward`

        Returns:
            The places of the elements outside the table, as forward does. Their grad_x is to
            be overwritten, their share in grad_weights to be added.

        Raises:
            TooManyOutside: both are then incomplete.
        """
        n, k = x.numel(), weights.numel()
        if (
            x.dtype not in TYPES
            or grad.numel() != n
            or grad.dtype != x.dtype
            or (grad_x is not None and (grad_x.numel() != n or grad_x.dtype != x.dtype))
            or (grad_weights is not None and grad_weights.numel() != k)
            or values.numel() != 320 * k
            or slopes.numel() != 352 * k
        ):
            given = {"grad_x": grad_x, "grad_weights": grad_weights}
            raise ValueError(
                sizes(x, grad=grad, weights=weights, values=values, slopes=slopes, **given)
            )
        found = self.call_backward(
            *(TYPES[x.dtype], threads, n, grad.data_ptr(), x.data_ptr()),
            None if grad_x is None else grad_x.data_ptr(),
            None if grad_weights is None else grad_weights.data_ptr(),
            *(k, weights.data_ptr(), values.data_ptr(), slopes.data_ptr(), shift, flat, widening),
        )
        return self.listed(found)

    def listed(self, found: int) -> Tensor:
        """Return the places that a call has listed, from what it returned.

        Raises:
            TooManyOutside: There are too many of them.
        """
        if found == 0:
            return _NONE
        if found == TOO_MANY:
            raise TooManyOutside
        if found == NO_MEMORY:
            raise MemoryError("the table kernel found no memory for its lists and sums")
        count = c_int64.from_address(found).value
        places = torch.empty(count, dtype=torch.int64, device="cpu")
        ctypes.memmove(places.data_ptr(), found + 8, 8 * count)
        self._free(found)
        return places


_NONE = torch.empty(0, dtype=torch.int64, device="cpu")


def sizes(x: Tensor, **others: Tensor | None) -> str:
    """Return what to say of tensors that do not belong together."""
    given = {"x": x, **{name: tensor for name, tensor in others.items() if tensor is not None}}
    shapes = ", ".join(f"{name} {tuple(t.shape)} {t.dtype}" for name, t in given.items())
    return f"sizes or dtypes that do not belong together: {shapes}; see the docstring"


def _pools() -> Iterator[tuple[c_void_p, ...]]:
    """Yield the entry points of the OpenMP library that torch is linked with, if it has these.

    Looked up as torch's own calls were resolved: what is global in this process first (a
    preloaded library, then torch's), then what libtorch_cpu depends on.
    """
    if sys.platform == "win32":
        return
    suffix = "dylib" if sys.platform == "darwin" else "so"
    torch_cpu = Path(torch.__file__).parent / "lib" / f"libtorch_cpu.{suffix}"
    for name in (None, str(torch_cpu)):
        try:
            library = ctypes.CDLL(name)
            yield tuple(ctypes.cast(getattr(library, symbol), c_void_p) for symbol in POOL)
        except (OSError, AttributeError):
            continue


@cache
def find(name: str) -> tuple[Native | None, str]:
    """Return the library of this name; or None, and in one line why and what to do."""
    again = "install actzoo again with a C compiler (gcc or clang) on the PATH"
    spec = find_spec(name)
    if spec is None or spec.origin is None:
        return None, f"the table kernel's C library was not built; {again}"
    try:
        library = ctypes.CDLL(spec.origin)
        interface = library.actzoo_table_interface()
    except (OSError, AttributeError) as error:
        return None, f"{spec.origin} cannot be loaded ({error}); {again}"
    if interface != INTERFACE:
        return None, f"{spec.origin} was built from older sources; {again}"
    return Native(library), ""


def load() -> Native | None:
    """Return the library, or None if it is absent; looked for once."""
    return find(LIBRARY)[0]


def absent() -> str:
    """Return why load() is None and what to do about it, in one line; "" if it is not None."""
    return find(LIBRARY)[1]
