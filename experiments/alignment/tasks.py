"""The two tasks of the alignment study, and what of each is only ever tested.

Of the sequences to be said backwards, every so manyth length is kept for testing; of the dates,
days."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from ml_collections import ConfigDict

from deepseq.data import transduction

Rng = np.random.Generator
DATE_LENGTHS = tuple(range(9, transduction.LONGEST_DATE + 1, 3))  # characters: the shortest has 8
RAREST = (
    500  # held-out dates to be had of each of these lengths; of the rarest, 33, there are about 850
)


class Batch(NamedTuple):
    """B rows of a task, what is read and what is to be written."""

    source: np.ndarray  # (B, S) ints
    lengths: np.ndarray  # (B,) ints
    given: np.ndarray  # (B, T) ints: the right token before each, for a writer that is taught
    answers: np.ndarray  # (B, T) ints, the end after the last symbol
    counted: np.ndarray  # (B, T) bool: not the padding


class Task(NamedTuple):
    """What is to be learned, from one seed."""

    vocabulary: int  # of source and target
    rooms: tuple[int, ...]  # sizes of source to which batches are padded, as many compilations
    draw: Callable[
        [Rng, int, int], Batch
    ]  # (rng, rows, which room) -> a batch for training that the room before has not
    tests: dict[int, Batch]  # by length of source, all of one shape


def reversal(config: ConfigDict, seed: int) -> Task:
    """Say a sequence of symbols backwards."""
    own = config.reversal

    def draw(rng: Rng, rows: int, room: int) -> Batch:
        shortest, longest = (0, *own.rooms)[room] + 1, own.rooms[room]
        kept: list[Batch] = []
        while sum(len(batch.lengths) for batch in kept) < rows:
            batch = written(transduction.reversal(rng, 2 * rows, (shortest, longest), own.symbols))
            kept.append(chosen(batch, np.flatnonzero(batch.lengths % own.held_out)))
        return Batch(*(np.concatenate(parts)[:rows] for parts in zip(*kept, strict=True)))

    rng = np.random.default_rng([seed, 1])
    lengths = range(own.held_out, own.rooms[-1] + 1, own.held_out)
    tests = {
        n: written(transduction.reversal(rng, config.test, (n, n), own.symbols)) for n in lengths
    }
    tests = {n: padded(batch, own.rooms[-1]) for n, batch in tests.items()}
    return Task(transduction.CONTENT + own.symbols, tuple(own.rooms), draw, tests)


def dates(config: ConfigDict, seed: int) -> Task:
    """Write a date, however it was written, as ISO 8601 has it."""
    rng, days = np.random.default_rng([seed, 1]), transduction.held_out_days()
    pairs = written(transduction.dates(rng, config.dates.pairs, days.train))

    def draw(rng: Rng, rows: int, room: int) -> Batch:
        del room
        return chosen(pairs, rng.integers(0, len(pairs.lengths), rows))

    count = min(
        400 * config.test, len(days.test) * len(transduction.FORMATS)
    )  # one in 250 is of the rarest length
    drawn = written(transduction.dates(rng, count, days.test))
    tests = {
        n: chosen(drawn, np.flatnonzero(drawn.lengths == n)[: config.test]) for n in DATE_LENGTHS
    }
    return Task(len(transduction.CHARACTERS), (transduction.LONGEST_DATE,), draw, tests)


def written(pairs: transduction.Pairs) -> Batch:
    """Pairs as a batch for teaching."""
    answers = pairs.targets[:, 1:]
    counted = np.arange(answers.shape[1]) < pairs.target_lengths[:, None] - 1
    return Batch(pairs.source, pairs.lengths, pairs.targets[:, :-1], answers, counted)


def padded(batch: Batch, room: int) -> Batch:
    """The batch with sources (B, room) and as much more room for targets."""
    more = room - batch.source.shape[1]
    return Batch(*(np.pad(a, ((0, 0), (0, more))) if a.ndim == 2 else a for a in batch))


def shortened(batch: Batch, rows: int, room: int) -> Batch:
    """The first rows of a batch whose sources have no more than ``room`` tokens, without the
    padding beyond.
    """
    return Batch(
        *(
            a[:rows] if a.ndim == 1 else a[:rows, : room + more]
            for a, more in zip(batch, (0, 0, 1, 1, 1), strict=True)
        )
    )


def chosen(batch: Batch, which: np.ndarray) -> Batch:
    """Some rows of a batch, by number."""
    return Batch(*(a[which] for a in batch))


TASKS = {f.__name__: f for f in (reversal, dates)}
