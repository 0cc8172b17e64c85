"""Losses per example; averaging is the caller's."""

import chex
import jax
import jax.numpy as jnp

Array = jax.Array


def cross_entropy(logits: Array, labels: Array) -> Array:
    """-log softmax(z)_y in nats and float32: logits z (B, K), labels y (B,) in 0..K-1 -> (B,).

    A label outside 0..K-1 gives NaN.
    """
    _check(logits, labels)
    z = logits.astype(jnp.float32)
    z_y = jnp.take_along_axis(z, labels[:, None], axis=1, mode="fill")[:, 0]
    return jax.nn.logsumexp(z, axis=1) - z_y


def misclassified(logits: Array, labels: Array) -> Array:
    """1 where the largest logit (of equals, the first) is not the label's, else 0: (B, K), (B,) -> (B,) float32."""
    _check(logits, labels)
    return (logits.argmax(axis=1) != labels).astype(jnp.float32)


def _check(logits: Array, labels: Array) -> None:
    chex.assert_rank([logits, labels], [2, 1])
    chex.assert_equal_shape_prefix([logits, labels], 1)
    chex.assert_type(labels, int)
