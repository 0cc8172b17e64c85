"""Does a convolutional net read zip codes, and do its maps make reading easier?

LeCun and others (1989) cut zip codes from envelopes and trained a net of 9760 weights, whose units
look at small patches and share their weights, to say which digit each image shows. Of 2007 new
digits it took 102 for another. LeNet-5 (1998) is its larger successor. Both are trained here as
they were printed, but for the optimiser; their errors are counted after every pass.

A convolutional net is said to extract features and then to decide. So a linear reader is fitted, in
closed form, to the pixels, to the last maps of the trained net, and to those of the same net before
training: if training finds features, the reader errs least on the second."""

from pathlib import Path

from ml_collections import ConfigDict

from deepseq.lab import progress
from deepseq.lab.command_line import UsageError, nearest, require
from deepseq.train import log
from deepseq.train.loop import interruption
from experiments.zip_codes.figures import draw as draw
from experiments.zip_codes.nets import DATA, NETS, problem
from experiments.zip_codes.summary import summarize as summarize
from experiments.zip_codes.training import train


def run(config: ConfigDict, workdir: Path) -> None:
    """Trains both nets from every seed and logs to ``workdir``/metrics.jsonl; what is logged is not
    trained again.

    Raises:
      UsageError: numbers of the config that do not fit together. DataError: images that are not
        there. Interrupted, OSError.
    """
    check(config)
    metrics = workdir / "metrics.jsonl"
    done = {(record["net"], record["seed"]) for record in log.read(metrics)}
    plan = [(net, seed) for net in NETS for seed in config.seeds]
    with interruption() as stopping, progress.bar(len(plan)) as tick:
        for net in NETS:
            missing = [seed for seed in config.seeds if (net, seed) not in done]
            given = (
                problem(config, net) if missing else None
            )  # read once, and before anything is trained
            for seed in missing:
                tick(plan.index((net, seed)), f"{net}, seed {seed}")
                tag = {"net": net, "seed": seed}
                log.write(metrics, {**tag, **train(config, given, tag, stopping)})
        tick(len(plan), "done")


def check(config: ConfigDict) -> None:
    """UsageError for the first key of the config that cannot be used."""
    seeds, least_one = config.seeds, "at least 1"
    rules = [
        (
            "seeds",
            len(set(seeds)) == len(seeds) and min(seeds, default=-1) >= 0,
            "different integers of at least 0",
        )
    ]
    for net in NETS:
        own = config[net]
        if own.data not in DATA[net]:
            near = nearest(own.data, DATA[net]) or f"; take one of {', '.join(DATA[net])}"
            raise UsageError(f"--config.{net}.data={own.data} does not exist{near}")
        rules += [
            (f"{net}.passes", own.passes >= 1, least_one),
            (f"{net}.batch_size", 1 <= own.batch_size <= 1000, "from 1 to 1000"),
            (f"{net}.rate", own.rate > 0, "above 0"),
            (f"{net}.threshold", 0 < own.threshold < 100, "between 0 and 100"),
        ]
    penalties = config.probe.penalties
    require(
        config,
        [*rules, ("probe.penalties", len(penalties) > 0 and min(penalties) > 0, "numbers above 0")],
    )
