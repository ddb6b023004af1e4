"""Slopes kept as 8 bits: their error, what is kept, when x is kept after all, what is refused."""

from __future__ import annotations

import copy
import math
import pickle
from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

import actzoo
from actzoo import Activation
from actzoo.cost.saved_memory import bytes_kept
from actzoo.errors import KernelError
from actzoo.kernels import autograd, weighted_sum
from actzoo.kernels.table import native
from actzoo.kernels.table.fit import table
from actzoo.kernels.table.native import ISAS
from tests.kernels.conftest import CERTIFIED, needs_table

pytestmark = needs_table

SET = ("relu", "tanh", "sin")
REFUSED = ("squared_relu", "gcu", "binary_step_ste")
KEPT = [a for a in CERTIFIED if a.training_fn is None and a.name not in REFUSED]
HALVES = (torch.bfloat16, torch.float16)


def named(activation: Activation) -> str:
    return activation.name


@pytest.fixture(params=ISAS)
def each_isa(request: pytest.FixtureRequest) -> Iterator[str]:
    library = native.load()
    assert library is not None
    if not library.use(request.param):
        pytest.skip(f"this processor has no {request.param}")
    yield request.param
    library.use(None)


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)) * 2


def frozen(names: tuple[str, ...] = SET, keep: str = "8bit") -> actzoo.Mixture:
    mixture = actzoo.Mixture(names, keep=keep)  # type: ignore[arg-type]
    mixture.w.requires_grad_(False)
    return mixture


def slopes(of: Callable[[Tensor], Tensor], x: Tensor, seed: int = 0) -> Tensor:
    """The gradients of x, all of the result being 1."""
    x = x.detach().requires_grad_()
    torch.manual_seed(seed)
    y = of(x)
    y.backward(torch.ones_like(y))
    assert x.grad is not None
    return x.grad


def exact(names: tuple[str, ...], x: Tensor) -> Tensor:
    """The mean of the functions' slopes in float64."""
    each = [actzoo.get(name).derivative(x.double()) for name in names]
    return torch.stack(each).mean(0)


def level(names: tuple[str, ...], reach: float = 16.0) -> float:
    """One of 255 parts of the range of the slopes, which is known to be at most 3% too wide."""
    range_of = exact(names, torch.linspace(-reach, reach, 200_001)[1:-1])
    return 1.03 * float(range_of.max() - range_of.min()) / 255


@pytest.mark.parametrize("activation", KEPT, ids=named)
def test_a_slope_is_off_by_one_level_at_most(activation: Activation) -> None:
    shift = table(activation).shift
    x = (draw(5000) * 3).clamp(-15.9, 15.9) / 2**shift

    def alone(x: Tensor) -> Tensor:
        one = torch.ones(1)
        return weighted_sum((activation,), one, x, [activation.parameters], "table", keep="8bit")

    off = slopes(alone, x).double() - activation.derivative(x.double())
    assert (off.abs() <= level((activation.name,), 16 / 2**shift) + 1e-4).all()


def test_with_every_instruction_set(each_isa: str) -> None:
    for n in (1, 15, 17, 31, 33, 1023, 5000):
        x = draw(n)
        found = slopes(frozen(), x)
        assert ((found - exact(SET, x)).abs() <= level(SET)).all()
        # The same chances everywhere: only where one is nearly the other do roundings differ.
        if n == 5000:
            library = native.load()
            assert library is not None
            library.use("portable")
            differ = (slopes(frozen(), x) - found).abs()
            assert (differ <= level(SET)).all()
            assert (differ > 1e-6).float().mean() < 1e-3


def test_slopes_are_right_on_average() -> None:
    seeds, x = 200, draw(500)
    off = torch.stack([slopes(frozen(), x, seed).double() - exact(SET, x) for seed in range(seeds)])
    deviation = level(SET) / 2  # at most, of one rounding up or down
    assert (off.mean(0).abs() <= 5 * deviation / math.sqrt(seeds)).all()
    assert off.mean().abs() <= 4 * deviation / math.sqrt(off.numel())
    # Neighbours and those that share a hash are rounded independently of each other.
    for apart in (1, 16, 32):
        both = (off[:, apart:] * off[:, :-apart]).mean() / off.square().mean()
        assert both.abs() <= 5 / math.sqrt(off.numel())


