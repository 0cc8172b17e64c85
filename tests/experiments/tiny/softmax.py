"""Does a linear classifier learn the digits?

A study that trains in a second, for the tests of the command.
"""

import functools
import os
import time

import jax
import jax.numpy as jnp
from matplotlib.figure import Figure

from deepseq.data import digits
from deepseq.lab.jobs import Job
from deepseq.lab.plots import Drawing
from deepseq.lab.verdicts import About, exact
from deepseq.train import step as training
from deepseq.train.augment import normalise
from deepseq.train.optimizers import sgd
from deepseq.train.order import batches


def plan(config, workdir):
    if config.bug:
        raise RuntimeError("a bug in the study")
    data = digits.load(config.data.validation)
    optimizer = sgd(config.train.rate, momentum=0.9)
    net = (
        lambda key: {"w": jnp.zeros((64, 10))},
        lambda p, x, **_: (x.reshape(len(x), 64) @ p["w"], ()),
    )
    step = training.train_step(
        net[1], optimizer, prepare=lambda key, x: normalise(x, data.scale, data.mean)
    )
    programs = training.jit_step(step), training.init_state(*net, optimizer, (8, 8, 1))
    train = functools.partial(_train, config, data, *programs)
    return [Job({"seed": seed}, train, config.train.steps) for seed in config.seeds]


def _train(config, data, step, init_state, session):
    key = jax.random.key(session.seed)
    get = batches(*data.train, key, 100)

    def paused(t):
        pause = float(os.environ.get("TINY_PAUSE", 0)) if t == 14 else 0
        if pause:
            print("training", flush=True)
        until = time.monotonic() + pause
        while time.monotonic() < until and not session.stopping():
            time.sleep(0.02)
        return get(t)

    steps = {"steps": config.train.steps, "every": 5, "save_every": 10}
    session.fit(step, init_state(key), paused, **steps)
    return {}


def summarize(config, records):
    ends = [r for r in records if r["step"] == config.train.steps and "final" not in r]
    last = [record["loss"] for record in ends]
    about = About("C-1", "it learns", "loss", "a test", "below log 10")
    claim = exact(about, True, len(last), criterion="below log 10", measured={"loss": last[0]})
    metrics = {"loss": last, "not_computed": float("nan")}
    return {"metrics": metrics, "claims": [claim], "comparison": [], "deviations": []}


def draw(config, records):
    figure = Figure()
    points = [record for record in records if "final" not in record]
    axes = figure.subplots()
    axes.plot([record["step"] for record in points], [record["loss"] for record in points])
    return {"figure": Drawing(figure, "Loss of a linear classifier.")}
