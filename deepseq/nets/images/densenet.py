"""Densely connected convolutional networks (Huang, Liu, van der Maaten, Weinberger 2016, arXiv
1608.06993).

Every layer of a dense block sees the concatenated outputs of all before it, and adds ``growth``
channels to them.

    ImageNet (table 1), all BC     blocks            growth   parameters
    121                            6  12  24  16     32        7 978 856
    169                            6  12  32  32     32       14 149 480
    201                            6  12  48  32     32       20 013 928
    161                            6  12  36  24     48       28 681 000

    CIFAR (table 2)                                           parameters
    40, 12 / 100, 12 / 100, 24                                1 019 722 / 6 979 642 / 27 249 082
    BC: 100, 12 / 250, 24 / 190, 40                           769 162 / 15 324 406 / 25 624 430

A layer is BN, ReLU, convolution 3x3; with a bottleneck (B) BN, ReLU, 1x1 to 4 growth channels
before it. A transition is BN, ReLU, 1x1, mean of 2x2, and compresses (C) the channels to half. In
the nets without C transitions keep them."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from deepseq.nets.blocks.conv import conv2d
from deepseq.nets.blocks.initialise import batch_norm_table, he_normal, weight
from deepseq.nets.blocks.inside import Probes, probe
from deepseq.nets.blocks.layers import (
    BatchNorm,
    BNConv,
    Dense,
    batch_norm,
    check_images,
    part,
    pooled_classifier,
)
from deepseq.nets.blocks.net import Classifier
from deepseq.nets.blocks.pool import average_pool, max_pool

__all__ = ["BLOCKS", "DenseNet", "SMALLEST", "SMALLEST_OF_CIFAR", "Stem", "cifar", "imagenet"]

BLOCKS = {121: (6, 12, 24, 16), 169: (6, 12, 32, 32), 201: (6, 12, 48, 32), 161: (6, 12, 36, 24)}
SMALLEST, SMALLEST_OF_CIFAR = 29, 4  # pixels, of which the last transition leaves one


class Stem(NamedTuple):
    """The first convolution and, for ImageNet, the norm after it."""

    w: Array  # (k, k, C_in, C_out)
    bn: BatchNorm | tuple[()]


class DenseNet(NamedTuple):
    """A whole net; the same fields hold its batch moments, with weights and the head ()."""

    stem: Stem
    # of each block, of each layer, its one or two convolutions
    blocks: tuple[tuple[tuple[BNConv, ...], ...], ...]
    transitions: tuple[BNConv, ...]  # between blocks
    norm: BatchNorm
    head: Dense


def imagenet(depth: int, classes: int = 1000, in_channels: int = 3) -> Classifier:
    """The net of 121, 161, 169 or 201 layers: bottlenecks of 4 growth channels, transitions that
    halve the channels.

    Returns:
      Classifier for images of at least 29 x 29, with a stage for each block; its moments are a
      DenseNet of Moments, ``key`` is unused. ``probes`` sees ("block", b), the output of block b.
      Weights are drawn as He et al. (2015) have it.

    Raises:
      ValueError: another depth, or images too small.
    """
    if depth not in BLOCKS:
        raise ValueError(
            f"densenet.imagenet: no net has depth {depth}; depths are"
            f" {', '.join(map(str, sorted(BLOCKS)))}"
        )
    growth = 48 if depth == 161 else 32
    init = functools.partial(
        _init, 7, in_channels, 2 * growth, BLOCKS[depth], growth, 4 * growth, 0.5, classes
    )

    def features(
        params: DenseNet,
        x: Array,
        *,
        running: DenseNet | None,
        key: Array | None,
        probes: Probes | None = None,
        stages: bool = False,
    ):
        del key
        check_images("densenet.imagenet", x, in_channels, SMALLEST)
        x = conv2d(x, params.stem.w, stride=2, padding=((3, 3), (3, 3)))
        x, moments = batch_norm(params.stem.bn, x, part(running, "stem", "bn"))
        x = max_pool(jax.nn.relu(x), 3, stride=2, padding=((1, 1), (1, 1)))
        return _blocks(params, x, running, Stem((), moments), probes, stages)

    return pooled_classifier(init, features)


def cifar(
    depth: int, growth: int, *, bc: bool = False, classes: int = 10, in_channels: int = 3
) -> Classifier:
    """The net of three equal blocks for small images, DenseNet(L, k) or, with ``bc``,
    DenseNet-BC(L, k) (section 4.2).

    Args:
      depth: L = 3m + 4, or 6m + 4 with bottlenecks, for m layers in a block.
      growth: k, the channels that each layer adds.
      bc: with bottlenecks of 4k channels, transitions that halve the channels, and 2k instead of 16
        channels at the start.
      classes, in_channels: sizes of the output and of a pixel.

    Returns:
      as ``imagenet``, for images of at least 4 x 4. Without dropout, which the paper uses where it
      does not augment.

    Raises:
      ValueError: no net of that depth, a growth below 1, or images too small.
    """
    layers, remainder = divmod(depth - 4, 6 if bc else 3)
    if remainder or layers < 1 or growth < 1:
        rule = f"depths are {'6m' if bc else '3m'} + 4, growth at least 1"
        raise ValueError(f"densenet.cifar: no net has depth {depth} and growth {growth}; {rule}")
    first, bottleneck, theta = (2 * growth, 4 * growth, 0.5) if bc else (16, None, 1.0)
    init = functools.partial(
        _init, 3, in_channels, first, 3 * (layers,), growth, bottleneck, theta, classes
    )

    def features(
        params: DenseNet,
        x: Array,
        *,
        running: DenseNet | None,
        key: Array | None,
        probes: Probes | None = None,
        stages: bool = False,
    ):
        del key
        check_images("densenet.cifar", x, in_channels, SMALLEST_OF_CIFAR)
        x = conv2d(x, params.stem.w)
        return _blocks(params, x, running, Stem((), ()), probes, stages)

    return pooled_classifier(init, features)


def _blocks(
    params: DenseNet,
    x: Array,
    running: DenseNet | None,
    stem: Stem,
    probes: Probes | None,
    stages: bool,
):
    """Blocks and transitions, and the last norm and ReLU."""
    blocks, transitions, maps = [], [], []
    for b, block in enumerate(params.blocks):
        moments = []
        for i, layer in enumerate(block):
            new, seen = _layer(layer, x, part(running, "blocks", b, i))
            x = jnp.concatenate([x, new], -1)
            moments.append(seen)
        x = probe(probes, ("block", b), x)
        blocks.append(tuple(moments))
        if b < len(params.transitions):
            maps.append(x)
            transition = part(running, "transitions", b)
            x, seen = _bn_relu_conv(params.transitions[b], x, transition)
            x = average_pool(x, 2)
            transitions.append(seen)
    x, norm = batch_norm(params.norm, x, part(running, "norm"))
    maps.append(jax.nn.relu(x))
    moments = DenseNet(stem, tuple(blocks), tuple(transitions), norm, ())
    return tuple(maps) if stages else maps[-1], moments


@jax.jit
def _layer(params: tuple[BNConv, ...], x: Array, running: tuple[BNConv, ...] | None):
    """What a layer adds, (B, H, W, growth), and its moments."""
    seen = []
    for i, conv in enumerate(params):
        x, moments = _bn_relu_conv(conv, x, part(running, i))
        seen.append(moments)
    return x, tuple(seen)


def _bn_relu_conv(params: BNConv, x: Array, running: BNConv | None):
    x, moments = batch_norm(params.bn, x, part(running, "bn"))
    return conv2d(jax.nn.relu(x), params.w), BNConv(moments, ())


def _init(size, in_channels, first, blocks, growth, bottleneck, theta, classes, key) -> DenseNet:
    channels, dense_blocks, transitions = first, [], []
    for b, layers in enumerate(blocks):
        block = []
        for _ in range(layers):
            widths = (channels, growth) if bottleneck is None else (channels, bottleneck, growth)
            kernels = (3,) if bottleneck is None else (1, 3)
            block.append(
                tuple(
                    _bn_conv(k, n, m)
                    for k, n, m in zip(kernels, widths[:-1], widths[1:], strict=True)
                )
            )
            channels += growth
        dense_blocks.append(tuple(block))
        if b < len(blocks) - 1:
            transitions.append(_bn_conv(1, channels, int(theta * channels)))
            channels = int(theta * channels)
    stem = Stem(
        weight(size, size, in_channels, first), batch_norm_table(first) if size == 7 else ()
    )
    head = Dense(weight(channels, classes), jnp.zeros(classes))
    return he_normal(
        key,
        DenseNet(stem, tuple(dense_blocks), tuple(transitions), batch_norm_table(channels), head),
    )


def _bn_conv(size: int, c_in: int, c_out: int) -> BNConv:
    return BNConv(batch_norm_table(c_in), weight(size, size, c_in, c_out))
