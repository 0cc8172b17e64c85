"""Does a net that may look back lose less with length than one that must remember, and does it look
at the right place?

Two tasks, symbols to be said backwards and dates to be written anew, and four nets of about as many
parameters: an LSTM that reads and another that writes from its last state alone; the same, given
its source backwards; an RNN that attends to all of the source; and the Transformer, which does
nothing else. All are taught with the same batches, and tested by what they write themselves, on
lengths of a sequence, or days, that no net was taught with. Narrower vectors are tried on the first
task."""

import functools
import itertools
from collections.abc import Callable
from pathlib import Path

import jax
from ml_collections import ConfigDict, FrozenConfigDict

from deepseq.lab import progress
from deepseq.lab.command_line import require
from deepseq.lab.processes import results
from deepseq.train import log
from deepseq.train.loop import interruption
from experiments.alignment.figures import draw as draw
from experiments.alignment.measures import alignment, shown, slopes
from experiments.alignment.nets import arm, names, parameters
from experiments.alignment.summary import summarize as summarize
from experiments.alignment.tasks import DATE_LENGTHS, RAREST, TASKS, Task, shortened
from experiments.alignment.training import Programs, programs, test, train

ROWS = 4  # of a test, for finite differences


def run(config: ConfigDict, workdir: Path) -> None:
    """Trains every net from every seed and logs to ``workdir``/metrics.jsonl; what is logged is not
    trained again.

    Raises:
      UsageError: numbers of the config that do not fit together. Interrupted, OSError.
    """
    check(config)
    config = FrozenConfigDict(config)
    metrics = workdir / "metrics.jsonl"
    done = {(record["task"], record["net"], record["seed"]) for record in log.read(metrics)}
    plan = [
        (task, net, seed) for seed in config.seeds for task in TASKS for net in names(config, task)
    ]
    missing = [(config, *key) for key in plan if key not in done]
    with interruption() as stopping, progress.bar(len(plan)) as tick:
        found = results(train_one, missing, config.together, stopping)
        for number, (task, net, seed) in enumerate(plan):
            tick(number, f"{task}, {net}, seed {seed}")
            if (task, net, seed) not in done:
                log.write(metrics, next(found))
        tick(len(plan), "done")


def train_one(
    config: FrozenConfigDict, task: str, net: str, seed: int, stopping: Callable[[], bool]
) -> dict:
    """The record of one net on one task from one seed; Interrupted where ``stopping`` said so."""
    tag = {"task": task, "net": net, "seed": seed}
    given = _task(config, task, seed)
    return tag | measured(
        config, _programs(config, task, net, given.vocabulary), given, tag, stopping
    )


@functools.lru_cache(maxsize=len(TASKS))  # all nets of a seed are given the same
def _task(config: FrozenConfigDict, task: str, seed: int) -> Task:
    return TASKS[task](config, seed)


@functools.cache  # one compilation for all seeds
def _programs(config: FrozenConfigDict, task: str, net: str, vocabulary: int) -> Programs:
    return programs(config, task, arm(config, net, vocabulary))


def measured(
    config: ConfigDict, own: Programs, task: Task, tag: dict, stopping: Callable[[], bool]
) -> dict:
    """A net's training and all that is asked of it, without its tag; Interrupted where ``stopping``
    said so.
    """
    params, record = train(config, own, task, tag, stopping)
    record |= {"parameters": parameters(own.arm.net)} | test(own, params, task.tests)
    if own.look is None:
        return record
    backwards, length = tag["task"] == "reversal", config[tag["task"]].shown
    record["alignment"] = alignment(own, params, task.tests, backwards=backwards)
    record["shown"] = shown(own, params, task.tests[length], length)
    if backwards:
        begin, (few, batch) = (
            own.start(jax.random.key(tag["seed"])).params,
            next(iter(task.tests.items())),
        )
        record["start"] = alignment(own, begin, task.tests, backwards=True)
        record["slope"] = slopes(own, begin, shortened(batch, ROWS, few), tag["seed"])
    return record


def check(config: ConfigDict) -> None:
    """UsageError for the first key of the config that cannot be used."""
    least_one, own = "at least 1", config.reversal
    rooms, tested = (
        tuple(own.rooms),
        range(own.held_out, max(own.rooms, default=0) + 1, max(own.held_out, 1)),
    )
    trained = (
        any(n % max(own.held_out, 1) for n in range(a + 1, b + 1))
        for a, b in itertools.pairwise((0, *rooms))
    )
    rules = [
        *((name, config[name] >= 1, least_one) for name in ("together", "batch_size", "every")),
        ("warmup", config.warmup >= 0, "at least 0"),
        ("clip", config.clip > 0, "above 0"),
        (
            "test",
            ROWS <= config.test <= RAREST,
            f"from {ROWS} to {RAREST}, all held-out dates of a length that can be had",
        ),
        ("reversal.held_out", own.held_out >= 2, "at least 2: the lengths between are trained on"),
        (
            "reversal.rooms",
            rooms == tuple(sorted(set(rooms)))
            and min(rooms, default=0) >= 1
            and len(tested) >= 2
            and all(trained),
            (
                f"growing integers, the last at least twice reversal.held_out={own.held_out}, each"
                " with a length to train on that the one before has not"
            ),
        ),
        ("reversal.symbols", own.symbols >= 2, "at least 2"),
        (
            "reversal.shown",
            own.shown in tested,
            f"a length that is tested, one of {', '.join(map(str, tested))}",
        ),
        ("dates.pairs", 1 <= config.dates.pairs <= 1_000_000, "from 1 to 1000000"),
        (
            "dates.shown",
            config.dates.shown in DATE_LENGTHS,
            f"one of {', '.join(map(str, DATE_LENGTHS))}",
        ),
    ]
    for name in TASKS:
        group = config[name]
        rules += [
            (f"{name}.growing", group.growing >= 0, "at least 0"),
            (
                f"{name}.updates",
                group.updates > config.warmup and group.updates % max(config.every, 1) == 0,
                f"a multiple of every={config.every}, more than warmup={config.warmup}",
            ),
        ]
    sizes = {
        "fixed": ("embedding", "hidden"),
        "attentive": ("embedding", "hidden", "alignment"),
        "transformer": ("layers", "size", "heads", "feed_forward"),
    }
    for name, keys in sizes.items():
        rules += [(f"{name}.{key}", config[name][key] >= 1, least_one) for key in keys]
        rules.append((f"{name}.rate", config[name].rate > 0, "above 0"))
    widths = tuple(config.fixed.widths)
    rules += [
        (
            "fixed.widths",
            len(set(widths)) == len(widths) >= 1
            and 1 <= min(widths)
            and max(widths) < config.fixed.hidden,
            f"different integers from 1 to below fixed.hidden={config.fixed.hidden}",
        ),
        (
            "transformer.heads",
            config.transformer.size % max(config.transformer.heads, 1) == 0,
            f"a divisor of transformer.size={config.transformer.size}",
        ),
        ("limits.mass", 0 < config.limits.mass < 1, "between 0 and 1"),
        ("limits.sum", config.limits.sum > 0, "above 0"),
        ("limits.slope", config.limits.slope > 0, "above 0"),
    ]
    require(config, rules)
