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

from ml_collections import ConfigDict

from deepseq.lab import rules
from deepseq.lab.jobs import Job
from experiments.truncated_bptt.figures import draw
from experiments.truncated_bptt.nets import CELLS
from experiments.truncated_bptt.summary import summarize
from experiments.truncated_bptt.trainer import Trainer
from experiments.truncated_bptt.training import KEPT, RESET, Training

__all__ = ["draw", "plan", "summarize"]


def plan(config: ConfigDict, workdir: Path) -> list[Job]:
    """Every task at every k, with and without its carry, and what is measured of its last net.

    A training takes seconds and is logged when it has ended; one cut off begins again, so the log
    ends the same. The jobs raise Interrupted and OSError.

    Raises:
      UsageError: for the first key of the config that cannot be used.
    """
    del workdir
    check(config)
    trainer, jobs = Trainer(config), []
    for task, lag in [*(("echo", lag) for lag in config.echo.lags), ("text", 0)]:
        for carry in (RESET, KEPT):
            for k in config.truncations:
                training = Training(task, lag, k, carry)
                work = functools.partial(trainer.train, training=training)
                jobs.append(Job(training._asdict(), work))
        # of the net of the full gradient, its carry kept, which is the last of its task
        measure = functools.partial(trainer.measure, training=training)
        jobs.append(Job({"task": task, "lag": lag, "measured": ...}, measure))
    return jobs


def check(config: ConfigDict) -> None:
    """UsageError for the first key of the config that cannot be used."""
    rules.choose(config, tuple(CELLS), "echo.cell", "text.cell")
    steps, ks = config.train.steps, tuple(config.truncations)
    divisors = ks and ks[-1] == steps and all(k >= 1 and steps % k == 0 for k in ks)
    wanted = f"increasing divisors of train.steps={steps}, the last of them {steps} itself"
    rules.check(
        config,
        rules.at_least(1, "train.steps", "train.batch_size", "measure.every", "measure.timings"),
        rules.above(0, "train.threshold", "echo.rate", "text.rate", "measure.margin"),
        rules.that("truncations", bool(divisors) and list(ks) == sorted(set(ks)), wanted),
        rules.increasing("echo.lags", least=1),
        rules.increasing("measure.lengths", least=1),
        rules.at_least(1, "echo.hidden", "text.hidden"),
        rules.multiple("echo.updates", "text.updates", of="measure.every"),
    )
