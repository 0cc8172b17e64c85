"""A small study in its own process, for the tests that kill it: python tiny_run.py DIR [seconds of
sleep a step].
"""

import sys
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from deepseq.train import augment, loop, optimizers, order
from deepseq.train import step as training
from deepseq.train.checkpoints import Checkpoints

STEPS, EVERY, SAVE_EVERY = 90, 5, 10


def init(key):
    k1, k2 = jax.random.split(key)
    return {"w1": jax.random.normal(k1, (64, 32)) / 8, "w2": jax.random.normal(k2, (32, 10)) / 6}


def apply(params, x, *, running, key):
    h = x.reshape(x.shape[0], -1) @ params["w1"]
    moments = (h.mean(0), h.var(0)) if running is None else running
    h = jax.nn.relu((h - moments[0]) * jax.lax.rsqrt(moments[1] + 1e-5))
    if key is not None:
        h = h * jax.random.bernoulli(key, 0.9, h.shape)
    return h @ params["w2"], moments


def prepare(key, pixels):
    return augment.pad_crop_flip(
        key, augment.normalise(pixels, 1 / 255, jnp.full((8, 8, 1), 0.5)), pad=1
    )


def main(directory: Path, sleep: float) -> None:
    directory.mkdir(exist_ok=True)
    pixels = np.random.default_rng(0).integers(0, 256, (100, 8, 8, 1), np.uint8)
    labels = (pixels.reshape(100, -1).astype(int).sum(1) % 10).astype(np.int32)
    optimizer = optimizers.sgd(
        optimizers.step_decay(0.05, STEPS, warmup_steps=3), momentum=0.9, decay=1e-4
    )
    step = training.jit_step(training.train_step(apply, optimizer, prepare=prepare))
    begin = training.init_state(init, apply, optimizer, (8, 8, 1))
    mean = training.evaluate(apply, prepare=prepare, batch_size=32)

    told = []

    def tick(done):
        if len(told) == 1:
            print("training", flush=True)
        told.append(done)
        time.sleep(sleep)

    with loop.interruption() as stopping:
        for seed in range(2):
            key = jax.random.key(seed)
            with Checkpoints(directory / f"checkpoints-{seed}") as checkpoints:
                state = loop.fit(
                    step,
                    begin(key),
                    order.batches(pixels, labels, key, 32),
                    steps=STEPS,
                    every=EVERY,
                    save_every=SAVE_EVERY,
                    observe=lambda state: {
                        "whole_set": mean(state.params, state.running, pixels, labels)
                    },
                    log=directory / "metrics.jsonl",
                    tag={"seed": seed},
                    checkpoints=checkpoints,
                    tick=tick,
                    stopping=stopping,
                )
            np.savez(directory / f"state-{seed}.npz", *jax.tree.leaves(state))


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]), float(sys.argv[2]) if len(sys.argv) > 2 else 0.0)
    except (loop.Interrupted, loop.Diverged, OSError) as failure:
        sys.exit(str(failure))
