"""Initialisation: of a whole net from the table of its weights' shapes, and of single layers."""

import functools
import math
from collections.abc import Callable
from typing import TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from deepseq.nets.blocks.layers import BatchNorm, ConvBN, Dense

__all__ = [
    "Tree",
    "batch_norm_table",
    "conv_bn_table",
    "dense_init",
    "glorot",
    "he_normal",
    "normal",
    "table_init",
    "uniform",
    "uniform_everywhere",
    "uniform_within",
    "weight",
]

Tree = TypeVar("Tree")


def weight(*shape: int) -> jax.ShapeDtypeStruct:
    """An entry of a shape table: float32 weights that are yet to be drawn, the last size the
    outputs'.
    """
    return jax.ShapeDtypeStruct(shape, np.float32)


def batch_norm_table(channels: int) -> BatchNorm:
    """The parameters of a batch normalisation before training."""
    return BatchNorm(jnp.ones(channels), jnp.zeros(channels))


def conv_bn_table(size: int, c_in: int, c_out: int) -> ConvBN:
    """What ``he_normal`` makes a ConvBN of."""
    return ConvBN(weight(size, size, c_in, c_out), batch_norm_table(c_out))


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

    draw = functools.partial(uniform_within, bound=bound)
    return lambda key: _drawn(draw, key, jax.eval_shape(init, key), lambda shape: 1)


def glorot(shape: tuple[int, ...]) -> float:
    """The bound of Glorot and Bengio's (2010) uniform for a map (inputs, outputs)."""
    n, m = shape
    return math.sqrt(6 / (n + m))


def table_init(key: Array, vocabulary: int, size: int) -> Array:
    """An embedding (V, E) from U(-1/sqrt(E), 1/sqrt(E))."""
    return uniform_within(key, (vocabulary, size), size**-0.5)


def dense_init(key: Array, inputs: int, outputs: int) -> Dense:
    """An affine map of n inputs: weights from U(-1/sqrt(n), 1/sqrt(n)), a bias of 0."""
    return Dense(uniform_within(key, (inputs, outputs), inputs**-0.5), jnp.zeros(outputs))


def uniform_within(key: Array, shape: tuple[int, ...], bound: float) -> Array:
    """Draws from U(-bound, bound)."""
    return jax.random.uniform(key, shape, minval=-bound, maxval=bound)


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
