"""Which of vector and sequence goes in, which comes out, and does each of the four ways work?

A vector becomes a sequence (a digit's image is written as its word), a sequence a vector (are there
an odd number of ones?), a sequence a vector that becomes a sequence (say it backwards), and a
sequence step by step another one (tag every symbol). Each is a real task with a threshold, on
held-out images or on sequences drawn anew, and a writer is given nothing but its own words.

Every tag depends on a symbol that is still to come, and what came so far says nothing about it: the
best that a net reading one way can do is known exactly, 1 over the number of symbols. A net that
reads both ways has the answer in front of it."""

import functools
from pathlib import Path

from ml_collections import ConfigDict

from deepseq.lab import progress
from deepseq.lab.command_line import require
from deepseq.train import log
from deepseq.train.loop import interruption
from experiments.sequence_modes.figures import draw as draw
from experiments.sequence_modes.records import NETS
from experiments.sequence_modes.summary import summarize as summarize
from experiments.sequence_modes.tasks import TASKS
from experiments.sequence_modes.training import programs, train


def run(config: ConfigDict, workdir: Path) -> None:
    """Trains every net from every seed and logs to ``workdir``/metrics.jsonl; what is logged is not
    trained again.

    Raises:
      UsageError: numbers of the config that do not fit together. Interrupted, OSError.
    """
    check(config)
    metrics = workdir / "metrics.jsonl"
    done = {(record["net"], record["seed"]) for record in log.read(metrics)}
    get = functools.cache(
        lambda net: programs(config, TASKS[net](config))
    )  # one compilation for all seeds
    plan = [(net, seed) for seed in config.seeds for net in NETS]
    with interruption() as stopping, progress.bar(len(plan)) as tick:
        for number, (net, seed) in enumerate(plan):
            tick(number, f"{net}, seed {seed}")
            if (net, seed) not in done:
                log.write(
                    metrics,
                    {
                        "net": net,
                        "seed": seed,
                        **train(config, get(net), {"net": net, "seed": seed}, stopping),
                    },
                )
        tick(len(plan), "done")


def check(config: ConfigDict) -> None:
    """UsageError for the first key of the config that cannot be used."""
    seeds, least_one = config.seeds, "at least 1"
    rules = [
        (
            "seeds",
            len(set(seeds)) == len(seeds) and min(seeds, default=-1) >= 0,
            "different integers of at least 0",
        ),
        ("batch_size", config.batch_size >= 1, least_one),
        ("clip", config.clip > 0, "above 0"),
        ("test", config.test >= 4, "at least 4"),
        (
            "final",
            config.final >= 1 and config.final % max(config.test, 1) == 0,
            f"a multiple of test={config.test}",
        ),
    ]
    for name in ("image", "parity", "reversal", "tagging"):
        own = config[name]
        rules += [
            (f"{name}.embedding", own.embedding >= 1, least_one),
            (f"{name}.hidden", own.hidden >= 1, least_one),
            (f"{name}.every", own.every >= 1, least_one),
            (
                f"{name}.updates",
                own.updates >= 1 and own.updates % max(own.every, 1) == 0,
                f"a multiple of {name}.every={own.every}",
            ),
            (f"{name}.rate", own.rate > 0, "above 0"),
            (f"{name}.threshold", 0 < own.threshold < 1, "between 0 and 1"),
        ]
    own = config.tagging
    require(
        config,
        [
            *rules,
            ("image.channels", config.image.channels >= 1, least_one),
            ("image.shift", 0 <= config.image.shift <= 8, "from 0 to 8, the size of the images"),
            ("parity.longest", config.parity.longest >= 2, "at least 2"),
            ("parity.mastered", 0 < config.parity.mastered < 1, "between 0 and 1"),
            ("reversal.longest", config.reversal.longest >= 1, least_one),
            ("reversal.symbols", config.reversal.symbols >= 2, "at least 2"),
            ("tagging.ahead", own.ahead >= 1, least_one),
            ("tagging.steps", own.steps > own.ahead, f"above tagging.ahead={own.ahead}"),
            ("tagging.symbols", own.symbols >= 2, "at least 2"),
            ("tagging.hidden", own.hidden % 2 == 0, "even: one half reads in each direction"),
            ("tagging.whole", 0 < own.whole < 1, "between 0 and 1"),
            ("tagging.margin", own.margin > 0, "above 0"),
        ],
    )
