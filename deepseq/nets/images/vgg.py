"""Very deep convolutional networks for large-scale image recognition (Simonyan, Zisserman 2014,
arXiv 1409.1556), table 1.

    depth (column)   convolutions of 3x3 before each pooling   parameters
    11 (A)           1  1  2  2  2                             132 863 336
    13 (B)           2  2  2  2  2                             133 047 848
    16 (D)           2  2  3  3  3                             138 357 544
    19 (E)           2  2  4  4  4                             143 667 240
    channels         64 128 256 512 512

Then dense layers of 4096, 4096 and 1000. Every convolution keeps the size, every pooling takes the
maximum of 2x2."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from deepseq.nets.blocks.initialise import he_normal, weight
from deepseq.nets.blocks.inside import Probes, probe
from deepseq.nets.blocks.layers import Conv, Dense, check_images, dense, dropout, relu_conv
from deepseq.nets.blocks.net import Classifier, split
from deepseq.nets.blocks.pool import max_pool

__all__ = ["CHANNELS", "DEPTHS", "SMALLEST", "VGG", "vgg"]

DEPTHS = {11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}
CHANNELS = (64, 128, 256, 512, 512)
SMALLEST = 32  # pixels, of which five poolings leave one


class VGG(NamedTuple):
    """Parameters of convolutions, in groups between poolings, and of three dense layers."""

    stages: tuple[tuple[Conv, ...], ...]
    fc6: Dense  # reads rows, then columns, then channels
    fc7: Dense
    fc8: Dense


def vgg(depth: int, classes: int = 1000, image_size: int = 224, in_channels: int = 3) -> Classifier:
    """The net of 11, 13, 16 or 19 weighted layers.

    Args:
      depth: columns A, B, D, E of the paper's table 1.
      classes, in_channels: sizes of the output and of a pixel.
      image_size: of the square images, which fixes the inputs of fc6.

    Returns:
      Classifier of five stages, each with its pooling, which ``probes`` sees as ("stage", s) from
      1; ``key`` is dropout's, at 0.5 on the outputs of fc6 and fc7. Weights are drawn as He et al.
      (2015) have it, which trains all depths from scratch where the paper began with a shallow net;
      biases are 0.

    Raises:
      ValueError: another depth, images too small or, but for ``features``, other than the net was
        made for.
    """
    if depth not in DEPTHS:
        raise ValueError(f"vgg: no net has depth {depth}; depths are {', '.join(map(str, DEPTHS))}")
    if image_size < SMALLEST:
        raise ValueError(f"vgg: image_size is {image_size}, but the smallest is {SMALLEST}")

    def init(key: Array) -> VGG:
        stages, c_in = [], in_channels
        for count, c_out in zip(DEPTHS[depth], CHANNELS, strict=True):
            widths = (c_in, *(count * [c_out]))
            stages.append(
                tuple(Conv(weight(3, 3, n, c_out), jnp.zeros(c_out)) for n in widths[:-1])
            )
            c_in = c_out
        sizes = ((image_size // 32) ** 2 * c_in, 4096, 4096, classes)
        denses = (
            Dense(weight(n, m), jnp.zeros(m)) for n, m in zip(sizes[:-1], sizes[1:], strict=True)
        )
        return he_normal(key, VGG(tuple(stages), *denses))

    def features(
        params: VGG,
        x: Array,
        *,
        running,
        key: Array | None,
        probes: Probes | None = None,
        stages: bool = False,
    ):
        del running, key
        check_images("vgg", x, in_channels, SMALLEST)
        maps = []
        for n, stage in enumerate(params.stages):
            for layer in stage:
                x = relu_conv(layer, x)
            x = probe(probes, ("stage", n + 1), max_pool(x, 2))
            maps.append(x)
        return tuple(maps) if stages else x, ()

    def apply(params: VGG, x: Array, *, running, key: Array | None, probes: Probes | None = None):
        check_images("vgg", x, in_channels, SMALLEST, image_size)
        x, _ = features(params, x, running=running, key=key, probes=probes)
        keys = split(key, 2)
        x = dropout(0.5, keys[0], jax.nn.relu(dense(params.fc6, x.reshape(len(x), -1))))
        x = dropout(0.5, keys[1], jax.nn.relu(dense(params.fc7, x)))
        return dense(params.fc8, x), ()

    return Classifier(init, apply, features)
