"""Checks of the activation as a layer: copied, stored, moved, mapped, compiled, exported."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable

import torch
from torch import Tensor, nn

from actzoo.checks import accuracy, samples
from actzoo.checks.evaluation import Candidate
from actzoo.checks.result import Failed


def deepcopy(subject: Candidate) -> None:
    """Check that a deep copy computes the same and shares no parameters."""
    module = _trained(subject)
    copied = copy.deepcopy(module)
    _same(module, copied, subject, "a deep copy")
    shared = {p.data_ptr() for p in module.parameters()} & {
        p.data_ptr() for p in copied.parameters()
    }
    if shared:
        raise Failed("a deep copy shares parameters with the original")


def pickled(subject: Candidate) -> None:
    """Check that a pickled module computes the same."""
    module = _trained(subject)
    _same(module, pickle.loads(pickle.dumps(module)), subject, "a pickled copy")


def state_dict(subject: Candidate) -> None:
    """Check that a new module with the state of a trained one computes the same."""
    module = _trained(subject)
    fresh = samples.module(subject).eval()
    fresh.load_state_dict(module.state_dict())
    _same(module, fresh, subject, "a module that loads its state")


def half(subject: Candidate) -> None:
    """Check that `.half()` works and stays near the module in float32."""
    x = samples.sample(subject, torch.float16)
    module = samples.module(subject).eval()
    expected = module(x.float())
    y = module.half()(x)
    if y.dtype != torch.float16:
        raise Failed(f"after .half() the output is {y.dtype}")
    tolerance = 4 * accuracy.ALLOWANCE * torch.finfo(torch.float16).eps
    if not torch.allclose(y.float(), expected, rtol=tolerance, atol=tolerance):
        raise Failed("after .half() the output is off by more than rounding")


def meta(subject: Candidate) -> None:
    """Check that `.to("meta")` works: shapes and dtypes without numbers."""
    x = samples.sample(subject, torch.float32)
    module = samples.module(subject).eval()
    expected = module(x)
    y = module.to("meta")(x.to("meta"))
    if y.device.type != "meta" or y.shape != expected.shape or y.dtype != expected.dtype:
        raise Failed(f"on meta the output is {tuple(y.shape)} {y.dtype} on {y.device}")


def vmap(subject: Candidate) -> None:
    """Check that `torch.vmap` over an added dimension gives what a loop gives."""
    module = _trained(subject)
    x = torch.stack([samples.sample(subject, torch.float32, seed=s) for s in range(3)])
    expected = torch.stack([module(part) for part in x])
    _near(torch.vmap(module)(x), expected, "vmap")


def training(subject: Candidate) -> None:
    """Check shape, dtype and finiteness in training mode, and that evaluation mode is fn."""
    module = samples.module(subject)
    x = samples.sample(subject, torch.float32).requires_grad_()
    y = module.train()(x)
    if y.shape != x.shape or y.dtype != x.dtype:
        raise Failed(f"in training {tuple(x.shape)} {x.dtype} becomes {tuple(y.shape)} {y.dtype}")
    (slope,) = torch.autograd.grad(y.sum(), x)
    if not (y.isfinite().all() and slope.isfinite().all()):
        raise Failed("in training a value or gradient is not finite")
    if not torch.equal(module.eval()(x), subject.activation(x)):
        raise Failed("in evaluation the module is not fn")


def compiled(subject: Candidate) -> None:
    """Check that torch.compile makes one graph, and that it computes the same, also backward."""
    # Earlier compilations of other activations count towards dynamo's recompile limit.
    torch.compiler.reset()
    module = _trained(subject)
    backend = "inductor" if subject.thorough else "aot_eager"
    graph = torch.compile(module, fullgraph=True, backend=backend)
    try:
        found = _with_gradient(graph, subject)
    finally:
        torch.compiler.reset()
    for what, y, expected in zip(
        ("the output", "the gradient"), found, _with_gradient(module, subject), strict=True
    ):
        _near(y, expected, f"{what} of the compiled module")


def exported(subject: Candidate) -> None:
    """Check that torch.export works and computes the same."""
    module = _trained(subject)
    x = samples.sample(subject, torch.float32)
    program = torch.export.export(module, (x,))
    _near(program.module()(x), module(x), "the exported module")


def _trained(subject: Candidate) -> nn.Module:
    """Return a module whose parameters differ from their initial values."""
    module = samples.module(subject).eval()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.mul_(1.0625)
    return module


def _with_gradient(module: Callable[[Tensor], Tensor], subject: Candidate) -> tuple[Tensor, Tensor]:
    x = samples.sample(subject, torch.float32).requires_grad_()
    y = module(x)
    if not y.requires_grad:
        return y, torch.zeros_like(x)
    (slope,) = torch.autograd.grad(y.square().sum(), x)
    return y, slope


def _same(module: nn.Module, other: nn.Module, subject: Candidate, what: str) -> None:
    x = samples.sample(subject, torch.float32)
    if not torch.equal(module(x), other(x)):
        raise Failed(f"{what} does not compute the same")


def _near(found: Tensor, expected: Tensor, what: str) -> None:
    if found.dtype != expected.dtype or found.shape != expected.shape:
        raise Failed(f"{what} has dtype {found.dtype} and shape {tuple(found.shape)}")
    if not torch.allclose(found, expected, rtol=1e-5, atol=1e-5):
        off = (found - expected).abs().max().item()
        raise Failed(f"{what} is off by {off:.3g}")
