from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

# On processors that nobody has measured, tests are of the rule, and leave no file in the home.
os.environ["ACTZOO_MEASURE"] = "0"
# Several processes of tests share the cores: threads that wait for each other let the others work.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--slow", action="store_true", help="run the tests marked slow too")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--slow"):
        return
    skip = pytest.mark.skip(reason="slow: run with --slow")
    for item in items:
        if "slow" in item.keywords:
            item.add_marker(skip)


@pytest.fixture(scope="session")
def tiny_npz(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """120 + 30 images of 8x8 in three classes that differ by where the light is."""
    rng = np.random.default_rng(0)
    arrays = {}
    for part, count in (("train", 120), ("test", 30)):
        labels = np.arange(count) % 3
        images = rng.integers(0, 60, (count, 8, 8))
        for row in range(count):
            images[row, 2 * labels[row] : 2 * labels[row] + 3] += 150
        arrays[f"x_{part}"] = images.astype(np.uint8)
        arrays[f"y_{part}"] = labels
    path = tmp_path_factory.mktemp("data") / "tiny.npz"
    np.savez(path, **arrays)
    return path
