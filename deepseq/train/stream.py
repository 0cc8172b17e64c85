"""Training on a stream, chunk after chunk: the state of the net goes on, the gradient stops at the
chunk's beginning.
"""

from collections.abc import Callable
from typing import Any

import optax
from jax import Array

from deepseq.train.state import StreamState

__all__ = ["Gradient", "stream_step"]

# (params, carry, chunk) -> ((loss, carry), direction)
Gradient = Callable[[Any, Any, Any], tuple[tuple[Array, Any], Any]]


def stream_step(
    gradient: Gradient, optimizer: optax.GradientTransformation
) -> Callable[[StreamState, Any], tuple[StreamState, dict[str, Array]]]:
    """One step per chunk, a pure function for ``jit`` or ``lax.scan`` (as Mikolov et al. 2010 and
    Zaremba et al. 2014 do).

    Args:
      gradient: ``(params, carry, chunk) -> ((loss, carry), direction)``; the carry it is given is a
        constant to it.
      optimizer: an optax transformation.

    Returns:
      ``step(state, chunk) -> (state, {"loss", "gradient_norm"})``, the loss before the update, the
      norm before any clipping.
    """

    def step(state: StreamState, chunk: Any) -> tuple[StreamState, dict[str, Array]]:
        (loss, carry), direction = gradient(state.params, state.carry, chunk)
        metrics = {"loss": loss, "gradient_norm": optax.tree.norm(direction)}
        return state.update(direction, optimizer, carry=carry), metrics

    return step
