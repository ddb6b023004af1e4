"""Writes the reports on the paper and the measured parts of its page: `python docs/make_paper.py`.

Everything comes from the cells stored under reports/paper, reports/paper-whole,
reports/paper-choices and reports/paper-future. `--page` leaves the reports as they are, and
`--check` says whether docs/reproducing-the-paper.md is what would be written now.
"""

from __future__ import annotations

import itertools
import re
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from actzoo.report.markdown import write_merged, write_report
from actzoo.report.reading import read_study
from actzoo.report.statistics import Interval, r_squared, t_interval, total_variation
from actzoo.report.text import UNKNOWN, code, ends, listed, number, percent, plural, signed, table
from actzoo.report.verdicts import differences
from actzoo.report.view import Floats, Group, Variant

HERE = Path(__file__).parent
PAGE = HERE / "reproducing-the-paper.md"
REPORTS = HERE.parent / "reports"
PAPER = REPORTS / "paper"
CHOICES = REPORTS / "paper-choices"
FUTURE = REPORTS / "paper-future"
CHANGED = {
    "w-scale": "w starts ten times as large (control `w-scale`)",
    "equal-start": "every w starts at 1 (control `equal-start`)",
    "softmax": "rule `softmax`",
    "batch-32": "batch size 32",
    "batch-512": "batch size 512",
}
"""What differs from the run as it is: controls of it, then runs in folders of that name."""
TITLES = {
    "digits": "digits",
    "cifar10": "CIFAR-10, compressed again as JPEG",
    "friedman1": "friedman1",
}
PRODUCTS = ("digits", "friedman1")
LARGEST = 4
NEAR = (1e-2, 1e-4, 1e-8)


def parts() -> list[Path]:
    """The runs that the report on the paper is made of, in their order there."""
    return sorted(path.parent for path in PAPER.glob("*/spec.json"))


def runs() -> list[Path]:
    """All runs, each with a report of its own."""
    return sorted(path.parent for path in REPORTS.glob("paper*/**/spec.json"))


def write_reports() -> None:
    """Write every report again from its cells."""
    for folder in runs():
        write_report(folder)
    write_merged(parts(), PAPER)


def group_of(folder: Path) -> Group:
    """What a run of one dataset holds."""
    (group,) = read_study(folder).groups
    return group


def mixture(group: Group, control: str = "") -> Variant:
    """The only mixture, or a control of it."""
    (found,) = (v for v in group.variants if v.is_mixture and v.control == control)
    return found


def ends_of(variant: Variant, name: str = "P") -> Floats:
    """P by seed, layer and function."""
    return variant.numbers(lambda r: [getattr(layer, name) for layer in r.layers])


def distance(one: Floats, other: Floats) -> float:
    """How far two P lie apart, mean over the layers."""
    return float(np.mean([total_variation(p, q) for p, q in zip(one, other, strict=True)]))


def between(one: Variant, other: Variant, name: str = "P") -> float:
    """How far P of two sets lies apart at the same seed, mean over the seeds."""
    first, second = (
        dict(zip((c.seed for c in v.done), ends_of(v, name), strict=True)) for v in (one, other)
    )
    return float(np.mean([distance(first[s], second[s]) for s in first if s in second]))


def between_seeds(variant: Variant, name: str = "P") -> float:
    """How far P of two seeds lies apart, mean over the pairs."""
    pairs = itertools.combinations(ends_of(variant, name), 2)
    return float(np.mean([distance(p, q) for p, q in pairs]))


def gain(group: Group, one: Variant, other: Variant, shared: float = 0.0) -> Interval:
    """How much better one set is than another at the same seed: above 0 is better.

    Args:
        group: Of both, or of one where they come from two runs.
        one, other: The sets.
        shared: Of the other run's group (`Group.shared`).
    """
    gaps = [group.metric.gain(gap) for gap in differences(one, other).values()]
    return t_interval(gaps, max(group.shared, shared))


def told(found: Interval, decimals: int) -> str:
    """A difference with its interval."""
    interval = ends(found, decimals)
    return f"{signed(found.mean, decimals)} {interval}".removesuffix(f" {UNKNOWN}")


