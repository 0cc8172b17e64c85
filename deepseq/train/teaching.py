"""How sequences are taught: each answer is predicted, given the right ones before it (teacher forcing)."""

from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array

from deepseq.train.losses import smoothed_cross_entropy

__all__ = ["TeachingBatch", "accuracy", "teaching_loss"]


class TeachingBatch(NamedTuple):
    """B rows: what is read, and the T answers that are to be written."""

    source: Array  # (B, S) ints, or another input with B rows
    lengths: Array  # (B,) ints, of the sources
    given: Array  # (B, T) ints, the right answer before each
    answers: Array  # (B, T) ints
    counted: Array  # (B, T) bool, False in the padding
    key: Any = ()  # typed PRNG key of dropout, where a step has one


def teaching_loss(logits: Array, batch: TeachingBatch, smoothing: float = 0.0) -> Array:
    """The mean cross-entropy over the answers that count, nats: logits (B, T, V) -> ().

    ``smoothing`` is that of ``losses.smoothed_cross_entropy``. What does not count leaves neither a
    value nor a gradient behind, even where it is not finite.
    """
    # where, not a product, before the loss as after it: 0 * inf is NaN, in the gradient too
    logits = jnp.where(batch.counted[..., None], logits, 0)
    rows, answers = logits.reshape(-1, logits.shape[-1]), batch.answers.reshape(-1)
    losses = smoothed_cross_entropy(rows, answers, smoothing).reshape(batch.answers.shape)
    return jnp.where(batch.counted, losses, 0).sum() / batch.counted.sum()


def accuracy(answers: Array, batch: TeachingBatch) -> dict[str, float]:
    """{"tokens", "whole"}: the share of answers (B, T) that are right, and of rows that all are."""
    right, counted = np.asarray(answers) == batch.answers, np.asarray(batch.counted)
    whole = (right | ~counted).all(1)
    return {"tokens": float(right[counted].mean()), "whole": float(whole.mean())}
