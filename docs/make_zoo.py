"""Writes docs/zoo.md and its pictures from the registry: `python docs/make_zoo.py`.

`--check` says whether zoo.md is what the registry would write now, and writes nothing.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure

from actzoo.activation import Activation
from actzoo.checks import NAMES
from actzoo.checks.runner import tasks
from actzoo.plugins.registry import default
from actzoo.summary import describe

HERE = Path(__file__).parent
PAGE = HERE / "zoo.md"
COLUMNS = 4
HALF_RANGE = 4.0
SHOWN = (
    "parameters", "ranges", "learnable", "kind", "role", "range", "limits", "monotone", "symmetry",
    "smoothness", "kinks", "gain", "lipschitz",
)  # fmt: skip

HEAD = """\
# The zoo

{count} activations in {families} families, written from the registry by `docs/make_zoo.py`. Every
value, derivative and claim below is held to the numerics contract by `actzoo check`: {checks} named
checks, the numeric ones in float64, float32, bfloat16 and float16, against the formula at 50 proven
digits. That is {tasks} results, a check counting once in each dtype; the {known} entries under
*Known failures* say which of them fail, and why.

Pictures show f (solid) and f' (dashed) for x in [-4, 4] with the parameters given here.

*Gain* is 1/√E[f(z)²] for a unit Gaussian z: the factor that keeps the second moment through a
layer, beside torch's own where it has one. torch takes 5/3 for tanh, which is not that number.
*Lipschitz* is sup |f'|.

{contents}

## Where the texts this project comes from differ

- Bansal 2022 (arXiv:2202.12065) and the two articles beside it leave ReLU'(0) open or take 1 (one
  writes the derivative as 1 for x ≥ 0). Ours is 0, as torch's.
- One article gives SELU's derivative as λ(f + α) for x < 0, with f the SELU itself: f already
  contains λ, so it counts λ twice. Right is f + λα = λα·exp(x).
- LeakyReLU is written with slopes 0.1 and 0.2 there. Maas et al. 2013 use 0.01, which is our
  default; `leaky_relu(slope=0.2)` is the other.
- The perceptron's derivative at 0 is left open there; ours is 0, so that it is 0 everywhere.

## Known failures

{failures}
"""


def families() -> dict[str, list[Activation]]:
    """The built-in activations by family, both in alphabetical order."""
    found: dict[str, list[Activation]] = {}
    for activation, origin in default().activations.entries:
        if origin.distribution == "actzoo":
            found.setdefault(origin.plugin, []).append(activation)
    return {name: sorted(found[name], key=lambda a: a.name) for name in sorted(found)}


def page() -> str:
    """The whole of zoo.md."""
    zoo = families()
    contents = "\n".join(
        f"- [{name}](#the-{name}-family): {', '.join(f'[{a.name}](#{a.name})' for a in members)}"
        for name, members in zoo.items()
    )
    every = [a for members in zoo.values() for a in members]
    failures = [
        f"- `{a.name}`, {check}: {reason}"
        for a in every
        for check, reason in a.known_failures.items()
    ]
    head = HEAD.format(
        count=len(every),
        families=len(zoo),
        checks=len(NAMES),
        tasks=sum(len(list(tasks(a))) for a in every),
        known=len(failures),
        contents=contents,
        failures="\n".join(failures) or "None.",
    )
    parts = [head]
    for name, members in zoo.items():
        parts.append(f"## The {name} family\n")
        if any(map(is_drawn, members)):
            parts.append(f"![The functions of the family {name}](zoo/{name}.png)\n")
        parts.extend("\n".join(entry(a)) + "\n" for a in members)
    return "\n".join(parts).rstrip() + "\n"


def entry(activation: Activation) -> Iterator[str]:
    """One activation's part of the page."""
    facts = describe(activation)
    yield f"### {activation.name}\n"
    if activation.aliases:
        yield f"Also {', '.join(f'`{alias}`' for alias in activation.aliases)}.\n"
    formula = activation.parsed() if activation.formula is not None else None
    latex = formula.latex() if formula else activation.latex
    yield f"```math\nf(x) = {for_github(latex)}\n```\n"
    if formula:
        yield f"```math\nf'(x) = {for_github(formula.derivative_latex())}\n```\n"
        yield f"`{activation.formula}`\n"
    for key in SHOWN:
        if facts.get(key) not in (None, "", [], {}):
            yield f"- {key}: {words(facts[key])}"
    if activation.problems:
        yield f"- to know: {activation.problems}"
    yield f"- source: {activation.reference or 'none'}"


def for_github(latex: str | None) -> str:
    """LaTeX that GitHub's renderer takes."""
    return (latex or "").replace(r"\operatorname", r"\mathrm")


def words(value: Any) -> str:
    """A fact as text."""
    if isinstance(value, dict):
        return ", ".join(f"{k} = {words(v)}" for k, v in value.items())
    if isinstance(value, tuple):
        return f"({', '.join(f'{v:g}' for v in value)})"
    return "; ".join(map(str, value)) if isinstance(value, list) else str(value)


def is_drawn(activation: Activation) -> bool:
    """Whether it is a function of one variable."""
    return activation.kind in ("elementwise", "channelwise")


def draw(members: list[Activation]) -> Figure:
    """A picture of a family: one small panel a function."""
    drawn = [a for a in members if is_drawn(a)]
    rows = -(-len(drawn) // COLUMNS)
    figure = Figure(figsize=(8, 1.9 * rows), dpi=100, layout="constrained")
    panels = figure.subplots(rows, COLUMNS, squeeze=False).flatten()
    x = torch.linspace(-HALF_RANGE, HALF_RANGE, 401, dtype=torch.float64)
    for activation, axes in zip(drawn, panels, strict=False):
        axes.axhline(0, color="0.85", linewidth=0.8)
        axes.axvline(0, color="0.85", linewidth=0.8)
        axes.plot(x, activation(x).detach(), color="#0072B2", linewidth=1.8)
        slope = activation.derivative(x).detach()
        axes.plot(x, slope, color="#D55E00", linewidth=1.2, linestyle="--")
        axes.set_title(activation.name, fontsize=9)
        axes.tick_params(labelsize=7)
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
    for axes in panels[len(drawn) :]:
        axes.set_visible(False)
    return figure


def main() -> None:
    """Write the page, or check it."""
    if "--check" in sys.argv:
        sys.exit(PAGE.read_text(encoding="utf-8") != page())
    (HERE / "zoo").mkdir(exist_ok=True)
    for name, members in families().items():
        if any(map(is_drawn, members)):
            draw(members).savefig(HERE / "zoo" / f"{name}.png", metadata={"Software": None})
    PAGE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
