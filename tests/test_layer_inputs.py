"""What a layer makes of odd inputs: whole numbers, complex ones, other channels, no tensor."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from torch import nn

from actzoo import SOFTMAX, Activation, ActzooError, Mixture, get, names
from actzoo.errors import UsageError

EVERY = [get(name) for name in names()]
BY_NAME = pytest.mark.parametrize("activation", EVERY, ids=lambda a: a.name)
PER_CHANNEL = [a for a in EVERY if "channel" in a.learnable.values()]
WHOLE = [torch.int8, torch.int16, torch.int32, torch.int64, torch.uint8, torch.bool]
ROWS = torch.arange(0, 24).view(6, 4) % 5


def layers(activation: Activation):
    yield activation
    yield activation.derivative if activation.kind != "gated" else activation
    yield activation.module(channels=4).eval()
    if activation.kind != "gated":
        yield Mixture([activation, "tanh"], channels=4).eval()
        yield Mixture([activation], channels=4).eval()


@pytest.mark.parametrize("dtype", WHOLE, ids=str)
@BY_NAME
def test_whole_numbers_are_taken_in_the_default_dtype(activation, dtype):
    if activation.kind == "dimwise":
        functions = [f for f in layers(activation) if f is not activation.derivative]
    else:
        functions = list(layers(activation))
    x = ROWS.to(dtype)
    for function in functions:
        y = function(x)
        assert y.dtype == torch.float32
        assert torch.equal(y, function(x.float())), function


@pytest.mark.parametrize("dtype", [torch.complex64, torch.complex128], ids=str)
@BY_NAME
def test_complex_numbers_are_refused(activation, dtype):
    for function in layers(activation):
        alone = isinstance(function, Activation) or type(function).__name__ == "ActivationModule"
        if activation.takes_complex and alone:
            continue
        with pytest.raises(UsageError, match="real numbers"):
            function(ROWS.to(dtype))


@pytest.mark.parametrize("x", [np.zeros((2, 4)), [1.0, 2.0], 1.0, None, "x"], ids=repr)
def test_what_is_no_tensor_is_refused_with_what_to_write(x):
    for function in layers(get("prelu")):
        with pytest.raises(UsageError, match="as_tensor"):
            function(x)


@pytest.mark.parametrize("shape", [(), (3,), (2, 3), (2, 5), (4,), (2, 3, 4), (0, 3)], ids=str)
@pytest.mark.parametrize("activation", PER_CHANNEL, ids=lambda a: a.name)
def test_other_channels_are_refused_as_by_prelu(activation, shape):
    x = torch.zeros(shape)
    with pytest.raises(RuntimeError), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        nn.PReLU(4)(x)
    for layer in (activation.module(channels=4), Mixture([activation, "relu"], channels=4)):
        with pytest.raises(UsageError, match="4 channels") as error:
            layer(x)
        assert str(tuple(shape)) in str(error.value)


@pytest.mark.parametrize("shape", [(), (3,), (2, 3), (2, 3, 4), (2, 3, 4, 5)], ids=str)
@pytest.mark.parametrize("activation", PER_CHANNEL, ids=lambda a: a.name)
def test_one_value_serves_any_shape_as_in_prelu(activation, shape):
    x = torch.randn(shape)
    assert activation.module(channels=1)(x).shape == nn.PReLU(1)(x).shape == x.shape
    assert Mixture([activation, "relu"], channels=1)(x).shape == x.shape


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("mixed", [True, False])
@BY_NAME
def test_fx_traces_a_model_that_holds_it(activation, mixed, training):
    if mixed and activation.kind == "gated":
        return
    layer = Mixture([activation, "tanh"], channels=4) if mixed else activation.module(channels=4)
    model = nn.Sequential(nn.Linear(4, 4), layer, nn.Flatten()).train(training)
    traced = torch.fx.symbolic_trace(model)
    x = torch.randn(3, 4)
    torch.manual_seed(0)
    expected = model(x)
    torch.manual_seed(0)
    assert torch.equal(traced(x), expected)


def test_features_of_a_network_with_mixtures():
    from torchvision.models.feature_extraction import create_feature_extractor

    model = nn.Sequential(nn.Conv2d(1, 4, 3), Mixture(["relu", "sin"]), nn.Flatten()).eval()
    found = create_feature_extractor(model, {"1": "mixed"})(torch.ones(2, 1, 5, 5))
    assert torch.equal(found["mixed"], model[:2](torch.ones(2, 1, 5, 5)))


def test_a_layer_by_itself_is_not_traced_and_says_what_to_do():
    with pytest.raises(UsageError, match=r"nn\.Sequential"):
        torch.fx.symbolic_trace(Mixture(["relu", "tanh"]))


WITH_TRAINING_FORM = [a for a in EVERY if a.training_fn is not None]


@pytest.mark.parametrize("kernel", ["auto", "reference", "table"])
@pytest.mark.parametrize("activation", WITH_TRAINING_FORM, ids=lambda a: a.name)
def test_a_form_for_training_rules_in_a_mixture_by_every_kernel(activation, kernel):
    if kernel == "table":
        pytest.importorskip("actzoo.kernels.table._table", exc_type=ImportError)
    members = ["tanh", activation, "relu"]
    mixture = Mixture(members, kernel=kernel).train()
    x = torch.linspace(-3, -1, 20_000).requires_grad_()
    torch.manual_seed(3)
    y = mixture(x)
    (slope,) = torch.autograd.grad(y.sum(), x)
    torch.manual_seed(3)
    x = x.detach().requires_grad_()
    by_hand = (x.tanh() + activation.training_fn(x, **activation.parameters) + x.relu()) / 3
    (expected,) = torch.autograd.grad(by_hand.sum(), x)
    assert torch.allclose(y, by_hand, atol=1e-6)
    assert torch.allclose(slope, expected, atol=1e-5)  # the same draw as forward
    assert not torch.equal(mixture(x), y)  # another draw
    mixture.eval()
    assert torch.equal(mixture(x), mixture(x))
    assert torch.allclose(mixture(x), (x.tanh() + activation(x) + x.relu()) / 3, atol=1e-6)
    assert "reference" in mixture.kernel_used("cpu", torch.float32) or kernel == "table"


def test_members_as_one_text():
    mixture = Mixture("relu, x*sigmoid(b*x), b=2, tanh")
    assert [a.name for a in mixture.activations] == ["relu", "x*sigmoid(b*x), b=2", "tanh"]
    with pytest.raises(UsageError, match="'rel'"):
        Mixture("rel,tanh")


@pytest.mark.parametrize(
    "make",
    [
        torch.Tensor.to_sparse,
        torch.Tensor.to_sparse_csr,
        torch.Tensor.to_mkldnn,
        lambda x: torch.nested.nested_tensor([x, x[:1]]),
        lambda x: torch.nested.nested_tensor([x, x[:1]], layout=torch.jagged),
        lambda x: torch.quantize_per_tensor(x, 0.1, 0, torch.quint8),
        lambda x: x.to(torch.float8_e4m3fn),
    ],
    ids=["coo", "csr", "mkldnn", "nested", "jagged", "quantised", "float8"],
)
@pytest.mark.filterwarnings("ignore:.*torch")  # what torch calls a prototype or deprecated
def test_other_kinds_of_tensor_are_refused_by_a_mixture_with_what_to_give(make):
    with pytest.raises(UsageError, match="give "):
        Mixture(["relu", "tanh"])(make(torch.randn(3, 4)))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Mixture("relu", "tanh"), "in one list"),
        (lambda: Mixture(["relu"], SOFTMAX), "by name"),
        (lambda: Mixture(get("relu")), "in one list"),
        (lambda: Mixture(3), "in one list"),
        (lambda: Mixture(["relu"], rule="softmax"), "actzoo.SOFTMAX"),
        (lambda: Mixture(["relu"], kernel="tabel"), "'tabel'; expected one of auto"),
        (lambda: Mixture(["prelu", "relu"]), "channels="),
        (lambda: Mixture(["prelu", "relu"], channels=0), "whole number from 1"),
        (lambda: get("prelu").module(-3), "whole number from 1"),
        (lambda: get("prelu").module(4.0), "whole number from 1"),
    ],
)
def test_mistakes_in_what_is_given_are_said_at_once(make, message):
    with pytest.raises(ActzooError, match=message):
        make()
