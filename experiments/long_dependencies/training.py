"""One training of the long-dependencies study: a cell on a task at a lag, all seeds side by side,
until each has ended.
"""

import contextlib
import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from ml_collections import ConfigDict

from deepseq.train.checkpoints import Checkpoints
from deepseq.train.loop import Interrupted
from deepseq.train.sequences import ended
from experiments.long_dependencies.cells import (
    Program,
    Settings,
    parameters,
    program,
    torch_count,
    width,
)
from experiments.long_dependencies.tasks import Problem, chunk, problem

SOLVED, DIVERGED, UNSOLVED = "solved", "diverged", "unsolved"  # how a run can end


class Training(NamedTuple):
    """One task, lag and arm, for all seeds."""

    task: str
    lag: int
    arm: str  # of the figures: a cell with its variant, or a way of SGD
    cell: str
    forget_bias: float
    optimizer: str
    settings: Settings
    steps: int  # at most

    @property
    def tag(self) -> dict[str, Any]:
        """Names the training among those of the log."""
        return {"task": self.task, "lag": self.lag, "arm": self.arm}

    @property
    def name(self) -> str:
        """The same as the name of a directory."""
        return f"{self.task}-{self.lag}-{self.arm}".replace(", ", "-").replace(" ", "-")


class Curves(NamedTuple):
    """What a training has seen, chunk by chunk of ``measure.every`` steps; rows that are still to
    come are NaN.
    """

    loss: np.ndarray  # (N, S) float32, means over a chunk
    norm: np.ndarray  # (N, S) float32, largest norm of the gradient in a chunk, before clipping
    finite: np.ndarray  # (N, S) int32, steps of a chunk before its first that was not finite


def programs(config: ConfigDict) -> Callable[[str, int, str, str], Program]:
    """(task, lag, cell, optimizer) -> its program; trainings that differ in numbers alone get the
    same one.
    """

    @functools.cache
    def get(task: str, lag: int, cell: str, optimizer: str) -> Program:
        task_at_lag = problem(task, lag)
        units = width(cell, config.net.hidden, task_at_lag.inputs, task_at_lag.outputs)
        return program(task_at_lag, cell, units, optimizer)

    return get


def train(
    config: ConfigDict,
    get_program: Callable[..., Program],
    checkpoints: Path,
    stopping: Callable[[], bool],
    training: Training,
) -> dict[str, Any]:
    """Trains from the beginning, or the newest checkpoint, and returns the record of the log.

    Raises:
      Interrupted: ``stopping`` said so.
      OSError: a checkpoint cannot be written.
    """
    every, save_every, seeds = config.measure.every, config.measure.save_every, tuple(config.seeds)
    task = problem(training.task, training.lag)
    own = get_program(training.task, training.lag, training.cell, training.optimizer)
    chunks, count = training.steps // every, len(seeds)
    unseen = np.full((chunks, count), np.nan, np.float32)
    curves = Curves(unseen, unseen.copy(), np.full((chunks, count), every, np.int32))
    state = own.start(np.array(seeds, np.uint32), training.forget_bias)
    with contextlib.ExitStack() as stack:
        if save_every:
            saves = stack.enter_context(Checkpoints(checkpoints / training.name))
            restored = saves.restore((state, curves))
            if restored is not None:
                state, curves = restored[0], Curves(*map(np.array, restored[1]))
        end = functools.partial(_end, curves, every, config.measure.solved * task.baseline)
        for n in range(int(state.step[0]) // every, chunks):
            if all(end(row)[0] for row in range(count)):
                break
            if stopping():
                raise Interrupted(n * every, training.tag)
            batches = chunk(task, seeds, training.lag, n, every, config.train.batch_size)
            state, seen = own.advance(training.settings, state, batches)
            seen = jax.device_get(seen)
            curves.loss[n], curves.norm[n] = seen["loss"].mean(1), seen["gradient_norm"].max(1)
            curves.finite[n] = [
                every if (bad := ended(steps)) is None else bad for steps in seen["finite"]
            ]
            if save_every and (n + 1) * every % save_every == 0:
                saves.save((n + 1) * every, (state, curves))
    runs = []
    for row, seed in enumerate(seeds):
        how, points, steps = end(row)
        shown = {
            name: _six_digits(curve[:points, row])
            for name, curve in (("loss", curves.loss), ("norm", curves.norm))
        }
        runs.append({"seed": seed, "end": how or UNSOLVED, "steps": steps, **shown})
    return {
        **training.tag,
        **_counts(config, training.cell, task),
        "baseline": task.baseline,
        "runs": runs,
    }


def _counts(config: ConfigDict, cell: str, task: Problem) -> dict[str, int]:
    units = width(cell, config.net.hidden, task.inputs, task.outputs)
    return {
        "units": units,
        "parameters": parameters(cell, units, task.inputs, task.outputs),
        "cell_parameters": torch_count(cell, units, task.inputs),
    }


def _end(curves: Curves, every: int, goal: float, row: int) -> tuple[str | None, int, int]:
    """How and when a run ended, if it did: (how or None, points of its curve, steps taken). What
    came after does not count.
    """
    loss, finite = curves.loss[:, row], curves.finite[:, row]
    for n in range(len(loss)):
        if finite[n] < every:
            return DIVERGED, n + 1, n * every + int(finite[n])
        if loss[n] < goal:
            return SOLVED, n + 1, (n + 1) * every
    return None, len(loss), len(loss) * every


def _six_digits(values: np.ndarray) -> list[float]:
    return [float(f"{value:.6g}") for value in values]
