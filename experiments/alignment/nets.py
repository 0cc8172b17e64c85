"""The nets of the alignment study at about as many parameters, and what each of them looks at."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

from jax import Array
from ml_collections import ConfigDict

from deepseq.nets.blocks.net import Seq2Seq
from deepseq.nets.sequences import transformer as transformers
from deepseq.nets.sequences.attentive import alignments, attentive
from deepseq.nets.sequences.seq2seq import encoder_decoder, reversed_source

FIXED, REVERSED, ATTENTIVE, TRANSFORMER = NETS = ("fixed", "reversed", "attentive", "transformer")
ATTENDING = (ATTENTIVE, TRANSFORMER)


class Model(NamedTuple):
    """A net of the study."""

    net: Seq2Seq
    rate: float  # of its training
    # (params, memory, tokens (B, T)) -> weights (N, B, T, S) of its N heads; None if it has none
    weights: Callable[..., Array] | None = None


def vectors(config: ConfigDict) -> dict[int, str]:
    """The encoder-decoders by the units of their vector, the widest last."""
    narrow = {width: f"{FIXED}, {width}" for width in config.fixed.widths}
    return narrow | {config.fixed.hidden: FIXED}


def names(config: ConfigDict, task: str) -> tuple[str, ...]:
    """All nets that are trained on a task: reversal is also given to narrower vectors."""
    return NETS + (tuple(vectors(config).values())[:-1] if task == "reversal" else ())


def build(config: ConfigDict, name: str, vocabulary: int) -> Model:
    """The net of this name for a task of V symbols."""
    sizes = dict(config[name if name in ATTENDING else FIXED])
    rate = sizes.pop("rate")
    if name == ATTENTIVE:
        net = attentive(vocabulary, vocabulary, **sizes)
        return Model(net, rate, lambda *written: alignments(*written)[None])
    if name == TRANSFORMER:
        norm = transformers.pre_norm
        net = transformers.transformer(vocabulary, **sizes, dropout=0.0, norm=norm)
        return Model(net, rate, functools.partial(_heads, net))
    hidden = {net: width for width, net in vectors(config).items()}.get(name, sizes["hidden"])
    net = encoder_decoder(vocabulary, vocabulary, embedding=sizes["embedding"], hidden=hidden)
    return Model(reversed_source(net) if name == REVERSED else net, rate)


def _heads(net: Seq2Seq, params: Any, memory: Any, tokens: Array) -> Array:
    weights = transformers.alignments(net, params, memory, tokens).swapaxes(1, 2)
    return weights.reshape(-1, *weights.shape[2:])
