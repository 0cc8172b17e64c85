"""What can be counted of a convolution, and of the nets from AlexNet to DenseNet?

Sizes, parameters, multiply-adds, receptive fields and depths are read off the nets themselves,
without allocating them: each is built by its constructor and its program walked through. The
numbers of the notes stand beside them, slips included.

What holds of weights whatever they are (a convolution of 1x1 is a dense layer at every pixel, two
towers do not see each other, concatenation keeps what addition mixes) is tried on random ones,
drawn as whole numbers where that makes sums exact."""

from pathlib import Path

from ml_collections import ConfigDict

from deepseq.lab import progress
from deepseq.lab.command_line import require
from deepseq.train import log
from deepseq.train.loop import Interrupted, interruption
from experiments.conv_arithmetic import blocks, filters, nets, sizes, weights
from experiments.conv_arithmetic.figures import draw as draw
from experiments.conv_arithmetic.summary import summarize as summarize

TABLES = {  # the same whatever the seed
    "sizes": sizes.sizes,
    "counts": sizes.counts,
    "filters": filters.measure,
    "nets": nets.measure,
    "alexnet": nets.alexnet_rows,
    "inception": blocks.inceptions,
    "bottlenecks": blocks.bottlenecks,
    "stages": blocks.stages,
    "growth": blocks.growth,
    "order": blocks.order,
}
WEIGHTS = {
    "pixels": weights.pixels,
    "fields": weights.fields,
    "towers": weights.towers,
    "additions": weights.additions,
    "slices": weights.slices,
}


def run(config: ConfigDict, workdir: Path) -> None:
    """Measures every table, and what needs weights from every seed, to ``workdir``/metrics.jsonl;
    what is logged stays.

    Raises:
      UsageError: numbers of the config that do not fit together. DataError: no picture.
        Interrupted, OSError.
    """
    check(config)
    metrics = workdir / "metrics.jsonl"
    done = {(record["part"], record["seed"]) for record in log.read(metrics)}
    plan = [(part, None) for part in TABLES] + [
        (part, seed) for seed in config.seeds for part in WEIGHTS
    ]
    with interruption() as stopping, progress.bar(len(plan)) as tick:
        for number, (part, seed) in enumerate(plan):
            tick(number, part if seed is None else f"{part}, seed {seed}")
            if (part, seed) in done:
                continue
            if stopping():
                raise Interrupted(0, {"part": part, "seed": seed})
            found = TABLES[part](config) if seed is None else WEIGHTS[part](config, seed)
            log.write(metrics, {"part": part, "seed": seed, "found": found})
        tick(len(plan), "done")


def check(config: ConfigDict) -> None:
    """UsageError for the first key of the config that cannot be used."""
    seeds, own, drawn = config.seeds, config.sizes, config.weights
    different = "different integers of at least"
    require(
        config,
        [
            ("seeds", _different(seeds, 0), f"{different} 0"),
            ("sizes.largest", own.largest >= 7, "at least 7"),
            (
                "sizes.kernels",
                _different(own.kernels, 1) and 3 in own.kernels,
                f"{different} 1, 3 among them",
            ),
            (
                "sizes.strides",
                _different(own.strides, 1) and {1, 2} <= set(own.strides),
                f"{different} 1, 1 and 2 among them",
            ),
            (
                "sizes.paddings",
                _different(own.paddings, 0) and 0 in own.paddings,
                f"{different} 0, 0 among them",
            ),
            ("picture.every", 1 <= config.picture.every <= 40, "from 1 to 40"),
            ("picture.tolerance", config.picture.tolerance > 0, "above 0"),
            (
                "weights.pixels",
                drawn.pixels >= 8 and drawn.pixels % 4 == 0,
                "at least 8, a multiple of 4",
            ),
            ("weights.width", drawn.width >= 1, "at least 1"),
            ("weights.batch", drawn.batch >= 2, "at least 2"),
        ],
    )


def _different(numbers, least: int) -> bool:
    return len(set(numbers)) == len(numbers) and min(numbers, default=-1) >= least
