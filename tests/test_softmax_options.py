"""The softmax rule's temperature and the pressure on the entropy of P."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

import actzoo
from actzoo.plugins.registry import default
from actzoo.report.reading import read_study

OPTIONS = [(0.5, 0.0), (1.0, 0.3), (2.0, -0.2), (0.7, 0.1)]


def entropy(w: torch.Tensor, temperature: float) -> torch.Tensor:
    e = (w / temperature).exp()
    p = e / e.sum(dim=0)
    return -(p * p.log()).sum(dim=0).mean()


@pytest.mark.parametrize("scope", ["layer", "channel"])
@pytest.mark.parametrize(("temperature", "pressure"), OPTIONS)
def test_it_is_the_entropy_in_the_loss(temperature: float, pressure: float, scope: Any) -> None:
    rule = actzoo.softmax(temperature=temperature, entropy=pressure)
    mixture = actzoo.Mixture(["relu", "tanh", "sin"], rule=rule, scope=scope, channels=4).double()
    with torch.no_grad():
        mixture.w.copy_(torch.randn(mixture.w.shape, dtype=torch.float64))
    w = mixture.w.detach().clone().requires_grad_()
    x = torch.randn(7, 4, dtype=torch.float64)
    e = (w / temperature).exp()
    p = e / e.sum(dim=0)
    torch.testing.assert_close(mixture.proportions, p)
    y = sum(p[n] * f(x) for n, f in enumerate((torch.relu, torch.tanh, torch.sin)))
    torch.testing.assert_close(mixture(x), y)
    mixture(x).square().mean().backward()
    (y.square().mean() + pressure * entropy(w, temperature)).backward()
    torch.testing.assert_close(mixture.w.grad, w.grad)


def test_functional_gradients_have_the_entropy_too() -> None:
    mixture = actzoo.Mixture(["relu", "tanh"], rule=actzoo.softmax(0.5, 0.3)).double()
    x = torch.randn(3, 5, dtype=torch.float64)

    def loss(state: dict[str, torch.Tensor], x: torch.Tensor) -> torch.Tensor:
        return torch.func.functional_call(mixture, state, (x,)).square().mean()

    state = {"w": torch.tensor([0.2, -0.4], dtype=torch.float64)}
    found = torch.func.vmap(torch.func.grad(loss), in_dims=(None, 0))(state, x)["w"]
    for row, gradient in zip(x, found, strict=True):
        w = state["w"].clone().requires_grad_()
        p = (w / 0.5).exp() / (w / 0.5).exp().sum()
        y = p[0] * row.relu() + p[1] * row.tanh()
        (y.square().mean() + 0.3 * entropy(w, 0.5)).backward()
        torch.testing.assert_close(gradient, w.grad)
    slope = torch.func.vmap(torch.func.jacrev(mixture))(x.flatten())
    by_hand = (torch.where(x > 0, 1.0, 0.0) + 1 - x.tanh().square()).flatten() / 2
    torch.testing.assert_close(slope, by_hand)


def test_pressure_drives_p_to_few_functions_or_to_equal_shares() -> None:
    ends = []
    for pressure in (1.0, -1.0):
        mixture = actzoo.Mixture(["relu", "tanh"], rule=actzoo.softmax(entropy=pressure))
        with torch.no_grad():
            mixture.w.copy_(torch.tensor([0.5, -0.5]))
        optimizer = torch.optim.SGD(mixture.parameters(), lr=1.0)
        for _ in range(50):
            optimizer.zero_grad()
            (mixture(torch.ones(2)) * 0).sum().backward()
            optimizer.step()
        ends.append(mixture.proportions.max().item())
    assert ends[0] > 0.95 and ends[1] == pytest.approx(0.5, abs=0.01)


def test_names() -> None:
    assert actzoo.softmax() is actzoo.SOFTMAX
    rule = actzoo.softmax(temperature=0.5, entropy=0.01)
    assert rule.name == "softmax(temperature=0.5, entropy=0.01)"
    assert default().rule("softmax(entropy=0.01,temperature=0.5)").name == rule.name
    assert default().rule("softmax") is actzoo.SOFTMAX


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("softmax(temperature=0)", "temperature=0.*above 0"),
        ("softmax(entropy='a')", "expected a finite number"),
        ("softmax(heat=1)", "no option 'heat'; it has: temperature, entropy"),
        ("ratio(temperature=1)", "ratio has no option 'temperature'; it has: none"),
        ("sofmax(temperature=1)", "softmax"),
    ],
)
def test_what_is_no_option_is_refused(text: str, message: str) -> None:
    with pytest.raises(actzoo.ActzooError, match=message):
        default().rule(text)


def test_a_run_has_them_in_its_cells(tmp_path: Path) -> None:
    found = {}
    for rule in ("softmax", "softmax(temperature=0.5)", "softmax(temperature=0.5,entropy=1)"):
        actzoo.bench(
            "relu,tanh", models="mlp(width=4)", rule=rule, epochs=4, limit=80, seeds=[0],
            init="random", members=False, out=tmp_path / str(len(found)),
        )  # fmt: skip
        cells = read_study(tmp_path / str(len(found))).groups[0].mixtures[0].cells
        assert cells[0].result is not None
        spec = cells[0].result.spec
        found[spec.rule.name] = (spec.key, cells[0].result.layers[0].P)
    assert list(found) == [
        "softmax", "softmax(temperature=0.5)", "softmax(temperature=0.5, entropy=1.0)",
    ]  # fmt: skip
    assert len({key for key, _ in found.values()}) == 3
    assert len({tuple(p) for _, p in found.values()}) == 3
    with pytest.raises(actzoo.ActzooError, match="no option"):
        actzoo.bench("relu,tanh", rule="ratio(a=1)", out=tmp_path / "other")


@pytest.mark.filterwarnings("ignore")  # torch's own, while it compiles
def test_it_compiles_and_exports() -> None:
    mixture = actzoo.Mixture(["relu", "tanh"], rule=actzoo.softmax(0.5, 0.2))
    x = torch.randn(5)
    torch._dynamo.reset()
    compiled = torch.compile(mixture, backend="eager", fullgraph=True)
    compiled(x).sum().backward()
    found, mixture.w.grad = mixture.w.grad, None
    mixture(x).sum().backward()
    torch.testing.assert_close(mixture.w.grad, found)
    program = torch.export.export(mixture.eval(), (x,)).module()
    torch.testing.assert_close(program(x), mixture(x))


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_a_warm_start_has_the_shares_at_any_temperature(temperature: float) -> None:
    model = torch.nn.Sequential(torch.nn.Identity(), torch.nn.LeakyReLU(0.25))
    x = torch.linspace(-4, 4, 33)
    wanted = model(x)
    swapped = actzoo.swap(
        model, ["relu", "identity"], example=x, warm=True, rule=actzoo.softmax(temperature, 0.1)
    )
    torch.testing.assert_close(model(x), wanted, atol=1e-3, rtol=0)
    shares = swapped.mixtures[0].proportions.tolist()
    assert shares == pytest.approx([0.75, 0.25], abs=1e-3)
