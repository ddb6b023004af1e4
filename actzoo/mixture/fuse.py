"""Activations and the max-poolings after them, computed in one pass over memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache
from itertools import pairwise
from typing import TypeVar

import torch
from torch import Tensor, nn

from actzoo.activation import Activation, ActivationModule
from actzoo.kernels import pooled, pooled_plan
from actzoo.mixture import Mixture
from actzoo.plugins.registry import get

Model = TypeVar("Model", bound=nn.Module)

_TORCHS: dict[type[nn.Module], Callable[..., str]] = {
    nn.ReLU: lambda m: "relu",
    nn.ReLU6: lambda m: "relu6",
    nn.LeakyReLU: lambda m: f"leaky_relu(slope={m.negative_slope!r})",
    nn.ELU: lambda m: f"elu(alpha={m.alpha!r})",
    nn.CELU: lambda m: f"celu(alpha={m.alpha!r})",
    nn.SELU: lambda m: "selu",
    nn.GELU: lambda m: "gelu" if m.approximate == "none" else "gelu_tanh",
    nn.SiLU: lambda m: "silu",
    nn.Mish: lambda m: "mish",
    nn.Hardswish: lambda m: "hard_swish",
    nn.Tanh: lambda m: "tanh",
    nn.Sigmoid: lambda m: "sigmoid",
    nn.Hardsigmoid: lambda m: "hard_sigmoid",
    nn.Hardtanh: lambda m: f"hardtanh(low={m.min_val!r}, high={m.max_val!r})",
    nn.Softsign: lambda m: "softsign",
    nn.Softplus: lambda m: "softplus" if (m.beta, m.threshold) == (1, 20) else "",
    nn.LogSigmoid: lambda m: "log_sigmoid",
    nn.Tanhshrink: lambda m: "tanhshrink",
    nn.Softshrink: lambda m: f"softshrink(threshold={m.lambd!r})",
    nn.Hardshrink: lambda m: f"hardshrink(threshold={m.lambd!r})",
}
"""Torch's layers that are functions of ours, and which; "" where they are another one."""


class FusedSequential(nn.Sequential):
    """A sequence in which an activation and the max-pooling after it are one pass.

    It is what `fuse` makes of an `nn.Sequential`, with the same layers under the same names.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Return the layers one after another, pairs that can be computed together as one."""
        layers = list(self)
        number = 0
        while number < len(layers):
            both = _in_one_pass(layers[number], layers[number + 1 : number + 2], x)
            x, number = (layers[number](x), number + 1) if both is None else (both, number + 2)
        return x


def fuse(model: Model) -> Model:
    """Let activations and the max-poolings after them be computed in one pass, in place.

    Found are, in every `nn.Sequential` of the model however deep, a `Mixture`, an activation's
    `module()` or one of torch's own elementwise activations, directly followed by an
    `nn.MaxPool2d` whose windows tile the image (`stride` equal to `kernel_size`, at most 16
    elements, no padding or dilation). A pair that is called by hand in a `forward`, or whose two
    layers are in different sequences, is not found.

    Layers, names, hooks and `state_dict` stay as they are, and layers may be changed afterwards.
    Where a call cannot be served (another device than the CPU, no C library, float64, a function
    without a table, a hook on one of the two layers, torch.compile, export, tracing and
    transforms), the layers run one after the other as before.

    Args:
        model: Any module.

    Returns:
        The model; if it is itself a sequence, as a `FusedSequential`.
    """
    for module in model.modules():
        if type(module) is nn.Sequential:
            module.__class__ = FusedSequential
    return model


def unfuse(model: Model) -> Model:
    """Undo `fuse`, in place: every sequence is an `nn.Sequential` again.

    Args:
        model: Any module.

    Returns:
        The model.
    """
    for module in model.modules():
        if type(module) is FusedSequential:
            module.__class__ = nn.Sequential  # type: ignore[assignment]
    return model


def pools(model: nn.Module, device: torch.device, dtype: torch.dtype) -> bool:
    """Return whether some activation of a fused model is computed together with its pooling."""
    return any(
        (found := _function(layer)) is not None
        and pooled_plan(found[0], device, dtype, found[1]) is not None
        for layer in _paired(model)
    )


def _paired(model: nn.Module) -> Iterator[nn.Module]:
    """Yield the activations of a fused model that are followed by a pooling that fits."""
    for sequence in model.modules():
        if type(sequence) is FusedSequential:
            layers = list(sequence)
            for layer, after in pairwise(layers):
                if _window(after) is not None:
                    yield layer


def _in_one_pass(layer: nn.Module, rest: list[nn.Module], x: Tensor) -> Tensor | None:
    """Return the result of a layer and the next one, or None where each must be called."""
    if torch.compiler.is_compiling() or not rest or type(x) is not Tensor:
        return None
    window = _window(rest[0])
    if window is None or _is_watched(layer) or _is_watched(rest[0]):
        return None
    found = _function(layer)
    if found is None:
        return None
    activations, kernel = found
    if pooled_plan(activations, x.device, x.dtype, kernel) is None:
        return None
    if len(activations) > 1:
        assert isinstance(layer, Mixture)  # nothing else has several
        weights = layer.forward_proportions()
    else:
        weights = torch.ones(1, device=x.device)
    return pooled(activations, weights, x, window, bool(rest[0].ceil_mode), kernel)


def _window(module: nn.Module) -> tuple[int, int] | None:
    """Return the window of a max-pooling whose windows tile the image; None of anything else."""
    if type(module) is not nn.MaxPool2d or module.return_indices:
        return None
    size, stride, padding, dilation = (
        (given, given) if isinstance(given, int) else tuple(given)
        for given in (module.kernel_size, module.stride, module.padding, module.dilation)
    )
    if stride != size or padding != (0, 0) or dilation != (1, 1):
        return None
    rows, columns = size
    return rows, columns


def _function(layer: nn.Module) -> tuple[tuple[Activation, ...], str] | None:
    """Return the functions that a layer computes by their declaration, and by which kernel."""
    activations: tuple[Activation, ...]
    kernel: str = "auto"
    if type(layer) is Mixture:
        if len(layer.members) > 1 and not layer.is_plain_sum:
            return None
        activations, kernel = layer.activations, layer.kernel
    elif type(layer) is ActivationModule:
        activations = layer.activations
    elif type(layer) in _TORCHS:
        name = _TORCHS[type(layer)](layer)
        if not name:
            return None
        activations = (_known(name),)
    else:
        return None
    if layer.training and any(a.training_fn is not None for a in activations):
        return None
    return activations, kernel


@lru_cache(maxsize=256)
def _known(name: str) -> Activation:
    return get(f"actzoo:{name}")


def _is_watched(module: nn.Module) -> bool:
    """Return whether a module has hooks or a forward of its own, and must be called."""
    return bool(
        module._forward_hooks
        or module._forward_pre_hooks
        or module._backward_hooks
        or module._backward_pre_hooks
        or "forward" in module.__dict__
        or getattr(nn.modules.module, "_has_any_global_hook", lambda: False)()
    )
