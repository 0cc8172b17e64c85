"""What the truncation study measures beside its trainings: the truncated gradient against the full
one, and its cost.
"""

import functools
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from deepseq.nets import recurrent as R
from experiments.truncated_bptt.nets import step_loss
from experiments.truncated_bptt.training import KEPT, Model, gradient, segments


def against_full(config: ConfigDict, net: Model, params: Any) -> dict[str, list]:
    """The gradient of one update cut k steps back, k1 = 1, against the full one, for stacked
    parameters (S, ...).

    Returns:
      cosine, bias: (k, S) cosine of the angle between them, and |g_k - g| / |g|.
    """
    steps = config.train.steps
    data = [
        jax.tree.map(lambda a: a[0], segments(stream, steps, steps, KEPT)) for stream in net.streams
    ]
    inputs, targets = jax.tree.map(lambda *a: np.stack(a), *data)
    carry = net.zero(config.train.batch_size)
    gradients = [
        np.asarray(_cut(net.cell, k, params, carry, inputs, targets)) for k in config.truncations
    ]
    full, found = gradients[-1], {"cosine": [], "bias": []}
    for g in gradients:
        norms = np.linalg.norm(g, axis=1) * np.linalg.norm(full, axis=1)
        found["cosine"].append(
            ((g * full).sum(1) / np.maximum(norms, np.finfo(np.float32).tiny)).tolist()
        )
        found["bias"].append(
            (np.linalg.norm(g - full, axis=1) / np.linalg.norm(full, axis=1)).tolist()
        )
    return found


@functools.partial(jax.jit, static_argnums=(0, 1))
def _cut(cell, k, params, carry, inputs, targets):
    """(S, N) the gradient cut k steps back, its numbers in a row."""

    def flat(params, inputs, targets):
        _, direction = R.tbptt(cell, step_loss, k1=1, k2=k)(params, carry, inputs, targets)
        return jnp.concatenate([g.ravel() for g in jax.tree.leaves(direction)])

    return jax.vmap(flat)(params, inputs, targets)


def reach(config: ConfigDict, net: Model) -> dict[str, Any]:
    """How far back the last step's loss is felt, as dL/dh_t by lag, for each k; and whether k = T
    is the full gradient.

    Returns:
      lags: 0 .. T - 1; norms: (k, T) norm of the gradient that reaches the state so many steps
        back; whole: largest
      difference between the gradient at k = T and plain backpropagation, over the largest entry of
      the gradient.
    """
    steps, batch = config.train.steps, config.train.batch_size
    params = jax.jit(net.init)(jax.random.key(0))
    inputs, targets = jax.tree.map(lambda a: a[0], segments(net.streams[0], steps, steps, KEPT))
    last = targets._replace(counts=(np.arange(steps) == steps - 1).astype(np.float32))
    carry = net.zero(batch)

    def pushed(params, carry, each):
        """The cell with a push on its state, which acts at one step alone: its gradient is that of
        the state there.
        """
        push, (here, inputs) = params["push"], each
        carry = jax.tree.map(lambda s: s + here * push, carry)
        return net.cell(params["net"], carry, inputs)

    def felt(k, t):
        here = (jnp.arange(steps) == t).astype(jnp.float32)
        start = {"net": params, "push": jnp.zeros_like(jax.tree.leaves(carry)[0])}
        gradient = R.tbptt(pushed, step_loss, k1=1, k2=k)(start, carry, (here, inputs), last)[1]
        return jnp.linalg.norm(gradient["push"])

    steps_back = steps - 1 - np.arange(steps)
    norms = [
        np.asarray(jax.jit(jax.vmap(functools.partial(felt, k)))(steps_back))
        for k in config.truncations
    ]
    cut = jax.jit(R.tbptt(net.cell, step_loss, k1=1, k2=steps))(params, carry, inputs, targets)[1]
    full = jax.jit(R.chunk_gradient(net.cell, step_loss))(params, carry, inputs, targets)[1]
    differences = jax.tree.leaves(jax.tree.map(lambda a, b: jnp.abs(a - b).max(), cut, full))
    whole = max(map(float, differences)) / max(
        float(jnp.abs(g).max()) for g in jax.tree.leaves(full)
    )
    return {"lags": list(range(steps)), "norms": [n.tolist() for n in norms], "whole": whole}


def cost(config: ConfigDict, net: Model) -> dict[str, Any]:
    """Temporary memory and time of the gradient.

    Returns:
      memory: (k,) bytes of one update at each k; long: {"truncated": bytes at each of
        measure.lengths, "full": likewise};
      seconds: (k,) median time of one update's gradient, which differs from run to run and is no
        part of the verdicts.
    """
    steps, batch = config.train.steps, config.train.batch_size
    params, carry = jax.jit(net.init)(jax.random.key(0)), net.zero(batch)
    inputs, targets = jax.tree.map(lambda a: a[0], segments(net.streams[0], steps, steps, KEPT))
    memory, seconds = [], []
    for k in config.truncations:
        compiled = (
            jax.jit(gradient(net.cell, k, steps)).lower(params, (carry, inputs, targets)).compile()
        )
        memory.append(compiled.memory_analysis().temp_size_in_bytes)
        compiled(params, (carry, inputs, targets))
        seconds.append(
            _median_seconds(
                lambda f=compiled: f(params, (carry, inputs, targets)), config.measure.timings
            )
        )

    def temporary(f, length):
        shapes = jax.tree.map(
            lambda a: jax.ShapeDtypeStruct((length, *a.shape[1:]), a.dtype), (inputs, targets)
        )
        return (
            jax.jit(f).lower(params, carry, *shapes).compile().memory_analysis().temp_size_in_bytes
        )

    k = config.truncations[len(config.truncations) // 2]
    forms = {
        "truncated": R.tbptt(net.cell, step_loss, k1=k, k2=k),
        "full": R.chunk_gradient(net.cell, step_loss),
    }
    long = {
        name: [temporary(f, length) for length in config.measure.lengths]
        for name, f in forms.items()
    }
    return {"memory": memory, "seconds": seconds, "long": long, "long_k": k}


def _median_seconds(call, repetitions: int) -> float:
    times = []
    for _ in range(repetitions):
        began = time.perf_counter()
        jax.block_until_ready(call())
        times.append(time.perf_counter() - began)
    return float(np.median(times))
