"""Initialisation of a whole net from the table of its weights' shapes."""

import math
from typing import TypeVar

import jax
import numpy as np

Array = jax.Array
Tree = TypeVar("Tree")


def weight(*shape: int) -> jax.ShapeDtypeStruct:
    """An entry of a shape table: float32 weights that are yet to be drawn, the last size the outputs'."""
    return jax.ShapeDtypeStruct(shape, np.float32)


def he_normal(key: Array, table: Tree) -> Tree:
    """Draws every ``weight`` of a shape table from N(0, 2 / fan_in) (He et al. 2015b, arXiv 1502.01852, equation 10).

    All weights are cut from one draw: the generator is compiled once for a net of any depth, not once per layer.

    Args:
      key: PRNG key.
      table: a net's parameters, with ``weight(...)`` in place of weights; other leaves are kept. fan_in is the product of
        all sizes but the last. Not a truncated normal, as JAX's own ``he_normal`` is.
    """
    leaves, structure = jax.tree.flatten(table)
    drawn = [i for i, leaf in enumerate(leaves) if isinstance(leaf, jax.ShapeDtypeStruct)]
    ends = np.cumsum([math.prod(leaves[i].shape) for i in drawn])
    normal = jax.random.normal(key, (int(ends[-1]),)) if drawn else None
    for i, end in zip(drawn, ends.tolist(), strict=True):
        shape = leaves[i].shape
        size, fan_in = math.prod(shape), math.prod(shape[:-1])
        leaves[i] = normal[end - size : end].reshape(shape) * math.sqrt(2 / fan_in)
    return jax.tree.unflatten(structure, leaves)
