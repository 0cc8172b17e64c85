"""ResNet-20's train step beside the same net in flax.linen and PyTorch: ``python -m
benchmarks.train_step``.

Batch 128 of 32x32x3, width 16, SGD with momentum and decay, running averages of batch norm, no
augmentation. Each peer has a process of its own; they take turns in shuffled order. Read the
ratios, which are of paired runs, rather than the times."""

import argparse
import importlib.util
import itertools
import json
import pathlib
import random
import statistics
from collections.abc import Callable

import jax
import numpy as np

from benchmarks import breakdown, peers, timing
from deepseq.train.allocator import keep_freed_memory

IN_SCAN = 3
SCANNED = "ours, in lax.scan"


def main() -> None:
    """Measures, prints and, with --out, writes JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--allocator", choices=("keep", "default"), default="keep", help="the same for all peers"
    )
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--no-compile", action="store_true", help="skip the compile times")
    parser.add_argument("--no-breakdown", action="store_true", help="skip the operations")
    parser.add_argument("--out", type=pathlib.Path, help="a JSON file")
    flags = parser.parse_args()
    allocator = flags.allocator
    if allocator == "keep" and not keep_freed_memory():
        allocator = "default (this C library has no mallopt)"
    result: dict[str, object] = {"environment": timing.environment(allocator), "batch": flags.batch}
    print(", ".join(f"{key} {value}" for key, value in result["environment"].items()))
    rate = result["matmul_gflops"] = timing.matmul_rate()
    result["step"] = steps(flags.batch, flags.rounds, allocator)
    if not flags.no_compile:
        result["compile_seconds"] = compiles(flags.batch, max(3, flags.rounds // 3), allocator)
    if not flags.no_breakdown:
        result["operations"] = operations(
            flags.batch, max(3, flags.rounds // 3), rate, result["step"]["ours"]["ms"]
        )
    if flags.out:
        flags.out.write_text(json.dumps(result, indent=1) + "\n")


def steps(batch: int, rounds: int, allocator: str) -> dict[str, dict[str, object]]:
    names = ["ours", "flax.linen", SCANNED] + ["torch channels-last"] * (
        importlib.util.find_spec("torch") is not None
    )
    cases = {name: timing.alone(case, name, batch, allocator) for name in names}
    times = timing.interleave(cases, rounds)
    times[SCANNED] = [seconds / IN_SCAN for seconds in times[SCANNED]]
    quartiles = timing.ratios(times, "ours")
    print(f"\n{'train step':22s}{'median ms':>11s}   time / ours: median (quartiles)")
    for name, ts in times.items():
        low, middle, high = quartiles[name]
        print(f"{name:22s}{timing.milliseconds(ts):11.1f}   {middle:.2f} ({low:.2f} to {high:.2f})")
    return {
        name: {"ms": timing.milliseconds(ts), "over_ours": quartiles[name]}
        for name, ts in times.items()
    }


def case(name: str, batch: int, allocator: str) -> Callable[[], float]:
    """One peer's step, as a call."""
    if allocator == "keep":
        keep_freed_memory()
    rng = np.random.default_rng(0)
    x = rng.standard_normal((batch, 32, 32, 3), np.float32)
    labels = rng.integers(0, 10, batch)
    if name == "torch channels-last":
        return peers.torch_step(20, x, labels)
    init, step = peers.linen(20) if name == "flax.linen" else peers.ours(20)
    step = jax.jit(_scanned(step) if name == SCANNED else step, donate_argnums=0)
    return stepper(step, jax.jit(init)(jax.random.key(0), x), x, labels)


def _scanned(step):
    """IN_SCAN steps in one loop, where XLA's own weight gradient on CPU collapses."""

    def steps(state, x, labels):
        state, losses = jax.lax.scan(
            lambda state, _: step(state, x, labels), state, None, length=IN_SCAN
        )
        return state, losses[-1]

    return steps


def stepper(step, state, x, labels):
    """A call that takes one step from where the last one ended."""

    x, labels = jax.device_put(x), jax.device_put(labels)

    def call():
        nonlocal state
        state, loss = step(state, x, labels)
        return float(loss)

    return call


def compiles(batch: int, rounds: int, allocator: str) -> dict[str, dict[str, float]]:
    seconds: dict[str, dict[str, float]] = {}
    print(f"\n{f'trace + compile, s, median of {rounds}':36s}{'ours':>9s}{'flax.linen':>12s}")
    for depth, what in itertools.product((20, 56), ("init", "step")):
        names = ["ours", "flax.linen"]
        times: dict[str, list[float]] = {name: [] for name in names}
        for _ in range(rounds):
            random.shuffle(names)
            for name in names:
                times[name].append(timing.fresh(compiled, name, depth, what, batch, allocator))
        row = {name: statistics.median(ts) for name, ts in times.items()}
        print(f"{f'ResNet-{depth} {what}':36s}{row['ours']:9.2f}{row['flax.linen']:12.2f}")
        seconds[f"ResNet-{depth} {what}"] = row
    return seconds


def compiled(name: str, depth: int, what: str, batch: int, allocator: str) -> float:
    """Seconds that one peer's program takes to be traced and compiled, in a process that compiled
    nothing before.
    """
    if allocator == "keep":
        keep_freed_memory()
    x, labels = (
        jax.ShapeDtypeStruct((batch, 32, 32, 3), np.float32),
        jax.ShapeDtypeStruct((batch,), np.int32),
    )
    init, step = (peers.linen if name == "flax.linen" else peers.ours)(depth)
    key = jax.random.key(0)
    if what == "init":
        return timing.compile_seconds(init, key, x)
    return timing.compile_seconds(step, jax.eval_shape(init, key, x), x, labels)


def operations(batch: int, rounds: int, rate: float, step_ms: float) -> list[dict[str, object]]:
    records = breakdown.measure(batch, rounds, rate)
    print(f"\nmatmul {rate:.0f} GFLOP/s. Each operation alone:")
    print(f"{'':46s}{'ms':>8s}{'x':>4s}{'total':>8s}{'GFLOP/s':>9s}{'of matmul':>11s}")
    for r in records:
        speed = f"{r['gflops']:9.0f}{100 * r['of_matmul']:10.0f}%" if r["gflops"] else ""
        print(f"{r['operation']:46s}{r['ms']:8.2f}{r['per_step']:4d}{r['total_ms']:8.1f}{speed}")
    sums = {}
    for kind in ("forward,", "dx,", "dw,", "norm"):
        mine = [r for r in records if kind in r["operation"] and r["operation"].endswith("ours")]
        sums[kind.strip(",")] = sum(
            r["total_ms"] for r in mine if kind == "norm" or "norm" not in r["operation"]
        )
    rest = step_ms - sum(sums.values())
    parts = ", ".join(f"{kind} {ms:.0f}" for kind, ms in sums.items())
    limit = max(sums, key=sums.get)
    print(
        f"\nthe step's {step_ms:.0f} ms: {parts}, rest {rest:.0f} (additions, update, and what"
        f" caches lose). Most of it is {limit}."
    )
    return records


if __name__ == "__main__":
    main()
