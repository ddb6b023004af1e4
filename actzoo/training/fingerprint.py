"""Fingerprints: what was run, beyond its name.

`actzoo.sources.reach` says what a function can reach; docs/decisions.md says it in words.
"""

from __future__ import annotations

import hashlib
import inspect
import sys
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

from actzoo.activation import Activation
from actzoo.errors import UsageError
from actzoo.formula import Formula
from actzoo.models.model import Model
from actzoo.naming import file_kind
from actzoo.plugins.importing import is_reference, source_of
from actzoo.plugins.loader import GROUP, Origin
from actzoo.plugins.registry import Registry
from actzoo.rules import Rule
from actzoo.sources.locate import Place, outside
from actzoo.sources.neighbours import FROM_FILE
from actzoo.sources.reach import reach
from actzoo.tasks.task import Dataset, Task
from actzoo.training.captured import Captured, carried

_SEEN: dict[str, tuple[Any, str]] = {}
"""Of loaded modules, by their file: the spec of the import, and the digest when first asked for;
of distributions, by their name, the same of their version."""


@dataclass(frozen=True, kw_only=True)
class Fingerprint:
    """What stands behind a name.

    Attributes:
        name: As in the spec; of an activation its qualified name, `distribution:name`.
        provider: `distribution version`, or "formula" or "python" for what no plugin declared.
        definition: Formula and parameters, or options; "" for data.
        digest: SHA-256 of the sources that define it and all that they reach, or of the
            data's bytes.
        imports: The distributions that the sources import, each as `name version`.
        not_covered: What of the sources cannot be followed, so that a change of it shows
            nowhere; "" where there is nothing of that kind.
    """

    name: str
    provider: str
    definition: str
    digest: str
    imports: str = ""
    not_covered: str = ""

    def to_json(self) -> dict[str, str]:
        """Plain values; what is empty of the last two is left out, as results had them before."""
        parts = asdict(self)
        return {k: v for k, v in parts.items() if v or k not in ("imports", "not_covered")}


def of_activation(activation: Activation, registry: Registry) -> Fingerprint:
    """Return the fingerprint of a function.

    Raises:
        UsageError: It was made in Python from a callable without source.
    """
    origin = registry.origin(activation)
    name, functions = activation.name, _declared(activation)
    starts: list[Place] = []
    whole: dict[str, Path] = {}
    values: list[str] = []
    if origin is not None:
        name = f"{origin.distribution}:{name}"
        provider = f"{origin.distribution} {origin.version}"
        starts, whole = _code_of(origin)
    elif activation.formula is not None and not is_reference(name):
        provider = "formula"
    else:
        provider = "python"
        found = _carried(activation)
        values, functions = found.values, [*functions, *found.functions]
        if is_reference(name):
            starts = [place for place in [_place_of(source_of(name))] if place is not None]
    if any(type(f).__module__.startswith("actzoo.formula") for f in functions):
        # The formula is the definition; what turns it into torch is a part of actzoo.
        folder = Path(inspect.getfile(Formula)).parent
        whole |= {f"actzoo.formula.{file.stem}": file for file in folder.glob("*.py")}
    starts += _places(functions)
    if not starts and not whole and not all(map(_is_torchs_own, functions)):
        raise UsageError(
            f"{name}: {activation.fn!r} has no source file, so an edit could not be told from "
            f"its old results; define it in a file"
        )
    return _fingerprint(name, provider, _definition(activation), starts, whole, values)


def _fingerprint(
    name: str,
    provider: str,
    definition: str,
    starts: Iterable[Place],
    whole: Mapping[str, Path],
    values: Iterable[str] = (),
) -> Fingerprint:
    """Return the fingerprint of what begins in some modules.

    Args:
        name: As in the spec.
        provider: Who provides it.
        definition: Formula and parameters, or options.
        starts: The modules that define it.
        whole: Files that count whoever imports them, by name.
        values: What its functions carry.
    """
    found = reach(starts)
    digests = [_digest({**whole, **found.files}, found.beside), *values]
    for key, recorded in sorted(found.installed.items()):
        _refuse_if_changed(key.rpartition(" ")[0], "", key, "another version of it")
        digests.append(f"{key} {recorded}")
    return Fingerprint(
        name=name,
        provider=provider,
        definition=definition,
        digest=hashlib.sha256("\n".join(digests).encode()).hexdigest(),
        imports=", ".join(sorted(found.installed)),
        not_covered="; ".join(sorted(found.unknown)),
    )


