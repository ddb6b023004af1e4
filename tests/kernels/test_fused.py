"""The fused kernel against the plain sum in float64, differentiated by autograd."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch._inductor import config

import actzoo
from actzoo import Activation
from actzoo.errors import KernelError
from actzoo.kernels import fitness, fused, reference

SET = ("relu", "tanh", "sin")
CHANNELS = 5


class OwnFunction(torch.autograd.Function):
    """A cube whose gradient is of its own making: the slope is capped at 12."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x**3

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return g * (3 * x * x).clamp(max=12)


def plugin(name: str, fn: Callable[..., Tensor], **options: Any) -> Activation:
    return Activation(name=name, latex=name, fn=fn, **options)


def _bent(x: Tensor) -> Tensor:
    return torch.where(x > torch.tensor(0.5), x * x, torch.full(x.shape, 0.25, dtype=x.dtype))


WHERE = plugin("bent", _bent)
VECTOR = plugin(
    "line",
    lambda x, a: a[..., 0] + a[..., 1] * x,
    parameters={"a": (0.3, 0.7)},
    learnable={"a": "layer"},
)
OWN = plugin("capped_cube", OwnFunction.apply)


class Sum:
    """A weighted sum with weights, parameters and what the reference makes of it."""

    def __init__(self, members: Sequence[str | Activation]) -> None:
        self.modules = [actzoo.get(member).module(CHANNELS) for member in members]
        self.activations = tuple(module.activation for module in self.modules)
        self.weights = torch.linspace(0.4, 1.1, len(members))

    def parameters(self, x: Tensor) -> list[dict[str, Any]]:
        return [module.parameters_for(x) for module in self.modules]

    def forward(self, x: Tensor) -> Tensor:
        return fused.forward(self.activations, self.weights, x, self.parameters(x))

    def backward(self, x: Tensor, g: Tensor, need: str) -> list[Tensor]:
        """The gradients of x ("x" in `need`), of the weights ("w") and the parameters ("p")."""
        of_x, of_weights, of_parameters = fused.backward(
            self.activations,
            self.weights,
            x,
            self.parameters(x),
            g,
            need_x="x" in need,
            need_weights="w" in need,
            need_parameters="p" in need,
        )
        assert (of_x is not None) == ("x" in need)
        assert (of_weights is not None) == ("w" in need)
        found = [t for t in (of_x, of_weights) if t is not None]
        return found + [t for named in of_parameters for t in named.values()]

    def expected(self, x: Tensor, g: Tensor, need: str) -> list[Tensor]:
        """The value and those gradients, in float64."""
        place, weights = (t.detach().double().requires_grad_() for t in (x, self.weights))
        learnt, arguments = [], []
        for module, given in zip(self.modules, self.parameters(x), strict=True):
            named = dict(given)
            for name, value in given.items():
                if isinstance(value, Tensor):
                    named[name] = value.detach().double()
                if name in module.learned:
                    learnt.append(named[name].requires_grad_())
            arguments.append(named)
        y = reference.weighted_sum(self.activations, weights, place, arguments)
        leaves = [place] * ("x" in need) + [weights] * ("w" in need) + learnt * ("p" in need)
        return [y.detach(), *torch.autograd.grad(y, leaves, g.double())]


def close(found: Tensor, expected: Tensor) -> None:
    rtol = {torch.float64: 1e-12, torch.float32: 2e-6}.get(found.dtype)
    rtol = rtol or torch.finfo(found.dtype).eps
    torch.testing.assert_close(found.double(), expected, rtol=rtol, atol=4 * rtol)


def check(
    members: Sequence[str | Activation], x: Tensor, need: str, g: Tensor | None = None
) -> None:
    """Value and gradients are the reference's, and come in the layout of x."""
    mixture = Sum(members)
    g = torch.cos(torch.arange(x.numel())).to(x.dtype).view(x.shape) if g is None else g
    value, *gradients = mixture.expected(x, g, need)
    y = mixture.forward(x)
    found = mixture.backward(x, g, need)
    for tensor in [y, *found[: "x" in need]]:
        assert tensor.dtype == x.dtype
        assert tensor.stride() == torch.empty_like(x).stride()
    close(y, value)
    for mine, theirs in zip(found, gradients, strict=True):
        assert mine.shape == theirs.shape
        close(mine, theirs)


