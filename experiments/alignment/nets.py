"""The nets of the alignment study at about as many parameters, and what each of them looks at."""

from collections.abc import Callable
from typing import NamedTuple

import jax
from jax import Array
from ml_collections import ConfigDict

from deepseq.nets.blocks.net import Seq2Seq
from deepseq.nets.sequences.attentive import alignments, attentive
from deepseq.nets.sequences.language_model import LSTM
from deepseq.nets.sequences.seq2seq import encoder_decoder, reversed_source
from deepseq.nets.sequences.transformer import alignments as transformer_alignments
from deepseq.nets.sequences.transformer import pre_norm, transformer

FIXED, REVERSED, ATTENTIVE, TRANSFORMER = NETS = ("fixed", "reversed", "attentive", "transformer")
LOOKING = (ATTENTIVE, TRANSFORMER)


class Arm(NamedTuple):
    """A net of the study."""

    net: Seq2Seq
    rate: float  # of its training
    look: (
        Callable[..., Array] | None
    )  # (params, memory, tokens (B, T)) -> weights (N, B, T, S) of its N heads


def width_name(width: int) -> str:
    """The name of the encoder-decoder with so many units."""
    return f"{FIXED}, {width}"


def names(config: ConfigDict, task: str) -> tuple[str, ...]:
    """All nets that are trained on a task: reversal is also given to narrower vectors."""
    return NETS + (tuple(map(width_name, config.fixed.widths)) if task == "reversal" else ())


def arm(config: ConfigDict, name: str, vocabulary: int) -> Arm:
    """The net of this name for a task of V symbols."""
    if name == ATTENTIVE:
        own = config.attentive
        sizes = {"embedding": own.embedding, "hidden": own.hidden, "alignment": own.alignment}
        return Arm(
            attentive(vocabulary, vocabulary, **sizes),
            own.rate,
            lambda *given: alignments(*given)[None],
        )
    if name == TRANSFORMER:
        own = config.transformer
        sizes = {
            "layers": own.layers,
            "size": own.size,
            "heads": own.heads,
            "feed_forward": own.feed_forward,
        }
        net = transformer(vocabulary, **sizes, dropout=0.0, norm=pre_norm)
        return Arm(net, own.rate, lambda *given: _heads(net, *given))
    own = config.fixed
    width = next((width for width in own.widths if name == width_name(width)), own.hidden)
    net = encoder_decoder(vocabulary, vocabulary, LSTM, embedding=own.embedding, hidden=width)
    return Arm(reversed_source(net) if name == REVERSED else net, own.rate, None)


def parameters(net: Seq2Seq) -> int:
    """Numbers in a net's parameters."""
    return sum(leaf.size for leaf in jax.tree.leaves(jax.eval_shape(net.init, jax.random.key(0))))


def _heads(net, params, memory, tokens: Array) -> Array:
    weights = transformer_alignments(net, params, memory, tokens).swapaxes(1, 2)
    return weights.reshape(-1, *weights.shape[2:])
