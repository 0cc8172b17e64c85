"""The nets of the truncation study: a recurrent cell with its read-out, and the two streams they
learn from.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from ml_collections import ConfigDict

from deepseq.data import tasks, text
from deepseq.nets import recurrent as R


class Reader(NamedTuple):
    """Parameters of a cell with a read-out."""

    embed: Array  # (symbols, D)
    cell: R.RNN | R.GRU | R.LSTM
    w: Array  # (H, classes)
    b: Array  # (classes,)


class Inputs(NamedTuple):
    """What one step is given."""

    symbol: Array  # (B,) int
    fresh: Array  # () bool, whether the carry is set to zero before the step


class Targets(NamedTuple):
    """What one step is to answer."""

    symbol: Array  # (B,) int
    counts: Array  # () float, 0 for a step that does not count


class Stream(NamedTuple):
    """A task as one long batch of sequences."""

    symbols: np.ndarray  # (N, B) int
    targets: np.ndarray  # (N, B) int
    counts: np.ndarray  # (N,) float


CELLS = {
    "rnn": (lambda key, d, h: R.rnn_init(key, d, h, recurrence=R.orthogonal()), R.rnn_cell),
    "gru": (R.gru_init, R.gru_cell),
    "lstm": (lambda key, d, h: R.lstm_init(key, d, h, forget_bias=1.0), R.lstm_cell),
}


def reader(
    cell: str, symbols: int, classes: int, hidden: int
) -> tuple[Callable, Callable, Callable]:
    """(init, step, zero): key -> Reader, a cell ``(params, carry, Inputs) -> (carry, logits)``, and
    batch -> carry of zeros.
    """
    init_cell, recurrent_cell = CELLS[cell]

    def init(key: Array) -> Reader:
        embedding, recurrent, out = jax.random.split(key, 3)
        embed = jax.random.normal(embedding, (symbols, hidden))
        w = jax.random.normal(out, (hidden, classes)) * hidden**-0.5
        return Reader(embed, init_cell(recurrent, hidden, hidden), w, jnp.zeros(classes))

    def step(params: Reader, carry: Any, inputs: Inputs) -> tuple[Any, Array]:
        carry = jax.tree.map(lambda s: jnp.where(inputs.fresh, 0, s), carry)
        carry, h = recurrent_cell(params.cell, carry, params.embed[inputs.symbol])
        return carry, h @ params.w + params.b

    def zero(batch: int) -> Any:
        h = jnp.zeros((batch, hidden))
        return R.LSTMState(h, h) if cell == "lstm" else h

    return init, step, zero


def step_loss(logits: Array, targets: Targets) -> Array:
    """Mean cross-entropy of one step over the batch, nats; 0 for a step that does not count."""
    picked = jnp.take_along_axis(jax.nn.log_softmax(logits), targets.symbol[:, None], axis=1)
    return -picked.mean() * targets.counts


def echo_stream(config: ConfigDict, seed: int, lag: int, steps: int) -> Stream:
    """Random bits, to be repeated ``lag`` steps later."""
    data = tasks.echo(np.random.default_rng((seed, lag)), config.train.batch_size, steps, lag)
    return Stream(data.xs[..., 0].astype(np.int32), data.targets, data.mask.astype(np.float32))


def text_stream(symbols: np.ndarray, batch: int, first: int, steps: int) -> Stream:
    """Characters, each to be followed by the next; the streams go round at the end of the text."""
    rows = text.columns(symbols, batch)
    index = (first + np.arange(steps + 1)) % len(rows)
    return Stream(rows[index[:-1]], rows[index[1:]], np.ones(steps, np.float32))
