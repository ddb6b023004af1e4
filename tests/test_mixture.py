from __future__ import annotations

import copy
import math
import pickle

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from actzoo import SOFTMAX, Activation, Mixture, get, names
from actzoo.errors import DeclarationError, MixtureError

X = torch.tensor([-2.0, -0.5, 0.0, 0.5, 2.0])


def with_weights(members, weights, **options):
    mixture = Mixture(members, **options)
    with torch.no_grad():
        mixture.w.copy_(torch.tensor(weights))
    return mixture


def test_equations_9_and_10_by_hand():
    mixture = with_weights(["relu", "tanh", "sin"], [2.0, 1.0, 1.0])
    assert mixture.proportions.tolist() == [0.5, 0.25, 0.25]  # (9)
    by_hand = [0.5 * max(0, x) + 0.25 * math.tanh(x) + 0.25 * math.sin(x) for x in X.tolist()]
    assert mixture(X).tolist() == pytest.approx(by_hand, rel=1e-6)  # (10)


def test_the_gradient_of_w_by_hand():
    mixture = with_weights(["relu", "tanh", "sin"], [2.0, 1.0, 1.0])
    mixture(X).sum().backward()
    f = torch.stack([get(n)(X.double()).sum() for n in ("relu", "tanh", "sin")])
    p = torch.tensor([0.5, 0.25, 0.25], dtype=torch.float64)
    expected = (f - (p * f).sum()) / 4  # dA/dw_i = (f_i - A) / Σw
    assert torch.allclose(mixture.w.grad.double(), expected, rtol=1e-5)


@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_any_mixture_is_the_weighted_sum_of_its_members(data):
    elementwise = [n for n in names() if get(n).kind == "elementwise" and not get(n).learnable]
    members = data.draw(st.lists(st.sampled_from(elementwise), min_size=1, max_size=5, unique=True))
    k = len(members)
    w = data.draw(st.lists(st.floats(0.01, 100), min_size=k, max_size=k))
    shape = data.draw(st.lists(st.integers(0, 4), max_size=4))
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0)).double()
    mixture = Mixture(members).double().eval()  # rrelu draws while it trains
    with torch.no_grad():
        mixture.w.copy_(torch.tensor(w, dtype=torch.float64))
    expected = sum(wi / math.fsum(w) * get(n)(x) for wi, n in zip(w, members, strict=True))
    result = mixture(x)
    assert result.shape == x.shape
    assert torch.allclose(result, expected, rtol=1e-12, atol=1e-12)


def test_a_mixture_of_one_is_that_function_and_does_not_train():
    mixture = Mixture(["gelu"])
    assert torch.equal(mixture(X), get("gelu")(X))
    assert not mixture.w.requires_grad


def train_step(mixture, gradient, lr):
    optimizer = torch.optim.SGD(mixture.parameters(), lr=lr)
    mixture.attach(optimizer)
    mixture.w.grad = torch.tensor(gradient)
    optimizer.step()


def test_a_weight_at_zero_can_come_back():
    mixture = with_weights(["relu", "tanh"], [1.0, 0.1])
    train_step(mixture, [0.0, 1.0], lr=0.5)
    assert mixture.w.tolist() == [1.0, 0.0]
    # The loss -Σ A pulls tanh up at x < 0 (where relu gives more: -1 < 0, so use x > 0 small).
    x = torch.full((8,), -1.0)
    optimizer = torch.optim.SGD(mixture.parameters(), lr=0.5)
    mixture.attach(optimizer)
    mixture(x).sum().backward()
    optimizer.step()
    assert mixture.w[1] > 0


def test_w_is_projected_after_each_step_of_an_attached_optimiser():
    mixture = with_weights(["relu", "tanh", "sin"], [1.0, 1.0, 1.0])
    train_step(mixture, [10.0, 0.0, -1.0], lr=0.2)
    assert mixture.w.tolist() == pytest.approx([0.0, 1.0, 1.2])


def test_negative_weights_of_an_unattached_mixture_say_so():
    mixture = Mixture(["relu", "tanh"])
    mixture(X)
    optimizer = torch.optim.SGD(mixture.parameters(), lr=1.0)
    mixture.w.grad = torch.tensor([2.0, 0.0])
    optimizer.step()
    with pytest.raises(MixtureError, match=r"went negative.*attach\(optimizer\)"):
        mixture(X)
    with pytest.raises(MixtureError, match="went negative"):
        _ = mixture.proportions


@pytest.mark.parametrize("options", [{"fused": True}, {"foreach": True}, {}])
@pytest.mark.parametrize("kind", [torch.optim.SGD, torch.optim.Adam])
def test_no_kind_of_optimiser_hides_a_negative_weight(kind, options):
    mixture = with_weights(["relu", "tanh"], [0.5, 1.0])
    mixture(X)
    optimizer = kind(mixture.parameters(), lr=1.0, **options)
    mixture.w.grad = torch.tensor([2.0, 0.0])
    optimizer.step()
    with pytest.raises(MixtureError, match="went negative"):
        mixture(X)


