"""Rules of mixtures: how members combine, weights for each channel, and all the way to a report."""

from __future__ import annotations

import copy
import itertools
import json
import pickle

import pytest
import torch
from torch import nn

import actzoo
from actzoo import RATIO, SOFTMAX, Mixture, Rule
from actzoo.errors import DeclarationError, KernelError, MixtureError, UsageError
from actzoo.plugins.registry import default
from actzoo.report import write_report

MEMBERS = ["relu", "tanh", "sin"]


def pairs(names):
    return [f"{a} times {b}" for a, b in itertools.combinations(names, 2)]


def products(proportions, values):
    both = itertools.combinations(values, 2)
    return sum(p * a * b for p, (a, b) in zip(proportions, both, strict=True))


PRODUCT = Rule(
    "product", RATIO.normalise, 1.0, True, pairs, products, formula=r"A = \sum P_{ij} f_i f_j"
)


def powers(proportions, values):
    both = zip(proportions, values, strict=True)
    return torch.stack([p * (1 + v * v).log() for p, v in both]).sum(0).exp()


GEOMETRIC = Rule("geometric", SOFTMAX.normalise, 0.0, False, combine=powers)
RULES = [*(rule for rule, _ in default().rules.entries), PRODUCT, GEOMETRIC]
EVERY = pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
SCOPES = pytest.mark.parametrize("scope", ["layer", "channel"])


def made(rule, scope="layer", members=MEMBERS):
    generator = torch.Generator().manual_seed(1)
    mixture = Mixture(
        members, rule=rule, scope=scope, channels=4, init="random", generator=generator
    )
    return mixture.double()


@pytest.fixture
def x():
    generator = torch.Generator().manual_seed(0)
    return torch.randn(5, 4, 3, 2, generator=generator, dtype=torch.float64)


def by_hand(rule, w, x):
    """A(x) of one set of weights, in plain torch."""
    f = [x.relu(), x.tanh(), x.sin()]
    p = w / w.sum() if rule.nonnegative else w.exp() / w.exp().sum()
    if rule is PRODUCT:
        return p[0] * f[0] * f[1] + p[1] * f[0] * f[2] + p[2] * f[1] * f[2]
    if rule is GEOMETRIC:
        return (1 + f[0] ** 2) ** p[0] * (1 + f[1] ** 2) ** p[1] * (1 + f[2] ** 2) ** p[2]
    return p[0] * f[0] + p[1] * f[1] + p[2] * f[2]


@EVERY
def test_a_layer_and_its_gradients_by_hand(rule, x):
    mixture = made(rule)
    x.requires_grad_()
    w = mixture.w.detach().clone().requires_grad_()
    y, expected = mixture(x), by_hand(rule, w, x)
    assert torch.allclose(y, expected, rtol=1e-12, atol=1e-12)
    slope = torch.cos(3 * x.detach())
    found = torch.autograd.grad(y, [x, mixture.w], slope)
    for ours, theirs in zip(found, torch.autograd.grad(expected, [x, w], slope), strict=True):
        assert torch.allclose(ours, theirs, rtol=1e-10, atol=1e-12)


@EVERY
def test_weights_for_each_channel_are_a_loop_over_channels(rule, x):
    mixture = made(rule, "channel")
    assert mixture.w.shape == mixture.proportions.shape == (len(mixture.terms), 4)
    expected = torch.stack([by_hand(rule, mixture.w[:, c], x[:, c]) for c in range(4)], dim=1)
    assert torch.allclose(mixture(x), expected, rtol=1e-12, atol=1e-12)
    assert torch.allclose(mixture(x[:, :, 0, 0]), expected[:, :, 0, 0], rtol=1e-12, atol=1e-12)
    with pytest.raises(UsageError, match="4 channels"):
        mixture(x[:, :3])


@EVERY
@SCOPES
def test_copies_compiled_and_exported_layers_give_the_same(rule, scope, x):
    mixture = made(rule, scope)
    y = mixture(x)
    for twin in (copy.deepcopy(mixture), pickle.loads(pickle.dumps(mixture))):
        assert torch.equal(twin(x), y)
    model = nn.Sequential(mixture)
    others = [
        torch.compile(model, backend="eager", fullgraph=True),
        torch.export.export(model, (x,)).module(),
        actzoo.fuse(nn.Sequential(mixture, nn.Identity())),
    ]
    for other in others:
        assert torch.allclose(other(x), y, rtol=1e-12, atol=1e-12)


