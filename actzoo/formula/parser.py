"""The parser: from formula text to a tree, by walking Python's `ast` with a whitelist.

Neither Python nor SymPy evaluates anything. The parser checks all size limits, so that later
steps are cheap for every formula it accepts.
"""

from __future__ import annotations

import ast
from collections.abc import Collection, Mapping
from fractions import Fraction
from typing import NoReturn

from actzoo.formula import lexer
from actzoo.formula.functions import ALIASES, FUNCTIONS
from actzoo.formula.lexer import complain
from actzoo.formula.nodes import CONSTANTS, Node, call, number, operation, walk

MAX_DEPTH = 60
MAX_SIZE = 3000
MAX_POWER = 100
MAX_POWER_NESTING = 3
MAX_ROOT = 1000
MAX_DIGITS_OF_POWER = 1000
MAX_DIGITS_IN_ALL = 4000
MAX_FOLDED = 10**120

_BINARY: dict[type[ast.operator], str] = {ast.Mult: "mul", ast.Div: "div"}
_COMPARE: dict[type[ast.cmpop], str] = {ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">="}
_CONDITIONS = frozenset(("<", "<=", ">", ">=", "and", "or"))


def parse(text: str, scalars: Collection[str], vectors: Mapping[str, int]) -> Node:
    """Return the tree of one formula.

    Args:
        text: One line, as `lexer.normalise` returns it.
        scalars: Names that may appear beside `x`.
        vectors: Names that take a subscript, and their lengths.

    Raises:
        FormulaError: The text is not a formula. The message has a caret under the error.
    """
    lexer.check(text)
    try:
        tree = lexer.read_python(text)
    except SyntaxError as error:
        position = (error.offset or 1) - 1
        reason = (error.msg or "invalid syntax").split(".")[0]
        complain(text, position, reason, "expected an expression such as 'x if x > 0 else 0.1*x'")
    except (ValueError, RecursionError, MemoryError):
        complain(text, 0, "it is nested too deeply", f"at most {MAX_DEPTH} levels are read")
    walker = _Walker(text, scalars, vectors)
    root = walker.value(tree, 0)
    if _digits(root) > MAX_DIGITS_IN_ALL:
        complain(text, 0, "its literals are too long", "write them with fewer digits")
    return root


