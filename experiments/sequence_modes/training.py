"""One training of the study on the four modes: a net on its task, and what it answers to what it
has not seen.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array
from ml_collections import ConfigDict

from deepseq.train.loop import Interrupted
from deepseq.train.losses import cross_entropy
from deepseq.train.sequences import clipped, ended, sequence_step
from deepseq.train.state import TrainState, init_state
from experiments.sequence_modes.tasks import Batch, Task

SHOWN = 4  # rows of the test whose answers are recorded


class Programs(NamedTuple):
    """A task and its three compiled programs."""

    task: Task
    start: Callable  # key -> state
    advance: Callable  # (state, batches) -> (state, metrics of each update)
    answer: Callable  # (params, batch) -> answers (B, T)


def programs(config: ConfigDict, task: Task) -> Programs:
    """What trains and tests a task, to be compiled once for all seeds: Adam, its rate falling to 0
    as a cosine, clipped.
    """
    optimizer = clipped(
        optax.adam(optax.cosine_decay_schedule(task.own.rate, task.own.updates)), config.clip
    )
    step = sequence_step(
        lambda params, batch: mean_loss(task.teach(params, batch), batch), optimizer
    )

    def advance(state: TrainState, batches: Batch) -> tuple[TrainState, dict[str, Array]]:
        return jax.lax.scan(step, state, batches)

    return Programs(
        task,
        jax.jit(lambda key: init_state(task.init(key), optimizer)),
        jax.jit(advance),
        jax.jit(task.answer),
    )


def mean_loss(logits: Array, batch: Batch) -> tuple[Array, dict[str, Array]]:
    """Cross-entropy and accuracy, means over all answers that count: logits (B, T, K)."""
    losses = cross_entropy(logits.reshape(-1, logits.shape[-1]), batch.answers.reshape(-1)).reshape(
        batch.answers.shape
    )
    right = logits.argmax(-1) == batch.answers
    loss, accuracy = (
        jnp.where(batch.counted, a, 0).sum() / batch.counted.sum() for a in (losses, right)
    )
    return loss, {"accuracy": accuracy}


def scores(answers: np.ndarray, batch: Batch) -> dict[str, float]:
    """The share of answers that are right, and of rows whose answers all are; what does not count
    is left out.
    """
    right = np.asarray(answers) == batch.answers
    return {
        "answers": float(right[batch.counted].mean()),
        "whole": float((right | ~batch.counted).all(1).mean()),
    }


def answers(own: Programs, params: Any, test: Batch, rows: int) -> np.ndarray:
    """What a net answers to a test (N, T), ``rows`` at a time, so that one compilation serves tests
    of all sizes.
    """
    parts = (Batch(*(a[n : n + rows] for a in test)) for n in range(0, len(test.lengths), rows))
    return np.concatenate([own.answer(params, part) for part in parts])


def train(
    config: ConfigDict, own: Programs, tag: dict[str, Any], stopping: Callable[[], bool]
) -> dict[str, Any]:
    """Trains from the beginning and returns the record of the log, without its tag.

    Raises:
      Interrupted: ``stopping`` said so.
    """
    task, seed = own.task, tag["seed"]
    every, updates = task.own.every, task.own.updates
    rng, stage = np.random.default_rng(seed), 0
    tests = task.tests(np.random.default_rng([seed, 1]))
    rows = len(tests["curve"].lengths)
    state = own.start(jax.random.key(seed))
    points, losses, stages, finite = [], [], [], []
    for done in range(0, updates, every):
        if stopping():
            raise Interrupted(done, tag)
        batch = task.draw(rng, every * config.batch_size, task.stages[stage])
        batches = jax.tree.map(lambda a: a.reshape(every, config.batch_size, *a.shape[1:]), batch)
        state, seen = own.advance(state, batches)
        seen = jax.device_get(seen)
        points.append(scores(answers(own, state.params, tests["curve"], rows), tests["curve"]))
        losses.append(float(seen["loss"].mean()))
        stages.append(task.stages[stage])
        finite.extend(seen["finite"])
        if stage + 1 < len(task.stages) and seen["accuracy"].mean() > task.own.mastered:
            stage += 1
    said = {
        name: answers(own, state.params, test, rows)
        for name, test in tests.items()
        if name != "curve"
    }
    return {
        "every": every,
        "curve": {name: [point[name] for point in points] for name in ("answers", "whole")},
        "loss": losses,
        "stages": stages,
        "ended": ended(np.array(finite)),
        **{name: scores(said[name], test) for name, test in tests.items() if name != "curve"},
        "shown": {
            "source": tests["final"].source[:SHOWN].squeeze(),
            "lengths": tests["final"].lengths[:SHOWN],
            "answers": said["final"][:SHOWN],
            "right": tests["final"].answers[:SHOWN],
        },
    }
