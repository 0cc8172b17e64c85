"""Going deeper with convolutions (Szegedy et al. 2014, arXiv 1409.4842), table 1, to the letter:
5x5 kernels, biases, no batch norm.

    6 998 552 parameters, 13 378 280 with both auxiliary classifiers

    layer             output, of 224x224
    conv 7x7/2        112x112x64
    pool 3x3/2        56x56, normalised
    conv 1x1, 3x3     56x56x192, normalised
    pool 3x3/2        28x28
    inception 3a 3b   28x28x256, 480
    pool 3x3/2        14x14
    inception 4a..4e  14x14x512, 512, 512, 528, 832      auxiliary classifiers look at 4a and 4d
    pool 3x3/2        7x7
    inception 5a 5b   7x7x832, 1024
    mean, dropout     1024
    dense             1000

Many know a later net by this name, with batch norm and 3x3 kernels in place of the 5x5: it is
``googlenet_batch_norm``. The paper says that it normalises but not with which numbers: k = 1, alpha
= 2e-5, n = 5, beta = 0.75, as later implementations have them."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from deepseq.nets.blocks.initialise import he_normal, weight
from deepseq.nets.blocks.inside import Probes, probe
from deepseq.nets.blocks.layers import (
    Conv,
    Dense,
    check_images,
    dense,
    dropout,
    global_average_pool,
    relu_conv,
)
from deepseq.nets.blocks.net import Classifier, split
from deepseq.nets.blocks.pool import average_pool, local_response_norm, max_pool

__all__ = [
    "Auxiliary",
    "GoogLeNet",
    "HALF_WAY",
    "Inception",
    "Logits",
    "SMALLEST",
    "SMALLEST_WITH_AUXILIARY",
    "STAGES",
    "TABLE",
    "googlenet",
    "inception",
    "table",
    "with_auxiliary",
]

# Columns #1x1, #3x3 reduce, #3x3, #5x5 reduce, #5x5, pool proj of table 1
TABLE = {
    "3a": (64, 96, 128, 16, 32, 32),
    "3b": (128, 128, 192, 32, 96, 64),
    "4a": (192, 96, 208, 16, 48, 64),
    "4b": (160, 112, 224, 24, 64, 64),
    "4c": (128, 128, 256, 24, 64, 64),
    "4d": (112, 144, 288, 32, 64, 64),
    "4e": (256, 160, 320, 32, 128, 128),
    "5a": (256, 160, 320, 32, 128, 128),
    "5b": (384, 192, 384, 48, 128, 128),
}
HALF_WAY = ("4a", "4d")  # what the auxiliary classifiers look at
SMALLEST = 31  # pixels, of which the last pooling finds two
# pixels, of which 4a has the 5x5 that the auxiliary classifiers' pooling takes
SMALLEST_WITH_AUXILIARY = 79
STAGES = ("3b", "4e", "5b")  # the last inceptions before a pooling and before the mean


class Inception(NamedTuple):
    """Parameters of four branches, whose outputs stand side by side."""

    one: Conv  # 1x1
    three_reduce: Conv  # 1x1
    three: Conv  # 3x3
    five_reduce: Conv  # 1x1
    five: Conv  # 5x5
    pool: Conv  # 1x1, after a maximum of 3x3


class Auxiliary(NamedTuple):
    """Parameters of a classifier half-way (section 5)."""

    conv: Conv  # 1x1, 128
    fc1: Dense  # 1024
    fc2: Dense


class GoogLeNet(NamedTuple):
    """Parameters of the net."""

    conv1: Conv
    conv2: Conv
    conv3: Conv
    inceptions: tuple[Inception, ...]  # in the order of TABLE
    fc: Dense
    auxiliary: tuple[Auxiliary, ...]  # of 4a and 4d, or none


class Logits(NamedTuple):
    """What the net with auxiliary classifiers answers; the paper adds their losses, weighted by
    0.3, in training alone.
    """

    main: Array  # (B, classes)
    at_4a: Array  # (B, classes)
    at_4d: Array  # (B, classes)


def googlenet(classes: int = 1000, in_channels: int = 3) -> Classifier:
    """The net without auxiliary classifiers, for images of any size of at least 31 x 31.

    Returns:
      Classifier of three stages, up to 3b, 4e and 5b; ``probes`` sees ("inception", name), ``key``
      is dropout's, at 0.4. Weights are drawn as He et al. (2015) have it, as the paper names no
      law; biases are 0. ValueError for other or smaller images.
    """

    def features(
        params: GoogLeNet,
        x: Array,
        *,
        running,
        key: Array | None,
        probes: Probes | None = None,
        stages: bool = False,
    ):
        del running, key
        check_images("googlenet", x, in_channels, SMALLEST)
        outputs = _body(params, x, probes)
        return tuple(outputs[name] for name in STAGES) if stages else outputs["5b"], ()

    def apply(
        params: GoogLeNet, x: Array, *, running, key: Array | None, probes: Probes | None = None
    ):
        x, _ = features(params, x, running=running, key=key, probes=probes)
        return dense(params.fc, dropout(0.4, key, global_average_pool(x))), ()

    def init(key: Array) -> GoogLeNet:
        return he_normal(key, table(_conv, 5, classes, in_channels))

    return Classifier(init, apply, features)


def with_auxiliary(classes: int = 1000, image_size: int = 224, in_channels: int = 3) -> Classifier:
    """The net with both auxiliary classifiers, each with a dropout of 0.7, whose dense layers fix
    the size of the images.

    Returns:
      as ``googlenet``, with ``Logits`` in place of (B, classes). ValueError but from ``features``
      for images other than square ones of ``image_size``, which is at least 79.
    """
    if image_size < SMALLEST_WITH_AUXILIARY:
        raise ValueError(
            f"googlenet.with_auxiliary: image_size is {image_size}, but the smallest is"
            f" {SMALLEST_WITH_AUXILIARY}"
        )
    # half of it, three poolings, and that of the classifiers
    side = (-(-image_size // 2) // 8 - 5) // 3 + 1

    def apply(
        params: GoogLeNet, x: Array, *, running, key: Array | None, probes: Probes | None = None
    ):
        del running
        check_images("googlenet.with_auxiliary", x, in_channels, SMALLEST, image_size)
        keys = split(key, 3)
        outputs = _body(params, x, probes)
        main = dense(params.fc, dropout(0.4, keys[0], global_average_pool(outputs["5b"])))
        others = (
            _classify(p, outputs[name], k)
            for p, name, k in zip(params.auxiliary, HALF_WAY, keys[1:], strict=True)
        )
        return Logits(main, *others), ()

    def init(key: Array) -> GoogLeNet:
        return he_normal(key, table(_conv, 5, classes, in_channels, side))

    return Classifier(init, apply, googlenet(classes, in_channels).features)


def inception(params: Inception, x: Array) -> Array:
    """1x1, 3x3 and 5x5 convolutions and a maximum of 3x3, side by side: (B, H, W, C) -> (B, H, W,
    C') (figure 2b).
    """
    one = relu_conv(params.one, x)
    three = relu_conv(params.three, relu_conv(params.three_reduce, x))
    five = relu_conv(params.five, relu_conv(params.five_reduce, x))
    pooled = relu_conv(params.pool, max_pool(x, 3, stride=1, padding=((1, 1), (1, 1))))
    return jnp.concatenate([one, three, five, pooled], -1)


def _body(params: GoogLeNet, x: Array, probes: Probes | None) -> dict[str, Array]:
    """The output of every inception by its name."""
    x = relu_conv(params.conv1, x, stride=2, padding=((3, 3), (3, 3)))
    x = _normalise(max_pool(x, 3, stride=2, padding="CEIL"))
    x = _normalise(relu_conv(params.conv3, relu_conv(params.conv2, x)))
    outputs = {}
    for name, block in zip(TABLE, params.inceptions, strict=True):
        if name in ("3a", "4a", "5a"):
            x = max_pool(x, 3, stride=2, padding="CEIL")
        x = outputs[name] = probe(probes, ("inception", name), inception(block, x))
    return outputs


def _classify(params: Auxiliary, x: Array, key: Array | None) -> Array:
    x = relu_conv(params.conv, average_pool(x, 5, stride=3))
    x = jax.nn.relu(dense(params.fc1, x.reshape(len(x), -1)))
    return dense(params.fc2, dropout(0.7, key, x))


def _normalise(x: Array) -> Array:
    return local_response_norm(x, k=1.0, alpha=2e-5)


def table(
    conv: Callable, five: int, classes: int, in_channels: int, side: int | None = None
) -> GoogLeNet:
    """What ``he_normal`` makes the net's parameters of: ``conv(size, c_in, c_out)`` for each
    convolution.

    ``five`` is the kernel of the "5x5" branch; the auxiliary classifiers, if any, see ``side`` x
    ``side`` pixels."""
    inputs, blocks, outputs = 192, [], {}
    for name, (one, three_reduce, three, five_reduce, five_out, pool) in TABLE.items():
        reduced = (
            conv(1, inputs, three_reduce),
            conv(3, three_reduce, three),
            conv(1, inputs, five_reduce),
        )
        blocks.append(
            Inception(
                conv(1, inputs, one),
                *reduced,
                conv(five, five_reduce, five_out),
                conv(1, inputs, pool),
            )
        )
        inputs = outputs[name] = one + three + five_out + pool
    auxiliary = (
        ()
        if side is None
        else tuple(
            Auxiliary(
                conv(1, outputs[name], 128), _dense(side * side * 128, 1024), _dense(1024, classes)
            )
            for name in HALF_WAY
        )
    )
    first = conv(7, in_channels, 64), conv(1, 64, 64), conv(3, 64, 192)
    return GoogLeNet(*first, tuple(blocks), _dense(inputs, classes), auxiliary)


def _conv(size: int, c_in: int, c_out: int) -> Conv:
    return Conv(weight(size, size, c_in, c_out), jnp.zeros(c_out))


def _dense(n: int, m: int) -> Dense:
    return Dense(weight(n, m), jnp.zeros(m))
