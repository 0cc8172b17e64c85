"""Data parallelism over all devices of a machine: the parameters on each, the batch divided among
them.

XLA's partitioner does the rest: it takes the mean over the whole batch wherever the program does,
of the loss as of the moments of batch normalisation, so several devices train as one."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax import Array
from jax.sharding import Mesh, NamedSharding, PartitionSpec

__all__ = ["Step", "data_parallel", "on_first"]

Step = Callable[[Any, Any], tuple[Any, dict[str, Array]]]


def data_parallel(step: Step, *, axis: int = 0) -> Step:
    """Jits a train step for all devices; with one device it is ``jit_step``, the bits included.

    Args:
      step: (state, batch) -> (state, metrics), pure.
      axis: of the batch's arrays, along which they are divided. Random keys, and arrays of fewer
        axes or of a length that the number of devices does not divide, go to every device whole.

    Returns:
      The jitted step. It takes arrays from anywhere, may use up the memory of the state it is
      given, and returns state and metrics on every device; ``on_first`` has them on one.
    """
    devices = jax.devices()
    if len(devices) == 1:
        return jax.jit(step, donate_argnums=0)
    mesh = Mesh(np.array(devices), ("batch",))
    everywhere, divided = (
        NamedSharding(mesh, PartitionSpec()),
        NamedSharding(mesh, PartitionSpec(*[None] * axis, "batch")),
    )
    jitted = jax.jit(step, donate_argnums=0, out_shardings=everywhere)

    def sharding(leaf) -> NamedSharding:
        key = isinstance(leaf, Array) and jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key)
        return (
            everywhere
            if key or np.ndim(leaf) <= axis or np.shape(leaf)[axis] % len(devices)
            else divided
        )

    return lambda state, batch: jitted(
        jax.device_put(state, everywhere), jax.device_put(batch, jax.tree.map(sharding, batch))
    )


def on_first(tree: Any) -> Any:
    """The arrays of ``data_parallel`` on the first device alone, for what is not worth dividing;
    nothing with one device.
    """
    return tree if jax.device_count() == 1 else jax.device_put(tree, jax.devices()[0])
