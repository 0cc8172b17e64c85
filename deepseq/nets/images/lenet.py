"""Nets that read digits: the zip codes of LeCun et al. 1989 and LeNet-5 (LeCun, Bottou, Bengio,
Haffner 1998).

    LeCun 1989               output    parameters, connections    LeNet-5    output     parameters
    image, its edge on -1    16x16                                image      32x32
    H1 5x5, stride 2, tanh   8x8x12    1 068   19 968             C1 5x5     28x28x6    156
    H2 5x5, stride 2, tanh   4x4x12    2 592   38 592             S2 2x2     14x14x6    12
    H3 dense, tanh           30        5 790    5 790             C3 5x5     10x10x16   1 516
    dense, tanh              10          310      310             S4 2x2     5x5x16     32
                                       9 760   64 660             C5 5x5     1x1x120    48 120
                                                                  F6 dense   84         10 164
                                                                                        60 000

("Backpropagation applied to handwritten zip code recognition", Neural Computation 1, section 3;
"Gradient-based learning applied to document recognition", Proc. IEEE 86, section II.B.) Kernels are
shared and, in the older net, biases are not. The older paper keeps to itself which 8 of the 12 maps
of H1 a map of H2 sees: here three groups of four see maps 1-8, 5-12 and 9-12 with 1-4."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from deepseq.nets.blocks.conv import conv2d
from deepseq.nets.blocks.initialise import uniform, weight
from deepseq.nets.blocks.inside import Probes, probe
from deepseq.nets.blocks.layers import Conv, Dense, check_images, conv, dense, relu_conv
from deepseq.nets.blocks.net import Classifier
from deepseq.nets.blocks.pool import average_pool, max_pool

__all__ = [
    "FullLeNet5",
    "LeNet5",
    "SEEN_BY_C3",
    "SEEN_BY_H2",
    "Subsampling",
    "ZipCodes",
    "full_lenet5",
    "lenet5",
    "squash",
    "zip_codes",
]

SEEN_BY_H2 = ((0, 1, 2, 3, 4, 5, 6, 7), (4, 5, 6, 7, 8, 9, 10, 11), (8, 9, 10, 11, 0, 1, 2, 3))

# Table I of the paper of 1998: the maps of S2 that each of the 16 maps of C3 sees.
SEEN_BY_C3 = (
    *(tuple((i + j) % 6 for j in range(3)) for i in range(6)),
    *(tuple((i + j) % 6 for j in range(4)) for i in range(6)),
    *((i, i + 1, (i + 3) % 6, (i + 4) % 6) for i in range(3)),
    (0, 1, 2, 3, 4, 5),
)


class ZipCodes(NamedTuple):
    """Parameters of the net of 1989."""

    h1: Conv  # (5, 5, 1, 12) and a bias for every unit (8, 8, 12)
    h2: Conv  # (3, 5, 5, 8, 4), one kernel for each group of maps, and (4, 4, 12)
    h3: Dense  # (192, 30)
    out: Dense  # (30, 10)


class Subsampling(NamedTuple):
    """A coefficient and a bias for each map."""

    w: Array  # (C,)
    b: Array  # (C,)


class LeNet5(NamedTuple):
    """Parameters of LeNet-5; the output's are fixed."""

    c1: Conv  # (5, 5, 1, 6)
    s2: Subsampling
    c3: tuple[Conv, ...]  # 16 of (5, 5, maps seen, 1)
    s4: Subsampling
    c5: Conv  # (5, 5, 16, 120)
    f6: Dense  # (120, 84)


class FullLeNet5(NamedTuple):
    """Parameters of the LeNet-5 that is common today."""

    c1: Conv  # (5, 5, in_channels, 6)
    c3: Conv  # (5, 5, 6, 16)
    c5: Dense  # (400, 120)
    f6: Dense  # (120, 84)
    out: Dense  # (84, classes)


def squash(x: Array) -> Array:
    """1.7159 tanh(2x / 3), at -1 and 1 itself -1 and 1 (LeCun et al. 1998, appendix A)."""
    return 1.7159 * jnp.tanh(2 / 3 * x)