@EVERY
@SCOPES
def test_pooling_in_one_pass_changes_nothing(rule, scope):
    mixture = made(rule, scope).float()
    x = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    expected = nn.functional.max_pool2d(mixture(x), 2)
    fused = actzoo.fuse(nn.Sequential(mixture, nn.MaxPool2d(2)))
    assert torch.allclose(fused(x), expected, rtol=1e-5, atol=1e-5)


@EVERY
@SCOPES
def test_a_state_fits_its_rule_and_scope_only(rule, scope):
    state = made(rule, scope).state_dict()
    for other, at in itertools.product(RULES, ("layer", "channel")):
        layer = made(other, at)
        if (other, at) == (rule, scope):
            layer.load_state_dict(state)
            assert torch.equal(layer.w, state["w"])
        else:
            with pytest.raises(RuntimeError):
                layer.load_state_dict(state)


@EVERY
@SCOPES
def test_another_order_is_put_right_or_refused(rule, scope, x):
    mixture = made(rule, scope)
    turned = Mixture(MEMBERS[::-1], rule=rule, scope=scope, channels=4).double()
    if not rule.is_weighted_sum:  # its terms need not be one a member
        with pytest.raises(RuntimeError, match="the state is of"):
            turned.load_state_dict(mixture.state_dict())
        return
    turned.load_state_dict(mixture.state_dict())
    assert torch.allclose(turned(x), mixture(x), rtol=1e-12, atol=1e-12)


@EVERY
@SCOPES
def test_an_attached_optimiser_keeps_weights_where_they_may_be(rule, scope, x):
    mixture = made(rule, scope)
    optimizer = torch.optim.Adam(mixture.parameters(), lr=0.3)
    mixture.attach(optimizer)
    for _ in range(3):
        optimizer.zero_grad()
        mixture(x).square().sum().backward()
        optimizer.step()
    assert torch.isfinite(mixture(x)).all()
    assert not rule.nonnegative or bool((mixture.w >= 0).all())
    assert torch.allclose(mixture.proportions.sum(dim=0), torch.ones(1, dtype=torch.float64))


def test_each_channel_is_looked_at_and_brought_back_to_scale():
    mixture = made(RATIO, "channel")
    before = mixture.proportions.detach().clone()
    optimizer = torch.optim.Adam(mixture.parameters(), lr=0.0)
    mixture.attach(optimizer)
    with torch.no_grad():
        mixture.w[:, 2] *= 2.0**-40
    mixture.w.grad = torch.ones_like(mixture.w)
    optimizer.step()
    assert torch.equal(mixture.proportions, before)
    assert 1 / 64 <= mixture.w[:, 2].mean().item() <= 64
    memory = optimizer.state[mixture.w]["exp_avg"]
    assert bool((memory[:, 2] < memory[:, 1]).all())  # gradients go as 1 over the scale
    with torch.no_grad():
        mixture.w[:, 1] = 0
    with pytest.raises(MixtureError, match="are 0 in channel 1"):
        mixture(torch.ones(1, 4, dtype=torch.float64))
    with torch.no_grad():
        mixture.w[0, 3] = -1
    with pytest.raises(MixtureError, match="are 0 in channel 1"):
        mixture.check()


@EVERY
@SCOPES
def test_contributions_are_the_terms_alone(rule, scope, x):
    mixture = made(rule, scope)
    parts = mixture.contributions(x)
    assert len(parts) == len(mixture.terms)
    if rule is not GEOMETRIC:
        assert torch.allclose(sum(parts), mixture(x), rtol=1e-12, atol=1e-12)


@EVERY
def test_contributions_of_whole_numbers_are_those_of_the_same_floats(rule):
    mixture, at = made(rule).float(), torch.arange(-4, 4).reshape(2, 4)
    for one, other in zip(
        mixture.contributions(at), mixture.contributions(at.float()), strict=True
    ):
        assert torch.equal(one, other)


@EVERY
def test_one_function_is_that_function_under_any_rule(rule, x):
    mixture = Mixture(["tanh"], rule=rule, scope="channel", channels=4).double()
    assert torch.equal(mixture(x), x.tanh()) and not mixture.w.requires_grad


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"rule": "softmax"}, DeclarationError, "actzoo.SOFTMAX"),
        ({"scope": "pixel"}, DeclarationError, "'layer' or 'channel'"),
        ({"scope": "channel"}, DeclarationError, "channels="),
        ({"scope": "channel", "channels": 0}, DeclarationError, "whole number from 1"),
        ({"scope": "channel", "channels": 3, "kernel": "table"}, KernelError, "per channel"),
        ({"rule": PRODUCT, "kernel": "fused"}, KernelError, "product"),
    ],
)
def test_what_makes_no_mixture_is_refused(options, error, said):
    with pytest.raises(error, match=said):
        Mixture(MEMBERS, **options)


