"""The jobs of the truncation study: a training, and what is measured of its net."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from deepseq.lab.jobs import Session
from deepseq.train.loop import train_in_chunks
from experiments.truncated_bptt import measures
from experiments.truncated_bptt.training import Training, held_out, model, program, segments


class Trainer:
    """Trains and measures the nets of all tasks; nets of one shape share their programs."""

    def __init__(self, config: ConfigDict):
        self.config = config
        self._model = functools.cache(functools.partial(model, config))
        self._program = functools.cache(self._compiled)
        self._last: tuple[Training, Any] | None = None  # what was trained last, and its parameters

    def _compiled(self, task: str, k: int) -> tuple[Callable, Callable]:
        lag = 0 if task == "text" else self.config.echo.lags[0]  # the same at every lag
        return program(self.config, self._model(task, lag), k)

    def train(self, session: Session, training: Training) -> dict[str, Any]:
        """The record of a training, all seeds side by side, without its tag."""
        config, net = self.config, self._model(training.task, training.lag)
        every, steps = config.measure.every, config.train.steps
        start, run = self._program(training.task, training.k)
        cut = [segments(stream, steps, training.k, training.carry) for stream in net.streams]
        data = jax.tree.map(lambda *a: np.stack(a), *cut)
        chunks = train_in_chunks(
            run,
            start(jnp.stack([jax.random.key(seed) for seed in config.seeds])),
            lambda n: jax.tree.map(lambda a: a[:, n * every : (n + 1) * every], data),
            updates=net.updates,
            every=every,
            tag=session.tag,
            stopping=session.stopping,
        )
        losses, finite = [], []
        for _, states, (loss, ok) in chunks:
            losses.append(loss.mean(1))
            finite.append(ok.all(1))
            params = states[0].params
        self._last = training, params
        if net.held_out:
            ends = np.asarray(held_out(net, training, params))
        else:
            ends = np.mean(losses[-max(1, len(losses) // 5) :], 0)
        runs = [
            {
                "seed": seed,
                "loss": [float(point[i]) for point in losses],
                "final": float(ends[i]),
                "finite": all(bool(point[i]) for point in finite),
            }
            for i, seed in enumerate(config.seeds)
        ]
        return {"every": every, "runs": runs}

    def measure(self, session: Session, training: Training) -> dict[str, Any]:
        """The truncated gradients before and after a training, which is repeated if need be.

        Reach and cost, which say the same of every task, are measured on text alone.
        """
        if self._last is None or self._last[0] != training:
            self.train(session, training)
        config, net = self.config, self._model(training.task, training.lag)
        keys = jnp.stack([jax.random.key(seed) for seed in config.seeds])
        nets = {"start": jax.jit(jax.vmap(net.init))(keys), "end": self._last[1]}
        measured = {
            when: measures.against_full(config, net, params) for when, params in nets.items()
        }
        if training.task == "text":
            measured |= {"reach": measures.reach(config, net), "cost": measures.cost(config, net)}
        return {"measured": measured}