def test_what_one_level_holds_is_exact() -> None:
    x = draw(1000)

    def relu(x: Tensor) -> Tensor:
        return weighted_sum((actzoo.get("relu"),), torch.ones(1), x, [{}], "table", keep="8bit")

    assert torch.equal(slopes(relu, x), (x > 0).float())


def test_a_seed_gives_the_same_bits_whatever_the_threads() -> None:
    x, before = draw(300_000), torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        one, other = slopes(frozen(), x, seed=3), slopes(frozen(), x, seed=4)
        torch.set_num_threads(2)
        assert torch.equal(slopes(frozen(), x, seed=3), one)
    finally:
        torch.set_num_threads(before)
    assert not torch.equal(one, other)


def test_values_are_those_of_keep_x() -> None:
    x = draw(5000).requires_grad_()
    assert torch.equal(frozen()(x), frozen(keep="x")(x))


@pytest.mark.parametrize("dtype", HALVES, ids=str)
def test_sixteen_bits(dtype: torch.dtype) -> None:
    x = draw(5000).to(dtype)
    y, found = frozen()(x.requires_grad_()), slopes(frozen(), x)
    assert y.dtype == found.dtype == dtype
    eps = torch.finfo(dtype).eps
    right = torch.stack([actzoo.get(name)(x.double()) for name in SET]).mean(0)
    assert torch.allclose(y.double(), right, rtol=eps, atol=1e-6)
    bound = level(SET) + eps * exact(SET, x).abs()
    assert ((found.double() - exact(SET, x)).abs() <= bound).all()


def test_a_quarter_of_x_is_kept() -> None:
    x = draw(100, 1000).requires_grad_()
    assert bytes_kept(lambda: frozen()(x)) == x.numel()
    assert bytes_kept(lambda: frozen(keep="x")(x)) >= 4 * x.numel()
    silu = actzoo.get("silu").module(keep="8bit")
    assert bytes_kept(lambda: silu(x)) == x.numel()
    half = x.detach().bfloat16().requires_grad_()
    assert bytes_kept(lambda: silu(half)) == x.numel()


def test_outside_of_the_table_and_nan_are_exact() -> None:
    names = ("tanh", "softsign", "sin")
    x = draw(5000)
    x[7], x[8], x[4000], x[4999] = torch.nan, 20.0, -40.0, torch.inf
    far = x[[7, 8, 4000, 4999]]
    found = slopes(frozen(names), x)
    right = exact(names, x)
    assert torch.allclose(found[[7, 8, 4000]], right[[7, 8, 4000]].float(), equal_nan=True)
    assert found[4999].isnan()  # the slope of sin at infinity
    inside = x.abs() < 16
    assert ((found - right)[inside].abs() <= level(names)).all()
    y = frozen(names)(x.requires_grad_())
    by_hand = torch.stack([actzoo.get(n)(far.double()) for n in names]).mean(0)
    assert torch.allclose(y[[7, 8, 4000, 4999]].double(), by_hand, equal_nan=True)


