"""What is lost when the gradient is followed back k steps only, and what is saved?

Backpropagation through time keeps the activations of every step until the end. Truncation follows
each loss back k steps and takes the state before them for a constant: memory is bounded by k, and
dependencies longer than k get no gradient.

Two tasks show both sides. The echo repeats a random bit after a known lag: at k <= lag, a net that
starts from zero in every chunk of k steps can only guess, and its exact loss at any k is ln 2 times
the share of steps whose bit came in an earlier chunk. A net whose state is handed from chunk to
chunk (the carry is kept) may still hold the bit, though no gradient taught it to. The other task is
the next character of real text, where dependencies have no single length.

All nets of a task see the same stream from the same first weights, so every difference is paired.
"""

import functools
from pathlib import Path
from typing import Any

import jax
from ml_collections import ConfigDict

from deepseq.lab import progress
from deepseq.lab.command_line import choose, require
from deepseq.train import log
from deepseq.train.loop import Interrupted, interruption
from experiments.truncated_bptt import measures
from experiments.truncated_bptt.figures import draw as draw
from experiments.truncated_bptt.nets import CELLS
from experiments.truncated_bptt.summary import summarize as summarize
from experiments.truncated_bptt.training import KEPT, RESET, Model, Training, model, program, train


def run(config: ConfigDict, workdir: Path) -> None:
    """Trains every task at every k with and without its carry, measures, and logs to
    ``workdir``/metrics.jsonl.

    A training takes seconds and is logged when it has ended; one cut off begins again, so the log
    ends the same.

    Raises:
      UsageError: the config names a cell that does not exist, or numbers that do not fit together.
        Interrupted, OSError.
    """
    trainings = plan(config)
    metrics = workdir / "metrics.jsonl"
    logged = {(r["task"], r["lag"], r["k"], r["carry"]) for r in log.read(metrics) if "k" in r}
    measured = {(r["task"], r["lag"]) for r in log.read(metrics) if "measured" in r}
    get_model = functools.cache(lambda task, lag: model(config, task, lag))

    @functools.cache  # the same at every lag
    def get_program(task, k):
        return program(config, get_model(task, 0 if task == "text" else config.echo.lags[0]), k)

    with interruption() as stopping, progress.bar(len(trainings)) as tick:
        for done, training in enumerate(trainings):
            task = training.task, training.lag
            tick(done, training.name)
            last = training == trainings[-1] or trainings[done + 1][:2] != task
            if training in logged and not (last and task not in measured):
                continue
            own = get_model(*task)
            result = train(config, own, training, get_program(training.task, training.k), stopping)
            if result is None:
                raise Interrupted(0, {"training": training.name})
            record, params = result
            if training not in logged:
                log.write(metrics, record)
            if last:  # the net of the full gradient, its carry kept
                log.write(
                    metrics,
                    {
                        "task": task[0],
                        "lag": task[1],
                        "measured": _measure(config, own, task[0], params),
                    },
                )
        tick(len(trainings), "done")


def plan(config: ConfigDict) -> list[Training]:
    """Every training in the order of the log, that of the full gradient the last of its task;
    UsageError for a bad config.
    """
    _check(config)
    tasks = [("echo", lag) for lag in config.echo.lags] + [("text", 0)]
    return [
        Training(*task, k, carry)
        for task in tasks
        for carry in (RESET, KEPT)
        for k in config.truncations
    ]


def _measure(config: ConfigDict, own: Model, task: str, params: Any) -> dict:
    """The truncated gradients before and after training; reach and cost, which say the same of
    every task, of text alone.
    """
    first = jax.jit(jax.vmap(own.init))(
        jax.numpy.stack([jax.random.key(seed) for seed in config.seeds])
    )
    found = {
        when: measures.against_full(config, own, nets)
        for when, nets in (("start", first), ("end", params))
    }
    if task == "text":
        found |= {"reach": measures.reach(config, own), "cost": measures.cost(config, own)}
    return found


def _check(config: ConfigDict) -> None:
    for task in ("echo", "text"):
        choose(f"{task}.cell", config[task].cell, tuple(CELLS))
    seeds = config.seeds
    steps, ks, every = config.train.steps, tuple(config.truncations), config.measure.every
    rules = [
        (
            "seeds",
            len(set(seeds)) == len(seeds) and min(seeds, default=-1) >= 0,
            "different integers of at least 0",
        ),
        ("train.steps", steps >= 1, "at least 1"),
        ("train.batch_size", config.train.batch_size >= 1, "at least 1"),
        ("train.threshold", config.train.threshold > 0, "above 0"),
        ("measure.every", every >= 1, "at least 1"),
        ("measure.timings", config.measure.timings >= 1, "at least 1"),
        (
            "truncations",
            _divisors(ks, steps),
            f"increasing divisors of train.steps={steps}, the last of them {steps} itself",
        ),
        (
            "echo.lags",
            list(config.echo.lags) == sorted(set(config.echo.lags))
            and min(config.echo.lags, default=0) >= 1,
            "increasing, from 1 on",
        ),
        (
            "measure.lengths",
            list(config.measure.lengths) == sorted(set(config.measure.lengths)),
            "increasing",
        ),
    ]
    for task in ("echo", "text"):
        updates = config[task].updates
        rules += [
            (f"{task}.hidden", config[task].hidden >= 1, "at least 1"),
            (f"{task}.rate", config[task].rate > 0, "above 0"),
            (
                f"{task}.updates",
                every >= 1 and updates >= every and updates % every == 0,
                f"a positive multiple of {every}",
            ),
        ]
    require(config, rules)


def _divisors(ks: tuple[int, ...], steps: int) -> bool:
    return (
        bool(ks)
        and list(ks) == sorted(set(ks))
        and ks[-1] == steps
        and all(k >= 1 and steps % k == 0 for k in ks)
    )
