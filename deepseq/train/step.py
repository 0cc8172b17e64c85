"""The train step, scan-typed: (state, batch) -> (state, metrics); and its counterpart over a whole
set, evaluate.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from deepseq.train import state as states
from deepseq.train.losses import cross_entropy, misclassified
from deepseq.train.state import TrainState

__all__ = ["Batch", "Prepare", "evaluate", "init_state", "jit_step", "train_step"]

Prepare = Callable[
    [Array | None, Array], Array
]  # (key, pixels) -> float images; key=None means no augmentation


class Batch(NamedTuple):
    """What one step is given."""

    images: Array  # (B, H, W, C), as stored: uint8 pixels or float
    labels: Array  # (B,) int
    key: Array  # typed PRNG key of this step alone


def init_state(
    init: Callable,
    apply: Callable,
    optimizer: optax.GradientTransformation,
    image_shape: tuple[int, ...],
) -> Callable[[Array], TrainState]:
    """The state before the first step as a jitted function of the key, compiled once for all seeds.

    Args:
      init, apply: a net's; ``apply`` is only asked for the shapes of its moments.
      optimizer: an optax transformation.
      image_shape: (H, W, C) of one prepared image.

    Returns:
      key -> TrainState at step 0. ``running`` is zero until the first step replaces it with the
      first batch's moments. No two arrays of it share a buffer, so it can be donated.
    """

    @jax.jit
    def make(key: Array) -> TrainState:
        params = init(key)
        images = jax.ShapeDtypeStruct((2, *image_shape), jnp.float32)
        _, moments = jax.eval_shape(lambda p, x: apply(p, x, running=None, key=key), params, images)
        running = jax.tree.map(lambda m: jnp.zeros(m.shape, m.dtype), moments)
        return states.init_state(params, optimizer, TrainState, running=running)

    return make


def train_step(
    apply: Callable,
    optimizer: optax.GradientTransformation,
    *,
    prepare: Prepare,
    momentum: float = 0.9,
    loss: Callable[[Any, Array], Array] = cross_entropy,
) -> Callable[[TrainState, Batch], tuple[TrainState, dict[str, Array]]]:
    """One step of gradient descent on the batch's mean loss, a pure function for ``jit_step`` or
    ``lax.scan``.

    Args:
      apply: ``apply(params, x, *, running, key) -> (logits, moments)``.
      optimizer: an optax transformation; its weight decay, if any, is not part of the reported
        loss.
      prepare: ``prepare(key, images) -> float images``, normalisation and augmentation.
      momentum: m of the running moments, running := m running + (1 - m) moments; the first batch's
        moments start them.
      loss: (logits, labels) -> (B,), the loss of each example; of a net that answers several times
        the first answer counts for the error.

    Returns:
      ``step(state, batch) -> (state, {"loss", "error"})``: float32 means over the batch as the
      forward pass saw it, before the update, normalised by the batch's own moments.
    """

    def step(state: TrainState, batch: Batch) -> tuple[TrainState, dict[str, Array]]:
        augment_key, net_key = jax.random.split(batch.key)
        x = prepare(augment_key, batch.images)

        def objective(params):
            logits, moments = apply(params, x, running=None, key=net_key)
            return loss(logits, batch.labels).mean(), (jax.tree.leaves(logits)[0], moments)

        (value, (logits, moments)), gradient = jax.value_and_grad(objective, has_aux=True)(
            state.params
        )
        m = jnp.where(state.step == 0, 0.0, momentum)
        running = jax.tree.map(
            lambda r, b: (m * r + (1 - m) * b).astype(r.dtype), state.running, moments
        )
        metrics = {"loss": value, "error": misclassified(logits, batch.labels).mean()}
        return state.update(gradient, optimizer, running=running), metrics

    return step


def jit_step(step: Callable) -> Callable:
    """Jits a train step so that the new state takes the memory of the old one, which must not be
    used again.
    """
    return jax.jit(step, donate_argnums=0)


def evaluate(
    apply: Callable, *, prepare: Prepare, batch_size: int
) -> Callable[[Any, Any, Array, Array], dict[str, float]]:
    """Mean loss and error of a net over a whole set, compiled once for sets of any size.

    Args:
      apply: ``apply(params, x, *, running, key) -> (logits, moments)``.
      prepare: as for the train step; called with ``key=None``, so nothing is augmented.
      batch_size: examples at a time; the last batch is filled up with repeats that do not count.

    Returns:
      ``f(params, running, images (N, H, W, C), labels (N,)) -> {"loss": float, "error": float}``;
      ``running=None`` normalises by each batch, repeats included. f raises ValueError on an empty
      set.
    """

    @jax.jit
    def sums(params, running, images, labels, counts):
        logits, _ = apply(params, prepare(None, images), running=running, key=None)
        # where, not a product: a repeat of an infinite loss must count nothing, and 0 * inf is NaN
        return [
            jnp.where(counts, value(logits, labels), 0).sum()
            for value in (cross_entropy, misclassified)
        ]

    def mean(params, running, images, labels) -> dict[str, float]:
        total = len(labels)
        if total == 0 or len(images) != total:
            raise ValueError(
                f"evaluate: {len(images)} images and {total} labels; there must be one label per"
                " image"
            )
        images, labels, parts = jnp.asarray(images), jnp.asarray(labels), []
        for start in range(0, total, batch_size):
            index = np.arange(start, start + batch_size)
            inside = np.minimum(index, total - 1)
            parts.append(sums(params, running, *_take(images, labels, inside), index < total))
        loss, error = np.asarray(jax.device_get(parts), np.float64).sum(0) / total
        return {"loss": float(loss), "error": float(error)}

    return mean


@jax.jit
def _take(images: Array, labels: Array, index: Array) -> tuple[Array, Array]:
    return images[index], labels[index]
