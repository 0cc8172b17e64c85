"""What trains a task at one k, its carry handed on or not, all seeds side by side."""

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
import optax
from ml_collections import ConfigDict

from deepseq.data import text
from deepseq.nets import recurrent as R
from deepseq.train.sequences import clipped, gradient_step
from deepseq.train.state import init_state
from experiments.truncated_bptt.nets import (
    Inputs,
    Stream,
    Targets,
    echo_stream,
    reader,
    step_loss,
    text_stream,
)

KEPT, RESET = "kept", "reset"  # the carry at the start of a chunk


class Training(NamedTuple):
    """One curve of the study, for all seeds."""

    task: str  # "echo" or "text"
    lag: int  # of the echo; 0 for text
    k: int
    carry: str  # KEPT or RESET


class Model(NamedTuple):
    """A net with its streams, as the trainings of one task share it."""

    init: Callable  # key -> params
    cell: Callable
    zero: Callable  # batch -> carry
    streams: Sequence[Stream]  # one per seed
    held_out: Stream | None
    updates: int
    rate: float


def model(config: ConfigDict, task: str, lag: int) -> Model:
    """The net and the data of a task; nets of one shape are one object, so that they are compiled
    once.
    """
    net, train = config[task], config.train
    steps = net.updates * train.steps
    if task == "echo":
        streams = [echo_stream(config, seed, lag, steps) for seed in config.seeds]
        return Model(*_reader(net.cell, 2, 2, net.hidden), streams, None, net.updates, net.rate)
    data = text.load(net.validation)
    rows = len(data.train) // train.batch_size
    firsts = [int(np.random.default_rng(seed).integers(rows)) for seed in config.seeds]
    streams = [text_stream(data.train, train.batch_size, first, steps) for first in firsts]
    held = text_stream(
        data.validation, train.batch_size, 0, len(data.validation) // train.batch_size - 1
    )
    size = len(data.vocabulary)
    return Model(*_reader(net.cell, size, size, net.hidden), streams, held, net.updates, net.rate)


_reader = functools.cache(reader)


def segments(stream: Stream, steps: int, k: int, carry: str) -> tuple[Inputs, Targets]:
    """A stream cut into updates, leaves (U, T, ...); without a carry, the net starts from zero
    every k steps.
    """
    count = len(stream.symbols) // steps
    fresh = np.arange(count * steps) % k == 0 if carry == RESET else np.zeros(count * steps, bool)
    cut = jax.tree.map(lambda a: a[: count * steps].reshape(count, steps, *a.shape[1:]), stream)
    return Inputs(cut.symbols, fresh.reshape(count, steps)), Targets(cut.targets, cut.counts)


def gradient(cell: Callable, k: int, steps: int) -> Callable:
    """(params, (carry, inputs, targets)) -> ((mean loss, {"carry"}), truncated gradient), chunk by
    chunk of k steps.
    """
    truncated = R.tbptt(cell, step_loss, k1=k, k2=k)

    def mean(params, batch):
        carry, inputs, targets = batch
        (total, carry), direction = truncated(params, carry, inputs, targets)
        return (total / steps, {"carry": carry}), jax.tree.map(lambda g: g / steps, direction)

    return mean


def program(config: ConfigDict, net: Model, k: int) -> tuple[Callable, Callable]:
    """(start, run) of a task at one k, all seeds side by side; keeping the carry is data to them.

    start: keys (S,) -> states. run: (states, batches (S, U, T, ...)) -> (states, (mean losses (S,
    U), whether finite (S, U))).
    """
    optimizer = clipped(optax.adam(net.rate), config.train.threshold)
    step = gradient_step(gradient(net.cell, k, config.train.steps), optimizer)

    def start(key):
        return init_state(net.init(key), optimizer), net.zero(config.train.batch_size)

    def update(state, batch):
        state, carry = state
        state, metrics = step(state, (carry, *batch))
        return (state, metrics["carry"]), (metrics["loss"], metrics["finite"])

    run = jax.vmap(lambda state, batches: jax.lax.scan(update, state, batches))
    return jax.jit(jax.vmap(start)), jax.jit(run, donate_argnums=0)


def held_out(net: Model, training: Training, params: Any) -> jax.Array:
    """(S,) mean loss on the held-out text, its carry treated as in training."""
    parts = segments(net.held_out, len(net.held_out.counts), training.k, training.carry)
    inputs, targets = jax.tree.map(lambda a: a[0], parts)
    return _mean_loss(net.cell, params, net.zero(inputs.symbol.shape[1]), inputs, targets)


@functools.partial(jax.jit, static_argnums=0)
def _mean_loss(cell, params, carry, inputs, targets):
    def step(params, carry, each):
        carry, logits = cell(params, carry, each[0])
        return carry, step_loss(logits, each[1])

    return jax.vmap(
        lambda p: jax.lax.scan(functools.partial(step, p), carry, (inputs, targets))[1].mean()
    )(params)
