"""What happens to the gradient between the last step of a recurrent net and its first?

Backpropagation through time multiplies one Jacobian per step. Where their product shrinks, the loss
says nothing about the distant past (vanishing); where it grows, one step of gradient descent throws
the net anywhere (exploding). The notes blame the activation function. The theory (Pascanu, Mikolov,
Bengio 2013) bounds the product by (gamma |W|)^lag, |W| the largest singular value of the recurrent
matrix and gamma the largest slope of the activation: 1 for tanh and ReLU, 1/4 for sigmoid.

Three parts. At initialisation, the exact Jacobian of every step of tanh, sigmoid, ReLU, leaky, GRU
and LSTM nets at several spectral radii, and their product in float64, free of under- and overflow.
Identities of the cells and of backpropagation, to rounding. And a short training of a tanh RNN on
the temporal order task by plain SGD, with the gradient's norm clipped, and with Pascanu's
regulariser, from the same weights and on the same batches. A run that diverges there is data."""

import functools
from collections.abc import Sequence
from pathlib import Path

import jax
import numpy as np
from ml_collections import ConfigDict

from deepseq.lab import progress
from deepseq.lab.command_line import require
from deepseq.train import log
from deepseq.train.checkpoints import Checkpoints
from deepseq.train.loop import Diverged, Interrupted, fit, interruption
from deepseq.train.step import jit_step
from experiments.gradient_flow import algebra, measures, nets, training
from experiments.gradient_flow.figures import draw as draw
from experiments.gradient_flow.summary import summarize as summarize


def run(config: ConfigDict, workdir: Path) -> None:
    """Logs the three parts to ``workdir``/metrics.jsonl; continues where an earlier run stopped.

    Raises:
      UsageError: the config holds numbers that do not fit together.
      Interrupted, OSError: as ``fit`` says.
    """
    check(config)
    metrics = workdir / "metrics.jsonl"
    done = {
        _name(record) for record in log.read(metrics) if "part" in record or record.get("final")
    }
    looks = [("flow", seed, cell) for seed in config.seeds for cell in nets.CELLS]
    looks = [("algebra", seed, "") for seed in config.seeds] + looks
    trained = [(arm, seed) for seed in config.seeds for arm in training.ARMS]
    with interruption() as stopping, progress.bar(len(looks) + 5 * len(trained)) as tick:
        programs = Programs(config)
        for count, name in enumerate(looks):
            tick(count, f"{name[0]} {name[2]}, seed {name[1]}")
            if name in done:
                continue
            if stopping():
                raise Interrupted(0, {"part": name[0], "seed": name[1]})
            look = programs.algebra(name[1]) if name[0] == "algebra" else programs.flow(*name[1:])
            log.write(metrics, {"part": name[0], "seed": name[1], **look})
        for count, name in enumerate(trained):
            if name in done:
                continue
            before, label = len(looks) + 5 * count, f"{name[0]}, seed {name[1]}"
            report = functools.partial(_report, tick, label, before, 5 / config.train.steps)
            with Checkpoints(workdir / "checkpoints" / f"{name[0]}-{name[1]}") as checkpoints:
                programs.train(
                    metrics, {"arm": name[0], "seed": name[1]}, checkpoints, report, stopping
                )


def check(config: ConfigDict) -> None:
    """Raises UsageError where the config's numbers do not fit together."""
    flow, train, measure = config.flow, config.train, config.measure
    rules = [
        ("flow.hidden", flow.hidden >= 2, "at least 2"),
        ("flow.inputs", flow.inputs >= 1, "at least 1"),
        ("flow.steps", flow.steps >= 8, "at least 8"),
        (
            "flow.radii",
            len(set(flow.radii)) == len(flow.radii) >= 1 and min(flow.radii) > 0,
            "different numbers above 0",
        ),
        ("flow.drive", flow.drive > 0, "above 0"),
        (
            "flow.keeps",
            len(set(flow.keeps)) == len(flow.keeps) >= 2,
            "at least two different numbers",
        ),
        (
            "flow.points",
            5 <= flow.points <= flow.steps + 1,
            f"from 5 to flow.steps + 1 = {flow.steps + 1}",
        ),
        ("train.lag", train.lag >= 10, "at least 10, as the task asks"),
        ("train.hidden", train.hidden >= 1, "at least 1"),
        ("train.radius", train.radius > 0, "above 0"),
        ("train.steps", train.steps >= 1, "at least 1"),
        ("train.batch_size", train.batch_size >= 1, "at least 1"),
        ("train.learning_rate", train.learning_rate > 0, "above 0"),
        ("train.clip", train.clip > 0, "above 0"),
        ("train.alpha", train.alpha > 0, "above 0"),
        ("measure.every", measure.every >= 1, "at least 1"),
        ("measure.sequences", measure.sequences >= 1, "at least 1"),
    ]
    for name in ("look_every", "save_every"):
        fits = measure.every >= 1 and measure[name] >= 1 and measure[name] % measure.every == 0
        rules.append(
            (f"measure.{name}", fits, f"a positive multiple of measure.every={measure.every}")
        )
    require(config, rules)


