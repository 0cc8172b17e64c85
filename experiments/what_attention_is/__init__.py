"""What can attention tell apart, what does a mask hide, what is the square root for, and what does
it cost?

Attention (Vaswani et al. 2017) answers every query with a mean of values, weighted by how well
their keys fit. Most of what is said about it is algebra, and measured here on random weights:
Jacobians say who can influence whom, permutations say whether order is seen, shapes and counts say
what heads are. Positions are what makes a set a sequence: one layer is trained, with and without
them, to say which of two symbols comes first.

The cost in n is read off the compiled programs (temporary memory, operations, the longest chain of
operations that must wait for one another) and timed, beside a recurrent net, which takes n steps
one after the other.
"""

from pathlib import Path

from ml_collections import ConfigDict, FrozenConfigDict

from deepseq.lab import rules
from deepseq.lab.jobs import Job, Session
from experiments.what_attention_is import algebra, cost, order
from experiments.what_attention_is.figures import draw
from experiments.what_attention_is.records import PARTS
from experiments.what_attention_is.summary import summarize

__all__ = ["draw", "plan", "summarize"]

MEASURES = {
    "algebra": algebra.measure,
    "scores": algebra.scores,
    "order": order.measure,
    "blindness": order.blindness,
    "cost": lambda config, seed: cost.measure(config),
}


def plan(config: ConfigDict, workdir: Path) -> list[Job]:
    """Every part from every seed; UsageError for a config that cannot be."""
    del workdir
    check(config)
    frozen = FrozenConfigDict(config)  # what a compiled training depends on is hashed
    tags = [{"part": part, "seed": seed} for seed in config.seeds for part in PARTS]

    def measure(session: Session) -> dict:
        return {"found": MEASURES[session.tag["part"]](frozen, session.seed)}

    return [Job(tag, measure) for tag in tags]


def check(config: ConfigDict) -> None:
    """UsageError for the first key of the config that cannot be used."""
    lists = "scores.key_sizes", "cost.lengths"
    rules.check(
        config,
        rules.at_least(4, "algebra.steps", "order.steps"),
        rules.at_least(1, "algebra.heads", "order.heads", "cost.size", "cost.timings"),
        rules.multiple("algebra.size", of="algebra.heads"),
        rules.multiple("order.size", of="order.heads"),
        rules.increasing(*lists, least=1),
        *(rules.that(key, len(rules.get(config, key)) > 1, "at least two") for key in lists),
        rules.at_least(2, "scores.choices", "scores.queries", "order.test"),
        rules.at_least(3, "order.symbols"),  # two to be compared, and a filler
        rules.at_least(1, "order.updates", "order.batch_size"),
        rules.above(0, "order.rate", "order.margin"),
    )