def _definition(activation: Activation) -> str:
    """Return formula, then what else decides the function, in one line."""
    parts = [activation.formula or activation.latex or ""]
    for key, value in sorted(activation.parameters.items()):
        scope = activation.learnable.get(key)
        parts.append(f"{key}={value!r}" + (f" per {scope}" if scope else ""))
    if activation.kind not in ("elementwise", "channelwise"):
        parts.append(activation.kind)
    return "; ".join(parts)


def _declared(activation: Activation) -> list[Any]:
    """Return the functions that it was declared with."""
    derivative = activation.derivative.declared  # type: ignore[attr-defined]
    return [f for f in (activation.fn, derivative, activation.training_fn) if f is not None]


def _carried(activation: Activation) -> Captured:
    """Return what functions given in Python carry; the rest comes from a module or file."""
    strict = not is_reference(activation.name)
    found = [carried(f, activation.name, strict=strict) for f in _declared(activation)]
    values = [value for one in found for value in one.values]
    return Captured(values, [f for one in found for f in one.functions])


def _places(functions: Iterable[Any]) -> list[Place]:
    """Return the modules that define functions; none for torch's own, whose version is recorded."""
    places = []
    for function in functions:
        if not _is_torchs_own(function):
            place = _place_of_code(function)
            places += [place] if place is not None else []
    return places


def _place_of_code(value: Any) -> Place | None:
    value = inspect.unwrap(value)
    if not hasattr(value, "__code__"):
        value = type(value) if not inspect.isclass(value) else value
    try:
        source = inspect.getsourcefile(value)
    except TypeError:
        return None
    module = sys.modules.get(getattr(value, "__module__", None) or "")
    if module is not None and getattr(module, "__file__", None) == source:
        return _place_of(module)
    return outside(Path(source)) if source is not None and Path(source).is_file() else None


def _place_of(module: ModuleType) -> Place | None:
    package, _, name = module.__name__.partition(".")
    folder = None
    if package.startswith(FROM_FILE):
        folder = Path(sys.modules[package].__path__[0])
    else:
        name = module.__name__
    if isinstance(module.__spec__, ModuleSpec):
        return Place(name, module.__spec__, folder)
    file = getattr(module, "__file__", None)
    return outside(Path(file)) if file is not None else None


def _is_torchs_own(function: Any) -> bool:
    module = getattr(function, "__module__", None) or type(function).__module__
    return module.split(".")[0] in ("torch", "builtins") and (
        "torch" in module or "torch" in repr(function) or hasattr(torch, function.__name__)
    )


def _code_of(origin: Origin) -> tuple[list[Place], dict[str, Path]]:
    """Return where a plugin begins, and all files of its package, whoever imports them."""
    module = sys.modules[origin.module]
    if origin.distribution == GROUP:
        return [], {origin.module: Path(str(module.__file__))}
    place = _place_of(module)
    top = sys.modules[origin.module.partition(".")[0]]
    folders = [Path(folder) for folder in getattr(top, "__path__", ())]
    files = {
        str(file.relative_to(folder.parent)): file
        for folder in folders
        for file in folder.rglob("*.py")
    }
    return [place] if place is not None else [], files


def _digest(files: Mapping[str, Path], read_again: Collection[str] = ()) -> str:
    """Return one digest over the contents of files by name, whatever folder they lie in.

    Args:
        files: The files.
        read_again: The names of those whose code is read anew when they change.

    Raises:
        UsageError: One was changed after it was first asked for: what runs is the old code.
    """
    loaded, digests = _loaded(), []
    for name, file in sorted(files.items()):
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        digests.append(f"{name} {digest}")
        if str(file) in loaded and name not in read_again:
            _refuse_if_changed(str(file), loaded[str(file)], digest, "its old code")
    return hashlib.sha256("\n".join(digests).encode()).hexdigest()


def _loaded() -> dict[str, ModuleSpec]:
    """Return the modules of this process by their file, without those that are read again."""
    found = {}
    for module in list(sys.modules.values()):
        spec = getattr(module, "__dict__", {}).get("__spec__")
        if spec is not None and not spec.name.startswith(FROM_FILE):
            found[spec.origin] = spec
    return found


