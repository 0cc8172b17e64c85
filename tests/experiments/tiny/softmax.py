"""Does a linear classifier learn the digits?

A study that trains in a second, for the tests of the command.
"""

import os
import time

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt

from deepseq.data import digits
from deepseq.lab import progress
from deepseq.train import step as training
from deepseq.train.augment import normalise
from deepseq.train.checkpoints import Checkpoints
from deepseq.train.loop import fit, interruption
from deepseq.train.optimizers import sgd
from deepseq.train.order import batches


def run(config, workdir):
    data = digits.load(config.data.validation)
    if config.bug:
        raise RuntimeError("a bug in the study")
    optimizer = sgd(config.train.rate, momentum=0.9)
    net = (
        lambda key: {"w": jnp.zeros((64, 10))},
        lambda p, x, **_: (x.reshape(len(x), 64) @ p["w"], ()),
    )
    step = training.train_step(
        net[1], optimizer, prepare=lambda key, x: normalise(x, data.scale, data.mean)
    )
    step, begin = training.jit_step(step), training.init_state(*net, optimizer, (8, 8, 1))
    pause = float(os.environ.get("TINY_PAUSE", 0))
    with interruption() as stopping, progress.bar(len(config.seeds) * config.train.steps) as tick:
        for number, seed in enumerate(config.seeds):
            key = jax.random.key(seed)

            def report(done, before=number * config.train.steps, label=f"seed {seed}"):
                tick(before + done, label)
                if done == 15 and pause:
                    print("training", flush=True)
                    until = time.monotonic() + pause
                    while time.monotonic() < until and not stopping():
                        time.sleep(0.02)

            with Checkpoints(workdir / "checkpoints" / str(seed)) as checkpoints:
                fit(
                    step,
                    begin(key),
                    batches(*data.train, key, 100),
                    steps=config.train.steps,
                    every=5,
                    save_every=10,
                    log=workdir / "metrics.jsonl",
                    tag={"seed": seed},
                    checkpoints=checkpoints,
                    tick=report,
                    stopping=stopping,
                )


def summarize(config, records):
    last = [record["loss"] for record in records if record["step"] == config.train.steps]
    claim = {
        "id": "C-1",
        "claim": "it learns",
        "verdict": "holds",
        "statistic": "loss",
        "measured": {"loss": last[0]},
    }
    claim |= {"interval": None, "n": len(last), "expected": "below log 10", "source": "a test"}
    metrics = {"loss": last, "not_computed": float("nan")}
    return {"metrics": metrics, "claims": [claim], "comparison": [], "deviations": []}


def draw(config, records, summary):
    figure, axes = plt.subplots()
    figure.set_label("Loss of a linear classifier.")
    axes.plot([record["step"] for record in records], [record["loss"] for record in records])
    return {"figure": figure}
