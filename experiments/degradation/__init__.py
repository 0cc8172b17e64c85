"""Does a deeper plain net train worse, and do residual connections cure it?

He, Zhang, Ren and Sun (2015) stacked more layers onto a plain convolutional net and saw its
training error rise. A deeper net contains the shallower one (let the extra layers be the identity),
so this "degradation" is not overfitting: it is a failure to optimise. Adding each block's input to
its output removes it, without a single extra parameter.

Four nets are trained alike, shallow and deep, plain and residual. Plain nets and their residual
twins have the same number of parameters and, for one seed, start from the same weights and see the
same batches, so every difference is paired. The test images choose nothing: they are only measured.
"""

import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from ml_collections import ConfigDict

from deepseq.data import cifar10, digits
from deepseq.data.source import Splits
from deepseq.lab import progress
from deepseq.lab.command_line import UsageError, choose, require
from deepseq.nets.blocks.layers import Net
from deepseq.nets.images import resnet
from deepseq.train import log
from deepseq.train.augment import normalise, pad_crop_flip
from deepseq.train.checkpoints import Checkpoints
from deepseq.train.devices import data_parallel
from deepseq.train.loop import fit, interruption
from deepseq.train.optimizers import sgd, step_decay
from deepseq.train.order import batches
from deepseq.train.step import TrainState, evaluate, initial_state, train_step
from experiments.degradation import measures
from experiments.degradation.figures import draw as draw
from experiments.degradation.summary import summarize as summarize

READERS = {"digits": digits.load, "cifar10": cifar10.load}
FLIPPED = ("cifar10",)  # a mirrored truck is a truck, a mirrored digit is none


class Course(NamedTuple):
    """All that is compiled for one net, whatever the seed."""

    initial: Callable[[Array], TrainState]
    step: Callable
    observe: Callable[[TrainState], dict]  # what each point of the curves records
    conclude: Callable[[TrainState], dict]  # what is measured after the last step


def run(config: ConfigDict, workdir: Path) -> None:
    """Trains every net from every seed and logs to ``workdir``/metrics.jsonl; continues where an
    earlier run stopped.

    Raises:
      UsageError: the config names a net or a data set that does not exist, or numbers that do not
        fit together.
      DataError: the data set cannot be read. Diverged, Interrupted, OSError: as ``fit`` says.
    """
    nets = build(config)
    metrics = workdir / "metrics.jsonl"
    runs = [(name, seed) for seed in config.seeds for name in nets]
    finished = {
        (record["net"], record["seed"]) for record in log.read(metrics) if record.get("final")
    }
    if finished.issuperset(runs):
        return
    data = read_data(config)
    courses = {name: course(config, data, name, net) for name, net in nets.items()}
    cost = {
        name: int(name.split("-")[1]) * config.train.steps for name in nets
    }  # a step takes as long as the net is deep
    done = 0
    with interruption() as stopping, progress.bar(sum(cost[name] for name, _ in runs)) as tick:
        for name, seed in runs:
            report = functools.partial(
                _report, tick, f"{name}, seed {seed}", done, cost[name] / config.train.steps
            )
            done += cost[name]
            if (name, seed) in finished:
                report(config.train.steps)
                continue
            with Checkpoints(workdir / "checkpoints" / f"{name}-{seed}") as checkpoints:
                _train(
                    config,
                    courses[name],
                    data,
                    metrics,
                    {"net": name, "seed": seed},
                    checkpoints,
                    report,
                    stopping,
                )


def build(config: ConfigDict) -> Mapping[str, Net]:
    """The four nets by name: plain-20, plain-56, resnet-20, resnet-56 (or the config's depths);
    UsageError if not to be had.
    """
    choose("data.name", config.data.name, tuple(READERS))
    choose("net.shortcut", config.net.shortcut, ("A", "B", "C"))
    _check_numbers(config)
    sizes = {"width": config.net.width, "in_channels": 3 if config.data.name == "cifar10" else 1}
    try:
        return {
            f"{kind}-{depth}": resnet.cifar(depth, kind == "resnet", config.net.shortcut, **sizes)
            for kind in ("plain", "resnet")
            for depth in (config.net.shallow, config.net.deep)
        }
    except ValueError as error:
        raise UsageError(f"{error} (--config.net)") from error


