"""Training on a stream, chunk after chunk: the state of the net goes on, the gradient stops at the chunk's beginning."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

Array = jax.Array


class StreamState(NamedTuple):
    """What a step changes: plain arrays, so that it can be donated and stored."""

    step: Array  # () int32, steps taken
    params: Any
    optimizer: Any
    carry: Any  # state of the net after the last chunk, (B, H) arrays


class Chunk(NamedTuple):
    """What one step is given: the next steps of every stream of the batch."""

    inputs: Any  # (T, ...)
    targets: Any  # (T, ...)


def begin(params: Any, optimizer: optax.GradientTransformation, carry: Any) -> StreamState:
    """The state before the first chunk."""
    return StreamState(jnp.zeros((), jnp.int32), params, optimizer.init(params), carry)


def stream_step(
    gradient: Callable, optimizer: optax.GradientTransformation
) -> Callable[[StreamState, Chunk], tuple[StreamState, dict[str, Array]]]:
    """One step per chunk, a pure function for ``jit`` or ``lax.scan`` (as Mikolov et al. 2010 and Zaremba et al. 2014 do).

    Args:
      gradient: ``(params, carry, inputs, targets) -> ((summed loss, carry), gradient)``, for example ``chunk_gradient`` of
        ``deepseq.nets.recurrent``; the carry it is given is a constant to it.
      optimizer: an optax transformation.

    Returns:
      ``step(state, chunk) -> (state, {"loss", "gradient_norm"})``, the loss a mean over the chunk's T steps before the update.
    """

    def step(state: StreamState, chunk: Chunk) -> tuple[StreamState, dict[str, Array]]:
        steps = jax.tree.leaves(chunk.inputs)[0].shape[0]
        (total, carry), grads = gradient(state.params, state.carry, *chunk)
        grads = jax.tree.map(lambda g: g / steps, grads)
        updates, optimizer_state = optimizer.update(grads, state.optimizer, state.params)
        params = optax.apply_updates(state.params, updates)
        metrics = {"loss": total / steps, "gradient_norm": optax.tree.norm(grads)}
        return StreamState(state.step + 1, params, optimizer_state, carry), metrics

    return step
