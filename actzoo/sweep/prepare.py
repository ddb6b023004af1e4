"""Before anything runs: the data are looked at, the cells laid out."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from actzoo.errors import DataError
from actzoo.isolation import isolated
from actzoo.naming import shortest
from actzoo.plugins.registry import default
from actzoo.sweep.feasible import check_data
from actzoo.sweep.plan import Run, resolve
from actzoo.sweep.tune import Trial, Tuning, trials
from actzoo.tasks import datasets
from actzoo.training.build import build
from actzoo.training.fingerprint import Fingerprint, of_dataset
from actzoo.training.spec import CellSpec
from actzoo.values import Images


class Loaded:
    """Datasets, one in memory at a time: cells come dataset by dataset."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._name = ""
        self._digests: dict[str, str] = {}
        self._images: Images | None = None

    @isolated()
    def images(self, name: str) -> Images:
        """The images of a dataset, loaded unless they are the last ones asked for."""
        if self._images is None or name != self._name:
            self._images = None  # the old ones go before the new ones come
            images = datasets.find(name).load(self.root)
            digest = images.fingerprint()
            if self._digests.setdefault(name, digest) != digest:
                raise DataError(f"the files of {name} changed while this run was going on")
            self._images, self._name = images, name
        return self._images


@dataclass(frozen=True)
class Plan:
    """A run whose data were looked at.

    Attributes:
        run: What was asked for.
        cells: What to report on; none of a run that tunes until it has chosen.
        datasets: What to say of each dataset.
        trials: The cells that tune.
        prints: The fingerprint of each dataset.
        notes: What is to be said of how each dataset was read, in lines.
    """

    run: Run
    cells: tuple[CellSpec, ...]
    datasets: dict[str, dict[str, Any]]
    trials: tuple[Trial, ...]
    prints: dict[str, Fingerprint]
    notes: tuple[str, ...] = ()

    def chosen(self, tuning: Tuning) -> Plan:
        """The same plan with the cells that follow from the choice."""
        return replace(self, cells=self.run.cells(self.prints, tuning.chosen))

    def default_folder(self) -> Path:
        """`reports/<sets>-<datasets>-<short hash>`; the hash is over what is asked for."""
        sets = "_".join("+".join(names) for names in self.run.sets)
        words = f"{sets}-{'_'.join(shortest(self.run.datasets).values())}"
        slug = re.sub(r"[^a-z0-9_+.]+", "-", words.lower()).strip("-")[:60]
        cells = [*self.cells, *(trial.spec for trial in self.trials)]
        asked = " ".join(cell.key for cell in cells)
        if self.trials:
            asked += repr(self.run.seeds)
        return Path("reports") / f"{slug}-{hashlib.sha256(asked.encode()).hexdigest()[:8]}"


def make_plan(run: Run, root: Path, *, elsewhere: bool = False) -> tuple[Plan, Loaded]:
    """Look at the data and lay out the cells; nothing is written.

    Args:
        run: What was asked for.
        root: Where datasets lie.
        elsewhere: Whether cells run on other machines: then the device need not be here.

    Raises:
        UsageError: An unknown name, a missing or broken dataset, an option out of range.
    """
    run = resolve(run, elsewhere=elsewhere)  # this loads the plugins, which may set anything
    with isolated():
        return _plan(run, root, elsewhere)


def _plan(run: Run, root: Path, elsewhere: bool) -> tuple[Plan, Loaded]:
    loaded = Loaded(root)
    prints: dict[str, Fingerprint] = {}
    about: dict[str, dict[str, Any]] = {}
    shown, notes = shortest(run.datasets), []
    for name in run.datasets:
        dataset = datasets.find(name)
        images = loaded.images(name)
        check_data(run, images)
        notes += [f"{shown[name]}: {note}" for note in images.notes]
        prints[name] = of_dataset(dataset, images, default())
        about[name] = {
            "caution": ". ".join(filter(None, (dataset.caution, *images.notes))),
            "description": dataset.description,
            "train": len(images.y_train),
            "test": len(images.y_test),
            "classes": images.classes,
            "shape": list(images.shape),
        }
        _check_networks(run, images, elsewhere)
    cells = () if run.tunes else run.cells(prints)
    return Plan(run, cells, about, trials(run, prints), prints, tuple(notes)), loaded


def _check_networks(run: Run, images: Images, elsewhere: bool) -> None:
    """Build every network with every set once, so that a misfit shows beforehand."""
    for model in run.models:
        network, options = default().model(model)
        for members, _ in run.variants():
            built = build(
                network,
                options,
                members,
                images.shape,
                images.classes,
                init="equal",
                kernel=run.kernel,
                network_seed=0,
                mixture_seed=0,
            )
            if not elsewhere:
                built.kernel_used(torch.device(run.device), run.precision)
