"""What a kernel must compose with: each kernel against float64 torch, in every situation."""

from __future__ import annotations

import copy
import pickle
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.utils.checkpoint import checkpoint

import actzoo
from actzoo import Activation
from actzoo.kernels import plan, weighted_sum
from tests.kernels.conftest import CERTIFIED, Exact, both_kernels, mixture_of, needs_table

SET = ("relu", "tanh", "sin")
CPU = torch.device("cpu")


def made(shape: tuple[int, ...], seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)) * 2


def given_to(members: Sequence[Activation]) -> list[Mapping[str, Any]]:
    return [a.parameters for a in members]


LAYOUTS: dict[str, Callable[[], Tensor]] = {
    "contiguous": lambda: made((3, 4, 5, 7)),
    "channels_last": lambda: made((3, 4, 5, 7)).contiguous(memory_format=torch.channels_last),
    "transposed": lambda: made((6, 11)).t(),
    "holes": lambda: made((6, 22))[:, ::2],
    "offset": lambda: made((40,))[3:],
    "expanded": lambda: made((5, 1)).expand(5, 9),
    "0-d": lambda: made(()),
    "one": lambda: made((1,)),
    "empty": lambda: made((0, 3)),
    "17": lambda: made((17,)),
}


def run(members: tuple[str, ...], kernel: str, x: Tensor, grad: Tensor) -> tuple[Tensor, ...]:
    mixture = mixture_of(members, kernel)
    x = x.detach().requires_grad_()
    y = mixture(x)
    y.backward(grad)
    assert x.grad is not None
    assert mixture.w.grad is not None
    return y.detach(), x.grad, mixture.w.grad


