"""Proportions stay proportions, whatever happened to the weights; or somebody says so."""

from __future__ import annotations

import copy
import inspect
import math

import pytest
import torch
import torch.distributed as dist
from torch import nn

from actzoo import RATIO, SOFTMAX, ActzooError, Mixture
from actzoo.errors import MixtureError

X = torch.linspace(-3, 3, 64)
RULES = pytest.mark.parametrize("rule", [RATIO, SOFTMAX], ids=lambda r: r.name)


def write(mixture: Mixture, values: list[float]) -> None:
    mixture.w.data = torch.tensor(values, dtype=mixture.w.dtype)


BAD = {
    "negative": [-1.0, 2.0],
    "nan": [math.nan, 1.0],
    "inf": [math.inf, 1.0],
    "all zero": [0.0, 0.0],
}
ODD = {
    "one zero": ([0.0, 2.0], [0.0, 1.0]),
    "the sum overflows": ([3e38, 3e38], [0.5, 0.5]),
    "huge and small": ([3e38, 1.0], [1.0, 0.0]),
    "tiny": ([1e-37, 3e-37], [0.25, 0.75]),
    "subnormal": ([1e-44, 1e-44], [0.5, 0.5]),
}


@pytest.mark.parametrize("mode", ["training", "evaluation", "frozen", "no grad"])
@pytest.mark.parametrize("kind", BAD)
def test_bad_weights_are_said_wherever_they_are_used(kind, mode):
    mixture = Mixture(["relu", "tanh"]).train(mode == "training")
    mixture.w.requires_grad_(mode != "frozen")
    write(mixture, BAD[kind])
    with (
        pytest.raises(MixtureError, match="mixture weights"),
        torch.set_grad_enabled(mode != "no grad"),
    ):
        mixture(X)
    with pytest.raises(MixtureError):
        mixture.proportions  # noqa: B018


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("kind", ODD)
def test_odd_weights_are_the_right_proportions(kind, dtype):
    values, expected = ODD[kind]
    mixture = Mixture(["relu", "tanh"]).to(dtype)
    write(mixture, values)
    assert mixture.proportions.tolist() == pytest.approx(expected, abs=1e-3)
    x = X.to(dtype)
    by_hand = expected[0] * x.relu() + expected[1] * x.tanh()
    assert torch.allclose(mixture(x), by_hand, atol=1e-3)
    assert torch.allclose(mixture.eval()(x), by_hand, atol=1e-3)


def test_half_precision_weights_whose_sum_overflows():
    mixture = Mixture(["relu", "tanh"]).half()
    write(mixture, [60000.0, 60000.0])
    assert mixture.proportions.tolist() == [0.5, 0.5]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.float64])
@pytest.mark.parametrize("second", [1, 2])
def test_the_largest_weights_of_each_dtype(dtype, second):
    mixture = Mixture(["relu", "tanh"]).to(dtype)
    largest = torch.finfo(dtype).max
    write(mixture, [largest, largest / second])
    expected = [second / (1 + second), 1 / (1 + second)]
    assert mixture.proportions.tolist() == pytest.approx(expected, rel=1e-2)
    assert mixture(X.to(dtype)).isfinite().all()


def test_a_step_that_failed_leaves_no_weights_unsaid():
    mixture = Mixture(["relu", "tanh"])
    optimizer = torch.optim.LBFGS(mixture.parameters())
    mixture.attach(optimizer)

    def closure():
        raise ValueError("the user's")

    for step in (lambda: optimizer.step(closure), lambda: optimizer.step(closure=closure)):
        with pytest.raises(ValueError, match="the user's"):
            step()
        write(mixture, [-1.0, 2.0])
        with pytest.raises(MixtureError, match="negative"):
            mixture(X)


@RULES
@pytest.mark.parametrize("values", [[1e30, -1e30], [700.0, 0.0]])
def test_softmax_takes_any_finite_weights(rule, values):
    if rule is RATIO:
        return
    mixture = Mixture(["relu", "tanh"], rule=rule)
    write(mixture, values)
    assert mixture.proportions.tolist() == pytest.approx([1, 0])
    assert torch.allclose(mixture(X), X.relu())


def optimizers(parameters):
    yield torch.optim.SGD(parameters, lr=0.1, weight_decay=0.3)
    yield torch.optim.SGD(parameters, lr=0.1, momentum=0.9, weight_decay=0.1)
    yield torch.optim.Adam(parameters, lr=1e-2, weight_decay=1.0)
    yield torch.optim.Adam(parameters, lr=1e-2, amsgrad=True, weight_decay=1.0)
    yield torch.optim.AdamW(parameters, lr=1e-2, weight_decay=5.0)
    yield torch.optim.AdamW(parameters, lr=1e-2, weight_decay=5.0, fused=True)
    yield torch.optim.Adam(parameters, lr=1e-2, weight_decay=1.0, foreach=True)
    yield torch.optim.RMSprop(parameters, lr=1e-2, weight_decay=1.0)
    yield torch.optim.Adagrad(parameters, lr=0.1, weight_decay=1.0)


