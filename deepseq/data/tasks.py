"""Synthetic sequence tasks whose dependency has a known length, and the loss that no memory at all
can reach on each.

Each task is a pure function of a random generator, or a seed for one, and sizes. Arrays are
time-major, symbols are integers. The baseline of a task is the smallest expected loss of a
predictor that remembers nothing."""

import math
from typing import NamedTuple

import numpy as np

__all__ = [
    "ADDING_BASELINE",
    "Adding",
    "BLANK",
    "COPIED",
    "Copy",
    "DELIMITER",
    "ECHO_BASELINE",
    "Echo",
    "ORDER_BASELINE",
    "ORDER_CLASSES",
    "ORDER_SYMBOLS",
    "Order",
    "Rng",
    "SYMBOLS",
    "adding",
    "copy",
    "copy_baseline",
    "echo",
    "order",
]

# copy: how many symbols, of which alphabet, and the two others
COPIED, SYMBOLS, BLANK, DELIMITER = (10, 8, 8, 9)
ORDER_SYMBOLS, ORDER_CLASSES = 6, 4  # temporal order: 0 and 1 are relevant, 2 to 5 distract

# mean squared error of always answering 1: the variance of the sum of two U[0, 1]
ADDING_BASELINE = 1 / 6
ORDER_BASELINE = math.log(ORDER_CLASSES)  # nats
ECHO_BASELINE = math.log(2)  # nats

Rng = np.random.Generator | int


class Adding(NamedTuple):
    """A batch of the adding task."""

    xs: np.ndarray  # (T, B, 2) float32, values in [0, 1) and marks 0 or 1
    targets: np.ndarray  # (B,) float32, sums of the two marked values


class Copy(NamedTuple):
    """A batch of the copy task."""

    xs: np.ndarray  # (lag + 20, B) int32, 0..9
    targets: np.ndarray  # (lag + 20, B) int32, 0..8


class Order(NamedTuple):
    """A batch of the temporal order task."""

    xs: np.ndarray  # (T, B) int32, 0..5
    targets: np.ndarray  # (B,) int32, 0..3


class Echo(NamedTuple):
    """A batch of the delayed echo."""

    xs: np.ndarray  # (T, B, 1) float32, 0 or 1
    targets: np.ndarray  # (T, B) int32, 0 or 1
    mask: np.ndarray  # (T,) bool, the steps that count


def adding(rng: Rng, batch: int, lag: int) -> Adding:
    """Add the two marked numbers of a sequence, one marked in either half of it.

    Arjovsky, Shah, Bengio 2016, arXiv 1511.06464, section 4.2, after Hochreiter and Schmidhuber
    1997, experiment 4: values U[0, 1], the target is the plain sum. The dependency spans up to
    ``lag`` steps.

    Args:
      rng: generator, which moves on, or seed.
      batch: B, at least 1.
      lag: T, steps of the sequence, at least 2.

    Returns:
      Adding of xs (T, B, 2) and targets (B,).

    Raises:
      ValueError: a size below its least.
    """
    rng = np.random.default_rng(rng)
    _at_least("adding", batch=(batch, 1), lag=(lag, 2))
    values = rng.random((lag, batch), np.float32)
    sequence = np.arange(batch)
    marks = np.zeros_like(values)
    for start, stop in ((0, lag // 2), (lag // 2, lag)):
        marks[rng.integers(start, stop, batch), sequence] = 1
    return Adding(np.stack([values, marks], axis=-1), (values * marks).sum(0))


def copy(rng: Rng, batch: int, lag: int) -> Copy:
    """Remember 10 symbols over ``lag`` blanks and say them again after the delimiter.

    Arjovsky, Shah, Bengio 2016, arXiv 1511.06464, section 4.1: 10 symbols drawn from 8, lag - 1
    blanks, the delimiter and 10 blanks; the target is lag + 10 blanks and then the symbols. So
    symbol k is wanted lag + 10 steps after it came.

    Args:
      rng: generator, which moves on, or seed.
      batch: B, at least 1.
      lag: T of the paper, at least 1.

    Returns:
      Copy of xs and targets, (lag + 20, B) each.

    Raises:
      ValueError: a size below its least.
    """
    rng = np.random.default_rng(rng)
    _at_least("copy", batch=(batch, 1), lag=(lag, 1))
    symbols = rng.integers(0, SYMBOLS, (COPIED, batch), np.int32)
    xs = np.full((lag + 2 * COPIED, batch), BLANK, np.int32)
    targets = xs.copy()
    xs[:COPIED] = targets[-COPIED:] = symbols
    xs[-COPIED - 1] = DELIMITER
    return Copy(xs, targets)


def copy_baseline(lag: int) -> float:
    """Mean cross-entropy per step, nats, of answering blanks and then guessing: 10 ln 8 / (lag +
    20) (Arjovsky et al. 2016).
    """
    return COPIED * math.log(SYMBOLS) / (lag + 2 * COPIED)


def order(rng: Rng, batch: int, lag: int) -> Order:
    """Say in which order two relevant symbols came among distractors, at the end of the sequence:
    one of four classes.

    Hochreiter and Schmidhuber 1997, experiment 6a, in the form of Pascanu, Mikolov, Bengio 2013,
    arXiv 1211.5063, section 4.1: no start and end symbols, the first relevant symbol (0 or 1) in
    the second tenth of the sequence, the other in the sixth. Chance is 3/4 wrong.

    Args:
      rng: generator, which moves on, or seed.
      batch: B, at least 1.
      lag: T, steps of the sequence, at least 10.

    Returns:
      Order of xs (T, B) and targets (B,), first symbol plus twice the second.

    Raises:
      ValueError: a size below its least.
    """
    rng = np.random.default_rng(rng)
    _at_least("order", batch=(batch, 1), lag=(lag, 10))
    xs = rng.integers(2, ORDER_SYMBOLS, (lag, batch), np.int32)
    relevant = rng.integers(0, 2, (2, batch), np.int32)
    tenth, sequence = lag // 10, np.arange(batch)
    for symbols, start in zip(relevant, (tenth, lag // 2), strict=True):
        xs[start + rng.integers(0, tenth, batch), sequence] = symbols
    return Order(xs, relevant[0] + 2 * relevant[1])


def echo(rng: Rng, batch: int, steps: int, lag: int) -> Echo:
    """Repeat a random bit ``lag`` steps after it came: target_t = x_(t - lag).

    The task of Jaeger 2001 ("short term memory in echo state networks") with bits; what is to be
    remembered at any time is the last ``lag`` bits.

    Args:
      rng: generator, which moves on, or seed.
      batch: B, at least 1.
      steps: T, above ``lag``.
      lag: at least 0.

    Returns:
      Echo of xs (T, B, 1), targets (T, B) and mask (T,): the first ``lag`` steps, whose target is
      0, do not count.

    Raises:
      ValueError: a size below its least.
    """
    rng = np.random.default_rng(rng)
    _at_least("echo", batch=(batch, 1), lag=(lag, 0), steps=(steps, lag + 1))
    bits = rng.integers(0, 2, (steps, batch), np.int32)
    targets = np.zeros_like(bits)
    targets[lag:] = bits[: steps - lag]
    return Echo(bits[..., None].astype(np.float32), targets, np.arange(steps) >= lag)


def _at_least(task: str, **sizes: tuple[int, int]) -> None:
    for name, (size, least) in sizes.items():
        if size < least:
            raise ValueError(f"{task}: {name} is {size}, but must be at least {least}")
