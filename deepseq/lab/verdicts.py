"""How a measurement becomes a verdict: a statistic named beforehand, an interval over seeds, and a
claimed side.
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from scipy.special import stdtrit  # scipy.stats takes a second and a half to import

HOLDS, REFUTED, UNDECIDED = "holds", "refuted", "undecided"
Interval = tuple[float, float]


def mean_interval(samples: Sequence[float], level: float = 0.95) -> Interval | None:
    """The Student-t interval of the mean over seeds, at confidence ``level``; None for fewer than
    two samples.

    Samples paired by seed are passed as their differences. Equal samples give an interval of no
    width."""
    n = len(samples)
    if n < 2:
        return None
    mean, spread = np.mean(samples), np.std(samples, ddof=1)
    half = stdtrit(n - 1, (1 + level) / 2) * spread / math.sqrt(n)
    return float(mean - half), float(mean + half)


def above(interval: Interval | None, bound: float = 0.0) -> str:
    """The verdict on "the mean lies above ``bound``": holds or refuted only where the whole
    interval lies on one side.
    """
    if interval is None or not all(map(math.isfinite, interval)):
        return UNDECIDED
    low, high = interval
    return HOLDS if low > bound else REFUTED if high < bound else UNDECIDED


def below(interval: Interval | None, bound: float = 0.0) -> str:
    """The verdict on "the mean lies below ``bound``"."""
    return above(interval and (-interval[1], -interval[0]), -bound)


def within(interval: Interval | None, margin: float) -> str:
    """The verdict on "the mean is zero up to ``margin``": holds inside, refuted where the whole
    interval lies outside.
    """
    if interval is None or not all(map(math.isfinite, interval)):
        return UNDECIDED
    low, high = interval
    if -margin <= low and high <= margin:
        return HOLDS
    return REFUTED if low > margin or high < -margin else UNDECIDED


def exact(true: bool) -> str:
    """The verdict on an algebraic claim, which has no interval."""
    return HOLDS if true else REFUTED


def claim(
    id: str,
    claim: str,
    verdict: str,
    *,
    statistic: str,
    measured: Mapping[str, float],
    interval: Interval | None,
    n: int,
    expected: str,
    source: str,
) -> dict:
    """One row of a study's verdict table, as result.json holds it; ``n`` counts the seeds behind
    the interval.
    """
    return {
        "id": id,
        "claim": claim,
        "verdict": verdict,
        "statistic": statistic,
        "measured": dict(measured),
        "interval": None if interval is None else list(interval),
        "n": n,
        "expected": expected,
        "source": source,
    }