def _refuse_if_changed(what: str, spec: Any, digest: str, old: str) -> None:
    known, before = _SEEN.get(what, (None, ""))
    if known is not spec:  # first seen, or imported anew
        _SEEN[what] = (spec, digest)
    elif before != digest:
        raise UsageError(
            f"{what} was changed after this process began to use it, and {old} would run under "
            f"the new one's name; start Python again"
        )


def of_task(dataset: Dataset, task: Task, registry: Registry) -> Fingerprint:
    """Return the fingerprint of a task: its bytes, and the code of its own objective."""
    origin = registry.origin(dataset)
    own = "file" if file_kind(dataset.name) else "python"
    provider = f"{origin.distribution} {origin.version}" if origin else own
    digest = task.fingerprint()
    if not task.functions:
        return Fingerprint(name=dataset.name, provider=provider, definition="", digest=digest)
    functions, values = [], [digest]
    for function in task.functions:
        found = carried(function, task.name, strict=False)
        functions += found.functions
        values += found.values
    theirs = [f for f in functions if not str(getattr(f, "__module__", "")).startswith("actzoo.")]
    _refuse_without_source(task.name, theirs)
    metrics = ", ".join(metric.name for metric in task.objective.metrics)
    about = f"{task.inputs}; {task.objective.name}; {metrics}"
    return _fingerprint(dataset.name, provider, about, _places(theirs), {}, values)


def _refuse_without_source(name: str, functions: Iterable[Any]) -> None:
    """Refuse what was typed into a console or notebook: nothing tells it from an edited one."""
    for function in functions:
        typed = inspect.isfunction(function) or inspect.isclass(function)
        if typed and not _is_torchs_own(function) and _place_of_code(function) is None:
            raise UsageError(
                f"{name}: {function!r} has no source file, so an edit could not be told from its "
                f"old results; define it in a file"
            )


def of_rule(rule: Rule, registry: Registry) -> Fingerprint:
    """Return the fingerprint of a rule: its formula, and the code of its functions.

    Raises:
        UsageError: It was made in Python from a callable that has no source.
    """
    origin = registry.origin(rule)
    ours = origin is not None and origin.distribution == GROUP  # its file holds other things, too
    starts, whole = _code_of(origin) if origin is not None and not ours else ([], {})
    functions: list[Any] = [f for f in (rule.normalise, rule.terms, rule.combine) if f is not None]
    values = [f"start={rule.start!r} nonnegative={rule.nonnegative!r}"]
    if origin is None:
        for found in [carried(function, rule.name, strict=True) for function in functions]:
            functions += found.functions
            values += found.values
    starts = [*starts, *_places(functions)]
    if not starts and not whole and not all(map(_is_torchs_own, functions)):
        raise UsageError(
            f"rule {rule.name}: its functions have no source file, so an edit could not be told "
            f"from its old results; define them in a file"
        )
    provider = f"{origin.distribution} {origin.version}" if origin else "python"
    return _fingerprint(rule.name, provider, rule.formula, starts, whole, values)


def _digest_of_file(path: str) -> str:
    try:
        return hashlib.sha256(Path(path).read_bytes()).hexdigest()
    except OSError as error:
        raise UsageError(f"weights {path!r} cannot be read: {error.strerror}") from None


def of_model(model: Model, options: Mapping[str, Any], registry: Registry) -> Fingerprint:
    """Return the fingerprint of a model with its options.

    Raises:
        UsageError: It was made in Python from a callable that has no source.
    """
    origin = registry.origin(model)
    starts, whole = _code_of(origin) if origin else ([], {})
    values: list[str] = []
    functions: list[Any] = [model.make]
    if origin is None:
        found = carried(model.make, model.name, strict=not is_reference(model.name))
        values, functions = found.values, [model.make, *found.functions]
        if is_reference(model.name):
            starts = [place for place in [_place_of(source_of(model.name))] if place is not None]
    if file := options.get("weights"):
        values.append(_digest_of_file(str(file)))
    _refuse_without_source(model.name, functions)
    starts = [*starts, *_places(functions)]
    return _fingerprint(
        model.name,
        f"{origin.distribution} {origin.version}" if origin else "python",
        ", ".join(f"{n}={v!r}" for n, v in sorted(options.items())),
        starts,
        whole,
        values,
    )