def test_many_elements_outside_keep_x() -> None:
    names = ("tanh", "softsign")
    x = torch.linspace(-100, 100, 5000)
    autograd.say_once.cache_clear()  # another test may have heard it
    with pytest.warns(RuntimeWarning, match="outside"):
        found = slopes(frozen(names), x)
    assert torch.allclose(found.double(), exact(names, x), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(
    "x",
    [
        draw(3, 4, 5, 7).contiguous(memory_format=torch.channels_last),
        draw(6, 11).t(),
        draw(6, 22)[:, ::2],
        draw(40)[3:],
        draw(5, 1).expand(5, 9),
        draw(2, 7, 1, 1),
        draw(),
    ],
    ids=["channels-last", "transposed", "holes", "offset", "expanded", "ones", "0-d"],
)
def test_every_layout(x: Tensor) -> None:
    found = slopes(frozen(), x)
    assert found.shape == x.shape
    assert ((found - exact(SET, x)).abs() <= level(SET)).all()
    grad = draw(*x.shape, seed=1)
    x = x.detach().clone().requires_grad_()
    torch.manual_seed(0)
    (given,) = torch.autograd.grad(frozen()(x), x, grad)
    assert ((given - grad * exact(SET, x)).abs() <= grad.abs() * level(SET) + 1e-6).all()


def test_nothing_is_drawn_where_nothing_is_kept() -> None:
    x, state = draw(100), torch.get_rng_state()
    frozen()(x)
    frozen(keep="x")(x.clone().requires_grad_())
    with torch.no_grad():
        frozen()(x.clone().requires_grad_())
    assert torch.equal(torch.get_rng_state(), state)


def test_while_the_weights_train_x_is_kept() -> None:
    x = draw(5000)
    mixture, other = actzoo.Mixture(SET, keep="8bit"), actzoo.Mixture(SET)
    assert torch.equal(slopes(mixture, x), slopes(other, x))
    assert mixture.w.grad is not None
    assert other.w.grad is not None
    assert torch.equal(mixture.w.grad, other.w.grad)


def test_a_copy_and_a_pickle_keep_alike() -> None:
    x, mixture = draw(1000), frozen()
    for other in (copy.deepcopy(mixture), pickle.loads(pickle.dumps(mixture))):
        assert torch.equal(slopes(other, x), slopes(mixture, x))
        assert bytes_kept(lambda other=other: other(x.clone().requires_grad_())) == 1000


@pytest.mark.parametrize("reentrant", [False, True])
def test_checkpoint_draws_the_same_again(reentrant: bool) -> None:
    x, mixture = draw(1000), frozen()

    def again(x: Tensor) -> Tensor:
        y: Tensor = checkpoint(mixture, x, use_reentrant=reentrant)
        return y

    assert torch.equal(slopes(again, x), slopes(mixture, x))


def test_kept_elsewhere_and_brought_back() -> None:
    x = draw(3, 4, 5, 7).contiguous(memory_format=torch.channels_last)
    x[0, 0, 0, 0] = 30.0

    def there_and_back(x: Tensor) -> Tensor:
        with torch.autograd.graph.save_on_cpu():
            return frozen()(x)

    assert torch.equal(slopes(there_and_back, x), slopes(frozen(), x))


def test_transforms_go_through_the_reference() -> None:
    x, mixture = draw(50), frozen()
    found = torch.func.grad(lambda x: mixture(x).sum())(x)
    assert torch.allclose(found.double(), exact(SET, x), atol=1e-6)
    compiled = torch.compile(mixture, backend="eager", fullgraph=True)
    assert torch.allclose(slopes(compiled, x).double(), exact(SET, x), atol=1e-6)


def test_a_batch_of_gradients() -> None:
    x, grads = draw(50).requires_grad_(), torch.eye(50)
    torch.manual_seed(0)
    (found,) = torch.autograd.grad(frozen()(x), x, grads, is_grads_batched=True)
    assert torch.allclose(found, torch.diag(slopes(frozen(), x)))


def test_second_derivatives_are_refused() -> None:
    x = draw(50).requires_grad_()
    with pytest.raises(KernelError, match="keep='x'"):
        torch.autograd.grad(frozen()(x).sum(), x, create_graph=True)


def test_float64_is_exact() -> None:
    x = draw(500).double()
    assert torch.allclose(slopes(frozen(), x), exact(SET, x))
    assert frozen().kernel_used("cpu", torch.float64) == "reference"


def test_the_kernel_is_told() -> None:
    assert frozen().kernel_used("cpu", torch.float32) == "table, 8-bit slopes"
    assert actzoo.Mixture(["relu"], keep="8bit").kernel_used("cpu", torch.float32) == "reference"
    with pytest.raises(KernelError, match="cuda"):
        frozen().kernel_used("cuda", torch.float32)


@pytest.mark.parametrize(
    ("name", "keep", "kernel"),
    [
        ("silu", "x", "table"),
        ("silu", "8bit", "table, 8-bit slopes"),
        ("relu", "x", "reference"),
        ("softmax", "x", "reference"),
        ("prelu", "x", "reference"),
    ],
)
def test_a_function_alone_tells_its_kernel(name: str, keep: str, kernel: str) -> None:
    layer = actzoo.get(name).module(channels=3, keep=keep)  # type: ignore[arg-type]
    assert layer.kernel_used("cpu", torch.float32) == kernel
    x = draw(3, 3, 20_000).requires_grad_()
    ours = "KeepingSlopes" if keep == "8bit" else "WeightedSum"
    assert (ours in type(layer(x).grad_fn).__name__) == (kernel != "reference")


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: actzoo.get("squared_relu").module(keep="8bit"), "squared_relu: its slope goes"),
        (lambda: actzoo.Mixture("relu,squared_relu", keep="8bit"), "squared_relu: its slope goes"),
        (lambda: actzoo.get("binary_step_ste").module(keep="8bit"), "declared slope is not that"),
        (lambda: actzoo.get("prelu").module(keep="8bit"), "prelu has no table"),
        (lambda: actzoo.get("rrelu").module(keep="8bit"), "rrelu has no table"),
        (lambda: actzoo.Mixture(SET, keep="8bit", kernel="reference"), "reference kernel"),
        (lambda: actzoo.Mixture(SET, keep="8bit", scope="channel", channels=3), "per channel"),
        (lambda: actzoo.Mixture(SET, keep="4bit"), "'x' or '8bit'"),  # type: ignore[arg-type]
        (lambda: actzoo.get("silu").module(keep="y"), "'x' or '8bit'"),  # type: ignore[arg-type]
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_cannot_be_kept_is_refused_by_name(make: Callable[[], object], said: str) -> None:
    with pytest.raises(KernelError, match=said) as caught:
        make()
    assert "keep='x'" in str(caught.value) or "expected" in str(caught.value)


