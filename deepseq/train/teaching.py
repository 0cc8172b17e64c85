"""How sequences are taught: each answer is predicted, given the right ones before it (teacher
forcing).
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from deepseq.train.losses import cross_entropy

__all__ = ["TeachingBatch", "accuracy", "teach", "teaching_batch", "teaching_loss"]


class TeachingBatch(NamedTuple):
    """B rows: what is read, and the T answers that are to be written."""

    source: Array  # (B, S) ints, or another input with B rows
    lengths: Array  # (B,) ints, of the sources
    given: Array  # (B, T) ints, the right answer before each
    answers: Array  # (B, T) ints
    counted: Array  # (B, T) bool, False in the padding
    key: Any = None  # typed PRNG key of dropout; None drops nothing


def teaching_batch(
    source: Array, lengths: Array, targets: Array, target_lengths: Array
) -> TeachingBatch:
    """Targets (B, T + 1) of a beginning, content, an end and padding as what is given and answered.

    ``target_lengths`` (B,) count the beginning and the end. All are NumPy arrays.
    """
    answers = targets[:, 1:]
    counted = np.arange(answers.shape[1]) < target_lengths[:, None] - 1
    return TeachingBatch(source, lengths, targets[:, :-1], answers, counted)


def teach(net: Any, params: Any, batch: TeachingBatch) -> Array:
    """The logits (B, T, V) of an encoder-decoder that is given the right answers before each."""
    read, write = (None, None) if batch.key is None else jax.random.split(batch.key)
    memory = net.encode(params, batch.source, lengths=batch.lengths, key=read)
    return net.teach(params, memory, batch.given, key=write)


def teaching_loss(
    logits: Array, batch: TeachingBatch, loss: Callable[[Array, Array], Array] = cross_entropy
) -> Array:
    """The mean loss over the answers that count: logits (B, T, V) -> ().

    ``loss`` is that of each answer, (N, V) and (N,) -> (N,). What does not count may be NaN.
    """
    rows, answers = logits.reshape(-1, logits.shape[-1]), batch.answers.reshape(-1)
    losses = loss(rows, answers).reshape(batch.answers.shape)
    # where, not a product: 0 * inf is NaN
    return jnp.where(batch.counted, losses, 0).sum() / batch.counted.sum()


def accuracy(answers: Array, batch: TeachingBatch) -> dict[str, float]:
    """{"tokens", "whole"}: the share of answers (B, T) that are right, and of rows that all are."""
    right, counted = np.asarray(answers) == batch.answers, np.asarray(batch.counted)
    whole = (right | ~counted).all(1)
    return {"tokens": float(right[counted].mean()), "whole": float(whole.mean())}
