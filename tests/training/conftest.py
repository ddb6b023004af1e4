"""Cells of a second, and what of a result does not depend on the clock."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from actzoo.plugins.datasets import find
from actzoo.tasks.images import Images
from actzoo.training.protocol import PAPER
from actzoo.training.result import CellOutput, Times
from actzoo.training.spec import CellSpec


@pytest.fixture(scope="session")
def tiny_images(tiny_npz: Path) -> Images:
    return find(f"npz:{tiny_npz}").load(tiny_npz.parent)


@pytest.fixture
def tiny_cell() -> Callable[..., CellSpec]:
    """A spec of two epochs a phase with the reference kernel; options replace its fields."""

    def cell(*members: str, **options: Any) -> CellSpec:
        spec = CellSpec(
            members=members,
            dataset="npz:tiny.npz",
            model="mlp(depth=2,width=8)",
            seed=0,
            protocol=tuple(replace(phase, epochs=2) for phase in PAPER),
            batch_size=32,
            limit=None,
            validation=0.1,
            init="equal",
            device="cpu",
            precision="fp32",
            threads=1,
            control="",
            fingerprints=(),
            kernel="reference",
        )
        return replace(spec, **options)

    return cell


@pytest.fixture(scope="session")
def timeless() -> Callable[[CellOutput], dict[str, Any]]:
    """Everything of a result but what the clock says, arrays as their bytes."""

    def plain(result: CellOutput) -> dict[str, Any]:
        arrays = {**result.predictions, **result.layers}
        return {
            "result": replace(result.result, seconds=Times(0, 0, 0)),
            "history": [replace(row, seconds=0) for row in result.history],
            **{k: (v.dtype.str, v.shape, v.tobytes()) for k, v in arrays.items()},
        }

    return plain
