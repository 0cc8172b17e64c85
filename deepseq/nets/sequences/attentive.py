"""The encoder-decoder that learns to align: it looks at all of the source before every token
(Bahdanau et al. 2015).
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from deepseq.nets import recurrent
from deepseq.nets.blocks import attention
from deepseq.nets.blocks.embedding import look_up
from deepseq.nets.blocks.initialise import dense_init, table_init
from deepseq.nets.blocks.inside import Probes, probe
from deepseq.nets.blocks.layers import Dense, dense
from deepseq.nets.blocks.net import Seq2Seq, check_sizes, split
from deepseq.nets.recurrent.cells import gru_activations, gru_update
from deepseq.nets.sequences.seq2seq import check_batch, check_source

__all__ = ["Annotations", "Attentive", "alignments", "attentive"]


class Attentive(NamedTuple):
    """Parameters of an encoder-decoder that looks back, in the order of its equations."""

    source: Array  # (V_s, E)
    target: Array  # (V, E)
    encoder: tuple  # two GRUs of E inputs and H units: forward, backward
    first: Dense  # (H, H) and (H,): W_s
    alignment: attention.Additive  # (H, A), (2H, A), (A,): W_a, U_a, v
    decoder: recurrent.GRU  # of E + 2H inputs and H units: W above C
    readout: Dense  # (H + E + 2H, 2L) and (2L,): U_o above V_o above C_o
    softmax: Dense  # (L, V) and (V,): W_o


class Annotations(NamedTuple):
    """What an attentive decoder looks at."""

    h: Array  # (B, S, 2H), zeros in the padding
    keys: Array  # (B, S, A), U_a h
    mask: Array | None  # (B, S) bool, True within a source; None where all of it counts
    first: Array  # (B, H), s_0


def attentive(
    source_vocabulary: int,
    target_vocabulary: int,
    *,
    embedding: int,
    hidden: int,
    alignment: int,
    readout: int | None = None,
    dropout: float = 0.0,
) -> Seq2Seq:
    """A bidirectional GRU that reads, and a GRU that looks at all of it before every token (arXiv
    1409.0473).

    h_j = [forward h_j; backward h_j] and s_0 = tanh(W_s backward h_1). For each token y_(i-1),
    embedded as e: c_i = sum_j alpha_ij h_j, alpha_i the softmax of v^T tanh(W_a s_(i-1) + U_a h_j);
    s_i = GRU(s_(i-1), [e; c_i]); logits W_o t_i, t_i the larger of columns l and L + l of U_o s_i +
    V_o e + C_o c_i (maxout, appendix A.2.2).

    Other than in the paper, r acts after the matmul and z multiplies the old state, as in
    ``gru_cell``; there are biases; and the read-out sees s_i, as its equation 4 says, where its
    appendix prints s_(i-1).

    Args:
      source_vocabulary, target_vocabulary: V_s and V.
      embedding, hidden, alignment: E, H of each direction and of the decoder, A.
      readout: L, pairs of the maxout; None is half of H, as in the paper (500 of 1000).
      dropout: rate at the embeddings' and at the softmax's input, which the paper had not.

    Returns:
      Seq2Seq, whose memory is Annotations and whose carry is s (B, H); ``alignments`` gives alpha,
      ``probes`` sees "context", c (B, T, 2H), and "state", s (B, T, H), as the read-out does.
      Drawn from U(-1/sqrt(n), 1/sqrt(n)), n the inputs of a map, the size of an embedding, the
      units of a GRU; a map's bias is 0.

    Raises:
      ValueError: as for ``encoder_decoder``.
    """
    pairs = max(hidden // 2, 1) if readout is None else readout
    sizes = {
        "source_vocabulary": source_vocabulary,
        "target_vocabulary": target_vocabulary,
        "embedding": embedding,
    }
    check_sizes("attentive", **sizes, hidden=hidden, alignment=alignment, readout=pairs)
    drop = recurrent.each_step(dropout)
    read = recurrent.bidirectional(recurrent.gru)

    def init(key: Array) -> Attentive:
        k = jax.random.split(key, 9)
        return Attentive(
            table_init(k[0], source_vocabulary, embedding),
            table_init(k[1], target_vocabulary, embedding),
            tuple(recurrent.gru_init(k, embedding, hidden) for k in k[2:4]),
            dense_init(k[4], hidden, hidden),
            attention.additive_init(k[5], hidden, 2 * hidden, alignment),
            recurrent.gru_init(k[6], embedding + 2 * hidden, hidden),
            dense_init(k[7], hidden + embedding + 2 * hidden, 2 * pairs),
            dense_init(k[8], pairs, target_vocabulary),
        )

    def encode(
        params: Attentive, source: Array, *, lengths: Array | None, key: Array | None
    ) -> Annotations:
        check_source(source, lengths)
        xs = drop(key, look_up(params.source, source, "BS"))
        (_, backward), h = read(params.encoder, xs.swapaxes(0, 1), lengths=lengths)
        h = h.swapaxes(0, 1)
        mask = (
            None if lengths is None else attention.padding_mask(lengths, source.shape[1])[:, 0, 0]
        )
        return Annotations(
            h,
            attention.additive_keys(params.alignment, h),
            mask,
            jnp.tanh(dense(params.first, backward)),
        )

    def write(params: Attentive, s: Array, c: Array, e: Array, key: Array | None) -> Array:
        t = jnp.maximum(
            *jnp.split(dense(params.readout, jnp.concatenate([s, e, c], axis=-1)), 2, axis=-1)
        )
        return dense(params.softmax, drop(key, t))

    def decode(params: Attentive, memory: Annotations, s: Array, token: Array):
        e = look_up(params.target, token, "B")
        s, (_, c, _) = _step(params, memory, s, _from_tokens(params, memory, e))
        return s, write(params, s, c, e, None)

    def teach(
        params: Attentive,
        memory: Annotations,
        tokens: Array,
        *,
        key: Array | None,
        probes: Probes | None = None,
    ) -> Array:
        keys = split(key, 2)
        e = drop(keys[0], look_up(params.target, tokens, "BT"))
        s, c, _ = _loop(params, memory, e)
        s, c = probe(probes, "state", s), probe(probes, "context", c)
        return write(params, s, c, e, keys[1])

    return Seq2Seq(init, encode, decode, lambda params, memory, steps: memory.first, teach)


def alignments(params: Attentive, memory: Annotations, tokens: Array) -> Array:
    """alpha (B, T, S) under teacher forcing: how much of annotation s the token after token t was
    written from.

    Rows sum to 1 and are 0 in the padding. ``tokens`` (B, T) as for ``teach``, with its errors.
    """
    return _loop(params, memory, look_up(params.target, tokens, "BT"))[2]


def _loop(params: Attentive, memory: Annotations, e: Array) -> tuple[Array, Array, Array]:
    """s (B, T, H), c (B, T, 2H) and alpha (B, T, S) of all steps, given the embedded tokens (B, T,
    E).
    """
    ax = _from_tokens(params, memory, e).swapaxes(0, 1)
    seen = jax.lax.scan(lambda s, ax: _step(params, memory, s, ax), memory.first, ax)[1]
    return jax.tree.map(lambda a: a.swapaxes(0, 1), seen)


def _from_tokens(params: Attentive, memory: Annotations, e: Array) -> Array:
    """What tokens contribute to the decoder's gates, which needs no loop: (B, ..., E) -> (B, ...,
    3H).
    """
    check_batch("attentive", e, memory.h)
    return e @ params.decoder.wx[: e.shape[-1]] + params.decoder.bx


def _step(
    params: Attentive, memory: Annotations, s: Array, ax: Array
) -> tuple[Array, tuple[Array, Array, Array]]:
    c, alpha = attention.additive_attention(params.alignment, s, memory.keys, memory.h, memory.mask)
    ax = ax + c @ params.decoder.wx[-c.shape[-1] :]
    s = gru_update(gru_activations(ax, s @ params.decoder.wh + params.decoder.bh), s)
    return s, (s, c, alpha)
