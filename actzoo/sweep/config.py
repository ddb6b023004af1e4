"""A run as a TOML file and back: the one place that knows what its keys are.

The keys are the fields of `Run`, with `[[phase]]` tables for its protocol; the hyper-parameters of
phases (`lr_network = 0.001` changes every phase that trains the network); and where the run
goes. A flag of `actzoo bench` has the name of its key, so that flags are read here as well.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, asdict, fields
from pathlib import Path
from types import NoneType
from typing import Any, Literal, get_args, get_origin, get_type_hints

from actzoo.errors import ActzooError, UsageError
from actzoo.formula import split_names
from actzoo.plugins.registry import default
from actzoo.sweep.grid import OF_PHASES, TUNABLE, WORDS, fits, unknown
from actzoo.sweep.plan import LARGEST, Run
from actzoo.training.protocol import Phase

Settings = dict[str, Any]
"""Checked values by key."""

_PHASE = {field.name: field for field in fields(Phase)}
_OF_PHASE = get_type_hints(Phase)
_OF_RUN = {"phase" if k == "protocol" else k: hint for k, hint in get_type_hints(Run).items()}
ELSEWHERE: Mapping[str, Any] = {
    "out": str,
    "data_root": str,
    "figure_format": Literal["png", "svg", "pdf"],
    "executor": str,
    "workers": int,
    "address": str,
    "executor_options": dict,
    "retry_failed": bool,
    "fail_fast": bool,
    "mixed_machines": bool,
    "no_cost": bool,
    "keep_order": bool,
}
"""Keys that say where a run goes and what becomes of it: no result depends on them."""
WITH_EXECUTOR = ("workers", "address", "executor_options")
"""Those of them that only an executor takes."""
KEYS: Mapping[str, Any] = {**_OF_RUN, **OF_PHASES, **ELSEWHERE}


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
    """Settings from plain values; several values of a hyper-parameter become part of the grid.

    Args:
        raw: Values by key, as TOML or the command line gives them.
        source: What messages put before a key: where it comes from.

    Raises:
        UsageError: A key that there is not, or a value of another type.
    """
    settings: Settings = {}
    grid: dict[str, Any] = {}
    for key, value in raw.items():
        if key not in KEYS:
            raise UsageError(f"{source}{unknown(key, KEYS)}")
        if key in TUNABLE and isinstance(value, list | tuple):
            grid[key] = _values(key, value, source)
        else:
            settings[key] = _READ.get(key, _one)(key, value, source)
    if grid:
        settings["grid"] = {**settings.get("grid", {}), **grid}
    return settings


def from_python(options: Mapping[str, Any]) -> Settings:
    """Settings from the keywords of `actzoo.bench`: the fields of `Run` and the hyper-parameters.

    What is a text on the command line may be one here: `seeds="0-9"`, `models="mlp"`.

    Raises:
        UsageError: A name that there is not, or a value of another type.
    """
    names = [*(name for name in get_type_hints(Run) if name != "sets"), *OF_PHASES]
    settings: Settings = {}
    for name, value in options.items():
        if name in ELSEWHERE:
            raise UsageError(
                f"{name}={value!r}: that is for the command `actzoo bench`; the function runs "
                f"cells and stores them, and takes any concurrent.futures.Executor as executor"
            )
        if name not in names:
            raise UsageError(f"actzoo.bench: {unknown(name, names)}")
        settings |= _from_python(name, value)
    if isinstance(options.get("grid"), Mapping):
        settings["grid"] = {**settings.get("grid", {}), **options["grid"]}
    return settings


def _from_python(name: str, value: Any) -> Settings:
    if isinstance(value, bytes):
        raise _wrong("", name, value, "a text, a number or several of them")
    if name == "protocol":
        if not isinstance(value, list | tuple) or not all(isinstance(p, Phase) for p in value):
            raise _wrong("", name, value, "several Phase")
        return {"phase": value}
    hint = KEYS[name]
    if value is None and NoneType in get_args(hint):
        return {name: None}
    if isinstance(value, str) and name in ("datasets", "models", "seeds", "tune_seeds"):
        return checked({name: value}, "")
    if name in ("datasets", "models") and isinstance(value, Iterable):
        return {name: _texts(name, list(value), "")}
    if name == "grid":
        if not isinstance(value, Mapping):
            raise _wrong("", name, value, "values by name, e.g. {'lr_network': (3e-4, 1e-3)}")
        return {}
    several = name in TUNABLE and isinstance(value, list | tuple)
    # The fields of a run of one of a few words are checked by the run.
    if several or name in OF_PHASES or hint in WORDS or NoneType in get_args(hint):
        return checked({name: value}, "")
    return {name: value}


def merged(file: Settings, flags: Settings) -> Settings:
    """The settings of a file with flags over them; a flag's value ends that of the file's grid."""
    grid = {name: v for name, v in file.get("grid", {}).items() if name not in flags}
    return {**file, **flags, "grid": {**grid, **flags.get("grid", {})}}


def to_run(settings: Settings) -> Run:
    """The run of these settings; what they leave out has the values of `Run`.

    Raises:
        UsageError: Something in it makes no sense.
    """
    values = {k: v for k, v in settings.items() if k in _OF_RUN}
    if "phase" in values:
        values["protocol"] = values.pop("phase")
    return Run(**values).with_setting({k: v for k, v in settings.items() if k in OF_PHASES})


def to_toml(run: Run) -> str:
    """A run as a file that `read_config` and `to_run` make the same run of."""
    lines = ["# What was run; `actzoo bench --config` takes it, and flags override it.", ""]
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
        lines += ["", "[[phase]]", *(f"{k} = {_toml(v)}" for k, v in asdict(phase).items())]
    return "\n".join([*lines, ""])


def _toml(value: Any) -> str:
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_toml, value))}]"
    if isinstance(value, str):  # JSON's escapes are TOML's, but for one sign
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return json.dumps(value)


def _wrong(source: str, key: str, value: Any, expected: str) -> UsageError:
    return UsageError(f"{source}{key} = {value!r}; expected {expected}")


def _one(key: str, value: Any, source: str, hint: Any = None) -> Any:
    """One plain value of the type that its key has."""
    hint = KEYS[key] if hint is None else hint
    if NoneType in get_args(hint):
        (hint,) = (part for part in get_args(hint) if part is not NoneType)
    if get_origin(hint) is Literal:
        if value not in get_args(hint):
            names = ", ".join(name for name in get_args(hint) if name)
            raise _wrong(source, key, value, f"one of {names}")
        return value
    blank = key in ELSEWHERE and isinstance(value, str) and not value.strip()
    if blank or not fits(value, hint):
        raise _wrong(source, key, value, WORDS[hint])
    return float(value) if hint is float else value


def _values(key: str, value: Any, source: str) -> tuple[Any, ...]:
    """The values of a hyper-parameter."""
    kind = TUNABLE[key]
    if not isinstance(value, list | tuple):
        value = (value,)
    return tuple(_one(key, v, source, kind) for v in value)


def _control(key: str, value: Any, source: str) -> Any:
    return "" if value == "none" else _one(key, value, source)


def _texts(key: str, value: Any, source: str) -> tuple[str, ...]:
    texts = (value,) if isinstance(value, str) else value
    if not isinstance(texts, list | tuple) or not all(isinstance(t, str) for t in texts):
        raise _wrong(source, key, value, "a list of names")
    return tuple(texts)


def _sets(key: str, value: Any, source: str) -> tuple[tuple[str, ...], ...]:
    """Each set a text as on the command line, or a list of names."""
    several = (value,) if isinstance(value, str) else value
    if not isinstance(several, list | tuple):
        raise _wrong(source, key, value, 'a list of sets, e.g. ["relu,tanh", "gelu"]')
    return tuple(
        default().members(one) if isinstance(one, str) else _texts(key, one, source)
        for one in several
    )


def _datasets(key: str, value: Any, source: str) -> tuple[str, ...]:
    return tuple(name for text in _texts(key, value, source) for name in _listed(text) if name)


def _listed(text: str) -> list[str]:
    """The datasets of a list; a comma within `npz:PATH` ends the path after `.npz` alone."""
    names: list[str] = []
    for part in text.split(","):
        before = names[-1].strip() if names else ""
        open_path = before.startswith("npz:") and not before.lower().endswith(".npz")
        if open_path and not part.strip().startswith("npz:"):
            names[-1] += f",{part}"
        else:
            names.append(part)
    alone = text.startswith("npz:") and (len(names) == 1 or Path(text[len("npz:") :]).is_file())
    return [text] if alone else [name.strip() for name in names]


def _models(key: str, value: Any, source: str) -> tuple[str, ...]:
    return tuple(name for text in _texts(key, value, source) for name in split_names(text))


def parse_seeds(text: str) -> tuple[int, ...]:
    """`0-2`, `0,3,7`, `0-2,7` as a tuple of seeds.

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


