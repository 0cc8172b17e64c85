"""The two nets of the study on zip codes, with their images, losses and optimisers."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array
from ml_collections import ConfigDict

from deepseq.data import bitmaps, digits, mnist, usps
from deepseq.nets.blocks.net import Net
from deepseq.nets.images import lenet
from deepseq.train.losses import squared_error

NETS = ("zip_codes", "lenet5")
DATA = {"zip_codes": ("digits", "usps"), "lenet5": ("digits", "mnist")}
FEATURES = {"zip_codes": ("map", "h2"), "lenet5": ("map", "s4")}  # the probe of a net's last maps
PAPER, INK = (
    -0.1,
    1.175,
)  # grey values of LeNet-5's images: about mean 0 and variance 1 (section II.B)
RUBBISH = 0.1  # j of equation 9, the penalty of an image that is no digit


class Part(NamedTuple):
    """Images as a net reads them."""

    images: np.ndarray  # (N, H, W, 1) float32
    labels: np.ndarray  # (N,) int32


class Problem(NamedTuple):
    """A net, what it reads and how it is trained."""

    net: Net
    train: Part
    test: Part
    loss: Callable  # (outputs (B, 10), labels (B,)) -> (B,)
    optimizer: Callable  # steps -> optax.GradientTransformation
    own: Any  # the net's part of the config
    origin: str


def problem(config: ConfigDict, name: str) -> Problem:
    """Reads the images and builds the net; DataError where the images are not there."""
    own = config[name]
    splits = {"digits": digits.load, "usps": usps.load, "mnist": mnist.load}[own.data]()
    if name == "zip_codes":
        net, loss, size, (paper, ink) = lenet.zip_codes(), squared_error, 16, (-1.0, 1.0)
    else:
        net, loss, size, (paper, ink) = (
            lenet.lenet5(jnp.asarray(bitmaps.digits())),
            maximum_a_posteriori,
            32,
            (PAPER, INK),
        )

    def part(given) -> Part:
        grey = (
            given.pixels
            if own.data == "usps"
            else paper + (ink - paper) * splits.scale * given.pixels.astype(np.float32)
        )
        return Part(fitted(np.asarray(grey, np.float32), size, paper), given.labels)

    def optimizer(steps: int) -> optax.GradientTransformation:
        if name == "zip_codes":
            return optax.sgd(optax.linear_schedule(own.rate, own.rate / 3, steps))
        return optax.adam(optax.cosine_decay_schedule(own.rate, steps))

    return Problem(net, part(splits.train), part(splits.test), loss, optimizer, own, splits.origin)


def fitted(images: np.ndarray, size: int, paper: float) -> np.ndarray:
    """Images (N, H, W, 1) enlarged by a whole number, as far as they fit, in the middle of (N,
    size, size, 1) of paper.
    """
    times = size // images.shape[1]
    large = images.repeat(times, 1).repeat(times, 2)
    before = (size - large.shape[1]) // 2
    pads = (before, size - large.shape[1] - before)
    return np.pad(large, ((0, 0), pads, pads, (0, 0)), constant_values=paper)


def maximum_a_posteriori(outputs: Array, labels: Array) -> Array:
    """y_D + log(e^-j + sum_i e^-y_i) of the penalties y = -outputs (B, 10): the paper's equation 9
    -> (B,).
    """
    right = jnp.take_along_axis(outputs, labels[:, None], axis=1)[:, 0]
    return jnp.logaddexp(-RUBBISH, jax.nn.logsumexp(outputs, axis=1)) - right
