"""The nets of the language-model study and how each is trained: the paper's three, and the cells at
equal parameters.
"""

import functools
from typing import NamedTuple

import jax
import optax
from ml_collections import ConfigDict

from deepseq.lab.command_line import UsageError
from deepseq.nets.blocks.net import Net
from deepseq.nets.sequences import language_model as nets
from deepseq.train.language import steps_per_epoch
from deepseq.train.sequences import clipped

CELLS = {"lstm": nets.LSTM, "gru": nets.GRU, "rnn": nets.RNN}
SIZES = {"small": nets.small, "medium": nets.medium, "large": nets.large}


class Recipe(NamedTuple):
    """A net and its training."""

    net: Net
    optimizer: optax.GradientTransformation
    batch: int
    unroll: int
    steps: int
    every: int  # steps between two records; a checkpoint goes with each
    epoch: int  # steps of a pass over the training text


def recipe(config: ConfigDict, name: str, symbols: int, vocabulary: int) -> Recipe:
    """What the config says about one net, for a training text of so many symbols; UsageError where
    that is too short.
    """
    own = config[name] if name in SIZES else config.train
    group = name if name in SIZES else "train"
    try:
        epoch = steps_per_epoch(symbols, own.batch_size, own.unroll)
    except ValueError as error:
        raise UsageError(
            f"--config.{group}.batch_size={own.batch_size} times"
            f" --config.{group}.unroll={own.unroll} is too much for this text: {error}; lower them,"
            " or give a longer text"
        ) from error
    if name in SIZES:
        rate = functools.partial(
            step_rate, rate=own.rate, epoch=epoch, flat=own.flat, decay=own.decay
        )
        optimizer = clipped(optax.sgd(rate), own.clip)
        return Recipe(
            SIZES[name](vocabulary),
            optimizer,
            own.batch_size,
            own.unroll,
            own.epochs * epoch,
            epoch,
            epoch,
        )
    optimizer = clipped(
        optax.adam(optax.linear_schedule(own.rate[name], 0.0, own.updates)), own.clip
    )
    net = cell_net(config, name, vocabulary, hidden_units(config, name, vocabulary))
    return Recipe(
        net, optimizer, own.batch_size, own.unroll, own.updates, config.measure.every, epoch
    )


def step_rate(step: jax.Array, *, rate: float, epoch: int, flat: int, decay: float) -> jax.Array:
    """``rate`` for ``flat`` epochs, then ``decay`` times as much in every epoch (Zaremba et al.
    2014, section 4.1).
    """
    return rate * decay ** jax.numpy.maximum(step // epoch + 1 - flat, 0)


def cell_net(config: ConfigDict, cell: str, vocabulary: int, hidden: int) -> Net:
    """The config's net of a cell."""
    own = config.net
    embedding = hidden if own.tied else own.embedding
    sizes = {
        "embedding": embedding,
        "hidden": hidden,
        "layers": own.layers,
        "dropout": own.dropout,
        "tied": own.tied,
    }
    return nets.language_model(vocabulary, CELLS[cell], **sizes)


def hidden_units(config: ConfigDict, cell: str, vocabulary: int) -> int:
    """The hidden units with which a net of this cell has as many parameters as the LSTM of the
    config, as near as can be.
    """

    def count(cell: str, hidden: int) -> int:
        return parameters(cell_net(config, cell, vocabulary, hidden))

    budget, low = count("lstm", config.net.hidden), 1
    high = (
        4 * config.net.hidden + 4
    )  # a plain RNN has a quarter of an LSTM's weights, and these grow with the square
    while low < high:  # the first width with at least as many
        middle = (low + high) // 2
        low, high = (low, middle) if count(cell, middle) >= budget else (middle + 1, high)
    return min(
        (width for width in (low - 1, low) if width),
        key=lambda width: abs(count(cell, width) - budget),
    )


def parameters(net: Net) -> int:
    """Numbers in a net's parameters."""
    return sum(leaf.size for leaf in jax.tree.leaves(jax.eval_shape(net.init, jax.random.key(0))))