def test_pooling_keeps_what_it_keeps() -> None:
    """Fused with its pooling a mixture keeps what won in each window, and is exact."""
    x = draw(2, 3, 8, 8)
    pooling = nn.MaxPool2d(2)
    fused = actzoo.fuse(nn.Sequential(frozen(), pooling))
    pair = nn.Sequential(frozen(keep="x"), pooling)
    assert torch.allclose(slopes(fused, x), slopes(pair, x), atol=1e-6)


def test_swapped_layers_keep_alike() -> None:
    model = nn.Sequential(nn.Linear(4, 8), nn.GELU(), nn.Linear(8, 8), nn.Tanh())
    done = actzoo.swap(model, "relu,tanh,sin", keep="8bit")
    assert [m.keep for m in done.mixtures] == ["8bit", "8bit"]
    with pytest.raises(KernelError, match="squared_relu"):
        actzoo.swap(nn.Sequential(nn.GELU()), "squared_relu", keep="8bit")


def test_many_gradients_at_once_under_another_default_dtype() -> None:
    x = draw(20).requires_grad_()
    torch.set_default_dtype(torch.float64)
    try:
        y = frozen(("tanh", "sin")).float()(x)
        (rows,) = torch.autograd.grad(y, x, torch.eye(20, dtype=x.dtype), is_grads_batched=True)
    finally:
        torch.set_default_dtype(torch.float32)
    assert torch.count_nonzero(rows - rows.diag().diag()) == 0
    slope = (1 - torch.tanh(x) ** 2 + torch.cos(x)) / 2
    assert (rows.diag() - slope).abs().max() < 2 / 256


def test_words_are_checked() -> None:
    x, one = draw(20), torch.ones(1)
    with pytest.raises(KernelError, match="keep='4bit'; expected 'x' or '8bit'"):
        weighted_sum((actzoo.get("tanh"),), one, x, ({},), keep="4bit")  # type: ignore[arg-type]
    with pytest.raises(KernelError, match="kernel='quick'; expected one of auto"):
        weighted_sum((actzoo.get("tanh"),), one, x[:0], ({},), "quick")
    with pytest.raises(actzoo.ActzooError, match="no function to add up"):
        weighted_sum((), one[:0], x, ())
