"""The Transformer: an encoder-decoder of attention alone, without recurrence (Vaswani et al. 2017,
arXiv 1706.03762).

Its layers and stacks of them, which work alone too, can all be imported from here.

    net                                                parameters
    transformer(37_000, bias=False)                    63 045 632   the paper's base (65 million)
    transformer(V, norm=pre_norm), embedding aside     44 140 544
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from deepseq.nets.blocks import attention
from deepseq.nets.blocks.embedding import check_ints, look_up
from deepseq.nets.blocks.inside import Probes, look
from deepseq.nets.blocks.layers import dropout as drop
from deepseq.nets.blocks.net import Seq2Seq, split
from deepseq.nets.blocks.transformer_layers import (
    DecoderLayer,
    EncoderLayer,
    FeedForward,
    LayerNorm,
    Norm,
    decoder_layer,
    encoder_layer,
    feed_forward,
    growing_layer,
    layer_norm,
    post_norm,
    pre_norm,
)
from deepseq.nets.blocks.transformer_stacks import (
    Cache,
    Stack,
    check_sizes,
    cross_keys,
    decoder,
    decoder_init,
    empty_cache,
    encoder,
    encoder_init,
    extend,
)
from deepseq.nets.sequences.seq2seq import check_batch, check_source

__all__ = [
    "Cache",
    "DecoderLayer",
    "EncoderLayer",
    "FeedForward",
    "LayerNorm",
    "Memory",
    "Norm",
    "Positions",
    "Stack",
    "Transformer",
    "alignments",
    "check_sizes",
    "cross_keys",
    "decoder",
    "decoder_init",
    "decoder_layer",
    "empty_cache",
    "encoder",
    "encoder_init",
    "encoder_layer",
    "extend",
    "feed_forward",
    "growing_layer",
    "layer_norm",
    "learned",
    "post_norm",
    "pre_norm",
    "sinusoidal",
    "transformer",
]


class Positions(NamedTuple):
    """What is added to embeddings to say where they are."""

    init: Callable  # (key, D) -> params
    table: Callable  # (params, steps, D) -> (T, D)


class Transformer(NamedTuple):
    """Parameters of an encoder-decoder."""

    embedding: Array  # (V, D), of the target, the softmax and, unless it has its own, the source
    source_embedding: Array | None  # (V_s, D)
    positions: tuple  # what ``Positions.init`` gave for the source and for the target
    encoder: Stack
    decoder: Stack


class Memory(NamedTuple):
    """A source as the decoder looks at it."""

    layers: tuple  # k (B, S, H, Dk) and v (B, S, H, Dv) for each level of the decoder
    mask: Array | None  # (B, 1, 1, S) bool, True within a source; None where all of it counts


# section 3.5
sinusoidal = Positions(
    lambda key, size: (), lambda params, steps, size: attention.sinusoidal(steps, size)
)


def learned(steps: int) -> Positions:
    """A table of (steps, D) parameters, as large as the sinusoids (mean square 1/2); ValueError for
    a longer sequence.
    """
    if steps < 1:
        raise ValueError(f"learned: a table of {steps} positions, but there must be at least 1")
    return Positions(
        lambda key, size: math.sqrt(1 / 2) * jax.random.normal(key, (steps, size)),
        lambda params, steps, size: attention.learned(params, steps),
    )


def transformer(
    vocabulary: int,
    *,
    source_vocabulary: int | None = None,
    layers: int = 6,
    size: int = 512,
    heads: int = 8,
    feed_forward: int = 2048,
    dropout: float = 0.1,
    norm: Norm = post_norm,
    positions: Positions = sinusoidal,
    attend: Callable[..., Array] = attention.dot_product_attention,
    bias: bool = True,
) -> Seq2Seq:
    """The encoder-decoder of the paper's figure 1; the defaults are its base model.

    Args:
      vocabulary: V. One embedding serves source, target and, transposed, the softmax, which has no
        bias (section 3.4).
      source_vocabulary: V_s of a source with an embedding of its own; None shares the one.
      layers, size, heads, feed_forward: levels of either stack, D, H and F.
      dropout: rate at the sums of embeddings and positions and at each sub-layer's output (section
        5.4).
      norm: ``post_norm``, as printed, or ``pre_norm``, each stack of which ends in a norm.
      positions: ``sinusoidal`` or ``learned(steps)``.
      attend: ``attention.dot_product_attention`` or ``attention.fused_attention``.
      bias: whether attention has biases, which the paper does not print.

    Returns:
      Seq2Seq. ``encode`` already makes the keys and values for every level of the decoder; the
      carry is a Cache, to whose every level ``decode`` adds one step. ``probes`` sees
      ("cross_attention", level), the weights (B, H, T, S) over the source, from 0. Embeddings are
      drawn from N(0, 1/D) and read times sqrt(D), the others as Glorot has it.

    Raises:
      ValueError: a size below 1, heads that do not divide D, a rate outside of 0..1. When called:
        tokens that are not integers (B, S), (B, T) or (B,) in their vocabulary (under ``jit`` such
        a token makes NaN), an empty source, lengths outside 1..S, more steps than learned
        positions, or than the carry was started for (under ``jit`` NaN).
    """
    check_sizes(layers, size, heads, feed_forward)
    if min(vocabulary, vocabulary if source_vocabulary is None else source_vocabulary) < 1:
        raise ValueError(
            f"transformer: vocabularies {vocabulary} and {source_vocabulary} must be at least 1"
        )
    if not 0 <= dropout < 1:
        raise ValueError(
            f"transformer: the dropout rate is {dropout}, but must be from 0 to below 1"
        )
    options = {"norm": norm, "attend": attend}

    def init(key: Array) -> Transformer:
        k = jax.random.split(key, 6)
        source = None if source_vocabulary is None else _table(k[1], source_vocabulary, size)
        where = positions.init(k[2], size), positions.init(k[3], size)
        encoder, decoder = (
            make(k, layers, size, heads, feed_forward, norm=norm, bias=bias)
            for k, make in zip(k[4:], (encoder_init, decoder_init), strict=True)
        )
        return Transformer(_table(k[0], vocabulary, size), source, where, encoder, decoder)

    def embed(table: Array, where: Array, tokens: Array, axes: str, key: Array | None) -> Array:
        x = look_up(table, tokens, axes)
        return drop(dropout, key, math.sqrt(size) * x + where.astype(x.dtype))

    def encode(
        params: Transformer, source: Array, *, lengths: Array | None, key: Array | None
    ) -> Memory:
        check_source(source, lengths)
        keys, steps = split(key, 2), source.shape[1]
        table = params.embedding if params.source_embedding is None else params.source_embedding
        x = embed(table, positions.table(params.positions[0], steps, size), source, "BS", keys[0])
        mask = None if lengths is None else attention.padding_mask(lengths, steps)
        x = encoder(params.encoder, x, mask, key=keys[1], dropout=dropout, **options)
        return Memory(cross_keys(params.decoder, x), mask)

    def start(params: Transformer, memory: Memory, steps: int) -> Cache:
        positions.table(params.positions[1], steps, size)  # which learned positions may refuse
        return empty_cache(params.decoder, memory.layers[0][0].shape[0], steps)

    def decode(
        params: Transformer, memory: Memory, carry: Cache, token: Array
    ) -> tuple[Cache, Array]:
        check_ints("tokens", token, "B")
        check_batch("transformer", token, memory.layers[0][0])
        table = positions.table(params.positions[1], carry.layers[0][0].shape[1], size)
        where = jnp.take(table, carry.seen, axis=0, mode="clip")
        x = embed(params.embedding, where, token, "B", None)[:, None]
        carry, x = extend(params.decoder, x, carry, memory.layers, memory.mask, **options)
        return carry, x[:, 0] @ params.embedding.T

    def teach(
        params: Transformer,
        memory: Memory,
        tokens: Array,
        *,
        key: Array | None,
        probes: Probes | None = None,
    ) -> Array:
        keys, steps = split(key, 2), tokens.shape[-1]
        where = positions.table(params.positions[1], steps, size)
        x = embed(params.embedding, where, tokens, "BT", keys[0])
        check_batch("transformer", x, memory.layers[0][0])
        masks = attention.causal_mask(steps), memory.mask
        draws = {"dropout": dropout, "key": keys[1]}
        x = decoder(params.decoder, x, memory.layers, *masks, **draws, **options, probes=probes)
        return x @ params.embedding.T

    return Seq2Seq(init, encode, decode, start, teach)


def alignments(net: Seq2Seq, params: Transformer, memory: Memory, tokens: Array) -> Array:
    """How much every head looks at step s of the source when the token after token t is written.

    Args:
      net, params, memory: a ``transformer``, and what its ``encode`` returned.
      tokens: (B, T) ints, as for ``teach``, with its errors.

    Returns:
      (levels, B, H, T, S) float32, from the lowest level of the decoder: rows sum to 1 and are 0 in
      the padding. Under ``jit`` it costs no backward pass.
    """
    seen = look(lambda probes: net.teach(params, memory, tokens, key=None, probes=probes).sum())
    levels = range(len(params.decoder.layers))
    return jnp.stack([seen["cross_attention", level].value for level in levels])


def _table(key: Array, vocabulary: int, size: int) -> Array:
    return jax.random.normal(key, (vocabulary, size)) * size**-0.5
