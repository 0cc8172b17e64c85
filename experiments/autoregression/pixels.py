"""The images of the autoregression study: p(pixel | what came before it in the raster), by what a
model keeps of that.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from ml_collections import ConfigDict

from deepseq.data import digits
from deepseq.nets import recurrent as R
from deepseq.nets.blocks.layers import Dense, dense
from deepseq.nets.blocks.net import Net
from deepseq.nets.recurrent.grid import grid_lstm, grid_lstm_init, grid_rnn, grid_rnn_init
from deepseq.nets.sequences import ar
from experiments.autoregression.training import program, training

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


def _hidden_init(key, d, h):
    return Dense(jax.random.normal(key, (d, h)) * 2**-0.5, jnp.zeros(h))


def _hidden(params, xs):
    return jnp.tanh(dense(params, xs))


_lstm_init, _grid_lstm_init = (
    functools.partial(init, forget_bias=1.0) for init in (R.lstm_init, grid_lstm_init)
)
ARMS = {
    "place": Arm((), _hidden_init, _hidden),
    "left": Arm(("left",), _hidden_init, _hidden),
    "above": Arm(("above",), _hidden_init, _hidden),
    "both": Arm(("left", "above"), _hidden_init, _hidden),
    "four": Arm(("left", "above", "corner", "ahead"), _hidden_init, _hidden),
    "raster rnn": Arm(("before",), R.rnn_init, _raster(R.rnn)),
    "raster lstm": Arm(("before",), _lstm_init, _raster(R.lstm)),
    "grid rnn": Arm(("left", "above"), grid_rnn_init, grid_rnn),
    "grid rnn ahead": Arm(("left", "above", "ahead"), grid_rnn_init, grid_rnn),
    "grid lstm": Arm(("left", "above"), _grid_lstm_init, grid_lstm),
}


def images(config: ConfigDict) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Training, validation and test images, levels as ints, (8, 8, N) each."""
    splits = digits.load(config.pixels.validation)
    return tuple(
        np.moveaxis(part.pixels[..., 0].astype(np.int32), 0, -1)
        for part in (splits.train, splits.validation, splits.test)
    )


def inputs(neighbours: tuple[str, ...], levels: Array) -> Array:
    """What a model is shown of the pixels around each one, and its place: (8, 8, B) ints -> (8, 8,
    B, D).
    """
    shown = []
    for neighbour in neighbours:
        moved = {
            "left": jnp.pad(levels, ((0, 0), (1, 0), (0, 0)), constant_values=ar.ABSENT)[:, :-1],
            "above": jnp.pad(levels, ((1, 0), (0, 0), (0, 0)), constant_values=ar.ABSENT)[:-1],
            "corner": jnp.pad(levels, ((1, 0), (1, 0), (0, 0)), constant_values=ar.ABSENT)[
                :-1, :-1
            ],
            "ahead": jnp.pad(levels, ((1, 0), (0, 1), (0, 0)), constant_values=ar.ABSENT)[
                :-1, 1:
            ],  # above, to the right
            "before": (
                ar.windows(levels.reshape(-1, levels.shape[2]), 1, ar.ABSENT).reshape(levels.shape)
            ),
        }[neighbour]
        shown.append(jax.nn.one_hot(moved, LEVELS))
    row, column = jnp.meshgrid(jnp.arange(SIDE), jnp.arange(SIDE), indexing="ij")
    place = jnp.concatenate([jax.nn.one_hot(row, SIDE), jax.nn.one_hot(column, SIDE)], -1)[
        :, :, None
    ]
    return jnp.concatenate([*shown, jnp.broadcast_to(place, (*levels.shape, PLACE))], -1)


def model(name: str, hidden: int) -> Net:
    """The model of an arm: ``apply(params, levels (8, 8, B)) -> logits (8, 8, B, LEVELS)``, those
    of a pixel not seeing it.
    """
    arm = ARMS[name]
    size = LEVELS * len(arm.inputs) + PLACE

    def init(key: Array) -> Pixels:
        inside, out = jax.random.split(key)
        return Pixels(
            arm.init(inside, size, hidden),
            Dense(jax.random.normal(out, (hidden, LEVELS)) * hidden**-0.5, jnp.zeros(LEVELS)),
        )

    def apply(params: Pixels, levels: Array) -> Array:
        return dense(params.readout, arm.states(params.inside, inputs(arm.inputs, levels)))

    return Net(init, apply)


def count(name: str, hidden: int) -> int:
    """Parameters of an arm's model of that width."""
    shapes = jax.eval_shape(model(name, hidden).init, jax.random.key(0))
    return sum(leaf.size for leaf in jax.tree.leaves(shapes))


def width(name: str, parameters: int) -> int:
    """The greatest number of hidden units with at most so many parameters; 0 where one unit has
    more.
    """
    low, high = 0, parameters
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if count(name, middle) <= parameters else (low, middle - 1)
    return low


def train(config: ConfigDict, name: str, stopping: Callable[[], bool]) -> dict:
    """Trains an arm and records its bits per pixel on the test images, where those on the
    validation images are lowest.
    """
    own, every = config.pixels, config.measure.every
    hidden = width(name, own.parameters)
    net = model(name, hidden)
    known, *held = images(config)
    held, split = np.concatenate(held, 2), held[0].shape[2]

    def loss(params, levels):
        return -ar.log_likelihood(net.apply(params, levels), levels).mean()

    def draw(key, known):
        return known[..., jax.random.randint(key, (own.batch_size,), 0, known.shape[2])]

    trained = program(
        net.init, loss, draw, rate=own.rate, updates=own.updates, every=every, data_axis=None
    )

    @jax.jit
    def judge(params):
        each = -jax.vmap(lambda p: ar.log_likelihood(net.apply(p, held), held).mean((0, 1)))(
            params
        ) / jnp.log(2.0)
        return jnp.stack([each[:, :split].mean(1), each[:, split:].mean(1)], 1)

    curve, judged, finite, best, first = [], [], [], np.inf, None
    for params, losses, fine in training(trained, config.seeds, known, stopping, {"pixels": name}):
        curve.append(losses / np.log(2))
        judged.append(np.asarray(judge(params)))
        finite.append(fine)
        if judged[-1][0, 0] < best:  # the first seed's, for its samples
            best, first = judged[-1][0, 0], jax.tree.map(lambda a: jnp.array(a[0]), params)
    validation, test = np.stack(judged, -1).transpose(1, 0, 2)  # (S, points) each
    stop = np.argmin(np.where(np.isfinite(validation), validation, np.inf), 1)
    return {
        "hidden": hidden,
        "parameters": count(name, hidden),
        "curve": np.stack(curve, 1),
        "validation": validation,
        "test": test,
        "bits": test[np.arange(len(test)), stop],
        "finite": np.all(finite, 0),
        "samples": (
            None
            if first is None
            else np.moveaxis(np.asarray(_draw(net, own.samples)(first)), -1, 0)
        ),
    }


def _draw(net: Net, number: int) -> Callable:
    """params -> images (8, 8, number) drawn pixel by pixel in raster order."""

    @jax.jit
    def draw(params):
        def one(place, levels):
            row, column = place // SIDE, place % SIDE
            logits = net.apply(params, levels)[row, column]
            return levels.at[row, column].set(
                jax.random.categorical(jax.random.fold_in(jax.random.key(0), place), logits)
            )

        return jax.lax.fori_loop(0, SIDE * SIDE, one, jnp.zeros((SIDE, SIDE, number), jnp.int32))

    return draw
