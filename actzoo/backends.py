"""A distribution whose entry points cannot be read does not keep torch from being imported."""

from __future__ import annotations

import functools
import os
from importlib import metadata


def spare_torch() -> None:
    """Keep torch and triton from failing at a distribution whose entry points cannot be read.

    When they are imported they look through those of all distributions for other backends. In
    this process such a distribution has none; `actzoo plugins` says of which, if it is of ours.
    """
    try:
        metadata.entry_points(group="torch.backends")
        return
    except Exception:
        os.environ.setdefault("TORCH_DEVICE_BACKEND_AUTOLOAD", "0")  # for workers
    read = metadata.Distribution.entry_points.fget  # type: ignore[attr-defined]

    @functools.wraps(read)
    def read_or_none(distribution: metadata.Distribution) -> metadata.EntryPoints:
        try:
            found: metadata.EntryPoints = read(distribution)
        except Exception:
            found = metadata.EntryPoints()
        return found

    metadata.Distribution.entry_points = property(read_or_none)  # type: ignore[assignment]
