"""Batches of sentences of similar lengths, in a few shapes, each compiled once; their order is a
function of seed and step.
"""

import functools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import numpy as np

from deepseq.data.transduction import END, Pairs
from deepseq.train.teaching import TeachingBatch, teaching_batch

SAME_ROWS = 8  # a batch has a multiple of so many rows


class Shape(NamedTuple):
    """Of a batch."""

    rows: int
    source: int
    target: int


def batch_shapes(pairs: Pairs, edges: Sequence[int], tokens: int) -> list[Shape]:
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


def buckets(pairs: Pairs, shapes: Sequence[Shape]) -> list[np.ndarray]:
    """For each shape the pairs for which it is the first that is wide enough: numbers of rows,
    rising.
    """
    fits = np.array(
        [(pairs.lengths <= s.source) & (pairs.target_lengths - 1 <= s.target) for s in shapes]
    )
    first = fits.argmax(0)
    return [np.flatnonzero((first == k) & fits.any(0)) for k in range(len(shapes))]


def take(
    pairs: Pairs, rows: np.ndarray, shape: Shape, key: jax.Array | None = None
) -> TeachingBatch:
    """These rows in a batch of a shape. Rows that only fill it have a source of one token and no
    answer that counts.
    """
    missing = shape.rows - len(rows)

    def cut(array: np.ndarray, width: int) -> np.ndarray:
        part = array[rows, :width]
        return np.pad(part, ((0, missing), (0, width - part.shape[1])))

    source, targets = cut(pairs.source, shape.source), cut(pairs.targets, shape.target + 1)
    source[len(rows) :, :1] = END
    lengths, target_lengths = (
        np.pad(array[rows], (0, missing), constant_values=1)
        for array in (pairs.lengths, pairs.target_lengths)
    )
    return teaching_batch(source, lengths, targets, target_lengths)._replace(key=key)


def in_order(pairs: Pairs, shapes: Sequence[Shape]) -> list[tuple[np.ndarray, Shape]]:
    """All pairs once: numbers of rows and the shape of their batch, short ones first."""
    return cut(buckets(pairs, shapes), shapes)


def per_epoch(pairs: Pairs, shapes: Sequence[Shape]) -> int:
    """Batches in which all pairs come once."""
    return len(in_order(pairs, shapes))


def shuffled(pairs: Pairs, shapes: Sequence[Shape], seed: int) -> Callable[[int], TeachingBatch]:
    """step -> batch: in every epoch each pair once, within its bucket in a new order, and the
    buckets' batches mixed.
    """
    kept = buckets(pairs, shapes)
    length, key = per_epoch(pairs, shapes), jax.random.key(seed)

    @functools.lru_cache(maxsize=1)
    def order(epoch: int) -> list[tuple[np.ndarray, Shape]]:
        rng = np.random.default_rng([seed, epoch])
        mixed = [rng.permutation(rows) for rows in kept]
        batches = cut(mixed, shapes)
        return [batches[n] for n in rng.permutation(length)]

    def batch(step: int) -> TeachingBatch:
        epoch, place = divmod(step, length)
        return take(pairs, *order(epoch)[place], jax.random.fold_in(key, step))

    return batch


def cut(buckets: Sequence[np.ndarray], shapes: Sequence[Shape]) -> list[tuple[np.ndarray, Shape]]:
    """Buckets' rows in their order, so many at a time as their shape has."""
    return [
        (rows[n : n + shape.rows], shape)
        for rows, shape in zip(buckets, shapes, strict=True)
        for n in range(0, len(rows), shape.rows)
    ]
