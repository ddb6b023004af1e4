from __future__ import annotations

import pytest
import torch
from torch import nn
from torchvision.models.resnet import BasicBlock

import actzoo
from actzoo.errors import DataError, UnknownNameError
from actzoo.models.resnet import ResidualBlock
from actzoo.plugins.registry import default, get
from actzoo.training.build import build as build_for_cell


def build(text, shape, classes=10, activation=lambda channels: (torch.nn.ReLU(), channels)):
    network, options = default().model(text)
    return network.module(activation, shape, classes, options)


OF_IMAGES = [m.name for m, _ in default().models.entries if "images" in m.inputs]


@pytest.mark.parametrize("text", OF_IMAGES)
@pytest.mark.parametrize("shape", [(1, 4, 4), (1, 28, 28), (3, 32, 32), (5, 9, 13)])
def test_any_image_of_4x4_or_more(text, shape):
    assert build(text, shape)(torch.zeros(2, *shape)).shape == (2, 10)


@pytest.mark.parametrize("text", ["paper_cnn", "resnet"])
@pytest.mark.parametrize("channels", [1, 3])
def test_what_passes_between_layers_is_channels_last(text, channels):
    # Grey images too, whose own bytes are the same in either layout.
    model, seen = build(text, (channels, 8, 8)), []
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_hook(lambda *given: seen.append(given[-1]))
    model(torch.rand(2, channels, 8, 8))
    assert len(seen) > 1
    assert all(y.is_contiguous(memory_format=torch.channels_last) for y in seen)


def test_paper_cnn_on_mnist_has_the_widths_it_says():
    asked = []
    model = build(
        "paper_cnn", (1, 28, 28), activation=lambda c: (asked.append(c) or torch.nn.ReLU(), c)
    )
    assert asked == [32, 64, 128]
    by_hand = (32 * 9 + 32) + (64 * 32 * 9 + 64) + (64 * 49 * 128 + 128) + (128 * 10 + 10)
    assert sum(p.numel() for p in model.parameters()) == by_hand


def test_mlp_is_as_deep_and_wide_as_asked():
    asked = []
    build(
        "mlp(depth=5, width=7)",
        (1, 4, 4),
        activation=lambda c: (asked.append(c) or torch.nn.ReLU(), c),
    )
    assert asked == [7] * 5


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("paper_cn", UnknownNameError, "did you mean paper_cnn"),
        ("mlp(dept=3)", UnknownNameError, "no option 'dept'; its options: depth=2, width=128"),
        ("mlp(depth=0)", DataError, "depth=0; expected a whole number"),
        ("mlp(width=1.5)", DataError, "width=1.5"),
        ("resnet(depth=9)", DataError, r"depth=9; expected 6n \+ 2"),
        ("resnet(depth=2)", DataError, "depth=2"),
        ("resnet(width=2)", UnknownNameError, "its options: depth=8"),
    ],
)
def test_misfits_are_refused(text, error, message):
    with pytest.raises(error, match=message):
        build(text, (1, 4, 4))


def test_images_too_small_to_pool_twice():
    with pytest.raises(DataError, match="4x4 or more"):
        build("paper_cnn", (1, 3, 8))


