"""Every function in every dtype: whole numbers are promoted, complex ones refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from actzoo import get
from actzoo.errors import UsageError
from actzoo.formula import Formula
from actzoo.plugins.registry import GROUP, default

BUILT_IN = [
    pytest.param(a, id=a.name) for a, o in default().activations.entries if o.distribution == GROUP
]
FORMULAS = [
    pytest.param(get(text), id=text)
    for text in ("x*sin(0.5*x)", "x if x > 1 else b*x, b=0.25", "max(0.5, x)", "1 + 0.5")
]
WHOLE = (torch.int8, torch.int16, torch.int32, torch.int64, torch.uint8, torch.bool)
FLOATING = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
COMPLEX = (torch.complex64, torch.complex128)
ALL = [*BUILT_IN, *FORMULAS]


def numbers(dtype):
    x = torch.arange(-6, 6).reshape(2, 6)
    return (x.abs() if dtype is torch.uint8 else x).to(dtype)


def ways(activation):
    """Value, module and, where there is one, slope."""
    yield "value", activation
    yield "module", activation.module(channels=6).eval()
    if activation.kind in ("elementwise", "channelwise"):
        yield "derivative", activation.derivative
    if activation.formula is not None:
        formula = activation.parsed().torch_function()
        yield "formula", lambda x: formula(x, **activation.parameters)


@pytest.mark.parametrize("default_dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("activation", ALL)
def test_whole_numbers_become_the_default_dtype(activation, default_dtype):
    before = torch.get_default_dtype()
    torch.set_default_dtype(default_dtype)
    try:
        for dtype in WHOLE:
            x = numbers(dtype)
            for what, fn in ways(activation):
                y, expected = fn(x), fn(x.to(default_dtype))
                assert y.dtype == default_dtype, (what, dtype)
                assert torch.equal(y, expected) or (y.isnan() & expected.isnan()).any(), (
                    what,
                    dtype,
                )
    finally:
        torch.set_default_dtype(before)


@pytest.mark.parametrize("activation", ALL)
def test_floating_dtypes_are_kept(activation):
    for dtype in FLOATING:
        x = numbers(dtype)
        for what, fn in ways(activation):
            fn = fn.to(dtype) if isinstance(fn, torch.nn.Module) else fn
            y = fn(x)
            assert y.dtype == dtype, (what, dtype)
            near = 40 * torch.finfo(dtype).eps
            exact = dict(ways(activation))[what]
            exact = exact.double() if isinstance(exact, torch.nn.Module) else exact
            assert torch.allclose(y.double(), exact(x.double()), rtol=near, atol=near), (
                what,
                dtype,
            )


@pytest.mark.parametrize("activation", ALL)
def test_complex_numbers_are_refused_where_there_is_no_definition(activation):
    for dtype in COMPLEX:
        x = numbers(torch.float32).to(dtype)
        for what, fn in ways(activation):
            if activation.takes_complex and what in ("value", "module"):
                assert fn(x).dtype == dtype
                continue
            with pytest.raises(UsageError, match=f"takes real numbers, not {dtype}"):
                fn(x)


@pytest.mark.parametrize("activation", ALL)
@pytest.mark.parametrize(
    "x", [np.ones((2, 6)), [1.0, 2.0], 3.0, None], ids=lambda x: type(x).__name__
)
def test_what_is_no_tensor_is_refused_with_what_to_write(activation, x):
    for _, fn in ways(activation):
        with pytest.raises(UsageError, match=r"not (numpy\.)?\w+; write torch\.as_tensor\(x\)"):
            fn(x)


@pytest.mark.parametrize(("dtype", "place"), [(torch.float32, -4.65), (torch.float64, -6.62)])
def test_the_tail_of_golu_is_0_from_where_its_declaration_says(dtype, place):
    golu = get("golu")
    assert f"x = {place} on in {str(dtype).removeprefix('torch.')}" in golu.problems
    tail = torch.tensor([place, place - 1, -30.0], dtype=dtype)
    before = torch.tensor([place + 0.02], dtype=dtype)
    for f in (golu, golu.derivative):
        assert not f(tail).any() and f(before).all()


def test_a_formula_alone_promotes():
    f = Formula("x/3").torch_function()
    assert torch.equal(f(torch.arange(4)), torch.arange(4) / 3)
