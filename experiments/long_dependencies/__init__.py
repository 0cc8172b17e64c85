"""What does it cost to bridge a lag?

A recurrent net can carry what it saw over any number of steps, but it has to learn to. How many
sequences that takes, and whether it happens at all, is measured against the lag on four tasks whose
dependencies have a known length: adding two marked numbers, copying ten symbols, telling the order
of two symbols, and echoing a stream of bits. On each, a predictor without memory has an exact
smallest loss, the baseline; a task counts as solved at a tenth of it.

The cells are the tanh RNN, the IRNN (ReLU, its first recurrence the identity), the LSTM with
several forget biases, the GRU at the LSTM's width and at its number of parameters, and the LSTM
with tied gates, which lies between the two. For one seed, all cells see the same batches, so every
difference is paired. Each batch is new, so the training loss is an honest test.

Plain SGD on temporal order then shows what clipping the gradient and Pascanu's regulariser are
worth.
"""

import math
from pathlib import Path

from ml_collections import ConfigDict

from deepseq.lab import rules
from deepseq.lab.jobs import Job
from experiments.long_dependencies.cells import CELLS, OPTIMIZERS, ROTATION, Settings
from experiments.long_dependencies.figures import draw
from experiments.long_dependencies.records import SGD
from experiments.long_dependencies.summary import summarize
from experiments.long_dependencies.tasks import TASKS, length
from experiments.long_dependencies.training import Trainer, Training

__all__ = ["draw", "plan", "summarize"]

COSTS = {"rnn": 1, "irnn": 1, ROTATION: 1}  # of a step; 2 for the other cells
SHORTEST = {"adding": 2, "copy": 1, "order": 10, "echo": 0}  # lag that a task can have


def plan(config: ConfigDict, workdir: Path) -> list[Job]:
    """A job for each task, lag and cell, all seeds side by side; UsageError for a bad config.

    One that is cut off begins again, or goes on from its last checkpoint where
    ``measure.save_every`` asks for some; either way the log is the same. A run that diverges is
    recorded, nothing more. The jobs raise Interrupted and OSError.
    """
    del workdir
    check(config)
    trainer = Trainer(config)
    return [
        Job(training.tag, lambda session, t=training: trainer.train(session, t), _cost(training))
        for training in trainings(config)
    ]


def trainings(config: ConfigDict) -> list[Training]:
    """Every training in the order of the log."""
    net, rule, clipping = config.net, config.train, config.clipping
    cells = [(cell, cell, net.forget_bias) for cell in net.cells]
    if "lstm" in net.cells:
        cells += [(f"lstm, bias {bias:g}", "lstm", bias) for bias in net.other_forget_biases]
    order = []
    for task in TASKS:
        for lag in config.lags[task]:
            for arm, cell, bias in cells:
                settings = Settings(rule.rates[cell.removesuffix("-wide")], rule.threshold, 0.0)
                order.append(
                    Training(task, lag, arm, cell, bias, rule.optimizer, settings, rule.steps[task])
                )
    ways = {
        "sgd": Settings(clipping.rate, math.inf, 0.0),
        "sgd-slow": Settings(clipping.slow_rate, math.inf, 0.0),
        "sgd-c": Settings(clipping.rate, clipping.threshold, 0.0),
        "sgd-cr": Settings(clipping.rate, clipping.threshold, clipping.weight),
    }
    for lag in clipping.lags:
        order += [
            Training("order", lag, arm, ROTATION, 0.0, "sgd", ways[arm], clipping.steps)
            for arm in SGD
        ]
    return order


def check(config: ConfigDict) -> None:
    """UsageError for the first key of the config that cannot be used."""
    rules.choose(config, CELLS, "net.cells")
    rules.choose(config, OPTIMIZERS, "train.optimizer")
    biases = (config.net.forget_bias, *config.net.other_forget_biases)
    other = f"different, and none of them net.forget_bias={biases[0]:g}"
    rates = [f"train.rates.{cell}" for cell in config.train.rates]
    steps = [f"train.steps.{task}" for task in TASKS]
    least = SHORTEST["order"]
    saved = config.measure.save_every
    rules.check(
        config,
        rules.distinct("net.cells"),
        rules.at_least(1, "net.hidden", "train.batch_size", "measure.every"),
        rules.that("net.other_forget_biases", len(set(biases)) == len(biases), other),
        rules.above(0, "train.threshold", "clipping.threshold", "clipping.rate"),
        rules.above(0, "clipping.slow_rate", "measure.apart", "measure.same_loss", *rates),
        rules.at_least(0, "clipping.weight"),
        rules.share("measure.solved"),
        rules.increasing("clipping.lags", least=least, empty=True),
        *(rules.increasing(f"lags.{t}", least=n, empty=True) for t, n in SHORTEST.items()),
        rules.multiple(*steps, "clipping.steps", of="measure.every"),
        rules.multiple("measure.save_every", of="measure.every") if saved else [],
    )


def _cost(training: Training) -> float:
    return COSTS.get(training.cell, 2) * length(training.task, training.lag) * training.steps