@pytest.mark.parametrize("number", range(9))
def test_weight_decay_for_long_leaves_proportions_that_fit(number):
    torch.manual_seed(0)
    mixture = Mixture(["relu", "tanh"])
    optimizer = list(optimizers(list(mixture.parameters())))[number]
    mixture.attach(optimizer)
    for _ in range(1000):
        x = torch.randn(32)
        optimizer.zero_grad()
        (mixture(x) - 0.7 * x.relu() - 0.3 * x.tanh()).square().mean().backward()
        optimizer.step()
        assert 1 / 64 <= float(mixture.w.detach().mean()) <= 64
    assert mixture.proportions.tolist() == pytest.approx([0.7, 0.3], abs=0.35)


def test_lbfgs_finds_the_proportions_from_a_tiny_scale():
    mixture = Mixture(["relu", "tanh"])
    write(mixture, [1e-30, 1e-30])
    optimizer = torch.optim.LBFGS(mixture.parameters(), lr=0.5)
    mixture.attach(optimizer)

    def closure():
        optimizer.zero_grad()
        loss = (mixture(X) - 0.7 * X.relu() - 0.3 * X.tanh()).square().mean()
        loss.backward()
        return loss

    for _ in range(10):
        optimizer.step(closure)
    assert mixture.proportions.tolist() == pytest.approx([0.7, 0.3], abs=1e-2)


def test_scaling_keeps_every_bit_of_the_proportions_and_of_ordinary_training():
    mixture = Mixture(["relu", "tanh", "sin"])
    write(mixture, [1.0, 2.0, 4.0])
    before = mixture.proportions
    write(mixture, [2.0**-40, 2.0**-39, 2.0**-38])
    mixture.project_()
    assert torch.equal(mixture.proportions, before)
    assert 1 / 64 <= float(mixture.w.detach().mean()) <= 64
    write(mixture, [0.1, 0.2, 0.4])
    mixture.project_()
    assert mixture.w.tolist() == pytest.approx([0.1, 0.2, 0.4])  # within its band: left alone


def test_momentum_goes_on_as_if_the_scale_had_not_changed():
    """One step from scaled weights, with scaled momentum, is the scaled step."""
    mixture = Mixture(["relu", "tanh"])
    optimizer = torch.optim.SGD(mixture.parameters(), lr=0.0, momentum=0.9)
    mixture.attach(optimizer)
    mixture(X).sum().backward()
    optimizer.step()
    before = optimizer.state[mixture.w]["momentum_buffer"].clone()
    write(mixture, [2.0**-20, 2.0**-20])
    optimizer.zero_grad(set_to_none=False)
    optimizer.step()
    scale = float(mixture.w.detach()[0]) / 2.0**-20
    assert torch.allclose(optimizer.state[mixture.w]["momentum_buffer"], 0.9 * before / scale)


def test_a_second_optimiser_that_is_not_attached_is_said():
    torch.manual_seed(0)
    mixture = Mixture(["relu", "tanh", "sin"])
    mixture.attach(torch.optim.Adam(mixture.parameters()))
    second = torch.optim.SGD(mixture.parameters(), lr=1.0)
    with pytest.raises(MixtureError, match="attach"):
        for _ in range(50):
            x = torch.randn(256)
            second.zero_grad()
            (mixture(x) - 2 * x.tanh() + x.relu()).square().mean().backward()
            second.step()


def test_a_checkpoint_of_negative_weights_is_said_when_it_is_used():
    mixture = Mixture(["relu", "tanh"])
    state = copy.deepcopy(mixture.state_dict())
    state["w"] = torch.tensor([-1.0, 3.0])
    mixture.load_state_dict(state)
    with pytest.raises(ActzooError, match="negative"):
        mixture.eval()(X)


@pytest.mark.parametrize(
    "run",
    [
        lambda m, x: torch.compile(m, backend="eager", fullgraph=True)(x),
        lambda m, x: torch.export.export(m, (x,)).module()(x),
        lambda m, x: torch.vmap(m)(x[None])[0],
        lambda m, x: torch.jit.trace(m, x, check_trace=False)(x),
        lambda m, x: torch.func.functional_call(m, dict(m.named_parameters()), (x,)),
    ],
    ids=["compile", "export", "vmap", "trace", "functional"],
)
@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::torch.jit.TracerWarning")
@pytest.mark.parametrize("kind", [*BAD, *ODD])
def test_where_nobody_can_look_bad_weights_are_nan_and_odd_ones_right(kind, run):
    mixture = Mixture(["relu", "tanh"]).eval()
    write(mixture, BAD[kind] if kind in BAD else ODD[kind][0])
    try:
        y = run(mixture, X)
    except MixtureError:
        assert kind in BAD
        return
    if kind in BAD:
        assert y.isnan().all()
    else:
        (p, q) = ODD[kind][1]
        assert torch.allclose(y, p * X.relu() + q * X.tanh(), atol=1e-3)


