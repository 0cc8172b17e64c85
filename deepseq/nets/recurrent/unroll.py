"""A cell over time: ``unroll`` runs any cell through ``jax.lax.scan``, and gets every edge of a
padded batch right.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

__all__ = ["Carry", "Cell", "sequence_shape", "step_mask", "unroll", "with_carries", "with_gates"]

Carry = Any
Cell = Callable[[Any, Carry, Any], tuple[Carry, Any]]  # (params, carry, x) -> (carry, y)


def unroll(
    cell: Cell,
    params: Any,
    carry: Carry,
    xs: Any,
    *,
    lengths: Array | None = None,
    reverse: bool = False,
    reset: Array | None = None,
    initial: Carry | None = None,
    chunk: int | None = None,
) -> tuple[Carry, Any]:
    """Applies a cell to every step of a batch of sequences.

    Args:
      cell: ``(params, carry, x) -> (carry, y)``.
      params: the cell's, the same at every step.
      carry: before the first step, arrays (*batch, ...).
      xs: (T, *batch, D), or a tree of such arrays; any number of batch dimensions.
      lengths: (*batch) ints from 0 to T, or None where every sequence has T steps. What lies beyond
        a length is padding: the carry is that after the sequence's own last step, outputs there are
        zero, and nothing in the padding, not even NaN, reaches values or gradients. The cell sees
        a first step of the batch in its place, and so nothing that it may not be able to do.
      reverse: goes from each sequence's own last step to its first; y_t stays at t, as in
        ``jax.lax.scan``.
      reset: (T, *batch) bools; where true, the carry becomes ``initial`` before this step.
      initial: what ``reset`` resets to; None for zeros.
      chunk: steps between the carries that the backward pass stores; the others are computed again
        (``jax.checkpoint``). About sqrt(T) takes the least memory. None stores all of them.

    Returns:
      (carry after the last step, ys (T, *batch, ...)). Under jit, lengths cannot be checked: a
      length beyond T counts as T, a negative one as 0.

    Raises:
      ValueError: an empty batch, or lengths, reset or chunk that do not fit xs.
    """
    steps, batch = sequence_shape(xs, carry)
    mask = step_mask(lengths, steps, batch)
    if reset is not None and (reset.shape != (steps, *batch) or reset.dtype != bool):
        raise ValueError(
            f"unroll: reset must be bools of shape {(steps, *batch)}, not {reset.dtype}"
            f" {reset.shape}"
        )
    if initial is None:
        initial = jax.tree.map(jnp.zeros_like, carry)
    if mask is not None and steps:
        xs = jax.tree.map(lambda x: _where(mask, x, _first_step(mask[0], x[0])), xs)

    def step(carry, inputs):
        x, valid, starts = inputs
        if starts is not None:
            carry = jax.tree.map(lambda new, old: _where(starts, new, old), initial, carry)
        new, y = cell(params, carry, x)
        if valid is None:
            return new, y
        new = jax.tree.map(lambda new, old: _where(valid, new, old), new, carry)
        return new, jax.tree.map(lambda y: _where(valid, y, 0), y)

    inputs = (xs, mask, None if reset is None else reset if mask is None else reset & mask)
    if chunk is None:
        return jax.lax.scan(step, carry, inputs, reverse=reverse)
    return _checkpointed(step, carry, inputs, steps, reverse, chunk)


def _checkpointed(step, carry, inputs, steps, reverse, chunk):
    """The same scan in chunks of time, of which only the first carry is stored."""
    if chunk < 1:
        raise ValueError(f"unroll: chunk is {chunk}, but must be at least 1 step")
    whole = steps // chunk * chunk
    run = jax.checkpoint(
        lambda carry, part: jax.lax.scan(step, carry, part, reverse=reverse), prevent_cse=False
    )

    def head(carry):
        blocks = jax.tree.map(lambda a: a[:whole].reshape(-1, chunk, *a.shape[1:]), inputs)
        carry, ys = jax.lax.scan(run, carry, blocks, reverse=reverse)
        return carry, jax.tree.map(lambda y: y.reshape(whole, *y.shape[2:]), ys)

    def tail(carry):
        return run(carry, jax.tree.map(lambda a: a[whole:], inputs))

    first, second = (tail, head) if reverse else (head, tail)
    carry, one = first(carry)
    carry, two = second(carry)
    return carry, jax.tree.map(
        lambda a, b: jnp.concatenate([b, a] if reverse else [a, b]), one, two
    )


def with_carries(cell: Cell) -> Cell:
    """The cell whose output is (carry', y), so that ``unroll`` returns the carry after every step
    beside the outputs.
    """

    def cell_with_carries(params, carry, x):
        carry, y = cell(params, carry, x)
        return carry, (carry, y)

    return cell_with_carries


def with_gates(cell: Cell, gates: Callable) -> Cell:
    """The cell whose output is (gates, y), ``gates`` being ``lstm_gates`` or ``gru_gates``."""

    def cell_with_gates(params, carry, x):
        seen = gates(params, carry, x)
        carry, y = cell(params, carry, x)
        return carry, (seen, y)

    return cell_with_gates


def sequence_shape(xs: Any, carry: Carry) -> tuple[int, tuple[int, ...]]:
    """T and the batch dimensions, the carry's; ValueError where xs do not have them or the batch is
    empty.
    """
    states, shapes = ([leaf.shape for leaf in jax.tree.leaves(tree)] for tree in (carry, xs))
    batch = states[0][:-1] if states else ()
    steps = {shape[:1] for shape in shapes}
    if (
        len(steps) != 1
        or () in steps
        or any(shape[1 : 1 + len(batch)] != batch for shape in shapes)
    ):
        raise ValueError(
            f"sequences of shapes {shapes} do not fit carries of shapes {states}: (T, *batch, D),"
            " (*batch, H)"
        )
    if 0 in batch:
        raise ValueError(f"sequences of shapes {shapes} are an empty batch")
    return shapes[0][0], batch


def step_mask(lengths: Array | None, steps: int, batch: tuple[int, ...]) -> Array | None:
    """(T, *batch) bools, true at a sequence's own steps; None where all are. ValueError for lengths
    that do not fit.
    """
    if lengths is None:
        return None
    if not isinstance(lengths, jax.core.Tracer):
        lengths = np.asarray(lengths)
        if lengths.dtype.kind not in "iu":
            raise ValueError(f"lengths must be integers, not {lengths.dtype}")
        if lengths.size and (lengths.min() < 0 or lengths.max() > steps):
            raise ValueError(
                f"lengths must be from 0 to the {steps} steps of xs, not {lengths.min()} to"
                f" {lengths.max()}"
            )
    elif not jnp.issubdtype(lengths.dtype, jnp.integer):
        raise ValueError(f"lengths must be integers, not {lengths.dtype}")
    if lengths.shape != batch:
        raise ValueError(f"lengths have shape {lengths.shape}, but the batch is {batch}")
    return jnp.arange(steps).reshape(-1, *[1] * len(batch)) < lengths


def _first_step(begins: Array, x: Array) -> Array:
    """The first step of each sequence, and for those of none that of another: (*batch, ...)."""
    flat = x.reshape(begins.size, *x.shape[begins.ndim :])
    other = jnp.where(begins.any(), flat[jnp.argmax(begins)], 0)
    return jax.lax.stop_gradient(_where(begins, x, other)).astype(x.dtype)


def _where(mask: Array, x: Array, otherwise: Any) -> Array:
    return jnp.where(mask.reshape(*mask.shape, *[1] * (x.ndim - mask.ndim)), x, otherwise)
