"""Every command in every terminal: encodings, readers that leave, colours, JSON."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from actzoo.cli import COMMANDS, main
from actzoo.cli.streams import readable

pytestmark = pytest.mark.slow  # each case is a process of its own
BENCH = ("--model", "mlp(width=8)", "--epochs", "1", "--seeds", "0-1", "--threads", "1")
Words = list[str]


def quick(data: Path, out: Path, *more: str) -> Words:
    own = ["bench", "--set", "relu,tanh", "--dataset", f"npz:{data}", "--no-cost"]
    return [*own, *BENCH, "--out", str(out), *more]


def actzoo(words: Words, **more) -> subprocess.CompletedProcess:
    env = {**os.environ, "OMP_NUM_THREADS": "1", **more.pop("env", {})}
    line = [sys.executable, "-m", "actzoo", *words]
    return subprocess.run(line, env=env, capture_output=True, **more)


def card(data: Path, new: Path) -> Words:
    row = {"datasets": [f"npz:{data}"], "models": ["mlp(width=4)"], "epochs": 1, "seeds": "0-1"}
    text = "".join(f"{key} = {json.dumps(value)}\n" for key, value in row.items())
    (new / "small.toml").write_text(f"[row.one]\n{text}")
    return ["card", "snake", "--suite", str(new / "small.toml"), "--executor", "none", "--no-cost",
            "--threads", "1", "--out", str(new / "card")]  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory, tiny_npz) -> Path:
    out = tmp_path_factory.mktemp("run") / "out"
    done = actzoo(quick(tiny_npz, out))
    assert done.returncode == 0, done.stderr
    return out


def lines_of(name: str, folder: Path, data: Path, new: Path) -> Words:
    """A line of each command that ends with 0; whoever adds a command adds a line."""
    return {
        "bench": quick(data, new / "out"),
        "status": ["status", str(folder)],
        "ls": ["ls"],
        "show": ["show", "snake"],
        "check": ["check", "tanh"],
        "similar": ["similar", "erf(x)"],
        "speed": ["speed", "--quick", "--set", "relu,tanh", "--sizes", "2^10", "--table",
                  "operator", "--out", str(new / "speed")],
        "report": ["report", str(folder), "--out", str(new / "report")],
        "compare": ["compare", str(folder), str(folder)],
        "plugins": ["plugins"],
        "new-plugin": ["new-plugin", "mine", "--out", str(new / "mine")],
        "adopt": ["adopt", str(folder), "--seed", "1", "--layer", "1", "--name", "mine", "--out",
                  str(new / "mine")],
        "env": ["env"],
        "card": card(data, new),
    }[name]  # fmt: skip


def within(words: Words, encoding: str, monkeypatch) -> tuple[int, str, str]:
    """What `main` ends with and writes within this process to streams of that encoding."""
    streams = [io.TextIOWrapper(io.BytesIO(), encoding=encoding) for _ in range(2)]
    with monkeypatch.context() as patch:
        patch.setattr(sys, "argv", ["actzoo", *words])
        patch.setattr(sys, "stdout", streams[0])
        patch.setattr(sys, "stderr", streams[1])
        with pytest.raises(SystemExit) as stop:
            main()
    out, err = (stream.buffer.getvalue().decode(encoding) for stream in streams)
    return stop.value.code, out, err


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8"])
def test_a_good_run_ends_well_in_any_encoding(
    name, encoding, folder, tiny_npz, tmp_path, monkeypatch
):
    words = lines_of(name, folder, tiny_npz, tmp_path)
    code, out, err = within(words, encoding, monkeypatch)
    assert code == 0, err
    assert out and not re.search(r"\\u|\\x|\x1b", out + err)


def test_a_good_run_ends_well_in_an_ascii_terminal(tiny_npz, tmp_path):
    done = actzoo(quick(tiny_npz, tmp_path / "out"), env={"PYTHONIOENCODING": "ascii:strict"})
    assert done.returncode == 0, done.stderr
    assert "+/-" in done.stdout.decode("ascii")


@pytest.mark.parametrize("name", ["", *COMMANDS])
def test_help_is_ascii(name, monkeypatch):
    code, out, _ = within([*([name] if name else []), "--help"], "utf-8", monkeypatch)
    assert code == 0 and out.isascii()  # click writes UTF-8 to an ASCII terminal


@pytest.mark.parametrize("locale", [{"LC_ALL": "C"}, {"LC_ALL": "C", "PYTHONUTF8": "0"}])
def test_the_plain_locale_is_no_trouble(locale, folder):
    done = actzoo(["compare", str(folder), str(folder)], env=locale)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("character", "text"),
    [("±", "+/-"), ("β", "beta"), ("Σ", "Sum"), ("─", "-"), ("┼", "+"), ("中", "\\u4e2d")],
)
def test_what_ascii_lacks_stays_readable(character, text):
    assert readable(character) == text


@pytest.mark.parametrize("name", ["help", *COMMANDS])
def test_a_reader_that_left_is_141_and_no_word(name, folder, tiny_npz, tmp_path):
    words = ["ls", "--help"] if name == "help" else lines_of(name, folder, tiny_npz, tmp_path)
    read, write = os.pipe()
    os.close(read)
    line = [sys.executable, "-m", "actzoo", *words]
    with os.fdopen(write, "wb") as nobody:
        done = subprocess.run(line, stdout=nobody, stderr=subprocess.PIPE)
    assert done.returncode == 141, done.stderr
    assert b"Traceback" not in done.stderr and b"rror" not in done.stderr
    written = {"bench": "out/report.md", "report": "report/report.md", "speed": "speed/speed.md",
               "new-plugin": "mine/pyproject.toml", "card": "card/card.md"}  # fmt: skip
    if name in written:
        assert (tmp_path / written[name]).stat().st_size > 0


def test_a_run_outlives_who_reads_its_first_line(tiny_npz, tmp_path):
    line = [sys.executable, "-m", "actzoo", *quick(tiny_npz, tmp_path / "out")]
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as run:
        assert run.stdout.readline() == b"loading torch ...\n"
        run.stdout.close()
        said = run.stderr.read()
    assert (run.returncode, said) == (141, b"")
    assert len(list((tmp_path / "out").glob("cells/*/result.json"))) == 6
    assert (tmp_path / "out" / "results.csv").exists()
    assert (tmp_path / "out" / "report.md").exists()


@pytest.mark.parametrize("words", [["show", "nothing"], ["nonsense"], ["ls", "--no"], []])
def test_an_error_that_nobody_reads_is_141(words):
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "wb") as nobody:
        line = [sys.executable, "-m", "actzoo", *words]
        done = subprocess.run(line, stdout=nobody, stderr=nobody)
    assert done.returncode == 141


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("words", [["ls"], ["env", "--json"]])
def test_output_that_cannot_be_written_is_said(words):
    line = [sys.executable, "-m", "actzoo", *words]
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(line, stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith("error: cannot write the output: ")


def test_streams_closed_from_the_start_are_no_trouble():
    line = f"{sys.executable} -m actzoo show relu >&- 2>&-"
    assert subprocess.run(line, shell=True).returncode == 0


@pytest.mark.parametrize("name", COMMANDS)
def test_json_is_one_document_of_ascii(name, folder, tiny_npz, tmp_path, monkeypatch):
    words = [*lines_of(name, folder, tiny_npz, tmp_path), "--json"]
    code, out, err = within(words, "utf-8", monkeypatch)
    assert code == 0, err

    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is no JSON")

    json.loads(out, parse_constant=refuse)
    assert out.isascii() and out.endswith("\n")


WRONG: dict[str, Words] = {
    "bench": ["--set", "rellu"],
    "status": ["nowhere"],
    "ls": ["--kind", "none"],
    "show": ["nothing"],
    "check": ["nothing"],
    "similar": ["nothing"],
    "speed": ["--sizes", "many"],
    "report": ["nowhere"],
    "compare": ["nowhere", "nowhere"],
    "plugins": ["--nothing"],
    "new-plugin": ["relu"],
    "adopt": ["nowhere", "--name", "mine"],
    "env": ["more"],
    "card": ["nothing"],
}


@pytest.mark.parametrize("name", COMMANDS)
def test_an_error_with_json_leaves_stdout_empty(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, out, err = within([name, *WRONG[name], "--json"], "ascii", monkeypatch)
    assert (code, out) == (2, "")
    assert "Traceback" not in err and "error: " in err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("name", "wrong"), [*((name, False) for name in COMMANDS), ("show", True), ("ls", True)]
)
def test_no_color_is_obeyed_on_a_terminal(name, wrong, folder, tiny_npz, tmp_path):
    import pty

    words = [name, *WRONG[name]] if wrong else lines_of(name, folder, tiny_npz, tmp_path)
    main, side = pty.openpty()
    env = {**os.environ, "NO_COLOR": "1", "TERM": "xterm-256color"}
    line = [sys.executable, "-m", "actzoo", *words]
    run = subprocess.Popen(line, stdout=side, stderr=side, stdin=side, env=env, cwd=tmp_path)
    os.close(side)
    shown = b""
    while True:
        try:
            part = os.read(main, 65536)
        except OSError:
            break
        if not part:
            break
        shown += part
    os.close(main)
    assert run.wait() == (2 if wrong else 0), shown
    styles = [
        code for found in re.findall(rb"\x1b\[([0-9;]*)m", shown) for code in found.split(b";")
    ]
    assert not [code for code in styles if re.fullmatch(rb"[349]\d|10\d", code)], shown
