"""Fingerprints: what was run, beyond its name."""

from __future__ import annotations

import hashlib
import inspect
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from actzoo.activation import Activation
from actzoo.errors import UsageError
from actzoo.formula import Formula
from actzoo.registry import Registry
from actzoo.values import Dataset, Images, Network


@dataclass(frozen=True, kw_only=True)
class Fingerprint:
    """What stands behind a name.

    Attributes:
        name: As in the spec; of an activation its qualified name, `distribution:name`.
        provider: `distribution version`, or "formula" or "python" for what no plugin declared.
        definition: Formula and parameters, or options; "" for data.
        digest: SHA-256 of the defining module's source, or of the data's bytes.
    """

    name: str
    provider: str
    definition: str
    digest: str


def _file_digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _module_digest(module: str) -> str:
    source = inspect.getsourcefile(sys.modules[module])
    if source is None:
        raise UsageError(f"module {module!r} has no source file, so its edits could not be seen")
    return _file_digest(Path(source))


def of_activation(activation: Activation, registry: Registry) -> Fingerprint:
    """The fingerprint of a function.

    Raises:
        UsageError: It was made in Python from a callable without source.
    """
    origin = registry.origin(activation)
    parameters = ", ".join(f"{n}={v!r}" for n, v in sorted(activation.parameters.items()))
    definition = f"{activation.formula or activation.latex}; {parameters}".rstrip("; ")
    name = activation.name
    if origin is not None:
        name = f"{origin.distribution}:{name}"
        provider, digest = f"{origin.distribution} {origin.version}", _module_digest(origin.module)
    else:
        provider, digest = _of_callables(activation)
    return Fingerprint(name=name, provider=provider, definition=definition, digest=digest)


def _of_callables(activation: Activation) -> tuple[str, str]:
    declared = (activation.fn, activation.derivative.declared)  # type: ignore[attr-defined]
    if all(f is None or _is_from_formula(f) for f in declared):
        # The formula is the definition; what turns it into torch is a part of actzoo.
        folder = Path(inspect.getfile(Formula)).parent
        texts = [_file_digest(path) for path in sorted(folder.glob("*.py"))]
        return "formula", hashlib.sha256("".join(texts).encode()).hexdigest()
    digest = hashlib.sha256()
    for function in declared:
        if function is not None and not _is_from_formula(function):
            digest.update(_source(function, activation.name).encode())
    return "python", digest.hexdigest()


def _is_from_formula(function: Any) -> bool:
    return type(function).__module__.startswith("actzoo.formula")


def _source(function: Any, name: str) -> str:
    """The digest of the file that defines a function; torch's own operators by their name."""
    kind = type(function)
    if isinstance(function, torch.nn.Module):
        function = kind
    try:
        source = inspect.getsourcefile(inspect.unwrap(function))
    except TypeError:
        source = None  # compiled code
    if source is not None and Path(source).is_file():
        return _file_digest(Path(source))
    if "torch" in (getattr(function, "__module__", None) or kind.__module__ or repr(function)):
        return repr(function)  # its version is in the environment
    raise UsageError(
        f"{name}: {function!r} has no source file, so an edit could not be told from its old "
        f"results; define it in a file"
    )


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
    provider = f"{origin.distribution} {origin.version}" if origin else "python"
    definition = ", ".join(f"{n}={v!r}" for n, v in sorted(options.items()))
    module = origin.module if origin else inspect.unwrap(network.build).__module__
    return Fingerprint(
        name=network.name, provider=provider, definition=definition, digest=_module_digest(module)
    )
