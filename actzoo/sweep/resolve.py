"""Names become values here, for a run and for each cell; what the caller gave comes first."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from torch import nn

from actzoo.environment import device_elsewhere, pick_device
from actzoo.errors import UsageError
from actzoo.models.model import Model
from actzoo.naming import file_kind, is_plain_name
from actzoo.plugins import datasets, models
from actzoo.plugins.loader import GROUP
from actzoo.plugins.registry import default, get
from actzoo.rules import RATIO, Rule
from actzoo.sweep.plan import Run
from actzoo.tasks import files
from actzoo.tasks.task import Dataset, Task
from actzoo.training.fingerprint import of_rule
from actzoo.training.setup import Values
from actzoo.training.spec import CellSpec, MixtureRule

_DEFAULTS = (Run.baseline, *Run.datasets, *Run.models)


@dataclass(frozen=True)
class Given:
    """Tasks and models that were given as values and that no other process would find by name.

    Attributes:
        datasets: Tasks by the names that the run has for them.
        models: Models likewise.
        rules: Rules likewise.
    """

    datasets: dict[str, Dataset] = field(default_factory=dict)
    models: dict[str, Model] = field(default_factory=dict)
    rules: dict[str, Rule] = field(default_factory=dict)

    @property
    def names(self) -> tuple[str, ...]:
        """The names that stand for values of this process alone."""
        return (*self.datasets, *self.models, *self.rules)

    def name_of_task(self, value: str | Task | Dataset) -> str:
        """Return the name of a task for the run, and keep the value if nobody else has it.

        Raises:
            UsageError: It is none, or its name cannot be used.
        """
        if isinstance(value, str):
            return value
        if not isinstance(value, Task | Dataset):
            raise UsageError(
                f"{value!r} is no task; expected a name, a file such as npz:PATH, an actzoo.Task "
                f"or Dataset"
            )
        if isinstance(value, Dataset) and default().origin(value) is not None:
            return default().found_by(value)
        if not is_plain_name(value.name):
            raise UsageError(
                f"the task {value.name!r} cannot be run under that name; expected lower_snake_case"
            )
        if isinstance(value, Task):
            task = value
            value = Dataset(
                name=task.name, load=lambda _: task, description="given in Python",
                caution=task.caution,
            )  # fmt: skip
        _keep(self.datasets, value.name, value)
        return value.name

    def name_of_model(self, value: str | Model | Callable[..., nn.Module]) -> str:
        """Return the name of a model for the run, and keep the value if nobody else has it.

        Raises:
            UsageError: It is none.
        """
        if isinstance(value, str):
            return value
        model = models.of_value(value)
        if default().origin(model) is not None:
            return default().found_by(model)
        if not models.findable(model):
            _keep(self.models, model.name, model)
        return model.name

    def name_of_rule(self, value: str | Rule) -> str:
        """Return the name of a rule for the run, and keep the value if nobody else has it.

        Raises:
            UsageError: It is none.
        """
        if isinstance(value, str):
            return value
        if not isinstance(value, Rule):
            raise UsageError(f"rule={value!r}; expected a name, or an actzoo.Rule")
        if default().origin(value) is not None:
            return default().found_by(value)
        _keep(self.rules, value.name, value)
        return value.name

    def rule(self, name: str) -> Rule:
        """Return the rule of a name.

        Raises:
            UnknownNameError: No rule goes by it.
        """
        if name in self.rules:
            return self.rules[name]
        return RATIO if name == RATIO.name else default().rule(name)  # whoever has another

    def mixing(self, run: Run, members: tuple[str, ...]) -> MixtureRule:
        """Return how a run mixes the members of a set; a function alone is not mixed."""
        rule = self.rule(run.rule)
        if len(members) == 1:
            return MixtureRule()
        return MixtureRule(
            name=run.rule,
            scope=run.rule_scope,
            terms=() if rule.is_weighted_sum else rule.names(members),
            fingerprint=None if rule is RATIO else of_rule(rule, default()),
        )

    def dataset(self, name: str) -> Dataset:
        """Return the dataset of a name.

        Raises:
            UnknownNameError: No dataset goes by it.
        """
        return self.datasets[name] if name in self.datasets else datasets.find(name)

    def model(self, text: str) -> tuple[Model, dict[str, Any]]:
        """Return the model that a text names, and the values of its options.

        Raises:
            UnknownNameError: No model goes by that name, or it has not such an option.
        """
        if text in self.models:
            model = self.models[text]
            return model, dict(model.options or {})
        return default().model(text)

    def values(self, spec: CellSpec, task: Task) -> Values:
        """Return what the names in a spec stand for; the task is that of the spec."""
        model, options = self.model(spec.model)
        members = tuple(get(name) for name in spec.members)
        return Values(members, task, model, options, self.rule(spec.rule.name))


def _rule_name(text: str, given: Given) -> str:
    """Return the name of a rule as its owner writes it; the ratio is ours, whoever has another."""
    rule = given.rule(text)
    if "(" in rule.name:  # with options, which its own name has
        return rule.name
    return text if text in given.rules or rule is RATIO else default().found_by(rule)


def _keep(kept: dict[str, Any], name: str, value: Any) -> None:
    if kept.setdefault(name, value) is not value:
        raise UsageError(f"two values are called {name!r}; give one of them another name")


def resolve(run: Run, given: Given | None = None, *, elsewhere: bool = False) -> Run:
    """Return the same run with every name as its owner writes it, so that aliases are one cell.

    Args:
        run: What was asked for.
        given: The tasks and models that were given as values.
        elsewhere: Whether cells run on other machines: then the device need not be here.

    Raises:
        UnknownNameError: A name that nobody provides.
    """
    here = given or Given()

    def name(text: str) -> str:
        return default().full_name(get(text))

    def own(text: str) -> str:  # a default is ours, whoever else has one of that name
        return f"{GROUP}:{text}" if text in _DEFAULTS and text not in here.names else text

    return replace(
        run.settled(),
        datasets=tuple(_dataset_name(own(text), here.datasets) for text in run.datasets),
        models=tuple(_model_name(own(text), here.models, run.weights) for text in run.models),
        weights=None,  # they are an option of the models
        rule=_rule_name(run.rule, here),
        device=str((device_elsewhere if elsewhere else pick_device)(run.device)),
        sets=tuple(tuple(name(n) for n in names) for names in run.sets),
        baseline=name(own(run.baseline)),
    )


def _dataset_name(text: str, given: Mapping[str, Dataset]) -> str:
    """Return the dataset's own name; a file by its full path, so that any worker finds it."""
    if text in given:
        return text
    if file_kind(text):
        return files.resolved(text)
    return default().found_by(datasets.find(text))


def _model_name(text: str, given: Mapping[str, Model], weights: str | None = None) -> str:
    """Return `MLP(depth=2)` as `mlp`: the model's name, and options that differ from its own."""
    if text in given and not weights:
        return text
    model, options = default().model(text) if text not in given else (given[text], {})
    if weights:
        if not model.takes("weights"):
            raise UsageError(
                f"the model {text} takes no weights of a file; those of torchvision and timm do, "
                f"such as torchvision:resnet18"
            )
        options = {**options, "weights": str(Path(weights).expanduser().resolve())}
    default_of = model.options or {}
    own = {k: v for k, v in options.items() if k not in default_of or v != default_of[k]}
    name = default().found_by(model)
    if not own:
        return name
    return f"{name}({', '.join(f'{k}={v!r}' for k, v in sorted(own.items()))})"