def test_a_copy_is_not_attached():
    mixture = Mixture(["relu", "tanh"])
    mixture.attach(torch.optim.SGD(mixture.parameters(), lr=1.0))
    twin = copy.deepcopy(mixture)
    with torch.no_grad():
        twin.w.copy_(torch.tensor([-1.0, 2.0]))
    with pytest.raises(MixtureError, match="went negative"):
        twin(X)


def test_it_runs_where_there_are_no_values_to_look_at():
    assert Mixture(["relu", "tanh"]).to("meta")(X.to("meta")).shape == X.shape
    with torch.inference_mode():
        assert Mixture(["relu", "tanh"])(X).shape == X.shape
    compiled = torch.compile(Mixture(["relu", "tanh"]), backend="aot_eager", fullgraph=True)
    assert torch.allclose(compiled(X), (X.relu() + X.tanh()) / 2)
    program = torch.export.export(Mixture(["relu", "tanh"]), (X,))
    assert torch.allclose(program.module()(X), (X.relu() + X.tanh()) / 2)


def test_a_step_that_leaves_no_weight_says_so():
    with pytest.raises(MixtureError, match=r"all 2 mixture weights are 0.*learning rate"):
        train_step(Mixture(["relu", "tanh"]), [9.0, 9.0], lr=1.0)


def test_another_optimiser_is_refused():
    other = torch.optim.SGD(torch.nn.Linear(2, 2).parameters(), lr=1.0)
    with pytest.raises(MixtureError, match="does not hold the mixture's weights"):
        Mixture(["relu", "tanh"]).attach(other)


def test_removing_the_handle_ends_the_projection():
    mixture = Mixture(["relu", "tanh"])
    optimizer = torch.optim.SGD(mixture.parameters(), lr=1.0)
    mixture.attach(optimizer).remove()
    mixture.w.grad = torch.tensor([2.0, 0.0])
    optimizer.step()
    assert mixture.w[0] == -1


def test_random_starts_are_uniform_and_repeatable():
    many = [
        Mixture(["relu", "tanh"], init="random", generator=torch.Generator().manual_seed(seed))
        for seed in range(200)
    ]
    w = torch.stack([m.w.detach() for m in many]).flatten()
    assert w.min() >= 0 and w.max() < 1 and abs(w.mean() - 0.5) < 0.05
    again = Mixture(["relu", "tanh"], init="random", generator=torch.Generator().manual_seed(7))
    assert torch.equal(again.w, many[7].w)


def test_softmax_rule():
    mixture = with_weights(["relu", "tanh"], [0.0, math.log(3.0)], rule=SOFTMAX)
    assert mixture.proportions.tolist() == pytest.approx([0.25, 0.75])
    train_step(mixture, [9.0, 0.0], lr=1.0)
    assert mixture.w[0] == -9  # free: no projection


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Mixture([]), "at least one member"),
        (lambda: Mixture(["relu", "tanh"], init="ones"), "'equal' or 'random'"),
        (
            lambda: Mixture(
                [
                    Activation(
                        name="g", fn=abs, latex="g", kind="gated", out_channels=lambda c: c // 2
                    ),
                    "relu",
                ],
                channels=4,
            ),
            "changes the number of channels",
        ),
    ],
)
def test_bad_mixtures_are_refused(make, message):
    with pytest.raises(DeclarationError, match=message):
        make()


def test_copies_and_state():
    mixture = with_weights(["relu", "tanh", "x*sin(x)"], [1.0, 2.0, 3.0])
    for twin in (copy.deepcopy(mixture), pickle.loads(pickle.dumps(mixture))):
        assert torch.equal(twin(X), mixture(X))
    fresh = Mixture(["relu", "tanh", "x*sin(x)"])
    fresh.load_state_dict(mixture.state_dict())
    assert torch.equal(fresh(X), mixture(X))
    assert "0.1667 relu" in repr(mixture)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_dtype_is_kept(dtype):
    assert Mixture(["relu", "tanh"])(X.to(dtype)).dtype == dtype


def test_members_that_learn_keep_their_parameters_in_the_mixture():
    prelu = Activation(
        name="p", formula="x if x > 0 else a*x", parameters={"a": 0.25}, learnable={"a": "channel"}
    )
    mixture = Mixture([prelu, "tanh"], channels=2)
    x = -torch.ones(4, 2, 3, 3)
    expected = 0.5 * -0.25 + 0.5 * math.tanh(-1)
    assert torch.allclose(mixture(x), torch.full_like(x, expected))
    mixture(x).sum().backward()
    assert mixture.members[0].learned["a"].grad.shape == (2,)
