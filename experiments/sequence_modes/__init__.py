"""Which of vector and sequence goes in, which comes out, and does each of the four ways work?

A vector becomes a sequence (a digit's image is written as its word), a sequence a vector (are there
an odd number of ones?), a sequence a vector that becomes a sequence (say it backwards), and a
sequence step by step another one (tag every symbol). Each is a real task with a threshold, on
held-out images or on sequences drawn anew, and a writer is given nothing but its own words.

Every tag depends on a symbol that is still to come, and what came so far says nothing about it: the
best that a net reading one way can do is known exactly, 1 over the number of symbols. A net that
reads both ways has the answer in front of it.
"""

import functools
from pathlib import Path

from ml_collections import ConfigDict

from deepseq.lab import rules
from deepseq.lab.jobs import Job, Session
from experiments.sequence_modes.figures import draw
from experiments.sequence_modes.records import NETS
from experiments.sequence_modes.summary import summarize
from experiments.sequence_modes.tasks import TASKS
from experiments.sequence_modes.training import Trainer

__all__ = ["draw", "plan", "summarize"]


def plan(config: ConfigDict, workdir: Path) -> list[Job]:
    """A training for each seed and net; UsageError for a config whose numbers do not fit."""
    del workdir
    check(config)
    trainer_of = functools.cache(lambda net: Trainer(config, TASKS[net](config)))

    def train(session: Session) -> dict:
        return trainer_of(session.tag["net"]).train(session)

    return [Job({"net": net, "seed": seed}, train) for seed in config.seeds for net in NETS]


def check(config: ConfigDict) -> None:
    """UsageError for the first key of the config that cannot be used."""
    groups, tagging = ("image", "parity", "reversal", "tagging"), config.tagging
    sizes = [f"{group}.{size}" for group in groups for size in ("embedding", "hidden", "every")]
    rules.check(
        config,
        rules.at_least(1, "batch_size", "image.channels", "reversal.longest", "tagging.ahead"),
        rules.at_least(1, *sizes),
        rules.above(0, "clip", "tagging.margin", *(f"{group}.rate" for group in groups)),
        rules.at_least(4, "test"),
        rules.multiple("final", of="test"),
        *(rules.multiple(f"{group}.updates", of=f"{group}.every") for group in groups),
        rules.share(*(f"{group}.threshold" for group in groups)),
        rules.share("parity.mastered", "tagging.whole"),
        rules.between(0, 8, "image.shift"),  # the size of the images
        rules.at_least(2, "parity.longest", "reversal.symbols", "tagging.symbols"),
        rules.less("tagging.ahead", than="tagging.steps"),
        # one half reads in each direction
        rules.that("tagging.hidden", tagging.hidden % 2 == 0, "even"),
    )
