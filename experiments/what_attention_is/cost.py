"""What attention costs in n, beside a recurrent net and a feed-forward net: time, temporary memory,
operations, and depth.

Depth is the number of operations that must wait for one another: the longest path through the
program, a loop counted once for each of its steps. It says what no number of processors can make
shorter.
"""

import functools
import math
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

LAYERS = ("attention", "RNN", "feed-forward")


def measure(config: ConfigDict) -> list[dict[str, float | str]]:
    """Each layer at each length: seconds (median), bytes of temporaries, operations and depth."""
    cases = {
        (name, n): case(config.cost.size, name, n) for name in LAYERS for n in config.cost.lengths
    }
    times: dict[tuple[str, int], list[float]] = {key: [] for key in cases}
    for _ in range(config.cost.timings + 1):  # the first is not counted
        for key, one in cases.items():
            started = time.perf_counter()
            jax.block_until_ready(one.compiled(one.x))
            times[key].append(time.perf_counter() - started)
    return [
        {
            "layer": name,
            "steps": n,
            "seconds": statistics.median(times[name, n][1:]),
            "bytes": one.compiled.memory_analysis().temp_size_in_bytes,
            "operations": operations(one.program),
            "depth": depth(one.program),
        }
        for (name, n), one in cases.items()
    ]


class Case(NamedTuple):
    """A layer on a sequence."""

    program: Any  # its jaxpr
    compiled: Any
    x: Array  # (1, n, D)


@functools.cache
def case(size: int, name: str, n: int) -> Case:
    """A layer of D units, compiled for n steps."""
    f, x = layer(size, name, n)
    return Case(jax.make_jaxpr(f)(x).jaxpr, jax.jit(f).lower(x).compile(), x)


def layer(size: int, name: str, n: int) -> tuple[Callable[[Array], Array], Array]:
    """A layer of D units as a function of (1, n, D) alone, and its input."""
    keys = jax.random.split(jax.random.key(0), 3)
    x = jax.random.normal(keys[0], (1, n, size))
    if name == "attention":
        params = A.multi_head_init(keys[1], size, 1, bias=False)
        return lambda x: A.multi_head(params, x), x
    if name == "RNN":
        params, zero = recurrent.rnn_init(keys[1], size, size), jnp.zeros((1, size))
        unroll = functools.partial(recurrent.unroll, recurrent.rnn_cell, params, zero)
        return lambda x: unroll(x.transpose(1, 0, 2))[1], x
    w1 = jax.random.normal(keys[1], (size, 4 * size))
    w2 = jax.random.normal(keys[2], (4 * size, size))
    return lambda x: jax.nn.relu(x @ w1) @ w2, x


def slope(lengths: list[int], values: list[float]) -> float:
    """Of log value against log n, over the upper half of the lengths: the highest power rules."""
    upper = slice(len(lengths) // 2, None)
    x, y = (np.log(np.asarray(a, float)[upper]) for a in (lengths, values))
    return float(((x - x.mean()) * (y - y.mean())).sum() / ((x - x.mean()) ** 2).sum())


def depth(jaxpr) -> int:
    """Operations on the longest path through a program."""
    reached: dict[Any, int] = {}  # what is not in it is an input

    def last(variables) -> int:
        return max((reached.get(v, 0) for v in variables if not hasattr(v, "val")), default=0)

    for equation in jaxpr.eqns:
        inside = sum(depth(inner) * times for inner, times in _inner(equation))
        reached |= dict.fromkeys(equation.outvars, last(equation.invars) + (inside or 1))
    return last(jaxpr.outvars)


def operations(jaxpr) -> int:
    """Multiplications and additions of a program's matrix products."""
    total = 0
    for equation in jaxpr.eqns:
        total += sum(operations(inner) * times for inner, times in _inner(equation))
        if equation.primitive.name == "dot_general":
            (contracted, _), _ = equation.params["dimension_numbers"]
            left, out = equation.invars[0].aval.shape, equation.outvars[0].aval.shape
            total += 2 * math.prod(out) * math.prod(left[axis] for axis in contracted)
    return total


def _inner(equation):
    """The programs that an operation runs, and how often."""
    times = equation.params.get("length", 1) if equation.primitive.name == "scan" else 1
    for value in equation.params.values():
        inner = getattr(value, "jaxpr", value)
        if hasattr(inner, "eqns"):
            yield inner, times
