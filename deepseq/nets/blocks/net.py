"""What a network is: pure functions of its parameters, one type for each way to be called.

Parameters and moments are NamedTuples, or tuples of them, that hold arrays and nothing else. Mode
is data: ``key=None`` drops nothing, ``running=None`` normalises by the batch. Both are required, so
that nothing trains or evaluates by mistake. Through ``probes``, ``blocks.inside.look`` sees inside.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

__all__ = [
    "Classifier",
    "LanguageModel",
    "Net",
    "Seq2Seq",
    "check_floats",
    "check_sizes",
    "largest_width",
    "nearest_width",
    "parameters",
    "split",
]


class Net(NamedTuple):
    """A network that is called in none of the ways below, but as its constructor says."""

    init: Callable  # key -> params
    apply: Callable  # (params, inputs, ...) -> outputs


class Classifier(NamedTuple):
    """A network from images to classes.

    ``moments`` are those of the batch, as a tree like the parameters, or () without batch norm;
    ``running`` are their running averages, None for the batch's own, () without batch norm.
    ``features`` gives the maps before the classifier, or with ``stages`` a tuple of the maps at the
    end of every stage, the last of them the same.
    """

    init: Callable  # key -> params
    # (params, x (B, H, W, C), *, running, key, probes=None) -> (logits (B, K), moments)
    apply: Callable
    # (params, x, *, running, key, probes=None, stages=False) -> (maps (B, H', W', C'), moments)
    features: Callable


class LanguageModel(NamedTuple):
    """A network from tokens to the next ones, time-major; ``carry=None`` is the zero state."""

    init: Callable  # key -> params
    # (params, tokens (T, B) ints, *, carry, key, probes=None) -> (logits (T, B, V), carry)
    apply: Callable


class Seq2Seq(NamedTuple):
    """A network that reads one sequence and writes another, batch-major.

    Memories and carries are trees whose arrays have the batch first, so that a search may repeat
    and reorder their rows.
    """

    init: Callable  # key -> params
    # (params, source (B, S) ints, *, lengths (B,) or None, key) -> memory
    encode: Callable
    # (params, memory, carry, token (B,) ints) -> (carry, logits (B, V)): a scan step
    decode: Callable
    # (params, memory, steps) -> carry before the first token, with room for at most ``steps``
    start: Callable
    # (params, memory, tokens (B, T) ints, *, key, probes=None) -> logits (B, T, V), those after
    # each token
    teach: Callable


def parameters(net: Any) -> int:
    """How many numbers a net's parameters have, without making them."""
    shapes = jax.eval_shape(net.init, jax.random.key(0))
    return sum(leaf.size for leaf in jax.tree.leaves(shapes))


def largest_width(build: Callable[[int], Any], budget: int) -> int:
    """The greatest width whose net has at most ``budget`` parameters; 0 where no net has so few.

    ``build(width)`` is a net whose parameters grow with the width.
    """
    low, high = 0, 1
    while parameters(build(high)) <= budget:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if parameters(build(middle)) <= budget else (low, middle)
    return low


def nearest_width(build: Callable[[int], Any], budget: int) -> int:
    """The width whose net has the number of parameters nearest to a budget; of two, the smaller."""
    width = max(largest_width(build, budget), 1)
    return min(width, width + 1, key=lambda width: abs(parameters(build(width)) - budget))


def split(key: Array | None, parts: int) -> Array | tuple[None, ...]:
    """As many keys, or as many times None."""
    return (None,) * parts if key is None else jax.random.split(key, parts)


def check_floats(name: str, x: Array) -> None:
    """ValueError for numbers that are no floats: sums and means of them would be cut off."""
    if not jnp.issubdtype(x.dtype, jnp.inexact):
        raise ValueError(f"{name}: x is {x.dtype}, but must be floats; cast it, to float32 say")


def check_sizes(name: str, **sizes: int) -> None:
    """ValueError for a size that is no integer of at least 1."""
    for size, n in sizes.items():
        if not isinstance(n, int | np.integer) or n < 1:
            raise ValueError(f"{name}: {size} is {n}, but must be at least 1")
