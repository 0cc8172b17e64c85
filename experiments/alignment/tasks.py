"""The two tasks of the alignment study, and what of each is only ever tested.

Of the sequences to be said backwards, every so manyth length is kept for testing; of the dates,
days.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import numpy as np
from ml_collections import ConfigDict

from deepseq.data import transduction
from deepseq.train.teaching import TeachingBatch, teaching_batch

Rng = np.random.Generator
DATE_LENGTHS = tuple(range(9, transduction.LONGEST_DATE + 1, 3))  # characters: the shortest has 8
# held-out dates to be had of each of these lengths; of the rarest, 33, there are about 850
RAREST = 500


class Task(NamedTuple):
    """What is to be learned, from one seed."""

    vocabulary: int  # of source and target
    rooms: tuple[int, ...]  # sizes of source to which batches are padded, as many compilations
    # (rng, rows, which room) -> a batch for training that the room before has not
    draw: Callable[[Rng, int, int], TeachingBatch]
    tests: dict[int, TeachingBatch]  # by length of source, all of one shape


def reversal(config: ConfigDict, seed: int) -> Task:
    """Say a sequence of symbols backwards."""
    rooms, symbols, held_out = (
        config.reversal.rooms,
        config.reversal.symbols,
        config.reversal.held_out,
    )

    def pairs(rng: Rng, rows: int, shortest: int, longest: int) -> TeachingBatch:
        return teaching_batch(*transduction.reversal(rng, rows, (shortest, longest), symbols))

    def draw(rng: Rng, rows: int, room: int) -> TeachingBatch:
        kept: list[TeachingBatch] = []
        while sum(len(batch.lengths) for batch in kept) < rows:
            batch = pairs(rng, 2 * rows, (0, *rooms)[room] + 1, rooms[room])
            kept.append(chosen(batch, np.flatnonzero(batch.lengths % held_out)))
        return jax.tree.map(lambda *parts: np.concatenate(parts)[:rows], *kept)

    rng = np.random.default_rng([seed, 1])
    lengths = range(held_out, rooms[-1] + 1, held_out)
    tests = {n: padded(pairs(rng, config.test, n, n), rooms[-1]) for n in lengths}
    return Task(transduction.CONTENT + symbols, tuple(rooms), draw, tests)


def dates(config: ConfigDict, seed: int) -> Task:
    """Write a date, however it was written, as ISO 8601 has it."""
    rng, days = np.random.default_rng([seed, 1]), transduction.held_out_days()
    pairs = teaching_batch(*transduction.dates(rng, config.dates.pairs, days.train))

    def draw(rng: Rng, rows: int, room: int) -> TeachingBatch:
        del room
        return chosen(pairs, rng.integers(0, len(pairs.lengths), rows))

    # one in 250 is of the rarest length
    count = min(400 * config.test, len(days.test) * len(transduction.FORMATS))
    drawn = teaching_batch(*transduction.dates(rng, count, days.test))
    rows = {n: np.flatnonzero(drawn.lengths == n)[: config.test] for n in DATE_LENGTHS}
    tests = {n: chosen(drawn, which) for n, which in rows.items()}
    return Task(len(transduction.CHARACTERS), (transduction.LONGEST_DATE,), draw, tests)


def padded(batch: TeachingBatch, room: int) -> TeachingBatch:
    """The batch with sources (B, room) and as much more room for targets."""
    pad = (0, 0), (0, room - batch.source.shape[1])
    return jax.tree.map(lambda a: np.pad(a, pad) if a.ndim == 2 else a, batch)


def shortened(batch: TeachingBatch, rows: int, room: int) -> TeachingBatch:
    """The first rows of a batch without the padding beyond sources of ``room`` tokens."""
    pad = batch.source.shape[1] - room
    return jax.tree.map(lambda a: a[:rows, : a.shape[1] - pad] if a.ndim == 2 else a[:rows], batch)


def chosen(batch: TeachingBatch, rows: np.ndarray) -> TeachingBatch:
    """Some rows of a batch, by number."""
    return jax.tree.map(lambda a: a[rows], batch)


TASKS = {f.__name__: f for f in (reversal, dates)}
