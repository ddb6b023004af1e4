"""Run a plan: cells that are done are kept, the others run, one after another."""

from __future__ import annotations

import json
import traceback
from collections.abc import Callable, Iterable
from concurrent.futures import BrokenExecutor, Executor, as_completed
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor

from actzoo import data
from actzoo.activation import Activation
from actzoo.errors import ActzooError, StoreError, UsageError
from actzoo.experiment.cell import Epoch
from actzoo.experiment.spec import CellSpec
from actzoo.registry import default, get
from actzoo.sweep.plan import Run
from actzoo.sweep.prepare import Loaded, Plan, make_plan
from actzoo.sweep.results import Event, Results, cell_row
from actzoo.sweep.store import Store, write_csv
from actzoo.sweep.work import work, work_apart

if TYPE_CHECKING:
    pass

Given = str | Activation | Callable[[Tensor], Tensor]


def run_plan(
    plan: Plan,
    loaded: Loaded,
    folder: Path,
    *,
    command: str = "",
    show: Callable[[Event], None] = lambda _: None,
    executor: Executor | None = None,
) -> Results:
    """Run every cell of a plan that is not done yet, and write results.csv.

    Args:
        plan: What to run.
        loaded: The datasets.
        folder: The output folder.
        command: How it was asked for; the report shows it.
        show: Called with an Event for everything that happens.
        executor: Where to run the cells; in this process, one after another, if left out.

    Raises:
        StoreError: The folder cannot be written, is in use, or holds another format.
    """
    store = Store(folder)
    with store.locked():
        store.write_spec(
            {
                "command": command,
                "run": json.loads(json.dumps(asdict(plan.run))),
                "datasets": plan.datasets,
                "keys": [cell.key for cell in plan.cells],
            }
        )
        open_cells = []
        for number, spec in enumerate(plan.cells, start=1):
            result = store.result(spec.key)
            if result is not None:
                show(Event("kept", number, len(plan.cells), spec, result=result))
            else:
                open_cells.append((number, spec))
        try:
            if executor is None:
                _run_here(store, loaded, open_cells, len(plan.cells), show)
            elif open_cells:
                _run_elsewhere(store, loaded, open_cells, len(plan.cells), show, executor)
        finally:  # an interrupted run leaves a table of what is done, not an older one
            rows = tuple(cell_row(store, spec) for spec in plan.cells)
            write_csv(folder / "results.csv", rows)
    return Results(folder, rows)


Cells = list[tuple[int, CellSpec]]
Show = Callable[[Event], None]


def _run_here(store: Store, loaded: Loaded, cells: Cells, total: int, show: Show) -> None:
    for number, spec in cells:
        show(Event("start", number, total, spec))

        def on_epoch(epoch: Epoch, number: int = number, spec: CellSpec = spec) -> None:
            show(Event("epoch", number, total, spec, epoch=epoch))

        message = work(store, spec, loaded.images(spec.dataset), on_epoch)
        _finished(store, number, total, spec, message, show)


def _run_elsewhere(
    store: Store, loaded: Loaded, cells: Cells, total: int, show: Show, executor: Executor
) -> None:
    folder, root = str(store.folder.resolve()), str(loaded.root.resolve())
    futures = {}
    try:
        for number, spec in cells:
            future = executor.submit(work_apart, folder, spec.to_json(), root)
            futures[future] = (number, spec)
        for future in as_completed(futures):
            number, spec = futures[future]
            try:
                message = future.result()
            except StoreError:
                raise
            except BrokenExecutor as error:  # no fault of the cell's: it stays to be run
                message = f"not finished, a worker died ({error}); run the same command again"
            except Exception as error:
                store.fail(spec, error, traceback.format_exc())
                message = f"{type(error).__name__}: {error}"
            _finished(store, number, total, spec, message, show)
    finally:
        executor.shutdown(wait=True, cancel_futures=True)


def _finished(
    store: Store, number: int, total: int, spec: CellSpec, message: str, show: Show
) -> None:
    if message:
        show(Event("failed", number, total, spec, message=message))
    else:
        show(Event("done", number, total, spec, result=store.result(spec.key)))


def bench(
    sets: Iterable[Given | Iterable[Given]],
    *,
    epochs: int | None = None,
    out: str | Path | None = None,
    data_root: str | Path | None = None,
    show: Callable[[Event], None] = lambda _: None,
    executor: Executor | None = None,
    **options: Any,
) -> Results:
    """Run an experiment: every set, its members and the baseline, over datasets and seeds.

    Args:
        sets: Each a text such as "relu,tanh,sin" or a named set, an Activation, a function
            of a tensor, or an iterable of these; several functions are one mixture.
        epochs: Of every phase, in place of the protocol's.
        out: The output folder; `reports/<sets>-<datasets>-<hash>` if left out.
        data_root: Where datasets lie; ACTZOO_DATA_ROOT or ~/.cache/actzoo if left out.
        show: Called with an Event for everything that happens.
        executor: Any `concurrent.futures.Executor` to run the cells; this process if left out.
        options: The other fields of `actzoo.sweep.plan.Run`: datasets, models, seeds,
            baseline, members, mixtures, control, protocol, batch_size, limit, validation,
            init, device, precision, threads.

    Returns:
        The results, already stored; `actzoo report FOLDER` writes them up.

    Raises:
        UsageError: A name, dataset or option makes no sense.
        StoreError: The folder cannot be used.
    """
    given = [_names(s) for s in sets]
    run = Run(sets=tuple(given), **options)
    if epochs is not None:
        run = replace(run, protocol=tuple(replace(p, epochs=epochs) for p in run.protocol))
        options = {**options, "epochs": epochs}
    plan, loaded = make_plan(run, data.data_root(data_root))
    folder = Path(out) if out is not None else plan.default_folder()
    return run_plan(
        plan, loaded, folder, command=_call(given, options), show=show, executor=executor
    )


def _call(sets: list[tuple[str, ...]], options: dict[str, Any]) -> str:
    """How the run was asked for in Python; the folders are left out, they are no part of it."""
    words = [repr([", ".join(names) for names in sets])]
    return f"actzoo.bench({', '.join(words + [f'{k}={v!r}' for k, v in options.items()])})"


def _names(given: Given | Iterable[Given]) -> tuple[str, ...]:
    if isinstance(given, str):
        return default().members(given)
    if isinstance(given, Activation) or callable(given):
        return (_findable(given),)
    return tuple(_findable(g) for g in given)


def _findable(given: Given) -> str:
    """A name under which another process would find the same function."""
    activation = get(given)
    try:
        found = get(activation.name)
    except ActzooError:
        found = None
    same = found is not None and (found.fn, found.parameters) == (
        activation.fn,
        activation.parameters,
    )
    if not same:
        raise UsageError(
            f"{given!r} cannot be found again by the name {activation.name!r}; a run needs "
            f"functions that stand in a module or file: give 'module:name' or 'file.py:name'"
        )
    return activation.name