def _check_numbers(config: ConfigDict) -> None:
    train, measure = config.train, config.measure
    seeds = config.seeds
    rules = [
        (
            "net.shallow",
            config.net.shallow < config.net.deep,
            f"less than net.deep={config.net.deep}",
        ),
        (
            "seeds",
            len(set(seeds)) == len(seeds) and min(seeds, default=-1) >= 0,
            "different integers of at least 0",
        ),
        ("train.steps", train.steps >= 1, "at least 1"),
        ("train.learning_rate", train.learning_rate > 0, "above 0"),
        ("train.momentum", 0 <= train.momentum < 1, "from 0 to below 1"),
        ("train.bn_momentum", 0 <= train.bn_momentum < 1, "from 0 to below 1"),
        ("train.decay", train.decay >= 0, "at least 0"),
        ("measure.every", measure.every >= 1, "at least 1"),
    ]
    for name in ("inside_every", "save_every"):
        fits = measure.every >= 1 and measure[name] >= 1 and measure[name] % measure.every == 0
        rules.append(
            (f"measure.{name}", fits, f"a positive multiple of measure.every={measure.every}")
        )
    require(config, rules)


def read_data(config: ConfigDict) -> Splits:
    """The config's data set; UsageError where a batch would hold more images than there are."""
    data = READERS[config.data.name](validation=config.data.validation)
    count = len(data.train.labels)
    if not 1 <= config.train.batch_size <= count:
        raise UsageError(
            f"--config.train.batch_size={config.train.batch_size} must be from 1 to {count}, the"
            " images there are"
        )
    return data


def course(config: ConfigDict, data: Splits, name: str, net: Net) -> Course:
    """The training of one net and what is measured on the way."""
    train, steps = config.train, config.train.steps
    residual, depth = name.startswith("resnet"), int(name.split("-")[1])

    def prepare(key, pixels):
        images = normalise(pixels, data.scale, data.mean)
        return (
            pad_crop_flip(key, images)
            if config.data.augment and config.data.name in FLIPPED
            else images
        )

    try:
        warmup = {"warmup_steps": train.warmup_steps, "warmup_rate": train.warmup_rate}
        schedule = step_decay(train.learning_rate, steps, drops=train.drops, **warmup)
    except ValueError as error:
        raise UsageError(f"{error} (--config.train)") from error
    optimizer = sgd(schedule, momentum=train.momentum, decay=train.decay)
    score = evaluate(net.apply, prepare=prepare, batch_size=train.batch_size)
    images = prepare(
        None, jnp.asarray(data.train.pixels[: train.batch_size])
    )  # looked at inside, the same every time
    labels = jnp.asarray(data.train.labels[: train.batch_size])
    inside = jax.jit(functools.partial(measures.inside, net, images=images, labels=labels))
    without_bn = jax.jit(
        functools.partial(measures.gradients_without_bn, net, images=images, labels=labels)
    )
    identities = jax.jit(functools.partial(measures.identities, net, images=images, labels=labels))

    def observe(state: TrainState) -> dict:
        step, record = int(state.step), {}
        if step:
            record["test"] = score(state.params, state.running, *data.test)
        if step and len(data.validation.labels):
            record["validation"] = score(state.params, state.running, *data.validation)
        if step % config.measure.inside_every == 0 or step == steps:
            record["inside"] = jax.device_get(inside(state.params))
        if step == 0 and not residual:
            record["without_bn"] = jax.device_get(without_bn(state.params, state.running))
        return record

    def conclude(state: TrainState) -> dict:
        record = {"train": score(state.params, state.running, *data.train)}
        record["parameters"] = sum(leaf.size for leaf in jax.tree.leaves(state.params))
        if residual:
            silent = measures.silenced(net, state.params, images, labels)
            record["identities"] = jax.device_get(identities(state.params) | {"silent": silent})
        elif depth == config.net.shallow:
            deeper = measures.deepen(state.params, state.running, (config.net.deep - 2) // 6)
            record["deepened"] = score(*deeper, *data.train)
        return record

    step = train_step(net.apply, optimizer, prepare=prepare, momentum=train.bn_momentum)
    return Course(
        initial_state(net.init, net.apply, optimizer, images.shape[1:]),
        data_parallel(step),
        observe,
        conclude,
    )


def _train(config, course: Course, data, metrics, tag, checkpoints, report, stopping) -> None:
    """One net from one seed: the look before the first step, the training, the measurements after
    the last.
    """
    init_key, batch_key = jax.random.split(jax.random.key(tag["seed"]))
    state = course.initial(init_key)
    if not any(record["step"] == 0 for record in log.read(metrics) if log.matches(record, tag)):
        log.write(metrics, {**tag, "step": 0, **course.observe(state)})
    state = fit(
        course.step,
        state,
        batches(*data.train, batch_key, config.train.batch_size),
        steps=config.train.steps,
        every=config.measure.every,
        save_every=config.measure.save_every,
        log=metrics,
        tag=tag,
        checkpoints=checkpoints,
        observe=course.observe,
        tick=report,
        stopping=stopping,
    )
    log.write(metrics, {**tag, "step": config.train.steps, "final": True, **course.conclude(state)})


def _report(
    tick: progress.Tick, label: str, before: float, cost_per_step: float, step: int
) -> None:
    tick(before + step * cost_per_step, label)
