"""What a run of the benchmarks measures."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import torch

from actzoo.activation import Activation
from actzoo.cost.sample import sample_for
from actzoo.environment import MOST_THREADS
from actzoo.errors import UsageError
from actzoo.kernels.table.fit import table
from actzoo.plugins.registry import default, get

TABLES = ("operator", "functions", "pooling", "step")
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
TWENTY = (
    "relu", "tanh", "sin", "sigmoid", "silu", "gelu", "softplus", "elu", "mish", "selu",
    "hard_swish", "relu6", "arctan", "lisht", "logish", "gaussian", "softsign", "tanhexp", "celu",
    "squareplus",
)  # fmt: skip
LAYER = 256 * 32 * 28 * 28
"""Elements of a first layer of 256 images: 6.4 million. As float32 that is below the 32 MB from
which on every allocation costs page faults."""


@dataclass(frozen=True)
class Functions:
    """A set of functions to measure.

    Attributes:
        label: What tables call it: `3`, `20`, `all 48`, or its names.
        activations: The functions.
    """

    label: str
    activations: tuple[Activation, ...]

    @property
    def names(self) -> list[str]:
        """The functions' names."""
        return [a.name for a in self.activations]

    def not_compiled(self, up_to: int) -> str:
        """Return why Inductor does not get them, if up to so many are compiled; or ""."""
        if len(self.activations) <= up_to:
            return ""
        few = f" for more than {up_to} functions" if up_to else ""
        return f"not compiled{few} in this run"


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What to measure, and for how long.

    Attributes:
        tables: Some of "operator", "functions", "pooling" and "step".
        sets: For the operator.
        step_sets: For pooling and the training step.
        models: For the training step, by name.
        sizes: Elements of x.
        dtypes: Names of dtypes.
        threads: Numbers of CPU threads, each measured on its own.
        device: Where.
        compile_up_to: Sets of more functions are not given to Inductor, which takes long.
        compile_times: Whether compilation is timed too, cold and warm: a minute for each set.
        seconds: Spent on the rounds of each case; warming up and compiling come on top.
    """

    tables: tuple[str, ...] = TABLES
    sets: tuple[Functions, ...]
    step_sets: tuple[Functions, ...]
    models: tuple[str, ...] = ("paper_cnn",)
    sizes: tuple[int, ...]
    dtypes: tuple[str, ...] = ("float32",)
    threads: tuple[int, ...] = (1,)
    device: torch.device
    compile_up_to: int
    compile_times: bool = False
    seconds: float

    def __post_init__(self) -> None:
        for what, given, allowed in (
            ("table", self.tables, TABLES),
            ("dtype", self.dtypes, DTYPES),
        ):
            for name in given:
                if name not in allowed:
                    raise UsageError(f"{what} {name!r}; expected some of {', '.join(allowed)}")
        for model in self.models:
            sample_for(model)
        if not all(1 <= n <= MOST_THREADS for n in self.threads):
            raise UsageError(
                f"threads {self.threads}; expected whole numbers, 1 or more and at most "
                f"{MOST_THREADS:,}"
            )


def fixed_functions() -> tuple[Activation, ...]:
    """Return every built-in elementwise function that has nothing learnable and draws nothing."""
    return tuple(
        a
        for a, origin in default().activations.entries
        if origin.distribution == "actzoo"
        and a.kind == "elementwise"
        and not a.learnable
        and a.training_fn is None
    )


def named(text: str) -> Functions:
    """Return the set of a name: `3` or `20` of ours, `all`, `certified`, a set, or functions.

    Raises:
        UsageError: A name that nobody provides, or a function that is not elementwise.
    """
    if text in ("1", "3", "8", "20"):
        names = ["mish"] if text == "1" else TWENTY[: int(text)]
        return Functions(text, tuple(get(f"actzoo:{n}") for n in names))
    if text in ("all", "certified"):
        chosen = fixed_functions()
        if text == "certified":
            chosen = tuple(a for a in chosen if not table(a).refused)
        return Functions(f"{text} {len(chosen)}", chosen)
    activations = tuple(get(name) for name in default().members(text))
    for a in activations:
        if a.kind != "elementwise" or a.learnable:
            raise UsageError(
                f"{a.name} is {a.kind}{' and learns' if a.learnable else ''}; this measures "
                f"elementwise functions with nothing learnable: see `actzoo ls`"
            )
    return Functions("+".join(a.name for a in activations), activations)


def sizes(text: str) -> tuple[int, ...]:
    """Return `2^12,4096,1e6` as numbers of elements.

    Raises:
        UsageError: Not of that form.
    """
    found = []
    for word in text.split(","):
        power = re.fullmatch(r"\s*2\^(\d{1,2})\s*", word)
        try:
            number = 2 ** int(power[1]) if power else int(float(word))
        except (ValueError, OverflowError):
            number = 0
        if not 1 <= number <= 2**32:
            raise UsageError(f"size {word!r}; expected for example 2^12,2^22 or 4096,1e6")
        found.append(number)
    return tuple(dict.fromkeys(found))


def preset(name: str, **chosen: Any) -> Settings:
    """Return the settings of "quick", "default" or "full", with the user's own over them."""
    few, all_sizes = tuple(map(named, ("3",))), tuple(2**n for n in range(12, 27, 2))
    if name == "quick":
        base: dict[str, Any] = {
            "sets": few, "step_sets": few, "sizes": (2**12, 2**18), "compile_up_to": 0,
            "seconds": 0.2,
        }  # fmt: skip
    elif name == "full":
        base = {
            "sets": tuple(map(named, ("1", "3", "8", "20", "all"))),
            "step_sets": tuple(map(named, ("3", "certified", "all"))),
            "sizes": tuple(sorted((*all_sizes, LAYER))), "dtypes": ("float32", "bfloat16"),
            "threads": tuple(sorted({1, torch.get_num_threads()})), "compile_up_to": 20,
            "compile_times": True, "seconds": 2.0,
        }  # fmt: skip
    else:
        base = {
            "sets": tuple(map(named, ("1", "3", "20"))),
            "step_sets": tuple(map(named, ("3", "20"))),
            "sizes": (2**12, 2**16, LAYER), "compile_up_to": 3, "seconds": 0.5,
        }  # fmt: skip
    if "sets" in chosen:
        base["step_sets"] = chosen["sets"]
    return Settings(**{**base, "device": torch.device("cpu"), **chosen})
