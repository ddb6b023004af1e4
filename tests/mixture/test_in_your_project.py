"""The page docs/in-your-project.md, and a user's file with the public names."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

USER = '''
"""What a user writes."""

import torch
from torch import nn

import actzoo

model = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
swapped = actzoo.swap(
    model, ["relu", "sin"], where=nn.ReLU, example=torch.ones(1, 2), warm=True, optimizer=optimizer
)
sequence: nn.Sequential = swapped.model
names: list[str] = [place.name for place in swapped.replaced]
reasons: list[str] = [place.reason for place in swapped.missed]
mixture: actzoo.Mixture = swapped.mixtures[0]


def choose(name: str, module: nn.Module, index: int) -> str | None:
    return "mish" if index else None


actzoo.swap(model, "mish", where=choose, in_place=False).undo()
with mixture.watch() as watch, actzoo.phase(model, "mixture", lr=1e-2) as made:
    model(torch.ones(3, 2)).sum().backward()
    made.step()
print(watch.counts.sum(), watch.proportions)
pruned: actzoo.Pruned = mixture.prune(keep=1, loss=lambda: model(torch.ones(1, 2)).sum())
after: float | None = pruned.after
function: actzoo.Activation = mixture.freeze()
actzoo.plot(mixture).savefig("picture.png")
trained: actzoo.Trained = actzoo.train(
    model, (torch.ones(4, 2), torch.zeros(4, dtype=torch.long)), [actzoo.Phase(trains="all")]
)
reached: float | None = trained.phases[0].loss
table: dict[str, type[nn.Module]] = {}
added: tuple[str, ...] = actzoo.register_into(table, ["mish"])
'''


def run(arguments: list[str], folder: Path) -> None:
    settings = {**os.environ, "MYPYPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        arguments, cwd=folder, env=settings, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
def test_each_block_of_the_page_runs(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "in-your-project.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    assert len(blocks) >= 8
    (tmp_path / "page.py").write_text("\n".join(blocks), encoding="utf-8")
    run([sys.executable, "page.py"], tmp_path)
    assert (tmp_path / "mixture.png").stat().st_size > 0


@pytest.mark.slow
def test_a_users_file_has_types(tmp_path: Path) -> None:
    (tmp_path / "user.py").write_text(USER, encoding="utf-8")
    run([sys.executable, "user.py"], tmp_path)
    # silent: of an installed package mypy shows no errors either
    silent = "--follow-imports=silent"
    run([sys.executable, "-m", "mypy", "--strict", silent, "user.py"], tmp_path)
