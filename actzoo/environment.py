"""The machine, the versions and the commit behind a result."""

from __future__ import annotations

import functools
import hashlib
import os
import platform
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NamedTuple

import torch

import actzoo
from actzoo.errors import UsageError
from actzoo.kernels.table import native
from actzoo.machine import processor

OWN = ("actzoo", "pyproject.toml")
MADE_WITH = (
    "device",
    "processor",
    "vector instructions",
    "table library",
    "threads",
    "torch",
    "actzoo",
    "actzoo's commit",
)
"""Facts, with the names of `in_words`, that can change a result's last digits, or more.

The kernel is not among them. A run asks for one kernel, and the kernel that runs follows from the
set and these facts."""
UNKNOWN = "unknown"
MISSING = "–"
MOST_THREADS = 1024
"""The largest number of threads; a much larger one ends the process without an error."""
PACKAGES = ("torch", "torchvision", "numpy", "pluggy", "pandas", "scipy", "scikit-learn", "sympy")


@functools.cache
def commit() -> dict[str, Any] | None:
    """Return the last commit that changed actzoo, and whether it has uncommitted changes.

    The commit is that of the checkout that holds this package, not of the working directory, and
    of the package only: a commit of documents does not change results (a shallow clone cannot
    tell). `changes` identifies uncommitted changes by 12 digits. None means no checkout.
    """
    root = Path(actzoo.__file__).resolve().parent.parent
    if not (root / ".git").exists():
        return None
    try:
        head = _git(root, "log", "-1", "--format=%H", "--", *OWN)
    except (OSError, subprocess.SubprocessError):
        return None
    try:
        changed = _git(root, "status", "--porcelain", "--", *OWN)
        if not changed:
            return {"id": head, "dirty": False}
        changed += _git(root, "diff", "--no-ext-diff", "--no-color", "HEAD", "--", *OWN)
        new = _git(root, "ls-files", "-o", "-z", "--exclude-standard", "--", *OWN)
        for name in filter(None, new.split("\0")):
            changed += _git(root, "hash-object", "--", name)
    except (OSError, subprocess.SubprocessError):
        return {"id": head, "dirty": True, "changes": "unknown"}
    digest = hashlib.sha256(changed.encode()).hexdigest()[:12]
    return {"id": head, "dirty": True, "changes": digest}


def _git(root: Path, *words: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(root), *words],
        capture_output=True,
        text=True,
        errors="replace",
        timeout=60,  # a cold checkout on a shared folder is slow
        check=True,
    )
    return done.stdout.strip()


def environment(device: torch.device | None = None, threads: int | None = None) -> dict[str, Any]:
    """Return the facts about machine and versions that a result depends on.

    Args:
        device: The device of the computation; a GPU is recorded with its name.
        threads: The number of torch's threads; the current number by default.
    """
    kind = device.type if device is not None else "cpu"
    table = native.load()
    name = torch.cuda.get_device_name(device) if kind == "cuda" else processor()
    return {
        "actzoo": actzoo.__version__,
        "commit": commit(),
        "python": platform.python_version(),
        "packages": {p: v for p in PACKAGES if (v := _version(p))},
        "system": f"{platform.system()} {platform.machine()}",
        "processor": processor(),
        "capability": torch.backends.cpu.get_cpu_capability(),
        "table_library": "none" if table is None else table.isa,
        "cores": os.cpu_count(),
        "device": str(device) if device is not None else "cpu",
        "device_name": name,
        "threads": torch.get_num_threads() if threads is None else threads,
    }


def in_words(found: Mapping[str, Any]) -> dict[str, str]:
    """Return the facts of `environment`, stored or new, as text by their shown names.

    It has every fact in MADE_WITH: "unknown" if an older result lacks it.
    """
    commit = found.get("commit")
    if commit is None:
        known = "unknown: not run from a checkout"
    elif commit["dirty"]:
        known = f"{commit['id']} with uncommitted changes {commit.get('changes', '')}".rstrip()
    else:
        known = commit["id"]
    return {
        "actzoo": str(found.get("actzoo", UNKNOWN)),
        "actzoo's commit": known,
        "python": str(found.get("python", UNKNOWN)),
        "torch": UNKNOWN,
        **{name: str(version) for name, version in found.get("packages", {}).items()},
        "system": str(found.get("system", UNKNOWN)),
        "processor": str(found.get("processor", UNKNOWN)),
        "vector instructions": str(found.get("capability", UNKNOWN)),
        "table library": str(found.get("table_library", UNKNOWN)),
        "cores": str(found.get("cores", UNKNOWN)),
        "device": f"{found.get('device')} ({found.get('device_name')})",
        "threads": str(found.get("threads", UNKNOWN)),
    }


class Difference(NamedTuple):
    """A fact in which two things differ, and what each says of it."""

    what: str
    a: str
    b: str


def differences(
    a: Mapping[str, str], b: Mapping[str, str], among: Iterable[str] | None = None
) -> list[Difference]:
    """Return the facts in which two provenances differ.

    Args:
        a, b: Facts in words by name; one that a side does not have is "–" there.
        among: The facts to look at, `MADE_WITH` where results must agree; all if left out.
    """
    names = [*a, *b] if among is None else among
    found = ((what, a.get(what, MISSING), b.get(what, MISSING)) for what in dict.fromkeys(names))
    return [Difference(*fact) for fact in found if fact[1] != fact[2]]


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Set torch's number of threads inside the block and restore it after."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@functools.cache
def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def device_elsewhere(text: str) -> torch.device:
    """Return a device on another machine, which cannot be checked here.

    Raises:
        UsageError: The text is not the name of a device, or is `auto`.
    """
    try:
        return torch.device(text)
    except RuntimeError:
        raise UsageError(
            f"device {text!r}, but the cells run on other machines, whose devices cannot be "
            f"seen from here; name theirs, e.g. --device cuda or --device cpu"
        ) from None


def pick_device(text: str) -> torch.device:
    """Return the device that the user named; `auto` means a GPU where there is one.

    Raises:
        UsageError: This machine has no such device.
    """
    if text == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(text)
        torch.empty(1, device=device).cpu()
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise UsageError(
            f"device {text!r} cannot be used here ({reason}); "
            f"expected auto, cpu, cuda, cuda:N or mps"
        ) from None
    if device.type == "cpu":
        if device.index:
            raise UsageError(f"device {text!r}: there is one CPU to torch; expected cpu")
        return torch.device("cpu")  # cpu:0 is the same device
    return device
