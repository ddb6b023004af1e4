"""Activation and max-pooling in one pass, against the two one after the other."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import actzoo
from actzoo.kernels import plan, pooled_plan
from actzoo.kernels.table import native
from actzoo.kernels.table.native import ISAS
from actzoo.kernels.table.native_pool import NativePool, PoolShape
from actzoo.mixture.fuse import FusedSequential
from tests.kernels.conftest import CERTIFIED, needs_table

pytestmark = needs_table

SET = ("relu", "tanh", "sin")
WIDENING = ("tanh", "softsign")
"""Their tables have intervals that widen from 0 on."""
DTYPES = (torch.float32, torch.bfloat16, torch.float16)
NAN, INF = float("nan"), float("inf")
CPU = torch.device("cpu")


@pytest.fixture(params=ISAS)
def isa(request: pytest.FixtureRequest) -> Iterator[str]:
    found = native.load()
    assert found is not None
    if not found.use(request.param):
        pytest.skip(f"this processor has no {request.param}")
    yield request.param
    found.use(None)


def made(shape: tuple[int, ...], dtype: torch.dtype, last: bool, seed: int = 0) -> Tensor:
    """Numbers with knots, zeros of both signs, and equal ones beside each other."""
    x = torch.randn(shape, generator=torch.Generator().manual_seed(seed)) * 3
    flat = x.view(-1).clamp_(-15.9, 15.9)
    flat[::3] = flat[::3].round()
    flat[1::5] = flat[::5][: len(flat[1::5])]
    flat[2::31] = -0.0
    x = x.to(dtype)
    return x.contiguous(memory_format=torch.channels_last) if last else x


def pair(names: tuple[str, ...] = SET, window: Any = 2, ceil: bool = False) -> nn.Sequential:
    torch.manual_seed(0)
    mixture = actzoo.Mixture(names, init="random", kernel="table")
    return nn.Sequential(mixture, nn.MaxPool2d(window, ceil_mode=ceil))


def is_pooled(y: Tensor) -> bool:
    return "Pooled" in type(y.grad_fn).__name__


def run(model: nn.Sequential, x: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
    """y, the gradient of x, that of w."""
    model.zero_grad()
    x = x.detach().clone(memory_format=torch.preserve_format).requires_grad_()
    y = model(x)
    assert is_pooled(y) == isinstance(model, FusedSequential)
    grad = torch.randn(y.shape, generator=torch.Generator().manual_seed(1)).to(y.dtype)
    y.backward(grad)
    assert x.grad is not None
    return y.detach(), x.grad, model[0].w.grad


def same(a: Tensor, b: Tensor) -> bool:
    """Bit for bit but for the kind of nan; zeros of either sign are equal."""
    return a.dtype == b.dtype and torch.equal(a.nan_to_num(7), b.nan_to_num(7))


def agree(model: nn.Sequential, x: Tensor) -> None:
    apart = run(actzoo.unfuse(model), x)
    fused = run(actzoo.fuse(model), x)
    assert same(fused[0], apart[0])
    assert fused[0].stride() == apart[0].stride()
    # What did not win has the gradient 0, where the pair has 0 times a slope that may be nan.
    finite = x.isfinite()
    assert same(fused[1][finite], apart[1][finite])
    assert fused[1].stride() == apart[1].stride()
    if apart[2] is None:
        assert fused[2] is None
        return
    assert fused[2] is not None
    if not apart[2].isfinite().all():
        return
    scale = apart[2].abs().max().clamp_min(1)
    torch.testing.assert_close(fused[2] / scale, apart[2] / scale, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("last", (False, True), ids=("contiguous", "channels_last"))
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("window", (2, 3, (1, 2), (3, 2), 4))
def test_every_window(isa: str, window: Any, dtype: torch.dtype, last: bool) -> None:
    for names, ceil in ((SET, False), (SET, True), (WIDENING, True)):
        for shape in ((2, 32, 12, 12), (2, 17, 7, 5), (3, 3, 9, 10), (2, 1, 5, 67), (1, 40, 4, 4)):
            agree(pair(names, window, ceil), made(shape, dtype, last))


@pytest.mark.parametrize("activation", CERTIFIED, ids=lambda a: a.name)
def test_tables_of_every_degree_and_grid(isa: str, activation: actzoo.Activation) -> None:
    for dtype in DTYPES:
        if pooled_plan((activation,), CPU, dtype, "table") is not None:
            agree(pair((activation.name,), ceil=True), made((2, 35, 5, 6), dtype, True))


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_images_that_caches_do_not_hold(isa: str, dtype: torch.dtype) -> None:
    """Of 40 channels only some vectors of gradients begin where a line of the cache does."""
    x = made((2, 40, 180, 150), dtype, True)
    assert x.numel() * x.element_size() > 2**22
    agree(pair(), x)


@pytest.mark.parametrize("last", (False, True), ids=("contiguous", "channels_last"))
def test_gradients_are_those_of_differences(isa: str, last: bool) -> None:
    x = torch.linspace(-3, 3, 2 * 16 * 4 * 5)
    x = x[torch.randperm(x.numel(), generator=torch.Generator().manual_seed(0))]
    x = x.view(2, 16, 4, 5)
    if last:
        x = x.contiguous(memory_format=torch.channels_last)
    # It rises everywhere, so a step smaller than what lies between any two x changes no winner.
    model = actzoo.fuse(pair(("identity", "tanh"))).requires_grad_(False)
    step = 6 / x.numel() / 4
    x.requires_grad_()
    y = model(x)
    assert is_pooled(y)
    weights = torch.randn(y.shape, generator=torch.Generator().manual_seed(1))
    (own,) = torch.autograd.grad((y * weights).sum(), x)
    with torch.no_grad():
        slope = torch.zeros_like(x)
        for place in range(x[0].numel()):
            moved = x.detach().clone(memory_format=torch.preserve_format)
            index = (slice(None), *torch.unravel_index(torch.tensor(place), x.shape[1:]))
            moved[index] += step
            above = (model(moved).double() * weights).sum((1, 2, 3))
            moved[index] -= 2 * step
            below = (model(moved).double() * weights).sum((1, 2, 3))
            slope[index] = ((above - below) / (2 * step)).float()
    torch.testing.assert_close(own, slope, rtol=0.02, atol=0.02)


@settings(max_examples=150, deadline=None)
@given(
    data=st.data(),
    shape=st.tuples(*(st.integers(1, n) for n in (3, 70, 11, 40))),
    window=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    ceil=st.booleans(),
    last=st.booleans(),
    dtype=st.sampled_from(DTYPES),
    isa=st.sampled_from(ISAS),
)
def test_any_shape_with_anything_in_it(
    data: st.DataObject,
    shape: tuple[int, int, int, int],
    window: tuple[int, int],
    ceil: bool,
    last: bool,
    dtype: torch.dtype,
    isa: str,
) -> None:
    if not ceil:
        shape = (*shape[:2], max(shape[2], window[0]), max(shape[3], window[1]))
    x = made(shape, dtype, last, data.draw(st.integers(0, 9)))
    odd = st.sampled_from([NAN, INF, -INF, 16.0, -16.0, 300.0, -4000.0, 0.0, 1.0])
    flat = x.as_strided((x.numel(),), (1,))
    places = data.draw(st.lists(st.integers(0, x.numel() - 1), max_size=12))
    for place in places:
        flat[place] = data.draw(odd)
    library = native.load()
    assert library is not None
    if library.use(isa):
        try:
            agree(pair(SET, window, ceil), x)
        finally:
            library.use(None)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("last", (False, True))
def test_a_window_of_equals_nan_and_infinities(isa: str, dtype: torch.dtype, last: bool) -> None:
    rows = [
        [NAN, 1.0, NAN, 2.0], [1.0, 1.0, 1.0, 1.0], [-INF, INF, INF, 3.0], [-20.0, 20.0, 20.0, 1.0],
        [-INF, -INF, -INF, -INF], [16.0, 15.5, 0.0, 16.0], [-1.0, -2.0, -3.0, -4.0],
        [0.0, -0.0, 0.0, 0.0],
    ]  # fmt: skip
    x = torch.tensor(rows).view(1, 8, 2, 2).repeat(1, 3, 1, 1).to(dtype)
    if last:
        x = x.contiguous(memory_format=torch.channels_last)
    for names in (("relu",), ("relu", "identity"), SET):
        model = actzoo.fuse(pair(names))
        library = native.load()
        assert library is not None
        # By hand: only the winners' gradients, in the order in which torch looks.
        x.requires_grad_()
        y = model(x)
        y.sum().backward()
        assert x.grad is not None
        values = actzoo.unfuse(model)[0](x.detach())
        right, at = nn.functional.max_pool2d(values, 2, return_indices=True)
        assert same(y.detach(), right)
        won = torch.zeros_like(x.grad.flatten(2)).scatter_(2, at.flatten(2), 1.0).view_as(x)
        assert ((x.grad != 0) <= (won != 0)).all()
        x = x.detach()


def test_many_outside_leave_the_table_and_say_so() -> None:
    from actzoo.kernels.autograd import say_once

    say_once.cache_clear()
    x = made((2, 16, 12, 12), torch.float32, True)
    x[0] = 30.0
    with pytest.warns(RuntimeWarning, match="outside"):
        y = run(actzoo.fuse(pair()), x)
    right = run(actzoo.unfuse(pair()), x)
    for mine, its in zip(y, right, strict=True):
        torch.testing.assert_close(mine, its, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("last", (False, True))
def test_threads_give_the_same_bits(isa: str, dtype: torch.dtype, last: bool) -> None:
    x = made((9, 20, 30, 31), dtype, last)
    x[1, 2, 3, 4] = NAN
    before = torch.get_num_threads()
    found = []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            found.append(run(actzoo.fuse(pair()), x))
    finally:
        torch.set_num_threads(before)
    for other in found[1:]:
        assert same(other[0], found[0][0])
        assert same(other[1], found[0][1])


@pytest.mark.parametrize("activation", CERTIFIED, ids=lambda a: a.name)
def test_every_function_with_a_table_agrees_with_its_float64(activation: actzoo.Activation) -> None:
    x = made((2, 20, 24, 24), torch.float32, True).requires_grad_()
    mixture = actzoo.Mixture([activation, "identity"], kernel="auto")
    model = actzoo.fuse(nn.Sequential(mixture, nn.MaxPool2d(2))).eval()
    y = model(x)
    parts = plan(mixture.activations, CPU, torch.float32, "auto").parts
    whole = len(parts) == 1 and parts[0].kernel.name == "table" and parts[0].prepared.shift == 0
    assert is_pooled(y) == whole
    exact = x.detach().double().requires_grad_()
    values = sum((a(exact) for a in mixture.activations), torch.zeros(())) / 2
    right = nn.functional.max_pool2d(values, 2)
    assert ((y - right).abs() <= 2e-6 * right.abs().clamp_min(1)).all()
    y.sum().backward()
    assert x.grad is not None
    # Each window gives one slope; which of two nearly equal values wins is rounding.
    slope = sum(a.derivative(exact.detach()) for a in mixture.activations) / 2
    winner = x.grad != 0
    close = (x.grad - slope).abs() <= 8e-6 * slope.abs().clamp_min(1)
    assert close[winner].all()
    assert (nn.functional.avg_pool2d(winner.float(), 2) <= 0.25).all()


def test_little_is_kept_for_the_backward_pass() -> None:
    kept: list[Tensor] = []
    x = made((4, 16, 24, 24), torch.float32, True).requires_grad_()
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t) or t, lambda t: t):
        actzoo.fuse(pair())(x)
    held = sum(t.numel() * t.element_size() for t in kept if t.numel() > 8)
    assert held == x.numel() * 4 * 0.3125


@pytest.mark.parametrize("only", [torch.float32, torch.uint8])
def test_hooks_may_lay_out_anew_what_is_kept(only: torch.dtype) -> None:
    def moved(t: Tensor) -> Tensor:
        return t.contiguous() if t.dtype == only else t

    x = made((2, 16, 8, 8), torch.float32, True)
    model = actzoo.fuse(pair(("relu", "tanh")))
    found = []
    for change in (lambda t: t, moved):
        own = x.clone().requires_grad_()
        with torch.autograd.graph.saved_tensors_hooks(change, lambda t: t):
            y = model(own)
        assert is_pooled(y)
        (grad,) = torch.autograd.grad((y * torch.linspace(0, 1, y.numel()).view_as(y)).sum(), own)
        found.append(grad)
    assert torch.equal(*found)


def test_frozen_parts_get_no_gradient() -> None:
    model, x = actzoo.fuse(pair()), made((2, 16, 24, 24), torch.float32, True)
    model(x).sum().backward()
    assert model[0].w.grad is not None
    model.requires_grad_(False)
    model.zero_grad()
    x.requires_grad_()
    model(x).sum().backward()
    assert x.grad is not None
    assert model[0].w.grad is None


def test_second_derivatives_are_those_of_the_pair() -> None:
    found = []
    for change in (actzoo.unfuse, actzoo.fuse):
        model = change(pair(("tanh", "sin"))).requires_grad_()
        x = made((2, 16, 8, 8), torch.float32, False).requires_grad_()
        y = model(x)
        (first,) = torch.autograd.grad(y.square().sum(), x, create_graph=True)
        found.append(torch.autograd.grad(first.square().sum(), (x, model[0].w)))
    for mine, its in zip(*found, strict=True):
        torch.testing.assert_close(mine, its, rtol=1e-4, atol=1e-4)


def test_a_batch_of_gradients() -> None:
    model, x = actzoo.fuse(pair()), made((2, 16, 8, 8), torch.float32, False).requires_grad_()
    y = model(x)
    grads = torch.randn(3, *y.shape)
    (many,) = torch.autograd.grad(y, x, grads, is_grads_batched=True, retain_graph=True)
    for grad, found in zip(grads, many, strict=True):
        (right,) = torch.autograd.grad(y, x, grad, retain_graph=True)
        torch.testing.assert_close(found, right, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("wrong", ("y", "dtype", "places", "values"))
def test_sizes_that_do_not_belong_together_are_refused(wrong: str) -> None:
    loaded = native.load()
    assert loaded is not None
    library = NativePool(loaded)
    shape = PoolShape(2, 4, 4, 16, 2, 2, (2, 2))
    x, y, winners = torch.zeros(512), torch.zeros(128), torch.zeros(128)
    places, values = torch.zeros(128, dtype=torch.uint8), torch.zeros(1, 10, 32).double()
    match wrong:
        case "y":
            y = torch.zeros(127)
        case "dtype":
            winners = winners.half()
        case "places":
            places = places.int()
        case "values":
            values = torch.zeros(2, 10, 32).double()
    with pytest.raises(ValueError, match="belong together"):
        library.pool(x, shape, y, winners, places, torch.ones(1), values, 1)
    with pytest.raises(ValueError, match="belong together"):
        library.unpool(torch.zeros(127), places, x, shape, 1)