class _Walker:
    """A converter from `ast` nodes to `Node`, which refuses all other syntax."""

    def __init__(self, text: str, scalars: Collection[str], vectors: Mapping[str, int]) -> None:
        self.text = text
        self.scalars = scalars
        self.vectors = vectors

    def value(self, tree: ast.expr, depth: int) -> Node:
        """Return the node of an expression, which must be a number."""
        node = self.visit(tree, depth)
        if node.op in _CONDITIONS:
            self.fail(
                tree,
                "a comparison is not a number",
                "use it as a condition: 'x if x > 0 else 0', or step(x) for 0 and 1",
            )
        return node

    def condition(self, tree: ast.expr, depth: int) -> Node:
        """Return the node of an expression, which must be true or false."""
        node = self.visit(tree, depth)
        if node.op not in _CONDITIONS:
            self.fail(tree, "expected a comparison", "compare with <, <=, > or >=, as in x > 0")
        return node

    def visit(self, tree: ast.expr, depth: int) -> Node:
        if depth > MAX_DEPTH:
            self.fail(tree, "it is nested too deeply", f"at most {MAX_DEPTH} levels are read")
        node = self.build(tree, depth + 1)
        if node.size > MAX_SIZE:
            self.fail(
                tree,
                "it is too large once its cases are written out",
                f"at most {MAX_SIZE} parts are read; give a Python function instead",
            )
        return node

    def build(self, tree: ast.expr, depth: int) -> Node:
        if isinstance(tree, ast.Name):
            return self.name(tree)
        if isinstance(tree, ast.Constant):
            return self.literal(tree)
        if isinstance(tree, ast.BinOp):
            return self.binary(tree, depth)
        if isinstance(tree, ast.Call):
            return self.call(tree, depth)
        if isinstance(tree, ast.UnaryOp):
            if isinstance(tree.op, ast.USub):
                return operation("neg", self.value(tree.operand, depth))
            if isinstance(tree.op, ast.UAdd):
                return self.value(tree.operand, depth)
        if isinstance(tree, ast.IfExp):
            return operation(
                "if",
                self.condition(tree.test, depth),
                self.value(tree.body, depth),
                self.value(tree.orelse, depth),
            )
        if isinstance(tree, ast.Compare):
            return self.compare(tree, depth)
        if isinstance(tree, ast.BoolOp):
            op = "and" if isinstance(tree.op, ast.And) else "or"
            return operation(op, *(self.condition(part, depth) for part in tree.values))
        if isinstance(tree, ast.Subscript):
            return self.item(tree)
        what = "a comma" if isinstance(tree, ast.Tuple) else "this"
        self.fail(tree, f"{what} is not part of a formula", "expected one expression in x")

    def name(self, tree: ast.Name) -> Node:
        name = tree.id
        if name == "x" or name in CONSTANTS or name in self.scalars:
            return Node("name", name=name)
        if name in self.vectors:
            self.fail(tree, f"'{name}' is a vector", f"give it a subscript: {name}[0]")
        if name in FUNCTIONS or name in ALIASES:
            self.fail(tree, f"'{name}' is a function", f"call it: {name}(x)")
        known = ["x", *self.scalars, *self.vectors, *CONSTANTS]
        close = _closest(name, known)
        hint = f"did you mean '{close}'? Otherwise " if close else ""
        self.fail(
            tree,
            f"unknown symbol '{name}'",
            f"{hint}give it a value: '{self.text}, {name}=1' (or {name}=layer(1), which trains)",
        )

    def literal(self, tree: ast.Constant) -> Node:
        # Read from the text, not from Python's float, so that 0.1 means a tenth exactly.
        source = self.text[tree.col_offset : tree.end_col_offset]
        if isinstance(tree.value, bool) or not isinstance(tree.value, (int, float)):
            self.fail(tree, f"{source} is not a number", "expected a decimal number such as 0.5")
        return Node("number", value=Fraction(source))

    def binary(self, tree: ast.BinOp, depth: int) -> Node:
        if isinstance(tree.op, (ast.Add, ast.Sub)):
            return self.sum(tree, depth)
        if isinstance(tree.op, ast.Pow):
            return self.power(tree, depth)
        op = _BINARY.get(type(tree.op))
        if op is None:
            self.fail(tree.right, "this operator is not part of a formula", "use + - * / **")
        return operation(op, self.value(tree.left, depth), self.value(tree.right, depth))

    def sum(self, tree: ast.BinOp, depth: int) -> Node:
        """Return a chain of + and - as one node, so that a long sum is not deeply nested."""
        terms: list[Node] = []
        current: ast.expr = tree
        while isinstance(current, ast.BinOp) and isinstance(current.op, (ast.Add, ast.Sub)):
            term = self.value(current.right, depth)
            terms.append(operation("neg", term) if isinstance(current.op, ast.Sub) else term)
            current = current.left
        terms.append(self.value(current, depth))
        return operation("add", *reversed(terms))

    def power(self, tree: ast.BinOp, depth: int) -> Node:
        base = self.value(tree.left, depth)
        exponent = self.value(tree.right, depth)
        node = operation("pow", base, exponent)
        if _power_nesting(node) > MAX_POWER_NESTING:
            self.fail(
                tree.right, "powers nested too deeply", f"at most {MAX_POWER_NESTING} are read"
            )
        if not _varies(exponent):
            value = _fold(exponent)
            if value is None:
                self.fail(
                    tree.right,
                    "this constant exponent is too complicated",
                    "expected a number or a fraction such as 2, 0.5 or 1/3",
                )
            if abs(value) > MAX_POWER or value.denominator > MAX_ROOT:
                self.fail(tree.right, "this exponent is too large", f"at most {MAX_POWER} are read")
            node = operation("pow", base, number(value))
            if _digits(node) > MAX_DIGITS_OF_POWER:
                self.fail(tree.right, "this power is too large", "write a smaller exponent")
        return node

    def call(self, tree: ast.Call, depth: int) -> Node:
        if not isinstance(tree.func, ast.Name):
            self.fail(tree.func, "only named functions are called", "write * for a product")
        name = ALIASES.get(tree.func.id, tree.func.id)
        function = FUNCTIONS.get(name)
        if function is None:
            self.unknown_function(tree.func)
        if tree.keywords:
            self.fail(tree, "arguments have no names here", f"write {name}(x)")
        fewest, most = function.fewest, function.most
        if len(tree.args) < fewest or (most is not None and len(tree.args) > most):
            wanted = f"{fewest}" if most == fewest else f"at least {fewest}"
            self.fail(
                tree,
                f"{name} was given {len(tree.args)} arguments",
                f"expected {wanted}: {function.usage or f'{name}(x)'}",
            )
        return call(name, *(self.value(arg, depth) for arg in tree.args))

    def unknown_function(self, tree: ast.Name) -> NoReturn:
        name = tree.id
        if name == "x" or name in CONSTANTS or name in self.scalars or name in self.vectors:
            self.fail(tree, f"'{name}' is no function", f"write * for a product: {name}*(...)")
        close = _closest(name, [*FUNCTIONS, *ALIASES])
        hint = f"did you mean '{close}'? " if close else ""
        self.fail(
            tree, f"unknown function '{name}'", f"{hint}functions are: {', '.join(FUNCTIONS)}"
        )

    def compare(self, tree: ast.Compare, depth: int) -> Node:
        sides = [self.value(side, depth) for side in (tree.left, *tree.comparators)]
        links: list[Node] = []
        for index, kind in enumerate(tree.ops):
            op = _COMPARE.get(type(kind))
            if op is None:
                self.fail(tree, "this comparison is not part of a formula", "use <, <=, > or >=")
            links.append(operation(op, sides[index], sides[index + 1]))
        return links[0] if len(links) == 1 else operation("and", *links)

    def item(self, tree: ast.Subscript) -> Node:
        if not isinstance(tree.value, ast.Name) or tree.value.id not in self.vectors:
            known = ", ".join(self.vectors) or "none"
            self.fail(tree, "only a vector takes a subscript", f"vectors here: {known}")
        name, length = tree.value.id, self.vectors[tree.value.id]
        index = tree.slice
        if not isinstance(index, ast.Constant) or type(index.value) is not int:
            self.fail(index, "a subscript is a literal", f"write {name}[0] to {name}[{length - 1}]")
        if not 0 <= index.value < length:
            self.fail(
                index,
                f"'{name}' has {length} entries",
                f"expected {name}[0] to {name}[{length - 1}]",
            )
        return Node("item", name=name, entry=index.value)

    def fail(self, tree: ast.expr, problem: str, advice: str) -> NoReturn:
        complain(self.text, tree.col_offset, problem, advice)


