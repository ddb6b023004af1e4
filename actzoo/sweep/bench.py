"""Run a plan: cells that are done are kept, the others run, one after another."""

from __future__ import annotations

import hashlib
import json
import re
import traceback
from collections.abc import Callable, Iterable
from concurrent.futures import Executor, as_completed
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from torch import Tensor

from actzoo import data
from actzoo.activation import Activation
from actzoo.errors import ActzooError, StoreError, UsageError
from actzoo.experiment.build import build
from actzoo.experiment.cell import Epoch
from actzoo.experiment.fingerprint import Fingerprint, of_dataset
from actzoo.experiment.spec import CellSpec
from actzoo.registry import default, get
from actzoo.sweep.plan import Run, resolve
from actzoo.sweep.store import Store, write_csv
from actzoo.sweep.work import work, work_apart
from actzoo.values import Images

if TYPE_CHECKING:
    import pandas

Given = str | Activation | Callable[[Tensor], Tensor]
Kind = Literal["start", "epoch", "done", "failed", "kept"]


@dataclass(frozen=True)
class Event:
    """What happened, for whoever shows it.

    Attributes:
        kind: "start", "epoch", "done" and "failed" of a cell; "kept" if it was done before.
        number, total: Which cell of how many, from 1.
        spec: The cell.
        epoch: Of an epoch: its numbers.
        result: Of a cell done or kept: its result.json.
        message: Of a failed cell: why.
    """

    kind: Kind
    number: int
    total: int
    spec: CellSpec
    epoch: Epoch | None = None
    result: dict[str, Any] | None = None
    message: str = ""


@dataclass(frozen=True)
class Results:
    """A finished run.

    Attributes:
        folder: Where it is stored.
        rows: One dict a cell, as in results.csv.
    """

    folder: Path
    rows: tuple[dict[str, Any], ...]

    @property
    def failed(self) -> int:
        """How many cells failed."""
        return sum(row["status"] == "failed" for row in self.rows)

    def to_frame(self) -> pandas.DataFrame:
        """The rows as a pandas DataFrame."""
        import pandas

        return pandas.DataFrame(list(self.rows))


class Loaded:
    """Datasets, one in memory at a time: cells come dataset by dataset."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._name = ""
        self._images: Images | None = None

    def images(self, name: str) -> Images:
        """The images of a dataset, loaded unless they are the last ones asked for."""
        if self._images is None or name != self._name:
            self._images = None  # the old ones go before the new ones come
            self._images = data.find(name).load(self.root)
            self._name = name
        return self._images


@dataclass(frozen=True)
class Plan:
    """A run whose data were looked at: the cells, and what to say of the datasets."""

    run: Run
    cells: tuple[CellSpec, ...]
    datasets: dict[str, dict[str, Any]]

    def default_folder(self) -> Path:
        """`reports/<sets>-<datasets>-<short hash>`; the hash is over what is asked for."""
        sets = "_".join("+".join(names) for names in self.run.sets)
        words = f"{sets}-{'_'.join(self.run.datasets)}"
        slug = re.sub(r"[^a-z0-9_+.]+", "-", words.lower()).strip("-")[:60]
        asked = json.dumps([cell.to_json() for cell in self.cells], sort_keys=True)
        return Path("reports") / f"{slug}-{hashlib.sha256(asked.encode()).hexdigest()[:8]}"


def make_plan(run: Run, root: Path) -> tuple[Plan, Loaded]:
    """Look at the data and lay out the cells; nothing is written.

    Raises:
        UsageError: An unknown name, a missing or broken dataset, an option out of range.
    """
    run = resolve(run)
    loaded = Loaded(root)
    prints: dict[str, Fingerprint] = {}
    about: dict[str, dict[str, Any]] = {}
    for name in run.datasets:
        dataset = data.find(name)
        images = loaded.images(name)
        if run.limit is not None:
            data.limit(images, run.limit)
        prints[name] = of_dataset(dataset, images, default())
        about[name] = {
            "caution": dataset.caution,
            "description": dataset.description,
            "train": len(images.y_train),
            "test": len(images.y_test),
            "classes": images.classes,
            "shape": list(images.shape),
        }
        _check_networks(run, images)
    return Plan(run, run.cells(prints), about), loaded


def _check_networks(run: Run, images: Images) -> None:
    """Build every network with every set once, so that a misfit shows beforehand."""
    for model in run.models:
        network, options = default().model(model)
        for members, _ in run.variants():
            build(
                network,
                options,
                members,
                images.shape,
                images.classes,
                init="equal",
                network_seed=0,
                mixture_seed=0,
            )


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
        if executor is None:
            _run_here(store, loaded, open_cells, len(plan.cells), show)
        elif open_cells:
            _run_elsewhere(store, loaded, open_cells, len(plan.cells), show, executor)
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
    futures = {
        executor.submit(
            work_apart, str(store.folder.resolve()), spec.to_json(), str(loaded.root.resolve())
        ): (number, spec)
        for number, spec in cells
    }
    try:
        for future in as_completed(futures):
            number, spec = futures[future]
            try:
                message = future.result()
            except StoreError:
                raise
            except Exception as error:  # a worker that died takes its cell with it, no other
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


def cell_row(store: Store, spec: CellSpec) -> dict[str, Any]:
    """A cell as a row of results.csv; columns that depend on the clock end in `_seconds`."""
    row: dict[str, Any] = {
        "set": " + ".join(spec.members),
        "control": spec.control,
        "dataset": spec.dataset,
        "model": spec.model,
        "seed": spec.seed,
        "key": spec.key,
    }
    result = store.result(spec.key)
    if result is None:
        failure = store.error(spec.key) or {}
        return {**row, "status": "failed", "message": failure.get("message", "did not finish")}
    test = result["test"]
    return {
        **row,
        "status": "ok",
        "message": "",
        "test_accuracy": test["accuracy"],
        "test_loss": test["loss"],
        "test_correct": test["correct"],
        "test_images": test["images"],
        "parameters": sum(result["parameters"].values()),
        "training_seconds": result["seconds"]["training"],
        "total_seconds": result["seconds"]["total"],
        **{
            f"P_{layer['name']}_{n}": p
            for layer in result["layers"]
            for n, p in enumerate(layer["P"], start=1)
        },
    }


def bench(
    sets: Iterable[Given | Iterable[Given]],
    *,
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
