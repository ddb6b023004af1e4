"""Cells of names, run on a task that is in memory."""

from __future__ import annotations

from typing import Any

from actzoo.sweep.resolve import Given
from actzoo.tasks.task import Task
from actzoo.training import cell
from actzoo.training.result import CellOutput
from actzoo.training.spec import CellSpec


def run_cell(spec: CellSpec, task: Task, *more: Any, **options: Any) -> CellOutput:
    return cell.run_cell(spec, Given().values(spec, task), *more, **options)
