"""The two nets of the translation study, of equally many parameters."""

import jax
from ml_collections import ConfigDict

from deepseq.lab.command_line import UsageError
from deepseq.nets.blocks.net import Seq2Seq
from deepseq.nets.sequences.attentive import attentive
from deepseq.nets.sequences.transformer import transformer

NETS = ("rnn", "transformer")


def build(config: ConfigDict, vocabulary: int) -> dict[str, Seq2Seq]:
    """The Transformer of the config, and the RNN with attention that comes nearest to its number of
    parameters.

    Raises:
      UsageError: sizes of which no Transformer can be made, or no RNN that small.
    """
    own = config.transformer
    try:
        large = transformer(
            vocabulary,
            layers=own.layers,
            size=own.size,
            heads=own.heads,
            feed_forward=own.feed_forward,
            dropout=own.dropout,
        )
    except ValueError as error:
        raise UsageError(f"{error} (--config.transformer)") from error
    return {
        "rnn": _rnn(config, vocabulary, units(config, vocabulary, parameters(large))),
        "transformer": large,
    }


def units(config: ConfigDict, vocabulary: int, budget: int) -> int:
    """The hidden units with which the RNN comes nearest to a number of parameters."""

    def count(hidden: int) -> int:
        return parameters(_rnn(config, vocabulary, hidden))

    if count(1) > budget:
        raise UsageError(
            f"--config.rnn.embedding={config.rnn.embedding} alone needs more than the Transformer's"
            f" {budget} parameters; take less"
        )
    low, high = 1, 2
    while count(high) < budget:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if count(middle) < budget else (low, middle)
    return min(low, high, key=lambda hidden: abs(count(hidden) - budget))


def parameters(net: Seq2Seq) -> int:
    """Numbers in a net's parameters."""
    return sum(leaf.size for leaf in jax.tree.leaves(jax.eval_shape(net.init, jax.random.key(0))))


def _rnn(config: ConfigDict, vocabulary: int, hidden: int) -> Seq2Seq:
    own = config.rnn
    sizes = {
        "embedding": own.embedding,
        "hidden": hidden,
        "alignment": hidden,
        "dropout": own.dropout,
    }
    return attentive(vocabulary, vocabulary, **sizes)
