"""Encoder-decoders: p(target | source), read whole and written token by token (Sutskever et al.
2014; Bahdanau et al. 2015).

Batch-major at this interface, (B, S) and (B, T); the recurrent layers inside are time-major.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from deepseq.nets import recurrent
from deepseq.nets.blocks.embedding import check_ints, check_range, look_up
from deepseq.nets.blocks.initialise import dense_init, table_init
from deepseq.nets.blocks.inside import Probes, probe
from deepseq.nets.blocks.layers import Dense, dense
from deepseq.nets.blocks.net import Seq2Seq, check_sizes, split
from deepseq.nets.recurrent.layers import LSTM_LAYER, Recurrence

__all__ = [
    "EncoderDecoder",
    "check_batch",
    "check_source",
    "encoder_decoder",
    "reverse_rows",
    "reversed_source",
]


class EncoderDecoder(NamedTuple):
    """Parameters of two recurrent stacks, one of which starts the other."""

    source: Array  # (V_s, E), the embedding of what is read
    target: Array  # (V, E), and of what is written
    encoder: tuple  # RNN, LSTM or GRU of each level: the lowest of E inputs, the others of H
    decoder: tuple  # likewise
    softmax: Dense  # (H, V) and (V,)


def encoder_decoder(
    source_vocabulary: int,
    target_vocabulary: int,
    recurrence: Recurrence = LSTM_LAYER,
    *,
    embedding: int,
    hidden: int,
    layers: int = 1,
    dropout: float = 0.0,
) -> Seq2Seq:
    """A recurrent stack that reads and another that writes, started by the first one's last carries
    (arXiv 1409.3215).

    Args:
      source_vocabulary, target_vocabulary: V_s and V.
      recurrence: ``LSTM_LAYER`` as in the paper, ``GRU_LAYER``, ``RNN_LAYER`` or another.
      embedding, hidden, layers: E, H and the number of levels of either stack.
      dropout: rate at the embeddings', between the levels' and at the softmax's input, which the
        paper had not.

    Returns:
      Seq2Seq, whose memory is the carry of every level. ``probes`` sees ("level", 0), the embedded
      target, and ("level", l), the outputs (T, B, H) of the decoder's l-th level. Drawn as
      ``language_model``; the paper's U(-0.08, 0.08) is ``uniform_everywhere(net.init, 0.08)``. The
      first token given to the decoder is the end mark of the paper's figure 1.

    Raises:
      ValueError: a size below 1 or a rate outside 0..1. When called: tokens that are not integers
        (B, S), (B, T) or (B,) within their vocabulary (under ``jit`` such a token makes NaN), an
        empty source, or lengths that are not from 1 to S.
    """
    sizes = {
        "source_vocabulary": source_vocabulary,
        "target_vocabulary": target_vocabulary,
        "embedding": embedding,
    }
    check_sizes("encoder_decoder", **sizes, hidden=hidden, layers=layers)
    drop = recurrent.each_step(dropout)
    stacked = recurrent.stack(recurrence.layer, drop)

    def init(key: Array) -> EncoderDecoder:
        a, b, c, *keys = jax.random.split(key, 3 + 2 * layers)
        sizes = 2 * ([embedding] + (layers - 1) * [hidden])
        levels = tuple(recurrence.init(k, d, hidden) for k, d in zip(keys, sizes, strict=True))
        source, target = (
            table_init(a, source_vocabulary, embedding),
            table_init(b, target_vocabulary, embedding),
        )
        return EncoderDecoder(
            source,
            target,
            levels[:layers],
            levels[layers:],
            dense_init(c, hidden, target_vocabulary),
        )

    def encode(params: EncoderDecoder, source: Array, *, lengths: Array | None, key: Array | None):
        check_source(source, lengths)
        keys = split(key, 2)
        xs = drop(keys[0], look_up(params.source, source, "BS"))
        return stacked(params.encoder, xs.swapaxes(0, 1), lengths=lengths, key=keys[1])[0]

    def write(params: EncoderDecoder, carry, tokens: Array, key: Array | None, probes=None):
        keys = split(key, 3)
        ys = probe(probes, ("level", 0), look_up(params.target, tokens, "BT"))
        ys = drop(keys[0], ys).swapaxes(0, 1)
        carry, ys = stacked(params.decoder, ys, carry, key=keys[1], probes=probes)
        # swapped before the softmax: the logits are larger
        return carry, dense(params.softmax, drop(keys[2], ys.swapaxes(0, 1)))

    def decode(params: EncoderDecoder, memory, carry, token: Array):
        check_ints("tokens", token, "B")
        carry, logits = write(params, carry, token[:, None], None)
        return carry, logits[:, 0]

    def teach(
        params: EncoderDecoder,
        memory,
        tokens: Array,
        *,
        key: Array | None,
        probes: Probes | None = None,
    ) -> Array:
        return write(params, memory, tokens, key, probes)[1]

    return Seq2Seq(init, encode, decode, lambda params, memory, steps: memory, teach)


def reversed_source(net: Seq2Seq) -> Seq2Seq:
    """The net that reads every source from its last token to its first (arXiv 1409.3215, section
    3.3); padding stays behind.
    """

    def encode(params, source: Array, *, lengths: Array | None, key: Array | None):
        check_source(source, lengths)
        return net.encode(params, reverse_rows(source, lengths), lengths=lengths, key=key)

    return net._replace(encode=encode)


def reverse_rows(tokens: Array, lengths: Array | None) -> Array:
    """Each row backwards within its own length: (B, S) and (B,) or None -> (B, S)."""
    if lengths is None:
        return jnp.flip(tokens, 1)
    j, n = jnp.arange(tokens.shape[1]), jnp.asarray(lengths)[:, None]
    return jnp.take_along_axis(jnp.asarray(tokens), jnp.where(j < n, n - 1 - j, j), axis=1)


def check_source(source: Array, lengths: Array | None) -> None:
    """ValueError for a source that is not (B, S) ints with S >= 1, or lengths that are not (B,)
    ints, in 1..S when concrete.
    """
    check_ints("source", source, "BS")
    if 0 in source.shape:
        raise ValueError(
            f"seq2seq: an empty source {source.shape}, but at least one sequence of one token is"
            " needed"
        )
    if lengths is None:
        return
    check_ints("lengths", lengths, "B")
    if lengths.shape != source.shape[:1]:
        raise ValueError(f"seq2seq: {lengths.size} lengths for {source.shape[0]} sources")
    check_range("lengths", lengths, 1, source.shape[1])


def check_batch(name: str, tokens: Array, of_memory: Array) -> None:
    """ValueError for tokens, or what was made of them, of another number of sequences than the
    memory.
    """
    if len(tokens) != len(of_memory):
        raise ValueError(
            f"{name}: tokens of {len(tokens)} sequences, but the memory is of {len(of_memory)}"
        )