def sample(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    generator = torch.Generator().manual_seed(7)
    return (2 * torch.randn(shape, generator=generator, dtype=torch.float64)).to(dtype)


LAYOUTS: dict[str, Callable[[], Tensor]] = {
    "contiguous": lambda: sample(3, CHANNELS, 4, 6),
    "channels_last": lambda: sample(3, CHANNELS, 4, 6).to(memory_format=torch.channels_last),
    "transposed": lambda: sample(6, CHANNELS, 3).permute(2, 1, 0),
    "holes": lambda: sample(3, CHANNELS, 8)[:, :, ::2],
    "expanded": lambda: sample(3, 1, 4).expand(3, CHANNELS, 4),
    "offset": lambda: sample(5, CHANNELS, 2)[2:],
    "matrix": lambda: sample(7, CHANNELS),
    "one": lambda: sample(1, CHANNELS, 1, 1),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_elementwise_layouts(layout: str) -> None:
    check(SET, LAYOUTS[layout](), "xw")


@pytest.mark.parametrize("layout", LAYOUTS)
def test_per_channel_layouts(layout: str) -> None:
    check(["relu", "prelu"], LAYOUTS[layout](), "xwp")


@pytest.mark.parametrize("x", [sample(), sample(1), sample(17), sample(2, 3, 2, 3, 2)])
def test_ranks(x: Tensor) -> None:
    check(SET, x, "xw")


@pytest.mark.parametrize("layout", ["contiguous", "channels_last", "transposed"])
def test_gradients_arrive_in_any_layout(layout: str) -> None:
    x = LAYOUTS[layout]()
    check(SET, x, "xw", torch.tensor(0.5).expand(x.shape))
    check(SET, x, "xw", sample(*x.shape[::-1]).permute(*reversed(range(x.dim()))))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_dtypes(dtype: torch.dtype) -> None:
    check(["silu"], sample(999, dtype=dtype), "xw")


@pytest.mark.parametrize("need", ["x", "w", "xw"])
def test_partial_gradients(need: str) -> None:
    check(SET, sample(50), need)


def test_nothing_wanted() -> None:
    assert Sum(SET).backward(sample(5), sample(5), "") == []


@pytest.mark.parametrize("need", ["xw", "xwp"])
def test_vector_parameters(need: str) -> None:
    check([VECTOR, "star_relu"], sample(40, 3), need)


@pytest.mark.slow
@pytest.mark.parametrize("layout", ["contiguous", "channels_last"])
def test_vectors_for_each_channel(layout: str) -> None:
    check(["apl", "pau", "acon_c"], LAYOUTS[layout](), "xwp")


def test_plugins() -> None:
    check([WHERE, OWN], sample(300), "xw")


def test_nan_stays_nan() -> None:
    x = torch.tensor([float("nan"), 1.0, float("inf")])
    assert Sum(SET).forward(x).isnan().tolist() == [True, False, True]
    assert Sum(SET).backward(x, torch.ones(3), "xw")[0].isnan().tolist() == [True, False, True]


@pytest.mark.parametrize("shape", [(0, CHANNELS), (2, CHANNELS, 0)])
def test_empty_inputs_compile_nothing(shape: tuple[int, ...]) -> None:
    before = fused.compiled_programs()
    check(["gelu", "prelu"], torch.empty(shape), "xwp")
    assert fused.compiled_programs() == before


def test_one_compilation_for_all_shapes() -> None:
    mixture = Sum(SET)
    mixture.forward(sample(3))
    mixture.backward(sample(3), sample(3), "xw")
    before = fused.compiled_programs()
    for make in LAYOUTS.values():
        x = make()
        mixture.forward(x)
        mixture.backward(x, torch.ones_like(x), "xw")
    Sum(SET).forward(sample(100_003))
    assert fused.compiled_programs() == before


def test_the_same_bits_from_the_same_threads() -> None:
    mixture, x, before = Sum(SET), sample(300_007), torch.get_num_threads()
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            first = mixture.backward(x, x, "xw")
            again = mixture.backward(x, x, "xw")
            assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
            _, *expected = mixture.expected(x, x, "xw")
            torch.testing.assert_close(first[1].double(), expected[1], rtol=1e-5, atol=0)
    finally:
        torch.set_num_threads(before)


def test_several_threads_compile_once() -> None:
    mixture, x = Sum([plugin("threefold", lambda x: 3 * x)]), sample(100)
    before, settings = (
        fused.compiled_programs(),
        (config.compile_threads, config.cpp.dynamic_threads),
    )
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(mixture.forward, [x] * 8))
    assert fused.compiled_programs() == before + 1
    assert settings == (config.compile_threads, config.cpp.dynamic_threads)
    for y in found:
        close(y, 3 * mixture.weights.double() * x.double())


def _peeks(x: Tensor) -> Tensor:
    return x if x.max() > 0 else -x


def _backward_peeks() -> Callable[[Tensor], Tensor]:
    class Peeks(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Tensor) -> Tensor:
            return 2 * x

        @staticmethod
        def backward(ctx: Any, g: Tensor) -> Tensor:
            return 2 * g if g.sum() > 0 else g

    return Peeks.apply


@pytest.mark.parametrize("kind", ["elementwise", "channelwise"])
def test_no_built_in_is_refused(kind: str) -> None:
    activations = [a for a in map(actzoo.get, actzoo.names()) if a.kind == kind]
    assert activations
    assert fitness.refusal(activations, torch.device("cpu")) == ""


@pytest.mark.parametrize(
    ("activation", "words"),
    [
        (plugin("soft", lambda x: F.softmax(x, -1)), ("declared elementwise", "dimwise")),
        (plugin("centred", lambda x: x - x.mean()), ("depend on others",)),
        (plugin("constant", lambda x: torch.ones(())), ("depend on others",)),
        (plugin("peeks", _peeks), ("cannot trace its fn", "DataDependent")),
        (actzoo.get("softmax"), ("dimwise",)),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_refused_by_name(activation: Activation, words: tuple[str, ...]) -> None:
    reason = fitness.refusal([actzoo.get("relu"), activation], torch.device("cpu"))
    for word in (activation.name, "kernel='reference'", *words):
        assert word in reason
    with pytest.raises(KernelError, match=activation.name):
        Sum(["relu", activation]).forward(sample(8))


def test_a_backward_that_cannot_be_traced_is_refused_by_name() -> None:
    with pytest.raises(KernelError, match=r"peeks.*kernel='reference'"):
        Sum([plugin("peeks", _backward_peeks())]).backward(sample(8), sample(8), "x")


def test_devices_dtypes_and_no_compiler() -> None:
    relu = [actzoo.get("relu")]
    assert fitness.refusal(relu, torch.device("cpu")) == ""
    assert "not on meta" in fitness.refusal(relu, torch.device("meta"))
    with pytest.raises(KernelError, match="int64"):
        Sum(["relu"]).forward(torch.arange(3))
    with config.patch({"cpp.cxx": ("no-such-compiler",)}):
        assert "C++ compiler" in fitness.refusal(relu, torch.device("cpu"))


@pytest.mark.slow
def test_more_sets_than_torch_compile_keeps() -> None:
    x = sample(64)
    for i in range(13):
        check([plugin(f"times_{i}", lambda x, i=i: i * x.square())], x, "xw")


@pytest.mark.parametrize("kind", ["elementwise", "channelwise"])
@pytest.mark.slow
def test_the_graphs_of_all_built_ins(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # As they are traced; compiling them all would take minutes.
    monkeypatch.setattr("torch._inductor.standalone_compile", lambda graph, *_, **__: graph)
    monkeypatch.setattr("actzoo.kernels.fused._compiled", {})
    activations = [actzoo.get(name) for name in actzoo.names()]
    x = sample(4, CHANNELS, 3)
    for activation in activations:
        if activation.kind == kind:
            check([activation], x, "xwp" if activation.learnable else "xw")
