"""Truncated backpropagation through time: a bound on how far back a gradient is followed, and on
the memory that takes.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

__all__ = ["Carry", "Cell", "Gradient", "Loss", "chunk_gradient", "tbptt"]

Carry = Any
Cell = Callable[[Any, Carry, Any], tuple[Carry, Any]]
Loss = Callable[[Any, Any], Array]  # (y, target) of one step -> scalar
Gradient = Callable[[Any, Carry, Any, Any], tuple[tuple[Array, Carry], Any]]


def tbptt(cell: Cell, loss: Loss, *, k1: int, k2: int) -> Gradient:
    """The truncated gradient of the summed loss of a sequence: BPTT(k2; k1) of Williams and Peng
    (1990).

    Every k1 steps the loss of the newest k1 steps is followed k2 steps back, from the first of
    them's k2 - k1 predecessors on; the carry before that is a constant. Each step's loss counts
    once. With k2 >= T this is the full gradient; k1 = k2 cuts the sequence into chunks, if k1
    divides T.

    Args:
      cell: ``(params, carry, x) -> (carry, y)``; a read-out is part of it.
      loss: ``(y, target) -> scalar`` of one step.
      k1: steps between two backward passes, from 1 to k2.
      k2: steps that each of them goes back.

    Returns:
      ``f(params, carry, xs (T, ...), ys (T, ...)) -> ((loss summed over the steps, last carry),
      gradient of params)``, at one value of the parameters. Its temporary memory is that of k2
      steps, whatever T. Time: k1 + k2 forward and k2 backward steps for every k1 of the sequence.

    Raises:
      ValueError: k1 or k2 below 1, or k1 > k2.
    """
    if k1 < 1 or k2 < 1 or k1 > k2:
        raise ValueError(f"tbptt: k1={k1} and k2={k2}, but 1 <= k1 <= k2")

    def gradient(params, carry, xs, ys):
        steps = _steps(xs, ys)
        back = min(k2, max(steps, k1))  # no further than there are steps
        xs, ys = jax.tree.map(jnp.asarray, (xs, ys))

        def advance(params, carry, first, count, until=steps, since=0):
            """The carry after ``count`` steps from ``first`` on and the losses; steps outside 0 ..
            until do nothing.
            """

            def step(carry, t):
                inside = (t >= 0) & (t < until)
                x, target = (
                    jax.tree.map(lambda a: a[jnp.clip(t, 0, steps - 1)], tree) for tree in (xs, ys)
                )
                new, y = cell(params, carry, x)
                new = jax.tree.map(lambda new, old: jnp.where(inside, new, old), new, carry)
                return new, jnp.where(inside & (t >= since), loss(y, target), 0)

            return jax.lax.scan(step, carry, first + jnp.arange(count))

        def window_loss(params, oldest, first, since):
            older, _ = advance(params, oldest, first, back - k1)
            carry, losses = advance(params, older, first + back - k1, k1, since=since)
            return losses.sum(), carry

        def window(n, state):
            total, grads, oldest, _ = state
            end, next_end = (jnp.minimum((n + later) * k1, steps) for later in (1, 2))
            (value, last), g = jax.value_and_grad(window_loss, has_aux=True)(
                params, oldest, end - back, n * k1
            )
            oldest, _ = advance(params, oldest, end - back, k1, until=next_end - back)
            return total + value, jax.tree.map(jnp.add, grads, g), oldest, last

        value = jax.eval_shape(window_loss, params, carry, 0, 0)[0]
        start = (jnp.zeros((), value.dtype), jax.tree.map(jnp.zeros_like, params), carry, carry)
        total, grads, _, last = jax.lax.fori_loop(0, -(-steps // k1), window, start)
        return (total, last), grads

    return gradient


def chunk_gradient(cell: Cell, loss: Loss) -> Gradient:
    """The gradient of one chunk of a stream, its first carry a constant: what practice runs, chunk
    after chunk.

    With the carry handed on and the parameters left alone, the gradients of all chunks of k steps
    add up to ``tbptt(k1=k, k2=k)``, if k divides T; practice updates them in between
    (``deepseq.train.stream``).

    Returns:
      ``f(params, carry, xs (T, ...), ys (T, ...)) -> ((loss summed over the steps, last carry),
      gradient of params)``.
    """

    def total(params, carry, xs, ys):
        _steps(xs, ys)

        def step(carry, inputs):
            x, target = inputs
            carry, y = cell(params, carry, x)
            return carry, loss(y, target)

        carry, losses = jax.lax.scan(step, carry, (xs, ys))
        return losses.sum(), carry

    return jax.value_and_grad(total, has_aux=True)


def _steps(xs, ys) -> int:
    shapes = [a.shape for a in jax.tree.leaves((xs, ys))]
    if not shapes or any(len(s) < 1 or s[0] != shapes[0][0] for s in shapes) or shapes[0][0] == 0:
        raise ValueError(
            f"inputs and targets of shapes {shapes} must be (T, ...) with the same T of at least 1"
        )
    return shapes[0][0]