def test_what_makes_no_rule_is_refused():
    for fields in (
        {"name": "Two Words"},
        {"normalise": 3},
        {"combine": "sum"},
        {"terms": pairs},  # without combine
    ):
        with pytest.raises(DeclarationError):
            Rule(**{"name": "r", "normalise": RATIO.normalise, "start": 1, "nonnegative": True}
                 | fields)  # fmt: skip
    for terms, said in ((lambda n: "ab", "one name for each"), (lambda n: [], "one name for")):
        with pytest.raises(DeclarationError, match=said):
            Mixture(MEMBERS, rule=Rule("r", RATIO.normalise, 1.0, True, terms, products))
    with pytest.raises(DeclarationError, match="same shape"):
        Mixture(MEMBERS, rule=Rule("r", lambda w: w.sum(), 1.0, True))
    with pytest.raises(DeclarationError, match="same shape"):
        Mixture(MEMBERS, rule=Rule("r", RATIO.normalise, 1.0, True, combine=lambda p, v: p[0]))(
            torch.ones(3)
        )


SMALL = {"models": ["mlp(depth=1, width=4)"], "seeds": [0], "epochs": 1, "device": "cpu"}


@EVERY
@SCOPES
@pytest.mark.slow
def test_bench_runs_it_to_a_report(rule, scope, tiny_npz, tmp_path):
    results = actzoo.bench(
        [MEMBERS], datasets=[f"npz:{tiny_npz}"], rule=rule, rule_scope=scope, out=tmp_path, **SMALL
    )
    assert {row["status"] for row in results.rows} == {"ok"}
    found = [json.loads(p.read_text()) for p in tmp_path.glob("cells/*/result.json")]
    (mixed,) = (r for r in found if len(r["spec"]["members"]) > 1)
    terms = 3 if rule is PRODUCT else len(MEMBERS)
    for layer in mixed["layers"]:
        assert len(layer["w"]) == len(layer["P"]) == terms
        assert sum(layer["P"]) == pytest.approx(1, rel=1e-5)
        assert all(sum(shares) == pytest.approx(1) for shares in layer["shares"].values())
    if (rule, scope) == (RATIO, "layer"):
        assert "rule" not in mixed["spec"]  # so that keys are those of older cells
    else:
        assert mixed["spec"]["rule"]["name"] == rule.name
        assert mixed["spec"]["rule"]["scope"] == scope
    assert all("rule" not in r["spec"] for r in found if r is not mixed)
    write_report(tmp_path)
    text = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert ("means over the channels" in text) == (scope == "channel")
    if rule.formula:
        assert rule is RATIO or f"${rule.formula}$" in text
    if rule is PRODUCT:
        assert "relu times tanh" in text


def test_single_functions_are_the_same_cells_under_any_rule(tiny_npz, tmp_path):
    keys = []
    for rule, scope in (("ratio", "layer"), ("softmax", "layer"), ("ratio", "channel")):
        out = tmp_path / f"{rule}-{scope}"
        actzoo.bench(
            [MEMBERS], datasets=[f"npz:{tiny_npz}"], rule=rule, rule_scope=scope, out=out, **SMALL
        )
        keys.append({path.name for path in (out / "cells").iterdir() if path.is_dir()})
    for one, other in itertools.combinations(keys, 2):
        assert len(one & other) == len(one) - 1  # all but the mixture


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"rule": "sofmax"}, "softmax"),
        ({"rule": 3}, "actzoo.Rule"),
        ({"rule_scope": "pixel"}, "layer"),
        ({"rule_scope": "channel", "kernel": "table"}, "kernel"),
    ],
)
def test_bench_refuses_before_work_starts(options, said, tiny_npz, tmp_path):
    with pytest.raises(actzoo.ActzooError, match=said):
        actzoo.bench(
            [MEMBERS], datasets=[f"npz:{tiny_npz}"], out=tmp_path / "out", **SMALL, **options
        )
    assert not (tmp_path / "out" / "cells").exists()


