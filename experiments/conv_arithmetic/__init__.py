"""What can be counted of a convolution, and of the nets from AlexNet to DenseNet?

Sizes, parameters, multiply-adds, receptive fields and depths are read off the nets themselves,
without allocating them: each is built by its constructor and its program walked through. The
numbers of the notes stand beside them, slips included.

What holds of weights whatever they are (a convolution of 1x1 is a dense layer at every pixel, two
towers do not see each other, concatenation keeps what addition mixes) is tried on random ones,
drawn as whole numbers where that makes sums exact.
"""

import functools
from pathlib import Path

from ml_collections import ConfigDict

from deepseq.lab import rules
from deepseq.lab.jobs import Job, Session
from experiments.conv_arithmetic.figures import draw
from experiments.conv_arithmetic.records import TABLES, WEIGHTS
from experiments.conv_arithmetic.summary import summarize

__all__ = ["draw", "plan", "summarize"]


def plan(config: ConfigDict, workdir: Path) -> list[Job]:
    """One job for each table and for all that is tried on a seed's weights.

    Raises:
      UsageError: a config that cannot be; the jobs raise DataError where there is no picture.
    """
    del workdir
    check(config)
    work = functools.partial(measure, config)
    tables = [Job({"part": part, "seed": None}, work) for part in TABLES]
    tried = [Job({"part": part, "seed": seed}, work) for seed in config.seeds for part in WEIGHTS]
    return tables + tried


def measure(config: ConfigDict, session: Session) -> dict:
    """One part, of a seed where it needs one."""
    part, seed = session.tag["part"], session.seed
    return {"found": TABLES[part](config) if seed is None else WEIGHTS[part](config, seed)}


def check(config: ConfigDict) -> None:
    """UsageError for the first key of the config that cannot be used."""
    sizes, pixels = config.sizes, config.weights.pixels
    rules.check(
        config,
        rules.at_least(7, "sizes.largest"),
        rules.distinct("sizes.kernels", "sizes.strides", least=1),
        rules.distinct("sizes.paddings", least=0),
        rules.that("sizes.kernels", 3 in sizes.kernels, "numbers with 3 among them"),
        rules.that("sizes.strides", {1, 2} <= {*sizes.strides}, "numbers with 1 and 2 among them"),
        rules.that("sizes.paddings", 0 in sizes.paddings, "numbers with 0 among them"),
        rules.between(1, 40, "picture.every"),
        rules.above(0, "picture.tolerance"),
        rules.that("weights.pixels", pixels >= 8 and pixels % 4 == 0, "a multiple of 4 from 8 on"),
        rules.at_least(1, "weights.width"),
        rules.at_least(2, "weights.batch"),
    )