class Programs:
    """What the study compiles, once for all seeds."""

    def __init__(self, config: ConfigDict):
        self._config = config
        self._identities = jax.jit(algebra.identities)
        self._jacobians = {cell: nets.jacobians(config, cell) for cell in nets.CELLS}
        self._initial, self._step = training.initial(config), jit_step(training.step(config))
        self._draw = functools.lru_cache(1)(functools.partial(nets.draw, config))

    def algebra(self, seed: int) -> dict:
        """The record of the identities of one seed."""
        return {"found": jax.device_get(self._identities(algebra.draw(seed)))}

    def flow(self, seed: int, cell: str) -> dict:
        """The record of one seed's nets of one cell: their tags, and the gradient that is left at
        each lag.
        """
        config, draws = self._config, self._draw(seed)
        tags, hidden = nets.tags(config, cell), config.flow.hidden
        driven = np.array([tag["driven"] for tag in tags], np.float32)
        factors = np.asarray(
            self._jacobians[cell](nets.stack(config, cell, draws), driven, draws.xs)
        )
        direction = np.zeros(
            factors.shape[-1]
        )  # L is a random linear function of h_T; an LSTM's c_T is no output
        direction[:hidden] = np.random.default_rng([seed, 4]).standard_normal(hidden)
        block = slice(hidden, 2 * hidden) if cell == "lstm" else None
        left = measures.flow(factors, direction / np.linalg.norm(direction), lags(config), block)
        cases = [
            tag
            | nets.theory(cell, tag, draws)
            | {name: np.round(values[n], 3) for name, values in left.items()}
            for n, tag in enumerate(tags)
        ]
        return {"cell": cell, "lags": lags(config), "nets": cases}

    def train(self, metrics: Path, tag: dict, checkpoints: Checkpoints, report, stopping) -> None:
        """One arm from one seed, looked at before, during and after; a diverged run ends there, and
        its record says when.
        """
        config, steps = self._config, self._config.train.steps
        see = training.look(config, tag["seed"])
        state = self._initial(jax.random.key(tag["seed"]), training.recipe(config, tag["arm"]))
        if not any(record["step"] == 0 for record in log.read(metrics) if log.matches(record, tag)):
            log.write(metrics, {**tag, "step": 0, "look": see(state)})

        def observe(state: training.State) -> dict:
            step, record = int(state.step), {"gradient_norm": float(state.norms.max())}
            if step % config.measure.look_every == 0 or step == steps:
                record["look"] = see(state)
            return record

        end = {}
        try:
            fit(
                self._step,
                state,
                training.batches(config, tag["seed"]),
                steps=steps,
                every=config.measure.every,
                save_every=config.measure.save_every,
                log=metrics,
                tag=tag,
                checkpoints=checkpoints,
                observe=observe,
                tick=report,
                stopping=stopping,
            )
        except Diverged as error:
            end = {"diverged": error.step}
        log.write(metrics, {**tag, "step": end.get("diverged", steps), "final": True, **end})


def lags(config: ConfigDict) -> list[int]:
    """The lags at which the gradient is recorded, evenly from 0 to T."""
    return sorted(
        set(np.linspace(0, config.flow.steps, config.flow.points).round().astype(int).tolist())
    )


def _name(record: dict) -> Sequence:
    if "part" in record:
        return record["part"], record["seed"], record.get("cell", "")
    return record["arm"], record["seed"]


def _report(
    tick: progress.Tick, label: str, before: float, cost_per_step: float, step: int
) -> None:
    tick(before + step * cost_per_step, label)
