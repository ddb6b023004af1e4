from __future__ import annotations

import json
import math

import pytest
import torch

from actzoo import RATIO, Activation, Claims, checks
from actzoo.checks import CheckResult, Worst
from actzoo.errors import UnknownNameError, UsageError


def slope(x):
    return 4 * torch.sigmoid(2 * x) * torch.sigmoid(-2 * x)


def make(**changes):
    return Activation(
        **{"name": "some", "formula": "tanh(x)", "fn": torch.tanh, "derivative": slope} | changes
    )


def wrong(x):
    return 1.5 * torch.tanh(x)


def raising(x):
    raise TypeError("cannot\n do   this")


def statuses(activation, *only):
    return {result.key: result.status for result in checks.run(activation, only=only)}


def test_a_result_has_an_id_a_worst_error_and_where_it_is():
    good, bad = (checks.run(make(**c), only=["value-float32"])[0] for c in ({}, {"fn": wrong}))
    assert good.id == "some-value-float32" and good.key == "value-float32"
    assert good.status == "passed" and good.message == ""
    assert 0 < good.worst.error < 1
    assert bad.status == "failed" and bad.worst.error > 1000
    assert str(bad.worst.x) in bad.message


def test_facts_are_json():
    result = CheckResult(
        activation="some", check="finite", status="failed", worst=Worst(math.inf, -math.inf)
    )
    facts = json.loads(json.dumps(result.facts(), allow_nan=False))
    assert facts["id"] == "some-finite" and facts["worst"] == {"error": "inf", "x": "-inf"}
    nowhere = CheckResult(
        activation="some", check="nan", status="failed", worst=Worst(1.0, math.nan)
    )
    assert nowhere.facts()["worst"]["x"] == "nan"


def test_whatever_is_raised_is_a_failed_result():
    results = checks.run(make(fn=raising), only=["value", "layout", "pickle", "vmap"])
    assert {result.status for result in results} == {"failed"}
    assert results[0].message == "TypeError: cannot do this"


@pytest.mark.parametrize("key", ["value-float16", "value"])
def test_a_known_failure_is_expected_with_its_reason(key):
    act = make(fn=wrong, known_failures={key: "it is known"})
    (result,) = checks.run(act, only=["value-float16"])
    assert (result.status, result.message) == ("expected", "it is known")
    assert result.worst.error > 1
    (other,) = checks.run(act, only=["value-float32"])
    assert other.status == ("expected" if key == "value" else "failed")


def test_a_known_failure_that_passes_here_says_so():
    (result,) = checks.run(make(known_failures={"value-float16": "why"}), only=["value-float16"])
    assert result.status == "passed"
    assert result.message == "declared as a known failure (why), but passes here"


def test_what_is_not_there_to_check_is_skipped_with_the_reason():
    bare = make(formula=None, latex="x", claims=Claims())
    found = {r.check: (r.status, r.message) for r in checks.run(bare, only=["value", "range"])}
    assert found["value"] == ("skipped", "it has no formula")
    assert found["range"] == ("skipped", "no range is claimed")
    assert set(statuses(bare, "precision")) == {
        "precision-float32", "precision-bfloat16", "precision-float16"
    }  # fmt: skip
    assert statuses(make(), "precision", "parameters", "slices") == {}


def test_unknown_checks_are_refused():
    with pytest.raises(UnknownNameError, match="no check is called 'valu'; there are: declaration"):
        checks.run(make(), only=["valu"])
    with pytest.raises(UnknownNameError, match="no check is called 'valu'"):
        checks.run(make(), only="valu")
    with pytest.raises(UnknownNameError, match="no check is called 'valu'"):
        checks.parametrize(make(), only="valu")
    with pytest.raises(UsageError, match="'relu-valu' is no check"):
        checks.parametrize("relu", expected_failures={"relu-valu": "why"})
    with pytest.raises(UsageError, match="at least one"):
        checks.parametrize()


def test_one_check_may_be_named_by_a_text_alone():
    assert [result.key for result in checks.run(make(), only="value-float16")] == ["value-float16"]
    assert len(checks.parametrize(make(), only="value").args[1]) == 4
    assert [r.check for r in checks.check_rule(RATIO, only="scale")] == ["scale"]


def test_ids_and_selection():
    mark = checks.parametrize("relu", make(), only=["value", "pickle", "nan-float16"])
    names, cases = mark.args
    assert names == ("activation", "check")
    dtypes = ("float64", "float32", "bfloat16", "float16")
    expected = [
        f"{name}-{check}"
        for name in ("relu", "some")
        for check in (*(f"value-{d}" for d in dtypes), "nan-float16", "pickle")
    ]
    assert [case.id for case in cases] == expected


def called(only, expected=None, **changes):
    """What the test of one check does."""
    (case,) = checks.parametrize(make(**changes), only=[only], expected_failures=expected).args[1]
    activation, check = case.values
    return check(activation)


def test_a_case_passes_fails_skips_or_is_expected_to_fail():
    assert called("value-float16") is None
    with pytest.raises(AssertionError, match=r"some-value-float16: f at x = .* times the bound"):
        called("value-float16", fn=wrong)
    with pytest.raises(pytest.skip.Exception, match="no range is claimed"):
        called("range")
    for expected in ({"value": "why"}, {"value-float16": "why"}, {"some-value-float16": "why"}):
        with pytest.raises(pytest.xfail.Exception, match="why"):
            called("value-float16", expected, fn=wrong)
        assert called("value-float16", expected) is None


@checks.parametrize("relu", "x*tanh(x)", only=["finite", "deterministic"])
def test_five_lines_are_enough(activation, check):
    check(activation)