def _seeds(key: str, value: Any, source: str) -> tuple[int, ...]:
    if isinstance(value, str):
        return parse_seeds(value)
    if not isinstance(value, list | tuple) or not all(fits(seed, int) for seed in value):
        raise _wrong(source, key, value, 'a list of whole numbers, or a text as "0-9"')
    return tuple(value)


def _phases(key: str, value: Any, source: str) -> tuple[Phase, ...]:
    if not isinstance(value, list) or not all(isinstance(part, dict) for part in value):
        raise _wrong(source, key, value, "[[phase]] tables")
    phases = []
    for number, part in enumerate(value, start=1):
        where = f"{source}{key} {number}: "
        for name in part:
            if name not in _PHASE:
                raise UsageError(f"{where}{unknown(name, _PHASE)}")
        for name, field in _PHASE.items():
            if field.default is MISSING and name not in part:
                raise UsageError(f"{where}{name} is missing")
        values = {name: _one(name, v, where, _OF_PHASE[name]) for name, v in part.items()}
        try:
            phases.append(Phase(**values))
        except ActzooError as error:
            raise UsageError(f"{source}{key} {number}: {error}") from None
    return tuple(phases)


def _table(key: str, value: Any, source: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _wrong(source, key, value, f"a table: [{key}]")
    return value


def _grid(key: str, value: Any, source: str) -> dict[str, tuple[Any, ...]]:
    where = f"{source}{key}: "
    table = _table(key, value, source)
    for name in table:
        if name not in TUNABLE:
            raise UsageError(f"{where}{unknown(name, TUNABLE)}")
    return {name: _values(name, values, where) for name, values in table.items()}


def _executor_options(key: str, value: Any, source: str) -> dict[str, str]:
    return {name: str(v) for name, v in _table(key, value, source).items()}


_READ: Mapping[str, Any] = {
    "sets": _sets,
    "datasets": _datasets,
    "models": _models,
    "control": _control,
    "seeds": _seeds,
    "tune_seeds": _seeds,
    "phase": _phases,
    "grid": _grid,
    "executor_options": _executor_options,
}
"""How values are read that are not plain."""
