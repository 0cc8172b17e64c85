"""Interleaved timing: every round runs every case once, in a new order, so that drift falls on all
of them alike.
"""

import contextlib
import importlib.metadata
import multiprocessing
import os
import platform
import random
import statistics
import time
from collections.abc import Callable

import jax
import jax.numpy as jnp


def interleave(
    cases: dict[str, Callable[[], object]], rounds: int, repeats: int = 2
) -> dict[str, list[float]]:
    """Seconds per call of each case, one number per round; a case blocks until it has a result."""
    order = list(cases)
    for name in order:
        cases[name]()
        cases[name]()
    times: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(rounds):
        random.shuffle(order)
        for name in order:
            cases[name]()  # its own data back into the caches
            start = time.perf_counter()
            for _ in range(repeats):
                cases[name]()
            times[name].append((time.perf_counter() - start) / repeats)
    return times


def alone(make: Callable[..., Callable[[], object]], *args) -> Callable[[], None]:
    """``make(*args)`` as a case whose process is its own, as a training's is: its heap, its
    threads, its caches.
    """
    pipe, theirs = multiprocessing.get_context("spawn").Pipe()
    multiprocessing.get_context("spawn").Process(
        target=_serve, args=(theirs, make, args), daemon=True
    ).start()

    def call() -> None:
        pipe.send(None)
        pipe.recv()

    return call


def fresh(function: Callable, *args):
    """``function(*args)`` of a process started for it."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(function, args)


def _serve(pipe, make: Callable, args: tuple) -> None:
    case = make(*args)
    with contextlib.suppress(EOFError):  # the one who asks has gone
        while True:
            pipe.recv()
            case()
            pipe.send(None)


def ratios(times: dict[str, list[float]], base: str) -> dict[str, list[float]]:
    """Quartiles (25, 50, 75 %) of each case's time over the base's in the same round."""
    paired = {
        name: [a / b for a, b in zip(ts, times[base], strict=True)] for name, ts in times.items()
    }
    return {
        name: statistics.quantiles(r, n=4) if len(r) > 1 else r * 3 for name, r in paired.items()
    }


def milliseconds(ts: list[float]) -> float:
    return 1e3 * statistics.median(ts)


def matmul_rate(n: int = 2048) -> float:
    """GFLOP/s of a square float32 matmul, the best of a few: the ceiling of everything else."""
    a = jax.random.normal(jax.random.key(0), (n, n))
    multiply = jax.jit(jnp.dot)
    times = interleave({"matmul": lambda: multiply(a, a).block_until_ready()}, rounds=5)["matmul"]
    return 2 * n**3 / min(times) / 1e9


def compile_seconds(function: Callable, *args) -> float:
    """Seconds to trace and compile from nothing."""
    jax.clear_caches()
    start = time.perf_counter()
    jax.jit(function).lower(*args).compile()
    return time.perf_counter() - start


def environment(allocator: str) -> dict[str, object]:
    """Versions and hardware."""
    packages = ("jax", "jaxlib", "flax", "torch", "numpy")
    versions = {}
    for package in packages:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            versions[package] = None
    return {
        "python": platform.python_version(),
        **versions,
        "device": jax.devices()[0].device_kind,
        "processor": _processor(),
        "cores": (
            len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
        ),
        "allocator": allocator,
        "load_before": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
    }


def _processor() -> str:
    try:
        with open("/proc/cpuinfo") as lines:
            return next(
                line.split(":")[1].strip() for line in lines if line.startswith("model name")
            )
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
