"""The teaching batch: its loss and accuracy against loops, and what the padding may not do."""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from deepseq.nets.sequences.seq2seq import encoder_decoder
from deepseq.train.losses import smoothed_cross_entropy
from deepseq.train.teaching import TeachingBatch, accuracy, teach, teaching_batch, teaching_loss

B, T, V = 3, 5, 7
RNG = np.random.default_rng(0)
COUNTED = np.arange(T) < np.array([[5], [1], [3]])
BATCH = TeachingBatch(
    RNG.integers(0, V, (B, 4)),
    np.array([4, 2, 1]),
    RNG.integers(0, V, (B, T)),
    RNG.integers(0, V, (B, T)),
    COUNTED,
)
LOGITS = RNG.normal(size=(B, T, V)).astype(np.float32)


@pytest.mark.parametrize("smoothing", [None, 0.0, 0.1])
def test_the_loss_is_the_mean_over_what_counts(smoothing):
    total, kept = 0.0, 1 - (smoothing or 0)
    for b in range(B):
        for t in range(T):
            if COUNTED[b, t]:
                z = LOGITS[b, t].astype(np.float64)
                logs = z - np.log(np.exp(z).sum())
                q = np.full(V, (1 - kept) / V)
                q[BATCH.answers[b, t]] += kept
                total -= (q * logs).sum()
    smoothed = functools.partial(smoothed_cross_entropy, smoothing=smoothing)
    loss = teaching_loss(LOGITS, BATCH, *([] if smoothing is None else [smoothed]))
    chex.assert_shape(loss, ())
    np.testing.assert_allclose(loss, total / COUNTED.sum(), rtol=1e-5)


def test_the_padding_leaves_no_trace():
    bad = np.where(COUNTED[..., None], LOGITS, np.nan)
    value, gradient = jax.value_and_grad(lambda z: teaching_loss(z, BATCH))(jnp.asarray(LOGITS))
    np.testing.assert_allclose(teaching_loss(jnp.asarray(bad), BATCH), value, rtol=1e-6)
    assert not np.any(gradient[~COUNTED]) and np.all(np.abs(gradient[COUNTED]).max(-1) > 0)


def test_accuracy_counts_answers_and_rows():
    answers = BATCH.answers.copy()
    assert accuracy(answers, BATCH) == {"tokens": 1.0, "whole": 1.0}
    answers[1, 2:] += 1  # beyond its one answer
    assert accuracy(answers, BATCH) == {"tokens": 1.0, "whole": 1.0}
    answers[2, 0] += 1
    assert accuracy(jnp.asarray(answers), BATCH) == {"tokens": 8 / 9, "whole": 2 / 3}


def test_targets_are_given_one_step_before_they_are_answered():
    targets = np.array([[1, 5, 6, 2], [1, 7, 2, 0]])
    batch = teaching_batch(BATCH.source[:2], BATCH.lengths[:2], targets, np.array([4, 3]))
    np.testing.assert_array_equal(batch.given, [[1, 5, 6], [1, 7, 2]])
    np.testing.assert_array_equal(batch.answers, [[5, 6, 2], [7, 2, 0]])
    np.testing.assert_array_equal(batch.counted, [[True] * 3, [True, True, False]])
    assert batch.key is None


def test_an_encoder_decoder_is_taught_with_dropout_only_where_there_is_a_key():
    net, still = (encoder_decoder(V, V, embedding=3, hidden=4, dropout=rate) for rate in (0.5, 0.0))
    params = net.init(jax.random.key(0))
    logits = teach(net, params, BATCH)
    chex.assert_shape(logits, (B, T, V))
    np.testing.assert_array_equal(logits, teach(still, params, BATCH))
    first, again, other = (
        teach(net, params, BATCH._replace(key=jax.random.key(n))) for n in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - logits).max() > 1e-3 and np.abs(first - other).max() > 1e-3
