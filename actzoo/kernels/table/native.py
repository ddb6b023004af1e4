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

INTERFACE = 5
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


class PoolShape:
    """Windows that tile images, and how both lie in memory.

    Args:
        images, height, width, channels: Of x; channels are side by side. A contiguous tensor is
            (N * C, H, W, 1), one in the channels-last layout (N, H, W, C).
        out_height, out_width: Of the result.
        window: Rows and columns of a window; at most 16 elements.
    """

    def __init__(
        self,
        images: int,
        height: int,
        width: int,
        channels: int,
        out_height: int,
        out_width: int,
        window: tuple[int, int],
    ) -> None:
        self.elements = images * height * width * channels
        self.outputs = images * out_height * out_width * channels
        self.window = window
        self.sizes = (c_int64 * 6)(images, height, width, channels, out_height, out_width)


class Native:
    """One loaded library.

    Its calls release the GIL. Tensors are one-dimensional, contiguous and on the CPU; x, y,
    grad and grad_x share one dtype (float32, bfloat16 or float16) and do not overlap. None of
    this is checked but the sizes and the dtypes.

    Attributes:
        threaded: whether torch's pool of threads was found; if not, calls use one thread.
    """

    def __init__(self, library: ctypes.CDLL) -> None:
        pointers = (c_void_p, c_void_p)
        self._forward = library.actzoo_table_forward
        self._forward.restype = c_int64
        self._forward.argtypes = (
            *(c_int, c_int, c_int64, *pointers, c_int, *pointers),
            *(c_int, c_int, c_int),
        )
        self._backward = library.actzoo_table_backward
        self._backward.restype = c_int64
        self._backward.argtypes = (
            *(c_int, c_int, c_int64, *pointers, *pointers),
            *(c_int, *pointers, c_void_p, c_int, c_int, c_int),
        )
        self._pool_forward = library.actzoo_pool_forward
        self._pool_forward.restype = c_int64
        self._pool_forward.argtypes = (
            *(c_int, c_int, c_void_p, c_int, c_int),
            *(*pointers, *pointers, c_int, *pointers, c_int),
        )
        self._pool_backward = library.actzoo_pool_backward
        self._pool_backward.restype = c_int64
        self._pool_backward.argtypes = (
            *(c_int, c_int, c_void_p, c_int, c_int),
            *(*pointers, *pointers, c_int, *pointers, c_int),
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

    @property
    def isa(self) -> str:
        """The instruction set that calls run on: "avx512", "avx2" or "portable"."""
        return ISAS[self._isa()]

    def use(self, isa: str | None) -> bool:
        """Run on this instruction set from now on, the best if None; False if it is absent."""
        return bool(self._use(-1 if isa is None else ISAS.index(isa)))

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
            widening: which of the grids that widen from 0 on; 0 for units. Their tables have 16
                columns, the rest is not looked at; see `fit.Grid`
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
            raise ValueError(_sizes(x, y=y, weights=weights, values=values))
        found = self._forward(
            *(TYPES[x.dtype], threads, n, x.data_ptr(), y.data_ptr(), k),
            *(weights.data_ptr(), values.data_ptr(), shift, flat, widening),
        )
        return self._outside(found) if found else _NONE

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
                _sizes(x, grad=grad, weights=weights, values=values, slopes=slopes, **given)
            )
        found = self._backward(
            *(TYPES[x.dtype], threads, n, grad.data_ptr(), x.data_ptr()),
            None if grad_x is None else grad_x.data_ptr(),
            None if grad_weights is None else grad_weights.data_ptr(),
            *(k, weights.data_ptr(), values.data_ptr(), slopes.data_ptr(), shift, flat, widening),
        )
        return self._outside(found) if found else _NONE

    def pool(
        self,
        x: Tensor,
        shape: PoolShape,
        y: Tensor,
        winners: Tensor,
        places: Tensor,
        weights: Tensor,
        values: Tensor,
        threads: int,
        widening: int = 0,
    ) -> Tensor:
        """Write the largest weighted sum of each window, the x that has it, and its place.

        Of equal values the first in a window counts.

        Args:
            x: All elements, in the order that the shape tells
            shape: How they lie, and the windows
            y, winners: overwritten, of x's dtype
            places: uint8, overwritten; a window's elements are counted row by row
            weights, values, threads, widening: as in `forward`

        Returns:
            The outputs in whose windows an element lies outside the table, ascending, int64.
            They are to be overwritten in all three.

        Raises:
            TooManyOutside: Or a weight is not finite. The three are then incomplete.
        """
        _agree(shape, x, y=y, winners=winners, places=places)
        if values.numel() != 320 * (k := weights.numel()):
            raise ValueError(_sizes(x, weights=weights, values=values))
        found = self._pool_forward(
            *(TYPES[x.dtype], threads, shape.sizes, *shape.window, x.data_ptr(), y.data_ptr()),
            *(winners.data_ptr(), places.data_ptr(), k, weights.data_ptr(), values.data_ptr()),
            widening,
        )
        return self._outside(found) if found else _NONE

    def unpool(
        self, grad: Tensor, places: Tensor, grad_x: Tensor, shape: PoolShape, threads: int
    ) -> None:
        """Write each gradient to the element that won, and 0 to the others in its window.

        Args:
            grad: Of the winners, one an output
            places: As `pool` wrote them
            grad_x: Laid out like x; what lies in no window is left as it is
            shape: As in `pool`
            threads: at most so many
        """
        _agree(shape, grad_x, grad=grad, places=places)
        self._pool_backward(
            *(TYPES[grad.dtype], threads, shape.sizes, *shape.window, grad.data_ptr(), None),
            *(places.data_ptr(), grad_x.data_ptr(), 0, None, None, 0),
        )

    def pull(
        self,
        grad: Tensor,
        winners: Tensor,
        places: Tensor,
        grad_x: Tensor,
        shape: PoolShape,
        weights: Tensor,
        slopes: Tensor,
        threads: int,
        widening: int = 0,
    ) -> Tensor:
        """Write the gradient of x: to each element that won its slope times the gradient, else 0.

        Args:
            grad: Of the largest values, one an output
            winners, places: As `pool` wrote them
            grad_x: Laid out like x; what lies in no window is left as it is
            shape: As in `pool`
            weights, slopes, threads, widening: as in `backward`

        Returns:
            The outputs whose winner lies outside the table, ascending, int64. The gradients of
            their winners are to be overwritten.

        Raises:
            TooManyOutside: grad_x is then incomplete.
        """
        _agree(shape, grad_x, grad=grad, winners=winners, places=places)
        if slopes.numel() != 352 * (k := weights.numel()):
            raise ValueError(_sizes(grad_x, weights=weights, slopes=slopes))
        call = (TYPES[grad.dtype], threads, shape.sizes, *shape.window, grad.data_ptr())
        taken = (winners.data_ptr(), places.data_ptr(), grad_x.data_ptr(), k)
        found = self._pool_backward(*call, *taken, weights.data_ptr(), slopes.data_ptr(), widening)
        return self._outside(found) if found else _NONE

    def _outside(self, found: int) -> Tensor:
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


def _agree(shape: PoolShape, x: Tensor, *, places: Tensor, **outputs: Tensor) -> None:
    """Refuse tensors of another size or dtype than the windows have."""
    found = (places, *outputs.values())
    if (
        x.dtype not in TYPES
        or x.numel() != shape.elements
        or places.dtype != torch.uint8
        or any(t.numel() != shape.outputs for t in found)
        or any(t.dtype != x.dtype for t in outputs.values())
    ):
        raise ValueError(_sizes(x, places=places, **outputs))


def _sizes(x: Tensor, **others: Tensor | None) -> str:
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
