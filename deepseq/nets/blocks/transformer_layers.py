"""The Transformer's layers and what they are made of (Vaswani et al. 2017, arXiv 1706.03762,
section 3). Batch-major.
"""

import functools
from collections.abc import Callable, Hashable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from deepseq.nets.blocks import attention
from deepseq.nets.blocks.attention import MultiHead
from deepseq.nets.blocks.inside import Probes
from deepseq.nets.blocks.layers import EPSILON
from deepseq.nets.blocks.layers import dropout as drop
from deepseq.nets.blocks.net import split

__all__ = [
    "DecoderLayer",
    "EncoderLayer",
    "FeedForward",
    "LayerNorm",
    "Norm",
    "decoder_layer",
    "encoder_layer",
    "feed_forward",
    "growing_layer",
    "layer_norm",
    "post_norm",
    "pre_norm",
]


class LayerNorm(NamedTuple):
    """Parameters of a layer normalisation."""

    gain: Array  # (D,)
    bias: Array  # (D,)


class FeedForward(NamedTuple):
    """Parameters of the two maps that every position goes through."""

    w1: Array  # (D, F)
    b1: Array  # (F,)
    w2: Array  # (F, D)
    b2: Array  # (D,)


class EncoderLayer(NamedTuple):
    """Parameters of self-attention and a feed-forward net, and of the norm at each."""

    attention: MultiHead
    attention_norm: LayerNorm
    feed_forward: FeedForward
    feed_forward_norm: LayerNorm


class DecoderLayer(NamedTuple):
    """Parameters of an encoder's layer with attention to a memory in between."""

    attention: MultiHead
    attention_norm: LayerNorm
    cross: MultiHead
    cross_norm: LayerNorm
    feed_forward: FeedForward
    feed_forward_norm: LayerNorm


class Norm(NamedTuple):
    """Where a sub-layer's norm stands beside its residual connection."""

    before: Callable  # (LayerNorm, x) -> what the sub-layer f is given
    after: Callable  # (LayerNorm, x, f's output) -> what goes on
    final: bool  # whether a stack ends in a norm


def layer_norm(params: LayerNorm, x: Array) -> Array:
    """gain (x - mean) / sqrt(var + 1e-5) + bias over the last axis: (..., D) -> (..., D) (Ba et al.
    2016, arXiv 1607.06450).

    Population variance; statistics in float32, the result in x's dtype. ValueError where gain or
    bias does not fit."""
    if params.gain.shape != x.shape[-1:] or params.bias.shape != x.shape[-1:]:
        raise ValueError(
            f"layer_norm: gain {params.gain.shape} and bias {params.bias.shape} do not fit x"
            f" {x.shape}"
        )
    wide = x.astype(jnp.promote_types(x.dtype, jnp.float32))
    centred = wide - wide.mean(-1, keepdims=True)
    var = (centred * centred).mean(-1, keepdims=True)
    return (centred * jax.lax.rsqrt(var + EPSILON) * params.gain + params.bias).astype(x.dtype)


def feed_forward(params: FeedForward, x: Array) -> Array:
    """max(0, x W_1 + b_1) W_2 + b_2: (..., D) -> (..., D) (equation 2)."""
    if x.shape[-1:] != params.w1.shape[:1]:
        raise ValueError(
            f"feed_forward: x {x.shape} does not end in the {params.w1.shape[0]} inputs of w1"
            f" {params.w1.shape}"
        )
    return jax.nn.relu(x @ params.w1 + params.b1) @ params.w2 + params.b2


# LN(x + f(x)), section 3.1
post_norm = Norm(lambda norm, x: x, lambda norm, x, y: layer_norm(norm, x + y), final=False)
# x + f(LN(x)) (Xiong et al. 2020, arXiv 2002.04745)
pre_norm = Norm(layer_norm, lambda norm, x, y: x + y, final=True)


