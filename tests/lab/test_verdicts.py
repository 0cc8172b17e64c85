"""Verdicts: the t interval against scipy's own test, and the side on which it must lie."""

import numpy as np
import pytest
from scipy import stats

from deepseq.lab.verdicts import (
    About,
    Above,
    Below,
    Within,
    compare,
    deviations,
    exact,
    judge,
    mean_interval,
    over_seeds,
)


@pytest.mark.parametrize("n", [2, 3, 5, 30])
def test_interval_is_the_one_of_the_t_test(n):
    samples = np.random.default_rng(n).normal(1.0, 2.0, n)
    expected = stats.ttest_1samp(samples, 0).confidence_interval(0.95)
    np.testing.assert_allclose(mean_interval(samples), expected)


def test_interval_covers_the_mean_as_often_as_it_says():
    rng = np.random.default_rng(0)
    hits = [
        low <= 3 <= high for low, high in (mean_interval(rng.normal(3, 1, 4)) for _ in range(2000))
    ]
    assert abs(np.mean(hits) - 0.95) < 0.015


def test_too_few_or_equal_samples():
    assert mean_interval([]) is None and mean_interval([1.0]) is None
    assert mean_interval([2.0, 2.0, 2.0]) == (2.0, 2.0)


@pytest.mark.parametrize(
    "interval, verdict",
    [
        ((0.1, 2), "holds"),
        ((-2, -0.1), "refuted"),
        ((-1, 1), "undecided"),
        ((0, 1), "undecided"),
        (None, "undecided"),
        ((float("nan"), 1), "undecided"),
        ((1, float("inf")), "undecided"),
    ],
)
def test_above(interval, verdict):
    assert Above().verdict(interval) == verdict
    mirrored = None if interval is None else (-interval[1], -interval[0])
    assert Below().verdict(mirrored) == verdict


def test_bounds_other_than_zero():
    def verdicts(bound):
        return Above(bound).verdict((2, 3)), Below(bound).verdict((2, 3))

    assert verdicts(1) == ("holds", "refuted") and verdicts(4) == ("refuted", "holds")
    assert verdicts(2.5) == ("undecided", "undecided")


@pytest.mark.parametrize(
    "interval, verdict",
    [
        ((-0.1, 0.2), "holds"),
        ((0.4, 0.9), "refuted"),
        ((-0.9, -0.4), "refuted"),
        ((0.2, 0.5), "undecided"),
        ((-1, 1), "undecided"),
        (None, "undecided"),
    ],
)
def test_within(interval, verdict):
    assert Within(0.3).verdict(interval) == verdict


ABOUT = About("C-1", "It is so.", "difference by seed", "He et al. 2015, Table 6", "holds")


def test_a_row_follows_from_its_values():
    values = np.array([1.0, 2.0, 4.0])
    row = judge(ABOUT, values, Above(0.5), measured={"each": values, "parameters": 7})
    low, high = mean_interval(values)
    assert row == {
        "id": "C-1",
        "claim": "It is so.",
        "verdict": "undecided",
        "statistic": "difference by seed",
        "criterion": "> 0.5",
        "prediction": "holds",
        "mean": 7 / 3,
        "interval": [low, high],
        "n": 3,
        "measured": {"each": 7 / 3, "parameters": 7},
        "source": "He et al. 2015, Table 6",
    }
    assert isinstance(row["measured"]["parameters"], int)


def test_criteria_in_words():
    assert [str(c) for c in (Above(), Below(-3), Within(0.05))] == ["> 0", "< -3", "within ± 0.05"]


def test_one_seed_decides_no_statistical_claim():
    row = judge(ABOUT, [3.0], Above(0))
    assert (row["verdict"], row["interval"], row["n"], row["mean"]) == ("undecided", None, 1, 3.0)
    assert judge(ABOUT, [], Below(0))["mean"] is None


@pytest.mark.parametrize("true, verdict", [(True, "holds"), (False, "refuted")])
def test_exact_claims_have_no_interval(true, verdict):
    row = exact(ABOUT, true, 5, criterion="exactly 0", measured={"x": 0.0})
    assert (row["verdict"], row["interval"], row["n"], row["mean"]) == (verdict, None, 5, None)
    assert row["criterion"] == "exactly 0" and set(row) == set(judge(ABOUT, [1, 2], Above()))


def test_metrics_and_rows_against_the_paper():
    assert over_seeds([1, 3])["by_seed"] == [1.0, 3.0] and over_seeds([])["mean"] is None
    row = compare("error", [8.0, 9.0], paper=8.75, source="Table 6", unit="%", remark="close")
    assert row["ours"] == 8.5 and row["interval"] == mean_interval([8.0, 9.0]) and row["n"] == 2
    assert compare("error", [], paper=None, source="")["ours"] is None


def test_deviations_that_do_not_apply_are_left_out():
    rows = deviations(("a", "b", "c"), ("d", "e", "f", False), ("g", "h", "i", True))
    assert rows == [
        {"paper": "a", "here": "b", "reason": "c"},
        {"paper": "g", "here": "h", "reason": "i"},
    ]