def test_a_gated_activation_changes_the_widths_that_follow():
    halve = lambda channels: (torch.nn.GLU(dim=1), channels // 2)  # noqa: E731
    for text in (*OF_IMAGES, "mlp(depth=3)", "resnet(depth=20)"):
        assert build(text, (1, 8, 8), activation=halve)(torch.zeros(2, 1, 8, 8)).shape == (2, 10)


def seeded_numbers(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("training", [True, False])
def test_a_residual_block_is_that_of_torchvision(training):
    ours = ResidualBlock(lambda channels: (nn.ReLU(), channels), 16, 16, 1).train(training)
    theirs = BasicBlock(16, 16).train(training)
    for one, other in (("conv1", "conv1"), ("norm1", "bn1"), ("conv2", "conv2"), ("norm2", "bn2")):
        theirs.get_submodule(other).load_state_dict(ours.get_submodule(one).state_dict())
    x = seeded_numbers(4, 16, 8, 8)
    assert torch.equal(ours(x), theirs(x))


def test_a_shortcut_across_shapes_subsamples_and_pads():
    block = ResidualBlock(lambda channels: (nn.Identity(), channels), 16, 32, 2)
    nn.init.zeros_(block.norm2.weight)
    x = seeded_numbers(4, 16, 8, 8)
    y = block(x)
    assert torch.equal(y[:, 8:24], x[:, :, ::2, ::2])
    assert not y[:, :8].any() and not y[:, 24:].any()


@pytest.mark.parametrize(("depth", "millions"), [(20, 0.27), (32, 0.46), (44, 0.66), (56, 0.85)])
def test_resnets_have_the_sizes_of_the_paper(depth, millions):
    model = build(f"resnet(depth={depth})", (3, 32, 32))
    assert sum(p.numel() for p in model.parameters()) / 1e6 == pytest.approx(millions, abs=0.005)
    weighted = [m for m in model.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    assert len(weighted) == depth
    assert sum(isinstance(m, nn.ReLU) for m in model.modules()) == depth - 1


def gpt(text="gpt", length=12, tokens=11, activation=lambda channels: (nn.GELU(), channels)):
    torch.manual_seed(0)
    return build(text, (length,), tokens, activation)


def test_what_comes_later_changes_nothing_before():
    model = gpt()
    x = torch.arange(24).view(2, 12) % 11
    logits = model(x)
    assert logits.shape == (2, 12, 11)
    for place in range(12):
        other = x.clone()
        other[:, place:] = (other[:, place:] + 3) % 11
        changed = (model(other) - logits).abs().amax(dim=(0, 2))
        assert (changed[:place] < 1e-6).all() and (changed[place:] > 1e-6).all()


def test_a_context_is_all_that_a_token_sees():
    model = gpt("gpt(context=4)")
    x = torch.arange(24).view(2, 12) % 11
    assert torch.allclose(model(x)[:, 4:8], model(x[:, 4:8]), atol=1e-6)
    other = x.clone()
    other[:, :4] = 0
    assert torch.equal(model(other)[:, 4:], model(x)[:, 4:])


def by_hand(model, x):
    """The logits of a gpt from its parameters, with attention written out."""
    h = model.token.weight[x] + model.position.weight
    for block in model.blocks:
        z = block.norm1(h)
        n, t, width = z.shape
        heads = block.attention.heads
        q, k, v = (
            p.view(n, t, heads, -1).transpose(1, 2) for p in block.attention.project(z).chunk(3, -1)
        )
        scores = q @ k.transpose(2, 3) / (width // heads) ** 0.5
        scores = scores.masked_fill(torch.ones(t, t).triu(1).bool(), -torch.inf)
        h = h + block.attention.out((scores.softmax(-1) @ v).transpose(1, 2).reshape(n, t, width))
        part = block.feed_forward
        h = h + part.down(nn.functional.gelu(part.up(block.norm2(h))))
    return model.head(model.norm(h))


def test_a_gpt_by_hand():
    model = gpt("gpt(layers=3, width=24, heads=3)")
    x = torch.arange(24).view(2, 12) % 11
    assert torch.allclose(model(x), by_hand(model, x), atol=1e-5)


@pytest.mark.parametrize(("layers", "width"), [(2, 64), (1, 32), (4, 16)])
def test_a_gpt_has_the_parameters_of_the_formula(layers, width):
    model = gpt(f"gpt(layers={layers}, width={width})")
    formula = layers * (12 * width**2 + 13 * width) + (2 * 11 + 12 + 2) * width + 11
    assert sum(p.numel() for p in model.parameters()) == formula


GATED = sorted(name for name in actzoo.names() if get(name).kind == "gated")


@pytest.mark.parametrize("name", GATED)
@pytest.mark.parametrize("width", [16, 64, 100])
def test_gated_functions_get_as_many_weights(name, width):
    model, options = default().model(f"gpt(width={width})")
    sizes = []
    for members in ([get("gelu")], [get(name)]):
        built = build_for_cell(
            model, options, members, (12,), 11, init="equal", network_seed=0, mixture_seed=0
        )
        assert len(built.layers) == 2 and built.model(torch.zeros(2, 12).long()).shape == (
            2,
            12,
            11,
        )
        sizes.append(sum(p.numel() for p in built.network_parameters()))
    assert abs(sizes[1] - sizes[0]) < 2 * 4 * width  # no more than hidden channels are even


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("gpt(layers=0)", "layers=0; expected a whole number of 1 or more"),
        ("gpt(heads=True)", "heads=True"),
        ("gpt(width=66)", "width=66; expected a multiple of heads=4"),
        ("gpt(context=5)", "context=5; expected 0, or a divisor of 12"),
        ("coordinate_mlp(depth=0)", "depth=0; expected a whole number"),
    ],
)
def test_options_that_do_not_fit_are_refused(text, says):
    with pytest.raises(DataError, match=says):
        build(text, (12,), 11)


WHOLE = [
    (model.name, name)
    for model, _ in default().models.entries
    for name, value in model.options.items()
    if type(value) is int
]


@pytest.mark.parametrize(("model", "option"), WHOLE)
def test_true_is_no_number(model, option):
    with pytest.raises(DataError, match=f"{option}=True"):
        build(f"{model}({option}=True)", (3, 8, 8))


def test_a_declared_frequency_starts_as_siren_does_from_the_same_draws():
    model, options = default().model("coordinate_mlp(depth=3, width=400)")

    def weights(*names):
        built = build_for_cell(
            model, options, [get(n) for n in names], (2,), 3,
            init="equal", network_seed=0, mixture_seed=0,
        )  # fmt: skip
        return [m.weight.detach() for m in built.model if isinstance(m, nn.Linear)]

    plain, siren = weights("tanh"), weights("sin(w0=30)")
    bounds = [1 / 2, (6 / 400) ** 0.5 / 30, (6 / 400) ** 0.5 / 30, 1 / 400**0.5]
    for w, s, bound in zip(plain, siren, bounds, strict=True):
        assert 0.98 * bound < float(s.abs().max()) <= bound
        assert torch.allclose(s / bound, w * w.shape[1] ** 0.5, atol=1e-5)
    for w, other in zip(plain, weights("sin(w0=30)", "tanh"), strict=True):
        assert torch.equal(w, other)  # a mixture declares none
