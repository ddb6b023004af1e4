"""Where the C library of the table kernel is not there, or is not ours."""

from __future__ import annotations

from actzoo.kernels.table import native


def test_an_absent_library_says_what_to_do() -> None:
    found, reason = native.find("actzoo.kernels.table._nowhere")
    assert found is None
    assert "not built" in reason
    assert "C compiler" in reason
    assert "\n" not in reason


def test_another_library_is_none_of_ours() -> None:
    found, reason = native.find("_ctypes")
    assert found is None
    assert "C compiler" in reason


def test_present_or_absent() -> None:
    assert (native.load() is None) == bool(native.absent())
    assert native.load() is native.load()