def _layer(params, x, mask, memory, memory_mask, cache, seen, key, norm, attend, dropout, cross):
    """Any of the layers below; ``cross`` attends to the memory."""
    keys = split(key, 3)
    h = norm.before(params.attention_norm, x)
    k, v = attention.keys_and_values(params.attention, h)
    if cache is not None:
        write = functools.partial(jax.lax.dynamic_update_slice_in_dim, start_index=seen[0], axis=1)
        k, v = cache = write(cache[0], k), write(cache[1], v)
    y = attention.look(params.attention, h, k, v, mask=mask, attend=attend)
    x = norm.after(params.attention_norm, x, drop(dropout, keys[0], y))
    if memory is not None:
        h = norm.before(params.cross_norm, x)
        y = attention.look(params.cross, h, *memory, mask=memory_mask, attend=cross)
        x = norm.after(params.cross_norm, x, drop(dropout, keys[1], y))
    y = feed_forward(params.feed_forward, norm.before(params.feed_forward_norm, x))
    return norm.after(params.feed_forward_norm, x, drop(dropout, keys[2], y)), cache


_layer_once = jax.jit(_layer, static_argnums=(8, 9, 10, 11))  # traced once for all levels


def encoder_layer(
    params: EncoderLayer,
    x: Array,
    mask: Array | None = None,
    *,
    norm: Norm = post_norm,
    attend: Callable[..., Array] = attention.dot_product_attention,
    dropout: float = 0.0,
    key: Array | None = None,
) -> Array:
    """Self-attention and a feed-forward net, each with its residual connection and norm (section
    3.1).

    Args:
      params: EncoderLayer.
      x: (B, T, D).
      mask: as for ``attention.dot_product_attention``.
      norm: ``post_norm``, as printed, or ``pre_norm``.
      attend: ``dot_product_attention`` or ``fused_attention``.
      dropout: rate at each sub-layer's output, before it is added (section 5.4).
      key: of dropout; None drops nothing.

    Returns:
      (B, T, D). ValueError for shapes that do not fit.
    """
    return _layer_once(params, x, mask, None, None, None, None, key, norm, attend, dropout, attend)[
        0
    ]


def decoder_layer(
    params: DecoderLayer,
    x: Array,
    memory: tuple[Array, Array],
    mask: Array | None = None,
    memory_mask: Array | None = None,
    *,
    norm: Norm = post_norm,
    attend: Callable[..., Array] = attention.dot_product_attention,
    dropout: float = 0.0,
    key: Array | None = None,
    probes: Probes | None = None,
    name: Hashable = "cross_attention",
) -> Array:
    """``encoder_layer`` that also looks at a memory's keys and values,
    ``attention.keys_and_values(params.cross, memory)``.

    ``mask`` (usually causal) is for x, (B, T, D), and ``memory_mask`` for the memory; ``probes``
    sees the weights over the memory, (B, H, T, S), under ``name``. Returns (B, T, D).
    """
    layer, cross = _layer_once, attend
    if probes is not None:  # not kept by the jit, and weights that no fused attention gives
        layer, cross = _layer, functools.partial(attention.probed_attention, probes, name)
    return layer(
        params, x, mask, memory, memory_mask, None, None, key, norm, attend, dropout, cross
    )[0]


def growing_layer(
    params: EncoderLayer | DecoderLayer,
    x: Array,
    cache: tuple[Array, Array],
    seen: Array,
    mask: Array,
    memory: tuple[Array, Array] | None = None,
    memory_mask: Array | None = None,
    *,
    norm: Norm = post_norm,
    attend: Callable[..., Array] = attention.dot_product_attention,
) -> tuple[tuple[Array, Array], Array]:
    """Either layer for the T steps after those in a cache, to which it adds their keys and values.

    Args:
      params: EncoderLayer, or DecoderLayer beside a ``memory``.
      x: (B, T, D).
      cache: k (B, steps, H, Dk) and v (B, steps, H, Dv), written up to ``seen`` (B,), which must be
        equal in all rows.
      mask: over the whole cache, False wherever it is not written.

    Returns:
      the cache and (B, T, D).
    """
    x, cache = _layer_once(
        params, x, mask, memory, memory_mask, cache, seen, None, norm, attend, 0.0, attend
    )
    return cache, x
