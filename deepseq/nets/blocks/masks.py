"""Which keys a query may look at: masks, and the softmax among what they allow."""

import jax
import jax.numpy as jnp
from jax import Array

__all__ = ["causal_mask", "check_bool", "masked_softmax", "padding_mask"]


def masked_softmax(scores: Array, mask: Array | None = None) -> Array:
    """softmax over the last axis among what the mask allows, at least in float32; zeros where
    nothing is. ValueError for a mask that is not bool.
    """
    check_bool(mask)
    scores = scores.astype(jnp.promote_types(scores.dtype, jnp.float32))
    if mask is None:
        return jax.nn.softmax(scores)
    allowed = jnp.where(mask, scores, -jnp.inf)
    largest = allowed.max(-1, keepdims=True, initial=jnp.finfo(scores.dtype).min)
    # exp(-inf) = 0, with a derivative of 0
    e = jnp.exp(allowed - jax.lax.stop_gradient(largest))
    total = e.sum(-1, keepdims=True)
    return e / jnp.where(total > 0, total, 1)


def causal_mask(steps: int, seen: int = 0) -> Array:
    """True where key s is not after query t: (1, 1, T, seen + T), for T queries that follow
    ``seen`` earlier steps.
    """
    return jnp.tril(jnp.ones((steps, seen + steps), bool), seen)[None, None]


def padding_mask(lengths: Array, steps: int) -> Array:
    """True within each sequence's length: (B,) ints -> (B, 1, 1, S)."""
    return (jnp.arange(steps) < lengths[:, None])[:, None, None, :]


def check_bool(mask: Array | None) -> None:
    """ValueError for a mask that is not bool."""
    if mask is not None and mask.dtype != bool:
        raise ValueError(
            f"attention: the mask is {mask.dtype}, but must be bool, True where a query may look"
        )
