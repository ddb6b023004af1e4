"""The formulas that every test of this folder runs over: the elementwise rows of the zoo."""

from __future__ import annotations

import pytest

ZOO: dict[str, tuple[str, dict[str, object]]] = {
    "identity": ("x", {}),
    "binary_step": ("1 if x >= 0 else 0", {}),
    "relu": ("max(0, x)", {}),
    "leaky_relu": ("x if x > 0 else slope*x", {"slope": 0.01}),
    "relu6": ("min(max(0, x), 6)", {}),
    "hardtanh": ("clip(x, -1, 1)", {}),
    "hard_sigmoid": ("clip(x + 3, 0, 6)/6", {}),
    "hard_swish": ("x*clip(x + 3, 0, 6)/6", {}),
    "elu": ("x if x > 0 else a*expm1(x)", {"a": 1.0}),
    "celu": ("max(0, x) + min(0, a*expm1(x/a))", {"a": 0.75}),
    "selu": (
        "lam*(x if x > 0 else alpha*expm1(x))",
        {"alpha": 1.6732632423543772, "lam": 1.0507009873554805},
    ),
    "sigmoid": ("1/(1 + exp(-x))", {}),
    "log_sigmoid": ("-softplus(-x)", {}),
    "tanh": ("tanh(x)", {}),
    "softplus": ("log(1 + exp(x))", {}),
    "shifted_softplus": ("log(1 + exp(x)) - log(2)", {}),
    "softsign": ("x/(1 + abs(x))", {}),
    "arctan": ("atan(x)", {}),
    "sin": ("sin(w0*x)", {"w0": 30.0}),
    "snake": ("x + sin(a*x)**2/a", {"a": 1.5}),
    "gcu": ("x*cos(x)", {}),
    "gaussian": ("exp(-x**2/(2*a**2))", {"a": 2.0}),
    "gelu": ("x*erfc(-x/sqrt(2))/2", {}),
    "gelu_tanh": ("0.5*x*(1 + tanh(sqrt(2/pi)*(x + 0.044715*x**3)))", {}),
    "quick_gelu": ("x*sigmoid(1.702*x)", {}),
    "silu": ("x/(1 + exp(-x))", {}),
    "swish": ("x*sigmoid(b*x)", {"b": 1.25}),
    "mish": ("x*tanh(log(1 + exp(x)))", {}),
    "tanhexp": ("x*tanh(exp(x))", {}),
    "serf": ("x*erf(softplus(x))", {}),
    "smish": ("x*tanh(log(1 + sigmoid(x)))", {}),
    "logish": ("x*log1p(sigmoid(x))", {}),
    "phish": ("x*tanh(gelu(x))", {}),
    "golu": ("x*exp(-exp(-x))", {}),
    "lisht": ("x*tanh(x)", {}),
    "elish": ("x*sigmoid(x) if x >= 0 else expm1(x)*sigmoid(x)", {}),
    "hard_elish": ("(x if x >= 0 else expm1(x))*clip((x + 1)/2, 0, 1)", {}),
    "squared_relu": ("relu(x)**2", {}),
    "star_relu": ("s*relu(x)**2 + b", {"s": 0.8944, "b": -0.4472}),
    "squareplus": ("(x + sqrt(x**2 + b))/2", {"b": 4.0}),
    "smelu": ("0 if x <= -b else (x + b)**2/(4*b) if x < b else x", {"b": 1.0}),
    "isru": ("x/sqrt(1 + a*x**2)", {"a": 1.0}),
    "isrlu": ("x if x >= 0 else x/sqrt(1 + a*x**2)", {"a": 1.0}),
    "sqnl": ("x - sign(x)*x**2/4 if abs(x) <= 2 else sign(x)", {}),
    "bent_identity": ("(sqrt(x**2 + 1) - 1)/2 + x", {}),
    "softshrink": ("sign(x)*max(abs(x) - l, 0)", {"l": 0.5}),
    "hardshrink": ("x if abs(x) > l else 0", {"l": 0.5}),
    "tanhshrink": ("x - tanh(x)", {}),
    "laplace": ("0.5*(1 + erf((x - m)/(s*sqrt(2))))", {"m": 0.707107, "s": 0.282095}),
    "softexp": (
        "-log(1 - a*(x + a))/a if a < 0 else expm1(a*x)/a + a if a > 0 else x",
        {"a": 0.25},
    ),
    "pelu": ("a/b*x if x >= 0 else a*expm1(x/b)", {"a": 1.0, "b": 1.5}),
    "xielu": (
        "p*x**2 + b*x if x > 0 else n*(expm1(min(x, eps)) - x) + b*x",
        {"p": 0.8, "n": 0.8, "b": 0.5, "eps": -1e-6},
    ),
    "acon_c": ("(p1 - p2)*x*sigmoid(b*(p1 - p2)*x) + p2*x", {"p1": 1.2, "p2": -0.3, "b": 1.0}),
    "srelu": (
        "tr + ar*(x - tr) if x >= tr else tl + al*(x - tl) if x <= tl else x",
        {"tl": -0.5, "al": 0.2, "tr": 1.0, "ar": 0.9},
    ),
    "apl": (
        "max(0, x) + a[0]*max(0, b[0] - x) + a[1]*max(0, b[1] - x)",
        {"a": (0.2, -0.1), "b": (0.5, -1.0)},
    ),
    "pau": (
        "(p[0] + p[1]*x + p[2]*x**2 + p[3]*x**3)/(1 + abs(q[0]*x + q[1]*x**2))",
        {"p": (0.02, 0.5, 1.1, 0.3), "q": (0.25, 1.5)},
    ),
    "kaf": (
        " + ".join(f"a[{i}]*exp(-g*(x - ({-3 + 1.5 * i}))**2)" for i in range(5)),
        {"a": (0.1, -0.2, 0.3, 0.4, -0.5), "g": 0.5},
    ),
    "modrelu": ("sign(x)*relu(abs(x) + b)", {"b": -0.25}),
}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "zoo" in metafunc.fixturenames:
        metafunc.parametrize("zoo", ZOO.values(), ids=ZOO)
