"""Network in network (Lin, Chen, Yan 2013, arXiv 1312.4400): the net for CIFAR-10.

    layer                                     output, of 32x32
    mlpconv 5x5, 192; 1x1, 160; 1x1, 96       32x32x96
    maximum of 3x3, stride 2; dropout         16x16
    mlpconv 5x5, 192; 1x1, 192; 1x1, 192      16x16x192
    maximum of 3x3, stride 2; dropout         8x8
    mlpconv 3x3, 192; 1x1, 192; 1x1, 10       8x8x10
    global average pool                       10            966 986 parameters

A convolution of 1x1 is a dense layer at every pixel: three make the small network that slides over
the image. The paper prints neither kernels nor widths; these are the ones in common use."""

from typing import NamedTuple

import jax.numpy as jnp
from jax import Array

from deepseq.nets.blocks.initialise import he_normal, weight
from deepseq.nets.blocks.inside import Probes, probe
from deepseq.nets.blocks.layers import Conv, check_images, dropout, global_average_pool, relu_conv
from deepseq.nets.blocks.net import Classifier, split
from deepseq.nets.blocks.pool import max_pool

__all__ = ["NiN", "SMALLEST", "nin"]

SMALLEST = 4  # pixels: two poolings leave one


class NiN(NamedTuple):
    """Parameters of three mlpconv layers."""

    mlpconv1: tuple[Conv, Conv, Conv]
    mlpconv2: tuple[Conv, Conv, Conv]
    mlpconv3: tuple[Conv, Conv, Conv]


def nin(classes: int = 10, in_channels: int = 3) -> Classifier:
    """The net for small images, any size of at least 4 x 4.

    Returns:
      Classifier of three stages, a mlpconv layer each, the first two with pooling and dropout;
      ``probes`` sees ("stage", s) from 1. ``key`` is dropout's, at 0.5. Weights are drawn as He et
      al. (2015) have it, biases are 0. ValueError for other or smaller images.
    """
    plan = ((5, in_channels, 192, 160, 96), (5, 96, 192, 192, 192), (3, 192, 192, 192, classes))

    def init(key: Array) -> NiN:
        def mlpconv(size: int, *widths: int) -> tuple[Conv, ...]:
            shapes = zip((size, 1, 1), widths[:-1], widths[1:], strict=True)
            return tuple(Conv(weight(k, k, n, m), jnp.zeros(m)) for k, n, m in shapes)

        return he_normal(key, NiN(*(mlpconv(*row) for row in plan)))

    def features(
        params: NiN,
        x: Array,
        *,
        running,
        key: Array | None,
        probes: Probes | None = None,
        stages: bool = False,
    ):
        del running
        check_images("nin", x, in_channels, SMALLEST)
        maps = []
        for n, (mlpconv, k) in enumerate(zip(params, (*split(key, 2), None), strict=True)):
            for layer in mlpconv:
                x = relu_conv(layer, x)
            if n < 2:
                x = dropout(0.5, k, max_pool(x, 3, stride=2, padding="CEIL"))
            x = probe(probes, ("stage", n + 1), x)
            maps.append(x)
        return tuple(maps) if stages else x, ()

    def apply(params: NiN, x: Array, *, running, key: Array | None, probes: Probes | None = None):
        maps, _ = features(params, x, running=running, key=key, probes=probes)
        return global_average_pool(maps), ()

    return Classifier(init, apply, features)