def wrapped(text: str) -> str:
    """A paragraph in lines as long as the page's."""
    return textwrap.fill(text, 100, break_long_words=False, break_on_hyphens=False)


def choices() -> str:
    """How far each choice that the paper leaves open moves P and accuracy."""
    plain = group_of(CHOICES / "as-run")
    own, relu = mixture(plain), plain.baseline
    rows = [
        (
            "as everywhere here",
            f"{number(between_seeds(own, 'P_start'))} (two seeds)",
            f"{number(between_seeds(own))} (two seeds)",
            "",
            told(gain(plain, own, relu), plain.decimals),
        )
    ]
    for name, title in CHANGED.items():
        group = group_of(CHOICES / name) if (CHOICES / name / "spec.json").exists() else plain
        if group is plain and name not in {v.control for v in plain.variants}:
            continue
        other = mixture(group, name if group is plain else "")
        rows.append(
            (
                title,
                number(between(own, other, "P_start")),
                number(between(own, other)),
                told(gain(plain, other, own, group.shared), plain.decimals),
                told(gain(group, other, group.baseline), plain.decimals),
            )
        )
    heads = (
        "choice",
        "starts of P apart",
        "ends of P apart",
        "accuracy minus as everywhere (points)",
        "accuracy minus ReLU's (points)",
    )
    phases = ", ".join(str(phase.epochs) for phase in own.protocol)
    result = own.results[0]
    text = (
        f"{result.train_examples:,} images of MNIST, phases of {phases} epochs, "
        f"{plural(len(own.done), 'seed')}, 95% intervals over them. P is compared at the same "
        f"seed: half the sum of the absolute differences, mean over the layers. The first row has "
        f"the distance between two seeds of the same choice: where a choice moves P by less, the "
        f"seed decides more."
    )
    return f"{table(heads, rows)}\n\n{wrapped(text)}"


def survivors() -> str:
    """Which functions of a large mixture keep a share."""
    group = group_of(FUTURE / "survivors")
    own = mixture(group)
    p = ends_of(own)
    seeds, _, count = p.shape
    rows = []
    for n in range(p.shape[1]):
        here = p[:, n]
        above = (here > 1 / count).sum(axis=0)
        largest = np.argsort(-here.mean(axis=0), kind="stable")[:LARGEST]
        rows.append(
            (
                f"A{n + 1}",
                number(float((here == 0).sum(axis=1).mean()), 1),
                number(float((here > 1 / count).sum(axis=1).mean()), 1),
                sum(above == seeds),
                ", ".join(f"{code(own.members[m])} {number(here[:, m].mean())}" for m in largest),
            )
        )
    heads = (
        "layer",
        "functions with P = 0",
        "with more than their share",
        "more than their share at every seed",
        "the largest P, mean over the seeds",
    )
    best = p.mean(axis=(0, 1))
    order = np.argsort(-best, kind="stable")[:LARGEST]
    never = [name for name, top in zip(own.members, p.max(axis=(0, 1)), strict=True) if top == 0]
    gone = f" {listed([code(n) for n in never])} ended at 0 everywhere." if never else ""
    text = (
        f"{count} functions on {group.name}, {plural(seeds, 'seed')}; a share is 1/{count}. Over "
        f"all layers and seeds the largest are "
        f"{listed([f'{code(own.members[m])} ({number(best[m])})' for m in order])}.{gone} What has "
        f"P = 0 can be pruned without a change. Two seeds lie {number(between_seeds(own))} apart, "
        f"and the end {number(distance_moved(own))} from the equal start. Accuracy minus ReLU's: "
        f"{told(gain(group, own, group.baseline), 2)} points; minus that of the same mixture with "
        f"equal P throughout: {told(gain(group, own, mixture(group, 'frozen')), 2)} points."
    )
    return f"{table(heads, rows)}\n\n{wrapped(text)}"


