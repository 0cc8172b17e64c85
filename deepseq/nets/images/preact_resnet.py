"""Identity mappings in deep residual networks (He, Zhang, Ren, Sun 2016, arXiv 1603.05027): the
CIFAR nets of full pre-activation.

    x_(l+1) = x_l + F(x_l),  F = convolutions, each of BN and ReLU of its input (figure 4e)

Nothing stands on the path of the additions, so any x_L is any x_l plus the sum of the residuals
between (equation 4). In the first block, and where the shape changes, BN and ReLU come before the
fork (appendix).

    basic, depth 6n + 2         20: 269 722   110: 1 727 962   as the nets of 2015 with shortcuts A
    bottleneck, depth 9n + 2    164: 1 703 258
"""

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
from deepseq.nets.blocks.net import Classifier, check_sizes

__all__ = ["Block", "PreActResNet", "cifar"]


class Block(NamedTuple):
    """A residual block; the same fields hold its batch moments."""

    convs: tuple[BNConv, ...]  # two of 3x3, or 1x1, 3x3, 1x1
    # a 1x1 projection (C_in, C_out) where bottlenecks change the channels, else none
    shortcut: tuple[Array, ...]


class PreActResNet(NamedTuple):
    """A whole net; the same fields hold its batch moments, with stem, shortcuts and head ()."""

    stem: Array  # (3, 3, C_in, width)
    blocks: tuple[Block, ...]
    norm: BatchNorm
    head: Dense


def cifar(
    depth: int, bottleneck: bool = False, width: int = 16, classes: int = 10, in_channels: int = 3
) -> Classifier:
    """The pre-activation net of 6n + 2 layers or, of bottlenecks, 9n + 2.

    Args:
      depth: of basic blocks 6n + 2; of bottlenecks, whose outputs are four times as wide, 9n + 2.
      bottleneck: 1x1, 3x3, 1x1 in place of 3x3, 3x3, and projections where the shape changes; basic
        blocks pad with zero channels there (option A).
      width: channels of the first stage's 3x3 convolutions; later stages have twice and four times
        as many.
      classes, in_channels: sizes of the output and of a pixel.

    Returns:
      Classifier of three stages, its moments a PreActResNet of Moments; ``key`` is unused.
      ``probes`` sees ("block", b), the sum after block b, with ("block", 0) the stem's output.

    Raises:
      ValueError: no net of that depth or width.
    """
    name, per_block = (
        f"preact_resnet.cifar, {'bottleneck' if bottleneck else 'basic'}",
        9 if bottleneck else 6,
    )
    n, remainder = divmod(depth - 2, per_block)
    if remainder or n < 1:
        near = [per_block * m + 2 for m in (max(n, 1), max(n, 1) + 1)]
        raise ValueError(
            f"{name}: no net has depth {depth}; depths are {per_block}n + 2, the nearest {near[0]}"
            f" or {near[1]}"
        )
    check_sizes(name, width=width, classes=classes, in_channels=in_channels)
    strides = [2 if b in (n, 2 * n) else 1 for b in range(3 * n)]

    def init(key: Array) -> PreActResNet:
        blocks, channels = [], width
        for stage in range(3):
            inner = width * 2**stage
            outer = 4 * inner if bottleneck else inner
            for _ in range(n):
                widths = (channels, inner, inner, outer) if bottleneck else (channels, inner, inner)
                sizes = (1, 3, 1) if bottleneck else (3, 3)
                convs = (
                    BNConv(batch_norm_table(i), weight(k, k, i, o))
                    for k, i, o in zip(sizes, widths[:-1], widths[1:], strict=True)
                )
                blocks.append(
                    Block(
                        tuple(convs),
                        (weight(channels, outer),) if bottleneck and channels != outer else (),
                    )
                )
                channels = outer
        head = Dense(weight(channels, classes), jnp.zeros(classes))
        return he_normal(
            key,
            PreActResNet(
                weight(3, 3, in_channels, width), tuple(blocks), batch_norm_table(channels), head
            ),
        )

    def features(
        params: PreActResNet,
        x: Array,
        *,
        running: PreActResNet | None,
        key: Array | None,
        probes: Probes | None = None,
        stages: bool = False,
    ):
        del key
        check_images(name, x, in_channels, 1)
        x = probe(probes, ("block", 0), conv2d(x, params.stem))
        moments, maps = [], []
        for b, (block, stride) in enumerate(zip(params.blocks, strides, strict=True)):
            if stride == 2:
                maps.append(x)
            x, seen = _block(block, x, part(running, "blocks", b), stride, b == 0)
            x = probe(probes, ("block", b + 1), x)
            moments.append(seen)
        x, norm = batch_norm(params.norm, x, part(running, "norm"))
        maps.append(jax.nn.relu(x))
        return tuple(maps) if stages else maps[-1], PreActResNet((), tuple(moments), norm, ())

    return pooled_classifier(init, features)


@functools.partial(jax.jit, static_argnums=(3, 4))
def _block(params: Block, x: Array, running: Block | None, stride: int, first: bool):
    moments, y, short = [], x, x
    at = 1 if len(params.convs) == 3 else 0  # the convolution that strides: the first 3x3
    for i, conv in enumerate(params.convs):
        y, seen = batch_norm(conv.bn, y, part(running, "convs", i, "bn"))
        y = jax.nn.relu(y)
        if i == 0 and (first or params.shortcut):
            short = y
        y = _conv(conv.w, y, stride if i == at else 1)
        moments.append(BNConv(seen, ()))
    short = short[:, ::stride, ::stride]
    if params.shortcut:
        short = short @ params.shortcut[0]
    short = jnp.pad(short, ((0, 0), (0, 0), (0, 0), (0, y.shape[-1] - short.shape[-1])))
    return short + y, Block(tuple(moments), ())


def _conv(w: Array, x: Array, stride: int) -> Array:
    pad = w.shape[0] // 2
    return conv2d(x, w, stride=stride, padding=((pad, pad), (pad, pad)))
