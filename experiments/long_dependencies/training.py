"""One training of the long-dependencies study: a cell on a task at a lag, all seeds side by side,
until each has ended.
"""

import contextlib
import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from ml_collections import ConfigDict

from deepseq.lab.jobs import Session
from deepseq.train.loop import train_in_chunks
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


class Curves(NamedTuple):
    """What a training has seen, chunk by chunk of ``measure.every`` steps; rows that are still to
    come are NaN.
    """

    loss: np.ndarray  # (N, S) float32, means over a chunk
    norm: np.ndarray  # (N, S) float32, largest norm of the gradient in a chunk, before clipping
    finite: np.ndarray  # (N, S) int32, steps of a chunk before its first that was not finite

    def note(self, n: int, metrics: dict[str, np.ndarray], every: int) -> None:
        """Writes down the n-th chunk."""
        self.loss[n], self.norm[n] = metrics["loss"].mean(1), metrics["gradient_norm"].max(1)
        self.finite[n] = [every if (bad := ended(x)) is None else bad for x in metrics["finite"]]


class Trainer:
    """Trains all seeds side by side; trainings that differ in numbers share a program."""

    def __init__(self, config: ConfigDict):
        self.config, self._program = config, functools.cache(self._compiled)

    def _compiled(self, task: str, lag: int, cell: str, optimizer: str) -> Program:
        problem_at = problem(task, lag)
        units = width(cell, self.config.net.hidden, problem_at.inputs, problem_at.outputs)
        return program(problem_at, cell, units, optimizer)

    def train(self, session: Session, training: Training) -> dict[str, Any]:
        """From the beginning, or the newest checkpoint, to the record of the log, untagged."""
        measure, seeds = self.config.measure, tuple(self.config.seeds)
        every, chunks = measure.every, training.steps // measure.every
        task = problem(training.task, training.lag)
        compiled = self._program(training.task, training.lag, training.cell, training.optimizer)
        unseen = np.full((chunks, len(seeds)), np.nan, np.float32)
        curves = Curves(unseen, unseen.copy(), np.full(unseen.shape, every, np.int32))
        state = compiled.start(np.array(seeds, np.uint32), training.forget_bias)
        advance = functools.partial(compiled.advance, training.settings)
        end = functools.partial(_end, every, measure.solved * task.baseline)
        with contextlib.ExitStack() as stack:
            saves = stack.enter_context(session.checkpoints()) if measure.save_every else None
            restored = saves.restore((state, curves)) if saves else None
            if restored is not None:
                state, curves = restored[0], Curves(*map(np.array, restored[1]))
            begin = int(state.step[0])
            batch = self.config.train.batch_size
            for done, latest, metrics in train_in_chunks(
                advance,
                state,
                lambda n: chunk(task, seeds, training.lag, n, every, batch),
                updates=0 if _all_ended(end, curves) else training.steps,
                every=every,
                begin=begin,
                tag=session.tag,
                stopping=session.stopping,
            ):
                curves.note(done // every - 1, metrics, every)
                session.tick(done / training.steps)
                if saves and done % measure.save_every == 0:
                    saves.save(done, (latest, curves))
                if _all_ended(end, curves):
                    break
        runs = []
        for row, seed in enumerate(seeds):
            how, points, steps = end(curves, row)
            kept = (("loss", curves.loss), ("norm", curves.norm))
            shown = {name: _six_digits(curve[:points, row]) for name, curve in kept}
            runs.append({"seed": seed, "end": how or UNSOLVED, "steps": steps, **shown})
        return {
            **_counts(self.config, training.cell, task),
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


def _end(every: int, goal: float, curves: Curves, row: int) -> tuple[str | None, int, int]:
    """How and when a run ended, if it did: (how or None, points of its curve, steps taken).

    What came after does not count.
    """
    loss, finite = curves.loss[:, row], curves.finite[:, row]
    for n in range(len(loss)):
        if finite[n] < every:
            return DIVERGED, n + 1, n * every + int(finite[n])
        if loss[n] < goal:
            return SOLVED, n + 1, (n + 1) * every
    return None, len(loss), len(loss) * every


def _all_ended(end: Callable, curves: Curves) -> bool:
    return all(end(curves, row)[0] for row in range(curves.loss.shape[1]))


def _six_digits(values: np.ndarray) -> list[float]:
    return [float(f"{value:.6g}") for value in values]
