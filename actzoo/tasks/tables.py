"""Tables as tasks: rows of numbers, each with a class or a number to predict."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from actzoo import (
    BINARY,
    CLASSIFICATION,
    REGRESSION,
    DataError,
    Dataset,
    Examples,
    Task,
    hookimpl,
    scaled_regression,
    standardised,
)

if TYPE_CHECKING:
    import pandas as pd

TEST = 0.2
"""A fifth of the rows, another one for each seed, is for the test."""
ROWS = 10
"""A table has so many rows or more."""
FRIEDMAN_ROWS = 10_000
FEW = 20
"""So many different whole numbers or fewer may be classes or numbers."""
LOSS = 2.0**-20
"""Columns may be rounded to float32 if that moves no value by a larger part of their range."""
KINDS = ("classification", "regression")
RESPLIT = (
    f"each seed tests on another {TEST:.0%} of the rows, the same for every function; intervals "
    f"and tests allow for the rows that the seeds have in common (Nadeau and Bengio 2003)"
)


def table_task(
    name: str, rows: Tensor, targets: Tensor, classes: int = 0, notes: tuple[str, ...] = ()
) -> Task:
    """Return the task of a table, whose rows every seed divides anew.

    Inputs are scaled to mean 0 and deviation 1 of each column, and so are numbers to predict,
    over the rows that train.

    Args:
        name: What reports call it.
        rows: Floats of shape (N, columns).
        targets: Classes from 0 on, int64 of shape (N,); or numbers, floats of shape (N, 1).
        classes: How many classes there are; 0 for numbers.
        notes: What a reader must know of how it was read.

    Raises:
        DataError: There are fewer than `ROWS` rows.
    """
    _check_rows(name, len(rows))
    cut = len(rows) - round(len(rows) * TEST)
    aim = {0: REGRESSION, 2: BINARY}.get(classes, CLASSIFICATION)
    return Task(
        name=name,
        inputs="features",
        train=Examples(rows[:cut], targets[:cut]),
        test=Examples(rows[cut:], targets[cut:]),
        outputs=classes if classes > 2 else 1,
        objective=scaled_regression(targets[:cut]) if aim is REGRESSION else aim,
        prepare=standardised,
        resplit=True,
        fit=scaled_regression if aim is REGRESSION else None,
        notes=(*notes, RESPLIT),
    )


def _check_rows(name: str, count: int) -> None:
    if count < ROWS:
        raise DataError(f"{name} has {count} rows; expected {ROWS} or more")


def read_csv(path: Path, *, target: str, task: str = "") -> Task:
    """Return the task of a .csv file: predict one column from all others.

    Text, true and false, and two different numbers are classes; other numbers are numbers to
    predict. A few different whole numbers may be either. Numbers with a text among them are
    refused: it may stand for a value that is not known.

    Args:
        path: The file; its first line has the names of the columns.
        target: The column to predict.
        task: "classification" or "regression", where the target may be either or is a mixture.

    Raises:
        DataError: It cannot be read so; the message says where.
    """
    import pandas as pd

    name = f"csv:{path.name}"
    if task and task not in KINDS:
        raise DataError(f"{name}: task={task}; expected {' or '.join(KINDS)}")
    try:
        frame = pd.read_csv(path, keep_default_na=False, na_values=[""])
    except (OSError, ValueError) as error:  # pandas' own errors are ValueErrors
        raise DataError(
            f"csv:{path}: {error}; expected a table in UTF-8 with a line of names"
        ) from None
    if not isinstance(
        frame.index, pd.RangeIndex
    ):  # pandas took the first columns for names of rows
        raise DataError(
            f"{name}: its rows have {frame.index.nlevels + frame.shape[1]} values and its line of "
            f"names {frame.shape[1]} names; expected a name for each value (a comma at the end of "
            f"a row begins another value)"
        )
    if target not in frame:
        raise DataError(
            f"{name} has no column {target!r}; expected one of {', '.join(map(str, frame))}"
        )
    if frame.shape[1] < 2:
        raise DataError(f"{name} has the column {target} alone; expected others to predict it from")
    _check_rows(name, len(frame))
    missing = frame.isna()
    if missing.any(axis=None):
        column = str(missing.any().idxmax())
        row = int(missing[column].argmax()) + 1
        raise DataError(
            f"{name}: {column} is empty in row {row} below the names; expected a value everywhere"
        )
    inputs = frame.drop(columns=target)
    for column, values in inputs.items():
        inputs[column] = numbers = _numbers(values)
        if numbers.isna().any():
            raise DataError(
                f"{name}: {_first_text(values, numbers)}; expected numbers: leave such a column "
                f"out, or make numbers of it (pandas.get_dummies)"
            )
    targets, classes, note = _targets(name, frame[target], task)
    return table_task(name, _floats(name, inputs), targets, classes, (note,))


def _numbers(column: pd.Series[Any]) -> pd.Series[Any]:
    """Return a column as numbers, NaN where a value is none; pandas keeps huge ones as texts."""
    import pandas as pd

    return column if column.dtype.kind in "iufb" else pd.to_numeric(column, errors="coerce")


def _first_text(column: pd.Series[Any], numbers: pd.Series[Any]) -> str:
    """Return where the first value that is no number stands."""
    row = int(numbers.isna().argmax())
    return f"{column.name} is {str(column.iloc[row])!r} in row {row + 1} below the names"


def _floats(name: str, frame: pd.DataFrame) -> Tensor:
    """Return numbers in float32; in float64 where float32 would lose what tells rows apart."""
    wide = torch.tensor(frame.to_numpy(dtype="float64"))
    narrow = wide.float()
    if not narrow.isfinite().all():
        row, column = (~narrow.isfinite()).nonzero()[0].tolist()
        raise DataError(
            f"{name}: {frame.columns[column]} is {frame.iat[row, column]} in row {row + 1} below "
            f"the names; expected a finite number that float32 holds"
        )
    lost = (narrow.double() - wide).abs().amax(dim=0)
    spread = wide.amax(dim=0) - wide.amin(dim=0)
    return wide if ((lost > LOSS * spread) & (spread > 0)).any() else narrow


def _targets(name: str, column: pd.Series[Any], task: str) -> tuple[Tensor, int, str]:
    """Return the targets, the number of classes (0 for numbers), and what is said of them."""
    import numpy as np

    numbers = _numbers(column)
    is_number = numbers.dtype.kind in "iuf" and not numbers.isna().any()
    mostly = column.dtype.kind != "b" and 2 * int(numbers.notna().sum()) > len(numbers)
    if is_number:
        column = numbers
    elif task == "regression" or (mostly and not task):
        raise DataError(
            f"{name}: the target {_first_text(column, numbers)}; expected numbers: put one there "
            f"or leave the row out" + ("" if task else ", or add &task=classification")
        )
    values, labels = np.unique(
        column.to_numpy(dtype=None if is_number else str), return_inverse=True
    )
    few = is_number and 2 < len(values) <= FEW and bool((values == np.floor(values)).all())
    if few and not task:
        raise DataError(
            f"{name}: the target {column.name} is one of {len(values)} whole numbers, which may be "
            f"classes or numbers; add &task=classification or &task=regression"
        )
    if len(values) < 2:
        raise DataError(
            f"{name}: the target {column.name} is {values[0]!s} in every row; expected two "
            f"different values or more"
        )
    if task == "regression" or (is_number and len(values) > 2 and task != "classification"):
        return _floats(name, column.to_frame()), 0, f"the target {column.name} is a number"
    shown = [str(value) for value in values]
    listing = ", ".join(shown if len(shown) <= 5 else [*shown[:4], "...", shown[-1]])
    note = f"the target {column.name} has the classes {listing}, numbered from 0 in this order"
    if len(values) > len(labels) // 2:
        raise DataError(
            f"{name}: the target {column.name} has {len(values)} classes in {len(labels)} rows; "
            f"expected two rows or more of each"
            + ("; for numbers: &task=regression" if is_number else "")
        )
    return torch.from_numpy(labels.astype(np.int64)), len(values), note


def load_breast_cancer(root: Path) -> Task:
    """Return scikit-learn's breast cancer table: whether a tumour is benign."""
    from sklearn.datasets import load_breast_cancer as load

    rows, target = load(return_X_y=True)
    return table_task("breast_cancer", torch.tensor(rows).float(), torch.tensor(target).long(), 2)


