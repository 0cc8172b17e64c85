"""Losses per example; averaging is the caller's."""

from collections.abc import Callable, Sequence

import chex
import jax
import jax.numpy as jnp
from jax import Array

__all__ = [
    "cross_entropy",
    "misclassified",
    "smoothed_cross_entropy",
    "squared_error",
    "with_auxiliary",
]


def cross_entropy(logits: Array, labels: Array) -> Array:
    """-log softmax(z)_y in nats and float32: logits z (B, K), labels y (B,) in 0..K-1 -> (B,).

    A label outside 0..K-1 gives NaN.
    """
    _check(logits, labels)
    z = logits.astype(jnp.float32)
    return jax.nn.logsumexp(z, axis=1) - _of_label(z, labels)


def smoothed_cross_entropy(logits: Array, labels: Array, smoothing: float) -> Array:
    """Cross entropy of softmax(z) with the label smoothed: 1 - eps of it stays, eps is spread
    evenly over all K classes.

        -sum_k q_k log softmax(z)_k,  q_k = (1 - eps) [k = y] + eps / K

    (Szegedy et al. 2016, arXiv 1512.00567, section 7; Vaswani et al. 2017, section 5.4, eps = 0.1).
    The KL divergence from q, which some minimise instead, is less by q's entropy, a constant: the
    gradients are the same.

    Args:
      logits, labels: z (B, K) and y (B,) in 0..K-1; a label outside gives NaN.
      smoothing: eps, from 0, which is ``cross_entropy``, to 1.

    Returns:
      (B,) float32 in nats. ValueError for an eps outside of 0..1.
    """
    if not 0 <= smoothing <= 1:
        raise ValueError(
            f"smoothed_cross_entropy: a smoothing of {smoothing}, but it must be from 0 to 1"
        )
    unsmoothed = cross_entropy(logits, labels)  # lse(z) - z_y
    if not smoothing:
        return unsmoothed
    z = logits.astype(jnp.float32)
    z_y = _of_label(z, labels)
    # at z_y = -inf the loss is infinite already, and z_y - mean would be inf - inf
    return unsmoothed + smoothing * jnp.where(jnp.isneginf(z_y), 0, z_y - z.mean(axis=1))


def with_auxiliary(weight: float = 0.3) -> Callable[[Sequence[Array], Array], Array]:
    """The cross entropy of a net's answer plus ``weight`` times those of auxiliary classifiers
    (arXiv 1409.4842, section 5).

    Returns:
      f(logits, labels) -> (B,), of logits ``(main, *auxiliary)``, each (B, K).
    """

    def loss(logits: Sequence[Array], labels: Array) -> Array:
        main, *others = (cross_entropy(z, labels) for z in logits)
        return main + weight * sum(others)

    return loss


def squared_error(outputs: Array, labels: Array) -> Array:
    """mean_k (y_k - d_k)^2 of outputs y (B, K), where d is 1 for the label and else -1 (LeCun et
    al. 1989): -> (B,).

    A label outside 0..K-1 gives NaN.
    """
    _check(outputs, labels)
    desired = jnp.where(labels[:, None] == jnp.arange(outputs.shape[1]), 1.0, -1.0)
    error = jnp.square(outputs.astype(jnp.float32) - desired).mean(axis=1)
    return jnp.where((labels >= 0) & (labels < outputs.shape[1]), error, jnp.nan)


def misclassified(logits: Array, labels: Array) -> Array:
    """1 where the largest logit (of equals, the first) is not the label's, else 0: (B, K), (B,) ->
    (B,) float32.
    """
    _check(logits, labels)
    return (logits.argmax(axis=1) != labels).astype(jnp.float32)


def _of_label(z: Array, labels: Array) -> Array:
    """z_y; NaN for a label that does not exist, negative ones too, which indexing counts from the
    end.
    """
    known = jnp.where(labels < 0, z.shape[1], labels)
    return jnp.take_along_axis(z, known[:, None], axis=1, mode="fill")[:, 0]


def _check(logits: Array, labels: Array) -> None:
    chex.assert_rank([logits, labels], [2, 1])
    chex.assert_equal_shape_prefix([logits, labels], 1)
    chex.assert_type(labels, int)
