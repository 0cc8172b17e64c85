"""One training of the study on the four modes: a net on its task, and what it answers to what it
has not seen.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array
from ml_collections import ConfigDict

from deepseq.lab.jobs import Session
from deepseq.train.loop import train_in_chunks
from deepseq.train.sequences import clipped, ended, sequence_step
from deepseq.train.state import State, init_state
from deepseq.train.teaching import TeachingBatch, accuracy, teaching_loss
from experiments.sequence_modes.tasks import Task

SHOWN = 4  # rows of the test whose answers are recorded


class Trainer:
    """Trains a net on its task from any seed and tests it; its programs are compiled once."""

    def __init__(self, config: ConfigDict, task: Task):
        """Adam, its rate falling to 0 as a cosine; gradients clipped."""
        self.task, self.batch_size = task, config.batch_size
        rate = optax.cosine_decay_schedule(task.config.rate, task.config.updates)
        optimizer = clipped(optax.adam(rate), config.clip)

        def loss(params: Any, batch: TeachingBatch) -> tuple[Array, dict[str, Array]]:
            return mean_loss(task.teach(params, batch), batch)

        step = sequence_step(loss, optimizer)

        def advance(state: State, batches: TeachingBatch) -> tuple[State, dict[str, Array]]:
            return jax.lax.scan(step, state, batches)

        self.init_state = jax.jit(lambda key: init_state(task.init(key), optimizer))
        self.advance, self.answer = jax.jit(advance), jax.jit(task.answer)

    def train(self, session: Session) -> dict[str, Any]:
        """The record of one seed: its curves, its tests, and some of its answers."""
        task, seed, stage = self.task, session.seed, 0
        every, updates = task.config.every, task.config.updates
        rng, count = np.random.default_rng(seed), every * self.batch_size
        tests = task.tests(np.random.default_rng([seed, 1]))
        curve = tests.pop("curve")
        rows = len(curve.lengths)
        points, losses, stages, finite = [], [], [], []

        def chunk(n: int) -> TeachingBatch:
            return self.chunk(task.draw(rng, count, task.stages[stage]), every)

        for done, state, metrics in train_in_chunks(
            self.advance,
            self.init_state(jax.random.key(seed)),
            chunk,
            updates=updates,
            every=every,
            tag=session.tag,
            stopping=session.stopping,
        ):
            params = state.params
            points.append(scores(self.answers(params, curve, rows), curve))
            losses.append(float(metrics["loss"].mean()))
            stages.append(task.stages[stage])
            finite.extend(metrics["finite"])
            if stage + 1 < len(task.stages) and metrics["accuracy"].mean() > task.config.mastered:
                stage += 1
            session.tick(done / updates)
        answers = {name: self.answers(params, test, rows) for name, test in tests.items()}
        final = tests["final"]
        return {
            "every": every,
            "curve": {name: [point[name] for point in points] for name in ("answers", "whole")},
            "loss": losses,
            "stages": stages,
            "ended": ended(np.array(finite)),
            **{name: scores(answers[name], test) for name, test in tests.items()},
            "shown": {
                "source": final.source[:SHOWN].squeeze(),
                "lengths": final.lengths[:SHOWN],
                "answers": answers["final"][:SHOWN],
                "right": final.answers[:SHOWN],
            },
        }

    def chunk(self, batch: TeachingBatch, updates: int) -> TeachingBatch:
        """Rows as batches (updates, B, ...)."""
        shape = (updates, self.batch_size)
        return jax.tree.map(lambda a: a.reshape(*shape, *a.shape[1:]), batch)

    def answers(self, params: Any, test: TeachingBatch, rows: int) -> np.ndarray:
        """What a net answers to a test (N, T), ``rows`` at a time, so that one compilation serves
        tests of all sizes.
        """
        parts = (
            jax.tree.map(lambda a, n=n: a[n : n + rows], test)
            for n in range(0, len(test.lengths), rows)
        )
        return np.concatenate([self.answer(params, part) for part in parts])


def mean_loss(logits: Array, batch: TeachingBatch) -> tuple[Array, dict[str, Array]]:
    """Cross-entropy and accuracy, means over all answers that count: logits (B, T, K)."""
    right = jnp.where(batch.counted, logits.argmax(-1) == batch.answers, 0)
    return teaching_loss(logits, batch), {"accuracy": right.sum() / batch.counted.sum()}


def scores(answers: np.ndarray, batch: TeachingBatch) -> dict[str, float]:
    """The shares of answers, and of whole rows of them, that are right."""
    shares = accuracy(answers, batch)
    return {"answers": shares["tokens"], "whole": shares["whole"]}