def _closest(name: str, known: list[str]) -> str | None:
    import difflib  # Only needed after a mistake.

    found = difflib.get_close_matches(name.lower(), known, n=1)
    return found[0] if found else None


def _varies(node: Node) -> bool:
    return any(part.name and part.name not in CONSTANTS for part in walk(node) if part.op != "call")


def _power_nesting(node: Node) -> int:
    inside = max(map(_power_nesting, node.args), default=0)
    return inside + (node.op == "pow")


def _digits(node: Node) -> float:
    """Return a bound on the digits of a tree's integers after powers are multiplied out."""
    if node.op == "number":
        # 0.30103 is log10(2).
        return max(abs(node.value.numerator), node.value.denominator).bit_length() * 0.30103
    if node.op == "pow" and node.args[1].op == "number":
        return _digits(node.args[0]) * float(abs(node.args[1].value))
    return sum(map(_digits, node.args))


def _fold(node: Node) -> Fraction | None:
    """Return the exact value of an exponent made of literals and + - * /, or None."""
    if node.op == "number":
        return node.value
    if node.op not in ("neg", "add", "mul", "div"):
        return None
    values = [_fold(arg) for arg in node.args]
    exact = [value for value in values if value is not None]
    if len(exact) < len(values):
        return None
    # Literals are short, and this keeps combinations of them short.
    if any(max(abs(v.numerator), v.denominator) > MAX_FOLDED for v in exact):
        return None
    if node.op == "neg":
        return -exact[0]
    if node.op == "add":
        return sum(exact, Fraction(0))
    if node.op == "mul":
        return exact[0] * exact[1]
    return exact[0] / exact[1] if exact[1] else None
