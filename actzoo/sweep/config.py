"""A run as a TOML file and back: the one place that knows what its keys are.

The keys are the fields of `Run`, with `[[phase]]` tables for its protocol; the hyper-parameters of
phases (`lr_network = 0.001` changes every phase that trains the network); and where the run
goes. A flag of `actzoo bench` has the name of its key, so that flags are read here as well.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Annotated, Any, Literal, get_type_hints

from msgspec import Meta

from actzoo.errors import ActzooError, UsageError
from actzoo.formula import split_names
from actzoo.naming import file_kind
from actzoo.plugins.registry import default
from actzoo.results.store import CONFIG, HEADS
from actzoo.sweep.grid import LARGEST, OF_PHASES, TUNABLE, Count, choices, unknown, valid
from actzoo.sweep.plan import OF_FIELDS, Run
from actzoo.training.protocol import Phase

Settings = dict[str, Any]
"""Checked values by key."""
Text = Annotated[str, Meta(pattern=r"\S", description="a text")]

ELSEWHERE: Mapping[str, Any] = {
    "out": Text,
    "data_root": Text,
    "figure_format": Literal["png", "svg", "pdf"],
    "executor": Text,
    "workers": Count,
    "address": Text,
    "executor_options": Annotated[dict[str, str], Meta(description="a table: [executor_options]")],
    "retry_failed": bool,
    "fail_fast": bool,
    "mixed_machines": bool,
    "no_cost": bool,
    "keep_order": bool,
    "note": Text,
}
"""Keys that say where a run goes and what becomes of it: no result depends on them."""
ALSO: Mapping[str, str] = {"controls": "control"}
"""Other names of keys."""
WITH_EXECUTOR = ("workers", "address", "executor_options")
"""Those of them that only an executor takes."""
_OF_REPORT = "the function writes no report; `actzoo report FOLDER` takes {}"
_INSTEAD: Mapping[str, str] = {
    **dict.fromkeys(
        WITH_EXECUTOR, "the function takes any concurrent.futures.Executor as executor"
    ),
    "figure_format": _OF_REPORT.format("--figure-format"),
    "keep_order": _OF_REPORT.format("--keep-order"),
    "no_cost": "the function times no costs; leave it out",
    "note": "the function shows no text before it runs; leave it out",
}
"""What to do about those that `actzoo.bench` does not take."""
_OF_RUN = {"phase" if k == "protocol" else k: kind for k, kind in OF_FIELDS.items()}
KEYS: Mapping[str, Any] = {**_OF_RUN, **OF_PHASES, **ELSEWHERE}
_PHASE = get_type_hints(Phase)


def read_config(path: Path) -> Settings:
    """Read a TOML file.

    Raises:
        UsageError: It cannot be read, has a key that there is not, or a value of another type.
    """
    try:
        with path.open("rb") as file:
            raw = tomllib.load(file)
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from None
    except ValueError as error:  # of TOML or of UTF-8
        raise UsageError(f"{path} is not TOML: {error}") from None
    return checked(raw, f"{path}: ")


def checked(raw: Mapping[str, Any], source: str) -> Settings:
    """Return settings from plain values; several values of one become part of the grid.

    Args:
        raw: Values by key, as TOML, the command line or a keyword gives them.
        source: What messages put before a key: where it comes from.

    Raises:
        UsageError: A key that there is not, or a value of another type.
    """
    settings: Settings = {}
    grid: dict[str, Any] = {}
    for key, value in _renamed(raw, source).items():
        if key not in KEYS:
            raise UsageError(f"{source}{unknown(key, KEYS)}")
        if key in TUNABLE and isinstance(value, list | tuple):
            grid |= choices({key: value}, source)
        else:
            if key in _READ:
                value = _READ[key](value, f"{source}{key}")
            settings[key] = valid(key, value, KEYS[key], source)
    if grid:
        both = settings.get("grid", {}).keys() & grid.keys()
        if both:
            raise UsageError(
                f"{source}{min(both)} has several values, and the grid has others for it; give "
                f"them in one place"
            )
        settings["grid"] = {**settings.get("grid", {}), **grid}
    return settings


def _renamed(raw: Mapping[str, Any], source: str) -> dict[str, Any]:
    """Return the same values, each by the one name of its key."""
    for other, key in ALSO.items():
        if other in raw and key in raw:
            raise UsageError(f"{source}{key} and {other} are one setting; give one of them")
    return {ALSO.get(key, key): value for key, value in raw.items()}


def from_python(options: Mapping[str, Any]) -> Settings:
    """Return settings from the keywords of `actzoo.bench`: fields of `Run`, hyper-parameters.

    What is a text on the command line may be one here: `seeds="0-9"`, `models="mlp"`.

    Raises:
        UsageError: A name that there is not, or a value of another type.
    """
    options = _renamed(options, "")
    names = [*(name for name in OF_FIELDS if name != "sets"), *OF_PHASES]
    for name, value in options.items():
        if name in _INSTEAD:
            raise UsageError(
                f"{name}={value!r}: that is for the command `actzoo bench`; {_INSTEAD[name]}"
            )
        if name not in names:
            raise UsageError(f"actzoo.bench: {unknown(name, names)}")
    # Each name of a list is one name; only a text is read as on the command line.
    literal = {
        name: valid(name, value, OF_FIELDS[name])
        for name, value in options.items()
        if name in ("datasets", "models") and not isinstance(value, str)
    }
    if "protocol" in options:
        phases = _phases(options["protocol"], "protocol")
        literal["phase"] = valid("protocol", phases, OF_FIELDS["protocol"])
    rest = {k: v for k, v in options.items() if k not in (*literal, "protocol")}
    return {**checked(rest, ""), **literal}


def merged(file: Settings, flags: Settings) -> Settings:
    """Return the settings of a file with flags over them; a flag replaces the file's grid."""
    grid = {name: v for name, v in file.get("grid", {}).items() if name not in flags}
    return {**file, **flags, "grid": {**grid, **flags.get("grid", {})}}


