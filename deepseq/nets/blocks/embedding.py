"""Tokens as rows of an embedding, checks of them, and positions in a sequence."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

__all__ = ["check_ints", "check_range", "learned", "look_up", "sinusoidal"]


def look_up(table: Array, tokens: Array, axes: str) -> Array:
    """Rows of an embedding, one-hot(tokens) E without the product; under ``jit`` NaN for a token
    outside of the vocabulary.

    Args:
      table: E, (V, D).
      tokens: ints with the named ``axes``, say "BT" or "TB".

    Returns:
      (*tokens.shape, D). ValueError for tokens that are not integers with these axes, or, when
      concrete, not in 0..V-1.
    """
    check_ints("tokens", tokens, axes)
    check_range("tokens", tokens, 0, table.shape[0] - 1)
    # take counts negative numbers from the end
    beyond = jnp.where(tokens < 0, table.shape[0], tokens)
    return jnp.take(table, beyond, axis=0, mode="fill")


def check_ints(what: str, given: Array, axes: str) -> None:
    """ValueError for what is not integers with as many axes as are named."""
    if given.ndim != len(axes) or not jnp.issubdtype(given.dtype, jnp.integer):
        raise ValueError(
            f"{what} {given.dtype} {given.shape}, but integers ({', '.join(axes)}) are needed"
        )


def check_range(what: str, given: Array, least: int, most: int) -> None:
    """ValueError for concrete integers outside of least..most."""
    if not isinstance(given, jax.core.Tracer) and given.size:
        known = np.asarray(given)  # waits for the device, once
        if known.min() < least or known.max() > most:
            raise ValueError(
                f"{what} from {known.min()} to {known.max()}, outside of {least}..{most}"
            )


def sinusoidal(steps: int, size: int) -> Array:
    """PE(pos, 2i) = sin(pos / 10000^(2i/D)), PE(pos, 2i+1) = cos(the same): (T, D) (Vaswani et al.
    2017, section 3.5).
    """
    position, i = np.arange(steps)[:, None], np.arange(0, size, 2)
    angle = position / 10_000 ** (i / size)
    table = np.zeros((steps, size), np.float32)
    table[:, 0::2], table[:, 1::2] = np.sin(angle), np.cos(angle[:, : size // 2])
    return jnp.asarray(table)


def learned(table: Array, steps: int) -> Array:
    """The first T rows of a table of positions (N, D); ValueError where it has fewer."""
    if steps > table.shape[0]:
        raise ValueError(
            f"learned positions: a sequence of {steps} steps, but there are {table.shape[0]}"
            " positions"
        )
    return table[:steps]
