"""Deep residual learning for image recognition (He, Zhang, Ren, Sun 2015, arXiv 1512.03385).

    CIFAR, section 4.2  output      weights
    stem                32x32x16    3x3, 16, then BN and ReLU
    stage 1, n blocks   32x32x16    [3x3, 16; 3x3, 16]
    stage 2, n blocks   16x16x32    [3x3, 32; 3x3, 32]   the first convolution has stride 2
    stage 3, n blocks    8x8x64     [3x3, 64; 3x3, 64]   likewise
    head                10          global average pool, 10-way dense

depth = 6n + 2 weighted layers: 20, 32, 44, 56, 110, 1202 for n = 3, 5, 7, 9, 18, 200. The plain
twin is the same net without the additions. Convolutions have no bias and pad one pixel on each
side, also at stride 2.

    ImageNet, table 1   output      18, 34: blocks of two 3x3     50, 101, 152: of 1x1, 3x3, 1x1
    conv1, pool         56x56x64    7x7, stride 2; maximum of 3x3, stride 2
    stage 1             56x56       2, 3 of 64                    3, 3, 3 of 64, 64, 256
    stage 2             28x28       2, 4 of 128                   4, 4, 8 of 128, 128, 512
    stage 3             14x14       2, 6 of 256                   6, 23, 36 of 256, 256, 1024
    stage 4             7x7         2, 3 of 512                   3, 3, 3 of 512, 512, 2048
    head                1000        mean, dense

Parameters with shortcuts B: 11 689 512 (18 layers), 21 797 672 (34), 25 557 032 (50), 44 549 160
(101), 60 192 808 (152).
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from deepseq.nets.blocks.initialise import conv_bn_table, he_normal, weight
from deepseq.nets.blocks.inside import Probes, probe
from deepseq.nets.blocks.layers import ConvBN, Dense, check_images, conv_bn, part, pooled_classifier
from deepseq.nets.blocks.net import Classifier, check_sizes
from deepseq.nets.blocks.pool import max_pool

__all__ = ["BLOCKS", "Block", "Bottleneck", "ResNet", "cifar", "imagenet"]

BLOCKS = {
    18: (2, 2, 2, 2),
    34: (3, 4, 6, 3),
    50: (3, 4, 6, 3),
    101: (3, 4, 23, 3),
    152: (3, 8, 36, 3),
}


class Block(NamedTuple):
    """One building block (Figure 2, left); the same fields hold its batch moments."""

    conv1: ConvBN  # 3x3, C_in -> C_out
    conv2: ConvBN  # 3x3, C_out -> C_out
    shortcut: ConvBN | tuple[()]  # 1x1 projection W_s of equation (2), or () for equation (1)


class Bottleneck(NamedTuple):
    """One bottleneck (Figure 5, right); the same fields hold its batch moments."""

    conv1: ConvBN  # 1x1, C_in -> C
    conv2: ConvBN  # 3x3, C -> C
    conv3: ConvBN  # 1x1, C -> 4 C
    shortcut: ConvBN | tuple[()]


class ResNet(NamedTuple):
    """A whole net; the same fields hold its batch moments, with head = ()."""

    stem: ConvBN
    blocks: tuple[Block, ...] | tuple[Bottleneck, ...]
    head: Dense  # (4 width, classes)


def cifar(
    depth: int,
    residual: bool = True,
    shortcut: str = "A",
    width: int = 16,
    classes: int = 10,
    in_channels: int = 3,
) -> Classifier:
    """The residual net of section 4.2, or its plain twin.

    Args:
      depth: 6n + 2 weighted layers, n >= 1.
      residual: with the additions; without them the net is the paper's "plain" one and ``shortcut``
        has no effect.
      shortcut: where a block changes shape, "A" pads with zero channels (no parameters) and "B"
        projects; "C" projects in every block (section 4.1, "Identity vs. Projection Shortcuts").
      width: channels of the first stage; the second and third have twice and four times as many.
      classes: size of the output.
      in_channels: channels of the image.

    Returns:
      Classifier of three stages; its moments are a ResNet of Moments, ``key`` is unused, the net
      has no dropout. ``probes`` sees ("layer", l), the response of the l-th 3x3 layer after BN and
      before ReLU or addition (Figure 7), and ("block", b), the output x_b of the b-th block, with
      ("block", 0) the stem's.

    Raises:
      ValueError: no net of that depth, shortcut or width.
    """
    blocks_per_stage = _blocks_per_stage(depth)
    _check_shortcut("resnet.cifar", shortcut)
    check_sizes("resnet.cifar", width=width, classes=classes, in_channels=in_channels)
    last = [blocks_per_stage * stage - 1 for stage in (1, 2, 3)]  # blocks of the stages
    strides = [2 if b - 1 in last else 1 for b in range(3 * blocks_per_stage)]

    def init(key: Array) -> ResNet:
        widths = [width * scale for scale in (1, 2, 4) for _ in range(blocks_per_stage)]
        return he_normal(
            key,
            ResNet(
                stem=conv_bn_table(3, in_channels, width),
                blocks=tuple(
                    block(c_in, c_out)
                    for c_in, c_out in zip([width, *widths], widths, strict=False)
                ),
                head=Dense(w=weight(4 * width, classes), b=jnp.zeros(classes)),
            ),
        )

    def block(c_in: int, c_out: int) -> Block:
        projects = residual and (shortcut == "C" or (shortcut == "B" and c_in != c_out))
        return Block(
            conv1=conv_bn_table(3, c_in, c_out),
            conv2=conv_bn_table(3, c_out, c_out),
            shortcut=conv_bn_table(1, c_in, c_out) if projects else (),
        )

    def features(
        params: ResNet,
        x: Array,
        *,
        running: ResNet | None,
        key: Array | None,
        probes: Probes | None = None,
        stages: bool = False,
    ):
        del key
        y, stem = conv_bn(params.stem, x, part(running, "stem"))
        x = jax.nn.relu(probe(probes, ("layer", 1), y))
        x = probe(probes, ("block", 0), x)
        moments, maps = [], []
        for b, (block, stride) in enumerate(zip(params.blocks, strides, strict=True)):
            known = part(running, "blocks", b)
            y, m1 = conv_bn(block.conv1, x, part(known, "conv1"), stride=stride)
            y = jax.nn.relu(probe(probes, ("layer", 2 * b + 2), y))
            y, m2 = conv_bn(block.conv2, y, part(known, "conv2"))
            y = probe(probes, ("layer", 2 * b + 3), y)
            ms = ()
            if residual:
                known = part(known, "shortcut")
                short, ms = _shortcut(block.shortcut, x, known, stride, y.shape[-1])
                y = y + short  # y = F(x, {W_i}) + x, equation (1)
            x = probe(probes, ("block", b + 1), jax.nn.relu(y))
            moments.append(Block(m1, m2, ms))
            if b in last:
                maps.append(x)
        return tuple(maps) if stages else x, ResNet(stem, tuple(moments), ())

    return pooled_classifier(init, features)


def imagenet(
    depth: int, shortcut: str = "B", classes: int = 1000, in_channels: int = 3
) -> Classifier:
    """The residual net of table 1.

    A bottleneck that strides does so in its 3x3 convolution, as torchvision's, whose weights then
    fit; the paper's did in its first 1x1.

    Args:
      depth: 18, 34, 50, 101 or 152.
      shortcut, classes, in_channels: as for ``cifar``; the paper's nets of 50 layers and more have
        "B".

    Returns:
      Classifier of four stages as ``cifar``'s, for images of any size; ``probes`` sees ("block", b)
      alone.

    Raises:
      ValueError: no net of that depth or shortcut.
    """
    if depth not in BLOCKS:
        raise ValueError(
            f"resnet.imagenet: no net has depth {depth}; depths are {', '.join(map(str, BLOCKS))}"
        )
    _check_shortcut("resnet.imagenet", shortcut)
    scale = 1 if depth < 50 else 4  # of the channels after a block to those inside
    last = [sum(BLOCKS[depth][: stage + 1]) - 1 for stage in range(4)]  # blocks of the stages
    strides = [2 if b - 1 in last else 1 for b in range(sum(BLOCKS[depth]))]

    def init(key: Array) -> ResNet:
        blocks, c_in = [], 64
        for stage, count in enumerate(BLOCKS[depth]):
            inner = 64 * 2**stage
            for i in range(count):
                c_out = scale * inner
                projects = shortcut == "C" or (
                    shortcut == "B" and (c_in != c_out or (stage > 0 and i == 0))
                )
                short = conv_bn_table(1, c_in, c_out) if projects else ()
                if scale == 1:
                    convs = conv_bn_table(3, c_in, inner), conv_bn_table(3, inner, inner)
                else:
                    convs = (
                        conv_bn_table(1, c_in, inner),
                        conv_bn_table(3, inner, inner),
                        conv_bn_table(1, inner, c_out),
                    )
                blocks.append((Block if scale == 1 else Bottleneck)(*convs, short))
                c_in = c_out
        head = Dense(w=weight(c_in, classes), b=jnp.zeros(classes))
        return he_normal(key, ResNet(conv_bn_table(7, in_channels, 64), tuple(blocks), head))

    def features(
        params: ResNet,
        x: Array,
        *,
        running: ResNet | None,
        key: Array | None,
        probes: Probes | None = None,
        stages: bool = False,
    ):
        del key
        check_images("resnet.imagenet", x, in_channels, 1)
        x, stem = conv_bn(params.stem, x, part(running, "stem"), stride=2)
        x = max_pool(jax.nn.relu(x), 3, stride=2, padding=((1, 1), (1, 1)))
        x, moments, maps = probe(probes, ("block", 0), x), [], []
        for b, (block, stride) in enumerate(zip(params.blocks, strides, strict=True)):
            x, seen = _block(block, x, part(running, "blocks", b), stride)
            x = probe(probes, ("block", b + 1), x)
            moments.append(seen)
            if b in last:
                maps.append(x)
        return tuple(maps) if stages else x, ResNet(stem, tuple(moments), ())

    return pooled_classifier(init, features)


@functools.partial(jax.jit, static_argnums=3)
def _block(params: Block | Bottleneck, x: Array, running: Block | Bottleneck | None, stride: int):
    *convs, shortcut = params
    y, moments = x, []
    for i, conv in enumerate(convs):
        y = jax.nn.relu(y) if i else y
        strided = stride if i == len(convs) - 2 else 1
        y, seen = conv_bn(conv, y, part(running, i), stride=strided)
        moments.append(seen)
    short, seen = _shortcut(shortcut, x, part(running, "shortcut"), stride, y.shape[-1])
    return jax.nn.relu(y + short), type(params)(*moments, seen)


def _shortcut(params: ConvBN | tuple[()], x: Array, running, stride: int, channels: int):
    """The path around a block: W_s x where it has a projection, else x, subsampled and zero-padded
    to the block's shape.
    """
    if params:
        return conv_bn(params, x, running, stride=stride)
    x = x[:, ::stride, ::stride]
    return jnp.pad(x, ((0, 0), (0, 0), (0, 0), (0, channels - x.shape[-1]))), ()


def _check_shortcut(name: str, shortcut: str) -> None:
    if shortcut not in ("A", "B", "C"):
        options = 'take "A" (zero padding), "B" or "C" (projections)'
        raise ValueError(f"{name}: no shortcut {shortcut!r}; {options}")


def _blocks_per_stage(depth: int) -> int:
    n, remainder = divmod(depth - 2, 6)
    if remainder or n < 1:
        below, above = 6 * n + 2, 6 * (n + 1) + 2
        nearest = f"{below} or {above}" if n >= 1 else "8, the shallowest"
        raise ValueError(
            f"resnet.cifar: no net has depth {depth}; depths are 6n + 2, the nearest {nearest}"
        )
    return n
