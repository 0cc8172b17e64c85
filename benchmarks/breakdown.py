"""Where the step's time goes: every operation of ResNet-20 alone, at the step's shapes, against the
matmul rate.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from benchmarks.timing import interleave, milliseconds
from deepseq.nets.blocks import conv, layers

# height, channels in, channels out, stride, how many in ResNet-20
SHAPES = (
    (32, 3, 16, 1, 1),
    (32, 16, 16, 1, 6),
    (32, 16, 32, 2, 1),
    (16, 32, 32, 1, 5),
    (16, 32, 64, 2, 1),
    (8, 64, 64, 1, 5),
)
NORMS = ((32, 16, 7), (16, 32, 6), (8, 64, 6))
PADS = ((1, 1), (1, 1))


def operations(batch: int) -> dict[str, tuple[Callable, float, int]]:
    """name -> (a call that blocks, its GFLOP, how many of it one step makes)."""
    cases = {}

    def add(name, count, gflop, f, *args):
        jitted = jax.jit(f)
        cases[name] = (lambda: jax.block_until_ready(jitted(*args)), gflop, count)

    for h, c_in, c_out, stride, count in SHAPES:
        kx, kw, kg = jax.random.split(jax.random.key(0), 3)
        out = h // stride
        x, w = (
            jax.random.normal(kx, (batch, h, h, c_in)),
            jax.random.normal(kw, (3, 3, c_in, c_out)),
        )
        g = jax.random.normal(kg, (batch, out, out, c_out))
        gflop = 2 * batch * out * out * 9 * c_in * c_out / 1e9
        label = f"{h}x{h} {c_in:2d}->{c_out}" + (f" /{stride}" if stride > 1 else "")
        for who, f in (("ours", conv.conv2d), ("XLA", conv.conv2d_plain)):

            def apply(x, w, f=f, stride=stride):
                return f(x, w, stride=stride, padding=PADS)

            add(f"{label} forward, {who}", count, gflop, apply, x, w)
            if c_in > 3:  # the image's own gradient is not needed
                add(
                    f"{label} dx, {who}",
                    count,
                    gflop,
                    lambda x, w, g, f=apply: jax.vjp(f, x, w)[1](g)[0],
                    x,
                    w,
                    g,
                )
            add(
                f"{label} dw, {who}",
                count,
                gflop,
                lambda x, w, g, f=apply: jax.vjp(f, x, w)[1](g)[1],
                x,
                w,
                g,
            )
    for h, c, count in NORMS:
        x = jax.random.normal(jax.random.key(1), (batch, h, h, c))
        params = layers.BatchNorm(jnp.ones(c), jnp.zeros(c))

        def norm(params, x):
            return jax.nn.relu(layers.batch_norm(params, x, None)[0])

        add(
            f"{h}x{h} {c} norm + relu, forward + backward, ours",
            count,
            0.0,
            lambda p, x, g: jax.vjp(norm, p, x)[1](g),
            params,
            x,
            x,
        )
    return cases


def measure(batch: int, rounds: int, rate: float) -> list[dict[str, object]]:
    """One record per operation: milliseconds, times per step, GFLOP/s and the fraction of the
    matmul rate.
    """
    cases = operations(batch)
    times = interleave({name: call for name, (call, _, _) in cases.items()}, rounds)
    records = []
    for name, (_, gflop, count) in cases.items():
        ms = milliseconds(times[name])
        reached = gflop / ms * 1e3
        records.append(
            {
                "operation": name,
                "ms": ms,
                "per_step": count,
                "total_ms": ms * count,
                "gflops": reached,
                "of_matmul": reached / rate,
            }
        )
    return records
