"""Initialisation of a whole net from the table of its weights' shapes."""

import math
from collections.abc import Callable
from typing import TypeVar

import jax
import numpy as np
from jax import Array

__all__ = ["Tree", "glorot", "he_normal", "normal", "uniform", "uniform_everywhere", "weight"]

Tree = TypeVar("Tree")


def weight(*shape: int) -> jax.ShapeDtypeStruct:
    """An entry of a shape table: float32 weights that are yet to be drawn, the last size the
    outputs'.
    """
    return jax.ShapeDtypeStruct(shape, np.float32)


def he_normal(key: Array, table: Tree) -> Tree:
    """Draws every ``weight`` of a shape table from N(0, 2 / fan_in) (He et al. 2015b, arXiv
    1502.01852, equation 10).

    Arguments as for ``normal``. fan_in is the product of all sizes but the last. Not a truncated
    normal, as JAX's own ``he_normal`` is."""
    return _drawn(jax.random.normal, key, table, lambda shape: math.sqrt(2 / math.prod(shape[:-1])))


def normal(key: Array, table: Tree, std: float) -> Tree:
    """Draws every ``weight`` of a shape table from N(0, std^2).

    All weights are cut from one draw: the generator is compiled once for a net of any depth, not
    once per layer.

    Args:
      key: PRNG key.
      table: a net's parameters, with ``weight(...)`` in place of weights; other leaves are kept.
      std: standard deviation.
    """
    return _drawn(jax.random.normal, key, table, lambda shape: std)


def uniform(key: Array, table: Tree, bound: Callable[[tuple[int, ...]], float]) -> Tree:
    """Draws every ``weight`` of a shape table from U(-a, a), a = ``bound(shape)``; otherwise as
    ``normal``.
    """
    return _drawn(lambda key, shape: jax.random.uniform(key, shape, minval=-1.0), key, table, bound)


def uniform_everywhere(init: Callable, bound: float) -> Callable:
    """The init of the same shapes that draws every parameter, biases too, from U(-bound, bound)."""

    def draw(key: Array, shape: tuple[int, ...]) -> Array:
        return jax.random.uniform(key, shape, minval=-bound, maxval=bound)

    return lambda key: _drawn(draw, key, jax.eval_shape(init, key), lambda shape: 1)


def glorot(shape: tuple[int, ...]) -> float:
    """The bound of Glorot and Bengio's (2010) uniform for a map (inputs, outputs)."""
    n, m = shape
    return math.sqrt(6 / (n + m))


def _drawn(
    draw: Callable, key: Array, table: Tree, scale: Callable[[tuple[int, ...]], float]
) -> Tree:
    leaves, structure = jax.tree.flatten(table)
    drawn = [i for i, leaf in enumerate(leaves) if isinstance(leaf, jax.ShapeDtypeStruct)]
    ends = np.cumsum([math.prod(leaves[i].shape) for i in drawn])
    numbers = draw(key, (int(ends[-1]),)) if drawn else None
    for i, end in zip(drawn, ends.tolist(), strict=True):
        shape = leaves[i].shape
        leaves[i] = numbers[end - math.prod(shape) : end].reshape(shape) * scale(shape)
    return jax.tree.unflatten(structure, leaves)
