"""The C code under the sanitizers for addresses, undefined behaviour and data races."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

import actzoo.kernels.table

SOURCE = Path(actzoo.kernels.table.__file__).parent / "table.c"
DRIVER = Path(__file__).with_name("table_driver.c")


def build(folder: Path, options: list[str], *sources: Path) -> tuple[Path, str]:
    """The program and what the compiler said; skips where it has no such sanitizer."""
    compiler = os.environ.get("CC") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        pytest.skip("no C compiler (gcc or clang) on the PATH")
    program = folder / "program"
    words = [compiler, "-g", "-O0", *options, *map(str, sources), "-lm", "-pthread"]
    done = subprocess.run([*words, "-o", program], capture_output=True, text=True)
    return (program if done.returncode == 0 else Path()), done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("sanitizers", ("address,undefined", "thread"))
def test_no_sanitizer_complains(tmp_path: Path, sanitizers: str) -> None:
    options = [f"-fsanitize={sanitizers}", "-fno-sanitize-recover=all"]
    empty = tmp_path / "empty.c"
    empty.write_text("int main(void) { return 0; }\n")
    program, said = build(tmp_path, options, empty)
    if not program.name or subprocess.run([program], capture_output=True).returncode:
        pytest.skip(f"no -fsanitize={sanitizers} here: {said.strip()[:200]}")
    warnings = ["-std=gnu11", "-Wall", "-Wextra", "-Werror"]
    program, said = build(tmp_path, [*options, *warnings], SOURCE, DRIVER)
    assert program.name, said
    several_threads = ["threads"] * (sanitizers == "thread")
    done = subprocess.run([program, *several_threads], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "listed" in done.stdout
