"""Rewriting of formulas into numerically stable forms.

`log(1 + exp(u))` overflows for large u and loses all digits for very negative u; softplus does
neither. Each rewrite is an identity of real functions, so the meaning never changes.
"""

from __future__ import annotations

from collections.abc import Callable

from actzoo.formula.nodes import Node, call, number, operation

_ONE = number(1)
_MINUS_ONE = operation("neg", _ONE)


def stable(node: Node) -> Node:
    """Return the same function with stable functions where a rule applies."""
    if not node.args:
        return node
    args = tuple(stable(arg) for arg in node.args)
    rule = _RULES.get(node.name if node.op == "call" else node.op)
    found: Node | None = rule(*args) if rule else None
    if found is not None:
        return found
    return node._replace(args=args)


def _is_call(node: Node, name: str) -> bool:
    return node.op == "call" and node.name == name


def _negative(node: Node) -> Node:
    return node.args[0] if node.op == "neg" else operation("neg", node)


def _without(terms: tuple[Node, ...], *taken: Node) -> list[Node]:
    left = list(terms)
    for term in taken:
        left.remove(term)
    return left


def _sum(terms: list[Node]) -> Node:
    return terms[0] if len(terms) == 1 else operation("add", *terms)


def _log(u: Node) -> Node | None:
    if u.op == "add" and _ONE in u.args:
        return _log1p(_sum(_without(u.args, _ONE)))
    if _is_call(u, "sigmoid"):
        return operation("neg", call("softplus", _negative(u.args[0])))
    return None


def _log1p(u: Node) -> Node:
    return call("softplus", u.args[0]) if _is_call(u, "exp") else call("log1p", u)


def _add(*terms: Node) -> Node | None:
    """Return a sum with stable forms of exp(u) - 1 and 1 +- erf(u)."""
    for term in terms:
        inner = term.args[0] if term.op == "neg" else term
        if _is_call(term, "exp") and _MINUS_ONE in terms:
            return _sum([call("expm1", term.args[0]), *_without(terms, term, _MINUS_ONE)])
        if _is_call(inner, "erf") and _ONE in terms:
            u = inner.args[0]
            tail = call("erfc", _negative(u) if inner is term else u)
            return _sum([tail, *_without(terms, term, _ONE)])
    return None


def _div(top: Node, bottom: Node) -> Node | None:
    """Return a quotient such as 1/(1 + exp(-u)), with any numerator, by sigmoid."""
    if bottom.op != "add" or len(bottom.args) != 2 or _ONE not in bottom.args:
        return None
    (grown,) = _without(bottom.args, _ONE)
    if not _is_call(grown, "exp"):
        return None
    if top == grown:
        return call("sigmoid", grown.args[0])
    gate = call("sigmoid", _negative(grown.args[0]))
    return gate if top == _ONE else operation("mul", top, gate)


def _pow(base: Node, exponent: Node) -> Node | None:
    if base.op == "name" and base.name == "e":
        return call("exp", exponent)
    return None


_RULES: dict[str, Callable[..., Node | None]] = {
    "log": _log,
    "log1p": _log1p,
    "add": _add,
    "div": _div,
    "pow": _pow,
}