def load_diabetes(root: Path) -> Task:
    """Return scikit-learn's diabetes table: how far the disease has gone after a year."""
    from sklearn.datasets import load_diabetes as load

    rows, target = load(return_X_y=True, scaled=False)
    return table_task("diabetes", torch.tensor(rows).float(), torch.tensor(target).float()[:, None])


def load_friedman1(root: Path) -> Task:
    """Return Friedman's first function of 10 columns, 5 of which matter, with noise.

    y = 10 sin(π x₁ x₂) + 20 (x₃ - 0.5)² + 10 x₄ + 5 x₅ + a normal number of deviation 1; the
    columns are uniform on [0, 1]. No model can have an RMSE below 1 for long.
    """
    from sklearn.datasets import make_friedman1

    rows, target = make_friedman1(FRIEDMAN_ROWS, noise=1.0, random_state=0)
    return table_task(
        "friedman1", torch.tensor(rows).float(), torch.tensor(target).float()[:, None]
    )


@hookimpl
def actzoo_datasets() -> tuple[Dataset, ...]:
    """Return the tables that scikit-learn brings."""
    return (
        Dataset(
            name="breast_cancer",
            load=load_breast_cancer,
            description="569 tumours, 30 measures: benign or not? Bundled with scikit-learn",
            caution="accuracy hardly differs here, so log-loss is the score; the test has 114 rows",
        ),
        Dataset(
            name="diabetes",
            load=load_diabetes,
            description="442 patients, 10 measures: the disease after a year. Bundled with "
            "scikit-learn",
            caution="a linear model does about as well as any: small differences are the rule",
        ),
        Dataset(
            name="friedman1",
            load=load_friedman1,
            description=f"{FRIEDMAN_ROWS:,} rows of Friedman's first function with noise, "
            "made by scikit-learn",
            caution="made by a formula with a sine in it; noise of deviation 1 bounds the RMSE",
        ),
    )
