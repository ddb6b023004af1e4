"""Models whose activations and poolings are fused: what stays, what is found, what runs plain."""

from __future__ import annotations

import copy
import io

import pytest
import torch
from torch import Tensor, nn

import actzoo
from actzoo.mixture.fuse import pools
from tests.kernels.conftest import needs_table
from tests.kernels.test_pooled import CPU, SET, is_pooled, made, pair

pytestmark = needs_table


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1),
        actzoo.Mixture(SET),
        nn.MaxPool2d(2),
        nn.Sequential(nn.Conv2d(16, 20, 3), nn.ReLU(), nn.MaxPool2d(2, ceil_mode=True)),
        nn.Flatten(),
        nn.Linear(20 * 6 * 6, 5),
    )


def images() -> Tensor:
    return torch.randn(16, 1, 28, 28, generator=torch.Generator().manual_seed(3))


def test_fusing_changes_no_name_and_can_be_undone() -> None:
    model = network()
    modules, state = list(model.modules()), list(model.state_dict())
    right = model(images())
    fused = actzoo.fuse(model)
    assert fused is model
    assert list(fused.modules()) == modules
    assert list(fused.state_dict()) == state
    assert pools(fused, CPU, torch.float32)
    assert not pools(fused, CPU, torch.float64)
    torch.testing.assert_close(fused(images()), right, rtol=1e-5, atol=1e-6)
    again = actzoo.unfuse(actzoo.fuse(fused))
    assert [type(m) for m in again.modules()] == [type(m) for m in network().modules()]
    assert not pools(again, CPU, torch.float32)
    assert torch.equal(again(images()), right)


