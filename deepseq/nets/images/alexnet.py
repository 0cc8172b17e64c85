"""ImageNet classification with deep convolutional networks (Krizhevsky, Sutskever, Hinton 2012).

    layer    2012, two towers           one tower (arXiv 1404.5997, as in torchvision)
    conv1    11x11, 96, stride 4        11x11, 64, stride 4, 2 pixels of padding
             normalised, pooled         pooled
    conv2    5x5, 256 in 2 groups       5x5, 192
             normalised, pooled         pooled
    conv3    3x3, 384                   3x3, 384
    conv4    3x3, 384 in 2 groups       3x3, 256
    conv5    3x3, 256 in 2 groups       3x3, 256
             pooled                     pooled
    fc6-7    4096, dropout 0.5          4096, dropout 0.5
    fc8      1000                       1000
             60 965 224 parameters      61 100 840 parameters

Pooling takes 3x3 windows every 2 pixels. The paper prints images of 224 x 224, from which no
integer number of strides makes its 55 x 55; 227 do. A group sees the channels of one GPU: half the
connections."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from deepseq.nets.blocks.initialise import normal, weight
from deepseq.nets.blocks.inside import Probes, probe
from deepseq.nets.blocks.layers import Conv, Dense, check_images, dense, dropout, relu_conv
from deepseq.nets.blocks.net import Classifier, split
from deepseq.nets.blocks.pool import local_response_norm, max_pool

__all__ = ["AlexNet", "SMALLEST", "alexnet", "single_tower"]

# Pixels that leave one to the last pooling: 67 of the two towers, 63 of the one, padded.
SMALLEST = (67, 63)


class AlexNet(NamedTuple):
    """Parameters of five convolutions and three dense layers; ``fc6`` reads rows, then columns,
    then channels.
    """

    conv1: Conv
    conv2: Conv
    conv3: Conv
    conv4: Conv
    conv5: Conv
    fc6: Dense
    fc7: Dense
    fc8: Dense


def alexnet(classes: int = 1000, image_size: int = 227, in_channels: int = 3) -> Classifier:
    """The net of 2012, each tower a group of the grouped convolutions.

    Args:
      classes, in_channels: sizes of the output and of a pixel.
      image_size: of the square images, which fixes the inputs of fc6.

    Returns:
      Classifier of three stages, each with its pooling, which ``probes`` sees as ("stage", s) from
      1; ``key`` is dropout's, on the outputs of fc6 and fc7. Weights are drawn from N(0, 0.01^2);
      biases are 1 in conv2, conv4, conv5 and the hidden dense layers, else 0.

    Raises:
      ValueError: images too small or, but for ``features``, other than the net was made for.
    """
    _check_size("alexnet", image_size, SMALLEST[0])
    side = _sides(image_size, 0)

    def init(key: Array) -> AlexNet:
        channels = (96, 256, 384, 384, 256)
        return _draw(key, in_channels, channels, (1, 2, 1, 2, 2), side, classes)

    def features(
        params: AlexNet,
        x: Array,
        *,
        running,
        key: Array | None,
        probes: Probes | None = None,
        stages: bool = False,
    ):
        del running, key
        check_images("alexnet", x, in_channels, SMALLEST[0])
        x = relu_conv(params.conv1, x, stride=4, padding="VALID")
        x1 = x = probe(probes, ("stage", 1), max_pool(local_response_norm(x), 3, stride=2))
        x = local_response_norm(relu_conv(params.conv2, x, groups=2))
        x2 = x = probe(probes, ("stage", 2), max_pool(x, 3, stride=2))
        x = relu_conv(params.conv4, relu_conv(params.conv3, x), groups=2)
        x = max_pool(relu_conv(params.conv5, x, groups=2), 3, stride=2)
        x = probe(probes, ("stage", 3), x)
        return (x1, x2, x) if stages else x, ()

    def apply(
        params: AlexNet, x: Array, *, running, key: Array | None, probes: Probes | None = None
    ):
        check_images("alexnet", x, in_channels, SMALLEST[0], image_size)
        x, _ = features(params, x, running=running, key=key, probes=probes)
        keys = split(key, 2)
        x = dropout(0.5, keys[0], jax.nn.relu(dense(params.fc6, x.reshape(len(x), -1))))
        x = dropout(0.5, keys[1], jax.nn.relu(dense(params.fc7, x)))
        return dense(params.fc8, x), ()

    return Classifier(init, apply, features)


def single_tower(classes: int = 1000, image_size: int = 224, in_channels: int = 3) -> Classifier:
    """The net on one GPU, without response normalisation; dropout is on the inputs of fc6 and fc7.
    Otherwise as ``alexnet``.
    """
    _check_size("alexnet.single_tower", image_size, SMALLEST[1])
    side = _sides(image_size, 2)

    def init(key: Array) -> AlexNet:
        return _draw(key, in_channels, (64, 192, 384, 256, 256), (1,) * 5, side, classes)

    def features(
        params: AlexNet,
        x: Array,
        *,
        running,
        key: Array | None,
        probes: Probes | None = None,
        stages: bool = False,
    ):
        del running, key
        check_images("alexnet.single_tower", x, in_channels, SMALLEST[1])
        x = relu_conv(params.conv1, x, stride=4, padding=((2, 2), (2, 2)))
        x1 = x = probe(probes, ("stage", 1), max_pool(x, 3, stride=2))
        x = relu_conv(params.conv2, x)
        x2 = x = probe(probes, ("stage", 2), max_pool(x, 3, stride=2))
        x = relu_conv(params.conv5, relu_conv(params.conv4, relu_conv(params.conv3, x)))
        x = probe(probes, ("stage", 3), max_pool(x, 3, stride=2))
        return (x1, x2, x) if stages else x, ()

    def apply(
        params: AlexNet, x: Array, *, running, key: Array | None, probes: Probes | None = None
    ):
        check_images("alexnet.single_tower", x, in_channels, SMALLEST[1], image_size)
        x, _ = features(params, x, running=running, key=key, probes=probes)
        keys = split(key, 2)
        x = jax.nn.relu(dense(params.fc6, dropout(0.5, keys[0], x.reshape(len(x), -1))))
        x = jax.nn.relu(dense(params.fc7, dropout(0.5, keys[1], x)))
        return dense(params.fc8, x), ()

    return Classifier(init, apply, features)


def _draw(
    key: Array, in_channels: int, channels: tuple, groups: tuple, side: int, classes: int
) -> AlexNet:
    inputs = (in_channels, *channels[:-1])
    ones = (jnp.zeros, jnp.ones, jnp.zeros, jnp.ones, jnp.ones)
    convs = (
        Conv(weight(k, k, c_in // g, c_out), bias(c_out))
        for k, c_in, g, c_out, bias in zip(
            (11, 5, 3, 3, 3), inputs, groups, channels, ones, strict=True
        )
    )
    sizes = (side * side * channels[-1], 4096, 4096, classes)
    denses = (
        Dense(weight(n, m), bias(m))
        for n, m, bias in zip(sizes[:-1], sizes[1:], (jnp.ones, jnp.ones, jnp.zeros), strict=True)
    )
    return normal(key, AlexNet(*convs, *denses), 0.01)


def _sides(size: int, padding: int) -> int:
    """Pixels of the last map: after the first convolution, halved by three poolings."""
    n = (size + 2 * padding - 11) // 4 + 1
    for _ in range(3):
        n = (n - 3) // 2 + 1
    return n


def _check_size(name: str, size: int, smallest: int) -> None:
    if size < smallest:
        raise ValueError(f"{name}: image_size is {size}, but the smallest is {smallest}")
