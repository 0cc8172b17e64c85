"""The nets of the language-model study and how each is trained: the paper's three, and the cells at
equal parameters.
"""

import functools
from typing import NamedTuple

import jax
import optax
from ml_collections import ConfigDict

from deepseq.lab.errors import UsageError
from deepseq.nets.blocks.net import LanguageModel, nearest_width, parameters
from deepseq.nets.sequences import language_model as nets
from deepseq.train.language import steps_per_epoch
from deepseq.train.sequences import clipped

CELLS = {"lstm": nets.LSTM, "gru": nets.GRU, "rnn": nets.RNN}
SIZES = {"small": nets.small, "medium": nets.medium, "large": nets.large}


class Recipe(NamedTuple):
    """A net and its training."""

    net: LanguageModel
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
    group = name if name in SIZES else "train"
    train = config[group]
    batch, unroll = train.batch_size, train.unroll
    try:
        epoch = steps_per_epoch(symbols, batch, unroll)
    except ValueError as error:
        raise UsageError(
            f"--config.{group}.batch_size={batch} times --config.{group}.unroll={unroll} is too"
            f" much for this text: {error}; lower them, or give a longer text"
        ) from error
    if name in SIZES:
        falling = {"epoch": epoch, "flat": train.flat, "decay": train.decay}
        optimizer = optax.sgd(functools.partial(step_rate, rate=train.rate, **falling))
        net, steps, every = SIZES[name](vocabulary), train.epochs * epoch, epoch
    else:
        optimizer = optax.adam(optax.linear_schedule(train.rate[name], 0.0, train.updates))
        net = cell_net(config, name, vocabulary, hidden_units(config, name, vocabulary))
        steps, every = train.updates, config.measure.every
    return Recipe(net, clipped(optimizer, train.clip), batch, unroll, steps, every, epoch)


def step_rate(step: jax.Array, *, rate: float, epoch: int, flat: int, decay: float) -> jax.Array:
    """``rate`` for ``flat`` epochs, then ``decay`` times as much in every epoch (Zaremba et al.
    2014, section 4.1).
    """
    return rate * decay ** jax.numpy.maximum(step // epoch + 1 - flat, 0)


def cell_net(config: ConfigDict, cell: str, vocabulary: int, hidden: int) -> LanguageModel:
    """The config's net of a cell."""
    net = config.net
    sizes = {"embedding": hidden if net.tied else net.embedding, "hidden": hidden}
    options = {"layers": net.layers, "dropout": net.dropout, "tied": net.tied}
    return nets.language_model(vocabulary, CELLS[cell], **sizes, **options)


def hidden_units(config: ConfigDict, cell: str, vocabulary: int) -> int:
    """The hidden units with which a net of this cell has as many parameters as the LSTM of the
    config, as near as can be.
    """
    budget = parameters(cell_net(config, "lstm", vocabulary, config.net.hidden))
    return nearest_width(lambda hidden: cell_net(config, cell, vocabulary, hidden), budget)
