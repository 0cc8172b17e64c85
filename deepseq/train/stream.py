"""Training on a stream, chunk after chunk: the state of the net goes on, the gradient stops at the
chunk's beginning.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp
import optax
from jax import Array

Gradient = Callable[
    [Any, Any, Any], tuple[tuple[Array, Any], Any]
]  # (params, carry, chunk) -> ((loss, carry), direction)


class StreamState(NamedTuple):
    """What a step changes: plain arrays, so that it can be donated and stored."""

    step: Array  # () int32, steps taken
    params: Any
    optimizer: Any
    carry: Any  # state of the net after the last chunk, (B, H) arrays


def begin(params: Any, optimizer: optax.GradientTransformation, carry: Any) -> StreamState:
    """The state before the first chunk."""
    return StreamState(jnp.zeros((), jnp.int32), params, optimizer.init(params), carry)


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
        updates, optimizer_state = optimizer.update(direction, state.optimizer, state.params)
        params = optax.apply_updates(state.params, updates)
        metrics = {"loss": loss, "gradient_norm": optax.tree.norm(direction)}
        return StreamState(state.step + 1, params, optimizer_state, carry), metrics

    return step
