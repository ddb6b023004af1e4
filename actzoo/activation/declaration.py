"""`Activation`, a frozen value with definition, derivative, claims and source."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from types import MappingProxyType
from typing import Any, Literal, get_args

from torch import Tensor

from actzoo.activation import analysis
from actzoo.activation.claims import Claims
from actzoo.activation.functions import Derivative, Value, complete
from actzoo.activation.module import ActivationModule
from actzoo.activation.ranges import Range, check
from actzoo.activation.variant import base_of, formula_with, is_formula, name_with
from actzoo.errors import DeclarationError, FormulaError
from actzoo.formula import Formula
from actzoo.formula.inputs import real

Scope = Literal["layer", "channel"]
Kind = Literal["elementwise", "channelwise", "dimwise", "gated"]
Role = Literal["hidden", "output", "both"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Activation:
    """An activation function with all its facts in one declaration.

    Call it on a tensor. `derivative(x)` gives its slope and `module()` an `nn.Module`.

    Attributes:
        name: Its name in lower_snake_case, for `actzoo.get`. The name of a variant made by
            `with_parameters` includes the values: `leaky_relu(slope=0.2)`, or of a formula
            `x*sigmoid(b*x), b=2.0`.
        aliases: Other names; look-up ignores case, `-` and `_`.
        formula: The definition as text in `x` and the parameters, e.g. `"x/(1 + exp(-x))"`.
            None if there is no closed form; `fn` and `latex` are then needed.
        latex: LaTeX of the definition if there is no formula.
        fn: Torch function of `(x, **parameters)`, numerically stable. Scalar parameters
            arrive as floats or tensors that broadcast against x, vectors as tensors whose
            last dimension is the vector. By default it is made from the formula.
        derivative: Torch function like `fn` for f'(x). By default it is autograd of `fn`. On
            an Activation, `derivative(x)` also fills in the declared parameters.
        parameters: Names and initial values of the parameters.
        learnable: Which of them train, and whether one per "layer" or one per "channel".
        ranges: The allowed values of parameters, as intervals in text: `"(0, inf)"`, `"[0, 1]"`,
            `"[low, inf)"` with another parameter as its end, `"integers in [1, inf)"`. A given
            number outside raises; a learnt value outside is replaced by the nearest end.
            Without a range any finite number is allowed.
        kind: "elementwise", "channelwise" (elementwise with something learnable per
            channel; set by itself), "dimwise" (softmax) or "gated" (glu).
        out_channels: For "gated": function of `(channels, **parameters)` that returns the
            number of output channels; raises DeclarationError if they do not divide.
        training_fn: Function like `fn` that the module uses in training mode (rrelu draws
            random slopes); the module uses `fn` in evaluation mode.
        takes_complex: Whether `fn` accepts complex tensors. `derivative` always refuses them,
            since f' here is the real derivative.
        role: Its place in a model: "hidden" layers, the "output", or "both".
        task: The task of an output activation.
        claims: Tested claims about it.
        problems: Known problems of the function, for users.
        known_failures: Checks that it is known to fail, by name ("value-float16"), each with
            the reason.
        reference: Its source: author, year, arXiv id.

    Raises:
        DeclarationError: The declaration contradicts itself.
    """

    name: str
    aliases: tuple[str, ...] = ()
    formula: str | None = None
    latex: str | None = None
    fn: Callable[..., Tensor] = None  # type: ignore[assignment]  # filled in below
    derivative: Callable[..., Tensor] = None  # type: ignore[assignment]  # filled in below
    parameters: Mapping[str, Value] = field(default_factory=dict)
    learnable: Mapping[str, Scope] = field(default_factory=dict)
    ranges: Mapping[str, str] = field(default_factory=dict)
    kind: Kind = "elementwise"
    out_channels: Callable[..., int] | None = None
    training_fn: Callable[..., Tensor] | None = None
    takes_complex: bool = False
    role: Role = "hidden"
    task: str = ""
    claims: Claims = field(default_factory=Claims)
    problems: str = ""
    known_failures: Mapping[str, str] = field(default_factory=dict)
    reference: str = ""

    def __post_init__(self) -> None:
        put = object.__setattr__
        put(self, "parameters", MappingProxyType(_plain(self.parameters)))
        put(self, "ranges", MappingProxyType(dict(self.ranges)))
        put(self, "learnable", MappingProxyType(dict(self.learnable)))
        put(self, "known_failures", MappingProxyType(dict(self.known_failures)))
        if self.kind == "elementwise" and "channel" in self.learnable.values():
            put(self, "kind", "channelwise")
        self._validate()
        if self.fn is None:
            put(self, "fn", self.parsed().torch_function())
        declared: Callable[..., Tensor] | None = self.derivative
        if isinstance(declared, Derivative):
            declared = declared.declared
        allowed = self.allowed()
        put(self, "derivative", Derivative(self.fn, declared, self.parameters, self.name, allowed))

    def allowed(self) -> dict[str, Range]:
        """Return the intervals of `ranges` as values."""
        return {name: Range.read(text) for name, text in self.ranges.items()}

    def _validate(self) -> None:
        def refuse(reason: str) -> DeclarationError:
            return DeclarationError(f"activation {self.name!r}: {reason}")

        if not isinstance(self.name, str) or not self.name or not self.name.isprintable():
            raise refuse("the name must be a printable, non-empty text")
        for choice, allowed in ((self.kind, Kind), (self.role, Role)):
            if choice not in get_args(allowed):
                raise refuse(f"{choice!r} is none of {', '.join(get_args(allowed))}")
        if (self.kind == "gated") != (self.out_channels is not None):
            raise refuse("out_channels goes with kind='gated', and with no other")
        if self.formula is None and (self.fn is None or self.latex is None):
            raise refuse("without a formula it needs both fn and latex")
        for name, value in self.parameters.items():
            if not name.isidentifier() or name == "x":
                raise refuse(f"{name!r} cannot name a parameter")
            numbers = value if isinstance(value, tuple) else (value,)
            if not numbers or not all(_is_number(v) for v in numbers):
                raise refuse(f"parameter {name}={value!r} is neither a number nor a tuple of them")
        for name, scope in self.learnable.items():
            if name not in self.parameters:
                raise refuse(f"learnable {name!r} is not among its parameters")
            if scope not in get_args(Scope):
                raise refuse(f"learnable {name}={scope!r} is neither 'layer' nor 'channel'")
        self._validate_ranges(refuse)
        if self.formula is not None:
            try:
                self.parsed()
            except FormulaError as error:
                raise refuse(str(error)) from None

    def _validate_ranges(self, refuse: Callable[[str], DeclarationError]) -> None:
        try:
            allowed = self.allowed()
        except DeclarationError as error:
            raise refuse(str(error)) from None
        for name, one in allowed.items():
            for other in (name, *one.names()):
                if other not in self.parameters:
                    raise refuse(f"the range of {other!r}, which is not among its parameters")
            if name in self.learnable and not one.can_clamp():
                raise refuse(
                    f"learnable {name!r} has the range {one.text}; a learnt value is held at its "
                    f"ends, so each must be infinite or a number that belongs to it"
                )
        check(base_of(self.name, self.parameters), self.parameters, self.parameters, allowed)

    def parsed(self) -> Formula:
        """Return the formula as a `Formula`, for LaTeX, derivatives and exact values.

        Raises:
            DeclarationError: It has no formula.
        """
        if self.formula is None:
            raise DeclarationError(f"activation {self.name!r} has no formula")
        vectors = {n: len(v) for n, v in self.parameters.items() if isinstance(v, tuple)}
        return Formula(self.formula, parameters=tuple(self.parameters), vectors=vectors)

    def __call__(self, x: Tensor, **parameters: Tensor | Value) -> Tensor:
        """Return f(x), with the declared parameters where none are given.

        Whole numbers and bools are converted to torch's default dtype.

        Raises:
            UsageError: x is not a tensor of real numbers.
            DeclarationError: A parameter is outside its range.
        """
        x = self.domain(x)
        allowed = self.derivative.ranges  # type: ignore[attr-defined]
        return self.fn(x, **complete(self.name, x, self.parameters, parameters, allowed))

    def domain(self, x: Tensor) -> Tensor:
        """Return x for `fn`, with whole numbers and bools in torch's default dtype.

        Raises:
            UsageError: x is not a tensor, or is complex and `fn` takes no complex tensors.
        """
        if self.takes_complex and isinstance(x, Tensor) and x.is_complex():
            return x
        tensor: Tensor = real(x, self.name)
        return tensor

    def __repr__(self) -> str:
        return f"Activation({self.name!r})"

    def __deepcopy__(self, memo: dict[int, Any]) -> Activation:
        return self  # a frozen value needs no copy

    def __reduce__(self) -> tuple[Any, ...]:
        # Mapping proxies do not pickle, so the declaration is pickled as plain dicts.
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        values["derivative"] = self.derivative.declared  # type: ignore[attr-defined]
        for name in ("parameters", "learnable", "ranges", "known_failures"):
            values[name] = dict(values[name])
        return _rebuild, (values,)

    def with_parameters(self, **values: Value) -> Activation:
        """Return the same function with other parameters: `leaky_relu.with_parameters(slope=0.2)`.

        Claims are about the declared values only, so a variant has none.

        Raises:
            DeclarationError: There is no parameter of that name, or the parameter cannot have
                the value.
        """
        unknown = sorted(set(values) - set(self.parameters))
        if unknown:
            has = ", ".join(f"{n}={v}" for n, v in self.parameters.items()) or "none"
            raise DeclarationError(
                f"{self.name} has no parameter {unknown[0]!r}; its parameters: {has}"
            )
        base = base_of(self.name, self.parameters)
        for name, value in values.items():
            self._compare_with_declared(f"{base}: {name}={value!r}", value, self.parameters[name])
        if all(self.parameters[name] == value for name, value in values.items()):
            return self
        parts = {f.name: getattr(self, f.name) for f in fields(self)}
        merged = {**self.parameters, **_plain(values)}
        check(base, values, merged, self.allowed())
        name = name_with(base, merged)
        if is_formula(self.name, self.formula, self.parameters, self.learnable):
            merged = {n: _as_floats(v) for n, v in merged.items()}
            name = formula_with(str(self.formula), merged, self.learnable)
        parts.update(name=name, aliases=(), parameters=merged, claims=Claims())
        return Activation(**parts)

    def _compare_with_declared(self, what: str, value: Any, declared: Value) -> None:
        """Raise for a vector in place of a number, the reverse, or another vector length."""
        numbers = value if isinstance(value, tuple) else (value,)
        if not all(_is_number(v) for v in numbers):
            raise DeclarationError(f"{what} is not a number")
        if not isinstance(declared, tuple):
            if isinstance(value, tuple):
                raise DeclarationError(f"{what}; expected one number, such as {declared}")
        elif not isinstance(value, tuple) or (
            self.formula is not None and len(value) != len(declared)
        ):
            raise DeclarationError(f"{what}; expected a tuple of {len(declared)} numbers")

    def channels_after(self, channels: int) -> int:
        """Return the number of output channels. Only a gated activation changes the number.

        Raises:
            DeclarationError: A gated activation cannot divide this number of channels.
        """
        if self.out_channels is None:
            return channels
        return self.out_channels(channels, **self.parameters)

    def gain(self) -> float:
        """Return the factor that keeps the second moment of a unit Gaussian: 1/√E[f(z)²].

        Initialise the following weights with standard deviation gain/√fan_in. The gain is
        computed by quadrature to about eight digits; it is √2 for ReLU.

        Raises:
            DeclarationError: The activation is not elementwise, or E[f(z)²] is 0 or not finite.
        """
        self._must_be_elementwise("gain")
        value = analysis.gain(self)
        if value is None:
            raise DeclarationError(f"{self.name} has no gain: E[f(z)^2] is 0 or not finite")
        return value

    @property
    def lipschitz(self) -> float:
        """Return the least L with |f(x) - f(y)| ≤ L |x - y|, numerically; inf if there is none.

        Raises:
            DeclarationError: The activation is not elementwise.
        """
        self._must_be_elementwise("Lipschitz constant")
        places = [place for place, _ in self.claims.kinks]
        if self.formula is not None:
            places += self.parsed().kinks(self.parameters)
        return analysis.lipschitz(self, self.derivative, places)

    def _must_be_elementwise(self, what: str) -> None:
        if self.kind not in ("elementwise", "channelwise"):
            raise DeclarationError(f"{self.name} is {self.kind}: it has no {what} of its own")

    def module(
        self, channels: int | None = None, keep: Literal["x", "8bit"] = "x"
    ) -> ActivationModule:
        """Return an `nn.Module` that owns the learnable parameters.

        Args:
            channels: The size of dimension 1 of its input; needed for parameters that are
                learnable per channel.
            keep: What is kept for the backward pass: "x", or "8bit" for its slope in 256 levels,
                a quarter of x in float32. A piecewise linear function that is one operator of
                torch, such as relu, is left to that, which keeps what the next layer keeps too.

        Raises:
            KernelError: 8 bits cannot hold its slopes; says why.
        """
        return ActivationModule(self, channels, keep)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _as_floats(value: Value) -> Value:
    """Return numbers as `actzoo.get` reads them in a formula."""
    return tuple(map(float, value)) if isinstance(value, tuple) else float(value)


def _plain(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters, with ints that are too large for torch as floats."""

    def plain(value: Any) -> Any:
        if isinstance(value, tuple):
            return tuple(map(plain, value))
        if isinstance(value, int) and abs(value) > 2**53:
            try:
                return float(value)
            except OverflowError:
                return value  # refused as not finite
        return value

    return {name: plain(value) for name, value in parameters.items()}


def _rebuild(values: dict[str, Any]) -> Activation:
    return Activation(**values)
