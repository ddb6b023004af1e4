"""Killed at any moment, the same command finishes the sweep, with the same bytes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

KILLING = Path(__file__).with_name("killing.py")
SEED = 20


@pytest.mark.skipif(
    not Path("/proc/self/fd").exists(), reason="forks, and asks the system which file is which"
)
@pytest.mark.slow
def test_killed_at_twenty_random_moments_and_at_every_kind_of_write(tmp_path, tiny_npz):
    words = [sys.executable, KILLING, tmp_path, tiny_npz, "20", str(SEED)]
    done = subprocess.run(
        [str(word) for word in words],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    kills = report["random"] + report["writes"]
    assert len(report["random"]) == 20
    assert [kill for kill in report["writes"] if not kill["killed"]] == []
    assert [kill for kill in kills if not kill["same"]] == [], done.stderr
