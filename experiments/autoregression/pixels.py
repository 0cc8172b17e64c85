"""Images in the autoregression study: p(pixel | what came before it in the raster)."""

import bisect
import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from ml_collections import ConfigDict, FrozenConfigDict

from deepseq.data import digits
from deepseq.lab.jobs import Session
from deepseq.nets import recurrent as R
from deepseq.nets.blocks.layers import Dense, dense
from deepseq.nets.blocks.net import Net, parameters
from deepseq.nets.recurrent.grid import grid_lstm, grid_lstm_init, grid_rnn, grid_rnn_init
from deepseq.nets.sequences import ar
from experiments.autoregression.training import program, train

LEVELS = 17  # of grey, 0 to 16
SIDE = 8
PLACE = 2 * SIDE  # inputs that say which row and column is to be predicted, the same for all models


class Pixels(NamedTuple):
    """Parameters of a model of pixels."""

    inside: Any  # of the hidden units
    readout: Dense  # H -> LEVELS


class Arm(NamedTuple):
    """What a model keeps of the pixels before."""

    inputs: tuple[str, ...]  # neighbours it is shown
    init: Callable  # (key, D, H) -> params
    states: Callable  # (params, (8, 8, B, D)) -> (8, 8, B, H)


def _raster(layer: Callable) -> Callable:
    def states(params, xs):
        return layer(params, xs.reshape(SIDE * SIDE, *xs.shape[2:]))[1].reshape(*xs.shape[:3], -1)

    return states


def _window(*inputs: str) -> Arm:
    def init(key, d, h):
        return Dense(jax.random.normal(key, (d, h)) * 2**-0.5, jnp.zeros(h))

    return Arm(inputs, init, lambda params, xs: jnp.tanh(dense(params, xs)))


_lstm_init, _grid_lstm_init = (
    functools.partial(init, forget_bias=1.0) for init in (R.lstm_init, grid_lstm_init)
)
ARMS = {
    "place": _window(),
    "left": _window("left"),
    "above": _window("above"),
    "both": _window("left", "above"),
    "four": _window("left", "above", "corner", "ahead"),
    "raster rnn": Arm(("before",), R.rnn_init, _raster(R.rnn)),
    "raster lstm": Arm(("before",), _lstm_init, _raster(R.lstm)),
    "grid rnn": Arm(("left", "above"), grid_rnn_init, grid_rnn),
    "grid rnn ahead": Arm(("left", "above", "ahead"), grid_rnn_init, grid_rnn),
    "grid lstm": Arm(("left", "above"), _grid_lstm_init, grid_lstm),
}
AROUND = {"left": (0, -1), "above": (-1, 0), "corner": (-1, -1), "ahead": (-1, 1)}  # row, column


def images(config: ConfigDict) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Training, validation and test images, levels as ints, (8, 8, N) each."""
    splits = digits.load(config.pixels.validation)
    return tuple(
        np.moveaxis(part.pixels[..., 0].astype(np.int32), 0, -1)
        for part in (splits.train, splits.validation, splits.test)
    )


def inputs(neighbours: tuple[str, ...], levels: Array) -> Array:
    """What a model is shown of each pixel: some around it, its place; (8, 8, B) -> (8, 8, B, D)."""
    shown = []
    padded = jnp.pad(levels, ((1, 0), (1, 1), (0, 0)), constant_values=ar.ABSENT)
    for neighbour in neighbours:
        if neighbour == "before":
            moved = ar.windows(levels.reshape(-1, levels.shape[2]), 1, ar.ABSENT)
            moved = moved.reshape(levels.shape)
        else:
            row, column = AROUND[neighbour]
            moved = padded[1 + row :, 1 + column :][:SIDE, :SIDE]
        shown.append(jax.nn.one_hot(moved, LEVELS))
    row, column = jnp.meshgrid(jnp.arange(SIDE), jnp.arange(SIDE), indexing="ij")
    place = jnp.concatenate([jax.nn.one_hot(row, SIDE), jax.nn.one_hot(column, SIDE)], -1)
    place = jnp.broadcast_to(place[:, :, None], (*levels.shape, PLACE))
    return jnp.concatenate([*shown, place], -1)


def model(name: str, hidden: int) -> Net:
    """The model of an arm: ``apply(params, levels (8, 8, B)) -> logits (8, 8, B, LEVELS)``, those
    of a pixel not seeing it.
    """
    arm = ARMS[name]
    size = LEVELS * len(arm.inputs) + PLACE

    def init(key: Array) -> Pixels:
        inside, out = jax.random.split(key)
        w = jax.random.normal(out, (hidden, LEVELS)) * hidden**-0.5
        return Pixels(arm.init(inside, size, hidden), Dense(w, jnp.zeros(LEVELS)))

    def apply(params: Pixels, levels: Array) -> Array:
        return dense(params.readout, arm.states(params.inside, inputs(arm.inputs, levels)))

    return Net(init, apply)


def width(name: str, budget: int) -> int:
    """The greatest number of hidden units of an arm with at most so many parameters, or 0."""
    widths = range(1, budget + 1)
    return bisect.bisect_right(widths, budget, key=lambda units: parameters(model(name, units)))


def fit(config: FrozenConfigDict, name: str, session: Session) -> dict:
    """Bits per pixel of an arm on test images, where those on validation images are lowest."""
    settings, every = config.pixels, config.measure.every
    hidden = width(name, settings.parameters)
    net = model(name, hidden)
    known, *held = images(config)
    held, split = np.concatenate(held, 2), held[0].shape[2]

    def loss(params, levels):
        return -ar.log_likelihood(net.apply(params, levels), levels).mean()

    def draw(key, known):
        return known[..., jax.random.randint(key, (settings.batch_size,), 0, known.shape[2])]

    @jax.jit
    def evaluate(params):  # bits per pixel on validation and test images, (S, 2)
        logs = jax.vmap(lambda p: ar.log_likelihood(net.apply(p, held), held).mean((0, 1)))(params)
        each = -logs / jnp.log(2.0)
        return jnp.stack([each[:, :split].mean(1), each[:, split:].mean(1)], 1)

    trained = program(net.init, loss, draw, settings, every, data_axis=None)
    bits, firsts = [], []

    def observe(params):
        bits.append(np.asarray(evaluate(params)))
        firsts.append(jax.tree.map(lambda a: jnp.array(a[0]), params))  # the first seed's

    _, record = train(trained, config.seeds, known, session, observe)
    validation, test = np.stack(bits, -1).transpose(1, 0, 2)  # (S, points) each
    stop = np.argmin(np.where(np.isfinite(validation), validation, np.inf), 1)
    finite = np.isfinite(validation[0]).any()
    return {
        "hidden": hidden,
        "parameters": parameters(net),
        "curve": record["curve"] / np.log(2),
        "validation": validation,
        "test": test,
        "bits": test[np.arange(len(test)), stop],
        "finite": record["finite"],
        "samples": sample(net, firsts[stop[0]], settings.samples) if finite else None,
    }


def sample(net: Net, params: Pixels, number: int) -> np.ndarray:
    """Images (number, 8, 8) drawn pixel by pixel in raster order."""

    @jax.jit
    def draw(params):
        def one(place, levels):
            row, column = place // SIDE, place % SIDE
            logits = net.apply(params, levels)[row, column]
            key = jax.random.fold_in(jax.random.key(0), place)
            return levels.at[row, column].set(jax.random.categorical(key, logits))

        return jax.lax.fori_loop(0, SIDE * SIDE, one, jnp.zeros((SIDE, SIDE, number), jnp.int32))

    return np.moveaxis(np.asarray(draw(params)), -1, 0)