@pytest.mark.parametrize("options", [{}, {"line_search_fn": "strong_wolfe"}], ids=str)
def test_lbfgs_may_try_negative_weights_on_its_way(options):
    """The target is outside of what proportions can reach: the best is all of one function."""
    torch.manual_seed(0)
    mixture, x = Mixture(["relu", "tanh", "sin"]), torch.randn(256)
    optimizer = torch.optim.LBFGS(mixture.parameters(), **options)
    mixture.attach(optimizer)

    def closure():
        optimizer.zero_grad()
        loss = (mixture(x) - 2 * x.tanh() + x.relu()).square().mean()
        loss.backward()
        return loss

    losses = [float(optimizer.step(closure).detach()) for _ in range(10)]
    p = mixture.proportions.tolist()
    assert min(p) >= 0 and sum(p) == pytest.approx(1)
    assert losses[-1] < losses[0]
    second = torch.optim.SGD(mixture.parameters(), lr=1.0)  # is not attached: said as ever
    mixture.w.grad = torch.full((3,), 100.0)
    second.step()
    with pytest.raises(MixtureError, match="attach"):
        mixture(x)


KINDS = [
    (kind, options)
    for kind, options in [
        (torch.optim.SGD, {"momentum": 0.9}),
        (torch.optim.Adam, {"amsgrad": True}),
        (torch.optim.AdamW, {}),
        (torch.optim.RMSprop, {"momentum": 0.9}),
        (torch.optim.RMSprop, {"centered": True, "momentum": 0.9}),
        *((getattr(torch.optim, n), {}) for n in ("NAdam", "RAdam", "Adamax", "Adagrad")),
        *((getattr(torch.optim, n), {}) for n in ("Adadelta", "Adafactor", "Rprop", "ASGD")),
    ]
]
ELSEWHERE = {"LBFGS", "Muon", "SparseAdam", "Optimizer"}  # begins anew; matrices; sparse


def test_every_optimiser_of_torch_is_looked_at():
    every = {
        n
        for n, kind in vars(torch.optim).items()
        if isinstance(kind, type) and issubclass(kind, torch.optim.Optimizer)
    }
    assert every == {kind.__name__ for kind, _ in KINDS} | ELSEWHERE


@pytest.mark.parametrize(("kind", "options"), KINDS, ids=lambda v: getattr(v, "__name__", str(v)))
@pytest.mark.parametrize("scale", [2.0**-9, 2.0**9])
def test_what_an_optimiser_remembers_is_what_it_would_at_the_kept_scale(kind, options, scale):
    """Gradients are seen at another scale, then w is scaled: as if it had been so all along."""

    def remembered(start: float) -> dict[str, torch.Tensor]:
        torch.manual_seed(0)
        mixture = Mixture(["relu", "tanh", "sin"]).double()
        write(mixture, [1.1 * start, 0.9 * start, 1.0 * start])
        # So little that w stays, at either scale.
        rate = 1e-30 if kind in (torch.optim.Adafactor, torch.optim.Rprop) else 0.0
        own = {"step_sizes": (0.0, 1e-30)} if kind is torch.optim.Rprop else {}
        if "eps" in inspect.signature(kind).parameters and kind is not torch.optim.Adafactor:
            own["eps"] = 1e-30  # or it would be beside other gradients than before
        optimizer = kind(mixture.parameters(), lr=rate, **options, **own)
        for _ in range(3):
            x = torch.randn(64, dtype=torch.float64)
            optimizer.zero_grad()
            (mixture(x) - x.tanh()).square().mean().backward()
            optimizer.step()
        handle = mixture.attach(optimizer)
        handle.remove()
        return dict(optimizer.state[mixture.w]) | {"w": mixture.w.detach()}

    found, expected = remembered(scale), remembered(1.0)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        if name not in ("acc_delta", "step_size", "step"):
            assert torch.allclose(torch.as_tensor(found[name]), torch.as_tensor(value)), name


def test_a_sharded_model_trains(tmp_path):
    from torch.distributed.checkpoint.state_dict import get_model_state_dict, set_model_state_dict
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    dist.init_process_group("gloo", init_method=f"file://{tmp_path}/meet", rank=0, world_size=1)
    try:
        net = nn.Sequential(nn.Linear(8, 8), Mixture(["relu", "tanh", "sin"]), nn.Linear(8, 2))
        fully_shard(net, mesh=init_device_mesh("cpu", (1,)))
        optimizer = torch.optim.SGD(net.parameters(), lr=0.1, weight_decay=0.5)
        net[1].attach(optimizer)
        for _ in range(200):
            optimizer.zero_grad()
            net(torch.randn(32, 8)).square().mean().backward()
            optimizer.step()
        w = net[1].w.detach().full_tensor()
        assert (w >= 0).all()
        assert 1 / 64 <= float(w.mean()) <= 64
        assert net[1].proportions.tolist() == pytest.approx((w / w.sum()).tolist())
        assert "relu" in repr(net)
        other = nn.Sequential(nn.Linear(8, 8), Mixture(["sin", "relu", "tanh"]), nn.Linear(8, 2))
        fully_shard(other, mesh=init_device_mesh("cpu", (1,)))
        set_model_state_dict(other, get_model_state_dict(net))
        x = torch.randn(4, 8)
        assert torch.allclose(other(x), net(x), rtol=1e-5, atol=1e-6)
    finally:
        dist.destroy_process_group()
