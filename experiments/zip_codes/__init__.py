"""Does a convolutional net read zip codes, and do its maps make reading easier?

LeCun and others (1989) cut zip codes from envelopes and trained a net of 9760 weights, whose units
look at small patches and share their weights, to say which digit each image shows. Of 2007 new
digits it took 102 for another. LeNet-5 (1998) is its larger successor. Both are trained here as
they were printed, but for the optimiser; their errors are counted after every pass.

A convolutional net is said to extract features and then to decide. So a linear reader is fitted, in
closed form, to the pixels, to the last maps of the trained net, and to those of the same net before
training: if training finds features, the reader errs least on the second.
"""

import functools
from pathlib import Path

from ml_collections import ConfigDict

from deepseq.lab import rules
from deepseq.lab.jobs import Job
from experiments.zip_codes.figures import draw
from experiments.zip_codes.nets import DATA, NETS
from experiments.zip_codes.summary import summarize
from experiments.zip_codes.training import Trainer

__all__ = ["draw", "plan", "summarize"]


def plan(config: ConfigDict, workdir: Path) -> list[Job]:
    """One training for each net and seed, net by net; UsageError for a config that cannot be.

    A net's first job raises DataError where its images are not there.
    """
    del workdir
    check(config)
    # images are read, and programs compiled, once for all seeds of a net
    trainer = functools.lru_cache(maxsize=1)(lambda net: Trainer(config, net))
    return [
        Job(
            {"net": net, "seed": seed}, lambda s: trainer(s.tag["net"]).train(s), config[net].passes
        )
        for net in NETS
        for seed in config.seeds
    ]


def check(config: ConfigDict) -> None:
    """UsageError for the first key of the config that cannot be used."""
    for net in NETS:
        rules.choose(config, DATA[net], f"{net}.data")
        rules.check(
            config,
            rules.at_least(1, f"{net}.passes"),
            rules.between(1, 1000, f"{net}.batch_size"),
            rules.above(0, f"{net}.rate"),
            rules.that(f"{net}.threshold", 0 < config[net].threshold < 100, "between 0 and 100"),
        )
    positive = min(config.probe.penalties, default=0) > 0
    rules.check(config, rules.that("probe.penalties", positive, "one or more numbers above 0"))
