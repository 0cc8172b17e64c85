"""What can attention tell apart, what does a mask hide, what is the square root for, and what does
it cost?

Attention (Vaswani et al. 2017) answers every query with a mean of values, weighted by how well
their keys fit. Most of what is said about it is algebra, and measured here on random weights:
Jacobians say who can influence whom, permutations say whether order is seen, shapes and counts say
what heads are. Positions are what makes a set a sequence: one layer is trained, with and without
them, to say which of two symbols comes first.

The cost in n is read off the compiled programs (temporary memory, operations, the longest chain of
operations that must wait for one another) and timed, beside a recurrent net, which takes n steps
one after the other."""

from pathlib import Path

from ml_collections import ConfigDict

from deepseq.lab import progress
from deepseq.lab.command_line import require
from deepseq.train import log
from deepseq.train.loop import Interrupted, interruption
from experiments.what_attention_is import algebra, cost, order
from experiments.what_attention_is.figures import draw as draw
from experiments.what_attention_is.summary import summarize as summarize

PARTS = {
    "algebra": algebra.measure,
    "scores": algebra.scores,
    "order": order.measure,
    "blindness": order.blindness,
    "cost": lambda config, seed: cost.measure(config),
}


def run(config: ConfigDict, workdir: Path) -> None:
    """Measures every part from every seed and logs to ``workdir``/metrics.jsonl; what is logged is
    not measured again.

    Raises:
      UsageError: numbers of the config that do not fit together. Interrupted, OSError.
    """
    check(config)
    metrics = workdir / "metrics.jsonl"
    done = {(record["part"], record["seed"]) for record in log.read(metrics)}
    plan = [(part, seed) for seed in config.seeds for part in PARTS]
    with interruption() as stopping, progress.bar(len(plan)) as tick:
        for number, (part, seed) in enumerate(plan):
            tick(number, f"{part}, seed {seed}")
            if (part, seed) in done:
                continue
            if stopping():
                raise Interrupted(0, {"part": part, "seed": seed})
            log.write(metrics, {"part": part, "seed": seed, "found": PARTS[part](config, seed)})
        tick(len(plan), "done")


def check(config: ConfigDict) -> None:
    """UsageError for the first key of the config that cannot be used."""
    seeds, exact, scores, costs, own = (
        config.seeds,
        config.algebra,
        config.scores,
        config.cost,
        config.order,
    )
    increasing = "increasing, at least two, from 1 on"
    require(
        config,
        [
            (
                "seeds",
                len(set(seeds)) == len(seeds) and min(seeds, default=-1) >= 0,
                "different integers of at least 0",
            ),
            ("algebra.steps", exact.steps >= 4, "at least 4"),
            ("algebra.heads", exact.heads >= 1, "at least 1"),
            (
                "algebra.size",
                exact.size >= 1 and exact.size % max(exact.heads, 1) == 0,
                f"a multiple of algebra.heads={exact.heads}",
            ),
            ("scores.key_sizes", _increasing(scores.key_sizes), increasing),
            ("scores.choices", scores.choices >= 2, "at least 2"),
            ("scores.queries", scores.queries >= 2, "at least 2"),
            ("cost.lengths", _increasing(costs.lengths), increasing),
            ("cost.size", costs.size >= 1, "at least 1"),
            ("cost.timings", costs.timings >= 1, "at least 1"),
            ("order.steps", own.steps >= 4, "at least 4"),
            ("order.symbols", own.symbols >= 3, "at least 3: two to be compared, and a filler"),
            (
                "order.size",
                own.heads >= 1 and own.size >= 1 and own.size % own.heads == 0,
                f"a multiple of order.heads={own.heads}",
            ),
            ("order.updates", own.updates >= 1, "at least 1"),
            ("order.batch_size", own.batch_size >= 1, "at least 1"),
            ("order.rate", own.rate > 0, "above 0"),
            ("order.test", own.test >= 2, "at least 2"),
            ("order.margin", own.margin > 0, "above 0"),
        ],
    )


def _increasing(numbers) -> bool:
    return len(numbers) >= 2 and list(numbers) == sorted(set(numbers)) and numbers[0] >= 1
