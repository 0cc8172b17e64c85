"""The order of examples: (key, step) alone determines the batch, so a run can be continued
anywhere.
"""

import functools
from collections.abc import Callable

import jax
from jax import Array

from deepseq.train.step import Batch

__all__ = ["batches", "permutation"]


def batches(images: Array, labels: Array, key: Array, batch_size: int) -> Callable[[int], Batch]:
    """The batches of a run as a pure function of the step.

    Epoch e goes through permutation(fold_in(order key, e)) in batches; the remainder that fills no
    batch is dropped, a different one in each epoch.

    Args:
      images: (N, H, W, C); they are put on the device as they are (uint8 stays uint8) and gathered
        there.
      labels: (N,) int.
      key: typed PRNG key of the run. The order and the keys of the steps are drawn from independent
        halves of it.
      batch_size: at most N.

    Returns:
      t -> Batch for step t = 0, 1, ..., with a key of its own in each.

    Raises:
      ValueError: not one label per image, or fewer images than a batch takes.
    """
    size = len(labels)
    if len(images) != size:
        raise ValueError(
            f"batches: {len(images)} images but {size} labels; there must be one label per image"
        )
    if not 1 <= batch_size <= size:
        raise ValueError(
            f"batches: {size} images make no batch of {batch_size}; take a batch size from 1 to"
            f" {size}"
        )
    per_epoch = size // batch_size
    order_key, step_key = jax.random.split(key)
    images, labels = jax.device_put((images, labels))

    @functools.lru_cache(maxsize=1)  # one sort per epoch, not one per step
    def order(epoch: int) -> Array:
        return permutation(order_key, epoch, size)

    def batch(t: int) -> Batch:
        epoch, place = divmod(t, per_epoch)
        return _batch(images, labels, order(epoch), step_key, place * batch_size, t, batch_size)

    return batch


@functools.partial(jax.jit, static_argnums=2)
def permutation(key: Array, epoch: int, size: int) -> Array:
    """The order of the examples 0..size-1 in an epoch, (size,) int32."""
    return jax.random.permutation(jax.random.fold_in(key, epoch), size)


@functools.partial(jax.jit, static_argnums=6)
def _batch(images, labels, order, key, start, t, batch_size) -> Batch:
    index = jax.lax.dynamic_slice(order, (start,), (batch_size,))
    return Batch(images[index], labels[index], jax.random.fold_in(key, t))
