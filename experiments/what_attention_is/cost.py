"""What attention costs in n, beside a recurrent net and a feed-forward net: time, temporary memory,
operations, and depth.

Depth is the number of operations that must wait for one another: the longest path through the
program, a loop counted once for each of its steps. It says what no number of processors can make
shorter."""

import functools
import statistics
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from ml_collections import ConfigDict

from deepseq.nets import recurrent
from deepseq.nets.blocks import attention as A

KINDS = ("attention", "RNN", "feed-forward")


def measure(config: ConfigDict) -> list[dict[str, float | str]]:
    """Each layer at each length: seconds (median), bytes of temporaries, floating-point operations
    and depth.
    """
    cases = {
        (kind, n): case(config.cost.size, kind, n) for kind in KINDS for n in config.cost.lengths
    }
    times: dict[tuple[str, int], list[float]] = {key: [] for key in cases}
    for _ in range(config.cost.timings + 1):  # the first is not counted
        for key, own in cases.items():
            began = time.perf_counter()
            jax.block_until_ready(own.compiled(own.x))
            times[key].append(time.perf_counter() - began)
    return [
        {
            "layer": kind,
            "steps": n,
            "seconds": statistics.median(times[kind, n][1:]),
            "bytes": own.compiled.memory_analysis().temp_size_in_bytes,
            "operations": operations(own.program),
            "depth": depth(own.program),
        }
        for (kind, n), own in cases.items()
    ]


class Case(NamedTuple):
    """A layer on a sequence."""

    program: Any  # its jaxpr
    compiled: Any
    x: Array  # (1, n, D)


@functools.cache
def case(size: int, kind: str, n: int) -> Case:
    """A layer of D units, compiled for n steps."""
    f, x = layer(size, kind, n)
    return Case(jax.make_jaxpr(f)(x).jaxpr, jax.jit(f).lower(x).compile(), x)


def layer(size: int, kind: str, n: int) -> tuple[Callable[[Array], Array], Array]:
    """A layer of D units as a function of (1, n, D) alone, and its input."""
    keys = jax.random.split(jax.random.key(0), 3)
    x = jax.random.normal(keys[0], (1, n, size))
    if kind == "attention":
        params = A.multi_head_init(keys[1], size, 1, bias=False)
        return lambda x: A.multi_head(params, x), x
    if kind == "RNN":
        rnn = recurrent.rnn_init(keys[1], size, size)
        return (
            lambda x: recurrent.unroll(
                recurrent.rnn_cell, rnn, jnp.zeros((1, size)), x.transpose(1, 0, 2)
            )[1],
            x,
        )
    w1, w2 = (
        jax.random.normal(k, shape)
        for k, shape in zip(keys[1:], ((size, 4 * size), (4 * size, size)), strict=True)
    )
    return lambda x: jax.nn.relu(x @ w1) @ w2, x


def slope(lengths: list[int], values: list[float]) -> float:
    """Of log value against log n, over the upper half of the lengths, where the highest power
    rules.
    """
    upper = slice(len(lengths) // 2, None)
    x, y = (np.log(np.asarray(a, float)[upper]) for a in (lengths, values))
    return float(((x - x.mean()) * (y - y.mean())).sum() / ((x - x.mean()) ** 2).sum())


def depth(jaxpr) -> int:
    """Operations on the longest path through a program."""
    return _walk(jaxpr, lambda equation, inner: inner if inner else 1, max)


def operations(jaxpr) -> int:
    """Multiplications and additions of a program's matrix products."""
    total = 0
    for equation in jaxpr.eqns:
        inside = sum(operations(inner) * times for inner, times in _inner(equation))
        total += inside or (_product(equation) if equation.primitive.name == "dot_general" else 0)
    return total


def _walk(jaxpr, cost, join) -> int:
    reached = dict.fromkeys([*jaxpr.invars, *jaxpr.constvars], 0)
    for equation in jaxpr.eqns:
        before = [reached.get(v, 0) for v in equation.invars if not hasattr(v, "val")]
        inner = sum(_walk(sub, cost, join) * times for sub, times in _inner(equation))
        for variable in equation.outvars:
            reached[variable] = join(before, default=0) + cost(equation, inner)
    return join((reached.get(v, 0) for v in jaxpr.outvars if not hasattr(v, "val")), default=0)


def _inner(equation):
    """The programs that an operation runs, and how often."""
    times = equation.params.get("length", 1) if equation.primitive.name == "scan" else 1
    for value in equation.params.values():
        inner = getattr(value, "jaxpr", value)
        if hasattr(inner, "eqns"):
            yield inner, times


def _product(equation) -> int:
    (contract, _), _ = equation.params["dimension_numbers"]
    left = equation.invars[0].aval.shape
    return (
        2 * int(np.prod(equation.outvars[0].aval.shape)) * int(np.prod([left[i] for i in contract]))
    )