def by_hand(members: tuple[str, ...], x: Tensor, grad: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The same through the definition P = w/Σw in float64."""
    mixture = mixture_of(members, "reference").double()
    x = x.detach().double().requires_grad_()
    mixture(x).backward(grad.double())
    assert x.grad is not None
    assert mixture.w.grad is not None
    return mixture(x).detach(), x.grad, mixture.w.grad


def close(found: tuple[Tensor, ...], right: tuple[Tensor, ...], dtype: torch.dtype) -> None:
    eps = torch.finfo(dtype).eps
    for mine, its in zip(found, right, strict=True):
        assert mine.shape == its.shape
        bound = 8 * eps * its.abs().clamp_min(1) + 16 * eps * its.abs().max() if its.numel() else 0
        assert ((mine.double() - its).abs() <= bound).all()


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("kernel", both_kernels())
def test_every_layout(kernel: str, layout: str) -> None:
    x = LAYOUTS[layout]()
    grad = made(tuple(x.shape), 1)  # contiguous, whatever x is
    found = run(SET, kernel, x, grad)
    close(found, by_hand(SET, x, grad), torch.float32)
    if torch.empty_like(x).stride() == x.stride():
        assert found[0].stride() == x.stride()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64], ids=str)
@pytest.mark.parametrize("kernel", both_kernels())
def test_every_dtype(kernel: str, dtype: torch.dtype) -> None:
    members = mixture_of(SET, kernel).activations
    x, grad = made((8, 50)).to(dtype), made((8, 50), 1).to(dtype)
    w, place = torch.tensor([0.5, 0.25, 0.25], requires_grad=True), x.clone().requires_grad_()
    y = weighted_sum(members, w, place, given_to(members), kernel)
    y.backward(grad)
    assert place.grad is not None
    assert w.grad is not None
    assert (y.dtype, place.grad.dtype, w.grad.dtype) == (dtype, dtype, torch.float32)
    exact = Exact(members, w, x, grad)
    close((y.detach(), place.grad), (exact.y, exact.grad_x), dtype)
    close((w.grad,), (exact.grad_w,), torch.float32)


@pytest.mark.parametrize("kernel", both_kernels())
def test_autocast(kernel: str) -> None:
    linear = nn.Linear(6, 20)
    mixture = mixture_of(SET, kernel)
    with torch.autocast("cpu", torch.bfloat16):
        y = mixture(linear(made((3, 6))))
    assert y.dtype == torch.bfloat16
    y.float().sum().backward()
    assert linear.weight.grad is not None
    assert mixture.w.grad is not None


@pytest.mark.parametrize("need_x", [True, False])
@pytest.mark.parametrize("kernel", both_kernels())
def test_gradients_that_are_not_wanted_are_not_made(kernel: str, need_x: bool) -> None:
    mixture = mixture_of(SET, kernel)
    mixture.w.requires_grad_(not need_x)
    x = made((40, 3)).requires_grad_(need_x)
    mixture(x).backward(made((40, 3), 1))
    _, gx, gw = by_hand(SET, x, made((40, 3), 1))
    if need_x:
        assert x.grad is not None
        assert mixture.w.grad is None
        close((x.grad,), (gx,), torch.float32)
    else:
        assert x.grad is None
        assert mixture.w.grad is not None
        close((mixture.w.grad,), (gw,), torch.float32)


@pytest.mark.parametrize("kernel", both_kernels())
def test_only_x_and_the_weights_are_kept(kernel: str) -> None:
    kept = []
    mixture, x = mixture_of(SET, kernel), made((64, 65)).requires_grad_()
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t) or t, lambda t: t):
        members = mixture.activations
        weighted_sum(members, mixture.w, x, given_to(members), kernel)
    assert sorted(t.numel() for t in kept) == [3, 64 * 65]


@pytest.mark.parametrize("kernel", both_kernels())
def test_second_derivatives(kernel: str) -> None:
    mixture = mixture_of(("tanh", "sin"), kernel).double()
    members, w = mixture.activations, mixture.w.detach().requires_grad_()
    x = made((3, 4)).double().requires_grad_()

    def f(x: Tensor, w: Tensor) -> Tensor:
        return weighted_sum(members, w, x, given_to(members), kernel)

    assert torch.autograd.gradcheck(f, (x, w))
    assert torch.autograd.gradgradcheck(f, (x, w))


@pytest.mark.parametrize("kernel", both_kernels())
def test_second_derivatives_of_what_the_kernel_computed(kernel: str) -> None:
    x = made((30,)).requires_grad_()
    y = mixture_of(("tanh", "sin"), kernel)(x)
    (slope,) = torch.autograd.grad(y.sum(), x, create_graph=True)
    (bend,) = torch.autograd.grad(slope.square().sum(), x)
    wide = x.detach().double().requires_grad_()
    y = mixture_of(("tanh", "sin"), "reference").double()(wide)
    (slope,) = torch.autograd.grad(y.sum(), wide, create_graph=True)
    (right,) = torch.autograd.grad(slope.square().sum(), wide)
    close((bend,), (right,), torch.float32)


@pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated")  # torch's own jvp
@pytest.mark.parametrize("kernel", both_kernels())
def test_functional_transforms(kernel: str) -> None:
    mixture = mixture_of(SET, kernel)
    x = made((5, 4))

    def total(x: Tensor) -> Tensor:
        return mixture(x).square().sum()

    wide = mixture_of(SET, "reference").double()

    def exact(x: Tensor) -> Tensor:
        return wide(x).square().sum()

    close((torch.func.grad(total)(x),), (torch.func.grad(exact)(x.double()),), torch.float32)
    each = torch.func.vmap(torch.func.grad(total))(x)
    close((each,), (torch.func.grad(exact)(x.double()),), torch.float32)
    tangent = made((5, 4), 2)
    forward = torch.func.jvp(total, (x,), (tangent,))[1]
    right = torch.func.jvp(exact, (x.double(),), (tangent.double(),))[1]
    close((forward,), (right,), torch.float32)
    bend = torch.func.hessian(total)(x[0])
    close((bend,), (torch.func.hessian(exact)(x[0].double()),), torch.float32)


@pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated")  # torch's own jvp
@pytest.mark.parametrize("name", ["w", "members.0.learned.slope"])
@pytest.mark.parametrize("kernel", both_kernels())
def test_forward_derivatives_along_what_is_learnt(kernel: str, name: str) -> None:
    mixture, x = mixture_of(("prelu", "tanh", "sin"), kernel, channels=4), made((6, 4))
    exact = mixture_of(("prelu", "tanh", "sin"), "reference", channels=4).double()
    found = []
    for m, place in ((mixture, x), (exact, x.double())):
        value = m.get_parameter(name).detach()
        with forward_ad.dual_level():
            along = {name: forward_ad.make_dual(value, torch.ones_like(value))}
            y = torch.func.functional_call(m, along, (place,))
            found.append(forward_ad.unpack_dual(y).tangent)
    close(tuple(found[:1]), tuple(found[1:]), torch.float32)


@pytest.mark.parametrize("kernel", both_kernels())
def test_checkpointing(kernel: str) -> None:
    mixture, x = mixture_of(SET, kernel), made((9, 9)).requires_grad_()
    y = checkpoint(lambda x: mixture(x).sin(), x, use_reentrant=False)
    assert isinstance(y, Tensor)
    (again,) = torch.autograd.grad(y.sum(), x)
    (plain,) = torch.autograd.grad(mixture(x).sin().sum(), x)
    assert torch.equal(again, plain)


@pytest.mark.parametrize("kernel", both_kernels())
def test_copies_pickles_and_state(kernel: str) -> None:
    mixture, x = mixture_of(SET, kernel), made((50,))
    for twin in (copy.deepcopy(mixture), pickle.loads(pickle.dumps(mixture))):
        assert twin.kernel == kernel
        assert torch.equal(twin(x), mixture(x))
    fresh = actzoo.Mixture(SET, kernel=kernel)
    fresh.load_state_dict(mixture.state_dict())
    assert torch.equal(fresh(x), mixture(x))


@pytest.mark.parametrize("kernel", both_kernels())
def test_several_threads_at_once(kernel: str) -> None:
    x = made((30, 1000)).requires_grad_()
    mixture = mixture_of(SET, kernel)
    right = torch.autograd.grad(mixture(x).square().sum(), x)[0]
    wrong = []

    def work() -> None:
        for _ in range(5):
            found = torch.autograd.grad(mixture(x).square().sum(), x)[0]
            if not torch.allclose(found, right, rtol=1e-6, atol=1e-6):
                wrong.append(found)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


@pytest.mark.parametrize("kernel", both_kernels())
def test_weights_that_change_between_forward_and_backward(kernel: str) -> None:
    x, grad = made((200,)), made((200,), 1)
    mixture = mixture_of(SET, kernel)
    place = x.clone().requires_grad_()
    y = mixture(place)
    with torch.no_grad():
        mixture.w.data = torch.tensor([9.0, 1.0, 1.0])  # the graph belongs to the old weights
    y.backward(grad)
    assert place.grad is not None
    close((place.grad,), by_hand(SET, x, grad)[1:2], torch.float32)


@pytest.mark.parametrize("kernel", both_kernels())
def test_weights_changed_in_place_are_noticed(kernel: str) -> None:
    members = mixture_of(SET, kernel).activations
    w, x = torch.rand(3, requires_grad=True), made((10,)).requires_grad_()
    y = weighted_sum(members, w, x, given_to(members), kernel)
    with torch.no_grad():
        w.mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()


@pytest.mark.slow
@pytest.mark.parametrize("kernel", both_kernels())
def test_an_outer_compile_takes_it_whole(kernel: str) -> None:
    mixture, x = mixture_of(SET, kernel), made((8, 30))
    compiled = torch.compile(mixture, fullgraph=True)
    close((compiled(x),), (by_hand(SET, x, x)[0],), torch.float32)


@pytest.mark.slow
@pytest.mark.parametrize("kernel", both_kernels())
def test_export_with_a_dynamic_batch(kernel: str) -> None:
    mixture = mixture_of(SET, kernel).eval()
    batch = torch.export.Dim("batch")
    program = torch.export.export(mixture, (made((4, 3)),), dynamic_shapes=({0: batch},))
    x = made((9, 3))
    close((program.module()(x),), (by_hand(SET, x, x)[0],), torch.float32)


class _Cube(torch.autograd.Function):
    @staticmethod
    def forward(x: Tensor) -> Tensor:
        return x * x * x / 30

    @staticmethod
    def setup_context(ctx: object, inputs: tuple[Tensor], output: Tensor) -> None:
        ctx.save_for_backward(inputs[0])  # type: ignore[attr-defined]

    @staticmethod
    def backward(ctx: object, g: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors  # type: ignore[attr-defined]
        return g * x * x / 10


OWN = Activation(name="own_cube", latex="x^3/30", fn=lambda x: _Cube.apply(x))
WHERE = Activation(name="where", latex="w", fn=lambda x: torch.where(x > 0, torch.sin(x), 0.1 * x))


@pytest.mark.parametrize("kernel", both_kernels())
def test_functions_that_are_not_of_the_zoo(kernel: str) -> None:
    members = (OWN, WHERE, actzoo.get("tanh"))
    w, x, grad = torch.tensor([0.2, 0.5, 0.3]), made((500,)), made((500,), 1)
    place, weights = x.clone().requires_grad_(), w.clone().requires_grad_()
    y = weighted_sum(members, weights, place, given_to(members), kernel)
    y.backward(grad)
    exact = Exact(members, w, x, grad)
    assert place.grad is not None
    assert weights.grad is not None
    found = (y.detach(), place.grad, weights.grad)
    close(found, (exact.y, exact.grad_x, exact.grad_w), torch.float32)


@pytest.mark.parametrize("kernel", both_kernels())
def test_members_that_learn(kernel: str) -> None:
    names = ("relu", "prelu", "tanh", "swish")
    x, grad = made((6, 3, 4, 4)), made((6, 3, 4, 4), 1)
    mixture = mixture_of(names, kernel, channels=3)
    exact = mixture_of(names, "reference", channels=3).double()
    mixture(x).backward(grad)
    exact(x.double()).backward(grad.double())
    learnt = dict(exact.named_parameters())
    for name, parameter in mixture.named_parameters():
        assert parameter.grad is not None, name
        right = learnt[name].grad
        assert right is not None
        close((parameter.grad,), (right,), torch.float32)


@needs_table
@pytest.mark.parametrize("count", range(2, 20))
def test_many_sets_in_one_process(count: int) -> None:
    members = CERTIFIED[:count]
    w = torch.rand(count)
    x = made((300,))
    y = weighted_sum(members, w, x, given_to(members), "table")
    exact = Exact(members, w, x, torch.ones(300))
    assert ((y.double() - exact.y).abs() <= exact.value_bound(torch.float32, 4e-7)).all()


@needs_table
@settings(max_examples=60, deadline=None)
@given(
    positions=st.lists(st.integers(0, len(CERTIFIED) - 1), min_size=1, max_size=12, unique=True),
    weights=st.lists(st.floats(0, 5, width=32), min_size=12, max_size=12),
    values=st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), max_size=70),
    seed=st.integers(0, 1000),
)
def test_any_set_any_weights_any_values(
    positions: list[int], weights: list[float], values: list[float], seed: int
) -> None:
    members = [CERTIFIED[i] for i in positions]
    w = torch.tensor(weights[: len(members)])
    x = torch.cat([torch.tensor(values).clamp(-100, 100), made((200,), seed) * 3])
    grad = made(tuple(x.shape), seed + 1)
    place, leaf = x.clone().requires_grad_(), w.clone().requires_grad_()
    if len(members) == 1 and plan(tuple(members), CPU, torch.float32, "auto").name != "table":
        return
    y = weighted_sum(members, leaf, place, given_to(members), "auto")
    y.backward(grad)
    exact = Exact(members, w, x, grad)
    assert place.grad is not None
    assert leaf.grad is not None
    assert ((y.double() - exact.y).abs() <= exact.value_bound(torch.float32, 4e-7)).all()
    slopes = torch.einsum("k,kn->n", w.double(), exact.slopes) * grad
    off = (place.grad.double() - slopes).abs()
    assert (off <= exact.slope_bound(torch.float32, 2e-6)).all()
    assert ((leaf.grad.double() - exact.grad_w).abs() <= exact.weight_bound(4e-6)).all()
