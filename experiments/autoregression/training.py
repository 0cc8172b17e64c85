"""How the nets of the autoregression study are trained: Adam, clipped, its rate falling to zero;
all runs side by side.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from deepseq.nets import recurrent as R
from deepseq.train.loop import Interrupted
from deepseq.train.sequences import clipped, sequence_step
from deepseq.train.state import init_state

THRESHOLD = 1.0  # norm to which gradients are clipped


class Cell(NamedTuple):
    """A recurrent net as the study uses it."""

    init: Callable  # (key, inputs, hidden) -> params
    layer: Callable
    step: Callable  # the cell itself


CELLS = {
    "rnn": Cell(
        lambda key, d, h: R.rnn_init(key, d, h, recurrence=R.orthogonal()), R.rnn, R.rnn_cell
    ),
    "gru": Cell(R.gru_init, R.gru, R.gru_cell),
    "lstm": Cell(lambda key, d, h: R.lstm_init(key, d, h, forget_bias=1.0), R.lstm, R.lstm_cell),
}


class Program(NamedTuple):
    """A training, compiled once for all data of one shape."""

    begin: Callable  # seeds (S,) -> states
    advance: Callable  # (states, seeds, data) -> (states, losses (S, every), finite (S, every))
    every: int
    updates: int


def program(
    init: Callable,
    loss: Callable[[Any, Any], Array],
    draw: Callable[[Array, Any], Any],
    *,
    rate: float,
    updates: int,
    every: int,
    data_axis: int | None = 0,
) -> Program:
    """The training of a net, vectorised over runs.

    Args:
      init: key -> params.
      loss: (params, batch) -> mean loss.
      draw: (key, data) -> batch; the key depends on seed and update alone.
      rate, updates, every: of Adam at first, of all updates, and of one call.
      data_axis: of the runs in the data; None where all share it.
    """
    optimizer = clipped(optax.adam(optax.cosine_decay_schedule(rate, updates)), THRESHOLD)
    step = sequence_step(lambda params, batch: (loss(params, batch), {}), optimizer)

    def begin(seed):
        return init_state(init(jax.random.key(seed)), optimizer)

    def advance(state, seed, data):
        key = jax.random.fold_in(jax.random.key(seed), 1)

        def update(state, _):
            state, metrics = step(state, draw(jax.random.fold_in(key, state.step), data))
            return state, (metrics["loss"], metrics["finite"])

        return jax.lax.scan(update, state, length=every)

    return Program(
        jax.jit(jax.vmap(begin)),
        jax.jit(jax.vmap(advance, (0, 0, data_axis)), donate_argnums=0),
        every,
        updates,
    )


def training(
    own: Program, seeds: Sequence[int], data: Any, stopping: Callable[[], bool], tag: dict
) -> Iterator[tuple[Any, np.ndarray, np.ndarray]]:
    """Yields (params, mean losses (S,) of the last ``every`` updates, whether all was finite (S,))
    until the end.

    Raises:
      Interrupted: ``stopping`` said so.
    """
    seeds = jnp.asarray(seeds, jnp.uint32)
    states = own.begin(seeds)
    data = jax.device_put(data)
    for done in range(0, own.updates, own.every):
        if stopping():
            raise Interrupted(done, tag)
        states, (losses, finite) = own.advance(states, seeds, data)
        yield states.params, np.asarray(losses).mean(1), np.asarray(finite).all(1)


def train(
    own: Program, seeds: Sequence[int], data: Any, stopping: Callable[[], bool], tag: dict
) -> tuple[Any, dict]:
    """The last parameters and {"curve": (S, N), "finite": (S,)} of a training."""
    curve, every_finite = [], []
    for params, losses, finite in training(own, seeds, data, stopping, tag):  # noqa: B007 the last parameters are kept
        curve.append(losses)
        every_finite.append(finite)
    return params, {"curve": np.stack(curve, 1), "finite": np.all(every_finite, 0)}


def columns(batch_size: int) -> Callable[[Array, Any], Any]:
    """Draws a batch of series, with replacement, from data (T, N, ...)."""

    def draw(key, data):
        count = jax.tree.leaves(data)[0].shape[1]
        chosen = jax.random.randint(key, (batch_size,), 0, count)
        return jax.tree.map(lambda a: a[:, chosen], data)

    return draw
