"""Which commit a result names, and what of it an edit changes."""

from __future__ import annotations

import subprocess

import pytest

import actzoo
from actzoo import environment


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A checkout with one commit that seems to hold actzoo; returns its one file."""
    file = tmp_path / "actzoo" / "__init__.py"
    file.parent.mkdir()
    file.write_text("one\n")
    who = ["-c", "user.name=a", "-c", "user.email=a@b"]
    for words in (["init", "-q"], ["add", "."], [*who, "commit", "-q", "-m", "one"]):
        subprocess.run(["git", "-C", tmp_path, *words], check=True)
    monkeypatch.setattr(actzoo, "__file__", str(file))
    return file


def now():
    environment.commit.cache_clear()
    try:
        return environment.commit()
    finally:
        environment.commit.cache_clear()


def test_two_changes_of_one_commit_are_told_apart(checkout):
    clean = now()
    assert clean["dirty"] is False and "changes" not in clean
    checkout.write_text("two\n")
    two = now()
    checkout.write_bytes(b"three \xff\n")
    three = now()
    checkout.with_name("new.py").write_text("")
    new = now()
    assert all(state["dirty"] is True for state in (two, three, new))
    assert len({state["changes"] for state in (two, three, new)}) == 3
    assert {state["id"] for state in (clean, two, three, new)} == {clean["id"]}
    checkout.with_name("new.py").unlink()
    checkout.write_text("one\n")
    assert now() == clean


def test_a_git_that_takes_too_long_does_not_hide_the_commit(checkout, monkeypatch):
    clean = now()
    run = subprocess.run

    def slow(words, **options):
        if "status" in words:
            raise subprocess.TimeoutExpired(words, 60)
        return run(words, **options)

    monkeypatch.setattr(subprocess, "run", slow)
    assert now() == {"id": clean["id"], "dirty": True, "changes": "unknown"}
