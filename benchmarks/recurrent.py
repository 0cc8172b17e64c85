"""Whole sequences through RNN, LSTM and GRU beside flax.linen and PyTorch: ``python -m
benchmarks.recurrent``.

Forward and backward over all steps, gradients of the parameters and of the inputs. The runs are
interleaved in shuffled order; read the ratios, which are of paired runs, rather than the times.
"Divided" is ours with half of the batch on each of two CPU devices (``recurrent.divided``), JAX's
own way to use two cores where the products of one step are too small to be shared; what runs on one
device still has both cores."""

import argparse
import json
import pathlib
from collections.abc import Callable

import flax.linen as nn
import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from benchmarks import timing
from deepseq.nets import recurrent
from deepseq.train.allocator import keep_freed_memory

# B, T, D, H
SIZES = ((20, 35, 650, 650), (32, 128, 256, 256), (64, 500, 32, 128), (128, 784, 1, 100))
BLOCKS = {"rnn": 1, "lstm": 4, "gru": 3}
LINEN = {"rnn": nn.SimpleCell, "lstm": nn.OptimizedLSTMCell, "gru": nn.GRUCell}


def main() -> None:
    """Measures, prints and, with --out, writes JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--out", type=pathlib.Path, help="a JSON file")
    flags = parser.parse_args()
    jax.config.update("jax_num_cpu_devices", 2)  # what runs on the first alone still has both cores
    allocator = "keep" if keep_freed_memory() else "default (this C library has no mallopt)"
    result: dict[str, object] = {"environment": timing.environment(allocator)}
    print(", ".join(f"{key} {value}" for key, value in result["environment"].items()))
    rate = result["matmul_gflops"] = timing.matmul_rate()
    print(
        f"matmul {rate:.0f} GFLOP/s, of which each reaches a share; the others' time over its own"
        " (quartiles)"
    )
    result["sequences"] = [
        measure(size, kind, flags.rounds, rate) for size in SIZES for kind in BLOCKS
    ]
    if flags.out:
        flags.out.write_text(json.dumps(result, indent=1) + "\n")


def measure(
    size: tuple[int, int, int, int], kind: str, rounds: int, rate: float
) -> dict[str, object]:
    """One size and cell: seconds to compile; undivided and divided, milliseconds, share of the
    matmul rate, others' ratios.
    """
    batch, steps, inputs, hidden = size
    rng = np.random.default_rng(0)
    xs, dys = (rng.standard_normal((steps, batch, size), np.float32) for size in (inputs, hidden))
    lengths = np.full(batch, steps)
    params = getattr(recurrent, f"{kind}_init")(jax.random.key(0), inputs, hidden)
    layer = getattr(recurrent, kind)
    cases = {
        "ours": jitted(lambda p, xs: layer(p, xs)[1], params, xs, dys),
        "with lengths": jitted(lambda p, xs: layer(p, xs, lengths=lengths)[1], params, xs, dys),
        "divided": divided(lambda p, xs: recurrent.divided(layer)(p, xs)[1], params, xs, dys),
        "flax.linen": linen(kind, xs, dys),
    }
    peer = torch_layer(kind, xs, dys)
    if peer:
        cases["torch"] = peer
    times = timing.interleave(cases, rounds, repeats=1)
    # forward, and two gradients
    gflop = 3 * 2 * batch * steps * (inputs + hidden) * hidden * BLOCKS[kind] / 1e9
    seconds = timing.compile_seconds(gradient(lambda p, xs: layer(p, xs)[1]), params, xs, dys)
    record: dict[str, object] = {"size": size, "cell": kind, "compile_seconds": seconds}
    for form, peers in (("ours", [*cases][1:]), ("divided", [*cases][3:])):
        ms, over = timing.milliseconds(times[form]), timing.ratios(times, form)
        record[form] = {
            "ms": ms,
            "of_matmul": gflop / ms * 1e3 / rate,
            "time_over_it": {peer: over[peer] for peer in peers},
        }
    show(record)
    return record


def show(record: dict[str, object]) -> None:
    print(
        f"{str(record['size']):20s}{record['cell']:5s}compiled in {record['compile_seconds']:.1f} s"
    )
    for form in ("ours", "divided"):
        ratios = record[form]["time_over_it"].items()
        quartiles = "   ".join(
            f"{peer} {q[1]:.2f} ({q[0]:.2f} to {q[2]:.2f})" for peer, q in ratios
        )
        print(
            f"  {form:8s}{record[form]['ms']:7.1f} ms{100 * record[form]['of_matmul']:5.0f} %  "
            f" {quartiles}",
            flush=True,
        )


def gradient(apply: Callable) -> Callable:
    return jax.grad(lambda params, xs, dys: (apply(params, xs) * dys).sum(), argnums=(0, 1))


def jitted(apply: Callable, params, xs, dys) -> Callable:
    return _compiled(apply, *jax.device_put((params, xs, dys)))


def divided(apply: Callable, params, xs, dys) -> Callable:
    """``jitted`` with the parameters on every device and the sequences divided among them."""
    mesh = Mesh(np.array(jax.devices()), ("batch",))
    everywhere, sequences = NamedSharding(mesh, P()), NamedSharding(mesh, P(None, "batch"))
    return _compiled(apply, *jax.device_put((params, xs, dys), (everywhere, sequences, sequences)))


def _compiled(apply: Callable, *args) -> Callable:
    step = jax.jit(gradient(apply))
    return lambda: jax.block_until_ready(step(*args))


def linen(kind: str, xs, dys) -> Callable:
    layer = nn.RNN(LINEN[kind](dys.shape[2]), time_major=True)
    params = jax.jit(layer.init)(jax.random.key(0), xs[:2])
    return jitted(layer.apply, params, xs, dys)


def torch_layer(kind: str, xs, dys) -> Callable | None:
    """The same in PyTorch, or None without it."""
    try:
        import torch
    except ImportError:
        return None
    layer = getattr(torch.nn, kind.upper())(xs.shape[2], dys.shape[2])
    x, dy = torch.from_numpy(xs.copy()).requires_grad_(), torch.from_numpy(dys.copy())

    def call():
        layer.zero_grad(set_to_none=True)
        x.grad = None
        layer(x)[0].backward(dy)

    return call


if __name__ == "__main__":
    main()
