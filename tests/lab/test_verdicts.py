"""Verdicts: the t interval against scipy's own test, and the side on which it must lie."""

import numpy as np
import pytest
from scipy import stats

from deepseq.lab.verdicts import above, below, exact, mean_interval, within


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
    assert above(interval) == verdict
    mirrored = None if interval is None else (-interval[1], -interval[0])
    assert below(mirrored) == verdict


def test_bounds_other_than_zero():
    assert above((2, 3), 1) == below((2, 3), 4) == "holds"
    assert above((2, 3), 4) == below((2, 3), 1) == "refuted"
    assert above((2, 3), 2.5) == below((2, 3), 2.5) == "undecided"


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
    assert within(interval, 0.3) == verdict


def test_exact():
    assert (exact(True), exact(False)) == ("holds", "refuted")
