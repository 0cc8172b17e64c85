"""Does a deeper plain net train worse, and do residual connections cure it?

He, Zhang, Ren and Sun (2015) stacked more layers onto a plain convolutional net and saw its
training error rise. A deeper net contains the shallower one (let the extra layers be the identity),
so this "degradation" is not overfitting: it is a failure to optimise. Adding each block's input to
its output removes it, without a single extra parameter.

Four nets are trained alike, shallow and deep, plain and residual. Plain nets and their residual
twins have the same number of parameters and, for one seed, start from the same weights and see the
same batches, so every difference is paired. The test images choose nothing: they are only measured.
"""

import functools
from pathlib import Path

from ml_collections import ConfigDict

from deepseq.lab import rules
from deepseq.lab.jobs import Job
from experiments.degradation.figures import draw
from experiments.degradation.summary import summarize
from experiments.degradation.training import READERS, Trainer, build, read_data

__all__ = ["draw", "plan", "summarize"]


def plan(config: ConfigDict, workdir: Path) -> list[Job]:
    """One training for each net and seed; UsageError for a config that cannot be.

    The jobs raise DataError where the data set cannot be read; Diverged, Interrupted and OSError as
    ``deepseq.train.loop.fit`` says.
    """
    del workdir
    check(config)
    nets = build(config)
    data = functools.cache(lambda: read_data(config))
    # one compilation for all seeds of a net
    trainer = functools.cache(lambda name: Trainer(config, data(), name, nets))
    return [
        # a step takes as long as the net is deep
        Job(
            {"net": name, "seed": seed},
            lambda session: trainer(session.tag["net"]).train(session),
            depth,
        )
        for seed in config.seeds
        for name, depth in ((name, int(name.split("-")[1])) for name in nets)
    ]


def check(config: ConfigDict) -> None:
    """UsageError for the first key of the config that cannot be used."""
    rules.choose(config, tuple(READERS), "data.name")
    rules.choose(config, ("A", "B", "C"), "net.shortcut")
    deep = config.net.deep
    rules.check(
        config,
        rules.that("net.shallow", config.net.shallow < deep, f"less than net.deep={deep}"),
        rules.at_least(1, "train.steps", "measure.every"),
        rules.above(0, "train.learning_rate"),
        rules.rate("train.momentum", "train.bn_momentum"),
        rules.at_least(0, "train.decay"),
        rules.multiple("measure.inside_every", "measure.save_every", of="measure.every"),
    )
