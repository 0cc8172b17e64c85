"""Training in the autoregression study: Adam, clipped, its rate falling to 0, runs side by side."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array
from ml_collections import ConfigDict

from deepseq.lab.jobs import Session
from deepseq.nets import recurrent as R
from deepseq.train.loop import train_in_chunks
from deepseq.train.sequences import clipped, sequence_step
from deepseq.train.state import init_state

THRESHOLD = 1.0  # norm to which gradients are clipped


class Cell(NamedTuple):
    """A recurrent net as the study uses it."""

    init: Callable  # (key, inputs, hidden) -> params
    layer: Callable
    step: Callable  # the cell itself


CELLS = {
    "rnn": Cell(partial(R.rnn_init, recurrence=R.orthogonal()), R.rnn, R.rnn_cell),
    "gru": Cell(R.gru_init, R.gru, R.gru_cell),
    "lstm": Cell(partial(R.lstm_init, forget_bias=1.0), R.lstm, R.lstm_cell),
}


class Program(NamedTuple):
    """A training, compiled once for all data of one shape."""

    init: Callable  # seeds (S,) -> states
    advance: Callable  # (states, seeds, data) -> (states, losses (S, every), finite (S, every))
    every: int
    updates: int


def program(
    init: Callable,
    loss: Callable[[Any, Any], Array],
    draw: Callable[[Array, Any], Any],
    settings: ConfigDict,
    every: int,
    data_axis: int | None = 0,
) -> Program:
    """The training of a net, vectorised over runs.

    Args:
      init: key -> params.
      loss: (params, batch) -> mean loss.
      draw: (key, data) -> batch; the key depends on seed and update alone.
      settings: ``rate`` of Adam at first, and number of ``updates``.
      every: updates of one call.
      data_axis: of the runs in the data; None where all share it.
    """
    schedule = optax.cosine_decay_schedule(settings.rate, settings.updates)
    optimizer = clipped(optax.adam(schedule), THRESHOLD)
    step = sequence_step(lambda params, batch: (loss(params, batch), {}), optimizer)

    def first_state(seed):
        return init_state(init(jax.random.key(seed)), optimizer)

    def advance(state, seed, data):
        key = jax.random.fold_in(jax.random.key(seed), 1)

        def update(state, _):
            state, metrics = step(state, draw(jax.random.fold_in(key, state.step), data))
            return state, (metrics["loss"], metrics["finite"])

        return jax.lax.scan(update, state, length=every)

    advance = jax.jit(jax.vmap(advance, (0, 0, data_axis)), donate_argnums=0)
    return Program(jax.jit(jax.vmap(first_state)), advance, every, settings.updates)


def train(
    program: Program,
    seeds: Sequence[int],
    data: Any,
    session: Session,
    observe: Callable[[Any], None] = lambda params: None,
) -> tuple[Any, dict[str, np.ndarray]]:
    """The last parameters, and {"curve": (S, N), "finite": (S,)}: mean losses of each call, and
    whether all was finite. ``observe`` is shown the parameters after each call.
    """
    seeds, data = jnp.asarray(seeds, jnp.uint32), jax.device_put(data)
    curve, finite = [], []
    for _, states, (losses, fine) in train_in_chunks(
        lambda states, _: program.advance(states, seeds, data),
        program.init(seeds),
        lambda n: None,
        updates=program.updates,
        every=program.every,
        tag=session.tag,
        stopping=session.stopping,
    ):
        curve.append(losses.mean(1))
        finite.append(fine.all(1))
        observe(states.params)
    return states.params, {"curve": np.stack(curve, 1), "finite": np.all(finite, 0)}


def columns(batch_size: int) -> Callable[[Array, Any], Any]:
    """Draws a batch of series, with replacement, from data (T, N, ...)."""

    def draw(key, data):
        count = jax.tree.leaves(data)[0].shape[1]
        chosen = jax.random.randint(key, (batch_size,), 0, count)
        return jax.tree.map(lambda a: a[:, chosen], data)

    return draw
