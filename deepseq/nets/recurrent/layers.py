"""Recurrent layers made of others: in both directions, in stacks, on several devices, with dropout.

``unroll`` runs any cell; ``rnn``, ``lstm`` and ``gru`` are the same for these cells, faster. Either
is a *layer*, ``(params, xs, carry, *, lengths) -> (carry, ys)``, of which ``bidirectional`` and
``stack`` make larger layers and ``divided`` one that runs on several devices."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.sharding import Mesh, PartitionSpec

from deepseq.nets.blocks.inside import probe
from deepseq.nets.blocks.layers import check_rate, dropout
from deepseq.nets.recurrent.cells import LSTMState
from deepseq.nets.recurrent.fused import gru, lstm, rnn
from deepseq.nets.recurrent.initialise import gru_init, lstm_init, rnn_init
from deepseq.nets.recurrent.unroll import step_mask, unroll

__all__ = [
    "Dropout",
    "GRU_LAYER",
    "LSTM_LAYER",
    "Layer",
    "RNN_LAYER",
    "Recurrence",
    "as_layer",
    "bidirectional",
    "divided",
    "each_step",
    "learned_carry",
    "stack",
    "whole_sequence",
    "with_dropped_state",
]

Layer = Callable[..., tuple[Any, Array]]
Dropout = Callable[[Array | None, Array], Array]  # (key, ys (T, *batch, H)) -> ys


class Recurrence(NamedTuple):
    """What a net of whole sequences is made of: a cell's init and its layer."""

    init: Callable  # (key, input_size, hidden_size) -> params
    layer: Layer


RNN_LAYER = Recurrence(rnn_init, rnn)
LSTM_LAYER = Recurrence(lstm_init, lstm)
GRU_LAYER = Recurrence(gru_init, gru)


def as_layer(cell: Callable) -> Layer:
    """``unroll`` of a cell as a layer, to be stacked; its carry must be given."""

    def layer(params, xs, carry, *, lengths=None, reverse=False):
        return unroll(cell, params, carry, xs, lengths=lengths, reverse=reverse)

    return layer


def bidirectional(layer: Layer) -> Layer:
    """Two layers side by side, one in each direction (Schuster, Paliwal 1997).

    Args:
      layer: ``rnn``, ``lstm``, ``gru`` or another that takes ``reverse``.

    Returns:
      ``f((forward, backward), xs, (carry, carry) or None, *, lengths=None) -> ((carry, carry), ys
      (T, *batch, 2H))``. Both halves of y_t have seen x_t; the backward carry is the one after each
      sequence's first step.
    """

    def both(params, xs, carry=None, *, lengths=None):
        carries = (None, None) if carry is None else carry
        sides = [
            layer(p, xs, c, lengths=lengths, reverse=reverse)
            for p, c, reverse in zip(params, carries, (False, True), strict=True)
        ]
        (forward, ys), (backward, zs) = sides
        return (forward, backward), jnp.concatenate([ys, zs], axis=-1)

    return both


def stack(layer: Layer, dropout: Dropout | None = None) -> Layer:
    """Layers on top of one another, each fed with the outputs of the one below.

    Args:
      layer: of every level, for example ``lstm`` or ``bidirectional(gru)``.
      dropout: between the layers, ``each_step(rate)`` (Zaremba et al. 2014) or
        ``whole_sequence(rate)``; not after the last.

    Returns:
      ``f(params, xs, carry=None, *, lengths=None, key=None, probes=None) -> (carry, ys)``, params
      and carry one per level; ``key=None`` drops nothing, ``probes`` sees ("level", l), the outputs
      of the l-th level, from 1. ValueError without a level, or where carries and levels differ in
      number.
    """

    def layers(params, xs, carry=None, *, lengths=None, key=None, probes=None):
        if not params or (carry is not None and len(carry) != len(params)):
            raise ValueError(
                f"stack: {len(params)} levels of parameters and {len(carry or ())} carries; give"
                " one per level"
            )
        ends, ys = [], xs
        for level, p in enumerate(params):
            if level and dropout is not None and key is not None:
                ys = dropout(jax.random.fold_in(key, level), ys)
            end, ys = layer(p, ys, None if carry is None else carry[level], lengths=lengths)
            ys = probe(probes, ("level", level + 1), ys)
            ends.append(end)
        return tuple(ends), ys

    return layers


def divided(layer: Layer, mesh: Mesh | None = None) -> Layer:
    """The layer with an equal part of the batch on every device, each running its own loop over the
    steps.

    The products of one step are too small for two cores to share, so that a CPU runs long sequences
    on one core; told of two devices (``jax.config.update("jax_num_cpu_devices", 2)`` before
    anything runs), it runs two halves of the batch at once.

    Args:
      layer: one that treats every sequence alike: ``rnn``, ``lstm``, ``gru``, or ``stack`` or
        ``bidirectional`` of them.
      mesh: of the devices to divide among; None for all.

    Returns:
      ``f(params, xs (T, *batch, D), carry=None, *, lengths=None, **rest) -> (carry, ys)``, the
      first batch dimension divided; ``rest``, such as ``reverse``, is the same for every part, so
      that a dropout key drops the same units in each. Gradients of the parameters are the sum over
      the parts. ValueError where the devices do not divide the batch.
    """

    def parts(params, xs, carry=None, *, lengths=None, **rest):
        over = Mesh(np.array(jax.devices()), ("batch",)) if mesh is None else mesh
        if xs.ndim < 3 or xs.shape[1] % over.size:
            raise ValueError(
                f"divided: xs of shape {xs.shape} cannot be divided among {over.size} devices along"
                " its batch"
            )
        # for its errors: within the parts, lengths are no longer concrete
        step_mask(lengths, xs.shape[0], xs.shape[1:-1])
        everywhere, sequences, steps = (
            PartitionSpec(),
            PartitionSpec(over.axis_names),
            PartitionSpec(None, over.axis_names),
        )
        run = jax.shard_map(
            lambda params, xs, carry, lengths: layer(params, xs, carry, lengths=lengths, **rest),
            mesh=over,
            in_specs=(everywhere, steps, sequences, sequences),
            out_specs=(sequences, steps),
            check_vma=False,
        )
        return run(params, xs, carry, lengths)

    return parts


def each_step(rate: float) -> Dropout:
    """Drops a fraction ``rate`` of all numbers, anew at every step; without a key, nothing."""
    check_rate("dropout", rate)
    return functools.partial(dropout, rate)


def whole_sequence(rate: float) -> Dropout:
    """Drops the same units at every step (Gal, Ghahramani 2016, "variational" dropout)."""
    check_rate("dropout", rate)
    return lambda key, ys: dropout(rate, key, ys, shape=(1, *ys.shape[1:]))


def with_dropped_state(cell: Callable, keep: Array) -> Callable:
    """The cell that sees h times ``keep`` (*batch, H), the same at every step (Gal, Ghahramani
    2016, recurrent dropout).

    For ``keep``, draw ``whole_sequence(rate)(key, jnp.ones((1, *batch, H)))[0]``. An LSTM's c is
    left alone."""

    def dropped(params, carry, x):
        carry = carry._replace(h=carry.h * keep) if isinstance(carry, LSTMState) else carry * keep
        return cell(params, carry, x)

    return dropped


def learned_carry(carry: Any, batch: tuple[int, ...]) -> Any:
    """A carry of parameters, (H,) each, for every sequence of a batch: (*batch, H), through which
    it is learned.
    """
    return jax.tree.map(lambda s: jnp.broadcast_to(s, (*batch, *s.shape)), carry)