def check_tune_seeds(given: Settings, runs: Iterable[Settings]) -> None:
    """Refuse seeds to tune on where no run tunes; a file of settings may name some.

    Args:
        given: What was given as flags or keywords.
        runs: All that is said of each run.

    Raises:
        UsageError: There are such seeds.
    """
    if "tune_seeds" in given and not any(run.get("grid") for run in runs):
        raise UsageError(
            "tune_seeds were given, and nothing is tuned: --tune-seeds goes with --grid, e.g. "
            "--grid lr_network=3e-4,1e-3, or with several values of a rate"
        )


def to_run(settings: Settings) -> Run:
    """Return the run of these settings; what they leave out has the values of `Run`.

    Raises:
        UsageError: Something in it makes no sense.
    """
    values = {k: v for k, v in settings.items() if k in _OF_RUN}
    if "phase" in values:
        values["protocol"] = values.pop("phase")
    return Run(**values).with_setting({k: v for k, v in settings.items() if k in OF_PHASES})


def to_toml(run: Run) -> str:
    """Return a run as a file that `read_config` and `to_run` make the same run of."""
    lines = [HEADS[CONFIG], ""]
    for field in fields(run):
        value = getattr(run, field.name)
        unused = field.name == "tune_seeds" and value == field.default and not run.grid
        if field.name not in ("protocol", "grid") and value is not None and not unused:
            lines.append(f"{field.name} = {_toml(value)}")
    if not run.protocol:
        lines.append("phase = []")
    if run.grid:
        lines += ["", "[grid]", *(f"{name} = {_toml(v)}" for name, v in run.grid.items())]
    for phase in run.protocol:
        lines += ["", "[[phase]]", *(f"{k} = {_toml(v)}" for k, v in phase.to_json().items())]
    return "\n".join([*lines, ""])


