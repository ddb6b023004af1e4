"""Run experiments from Python: `actzoo.bench`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from actzoo.activation import Activation
from actzoo.errors import ActzooError, UsageError
from actzoo.models.model import Model
from actzoo.plugins import datasets
from actzoo.plugins.registry import default, get
from actzoo.results.store import Store
from actzoo.sweep.config import Settings, check_tune_seeds, from_python, to_run
from actzoo.sweep.events import Event, Results, cell_row
from actzoo.sweep.prepare import Loaded, Plan, make_plan
from actzoo.sweep.resolve import Given
from actzoo.sweep.rows import SuiteRecord, default_folder, find_suite, recorded
from actzoo.sweep.rows import planned as planned_rows
from actzoo.sweep.runner import run_plan, tell_moved
from actzoo.tasks.task import Dataset, Task
from actzoo.values import Suite, is_remote

Member = str | Activation | Callable[[Tensor], Tensor]
Sets = Member | Iterable[Member | Iterable[Member]]


def bench(
    sets: Sets | None = None,
    *,
    suite: str | Suite | None = None,
    tasks: str | Task | Iterable[str | Task | Dataset] | None = None,
    models: str | Model | Iterable[str | Model | Callable[..., nn.Module]] | None = None,
    epochs: int | Sequence[int] | None = None,
    out: str | Path | None = None,
    data_root: str | Path | None = None,
    show: Callable[[Event], None] = lambda _: None,
    executor: Executor | None = None,
    retry_failed: bool = False,
    fail_fast: bool = False,
    mixed_machines: bool = False,
    **options: Any,
) -> Results:
    """Run an experiment: every set, its members and the baseline, over tasks, models and seeds.

    Args:
        sets: Each a text such as "relu,tanh,sin" or a named set, an Activation, a function
            of a tensor, or an iterable of these; several functions are one mixture. Those of
            the suite if left out.
        suite: Runs the rows of a suite, each with its own tasks, models and settings; "quick",
            "full", "leaderboard", FILE.toml or a Suite. All other settings are over its own.
        tasks: Names of tasks or files (`npz:PATH`, `csv:PATH?target=NAME`), or Task values;
            "digits" if left out. `datasets`, its name in actzoo 0.1, goes on working.
        models: Names of models (`mlp(depth=8)`, `file.py:NAME`, `package.module:NAME`), Model
            values, or functions and classes that make an `nn.Module`; "paper_cnn" if left out.
            Values that stand in no module run in this process only.
        epochs: Of every phase, in place of the protocol's; several are tuned.
        out: The output folder; `reports/<sets>-<datasets>-<hash>` if left out.
        data_root: Where datasets lie; ACTZOO_DATA_ROOT or ~/.cache/actzoo if left out.
        show: Called with an Event for everything that happens.
        executor: Any `concurrent.futures.Executor` to run the cells; this process if left out.
            It is not shut down.
        retry_failed: Whether cells that failed before run again; if not, they are kept.
        fail_fast: Whether the first cell that fails is the last one to run.
        mixed_machines: Whether cells that are compared with each other may be made by
            different machines, versions or commits.
        options: The other settings of the command: seeds, baseline, members,
            mixtures, controls (names, or one text of them), batch_size, limit, validation, init,
            weight_init, device, precision, threads, kernel, keep, rule (a name or an actzoo.Rule),
            rule_scope, grid, tune_seeds (see `actzoo.sweep.plan.Run`); and of the phases
            lr_network, lr_mixture, weight_decay, optimizer, schedule. Several values of a
            hyper-parameter are tuned. `protocol` takes phases of your own.

    Returns:
        The results, already stored; `actzoo report FOLDER` writes them up.

    Raises:
        UsageError: A name, dataset or option makes no sense.
        StoreError: The folder cannot be used; or its cells were made otherwise than the
            others would be.
        TuningError: A grid was asked for, and tuning did not come to its end.
    """
    given = None if sets is None else tuple(_names(s) for s in _each(sets))
    options = {name: _kept(value) for name, value in options.items()}
    if tasks is not None and "datasets" in options:
        raise UsageError("both tasks and datasets were given, two names of one thing; give tasks")
    values = Given()
    tasks = options.pop("datasets", None) if tasks is None else tasks
    for name, several, name_of in (
        ("datasets", tasks, values.name_of_task),
        ("models", models, values.name_of_model),
    ):
        if several is not None:
            options[name] = _named(several, name_of)
    if "rule" in options:
        options["rule"] = values.name_of_rule(options["rule"])
    if epochs is not None:
        options["epochs"] = epochs
    settings = ({} if given is None else {"sets": given}) | from_python(options)
    for name, folder_given in (("out", out), ("data_root", data_root)):
        if folder_given is not None and not (
            isinstance(folder_given, str | Path) and str(folder_given).strip()
        ):
            raise UsageError(f"{name}={folder_given!r}; expected a folder")
    if not callable(show):
        raise UsageError(f"show={show!r}; expected a function that takes an Event")
    if executor is not None and not callable(getattr(executor, "submit", None)):
        raise UsageError(f"executor={executor!r}; expected a concurrent.futures.Executor")
    if executor is not None and values.names:
        raise UsageError(
            f"{values.names[0]!r} was given as a value, which the processes of an executor would "
            f"not find by its name; leave out the executor, or put it into a file (file.py:NAME) "
            f"or a plugin and give its name"
        )
    call = _call(given, suite, options)

    def make(_: str, settings: Settings) -> tuple[Plan, Loaded]:
        if "sets" not in settings:
            raise UsageError("no sets were given; expected some, e.g. ['relu,tanh', 'gelu']")
        run = to_run({"device": "auto", **settings})
        elsewhere = is_remote(executor) and run.device != "auto"
        return make_plan(run, datasets.data_root(data_root), values, elsewhere=elsewhere)

    def run(plan: Plan, loaded: Loaded, folder: Path) -> Results:
        store = Store(folder)
        with store.locked(call):
            return run_plan(
                plan,
                loaded,
                store,
                command=call,
                show=show,
                executor=executor,
                retry_failed=retry_failed,
                fail_fast=fail_fast,
                mixed_machines=mixed_machines,
            )

    if suite is None:
        check_tune_seeds(settings, [settings])
        plan, loaded = make("", settings)
        return run(plan, loaded, Path(out) if out is not None else plan.default_folder())
    of = suite if isinstance(suite, Suite) else find_suite(suite)
    rows = planned_rows(of, settings, make)
    folder = Path(out) if out is not None else default_folder(of, rows)
    record, done = SuiteRecord.of(of, rows, call), list[Results]()
    with recorded(folder, record) as moved:
        tell_moved(moved, rows[0].plan, sum(record.cells), show)
        for row in rows:
            done.append(run(row.plan, row.loaded, folder / row.name))
            if done[-1].stopped:
                break
    left = rows[len(done) :]
    return Results(
        folder,
        (
            *(cell for results in done for cell in results.rows),
            *(cell_row(Store(folder / row.name), spec) for row in left for spec in row.plan.cells),
        ),
        sum(results.kept_failed for results in done),
        sum(results.tuning_failed for results in done),
        done[-1].stopped,
    )


def _call(
    sets: tuple[tuple[str, ...], ...] | None, suite: str | Suite | None, options: dict[str, Any]
) -> str:
    """Return how the run was asked for in Python, without the folders."""
    words = [] if sets is None else [repr([", ".join(names) for names in sets])]
    if suite is not None:
        words.append(f"suite={suite.name if isinstance(suite, Suite) else suite!r}")
    return f"actzoo.bench({', '.join(words + [f'{k}={v!r}' for k, v in options.items()])})"


def _each(
    sets: Sets,
) -> Iterable[Member | Iterable[Member]]:
    """Return every set; a text or function alone is one."""
    if isinstance(sets, str | Activation) or callable(sets):
        return [sets]
    if not isinstance(sets, Iterable):
        raise UsageError(f"sets={sets!r}; expected several, e.g. ['relu,tanh', 'gelu']")
    return sets


def _named(several: Any, name_of: Callable[[Any], str]) -> Any:
    """Return the names of tasks or models; a text is read as the command line reads it."""
    if isinstance(several, str | bytes):
        return several
    alone = callable(several) or isinstance(several, Task | Dataset | Model)
    if not alone and not isinstance(several, Iterable):
        return several  # the settings say what is wrong with it
    return [name_of(value) for value in ([several] if alone else several)]


def _kept(value: Any) -> Any:
    """Return an option's value; what can be gone through once only, as a tuple."""
    if isinstance(value, Mapping):
        return {name: _kept(values) for name, values in value.items()}
    lasting = isinstance(value, str | bytes | list) or not isinstance(value, Iterable)
    return value if lasting else tuple(value)


def _names(given: Member | Iterable[Member]) -> tuple[str, ...]:
    if isinstance(given, str):
        return default().members(given)
    if isinstance(given, Activation) or callable(given):
        return (_findable(given),)
    if not isinstance(given, Iterable):
        raise UsageError(f"{given!r} is no set; expected a text, a function, or several of them")
    return tuple(_findable(g) for g in given)


def _findable(given: Member) -> str:
    """Return a name under which another process would find the same function."""
    activation = get(given)
    try:
        found = get(activation.name)
    except ActzooError:
        found = None
    if found is None or _parts(found) != _parts(activation):
        raise UsageError(
            f"{given!r} cannot be found again by the name {activation.name!r}; a run needs "
            f"functions that stand in a module or file: give 'module:name' or 'file.py:name'"
        )
    return activation.name


def _parts(activation: Activation) -> tuple[Any, ...]:
    """Return what decides an activation's numbers."""
    a = activation
    return a.fn, a.derivative, a.training_fn, a.parameters, a.learnable, a.kind
