"""How a measurement becomes a verdict: a statistic and a criterion, then an interval over seeds."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy.special import stdtrit  # scipy.stats takes a second and a half to import

__all__ = [
    "About",
    "Above",
    "Below",
    "Claim",
    "Criterion",
    "HOLDS",
    "Interval",
    "Measured",
    "REFUTED",
    "UNDECIDED",
    "VERDICTS",
    "Within",
    "compare",
    "deviations",
    "exact",
    "judge",
    "mean_interval",
    "over_seeds",
]

HOLDS, REFUTED, UNDECIDED = VERDICTS = ("holds", "refuted", "undecided")
Interval = tuple[float, float]
Measured = Mapping[str, float | np.ndarray]
Claim = dict[str, Any]  # a row of the verdict table, as result.json holds it


class About(NamedTuple):
    """What is claimed, and by what it is judged."""

    id: str  # of docs/claims.md
    text: str  # the claim as a sentence
    statistic: str  # what is measured of each seed, in words
    source: str  # paper, and equation, table or figure
    prediction: str = ""  # what its authors or the literature let expect


class Above(NamedTuple):
    """The criterion "the mean lies above ``bound``"."""

    bound: float = 0.0

    def __str__(self) -> str:
        return f"> {self.bound:g}"

    def verdict(self, interval: Interval | None) -> str:
        """Holds or is refuted only where the whole interval lies on one side."""
        if interval is None or not all(map(math.isfinite, interval)):
            return UNDECIDED
        low, high = interval
        return HOLDS if low > self.bound else REFUTED if high < self.bound else UNDECIDED


class Below(NamedTuple):
    """The criterion "the mean lies below ``bound``"."""

    bound: float = 0.0

    def __str__(self) -> str:
        return f"< {self.bound:g}"

    def verdict(self, interval: Interval | None) -> str:
        """Holds or is refuted only where the whole interval lies on one side."""
        return Above(-self.bound).verdict(interval and (-interval[1], -interval[0]))


class Within(NamedTuple):
    """The criterion "the mean is zero up to ``margin``"."""

    margin: float

    def __str__(self) -> str:
        return f"within ± {self.margin:g}"

    def verdict(self, interval: Interval | None) -> str:
        """Holds where the whole interval lies inside, is refuted where all of it lies outside."""
        if interval is None or not all(map(math.isfinite, interval)):
            return UNDECIDED
        low, high = interval
        if -self.margin <= low and high <= self.margin:
            return HOLDS
        return REFUTED if low > self.margin or high < -self.margin else UNDECIDED


Criterion = Above | Below | Within


def judge(
    about: About,
    values: Sequence[float] | np.ndarray,
    criterion: Criterion,
    *,
    measured: Measured | None = None,
) -> Claim:
    """A claim about the mean of a statistic.

    Args:
      about: the claim.
      values: (S,), the statistic of every seed; paired differences where seeds are shared.
      criterion: what the 95 % Student-t interval of their mean is held against.
      measured: further numbers by name for the reader of the table; an array stands for its mean.
    """
    interval = mean_interval(values)
    mean = float(np.mean(values)) if len(values) else None
    return _row(
        about, criterion.verdict(interval), str(criterion), measured, interval, len(values), mean
    )


def exact(
    about: About, true: bool, n: int, *, criterion: str, measured: Measured | None = None
) -> Claim:
    """An algebraic claim, which is true or not and has no interval.

    Args:
      about: the claim.
      true: whether it was met, in all of the ``n`` seeds (1 where no seed plays a part).
      n: seeds.
      criterion: what was asked of the statistic, such as "exactly 0".
      measured: numbers by name; an array stands for its mean.
    """
    return _row(about, HOLDS if true else REFUTED, criterion, measured, None, n, None)


def mean_interval(samples: Sequence[float], level: float = 0.95) -> Interval | None:
    """The Student-t interval of the mean over seeds, at confidence ``level``; None for one sample.

    Samples paired by seed are passed as their differences. Equal samples give an interval of no
    width.
    """
    n = len(samples)
    if n < 2:
        return None
    mean, spread = np.mean(samples), np.std(samples, ddof=1)
    half = stdtrit(n - 1, (1 + level) / 2) * spread / math.sqrt(n)
    return float(mean - half), float(mean + half)


def over_seeds(values: Sequence[float] | np.ndarray) -> dict[str, Any]:
    """{"mean", "interval", "by_seed"} of a metric (S,); both None unless all are finite."""
    values = np.asarray(values, float)
    known = len(values) and np.isfinite(values).all()
    mean, interval = (float(values.mean()), mean_interval(values)) if known else (None, None)
    return {"mean": mean, "interval": interval, "by_seed": values.tolist()}


def compare(
    quantity: str,
    values: Sequence[float] | np.ndarray,
    *,
    paper: float | None,
    source: str,
    unit: str = "",
    remark: str = "",
) -> dict[str, Any]:
    """A row of the table against the paper: its printed number, or None, beside ours (S,)."""
    ours = over_seeds(values)
    return {
        "quantity": quantity,
        "unit": unit,
        "paper": paper,
        "source": source,
        "ours": ours["mean"],
        "interval": ours["interval"],
        "n": len(values),
        "remark": remark,
    }


def deviations(*rows: tuple[str, str, str] | tuple[str, str, str, bool]) -> list[dict[str, str]]:
    """The table of departures: (the paper, here, why), and whether it applies if that depends."""
    keys = ("paper", "here", "reason")
    return [dict(zip(keys, row[:3], strict=True)) for row in rows if len(row) == 3 or row[3]]


def _row(
    about: About,
    verdict: str,
    criterion: str,
    measured: Measured | None,
    interval: Interval | None,
    n: int,
    mean: float | None,
) -> Claim:
    return {
        "id": about.id,
        "claim": about.text,
        "verdict": verdict,
        "statistic": about.statistic,
        "criterion": criterion,
        "prediction": about.prediction,
        "mean": mean,
        "interval": None if interval is None else list(interval),
        "n": n,
        "measured": {name: _number(value) for name, value in (measured or {}).items()},
        "source": about.source,
    }


def _number(value: float | np.ndarray) -> float:
    return float(value.mean()) if isinstance(value, np.ndarray) and value.ndim else value
