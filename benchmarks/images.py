"""Train steps of image nets beside flax.linen and PyTorch channels-last: ``python -m
benchmarks.images``.

LeNet-5 (batch 256, 28x28), ResNet-18 and DenseNet-121 (batch 16, 64x64), SGD with momentum and
decay; runs interleaved in shuffled order: read the ratios. And the seconds to trace and compile the
steps of ResNet-152 and DenseNet-201, which nothing allocates."""

import argparse
import json
import pathlib

import jax
import numpy as np

from benchmarks import linen_image_nets as linen
from benchmarks import peers, timing
from benchmarks.train_step import stepper
from deepseq.nets.images import densenet, lenet, resnet
from deepseq.train.allocator import keep_freed_memory

CASES = {  # ours, linen's, shape of a batch
    "LeNet-5": (lenet.full_lenet5(), linen.LeNet5(), (256, 28, 28, 1)),
    "ResNet-18": (resnet.imagenet(18), linen.ResNet((2, 2, 2, 2), False), (16, 64, 64, 3)),
    "DenseNet-121": (densenet.imagenet(121), linen.DenseNet((6, 12, 24, 16)), (16, 64, 64, 3)),
}
COMPILED = {
    "ResNet-152": (resnet.imagenet(152), linen.ResNet((3, 8, 36, 3), True)),
    "DenseNet-201": (densenet.imagenet(201), linen.DenseNet((6, 12, 48, 32))),
}


def main() -> None:
    """Measures, prints and, with --out, writes JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--no-compile", action="store_true", help="skip the compile times")
    parser.add_argument("--out", type=pathlib.Path, help="a JSON file")
    flags = parser.parse_args()
    allocator = "keep" if keep_freed_memory() else "default (this C library has no mallopt)"
    result: dict[str, object] = {"environment": timing.environment(allocator), "steps": {}}
    print(", ".join(f"{key} {value}" for key, value in result["environment"].items()), flush=True)
    for name in CASES:
        found = result["steps"][name] = measured(name, flags.rounds)
        others = "   ".join(
            f"{peer} {q[1]:.2f} ({q[0]:.2f} to {q[2]:.2f})"
            for peer, q in found["over_ours"].items()
        )
        print(f"{name:14s}{found['ms']:8.1f} ms   {others}", flush=True)
    if not flags.no_compile:
        result["compile_seconds"] = {name: compiled(*pair) for name, pair in COMPILED.items()}
        for name, seconds in result["compile_seconds"].items():
            print(
                f"{name:14s}traced and compiled in {seconds['ours']:.1f} s, linen's in"
                f" {seconds['flax.linen']:.1f} s",
                flush=True,
            )
    if flags.out:
        flags.out.write_text(json.dumps(result, indent=1) + "\n")


def measured(name: str, rounds: int) -> dict[str, object]:
    """Milliseconds of our step, and quartiles of the others' time over ours."""
    net, theirs, shape = CASES[name]
    rng = np.random.default_rng(0)
    x, labels = rng.standard_normal(shape, np.float32), rng.integers(0, 10, shape[0])
    cases = {}
    for peer, (init, step) in (
        ("ours", peers.our_training(net)),
        ("flax.linen", peers.linen_training(theirs)),
    ):
        cases[peer] = stepper(
            jax.jit(step, donate_argnums=0), jax.jit(init)(jax.random.key(0), x), x, labels
        )
    other = torch_net(name)
    if other is not None:
        cases["torch channels-last"] = peers.torch_training(other, x, labels)
    times = timing.interleave(cases, rounds, repeats=1)
    quartiles = timing.ratios(times, "ours")
    return {
        "ms": timing.milliseconds(times["ours"]),
        "over_ours": {peer: q for peer, q in quartiles.items() if peer != "ours"},
    }


def compiled(net, theirs) -> dict[str, float]:
    """Seconds to trace and compile a train step, batch 16 of 64x64."""
    x, labels = (
        jax.ShapeDtypeStruct((16, 64, 64, 3), np.float32),
        jax.ShapeDtypeStruct((16,), np.int32),
    )
    seconds = {}
    for peer, (init, step) in (
        ("ours", peers.our_training(net)),
        ("flax.linen", peers.linen_training(theirs)),
    ):
        seconds[peer] = timing.compile_seconds(
            step, jax.eval_shape(init, jax.random.key(0), x), x, labels
        )
    return seconds


def torch_net(name: str):
    """The same net in torch, or None without it."""
    try:
        from torch import nn

        from benchmarks import torch_image_nets
    except ImportError:
        return None
    if name == "LeNet-5":
        features = (
            nn.Conv2d(1, 6, 5, padding=2),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(6, 16, 5),
            nn.ReLU(),
            nn.MaxPool2d(2),
        )
        dense = nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10)
        return nn.Sequential(*features, nn.Flatten(), *dense)
    if name == "ResNet-18":
        return torch_image_nets.ResNet((2, 2, 2, 2), False, 1000)
    return torch_image_nets.densenet((6, 12, 24, 16), 32, 1000)


if __name__ == "__main__":
    main()