def _toml(value: Any) -> str:
    """Return a value in one line: JSON's texts, numbers and lists are TOML's, but for one sign."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _texts(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


def _each(split: Callable[[str], Any]) -> Callable[[Any, str], Any]:
    """Read a text or a list of texts, each of which may stand for several values."""

    def read(value: Any, where: str) -> Any:
        texts = _texts(value)
        if not isinstance(texts, list | tuple) or not all(isinstance(t, str) for t in texts):
            return value
        return tuple(part for text in texts for part in split(text))

    return read


def _sets(value: Any, where: str) -> Any:
    """Return each set a text as on the command line, or a list of names."""
    texts = _texts(value)
    if not isinstance(texts, list | tuple):
        return value
    return tuple(default().members(one) if isinstance(one, str) else one for one in texts)


def _controls(value: Any, where: str) -> Any:
    """Return a text or a list of texts as one text; `none` for no control."""
    if isinstance(value, list | tuple) and all(isinstance(name, str) for name in value):
        value = ",".join(value)
    return "" if value == "none" else value


def _listed(text: str) -> list[str]:
    """Return the datasets of a list; a comma within `npz:PATH` ends the path after `.npz` alone."""
    names: list[str] = []
    for part in text.split(","):
        before = names[-1].strip() if names else ""
        open_path = before.startswith("npz:") and not before.lower().endswith(".npz")
        if open_path and not part.strip().startswith("npz:"):
            names[-1] += f",{part}"
        else:
            names.append(part)
    kind, path = file_kind(text), Path(text.partition(":")[2].partition("?")[0])
    alone = kind and (len(names) == 1 or path.exists())
    return [text] if alone else [name.strip() for name in names if name.strip()]


def parse_seeds(text: str) -> tuple[int, ...]:
    """Return `0-2`, `0,3,7`, `0-2,7` as a tuple of seeds.

    Raises:
        UsageError: Not of that form, or a seed twice.
    """
    seeds: list[int] = []
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        if not first.isdecimal() or (dash and not last.isdecimal()):
            raise UsageError(f"seeds {text!r}; expected for example 0-2 or 0,3,7")
        if max(len(first), len(last)) > len(str(LARGEST)):
            raise UsageError(f"seeds {text[:60]!r}: expected whole numbers of at most {LARGEST:,}")
        low, high = int(first), int(last or first)
        if high < low or high - low > 100_000:
            raise UsageError(f"seeds {text!r}: {part!r} is no range; expected for example 0-9")
        seeds.extend(range(low, high + 1))
    if len(set(seeds)) != len(seeds):
        raise UsageError(f"seeds {text!r} name a seed more than once")
    return tuple(seeds)


def _seeds(value: Any, where: str) -> Any:
    return parse_seeds(value) if isinstance(value, str) else value


def _phases(value: Any, where: str) -> Any:
    """Return tables as phases; a phase is one already."""
    if not isinstance(value, list | tuple):
        return value
    return tuple(_phase(part, f"{where} {n}: ") for n, part in enumerate(value, start=1))


def _phase(part: Any, where: str) -> Any:
    if not isinstance(part, dict):
        return part
    for name in part:
        if name not in _PHASE:
            raise UsageError(f"{where}{unknown(name, _PHASE)}")
    for field in fields(Phase):
        if field.default is MISSING and field.name not in part:
            raise UsageError(f"{where}{field.name} is missing")
    values = {name: valid(name, v, _PHASE[name], where) for name, v in part.items()}
    try:
        return Phase(**values)
    except ActzooError as error:
        raise UsageError(f"{where}{error}") from None


def _grid(value: Any, where: str) -> Any:
    return choices(value, f"{where}: ") if isinstance(value, Mapping) else value


def _executor_options(value: Any, where: str) -> Any:
    return {k: str(v) for k, v in value.items()} if isinstance(value, Mapping) else value


_READ: Mapping[str, Callable[[Any, str], Any]] = {
    "sets": _sets,
    "datasets": _each(_listed),
    "models": _each(split_names),
    "control": _controls,
    "seeds": _seeds,
    "tune_seeds": _seeds,
    "phase": _phases,
    "grid": _grid,
    "executor_options": _executor_options,
}
"""How values are read that are not plain."""
