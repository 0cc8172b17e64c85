"""The four tasks as the long-dependencies study trains on them: batches, costs and baselines."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from deepseq.data import tasks
from deepseq.train.losses import cross_entropy

TASKS = {"adding": "adding", "copy": "copy", "order": "temporal order", "echo": "delayed echo"}


class Problem(NamedTuple):
    """A task at one lag; every cost is a mean, whose least value without memory is ``baseline``."""

    inputs: int  # D of what ``encode`` makes
    outputs: int
    baseline: float
    draw: Callable[
        [np.random.Generator, int], tuple[np.ndarray, np.ndarray]
    ]  # (rng, batch) -> xs (T, B, ...), targets
    encode: Callable[[Array], Array]  # xs -> (T, B, D) floats
    cost: Callable[
        [Any, Array, Array], tuple[Array, dict]
    ]  # (readout, hs (T, B, H), targets) -> (mean, further metrics)


def problem(task: str, lag: int) -> Problem:
    """The task of that name at a lag; ValueError where the lag is too short for it."""
    if task == "adding":
        return Problem(
            2,
            1,
            tasks.ADDING_BASELINE,
            functools.partial(tasks.adding, lag=lag),
            _as_is,
            _squared_error,
        )
    if task == "copy":
        symbols = functools.partial(jax.nn.one_hot, num_classes=10)
        return Problem(
            10,
            9,
            tasks.copy_baseline(lag),
            functools.partial(tasks.copy, lag=lag),
            symbols,
            _entropy,
        )
    if task == "order":
        symbols = functools.partial(jax.nn.one_hot, num_classes=tasks.ORDER_SYMBOLS)
        draw = functools.partial(tasks.order, lag=lag)
        return Problem(
            tasks.ORDER_SYMBOLS,
            tasks.ORDER_CLASSES,
            tasks.ORDER_BASELINE,
            draw,
            symbols,
            _last_entropy,
        )

    def draw(rng, batch):
        return tasks.echo(rng, batch, length(task, lag), lag)[:2]

    return Problem(1, 2, tasks.ECHO_BASELINE, draw, _as_is, functools.partial(_entropy_from, lag))


def length(task: str, lag: int) -> int:
    """T of the task's sequences; an echo has as many steps that count as there are before them, and
    ten.
    """
    return {"copy": lag + 2 * tasks.COPIED, "echo": 2 * lag + 10}.get(task, lag)


def chunk(
    drawn: Problem, seeds: tuple[int, ...], lag: int, number: int, steps: int, batch: int
) -> tuple[Array, Array]:
    """The batches of ``steps`` steps of every seed, a function of (seed, lag, number of the chunk)
    alone.

    Returns:
      (xs (S, steps, T, B, ...), targets (S, steps, [T,] B)).
    """
    drawn_all = [
        drawn.draw(np.random.default_rng((seed, lag, number)), steps * batch) for seed in seeds
    ]
    xs, targets = (np.stack(arrays) for arrays in zip(*drawn_all, strict=True))
    xs = np.moveaxis(xs.reshape(*xs.shape[:2], steps, batch, *xs.shape[3:]), 2, 1)
    targets = targets.reshape(*targets.shape[:-1], steps, batch)
    return xs, np.moveaxis(targets, -2, 1)


def _as_is(xs: Array) -> Array:
    return xs


def _read(readout: tuple[Array, Array], hs: Array) -> Array:
    w, b = readout
    return hs @ w + b


def _squared_error(readout, hs, targets):
    return jnp.mean((_read(readout, hs[-1])[:, 0] - targets) ** 2), {}


def _last_entropy(readout, hs, targets):
    return cross_entropy(_read(readout, hs[-1]), targets).mean(), {}


def _entropy(readout, hs, targets):
    logits = _read(readout, hs)
    return cross_entropy(logits.reshape(-1, logits.shape[-1]), targets.reshape(-1)).mean(), {}


def _entropy_from(first, readout, hs, targets):
    return _entropy(readout, hs[first:], targets[first:])
