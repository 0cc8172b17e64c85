"""One training of the alignment study, and what the net then writes by itself."""

import functools
import itertools
from collections.abc import Iterable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array
from ml_collections import ConfigDict, FrozenConfigDict

from deepseq.data.transduction import BEGIN, END
from deepseq.lab.jobs import Session
from deepseq.nets.blocks.net import parameters
from deepseq.nets.sequences.decoding import greedy
from deepseq.train.loop import train_in_chunks
from deepseq.train.sequences import clipped, ended, sequence_step
from deepseq.train.state import State, init_state
from deepseq.train.step import jit_step
from deepseq.train.teaching import TeachingBatch, accuracy, teach, teaching_loss
from experiments.alignment import measures
from experiments.alignment.nets import Model, build
from experiments.alignment.tasks import TASKS, Task, shortened

ROWS = 4  # of a test, for finite differences


def train(config: FrozenConfigDict, session: Session) -> dict:
    """One net on one task from one seed, and all that is measured of it."""
    name, net = session.tag["task"], session.tag["net"]
    task = _task(config, name, session.seed)
    return _trainer(config, name, net, task.vocabulary).train(task, session)


@functools.lru_cache(maxsize=len(TASKS))  # all nets of a seed are given the same
def _task(config: FrozenConfigDict, name: str, seed: int) -> Task:
    return TASKS[name](config, seed)


@functools.cache  # one compilation for all seeds
def _trainer(config: FrozenConfigDict, task: str, net: str, vocabulary: int) -> "Trainer":
    return Trainer(config, task, build(config, net, vocabulary))


class Trainer:
    """Trains one net on one task from any seed and tests it; its programs are compiled once."""

    def __init__(self, config: ConfigDict, task: str, model: Model):
        """Adam with a warm-up, its rate then falling to 0 as a cosine; gradients clipped."""
        self.config, self.task, self.net = config, task, model.net
        net, updates = model.net, config[task].updates
        rate = optax.warmup_cosine_decay_schedule(0.0, model.rate, config.warmup, updates)
        optimizer = clipped(optax.adam(rate), config.clip)

        def encode(params: Any, batch: TeachingBatch) -> Any:
            return net.encode(params, batch.source, lengths=batch.lengths, key=None)

        def write(params: Any, batch: TeachingBatch) -> Array:
            marks = {"begin": BEGIN, "end": END, "steps": batch.answers.shape[1]}
            return greedy(net, params, encode(params, batch), **marks)

        def weights(params: Any, batch: TeachingBatch) -> Array:
            return model.weights(params, encode(params, batch), batch.given)

        def loss(params: Any, batch: TeachingBatch) -> tuple[Array, dict]:
            return teaching_loss(teach(net, params, batch), batch), {}

        # teaching_loss would have float32; for batches without padding
        def precise_loss(params: Any, batch: TeachingBatch) -> Array:
            logs = jax.nn.log_softmax(teach(net, params, batch))
            return -jnp.take_along_axis(logs, batch.answers[..., None], 2).mean()

        self.step = jit_step(sequence_step(loss, optimizer))
        self.init_state = jax.jit(lambda key: init_state(net.init(key), optimizer))
        self.write = jax.jit(write)
        self.weights = jax.jit(weights) if model.weights else None
        self.loss_and_gradient = jax.jit(jax.value_and_grad(precise_loss))

    def train(self, task: Task, session: Session) -> dict:
        """The record of one seed: its losses, what it writes, and where it looks."""
        params, record = self.fit(task, session)
        record |= {"parameters": parameters(self.net), "lengths": list(task.tests)}
        scores = [accuracy(self.write(params, test), test) for test in task.tests.values()]
        record |= {name: [score[name] for score in scores] for name in ("tokens", "whole")}
        if self.weights is None:
            return record
        backwards, length = self.task == "reversal", self.config[self.task].shown
        record["alignment"] = measures.alignment(self.weights, params, task.tests, backwards)
        record["shown"] = measures.shown(self.weights, params, task.tests[length], length)
        if backwards:
            start = self.init_state(jax.random.key(session.seed)).params
            shortest, batch = next(iter(task.tests.items()))
            few = shortened(batch, ROWS, shortest)
            record["start"] = measures.alignment(self.weights, start, task.tests, backwards)
            record["slope"] = measures.slopes(self.loss_and_gradient, start, few, session.seed)
        return record

    def fit(self, task: Task, session: Session) -> tuple[Any, dict]:
        """The parameters after a training, and {"loss": means of every so many updates, "ended":
        updates after which it diverged, or None}; Interrupted where the session is to stop.
        """
        batches = self.batches(task, np.random.default_rng(session.seed))
        updates, every, losses, finite = self.config[self.task].updates, self.config.every, [], []
        for done, state, metrics in train_in_chunks(
            self.advance,
            self.init_state(jax.random.key(session.seed)),
            lambda chunk: itertools.islice(batches, every),
            updates=updates,
            every=every,
            tag=session.tag,
            stopping=session.stopping,
        ):
            params = state.params
            losses.append(np.mean([update["loss"] for update in metrics]))
            finite += [update["finite"] for update in metrics]
            session.tick(done / updates)
        return params, {"loss": np.array(losses), "ended": ended(finite)}

    def batches(self, task: Task, rng: np.random.Generator) -> Iterator[TeachingBatch]:
        """The same for every net; sources grow, and half of them are of the newest room."""
        group = self.config[self.task]
        for update in range(group.updates):
            newest = rooms_open(update, group.growing, len(task.rooms)) - 1
            room = newest if rng.random() < 0.5 else int(rng.integers(newest + 1))
            yield task.draw(rng, self.config.batch_size, room)

    def advance(self, state: State, batches: Iterable[TeachingBatch]) -> tuple[State, list[dict]]:
        """One update after the other, as batches of several shapes are not one program."""
        metrics = []
        for batch in batches:
            state, update = self.step(state, batch)
            metrics.append(update)
        return state, metrics


def rooms_open(update: int, growing: int, rooms: int) -> int:
    """How many rooms are drawn from: one more after each equal part of ``growing`` updates."""
    return rooms if update >= growing else 1 + update * (rooms - 1) // growing
