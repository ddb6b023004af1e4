"""New layers in the place of a model's activations, and the way back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

from torch import nn

from actzoo.activation import Activation
from actzoo.errors import UsageError
from actzoo.kernels import Keep, check_keep
from actzoo.mixture.mixture import Mixture
from actzoo.plugins.registry import default, get
from actzoo.rules import Rule
from actzoo.surgery.calls import SITES, InPlace, InTurn, listen, put, silence
from actzoo.surgery.recognise import is_activation
from actzoo.surgery.sites import Site


@dataclass(frozen=True)
class Replaced:
    """One place whose activation was replaced.

    Attributes:
        name: `layer1.0.relu`, `layer1.0.relu#2` for the second call of one layer, or
            `layer1.0:relu#1` for the first call of the function relu in layer1.0.
        was: What was called there.
        layer: What is called now.
        start: How far the outputs of old and new function differ at first, where the start was
            to be warm: "the same", or the largest difference on [-4, 4].
        method: Of a call of a function, the method that makes it if it is not forward itself:
            called directly, it computes what it always did.
    """

    name: str
    was: str
    layer: nn.Module
    start: str = ""
    method: str = ""

    @property
    def now(self) -> str:
        """The names of the new functions."""
        return ", ".join(a.name for a in self.layer.activations)  # type: ignore[union-attr]


class Make:
    """Makes the layers."""

    def __init__(self, rule: Rule, keep: Keep) -> None:
        self.rule = rule
        self.keep = keep

    def check(self, wanted: Any) -> list[Activation]:
        """Return the functions that are meant, or the reason why there are none such."""
        if isinstance(wanted, str):
            names = default().members(wanted)
            functions = [get(name) for name in names]
        elif isinstance(wanted, Iterable) and not isinstance(wanted, Activation):
            functions = [get(one) for one in wanted]
        else:
            functions = [get(wanted)]
        for function in functions:
            if function.kind == "gated":
                raise UsageError(
                    f"{function.name} changes the number of channels, which the layers after it "
                    f"do not expect; choose a function that keeps it"
                )
        check_keep(self.keep, tuple(functions), "auto")
        return functions

    def __call__(self, wanted: Any, site: Site) -> nn.Module:
        """Return a new layer for a site."""
        functions = self.check(wanted)
        shape = site.shape
        channels = shape[1] if shape is not None and len(shape) > 1 else None
        learns = [f.name for f in functions if "channel" in f.learnable.values()]
        if learns and channels is None:
            raise UsageError(
                f"{learns[0]} learns a value for each channel, and how many {site.name} has is not "
                f"known: give example= an input that reaches it, or leave it out by where="
            )
        is_one = len(functions) == 1 and not isinstance(wanted, (list, tuple))
        if is_one:
            return functions[0].module(channels, self.keep)
        return Mixture(functions, rule=self.rule, channels=channels, keep=self.keep)


class MakeByFactory(Make):
    """Makes the layers by a function of the channels, as models that ask for activations do."""

    def __init__(self, factory: Callable[[int], tuple[nn.Module, int]]) -> None:
        self.factory = factory

    def check(self, wanted: Any) -> list[Activation]:
        """Nothing is known before a layer is made."""
        return []

    def __call__(self, wanted: Any, site: Site) -> nn.Module:
        """Return a new layer for a site."""
        shape = site.shape or ()
        channels = shape[1] if len(shape) > 1 else 1
        layer, after = self.factory(channels)
        if after != channels:
            raise UsageError(
                f"the function changes {channels} channels to {after} at {site.name}, which the "
                f"layers after it do not expect; choose a function that keeps them"
            )
        return layer


class Surgeon:
    """Puts new layers into a model, and remembers how to take them out."""

    def __init__(self, model: nn.Module, sites: list[Site], make: Make, shared: bool, warm: bool):
        self.model = model
        self.make = make
        self.shared = shared
        self.warm = warm
        self.calls = Counter(site.path for site in sites if not site.key)
        self.of_one: dict[int, tuple[nn.Module, str]] = {}
        self.undo: list[Callable[[], Any]] = []

    def replace(self, group: list[tuple[Site, Any]]) -> list[Replaced]:
        """Replace the calls of one layer, or one call of a function."""
        site, wanted = group[0]
        if site.key:
            owner = self.model.get_submodule(site.path)
            new, start = self._made(wanted, site, owner)
            self.undo.append(partial(silence, owner))
            put(owner, site.key, site.number, new)
            return [Replaced(site.name, site.was, new, start, site.method)]
        path, _, name = site.path.rpartition(".")
        parent = self.model.get_submodule(path)
        old: nn.Module = parent._modules[name]  # type: ignore[assignment]
        if self.shared and self.calls[site.path] >= 1:
            if id(old) not in self.of_one:
                self.of_one[id(old)] = self._made(wanted, site, parent)
            new, start = self.of_one[id(old)]
            self._put(parent, name, old, _placed(new, *(one for one, _ in group)))
            return [Replaced(one.name, one.was, new, start) for one, _ in group]
        made = {one.number: (one, *self._made(w, one, parent)) for one, w in group}
        count = self.calls[site.path]
        if count > 1:
            new = InTurn(
                [_placed(made[n][1], made[n][0]) if n in made else old for n in range(count)]
            )
            new.train(old.training)
            assert site.caller is not None  # calls are counted where they are seen
            tie = site.caller.register_forward_pre_hook(new.restart)
            self.undo.append(tie.remove)
        else:
            new = _placed(made[0][1], made[0][0])
        self._put(parent, name, old, new)
        return [Replaced(one.name, one.was, layer, start) for one, layer, start in made.values()]

    def _made(self, wanted: Any, site: Site, beside: nn.Module) -> tuple[nn.Module, str]:
        layer = self.make(wanted, site)
        for place in (beside, self.model):
            like = next((p for p in place.parameters() if p.is_floating_point()), None)
            if like is not None:
                layer.to(like.device, like.dtype)
                break
        layer.train(site.layer.training)
        if not self.warm:
            return layer, ""
        from actzoo.surgery.warm import start_as  # it fits with scipy.optimize: a second to import

        return layer, start_as(layer, site.function)

    def _put(self, parent: nn.Module, name: str, old: nn.Module, new: nn.Module) -> None:
        for kept in _HOOKS:
            if hooks := old.__dict__.get(kept):
                new.__dict__[kept] = hooks  # the same object, so that handles remove from it
        parent._modules[name] = new
        self.undo.append(lambda: parent._modules.__setitem__(name, old))
        # torch's TransformerEncoderLayer remembers that it had a relu, and would not call ours
        if kept_kind := getattr(parent, "activation_relu_or_gelu", 0):
            parent.activation_relu_or_gelu = 0  # type: ignore[assignment]
            self.undo.append(lambda: setattr(parent, "activation_relu_or_gelu", kept_kind))

    def hide(self, sites: list[Site]) -> None:
        """Let calls within a layer not count as those of the module above that calls functions."""
        owners = [m for m in self.model.modules() if SITES in m._modules]
        calling = {id(site.layer) for site in sites if site.key}
        for owner in owners:
            for module in owner.modules():
                if module is not owner and (id(module) in calling or is_activation(module)):
                    self.undo.append(partial(silence, module))
                    listen(module)


def _placed(layer: nn.Module, *sites: Site) -> nn.Module:
    in_place = any(site.in_place for site in sites)
    return InPlace(layer).train(layer.training) if in_place else layer


_HOOKS = (
    "_forward_hooks",
    "_forward_hooks_with_kwargs",
    "_forward_hooks_always_called",
    "_forward_pre_hooks",
    "_forward_pre_hooks_with_kwargs",
    "_backward_hooks",
    "_backward_pre_hooks",
)