def zip_codes() -> Classifier:
    """The net of 1989, for images (B, 16, 16, 1) of -1 (paper) to 1 (ink); the desired output is 1
    for the digit, else -1.

    Returns:
      Classifier of two stages, H1 and H2, whose outputs are ``squash`` of ten units. ``probes``
      sees ("map", "h1") and ("map", "h2"), ``key`` is unused. Weights are drawn from U(-2.4 / F,
      2.4 / F), F a unit's inputs, biases are 0. ValueError for other images.
    """

    def init(key: Array) -> ZipCodes:
        # F of H2's units: their kernels are (5, 5, 8), the leading 3 counts the groups
        table = ZipCodes(
            Conv(weight(5, 5, 1, 12), jnp.zeros((8, 8, 12))),
            Conv(weight(3, 5, 5, 8, 4), jnp.zeros((4, 4, 12))),
            Dense(weight(192, 30), jnp.zeros(30)),
            Dense(weight(30, 10), jnp.zeros(10)),
        )
        return uniform(key, table, lambda shape: 2.4 / np.prod(shape[-4:-1]))

    def features(
        params: ZipCodes,
        x: Array,
        *,
        running,
        key: Array | None,
        probes: Probes | None = None,
        stages: bool = False,
    ):
        del running, key
        if x.ndim != 4 or x.shape[1:] != (16, 16, 1):
            raise ValueError(f"lenet.zip_codes: x {x.shape} must be images (B, 16, 16, 1)")
        h1 = squash(conv2d(_bordered(x), params.h1.w, stride=2, padding="VALID") + params.h1.b)
        h1 = probe(probes, ("map", "h1"), h1)
        groups = [_bordered(h1[..., np.array(maps)]) for maps in SEEN_BY_H2]
        h2 = [
            conv2d(maps, w, stride=2, padding="VALID")
            for maps, w in zip(groups, params.h2.w, strict=True)
        ]
        h2 = probe(probes, ("map", "h2"), squash(jnp.concatenate(h2, -1) + params.h2.b))
        return (h1, h2) if stages else h2, ()

    def apply(
        params: ZipCodes, x: Array, *, running, key: Array | None, probes: Probes | None = None
    ):
        x, _ = features(params, x, running=running, key=key, probes=probes)
        h3 = squash(dense(params.h3, x.reshape(len(x), 192)))
        return squash(dense(params.out, h3)), ()

    return Classifier(init, apply, features)


def lenet5(prototypes: Array) -> Classifier:
    """LeNet-5 as printed: trained subsampling, the sparse connections of table I, distances to
    prototypes for an output.

    Args:
      prototypes: (classes, 84) of -1 and 1, the bitmaps (7 x 12) that a class is to draw in F6; not
        trained.

    Returns:
      Classifier of two stages, up to S2 and S4, for images (B, 32, 32, 1), whose outputs are minus
      the squared distances of equation 7, so that the largest is the answer. ``probes`` sees
      ("map", "s2") and ("map", "s4"), ``key`` is unused. Drawn as in ``zip_codes``. ValueError for
      other images or prototypes.
    """
    if prototypes.ndim != 2 or prototypes.shape[1] != 84:
        raise ValueError(f"lenet5: the prototypes {prototypes.shape} must be (classes, 84)")

    def init(key: Array) -> LeNet5:
        table = LeNet5(
            Conv(weight(5, 5, 1, 6), jnp.zeros(6)),
            Subsampling(jnp.ones(6), jnp.zeros(6)),
            tuple(Conv(weight(5, 5, len(maps), 1), jnp.zeros(1)) for maps in SEEN_BY_C3),
            Subsampling(jnp.ones(16), jnp.zeros(16)),
            Conv(weight(5, 5, 16, 120), jnp.zeros(120)),
            Dense(weight(120, 84), jnp.zeros(84)),
        )
        return uniform(key, table, lambda shape: 2.4 / np.prod(shape[:-1]))

    def features(
        params: LeNet5,
        x: Array,
        *,
        running,
        key: Array | None,
        probes: Probes | None = None,
        stages: bool = False,
    ):
        del running, key
        if x.ndim != 4 or x.shape[1:] != (32, 32, 1):
            raise ValueError(f"lenet.lenet5: x {x.shape} must be images (B, 32, 32, 1)")
        x = squash(conv(params.c1, x, padding="VALID"))
        s2 = probe(probes, ("map", "s2"), _subsampled(params.s2, x))
        w, b = _dense_c3(params.c3)
        x = squash(conv2d(s2, w, padding="VALID") + b)
        s4 = probe(probes, ("map", "s4"), _subsampled(params.s4, x))
        return (s2, s4) if stages else s4, ()

    def apply(
        params: LeNet5, x: Array, *, running, key: Array | None, probes: Probes | None = None
    ):
        x, _ = features(params, x, running=running, key=key, probes=probes)
        x = squash(conv(params.c5, x, padding="VALID"))
        x = squash(dense(params.f6, x[:, 0, 0]))
        return -jnp.square(x[:, None] - prototypes).sum(-1), ()

    return Classifier(init, apply, features)


