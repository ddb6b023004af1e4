"""The `Formula` value: the text of a function of `x`, read once and safely."""

from __future__ import annotations

import keyword
from collections.abc import Collection, Mapping, Sequence
from fractions import Fraction
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from actzoo.errors import FormulaError
from actzoo.formula.functions import ALIASES, FUNCTIONS
from actzoo.formula.lexer import normalise
from actzoo.formula.nodes import CONSTANTS, Node, names
from actzoo.formula.parser import parse

if TYPE_CHECKING:
    from collections.abc import Callable

    from actzoo.formula.torch_function import TorchFunction

_T = TypeVar("_T")

# Each vector entry is one symbol, so this bounds the cost of a formula.
MAX_VECTOR = 1000


class Formula:
    """A function of `x` and named parameters, given as text.

    Reading it imports neither SymPy nor PyTorch; each way of using it loads what it needs.
    Formulas are immutable, compare by text and parameters, hash, copy and pickle.

    Attributes:
        text: The formula on one line.
        parameters: Every name that may appear beside `x`, vectors included.
        vectors: The length of each vector parameter; formulas use its entries, as in `a[0]`.
        symbols: The names that the formula uses, including `x`.
    """

    __slots__ = ("_cache", "_root", "parameters", "symbols", "text", "vectors")

    text: str
    parameters: tuple[str, ...]
    vectors: Mapping[str, int]
    symbols: frozenset[str]
    _root: Node
    _cache: dict[Any, Any]

    def __init__(
        self,
        text: str,
        parameters: Collection[str] = (),
        vectors: Mapping[str, int] | None = None,
    ) -> None:
        """Read a formula.

        Args:
            text: For example `"x*tanh(log(1 + exp(x)))"` or `"x if x > 0 else slope*x"`. A
                decimal literal is exact: 0.1 is one tenth.
            parameters: Names that may appear beside `x`.
            vectors: The names of vector parameters, with the number of entries of each.

        Raises:
            FormulaError: The text cannot be read. The message marks the place and says what
                to write instead.
        """
        vectors = dict(vectors or {})
        ordered = sorted(parameters) if isinstance(parameters, (set, frozenset)) else parameters
        given = tuple(dict.fromkeys((*ordered, *vectors)))
        for name in given:
            _check_name(name)
        for name, length in vectors.items():
            if type(length) is not int or not 0 < length <= MAX_VECTOR:
                raise FormulaError(
                    f"vector '{name}' has length {length!r}; expected 1 to {MAX_VECTOR}"
                )
        line = normalise(text)
        root = parse(line, [name for name in given if name not in vectors], vectors)
        fix = object.__setattr__
        fix(self, "text", line)
        fix(self, "parameters", given)
        fix(self, "vectors", MappingProxyType(vectors))
        fix(self, "symbols", names(root))
        fix(self, "_root", root)
        fix(self, "_cache", {})

    @property
    def expr(self) -> Any:
        """The function as an unevaluated SymPy expression with real `x`."""
        from actzoo.formula import symbolic

        return self._once("expr", lambda: symbolic.expression(self._root))

    def derivative(self, order: int = 1) -> Any:
        """Return the derivative of the given order in `x` as a SymPy expression.

        Kinks become cases of a Piecewise, so no Dirac delta appears. At a kink the
        expression takes one of the two sides.
        """
        if type(order) is not int or not 0 <= order <= 4:
            raise ValueError(f"order is a whole number from 0 to 4, not {order!r}")
        from actzoo.formula import symbolic

        return self._once(("derivative", order), lambda: symbolic.derivative(self._root, order))

    def latex(self) -> str:
        """Return the function in LaTeX, as it is written."""
        from actzoo.formula import latex

        return self._once("latex", lambda: latex.function(self._root))

    def derivative_latex(self) -> str:
        """Return the derivative in LaTeX, lightly simplified, with kinks as cases."""
        from actzoo.formula import latex

        return self._once("derivative_latex", lambda: latex.derivative(self._root))

    def kinks(
        self, parameters: Mapping[str, float | Sequence[float]] | None = None
    ) -> tuple[float, ...]:
        """Return the points where a case of the formula ends, sorted, without duplicates.

        These are the candidates for kinks and jumps. They are exact for boundaries that are
        piecewise linear in `x`, such as `x > t`; others (`x**2 > 1`) are not searched.
        """
        from actzoo.formula import kinks

        return kinks.kinks(self._root, self._values(parameters))

    def reference(
        self,
        xs: Sequence[float],
        parameters: Mapping[str, float | Sequence[float]] | None = None,
        order: int = 0,
    ) -> list[Any]:
        """Return the value (order 0) or derivative (1, 2) at exact floats, to 50 proven digits.

        Args:
            xs: Finite points, read as exact binary fractions.
            parameters: A value for every name in use, read as an exact binary fraction.
            order: The order of the derivative with respect to `x`.

        Returns:
            One `mpmath.mpf` for each point. It is nan where the formula is undefined (a pole, the
            logarithm of a negative number) or needs too many bits; `actzoo.formula.proof` lists
            the rules.
        """
        from actzoo.formula import proof

        return proof.reference(self._root, xs, self._values(parameters), order)

    def references(
        self,
        xs: Sequence[float],
        parameters: Mapping[str, float | Sequence[float]] | None = None,
    ) -> list[tuple[Any, Any, Any]]:
        """Return value, first and second derivative at each point, as in `reference`."""
        from actzoo.formula import proof

        return proof.references(self._root, xs, self._values(parameters))

    def torch_function(self) -> TorchFunction:
        """Return the formula as a function of a tensor `x` and keyword parameters."""
        from actzoo.formula.torch_function import TorchFunction

        return TorchFunction(self)

    @property
    def tree(self) -> Node:
        """The parsed formula."""
        return self._root

    def _once(self, key: Any, make: Callable[[], _T]) -> _T:
        if key not in self._cache:
            self._cache[key] = make()
        made: _T = self._cache[key]
        return made

    def _values(
        self, parameters: Mapping[str, float | Sequence[float]] | None
    ) -> dict[str, Fraction | Sequence[Fraction]]:
        """Return exact values of the names in use."""
        given = parameters or {}
        unknown = [name for name in given if name not in self.parameters]
        if unknown:
            raise FormulaError(
                f"formula '{self.text}' has no parameter '{unknown[0]}'; "
                f"it has: {', '.join(self.parameters) or 'none'}"
            )
        values: dict[str, Fraction | Sequence[Fraction]] = {}
        for name in self.parameters:
            if name not in self.symbols:
                continue
            if name not in given:
                raise FormulaError(f"formula '{self.text}' needs a value for '{name}'")
            value: Any = given[name]
            if name in self.vectors:
                entries = list(value)
                if len(entries) != self.vectors[name]:
                    raise FormulaError(
                        f"'{name}' has {self.vectors[name]} entries, {len(entries)} were given"
                    )
                values[name] = [_exact(name, entry) for entry in entries]
            else:
                values[name] = _exact(name, value)
        return values

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Formula):
            return NotImplemented
        return self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def _key(self) -> tuple[Any, ...]:
        return self.text, self.parameters, tuple(self.vectors.items())

    def __repr__(self) -> str:
        parts = [repr(self.text)]
        if self.parameters:
            parts.append(f"parameters={self.parameters!r}")
        if self.vectors:
            parts.append(f"vectors={dict(self.vectors)!r}")
        return f"Formula({', '.join(parts)})"

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"a Formula is immutable; '{name}' cannot be set")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"a Formula is immutable; '{name}' cannot be deleted")

    def __reduce__(self) -> tuple[Any, ...]:
        return Formula, (self.text, self.parameters, dict(self.vectors))


def _exact(name: str, value: Any) -> Fraction:
    try:
        return value if isinstance(value, Fraction) else Fraction(float(value))
    except (TypeError, ValueError, OverflowError):
        raise FormulaError(f"'{name}' is {value!r}; expected a finite number") from None


def _check_name(name: object) -> None:
    if not isinstance(name, str) or not name.isascii() or not name.isidentifier():
        raise FormulaError(f"{name!r} cannot name a parameter; expected letters, digits and _")
    taken = {"x": "the variable", **dict.fromkeys(CONSTANTS, "a constant")}
    taken |= dict.fromkeys((*FUNCTIONS, *ALIASES), "a function")
    if keyword.iskeyword(name):
        taken[name] = "a word of the language"
    if name in taken:
        raise FormulaError(f"a parameter cannot be called '{name}': that is {taken[name]}")
