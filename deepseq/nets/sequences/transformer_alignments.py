"""Where a Transformer's decoder looks: the weights of its attention to the source, at every level
and in every head.
"""

import math

import jax.numpy as jnp
from jax import Array

from deepseq.nets.blocks import attention
from deepseq.nets.blocks.embedding import look_up
from deepseq.nets.sequences.transformer import (
    Memory,
    Norm,
    Positions,
    Transformer,
    decoder_layer,
    post_norm,
    sinusoidal,
)


def alignments(
    params: Transformer,
    memory: Memory,
    tokens: Array,
    *,
    norm: Norm = post_norm,
    positions: Positions = sinusoidal,
) -> tuple[Array, ...]:
    """How much every head looks at step s of the source when the token after token t is written,
    under teacher forcing.

    Args:
      params, memory: of a ``transformer`` and what its ``encode`` returned.
      tokens: (B, T) ints, as for ``teach``, with its errors.
      norm, positions: those that the net was made with.

    Returns:
      (B, H, T, S) float32 for each level of the decoder, from the lowest: rows sum to 1 and are 0
      in the padding.
    """
    steps, size = tokens.shape[-1], params.embedding.shape[1]
    x = math.sqrt(size) * look_up(params.embedding, tokens, "BT") + positions.table(
        params.positions[1], steps, size
    )
    mask, found = attention.causal_mask(steps), []
    for layer, kv in zip(params.decoder.layers, memory.layers, strict=True):
        own = attention.multi_head(layer.attention, norm.before(layer.attention_norm, x), mask=mask)
        asking = norm.before(layer.cross_norm, norm.after(layer.attention_norm, x, own))
        q = jnp.einsum("btm,mhd->bthd", asking, layer.cross.wq)
        q = q if layer.cross.bq is None else q + layer.cross.bq
        found.append(attention.attention_weights(q, kv[0], mask=memory.mask))
        x = decoder_layer(
            layer, x, kv, mask, memory.mask, norm=norm
        )  # once more its own attention: little, and one formula
    return tuple(found)
