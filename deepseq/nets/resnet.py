"""Deep residual learning for image recognition (He, Zhang, Ren, Sun 2015, arXiv 1512.03385): the CIFAR nets of section 4.2.

    layer               output      weights
    stem                32x32x16    3x3, 16, then BN and ReLU
    stage 1, n blocks   32x32x16    [3x3, 16; 3x3, 16]
    stage 2, n blocks   16x16x32    [3x3, 32; 3x3, 32]   the first convolution has stride 2
    stage 3, n blocks    8x8x64     [3x3, 64; 3x3, 64]   likewise
    head                10          global average pool, 10-way dense

depth = 6n + 2 weighted layers: 20, 32, 44, 56, 110, 1202 for n = 3, 5, 7, 9, 18, 200. The plain twin is the same net
without the additions. Convolutions have no bias and pad one pixel on each side, also at stride 2.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp

from deepseq.nets.conv import conv2d
from deepseq.nets.initialise import he_normal, weight
from deepseq.nets.inside import Probes, probe
from deepseq.nets.layers import BatchNorm, Dense, Net, batch_norm, dense, global_average_pool

Array = jax.Array


class ConvBN(NamedTuple):
    """A convolution and the batch normalisation of its output."""

    w: Array  # (k, k, C_in, C_out)
    bn: BatchNorm  # over C_out


class Block(NamedTuple):
    """One building block (Figure 2, left); the same fields hold its batch moments."""

    conv1: ConvBN  # 3x3, C_in -> C_out
    conv2: ConvBN  # 3x3, C_out -> C_out
    shortcut: ConvBN | tuple[()]  # 1x1 projection W_s of equation (2), or () for equation (1)


class ResNet(NamedTuple):
    """A whole net; the same fields hold its batch moments, with head = ()."""

    stem: ConvBN
    blocks: tuple[Block, ...]
    head: Dense  # (4 width, classes)


def cifar(
    depth: int, residual: bool = True, shortcut: str = "A", width: int = 16, classes: int = 10, in_channels: int = 3
) -> Net:
    """The residual net of section 4.2, or its plain twin.

    Args:
      depth: 6n + 2 weighted layers, n >= 1.
      residual: with the additions; without them the net is the paper's "plain" one and ``shortcut`` has no effect.
      shortcut: where a block changes shape, "A" pads with zero channels (no parameters) and "B" projects; "C" projects
        in every block (section 4.1, "Identity vs. Projection Shortcuts").
      width: channels of the first stage; the second and third have twice and four times as many.
      classes: size of the output.
      in_channels: channels of the image.

    Returns:
      Net(init, apply) with ``apply(params, x, *, running, key, probes=None) -> (logits, moments)``: x (B, H, W, in_channels),
      logits (B, classes), moments a ResNet of Moments. ``key`` is unused, the net has no dropout. ``probes`` sees
      ("layer", l), the response of the l-th 3x3 layer after BN and before ReLU or addition (Figure 7), and
      ("block", b), the output x_b of the b-th block, with ("block", 0) the stem's.

    Raises:
      ValueError: no net of that depth, shortcut or width.
    """
    blocks_per_stage = _blocks_per_stage(depth)
    if shortcut not in ("A", "B", "C"):
        raise ValueError(f'resnet.cifar: no shortcut {shortcut!r}; take "A" (zero padding), "B" or "C" (projections)')
    for name, size in (("width", width), ("classes", classes), ("in_channels", in_channels)):
        if size < 1:
            raise ValueError(f"resnet.cifar: {name} is {size}, but it must be at least 1")

    def init(key: Array) -> ResNet:
        widths = [width * scale for scale in (1, 2, 4) for _ in range(blocks_per_stage)]
        return he_normal(
            key,
            ResNet(
                stem=_conv_bn_table(3, in_channels, width),
                blocks=tuple(block(c_in, c_out) for c_in, c_out in zip([width, *widths], widths, strict=False)),
                head=Dense(w=weight(4 * width, classes), b=jnp.zeros(classes)),
            ),
        )

    def block(c_in: int, c_out: int) -> Block:
        projects = residual and (shortcut == "C" or (shortcut == "B" and c_in != c_out))
        return Block(
            conv1=_conv_bn_table(3, c_in, c_out),
            conv2=_conv_bn_table(3, c_out, c_out),
            shortcut=_conv_bn_table(1, c_in, c_out) if projects else (),
        )

    def apply(params: ResNet, x: Array, *, running: ResNet | None, key: Array | None, probes: Probes | None = None):
        del key
        running = _UNKNOWN if running is None else running
        y, stem_moments = _conv_bn(params.stem, x, running.stem)
        x = jax.nn.relu(probe(probes, ("layer", 1), y))
        x = probe(probes, ("block", 0), x)
        moments = []
        for b, block in enumerate(params.blocks):
            seen = running.blocks[b] if running.blocks else _UNKNOWN_BLOCK
            stride = block.conv1.w.shape[3] // block.conv1.w.shape[2]  # the map halves where the channels double
            y, m1 = _conv_bn(block.conv1, x, seen.conv1, stride)
            y = jax.nn.relu(probe(probes, ("layer", 2 * b + 2), y))
            y, m2 = _conv_bn(block.conv2, y, seen.conv2)
            y = probe(probes, ("layer", 2 * b + 3), y)
            ms = ()
            if residual:
                short, ms = _shortcut(block.shortcut, x, seen.shortcut, stride, y.shape[-1])
                y = y + short  # y = F(x, {W_i}) + x, equation (1)
            x = probe(probes, ("block", b + 1), jax.nn.relu(y))
            moments.append(Block(m1, m2, ms))
        return dense(params.head, global_average_pool(x)), ResNet(stem_moments, tuple(moments), ())

    return Net(init, apply)


_UNKNOWN_BLOCK = Block(None, None, None)
_UNKNOWN = ResNet(None, (), None)  # no running moments: every layer takes those of the batch


@functools.partial(jax.jit, static_argnums=3)  # traced once for all layers of one shape, which is most of a deep net's tracing
def _conv_bn(params: ConvBN, x: Array, running: ConvBN | None, stride: int = 1):
    pad = params.w.shape[0] // 2
    return batch_norm(params.bn, conv2d(x, params.w, stride=stride, padding=((pad, pad), (pad, pad))), running)


def _conv_bn_table(size: int, c_in: int, c_out: int) -> ConvBN:
    return ConvBN(w=weight(size, size, c_in, c_out), bn=BatchNorm(gamma=jnp.ones(c_out), beta=jnp.zeros(c_out)))


def _shortcut(params: ConvBN | tuple[()], x: Array, running, stride: int, channels: int):
    """The path around a block: W_s x where it has a projection, else x, subsampled and zero-padded to the block's shape."""
    if params:
        return _conv_bn(params, x, running, stride)
    x = x[:, ::stride, ::stride]
    return jnp.pad(x, ((0, 0), (0, 0), (0, 0), (0, channels - x.shape[-1]))), ()


def _blocks_per_stage(depth: int) -> int:
    n, remainder = divmod(depth - 2, 6)
    if remainder or n < 1:
        below, above = 6 * n + 2, 6 * (n + 1) + 2
        nearest = f"{below} or {above}" if n >= 1 else "8, the shallowest"
        raise ValueError(f"resnet.cifar: no net has depth {depth}; depths are 6n + 2, the nearest {nearest}")
    return n
