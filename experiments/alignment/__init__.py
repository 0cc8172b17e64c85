"""Does a net that may look back lose less with length than one that must remember, and does it look
at the right place?

Two tasks, symbols to be said backwards and dates to be written anew, and four nets of about as many
parameters: an LSTM that reads and another that writes from its last state alone; the same, given
its source backwards; an RNN that attends to all of the source; and the Transformer, which does
nothing else. All are taught with the same batches, and tested by what they write themselves, on
lengths of a sequence, or days, that no net was taught with. Narrower vectors are tried on the first
task.
"""

import functools
from itertools import pairwise
from pathlib import Path

from ml_collections import ConfigDict, FrozenConfigDict

from deepseq.lab import rules
from deepseq.lab.jobs import Job
from experiments.alignment.figures import draw
from experiments.alignment.nets import names
from experiments.alignment.summary import summarize
from experiments.alignment.tasks import DATE_LENGTHS, RAREST, TASKS
from experiments.alignment.training import ROWS, train

__all__ = ["draw", "plan", "summarize"]


def plan(config: ConfigDict, workdir: Path) -> list[Job]:
    """One training for each task, net and seed; UsageError for a config that cannot be."""
    del workdir
    check(config)
    work = functools.partial(train, FrozenConfigDict(config))  # goes to other processes
    return [
        Job({"task": task, "net": net, "seed": seed}, work)
        for seed in config.seeds
        for task in TASKS
        for net in names(config, task)
    ]


def check(config: ConfigDict) -> None:
    """UsageError for the first key of the config that cannot be used."""
    nets, updates = ("fixed", "attentive", "transformer"), [f"{task}.updates" for task in TASKS]
    sizes = [f"{net}.{key}" for net in nets for key, n in config[net].items() if type(n) is int]
    rules.check(
        config,
        rules.at_least(1, "together", "batch_size", "every", *sizes),
        rules.at_least(0, "warmup", *(f"{task}.growing" for task in TASKS)),
        rules.above(0, "clip", "limits.sum", "limits.slope", *(f"{net}.rate" for net in nets)),
        rules.share("limits.mass"),
        # finite differences take so many; so many held-out dates of each length can be had
        rules.between(ROWS, RAREST, "test"),
        # the lengths between those held out are trained on
        rules.at_least(2, "reversal.held_out", "reversal.symbols"),
        rules.between(1, 1_000_000, "dates.pairs"),
        rules.multiple(*updates, of="every"),
        *(rules.less("warmup", than=key) for key in updates),
        rules.divides("transformer.heads", "transformer.size"),
        rules.distinct("fixed.widths", least=1),
        rules.less("fixed.widths", than="fixed.hidden"),
        rules.increasing("reversal.rooms", least=1),
    )
    rooms, held_out = config.reversal.rooms, config.reversal.held_out
    tested = range(held_out, rooms[-1] + 1, held_out)
    trained = [any(n % held_out for n in range(a + 1, b + 1)) for a, b in pairwise((0, *rooms))]
    rules.check(
        config,
        rules.that(
            "reversal.rooms",
            len(tested) >= 2 and all(trained),
            f"such that the last is at least twice reversal.held_out={held_out}, and each has a"
            " length to train on that the one before has not",
        ),
        rules.one_of(tested, "reversal.shown"),
        rules.one_of(DATE_LENGTHS, "dates.shown"),
    )
