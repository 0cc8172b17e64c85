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
worth."""

import math
from pathlib import Path

from ml_collections import ConfigDict

from deepseq.lab import progress
from deepseq.lab.command_line import choose, require
from deepseq.train import log
from deepseq.train.loop import interruption
from experiments.long_dependencies.cells import CELLS, OPTIMIZERS, ROTATION, Settings
from experiments.long_dependencies.figures import draw as draw
from experiments.long_dependencies.records import SGD
from experiments.long_dependencies.summary import summarize as summarize
from experiments.long_dependencies.tasks import TASKS, length
from experiments.long_dependencies.training import Training, programs, train

COSTS = {"rnn": 1, "irnn": 1, ROTATION: 1}  # of a step; 2 for the other cells
SHORTEST = {"adding": 2, "copy": 1, "order": 10, "echo": 0}  # lag that a task can have


def run(config: ConfigDict, workdir: Path) -> None:
    """Trains every cell on every task and lag and logs to ``workdir``/metrics.jsonl; continues
    where an earlier run stopped.

    A training is one task, lag and cell with all seeds side by side. It is logged when it ends, in
    the order of ``plan``. One that a kill cuts off begins again, or goes on from its last
    checkpoint where ``measure.save_every`` asks for some; either way the log is the same.

    Raises:
      UsageError: the config names a cell that does not exist, or numbers that do not fit together.
      Interrupted, OSError: as for ``deepseq.train.loop.fit``. A run that diverges is recorded,
        nothing more.
    """
    trainings = plan(config)
    metrics = workdir / "metrics.jsonl"
    logged = [{key: record[key] for key in ("task", "lag", "arm")} for record in log.read(metrics)]
    left = [training for training in trainings if training.tag not in logged]
    total = sum(map(_cost, trainings))
    done, get_program = total - sum(map(_cost, left)), programs(config)
    # One at a time: two programs that run at once can wait for each other for ever in XLA:CPU's own
    # threads.
    with interruption() as stopping, progress.bar(total) as tick:
        for training in left:
            label = f"{training.task} {training.lag}, {training.arm}"
            tick(done, label)
            log.write(
                metrics, train(config, get_program, workdir / "checkpoints", stopping, training)
            )
            done += _cost(training)
            tick(done, label)


def plan(config: ConfigDict) -> list[Training]:
    """Every training in the order of the log; UsageError for a config that cannot be."""
    _check(config)
    net, rule, clipping = config.net, config.train, config.clipping
    cells = [(cell, cell, net.forget_bias) for cell in net.cells]
    if "lstm" in net.cells:
        cells += [(f"lstm, bias {bias:g}", "lstm", bias) for bias in net.other_forget_biases]
    trainings = []
    for task in TASKS:
        for lag in config.lags[task]:
            for arm, cell, bias in cells:
                settings = Settings(rule.rates[cell.removesuffix("-wide")], rule.threshold, 0.0)
                trainings.append(
                    Training(task, lag, arm, cell, bias, rule.optimizer, settings, rule.steps[task])
                )
    ways = {
        "sgd": Settings(clipping.rate, math.inf, 0.0),
        "sgd-slow": Settings(clipping.slow_rate, math.inf, 0.0),
        "sgd-c": Settings(clipping.rate, clipping.threshold, 0.0),
        "sgd-cr": Settings(clipping.rate, clipping.threshold, clipping.weight),
    }
    for lag in clipping.lags:
        trainings += [
            Training("order", lag, arm, ROTATION, 0.0, "sgd", ways[arm], clipping.steps)
            for arm in SGD
        ]
    return trainings


def _check(config: ConfigDict) -> None:
    for cell in config.net.cells:
        choose("net.cells", cell, CELLS)
    choose("train.optimizer", config.train.optimizer, OPTIMIZERS)
    measure, every = config.measure, config.measure.every
    biases = (config.net.forget_bias, *config.net.other_forget_biases)
    rules = [
        ("net.cells", _all_differ(config.net.cells), "different cells"),
        ("net.hidden", config.net.hidden >= 1, "at least 1"),
        (
            "net.other_forget_biases",
            _all_differ(biases),
            f"different, and none of them net.forget_bias={biases[0]:g}",
        ),
        ("train.batch_size", config.train.batch_size >= 1, "at least 1"),
        ("train.threshold", config.train.threshold > 0, "above 0"),
        ("clipping.threshold", config.clipping.threshold > 0, "above 0"),
        ("clipping.rate", config.clipping.rate > 0, "above 0"),
        ("clipping.slow_rate", config.clipping.slow_rate > 0, "above 0"),
        ("clipping.weight", config.clipping.weight >= 0, "at least 0"),
        ("measure.every", every >= 1, "at least 1"),
        ("measure.solved", 0 < measure.solved < 1, "between 0 and 1"),
        (
            "clipping.lags",
            _increasing(config.clipping.lags, SHORTEST["order"]),
            f"increasing, from {SHORTEST['order']} on",
        ),
    ]
    for task, least in SHORTEST.items():
        rules.append(
            (f"lags.{task}", _increasing(config.lags[task], least), f"increasing, from {least} on")
        )
    rules += [
        (f"train.rates.{cell}", rate > 0, "above 0") for cell, rate in config.train.rates.items()
    ]
    steps = {f"train.steps.{task}": config.train.steps[task] for task in TASKS} | {
        "clipping.steps": config.clipping.steps
    }
    rules += [
        (
            key,
            every >= 1 and count >= every and count % every == 0,
            f"a positive multiple of measure.every={every}",
        )
        for key, count in steps.items()
    ]
    saved = every >= 1 and measure.save_every >= 0 and measure.save_every % every == 0
    rules.append(("measure.save_every", saved, f"a multiple of measure.every={every}, or 0"))
    require(config, rules)


def _increasing(lags: tuple[int, ...], least: int) -> bool:
    return list(lags) == sorted(set(lags)) and min(lags, default=least) >= least


def _all_differ(values: tuple) -> bool:
    return len(set(values)) == len(values)


def _cost(training: Training) -> float:
    return COSTS.get(training.cell, 2) * length(training.task, training.lag) * training.steps
