"""The C library of the table kernel against the same polynomials in float64."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from torch import Tensor

from actzoo.kernels.table import native
from actzoo.kernels.table.native import ISAS, Native, TooManyOutside
from tests.kernels.polynomials import UNIT, Floats, Tables, evaluate

DTYPES = (torch.float32, torch.bfloat16, torch.float16)
SIZES = (0, 1, 2, 7, 8, 9, 15, 16, 17, 31, 33, 63, 64, 511, 513, 1000, 1024, 1025, 4099, 65537)
NAN = float("nan")
SENTINEL = -77.0

dtypes = pytest.mark.parametrize("dtype", DTYPES, ids=lambda d: str(d).removeprefix("torch."))


@pytest.fixture(params=ISAS)
def library(request: pytest.FixtureRequest) -> Iterator[Native]:
    found = native.load()
    if found is None:
        pytest.skip(native.absent())
    if not found.use(request.param):
        pytest.skip(f"this processor has no {request.param}")
    assert found.isa == request.param
    yield found
    found.use(None)


def assert_rounded(got: Tensor, exact: Floats, error: Floats) -> None:
    """got is the rounding to its dtype, to nearest even, of some number within the error."""
    low, high = (torch.from_numpy(exact + side * error).to(got.dtype) for side in (-1, 1))
    wrong = ~((low <= got) & (got <= high))
    assert not wrong.any(), (got[wrong][:3], exact[wrong.numpy()][:3], error[wrong.numpy()][:3])


def guarded(n: int, dtype: torch.dtype, offset: int) -> tuple[Tensor, Tensor]:
    """A tensor inside a longer one, not aligned to anything, and what lies around it."""
    whole = torch.full((n + 64 + offset,), SENTINEL, dtype=dtype)
    return whole[32 + offset : 32 + offset + n], whole


def untouched(whole: Tensor, n: int, offset: int) -> bool:
    around = torch.cat([whole[: 32 + offset], whole[32 + offset + n :]])
    return bool((around == SENTINEL).all())


def draw(n: int, dtype: torch.dtype, offset: int = 0, seed: int = 0) -> tuple[Tensor, Tensor]:
    """x and grad; x holds knots, both zeros, and nothing outside."""
    generator = torch.Generator().manual_seed(seed)
    x, grad = guarded(n, dtype, offset)[0], guarded(n, dtype, offset)[0]
    x.copy_((torch.randn(n, generator=generator) * 3).clamp(-15.9, 15.9))
    grad.copy_(torch.randn(n, generator=generator))
    x[1::7] = x[1::7].round()
    x[2::7] = (x[2::7] * 4).round() / 4
    x[3::21] = x[3::21].round().nextafter(torch.zeros((), dtype=dtype))  # beside a knot
    x[4::21] = x[4::21].mul(4).round().div(4).nextafter(torch.full((), 20, dtype=dtype))
    x.clamp_(-15.9, 15.9)
    x[5::31] = 0.0
    x[6::31] = -0.0
    return x, grad


@dtypes
@pytest.mark.parametrize("widening", (0, 1, 2, 3))
@pytest.mark.parametrize("offset", (0, 1, 3))
def test_values_and_gradients(
    library: Native, dtype: torch.dtype, offset: int, widening: int
) -> None:
    k = 3
    tables = Tables.random(k, widening=widening)
    for n in SIZES:
        x, grad = draw(n, dtype, offset)
        x64, grad64 = x.double().numpy(), grad.double().numpy()
        y, around_y = guarded(n, dtype, offset)
        given = (tables.weights, tables.values, 1)
        assert library.forward(x, y, *given, widening=widening).numel() == 0
        value, value_error = tables.value(x64, widening)
        assert_rounded(y, value, value_error)
        assert untouched(around_y, n, offset)

        slope, slope_error = tables.slope(x64, widening)
        expected = grad64 * slope
        error = abs(grad64) * slope_error + 1.01 * UNIT * abs(expected)
        results = []
        for want_x, want_weights in ((True, False), (False, True), (True, True)):
            grad_x, around_x = guarded(n, dtype, offset)
            grad_weights, around_weights = guarded(k, torch.float64, 0)
            outside = library.backward(
                *(grad, x, grad_x if want_x else None, grad_weights if want_weights else None),
                *(tables.weights, tables.values, tables.slopes, 1),
                widening=widening,
            )
            assert outside.numel() == 0
            assert untouched(around_x, n, offset)
            assert untouched(around_weights, k, 0)
            if want_x:
                assert_rounded(grad_x, expected, error)
            if want_weights:
                results.append(grad_weights)
        for i in range(k):
            own, own_error = evaluate(tables.values[i].numpy(), x64, widening)
            # Each of a block's partial sums adds up to 32 products in float32.
            room = (abs(grad64) * own_error + 33 * UNIT * abs(grad64 * own)).sum()
            for grad_weights in results:
                assert abs(grad_weights[i].item() - (grad64 * own).sum()) <= room + 1e-12


def tanh_table() -> Tensor:
    """Through Chebyshev nodes of each cell, in powers of u."""
    nodes = 0.5 - 0.5 * np.cos(np.pi * (np.arange(10) + 0.5) / 10)
    grid = np.arange(16)[:, None] + nodes
    samples = np.tanh(np.concatenate([grid, -grid]))
    table = np.linalg.solve(nodes[:, None] ** np.arange(10), samples.T)
    table[0, [0, 16]] = 0
    return torch.from_numpy(table[None].copy())


def test_tanh(library: Native) -> None:
    table = tanh_table()
    x = torch.linspace(-15.999, 15.999, 100_003)
    y = torch.empty_like(x)
    library.forward(x, y, torch.ones(1), table, 1)
    x64 = x.double().numpy()
    fitted, error = evaluate(table[0].numpy(), x64)
    fit_error = abs(fitted - np.tanh(x64)).max()
    assert fit_error < 5e-8
    assert_rounded(y, np.tanh(x64), error + fit_error)


def test_small_arguments_keep_their_relative_accuracy(library: Native) -> None:
    table = tanh_table()
    x = torch.logspace(-37, -3, 500)
    x = torch.cat([x, -x])
    y = torch.empty_like(x)
    library.forward(x, y, torch.ones(1), table, 1)
    exact, _ = evaluate(table[0].numpy(), x.double().numpy())
    torch.testing.assert_close(y.double(), torch.from_numpy(exact), rtol=4 * UNIT, atol=0)


@dtypes
def test_knots_take_their_own_slope_and_minus_zero_is_zero(
    library: Native, dtype: torch.dtype
) -> None:
    values, slopes = torch.zeros(1, 10, 32).double(), torch.zeros(1, 11, 32).double()
    values[0, 0] = torch.arange(32)
    slopes[0, 0] = torch.arange(32)
    slopes[0, 10] = 100 + torch.arange(32)
    knots = torch.arange(16.0)
    x = torch.cat([knots, -knots, knots + 0.25, -knots - 0.25]).to(dtype)
    cell = torch.cat([torch.arange(16), torch.arange(16, 32)]).repeat(2)
    cell[16] = 0  # x = -0.0
    y, grad_x = torch.empty_like(x), torch.empty_like(x)
    library.forward(x, y, torch.ones(1), values, 1)
    assert torch.equal(y, cell.to(dtype))
    library.backward(torch.ones_like(x), x, grad_x, None, torch.ones(1), values, slopes, 1)
    assert torch.equal(grad_x, (cell + 100 * (torch.arange(64) < 32)).to(dtype))


@pytest.mark.parametrize("dtype", (torch.bfloat16, torch.float16), ids=("bfloat16", "float16"))
@pytest.mark.parametrize("slope", (1.0, 1 / 3, 3.0, 2.0**-20, 2.0**-126))
def test_every_16_bit_number_is_read_and_rounded_as_torch_does(
    library: Native, dtype: torch.dtype, slope: float
) -> None:
    grad = torch.arange(-(2**15), 2**15).to(torch.int16).view(dtype)
    values, slopes = torch.zeros(1, 10, 32).double(), torch.zeros(1, 11, 32).double()
    slopes[0, 0] = slope
    x, grad_x = torch.full_like(grad, 0.5), torch.empty_like(grad)
    library.backward(grad, x, grad_x, None, torch.ones(1), values, slopes, 1)
    expected = (grad.float() * torch.tensor(slope).float()).to(dtype)
    nan = expected.isnan()
    assert torch.equal(grad_x.isnan(), nan)
    assert torch.equal(grad_x[~nan].view(torch.int16), expected[~nan].view(torch.int16))


@dtypes
@pytest.mark.parametrize("n", (1, 15, 16, 17, 1000, 1025, 70_001))
@pytest.mark.parametrize("threads", (1, 2))
@pytest.mark.parametrize("widening", (0, 1))
def test_elements_outside_are_listed_and_poison_nothing(
    library: Native, dtype: torch.dtype, n: int, threads: int, widening: int
) -> None:
    tables = Tables.random(2, widening=widening)
    x, grad = draw(n, dtype)
    clean = x.clone()
    rng = np.random.default_rng(n)
    places = np.unique(np.append(rng.integers(0, n, min(n, 40)), [0, n - 1]))
    odd = torch.tensor([16.0, -16.0, 1e4, -1e4, float("inf"), -float("inf"), NAN, -NAN])
    x[places] = odd[np.arange(len(places)) % len(odd)].to(dtype)
    kept = np.setdiff1d(np.arange(n), places)
    y, expected = torch.empty_like(x), torch.empty_like(x)
    outside = library.forward(x, y, tables.weights, tables.values, threads, widening=widening)
    assert outside.tolist() == places.tolist()
    library.forward(clean, expected, tables.weights, tables.values, threads, widening=widening)
    assert torch.equal(y[kept], expected[kept])

    at_outside = grad.clone()
    at_outside[places] = odd[4:].repeat(len(places))[: len(places)].to(dtype)
    grad[places] = 0
    rest = (tables.weights, tables.values, tables.slopes, threads)
    sums, grad_x = torch.empty(2, 2, dtype=torch.float64), torch.empty(2, n, dtype=dtype)
    assert library.backward(grad, clean, grad_x[0], sums[0], *rest, widening=widening).numel() == 0
    outside = library.backward(at_outside, x, grad_x[1], sums[1], *rest, widening=widening)
    assert outside.tolist() == places.tolist()
    assert torch.equal(sums[0], sums[1])
    assert torch.equal(grad_x[0][kept], grad_x[1][kept])
    outside = library.backward(at_outside, x, grad_x[1], None, *rest, widening=widening)
    assert outside.tolist() == places.tolist()
    assert torch.equal(grad_x[0][kept], grad_x[1][kept])


@pytest.mark.parametrize("widening", (0, 1, 2, 3))
def test_numbers_just_inside_are_inside(library: Native, widening: int) -> None:
    edge = torch.nextafter(torch.tensor(16.0), torch.tensor(0.0))
    x = torch.stack([edge, -edge, torch.tensor(16.0), torch.tensor(-16.0)])
    tables, y = Tables.random(1, widening=widening), torch.empty_like(x)
    given = (tables.weights, tables.values, 1)
    assert library.forward(x, y, *given, widening=widening).tolist() == [2, 3]


@pytest.mark.parametrize("threads", (1, 2))
def test_too_many_outside(library: Native, threads: int) -> None:
    tables = Tables.random(2)
    x = torch.full((100_000,), NAN)
    y, sums = torch.empty_like(x), torch.empty(2, dtype=torch.float64)
    with pytest.raises(TooManyOutside):
        library.forward(x, y, tables.weights, tables.values, threads)
    for grad_x, grad_weights in ((y, None), (None, sums), (y, sums)):
        with pytest.raises(TooManyOutside):
            library.backward(
                *(x, x, grad_x, grad_weights),
                *(tables.weights, tables.values, tables.slopes, threads),
            )
    x[64:] = 1.0
    assert library.forward(x, y, tables.weights, tables.values, threads).numel() == 64


def test_infinite_gradients_stay(library: Native) -> None:
    tables = Tables.random(1)
    grad = torch.tensor([float("inf"), NAN, 1.0])
    x, grad_x = torch.full((3,), 1.5), torch.empty(3)
    sums = torch.empty(1, dtype=torch.float64)
    library.backward(grad, x, grad_x, sums, tables.weights, tables.values, tables.slopes, 1)
    assert grad_x[0].isinf()
    assert grad_x[1].isnan()
    assert grad_x[2].isfinite()
    assert sums.isnan().all()


@dtypes
def test_threads(library: Native, dtype: torch.dtype) -> None:
    tables = Tables.random(5)
    n = 300_007
    x, grad = draw(n, dtype)
    runs: dict[int, list[tuple[Tensor, Tensor, Tensor]]] = {}
    for threads in (1, 2, 3, 2, 3, 1):
        y, grad_x = torch.empty_like(x), torch.empty_like(x)
        sums = torch.empty(5, dtype=torch.float64)
        library.forward(x, y, tables.weights, tables.values, threads)
        rest = (tables.weights, tables.values, tables.slopes, threads)
        library.backward(grad, x, grad_x, sums, *rest)
        runs.setdefault(threads, []).append((y, grad_x, sums))
    for first, second in runs.values():
        assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    (y, grad_x, sums), _ = runs[1]
    for other, _ in runs.values():
        assert torch.equal(y, other[0])
        assert torch.equal(grad_x, other[1])
        # The blocks' sums are the same; only their order in float64 differs.
        torch.testing.assert_close(sums, other[2], rtol=1e-11, atol=1e-9)


def test_two_python_threads_at_once(library: Native) -> None:
    inputs = [(draw(100_003, torch.float32, seed=s), Tables.random(3, s)) for s in range(4)]

    def job(seed: int) -> tuple[Tensor, Tensor, Tensor]:
        (x, grad), tables = inputs[seed]
        y, grad_x = torch.empty_like(x), torch.empty_like(x)
        sums = torch.empty(3, dtype=torch.float64)
        rest = (tables.weights, tables.values, tables.slopes, 2)
        library.forward(x, y, tables.weights, tables.values, 2)
        library.backward(grad, x, grad_x, sums, *rest)
        return y, grad_x, sums

    alone = [job(seed) for seed in range(4)]
    with ThreadPoolExecutor(2) as pool:
        for _ in range(3):
            for expected, got in zip(alone, pool.map(job, range(4)), strict=True):
                assert all(torch.equal(a, b) for a, b in zip(expected, got, strict=True))


def test_many_functions(library: Native) -> None:
    tables = Tables.random(130)
    x, grad = draw(3001, torch.float32)
    x64, grad64 = x.double().numpy(), grad.double().numpy()
    y, sums = torch.empty_like(x), torch.empty(130, dtype=torch.float64)
    library.forward(x, y, tables.weights, tables.values, 1)
    assert_rounded(y, *tables.value(x64))
    library.backward(grad, x, None, sums, tables.weights, tables.values, tables.slopes, 2)
    for i in range(130):
        own, own_error = evaluate(tables.values[i].numpy(), x64)
        room = (abs(grad64) * own_error + 33 * UNIT * abs(grad64 * own)).sum()
        assert abs(sums[i].item() - (grad64 * own).sum()) <= room


@pytest.mark.parametrize("widening", (0, 1, 2, 3))
def test_instruction_sets_agree_to_rounding(widening: int) -> None:
    found = native.load()
    if found is None:
        pytest.skip(native.absent())
    tables = Tables.random(3, widening=widening)
    x, _ = draw(10_001, torch.float32)
    _, error = tables.value(x.double().numpy(), widening)
    results = []
    try:
        for isa in ISAS:
            if found.use(isa):
                results.append(torch.empty_like(x))
                given = (tables.weights, tables.values, 1)
                found.forward(x, results[-1], *given, widening=widening)
    finally:
        found.use(None)
    for y in results[1:]:
        assert bool(((y - results[0]).abs() <= 2 * torch.from_numpy(error)).all())


@pytest.mark.parametrize("wrong", ("y", "dtype", "float64", "values", "grad_weights"))
def test_sizes_that_do_not_belong_together_are_refused(library: Native, wrong: str) -> None:
    tables = Tables.random(2)
    x, y, sums = torch.zeros(10), torch.zeros(10), torch.zeros(2).double()
    values = tables.values
    match wrong:
        case "y":
            y = torch.zeros(9)
        case "dtype":
            y = y.half()
        case "float64":
            x, y = x.double(), y.double()
        case "values":
            values = values[:1]
        case "grad_weights":
            sums = torch.zeros(3).double()
    with pytest.raises(ValueError, match="belong together"):
        library.backward(x, x, y, sums, tables.weights, values, tables.slopes, 1)
    if wrong != "grad_weights":
        with pytest.raises(ValueError, match="belong together"):
            library.forward(x, y, tables.weights, values, 1)


def test_what_holds_torch_to_fewer_instructions_holds_the_table(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    known = native.load()
    if known is None:
        pytest.skip(native.absent())
    try:
        for word, isa in (("avx2", "avx2"), ("default", "portable"), ("avx512", None), ("", None)):
            there = known.use(isa)
            known.use(isa if there else None)
            expected = known.isa
            monkeypatch.setenv("ATEN_CPU_CAPABILITY", word)
            found, _ = native.find.__wrapped__(native.LIBRARY)
            assert found is not None and found.isa == expected
    finally:
        known.use(None)