LOOSE = Rule("loose", torch.tanh, start=0.5, nonnegative=False)
"""P are of either sign and do not add up to 1."""


def loose(w, members=MEMBERS, **options):
    mixture = Mixture(members, rule=LOOSE, **options).double()
    with torch.no_grad():
        mixture.w.copy_(torch.tensor(w, dtype=torch.float64).atanh())
    return mixture


@pytest.mark.parametrize("rule", [*RULES, LOOSE], ids=lambda rule: rule.name)
@SCOPES
@pytest.mark.parametrize("members", [MEMBERS, ["prelu"]])
def test_a_plot_draws_the_layer_and_its_terms(rule, scope, members):
    mixture = made(rule, scope, members)
    with mixture.watch():
        for _ in range(2):
            mixture(torch.ones(3, 4, dtype=torch.float64))
    figure = actzoo.plot(mixture)
    *parts, total = figure.axes[0].get_lines()
    x, y = (torch.as_tensor(values) for values in total.get_data())
    at = x.double()[:, None].expand(-1, 4)
    assert torch.allclose(y.double(), mixture(at).mean(dim=1), rtol=1e-5, atol=1e-5)
    for line, part in zip(parts, mixture.contributions(at), strict=True):
        y = torch.as_tensor(line.get_data()[1]).double()
        assert torch.allclose(y, part.mean(dim=1), rtol=1e-5, atol=1e-5)
    assert mixture.training and all(m.training for m in mixture.modules())


def test_proportions_that_are_no_parts_of_a_whole_stay_what_they_are(x):
    mixture = loose([0.5, -0.3, 0.9])
    expected = -0.3 * x.tanh() + 0.9 * x.sin()
    mixture.prune(2, -x.abs())
    assert torch.allclose(mixture(x), expected)
    with pytest.raises(MixtureError, match=r"sin alone has the proportion 0\.9"):
        mixture.prune(1)
    assert torch.allclose(mixture(x), expected)
    function = mixture.freeze()
    assert torch.allclose(function(x), expected)
    assert torch.allclose(mixture(x), expected) and mixture.proportions.tolist() == [1]


def test_one_function_has_the_proportion_1_under_any_rule(x):
    for rule in (*RULES, LOOSE):
        mixture = Mixture(["swish"], rule=rule).double()
        expected = mixture(x).detach()
        assert mixture.proportions.tolist() == [1] and "1.0000" in repr(mixture)
        assert torch.allclose(mixture.freeze()(x), expected)


@pytest.mark.parametrize("old", [nn.ReLU(), nn.Tanh(), nn.SiLU()])
def test_a_warm_start_under_any_weighted_sum(old):
    x = torch.linspace(-4, 4, 101)[:, None]
    for rule in (RATIO, SOFTMAX, LOOSE):
        model = nn.Sequential(copy.deepcopy(old))
        found = actzoo.swap(model, ["relu", "tanh", "identity"], warm=True, rule=rule)
        assert (model(x) - old(x)).abs().max() < (0.5 if isinstance(old, nn.SiLU) else 1e-3)
        assert found.replaced[0].start


def test_a_report_of_such_proportions(tiny_npz, tmp_path):
    actzoo.bench([MEMBERS], datasets=[f"npz:{tiny_npz}"], rule=LOOSE, out=tmp_path, **SMALL)
    write_report(tmp_path)


@pytest.mark.parametrize("rule", [RATIO, SOFTMAX, LOOSE], ids=lambda rule: rule.name)
@pytest.mark.parametrize(
    ("options", "where", "setting"),
    [
        ({}, "Every w started", {RATIO: "w starts at 1 each", None: "at the same value"}),
        (
            {"init": "random", "controls": ["equal-start"]},
            "Where all P are equal at the start, every w started",
            {RATIO: "w starts uniform on", None: "every w is drawn"},
        ),
    ],
    ids=["equal", "both"],
)
@pytest.mark.slow
def test_a_report_says_how_w_started(rule, options, where, setting, tiny_npz, tmp_path):
    more = {"members": False, "rule": rule, "out": tmp_path, **SMALL, **options}
    actzoo.bench([MEMBERS], datasets=[f"npz:{tiny_npz}"], **more)
    write_report(tmp_path)
    text = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert where in text and ("it was drawn anew" in text) == bool(options)
    assert ("All P started equal" in text) == (not options)
    assert setting.get(rule, setting[None]) in text
