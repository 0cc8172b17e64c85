"""The nets at initialisation that the gradient-flow study looks at, all nets of one cell stacked
for ``jax.vmap``.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from ml_collections import ConfigDict

from deepseq.nets.recurrent import (
    GRU,
    LSTM,
    RNN,
    LSTMState,
    gru_cell,
    gru_init,
    lstm_cell,
    lstm_init,
    orthogonal,
    rnn_cell,
    rnn_init,
)
from experiments.gradient_flow import measures

ACTIVATIONS = {"tanh": jnp.tanh, "sigmoid": jax.nn.sigmoid, "relu": jax.nn.relu}
SLOPES = {"tanh": 1.0, "sigmoid": 0.25, "relu": 1.0}  # gamma, the sup of the activation's slope
RECURRENCES = {
    "tanh": ("orthogonal", "gaussian"),
    "sigmoid": ("orthogonal", "gaussian"),
    "relu": ("orthogonal", "gaussian", "identity"),
    "gru": ("orthogonal",),
    "lstm": ("orthogonal",),
}
GATED = ("leaky", "gru", "lstm")
CELLS = (*ACTIVATIONS, *GATED)


class Draws(NamedTuple):
    """The random numbers of one seed."""

    usual: dict[str, RNN | GRU | LSTM]  # nets as torch initialises them
    orthogonal: np.ndarray  # (4, H, H), one for each gate
    gaussian: np.ndarray  # (H, H), of spectral radius 1
    # (D, 4H), what x ~ N(0, 1) adds to a pre-activation has a standard deviation of 1
    inputs: np.ndarray
    xs: np.ndarray  # (T, D)


class Leaky(NamedTuple):
    """Parameters of an RNN with a leaky skip: a gate that is a constant."""

    rnn: RNN
    keep: Array  # (), share of the old state that is kept


def leaky_cell(params: Leaky, carry: Array, x: Array) -> tuple[Array, Array]:
    """h' = k h + (1 - k) tanh(x W_x + h W_h + b), and y = h' (leaky integrator units, Jaeger et al.
    2007).
    """
    h = params.keep * carry + (1 - params.keep) * rnn_cell(params.rnn, carry, x)[0]
    return h, h


def tags(config: ConfigDict, cell: str) -> list[dict[str, Any]]:
    """What tells the nets of one cell apart, in the order of their stack.

    recurrence: how W is drawn; radius: its spectral radius; driven: whether the net gets inputs, or
    rests at 0. Of nets with the usual initialisation (torch's uniform, no radius set) keep is the
    bias of the gate that keeps the old state, None for the RNN, which has none."""
    rests = (True, False) if cell == "tanh" else (True,)
    swept = [
        {"recurrence": recurrence, "radius": radius, "driven": driven}
        for driven in rests
        for recurrence in RECURRENCES.get(cell, ())
        for radius in config.flow.radii
    ]
    usual = {"tanh": [None], "sigmoid": [], "relu": []}.get(cell, config.flow.keeps)
    return swept + [{"recurrence": "uniform", "driven": True, "keep": keep} for keep in usual]


def draw(config: ConfigDict, seed: int) -> Draws:
    """All that the nets of one seed share, so that they are paired."""
    flow, rng = config.flow, np.random.default_rng([seed, 0])
    return Draws(
        *jax.device_get(_draw(jax.random.key(seed), flow.inputs, flow.hidden)),
        gaussian=measures.gaussian(rng, flow.hidden),
        inputs=rng.standard_normal((flow.inputs, 4 * flow.hidden), np.float32) * flow.inputs**-0.5,
        xs=rng.standard_normal((flow.steps, flow.inputs), np.float32),
    )


@functools.partial(jax.jit, static_argnums=(1, 2))
def _draw(key: Array, inputs: int, hidden: int):
    keys = jax.random.split(key, 4)
    usual = {
        "tanh": rnn_init(keys[0], inputs, hidden),
        "gru": gru_init(keys[1], inputs, hidden),
        "lstm": lstm_init(keys[2], inputs, hidden),
    }
    return usual, jax.vmap(lambda k: orthogonal()(k, (hidden, hidden)))(
        jax.random.split(keys[3], 4)
    )


def stack(config: ConfigDict, cell: str, draws: Draws) -> Any:
    """The parameters of all nets of one cell, in the order of ``tags``, as NumPy arrays with a
    leading axis of nets.
    """
    nets = [
        _usual(cell, tag["keep"], draws) if "keep" in tag else _swept(config, cell, tag, draws)
        for tag in tags(config, cell)
    ]
    return jax.tree.map(lambda *parts: np.stack(parts).astype(np.float32), *nets)


def jacobians(config: ConfigDict, cell: str) -> Callable[[Any, Array, Array], Array]:
    """``f(stack, driven (nets,), xs (T, D)) -> (nets, T, N, N)``: every net of one cell run, and
    its Jacobian at each step.
    """
    zero = jnp.zeros(config.flow.hidden)
    carry = LSTMState(zero, zero) if cell == "lstm" else zero
    step = {"leaky": leaky_cell, "gru": gru_cell, "lstm": lstm_cell}.get(cell)
    if step is None:
        step = functools.partial(rnn_cell, activation=ACTIVATIONS[cell])

    def one(params, driven, xs):
        return measures.jacobians(step, params, carry, driven * xs)

    return jax.jit(jax.vmap(one, (0, 0, None)))


def theory(cell: str, tag: dict[str, Any], draws: Draws) -> dict[str, float]:
    """What is known of one RNN before it runs; {} for gated cells, and for nets without a radius.

    log10 of "bound", gamma |W|, the most that one step can stretch a gradient (Pascanu et al. 2013,
    section 2.2), where |W| is the largest singular value: below 1 vanishing is certain, above 1
    explosion is possible; and of "det", |det W|."""
    if cell not in SLOPES or "radius" not in tag:
        return {}
    w = tag["radius"] * draws.gaussian.astype(np.float64)
    norm = np.linalg.norm(w, ord=2) if tag["recurrence"] == "gaussian" else tag["radius"]
    det = (
        np.linalg.slogdet(w)[1] / np.log(10)
        if tag["recurrence"] == "gaussian"
        else len(w) * np.log10(tag["radius"])
    )
    return {"bound": float(np.log10(SLOPES[cell] * norm)), "det": float(det)}


def with_keep_bias(params: LSTM | GRU, keep: float) -> LSTM | GRU:
    """The net whose gate that keeps the old state has this bias: an LSTM's f, a GRU's z."""
    h = params.wh.shape[0]
    kept = np.arange(params.wh.shape[1]) // h == 1  # f and z are both the second block
    if isinstance(params, LSTM):
        return params._replace(b=np.where(kept, keep, params.b))
    return params._replace(bx=np.where(kept, keep, params.bx), bh=np.where(kept, 0, params.bh))


def _swept(config: ConfigDict, cell: str, tag: dict[str, Any], draws: Draws) -> RNN | GRU | LSTM:
    """A net whose recurrent matrix, or every gate's, has the tag's spectral radius; biases are
    zero.
    """
    h, blocks = config.flow.hidden, {"gru": 3, "lstm": 4}.get(cell, 1)
    one = {
        "orthogonal": np.concatenate(draws.orthogonal[:blocks], axis=1),
        "gaussian": draws.gaussian,
        "identity": np.eye(h),
    }
    wx = config.flow.drive * draws.inputs[:, : blocks * h]
    wh, zero = tag["radius"] * one[tag["recurrence"]], np.zeros(blocks * h)
    return (
        GRU(wx, wh, zero, zero)
        if cell == "gru"
        else (LSTM if cell == "lstm" else RNN)(wx, wh, zero)
    )


def _usual(cell: str, keep: float | None, draws: Draws) -> RNN | Leaky | GRU | LSTM:
    if cell == "leaky":
        return Leaky(draws.usual["tanh"], np.asarray(1 / (1 + np.exp(-keep))))
    return draws.usual["tanh"] if cell == "tanh" else with_keep_bias(draws.usual[cell], keep)