def full_lenet5(classes: int = 10, in_channels: int = 1) -> Classifier:
    """LeNet-5 as it is common today: every map of C3 sees all of S2, ReLU, maxima for subsampling,
    logits. 61 706 parameters.

    Returns:
      Classifier as ``lenet5``, for images (B, 32, 32, in_channels), or 28 x 28, to which 2 pixels
      are added on each side.
    """

    def init(key: Array) -> FullLeNet5:
        shapes = (5, 5, in_channels, 6), (5, 5, 6, 16), (400, 120), (120, 84), (84, classes)
        kinds = (Conv, Conv, Dense, Dense, Dense)
        table = FullLeNet5(
            *(
                kind(weight(*shape), jnp.zeros(shape[-1]))
                for kind, shape in zip(kinds, shapes, strict=True)
            )
        )
        return uniform(key, table, lambda shape: np.prod(shape[:-1]) ** -0.5)

    def features(
        params: FullLeNet5,
        x: Array,
        *,
        running,
        key: Array | None,
        probes: Probes | None = None,
        stages: bool = False,
    ):
        del running, key
        check_images("lenet.full_lenet5", x, in_channels, 28)
        edge = max(32 - x.shape[1], 0) // 2
        x = max_pool(relu_conv(params.c1, x, padding=((edge, edge), (edge, edge))), 2)
        s2 = probe(probes, ("map", "s2"), x)
        s4 = max_pool(relu_conv(params.c3, s2, padding="VALID"), 2)
        s4 = probe(probes, ("map", "s4"), s4)
        return (s2, s4) if stages else s4, ()

    def apply(
        params: FullLeNet5, x: Array, *, running, key: Array | None, probes: Probes | None = None
    ):
        check_images("lenet.full_lenet5", x, in_channels, 28)
        if x.shape[1:3] not in ((28, 28), (32, 32)):
            raise ValueError(
                f"lenet.full_lenet5: images of {x.shape[1]} x {x.shape[2]}, but it takes 28 x 28 or"
                " 32 x 32"
            )
        x, _ = features(params, x, running=running, key=key, probes=probes)
        x = jax.nn.relu(dense(params.c5, x.reshape(len(x), 400)))
        x = jax.nn.relu(dense(params.f6, x))
        return dense(params.out, x), ()

    return Classifier(init, apply, features)


def _subsampled(params: Subsampling, x: Array) -> Array:
    """The four pixels are added, not averaged."""
    return squash(average_pool(x, 2) * 4 * params.w + params.b)


def _bordered(x: Array) -> Array:
    """Two pixels of -1, the background, on each side; one of them no window of stride 2 reaches."""
    return jnp.pad(x, ((0, 0), (2, 1), (2, 1), (0, 0)), constant_values=-1.0)


def _dense_c3(c3: tuple[Conv, ...]) -> tuple[Array, Array]:
    """The sparse kernels as one (5, 5, 6, 16), with zeros for what a map does not see."""
    columns = [
        jnp.zeros((5, 5, 6), conv.w.dtype).at[..., np.array(maps)].set(conv.w[..., 0])
        for conv, maps in zip(c3, SEEN_BY_C3, strict=True)
    ]
    return jnp.stack(columns, -1), jnp.concatenate([conv.b for conv in c3])
