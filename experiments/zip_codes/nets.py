"""The two nets of the study on zip codes, with their images, losses and optimisers."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from deepseq.data import bitmaps, digits, mnist, usps
from deepseq.data.source import Images, Splits
from deepseq.nets.blocks.net import Classifier
from deepseq.nets.images import lenet
from deepseq.train.losses import squared_error

NETS = ("zip_codes", "lenet5")
DATA = {"zip_codes": ("digits", "usps"), "lenet5": ("digits", "mnist")}
FEATURES = {"zip_codes": ("map", "h2"), "lenet5": ("map", "s4")}  # the probe of a net's last maps
# pixels on a side, and the grey values of paper and ink; LeNet-5's give about mean 0 and variance 1
# (section II.B)
IMAGES = {"zip_codes": (16, -1.0, 1.0), "lenet5": (32, -0.1, 1.175)}
RUBBISH = 0.1  # j of equation 9, the penalty of an image that is no digit


def build(name: str) -> tuple[Classifier, Callable]:
    """A net and its loss: (outputs (B, 10), labels (B,)) -> (B,)."""
    if name == "zip_codes":
        return lenet.zip_codes(), squared_error
    return lenet.lenet5(jnp.asarray(bitmaps.digits())), maximum_a_posteriori


def make_optimizer(name: str, rate: float, steps: int) -> optax.GradientTransformation:
    """Of a net that is trained for so many steps."""
    if name == "zip_codes":
        return optax.sgd(optax.linear_schedule(rate, rate / 3, steps))
    return optax.adam(optax.cosine_decay_schedule(rate, steps))


def read(name: str, data: str) -> Splits:
    """Images as a net takes them, (N, H, W, 1) float32; DataError where they are not there."""
    splits = {"digits": digits.load, "usps": usps.load, "mnist": mnist.load}[data]()
    size, paper, ink = IMAGES[name]

    def prepare(part: Images) -> Images:
        grey = part.pixels
        if data != "usps":
            grey = paper + (ink - paper) * splits.scale * grey.astype(np.float32)
        return part._replace(pixels=fitted(np.asarray(grey, np.float32), size, paper))

    return splits._replace(train=prepare(splits.train), test=prepare(splits.test))


def fitted(images: np.ndarray, size: int, paper: float) -> np.ndarray:
    """Images (N, H, W, 1), enlarged by a whole number, amid (N, size, size, 1) of paper."""
    times = size // images.shape[1]
    large = images.repeat(times, 1).repeat(times, 2)
    before = (size - large.shape[1]) // 2
    pads = (before, size - large.shape[1] - before)
    return np.pad(large, ((0, 0), pads, pads, (0, 0)), constant_values=paper)


def maximum_a_posteriori(outputs: Array, labels: Array) -> Array:
    """y_D + log(e^-j + sum_i e^-y_i) of the penalties y = -outputs (B, 10) -> (B,): equation 9."""
    right = jnp.take_along_axis(outputs, labels[:, None], axis=1)[:, 0]
    return jnp.logaddexp(-RUBBISH, jax.nn.logsumexp(outputs, axis=1)) - right
