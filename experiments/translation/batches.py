"""Batches of sentences of similar lengths, in a few shapes, each compiled once; their order is a
function of seed and step.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import numpy as np

from deepseq.data.transduction import END, Pairs

SAME_ROWS = 8  # a batch has a multiple of so many rows


class Batch(NamedTuple):
    """Sentences side by side. Rows that only fill the batch have a source of one token and no
    answer that counts.
    """

    source: np.ndarray  # (B, S) int32
    lengths: np.ndarray  # (B,) int32, at least 1
    given: np.ndarray  # (B, T) int32, begins
    answers: np.ndarray  # (B, T) int32, ends
    counted: np.ndarray  # (B, T) bool
    key: jax.Array  # of the dropout


class Shape(NamedTuple):
    """Of a batch."""

    rows: int
    source: int
    target: int


def shapes(pairs: Pairs, edges: Sequence[int], tokens: int) -> list[Shape]:
    """One shape for each of the ``edges`` below the longest sentence, and one for all that is
    longer.

    Args:
      pairs: whose sentences must fit into the last.
      edges: largest lengths, rising, of the longer of a sentence and its translation.
      tokens: of the longer of the two in a batch, the padding counted.
    """
    source, target = pairs.source.shape[1], pairs.targets.shape[1] - 1
    longest = max(source, target)
    widths = [edge for edge in edges if edge < longest] + [longest]
    return [
        Shape(rows_of(tokens, width), min(width, source), min(width, target)) for width in widths
    ]


def rows_of(tokens: int, width: int) -> int:
    """Rows of a batch of so many tokens."""
    return max(tokens // width // SAME_ROWS, 1) * SAME_ROWS


def buckets(pairs: Pairs, found: Sequence[Shape]) -> list[np.ndarray]:
    """For each shape the pairs for which it is the first that is wide enough: numbers of rows,
    rising.
    """
    fits = np.array(
        [(pairs.lengths <= s.source) & (pairs.target_lengths - 1 <= s.target) for s in found]
    )
    first = fits.argmax(0)
    return [np.flatnonzero((first == k) & fits.any(0)) for k in range(len(found))]


def take(pairs: Pairs, rows: np.ndarray, shape: Shape, key: jax.Array | None = None) -> Batch:
    """These rows in a batch of a shape, which is filled up."""
    missing = shape.rows - len(rows)

    def of(array: np.ndarray, width: int) -> np.ndarray:
        part = array[rows, :width]
        return np.pad(part, ((0, missing), (0, width - part.shape[1])))

    source, targets = of(pairs.source, shape.source), of(pairs.targets, shape.target + 1)
    lengths = np.pad(pairs.lengths[rows], (0, missing), constant_values=1)
    source[len(rows) :, :1] = END
    steps = np.pad(pairs.target_lengths[rows] - 1, (0, missing))
    return Batch(
        source,
        lengths,
        targets[:, :-1],
        targets[:, 1:],
        np.arange(shape.target) < steps[:, None],
        key,
    )


def in_order(pairs: Pairs, found: Sequence[Shape]) -> list[tuple[np.ndarray, Shape]]:
    """All pairs once: numbers of rows and the shape of their batch, short ones first."""
    return [
        (rows[n : n + shape.rows], shape)
        for rows, shape in zip(buckets(pairs, found), found, strict=True)
        for n in range(0, len(rows), shape.rows)
    ]


def per_epoch(pairs: Pairs, found: Sequence[Shape]) -> int:
    """Batches in which all pairs come once."""
    return len(in_order(pairs, found))


def shuffled(pairs: Pairs, found: Sequence[Shape], seed: int) -> Callable[[int], Batch]:
    """step -> Batch: in every epoch each pair once, within its bucket in a new order, and the
    buckets' batches mixed.
    """
    kept = buckets(pairs, found)
    length, key = per_epoch(pairs, found), jax.random.key(seed)
    plan: tuple[int, list] = (-1, [])

    def batch(step: int) -> Batch:
        nonlocal plan
        epoch, place = divmod(step, length)
        if plan[0] != epoch:
            rng = np.random.default_rng([seed, epoch])
            mixed = [
                (rng.permutation(rows), shape) for rows, shape in zip(kept, found, strict=True)
            ]
            cut = [
                (rows[n : n + shape.rows], shape)
                for rows, shape in mixed
                for n in range(0, len(rows), shape.rows)
            ]
            plan = epoch, [cut[n] for n in rng.permutation(length)]
        return take(pairs, *plan[1][place], jax.random.fold_in(key, step))

    return batch