def test_a_fused_model_is_copied_stored_moved_and_loaded() -> None:
    model = actzoo.fuse(network())
    right = model(images())
    assert torch.equal(copy.deepcopy(model)(images()), right)
    file = io.BytesIO()
    torch.save(model, file)
    file.seek(0)
    assert torch.equal(torch.load(file, weights_only=False)(images()), right)
    fresh = actzoo.fuse(network().double().float().to(memory_format=torch.channels_last))
    fresh.load_state_dict(model.state_dict())
    torch.testing.assert_close(fresh(images()), right, rtol=1e-5, atol=1e-5)
    wide = model.double()(images().double())
    torch.testing.assert_close(wide.float(), right, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("place", (1, 2))
@pytest.mark.parametrize(
    "register",
    ("register_forward_hook", "register_forward_pre_hook", "register_full_backward_hook"),
)
def test_hooks_are_called(place: int, register: str) -> None:
    model = actzoo.fuse(network())
    called: list[object] = []
    handle = getattr(model[place], register)(lambda *_: called.append(1))
    model(images()).sum().backward()
    assert called
    handle.remove()
    model(images()).sum().backward()
    assert len(called) == 1


@pytest.mark.parametrize(
    "pool",
    (
        nn.MaxPool2d(2, stride=1), nn.MaxPool2d(3, stride=2), nn.MaxPool2d(2, padding=1),
        nn.MaxPool2d(2, dilation=2), nn.MaxPool2d(5), nn.AvgPool2d(2),
    ),
    ids=str,
)  # fmt: skip
def test_other_poolings_stay(pool: nn.Module) -> None:
    model = nn.Sequential(actzoo.Mixture(SET, kernel="table"), pool)
    x = made((2, 16, 20, 20), torch.float32, True).requires_grad_()
    right = model(x)
    y = actzoo.fuse(model)(x)
    assert not is_pooled(y)
    assert torch.equal(y, right)


@pytest.mark.parametrize("shape", ((16, 24, 24), (0, 16, 24, 24), (2, 16, 48, 24)))
def test_other_shapes_and_holes(shape: tuple[int, ...]) -> None:
    model, x = pair(), torch.randn(shape)
    x = x[..., ::2, :] if shape[-2] == 48 else x
    assert torch.equal(actzoo.fuse(model)(x), actzoo.unfuse(model)(x))


TORCHS = [
    nn.ReLU(), nn.ReLU6(), nn.LeakyReLU(0.2), nn.ELU(0.7), nn.CELU(), nn.SELU(), nn.GELU(),
    nn.GELU("tanh"), nn.SiLU(), nn.Mish(), nn.Hardswish(), nn.Tanh(), nn.Sigmoid(),
    nn.Hardsigmoid(), nn.Hardtanh(-2, 1), nn.Softsign(), nn.Softplus(), nn.Softplus(2.0),
    nn.LogSigmoid(), nn.Tanhshrink(), nn.Softshrink(1.0), nn.Hardshrink(), nn.PReLU(), nn.RReLU(),
    nn.Threshold(0.1, 20.0), actzoo.get("gelu").module(), actzoo.get("rrelu").module(),
]  # fmt: skip


@pytest.mark.parametrize("layer", TORCHS, ids=str)
def test_layers_of_torch(layer: nn.Module) -> None:
    model = nn.Sequential(copy.deepcopy(layer), nn.MaxPool2d(2)).eval()
    x = made((2, 16, 24, 24), torch.float32, True)
    x[0, 0, 0, :4] = torch.tensor([17.0, 25.0, -17.0, -25.0])
    right = model(x)
    torch.testing.assert_close(actzoo.fuse(model)(x), right, rtol=2e-6, atol=1e-6)
    assert torch.equal(model.double()(x.double()), actzoo.unfuse(model)(x.double()))


def test_what_torch_looks_into_gets_plain_torch() -> None:
    model, x = actzoo.fuse(network()).requires_grad_(False), images()
    right = model(x)
    program = torch.export.export(model, (x,))
    torch.testing.assert_close(program.module()(x), right, rtol=1e-5, atol=1e-5)
    mapped = torch.vmap(lambda one: model(one[None])[0])(x)
    torch.testing.assert_close(mapped, right, rtol=1e-5, atol=1e-5)
    plain = x.clone().requires_grad_()
    model(plain).sum().backward()
    assert plain.grad is not None
    found = torch.func.grad(lambda given: model(given).sum())(x)
    torch.testing.assert_close(found, plain.grad, rtol=1e-4, atol=1e-5)
    compiled = torch.compile(model, backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(x), right, rtol=1e-5, atol=1e-5)


def test_autocast_gives_the_dtype_of_the_pair() -> None:
    model, x = network(), images()
    with torch.autocast("cpu", torch.bfloat16):
        right = model(x)
        y = actzoo.fuse(model)(x)
    assert y.dtype == right.dtype
    torch.testing.assert_close(y, right, rtol=0.05, atol=0.05)


def test_weights_that_are_no_proportions_are_said() -> None:
    model = actzoo.fuse(pair())
    with torch.no_grad():
        model[0].w.fill_(-1.0)
    with pytest.raises(actzoo.ActzooError, match="negative"):
        model(made((2, 16, 24, 24), torch.float32, True))


def test_the_harness_fuses_under_auto_and_says_so() -> None:
    from actzoo.plugins.registry import default
    from actzoo.training.build import build

    network, options = default().model("paper_cnn")
    found = {}
    for kernel in ("auto", "table", "reference"):
        built = build(
            network, options, [actzoo.get(name) for name in SET], (1, 8, 8), 3,
            init="equal", kernel=kernel, network_seed=0, mixture_seed=0,
        )  # fmt: skip
        y = built.model(torch.ones(2, 1, 8, 8))
        found[kernel] = (built.kernel_used(CPU, "fp32"), y, list(built.model.state_dict()))
    assert [f[0] for f in found.values()] == ["table + pooling"] * 2 + ["reference"]
    for _, y, names in found.values():
        torch.testing.assert_close(y, found["reference"][1], rtol=1e-5, atol=1e-6)
        assert names == found["reference"][2]


def test_a_line_search_sees_the_weights_that_the_projection_leaves() -> None:
    """LBFGS asks for the loss of weights that are below 0 within its step."""
    torch.manual_seed(0)
    found = []
    for prepare in (actzoo.fuse, actzoo.unfuse):
        mixture = actzoo.Mixture(["relu", "tanh", "sin"])
        model = prepare(nn.Sequential(mixture, nn.MaxPool2d(2)))
        optimizer = torch.optim.LBFGS(mixture.parameters(), lr=1.0)
        mixture.attach(optimizer)
        x = torch.linspace(-3, 3, 2 * 8 * 16 * 16).view(2, 8, 16, 16)
        target = nn.functional.max_pool2d(2 * x.tanh() - x.relu(), 2)

        def closure(model=model, optimizer=optimizer, x=x, target=target):  # type: ignore[no-untyped-def]
            optimizer.zero_grad()
            loss = (model(x) - target).square().mean()
            loss.backward()
            return loss

        for _ in range(3):
            optimizer.step(closure)
        found.append(mixture.proportions.detach())
    assert (found[0] >= 0).all()
    assert torch.allclose(found[0], found[1], atol=1e-3)
