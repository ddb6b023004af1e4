"""Fingerprints: what was run, beyond its name."""

from __future__ import annotations

import hashlib
import inspect
import sys
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from actzoo.activation import Activation
from actzoo.errors import UsageError
from actzoo.formula import Formula
from actzoo.plugins import GROUP, Origin
from actzoo.references import FROM_FILE, is_reference, source_of
from actzoo.registry import Registry
from actzoo.values import Dataset, Images, Network

_SEEN: dict[Path, tuple[Any, str]] = {}
"""Of files that are modules here: the spec of the import, and the digest when first asked for."""


@dataclass(frozen=True, kw_only=True)
class Fingerprint:
    """What stands behind a name.

    Attributes:
        name: As in the spec; of an activation its qualified name, `distribution:name`.
        provider: `distribution version`, or "formula" or "python" for what no plugin declared.
        definition: Formula and parameters, or options; "" for data.
        digest: SHA-256 of the sources that define it, or of the data's bytes.
    """

    name: str
    provider: str
    definition: str
    digest: str


def of_activation(activation: Activation, registry: Registry) -> Fingerprint:
    """The fingerprint of a function.

    Raises:
        UsageError: It was made in Python from a callable without source.
    """
    origin = registry.origin(activation)
    name, files = activation.name, _sources(activation)
    read_again: set[Path] = set()
    if origin is not None:
        name = f"{origin.distribution}:{name}"
        provider = f"{origin.distribution} {origin.version}"
        files |= _code_of(origin)
    elif is_reference(name):
        provider = "python"
        own = _files_of(source_of(name))
        files |= own
        read_again = own if name.rpartition(":")[0].endswith(".py") else set()
    else:
        provider = "formula" if activation.formula is not None else "python"
    if not files and not _is_torchs_own(activation.fn):
        raise UsageError(
            f"{name}: {activation.fn!r} has no source file, so an edit could not be told from "
            f"its old results; define it in a file"
        )
    return Fingerprint(
        name=name,
        provider=provider,
        definition=_definition(activation),
        digest=_digest(files, read_again),
    )


def _definition(activation: Activation) -> str:
    """Formula, then what else decides the function, in one line."""
    parts = [activation.formula or activation.latex or ""]
    for key, value in sorted(activation.parameters.items()):
        scope = activation.learnable.get(key)
        parts.append(f"{key}={value!r}" + (f" per {scope}" if scope else ""))
    if activation.kind not in ("elementwise", "channelwise"):
        parts.append(activation.kind)
    return "; ".join(parts)


def _sources(activation: Activation) -> set[Path]:
    """The files that define its functions; none for torch's own, whose version is recorded."""
    declared: tuple[Any, ...] = (
        activation.fn,
        activation.derivative.declared,  # type: ignore[attr-defined]
        activation.training_fn,
    )
    files: set[Path] = set()
    for function in declared:
        if type(function).__module__.startswith("actzoo.formula"):
            # The formula is the definition; what turns it into torch is a part of actzoo.
            files |= set(Path(inspect.getfile(Formula)).parent.glob("*.py"))
        elif function is not None and not _is_torchs_own(function):
            files |= _files_of(function)
    return files


def _files_of(value: Any) -> set[Path]:
    if isinstance(value, torch.nn.Module):
        value = type(value)
    try:
        source = inspect.getsourcefile(inspect.unwrap(value))
    except TypeError:
        return set()
    return {Path(source)} if source is not None and Path(source).is_file() else set()


def _is_torchs_own(function: Any) -> bool:
    module = getattr(function, "__module__", None) or type(function).__module__
    return module.split(".")[0] in ("torch", "builtins") and (
        "torch" in module or "torch" in repr(function) or hasattr(torch, function.__name__)
    )


def _code_of(origin: Origin) -> set[Path]:
    """A built-in's own module; of anyone else's plugin the whole package, helpers included."""
    module = sys.modules[origin.module]
    if origin.distribution == GROUP:
        return _files_of(module)
    top = sys.modules[origin.module.partition(".")[0]]
    folders = [Path(folder) for folder in getattr(top, "__path__", ())]
    return _files_of(module) | {file for folder in folders for file in folder.rglob("*.py")}


def _digest(files: Iterable[Path], read_again: Collection[Path] = ()) -> str:
    """One digest over the contents of files, whatever folder they lie in.

    Args:
        files: The files.
        read_again: Those whose code is read anew when they change.

    Raises:
        UsageError: One was changed after it was first asked for: what runs is the old code.
    """
    loaded = {}
    for module in list(sys.modules.values()):
        spec = getattr(module, "__dict__", {}).get("__spec__")
        if spec is not None and not spec.name.startswith(FROM_FILE):  # those are read again
            loaded[spec.origin] = spec
    digests = []
    for file in files:
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        digests.append(digest)
        spec = loaded.get(str(file))
        if spec is None or file in read_again:
            continue
        known, before = _SEEN.get(file, (None, ""))
        if known is not spec:  # first seen, or imported anew
            _SEEN[file] = (spec, digest)
        elif before != digest:
            raise UsageError(
                f"{file} was changed after this process began to use it, and its old code would "
                f"run under the new one's name; start Python again"
            )
    return hashlib.sha256("".join(sorted(digests)).encode()).hexdigest()


def of_dataset(dataset: Dataset, images: Images, registry: Registry) -> Fingerprint:
    """The fingerprint of a dataset: its bytes."""
    origin = registry.origin(dataset)
    provider = f"{origin.distribution} {origin.version}" if origin else "file"
    return Fingerprint(
        name=dataset.name, provider=provider, definition="", digest=images.fingerprint()
    )


def of_model(network: Network, options: dict[str, Any], registry: Registry) -> Fingerprint:
    """The fingerprint of a network with its options."""
    origin = registry.origin(network)
    files = _files_of(network.build) | (_code_of(origin) if origin else set())
    return Fingerprint(
        name=network.name,
        provider=f"{origin.distribution} {origin.version}" if origin else "python",
        definition=", ".join(f"{n}={v!r}" for n, v in sorted(options.items())),
        digest=_digest(files),
    )
