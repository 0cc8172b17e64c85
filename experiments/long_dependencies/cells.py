"""The cells that the long-dependencies study compares, and what is compiled to train one."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array

from deepseq.nets import recurrent
from deepseq.nets.recurrent import LSTMState, gru_cell, lstm_cell, rnn_cell, unroll
from deepseq.train import sequences
from deepseq.train.state import State, init_state
from experiments.long_dependencies.regulariser import regularised
from experiments.long_dependencies.tasks import Problem

CELLS = ("rnn", "irnn", "lstm", "gru", "gru-wide", "tied")
OPTIMIZERS = ("adam", "rmsprop")
# the tanh RNN that SGD trains, its recurrence orthogonal and scaled to this spectral radius
ROTATION = "rnn-rotation"
RADIUS = 0.95


class Tied(NamedTuple):
    """Parameters of an LSTM with tied gates; the two blocks of columns are f, g."""

    wx: Array  # (D, 2H)
    wh: Array  # (H, 2H)
    b: Array  # (2H,)


class Settings(NamedTuple):
    """What a training is given as numbers, so that trainings that differ in them alone share a
    program.
    """

    rate: float
    threshold: float  # of the gradient's global norm
    weight: float  # of Pascanu's regulariser, for SGD alone


class Program(NamedTuple):
    """All that is compiled for one cell on one task; S runs are trained side by side, their
    parameters stacked.
    """

    start: Callable[[Array, float], State]  # (seeds (S,) uint32, forget bias) -> states
    # (settings, states, (xs, targets)) -> (states, {"loss", "gradient_norm", "finite"}), (S, steps)
    # each
    advance: Callable


def tied_cell(params: Tied, carry: Array, x: Array) -> tuple[Array, Array]:
    """An LSTM without output gate whose input gate is what the forget gate leaves: c' = f c + (1 -
    f) g, y = tanh(c').

    Greff et al. 2017, arXiv 1503.04069 ("CIFG", "NOG"). With f for z this is the GRU's update; what
    is left of their difference is the reset gate, and the tanh on the way out and into the gates.

    Args:
      carry: c, (..., H). x: (..., D).

    Returns:
      (c', tanh(c')), each (..., H).
    """
    f, g = jnp.split(x @ params.wx + jnp.tanh(carry) @ params.wh + params.b, 2, axis=-1)
    f = jax.nn.sigmoid(f)
    c = f * carry + (1 - f) * jnp.tanh(g)
    return c, jnp.tanh(c)


def initial(cell: str, key: Array, inputs: int, hidden: int, forget_bias: float) -> Any:
    """Parameters of a cell: torch's uniform but for the LSTM's forget bias and the recurrences of
    the IRNN and of SGD's RNN.
    """
    if cell == ROTATION:
        bound = recurrent.uniform(hidden**-0.5)
        return recurrent.rnn_init(
            key, inputs, hidden, inputs=bound, recurrence=recurrent.orthogonal(RADIUS)
        )
    if cell == "irnn":
        return recurrent.rnn_init(key, inputs, hidden, recurrence=recurrent.identity())
    if cell == "lstm":
        return recurrent.lstm_init(key, inputs, hidden, forget_bias=forget_bias)
    if cell == "tied":
        drawn = recurrent.lstm_init(key, inputs, hidden)
        return Tied(*(array[..., hidden : 3 * hidden] for array in drawn))
    return (recurrent.gru_init if cell.startswith("gru") else recurrent.rnn_init)(
        key, inputs, hidden
    )


def states(cell: str, params: Any, xs: Array) -> Array:
    """The outputs of a cell over sequences from the zero state: (T, B, D) -> (T, B, H).

    The plain loop over the cell: with runs stacked by vmap, widths of 32 and CPU cores it takes
    about half the time of the fast whole-sequence forms, whose large products vmap cuts into small
    ones."""
    h = jnp.zeros((xs.shape[1], params.wh.shape[0]), xs.dtype)
    return unroll(STEPS[cell], params, LSTMState(h, h) if cell == "lstm" else h, xs)[1]


STEPS = {
    "rnn": rnn_cell,
    ROTATION: rnn_cell,
    "irnn": functools.partial(rnn_cell, activation=jax.nn.relu),
    "lstm": lstm_cell,
    "gru": gru_cell,
    "gru-wide": gru_cell,
    "tied": tied_cell,
}


@functools.cache
def width(cell: str, hidden: int, inputs: int, outputs: int) -> int:
    """Units of a cell: ``hidden``, and for "gru-wide" as many as bring the net closest to the
    LSTM's number of parameters.
    """
    if cell != "gru-wide":
        return hidden
    like = parameters("lstm", hidden, inputs, outputs)
    return min(
        range(hidden, 2 * hidden + 1),
        key=lambda h: abs(parameters("gru", h, inputs, outputs) - like),
    )


def torch_count(cell: str, hidden: int, inputs: int) -> int:
    """Numbers in a cell as torch counts them: two biases per block of columns, of which an RNN or
    LSTM here holds the sum.
    """
    shapes = jax.eval_shape(lambda key: initial(cell, key, inputs, hidden, 0.0), jax.random.key(0))
    return shapes.wx.size + shapes.wh.size + 2 * shapes.wh.shape[1]


def parameters(cell: str, hidden: int, inputs: int, outputs: int) -> int:
    """Numbers in a net, with the readout, counted from its arrays."""
    shapes = jax.eval_shape(
        lambda key: net(cell, key, inputs, hidden, outputs, 0.0), jax.random.key(0)
    )
    return sum(leaf.size for leaf in jax.tree.leaves(shapes))


def net(
    cell: str, key: Array, inputs: int, hidden: int, outputs: int, forget_bias: float
) -> tuple[Any, tuple[Array, Array]]:
    """Parameters of a cell and of the linear readout (w (H, K), b (K,)) on top of it."""
    cell_key, readout_key = jax.random.split(key)
    w = recurrent.uniform(hidden**-0.5)(readout_key, (hidden, outputs))
    return initial(cell, cell_key, inputs, hidden, forget_bias), (w, jnp.zeros(outputs))


@functools.cache
def starter(
    cell: str, inputs: int, hidden: int, outputs: int, optimizer: str
) -> Callable[[Array, float], State]:
    """Makes ``Program.start``, compiled once for all lags."""

    def start(seed, forget_bias):
        params = net(cell, jax.random.key(seed), inputs, hidden, outputs, forget_bias)
        # its state does not depend on the settings
        return init_state(params, rule(optimizer, Settings(0.0, 1.0, 0.0)))

    # it runs once, and random numbers take XLA longest to optimise
    return jax.jit(
        jax.vmap(start, in_axes=(0, None)), compiler_options={"xla_backend_optimization_level": 0}
    )


def program(problem: Problem, cell: str, hidden: int, optimizer: str) -> Program:
    """What trains a cell on a problem: with "adam" or "rmsprop", or with "sgd" and, for the tanh
    RNN, the regulariser.
    """

    def loss(params, batch):
        xs, targets = batch
        return problem.cost(params[1], states(cell, params[0], xs), targets)

    def advance(settings, state, batches):
        if optimizer == "sgd":
            step = sequences.gradient_step(
                regularised(problem.cost, settings.weight), rule(optimizer, settings)
            )
        else:
            step = sequences.sequence_step(loss, rule(optimizer, settings))
        xs, targets = batches
        return jax.lax.scan(step, state, (problem.encode(xs), targets))

    start = starter(cell.removesuffix("-wide"), problem.inputs, hidden, problem.outputs, optimizer)
    return Program(start, jax.jit(jax.vmap(advance, in_axes=(None, 0, 0)), donate_argnums=1))


def rule(optimizer: str, settings: Settings) -> optax.GradientTransformation:
    """The optimizer of that name on clipped gradients."""
    rules = {
        "adam": optax.adam,
        "rmsprop": functools.partial(optax.rmsprop, decay=0.9),
        "sgd": optax.sgd,
    }
    return sequences.clipped(rules[optimizer](settings.rate), settings.threshold)
