"""Stacks of the Transformer's layers (Vaswani et al. 2017, arXiv 1706.03762, section 3), on any
batch-major (B, T, D).

``encoder`` is for what is there as a whole (under a causal mask a decoder without a source),
``decoder`` looks at a memory too, and ``extend`` runs either while it grows, over the keys and
values it has kept."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from deepseq.nets.blocks import attention
from deepseq.nets.blocks.attention import MultiHead
from deepseq.nets.blocks.initialise import glorot, uniform, weight
from deepseq.nets.blocks.inside import Probes
from deepseq.nets.blocks.net import split
from deepseq.nets.blocks.transformer_layers import (
    DecoderLayer,
    EncoderLayer,
    FeedForward,
    LayerNorm,
    Norm,
    decoder_layer,
    encoder_layer,
    growing_layer,
    layer_norm,
    post_norm,
)

__all__ = [
    "Cache",
    "Stack",
    "check_sizes",
    "cross_keys",
    "decoder",
    "decoder_init",
    "empty_cache",
    "encoder",
    "encoder_init",
    "extend",
]


class Stack(NamedTuple):
    """Parameters of layers on top of one another."""

    layers: tuple  # EncoderLayer or DecoderLayer of each level
    norm: LayerNorm | None  # after the last, where there is one


class Cache(NamedTuple):
    """Keys and values of what a stack has seen. All rows have seen as much, so any choice of its
    rows is a cache too.
    """

    layers: tuple  # k (B, steps, H, Dk) and v (B, steps, H, Dv) of each level
    seen: Array  # (B,) ints, all equal


def encoder(
    params: Stack, x: Array, mask: Array | None = None, *, key: Array | None = None, **options
) -> Array:
    """``encoder_layer`` at every level, then the last norm, if any.

    ``options`` are its norm, attend and dropout.
    """
    for layer, k in zip(params.layers, split(key, len(params.layers)), strict=True):
        x = encoder_layer(layer, x, mask, key=k, **options)
    return _end(params, x)


def decoder(
    params: Stack,
    x: Array,
    memory: tuple,
    mask: Array | None = None,
    memory_mask: Array | None = None,
    *,
    key: Array | None = None,
    probes: Probes | None = None,
    **options,
) -> Array:
    """``decoder_layer`` at every level, over a memory's ``cross_keys``, then the last norm, if any.

    ``probes`` sees ("cross_attention", level), the weights (B, H, T, S) over the memory.
    """
    keys = split(key, len(params.layers))
    for n, (layer, kv, k) in enumerate(zip(params.layers, memory, keys, strict=True)):
        name = ("cross_attention", n)
        x = decoder_layer(
            layer, x, kv, mask, memory_mask, key=k, probes=probes, name=name, **options
        )
    return _end(params, x)


def cross_keys(params: Stack, memory: Array) -> tuple:
    """Keys and values of a memory (B, S, Dm) for every level of a decoder: k (B, S, H, Dk) and v
    (B, S, H, Dv).
    """
    return tuple(attention.keys_and_values(layer.cross, memory) for layer in params.layers)


def empty_cache(params: Stack, batch: int, steps: int) -> Cache:
    """Room for the keys and values of ``steps`` steps at every level."""
    if steps < 1:
        raise ValueError(f"empty_cache: room for {steps} steps, but there must be at least 1")
    heads = (w for layer in params.layers for w in (layer.attention.wk, layer.attention.wv))
    rooms = [jnp.zeros((batch, steps, *w.shape[1:]), w.dtype) for w in heads]
    return Cache(tuple(zip(rooms[::2], rooms[1::2], strict=True)), jnp.zeros(batch, jnp.int32))


def extend(
    params: Stack,
    x: Array,
    cache: Cache,
    memory: tuple | None = None,
    memory_mask: Array | None = None,
    *,
    norm: Norm = post_norm,
    attend: Callable[..., Array] = attention.dot_product_attention,
) -> tuple[Cache, Array]:
    """The next T steps of a stack under a causal mask, which look at all steps before them in the
    cache.

    Args:
      params: of encoder layers, which then write without a source, or of decoder layers, which look
        at a memory too.
      x: (B, T, D), usually T = 1.
      cache: what earlier calls returned, or ``empty_cache``.
      memory, memory_mask, norm, attend: as for ``decoder``.

    Returns:
      the cache after these steps and (B, T, D). ValueError where the cache has no room for them, as
      far as that is concrete; under ``jit`` the steps beyond its room are NaN.
    """
    room, steps = cache.layers[0][0].shape[1], x.shape[1]
    full = (
        steps
        if isinstance(cache.seen, jax.core.Tracer) or not cache.seen.size
        else steps + int(np.max(cache.seen))
    )
    if full > room:
        raise ValueError(
            f"extend: step {full} in a cache that has room for {room}; start with more steps"
        )
    now = cache.seen[:, None] + jnp.arange(steps)
    mask = (jnp.arange(room) <= now[..., None])[:, None]
    x, kept = jnp.where((now < room)[..., None], x, jnp.nan), []
    memories, options = memory or (None,) * len(params.layers), {"norm": norm, "attend": attend}
    for layer, kv, old in zip(params.layers, memories, cache.layers, strict=True):
        new, x = growing_layer(layer, x, old, cache.seen, mask, kv, memory_mask, **options)
        kept.append(new)
    return Cache(tuple(kept), cache.seen + steps), _end(params, x)


def encoder_init(
    key: Array,
    layers: int,
    size: int,
    heads: int,
    hidden: int,
    *,
    norm: Norm = post_norm,
    bias: bool = True,
) -> Stack:
    """Parameters of an encoder: weights from Glorot and Bengio's (2010) uniform, gains 1 and biases
    0.

    Args:
      key: PRNG key.
      layers, size, heads, hidden: levels, D, H and F.
      norm: ``pre_norm`` has one more at the end.
      bias: whether attention has biases; the feed-forward nets always do.

    Raises:
      ValueError: a size below 1, or heads that do not divide D.
    """
    check_sizes(layers, size, heads, hidden)

    def layer() -> EncoderLayer:
        attention = _multi_head(size, heads, bias)
        return EncoderLayer(attention, _norm(size), _feed_forward(size, hidden), _norm(size))

    return _drawn(key, size, [layer() for _ in range(layers)], norm)


def decoder_init(
    key: Array,
    layers: int,
    size: int,
    heads: int,
    hidden: int,
    *,
    norm: Norm = post_norm,
    bias: bool = True,
) -> Stack:
    """Parameters of a decoder, whose memory has D features too, as ``encoder_init``."""
    check_sizes(layers, size, heads, hidden)

    def layer() -> DecoderLayer:
        own, cross = (_multi_head(size, heads, bias) for _ in range(2))
        forward = _feed_forward(size, hidden)
        return DecoderLayer(own, _norm(size), cross, _norm(size), forward, _norm(size))

    return _drawn(key, size, [layer() for _ in range(layers)], norm)


def check_sizes(layers: int, size: int, heads: int, hidden: int) -> None:
    """ValueError for a size below 1, or heads that do not divide D."""
    if min(layers, size, heads, hidden) < 1 or size % heads:
        sizes = f"{layers} layers, size {size}, {heads} heads and {hidden} hidden units"
        raise ValueError(f"transformer: {sizes} must be at least 1, and the heads divide the size")


def _drawn(key: Array, size: int, layers: list, norm: Norm) -> Stack:
    """The stack of a table of layers; attention's maps have D inputs and D outputs in all heads."""
    table = Stack(tuple(layers), _norm(size) if norm.final else None)
    return uniform(key, table, lambda shape: glorot(shape if len(shape) == 2 else (size, size)))


def _multi_head(size: int, heads: int, bias: bool) -> MultiHead:
    of_head = (heads, size // heads)
    maps = [weight(size, *of_head) for _ in range(3)]
    biases = [*(3 * [jnp.zeros(of_head)]), jnp.zeros(size)] if bias else []
    return MultiHead(*maps, weight(*of_head, size), *biases)


def _feed_forward(size: int, hidden: int) -> FeedForward:
    return FeedForward(
        weight(size, hidden), jnp.zeros(hidden), weight(hidden, size), jnp.zeros(size)
    )


def _norm(size: int) -> LayerNorm:
    return LayerNorm(jnp.ones(size), jnp.zeros(size))


def _end(params, x):
    return x if params.norm is None else layer_norm(params.norm, x)