def distance_moved(variant: Variant) -> float:
    """How far P moved, mean over seeds and layers."""
    pairs = zip(ends_of(variant, "P_start"), ends_of(variant), strict=True)
    return float(np.mean([distance(p, q) for p, q in pairs]))


def datasets() -> str:
    """The paper's mixture on other data."""
    rows = []
    for name, title in TITLES.items():
        if not (FUTURE / name / "spec.json").exists():
            continue
        group = group_of(FUTURE / name)
        own, d = mixture(group), group.decimals
        alone = [v for v in group.variants if len(v.members) == 1 and not v.control]
        best = max(alone, key=lambda v: group.metric.gain(v.mean))
        start, end = ends_of(own, "P_start"), ends_of(own)
        rows.append(
            (
                f"[{title}](../reports/paper-future/{name}/report.md), {code(group.model)}",
                f"{own.results[0].train_examples:,}",
                len(own.done),
                f"{group.metric.words} {number(own.mean, d)}",
                told(gain(group, own, group.baseline), d),
                f"{code(best.name)}: {told(gain(group, own, best), d)}",
                told(gain(group, own, mixture(group, "frozen")), d),
                "; ".join(largest(own, p) for p in end.mean(axis=0)),
                number(r_squared(start.ravel(), end.ravel())),
            )
        )
    heads = (
        "data",
        "examples that train",
        "seeds",
        "score",
        "better than ReLU by",
        "than the best member by",
        "than w left alone by",
        "largest P by layer",
        "r² of the end on the start",
    )
    return table(heads, rows)


def largest(variant: Variant, p: Floats) -> str:
    """The function with the largest P, with it."""
    m = int(p.argmax())
    return f"{code(variant.terms[m])} {number(p[m])}"


def products() -> str:
    """Mixtures with products beside those without."""
    rows = []
    for name in PRODUCTS:
        group, other = group_of(FUTURE / name), group_of(FUTURE / f"products-{name}")
        plain, own, d = mixture(group), mixture(other), group.decimals
        pairs = ends_of(own)[..., len(own.members) :].sum(axis=-1).mean(axis=0)
        rows.append(
            (
                f"[{name}](../reports/paper-future/products-{name}/report.md)",
                len(own.done),
                f"{group.metric.words} {number(own.mean, d)}",
                told(gain(group, own, plain, other.shared), d),
                told(gain(other, own, other.baseline), d),
                told(gain(other, own, mixture(other, "frozen")), d),
                ", ".join(percent(share, 0) for share in pairs),
            )
        )
    heads = (
        "data",
        "seeds",
        "score with products",
        "better than without by",
        "than ReLU by",
        "than w left alone by",
        "P of the products together, by layer",
    )
    return table(heads, rows)


def slopes() -> str:
    """The slope of a power of a function near the place where the function is 0."""
    x = torch.tensor(NEAR, dtype=torch.float64, requires_grad=True)
    (found,) = torch.autograd.grad(x.tanh().abs().pow(0.5).sum(), x)
    each = [f"{s:,.0f} at x = {v:g}" for v, s in zip(NEAR, found.tolist(), strict=True)]
    return wrapped(f"The slope of √|tanh x| is {listed(each)}.")


def measured() -> Iterator[tuple[str, str]]:
    """The parts of the page by their names."""
    yield "choices", choices()
    yield "survivors", survivors()
    yield "datasets", datasets()
    yield "slopes", slopes()
    yield "products", products()


def page() -> str:
    """The whole page, its measured parts as they are stored now."""
    text = PAGE.read_text(encoding="utf-8")
    for name, part in measured():
        text, n = re.subn(
            rf"<!-- {name} -->\n.*?<!-- end -->",
            lambda _, name=name, part=part: f"<!-- {name} -->\n{part}\n<!-- end -->",
            text,
            count=1,
            flags=re.DOTALL,
        )
        assert n == 1, f"{PAGE} has no place for {name}"
    return text


def main() -> None:
    """Write reports and page, or check the page."""
    if "--check" in sys.argv:
        sys.exit(PAGE.read_text(encoding="utf-8") != page())
    if "--page" not in sys.argv:
        write_reports()
    PAGE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
