"""Empty values, and such as are as good as empty, of every option and argument."""

from __future__ import annotations

import sys

import click
import pytest

from actzoo.cli import COMMANDS, group, main

NEEDED = {
    "show": ["relu"], "similar": ["relu"], "new-plugin": ["mine"], "status": ["nowhere"],
    "report": ["nowhere"], "compare": ["nowhere", "nowhere"],
    "adopt": ["nowhere", "--name", "mine"],
}  # fmt: skip


def _options() -> list[tuple[str, str]]:
    context = click.Context(group)
    found = []
    for name in COMMANDS:
        for option in group.get_command(context, name).params:
            if isinstance(option, click.Option) and not option.is_flag:
                found += [(name, flag) for flag in option.opts]
    return found


@pytest.fixture
def run(monkeypatch, capsys, tmp_path):
    def run(*words):
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", ["actzoo", *words])
        with pytest.raises(SystemExit) as stop:
            main()
        out, err = capsys.readouterr()
        assert "Traceback" not in err
        assert not list(tmp_path.iterdir())
        return stop.value.code, out, err

    return run


@pytest.mark.parametrize(("name", "flag"), _options())
def test_an_option_without_content_is_refused(run, name, flag):
    for value in ("", " ", "\t", "\n", "\u00a0"):
        for words in ([flag, value], [f"{flag}={value}"]):
            code, out, err = run(name, *NEEDED.get(name, []), *words)
            assert (code, out) == (2, "")
            assert err.splitlines()[-1] == (
                f"error: {flag} is empty: no {flag[2:]}; give it a value or leave it out"
            )


@pytest.mark.parametrize("name", ["", *COMMANDS])
def test_an_argument_without_content_is_refused(run, name):
    for value in ("", " ", "\t"):
        code, out, err = run(*([name] if name else []), value)
        assert (code, out) == (2, "") and "error: " in err


WHOLE = (
    *("--formula", "--plugin", "--family", "--out", "--plot", "--data-root", "--export-markdown"),
    *("--executor", "--address", "--executor-option"),  # a dry run opens none
)
"""Options of which a comma is a value like any other."""


@pytest.mark.parametrize(("name", "flag"), _options())
def test_commas_alone_are_no_value(run, name, flag):
    if flag in WHOLE:
        return
    for value in (",", ", ,", "=", ":"):
        code, _, err = run(name, *NEEDED.get(name, []), flag, value, *(
            ["--dry-run"] if name == "bench" else []))  # fmt: skip
        assert code == 2 and "error: " in err, (value, err)
