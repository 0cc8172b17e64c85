"""The later GoogLeNet that most mean by the name: batch norm (Ioffe, Szegedy 2015, arXiv
1502.03167), 3x3 for 5x5 kernels.

Table 1 of Szegedy et al. (2014) with a batch norm in place of every bias and of the normalisation
across channels, its "5x5" branch of 3x3 kernels, and a last pooling of 2x2: 6 624 904 parameters,
13 004 888 with both auxiliary classifiers, whose pooling to 4x4 leaves the size of the images free.
So TensorFlow-Slim's inception_v1 has it, and after it torchvision, whose trained weights take
images (pixel - 0.5) / 0.5, pixels from 0 to 1."""

from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from deepseq.nets.blocks.conv import conv2d
from deepseq.nets.blocks.initialise import he_normal, weight
from deepseq.nets.blocks.layers import (
    BatchNorm,
    Net,
    batch_norm,
    check_images,
    dense,
    dropout,
    global_average_pool,
)
from deepseq.nets.blocks.pool import adaptive_average_pool, max_pool
from deepseq.nets.images.googlenet import (
    HALF_WAY,
    SMALLEST,
    TABLE,
    Auxiliary,
    GoogLeNet,
    Inception,
    Logits,
    table,
)
from deepseq.nets.images.resnet import ConvBN

EPSILON = 1e-3
SIDE = 4  # pixels left by the pooling of an auxiliary classifier


def googlenet(classes: int = 1000, in_channels: int = 3) -> Net:
    """The net without auxiliary classifiers, for images of any size of at least 31 x 31.

    Returns:
      Net(init, apply), ``apply(params, x, *, running, key) -> ((B, classes), moments)``; parameters
      and moments are a ``GoogLeNet`` of ConvBN and of Moments, ``key`` is dropout's, at 0.2.
      ValueError for other or smaller images.
    """

    def apply(params: GoogLeNet, x: Array, *, running: GoogLeNet | None, key: Array | None):
        check_images("googlenet_batch_norm", x, in_channels, SMALLEST)
        x, _, moments = _body(params, x, running)
        return dense(params.fc, dropout(0.2, key, global_average_pool(x))), moments

    return Net(lambda key: he_normal(key, table(_conv, 3, classes, in_channels)), apply)


def with_auxiliary(classes: int = 1000, in_channels: int = 3) -> Net:
    """The net with both auxiliary classifiers, each with a dropout of 0.7.

    Returns:
      as ``googlenet``, with ``Logits`` in place of (B, classes).
    """

    def apply(params: GoogLeNet, x: Array, *, running: GoogLeNet | None, key: Array | None):
        check_images("googlenet_batch_norm.with_auxiliary", x, in_channels, SMALLEST)
        keys = (None,) * 3 if key is None else jax.random.split(key, 3)
        x, half_way, moments = _body(params, x, running)
        answers, found = [dense(params.fc, dropout(0.2, keys[0], global_average_pool(x)))], []
        for i, name in enumerate(HALF_WAY):
            own = params.auxiliary[i]
            y, seen = _unit(
                own.conv,
                adaptive_average_pool(half_way[name], SIDE),
                running and running.auxiliary[i].conv,
            )
            y = jax.nn.relu(dense(own.fc1, y.reshape(len(y), -1)))
            answers.append(dense(own.fc2, dropout(0.7, keys[i + 1], y)))
            found.append(Auxiliary(seen, (), ()))
        return Logits(*answers), moments._replace(auxiliary=tuple(found))

    return Net(lambda key: he_normal(key, table(_conv, 3, classes, in_channels, SIDE)), apply)


def inception(params: Inception, x: Array, running: Inception | None) -> tuple[Array, Inception]:
    """The four branches side by side, and their moments: (B, H, W, C) -> (B, H, W, C')."""
    known = running or Inception(*[None] * 6)
    one, seen_one = _unit(params.one, x, known.one)
    y, seen_three_reduce = _unit(params.three_reduce, x, known.three_reduce)
    three, seen_three = _unit(params.three, y, known.three)
    y, seen_five_reduce = _unit(params.five_reduce, x, known.five_reduce)
    five, seen_five = _unit(params.five, y, known.five)
    pooled, seen_pool = _unit(
        params.pool, max_pool(x, 3, stride=1, padding=((1, 1), (1, 1))), known.pool
    )
    seen = Inception(
        seen_one, seen_three_reduce, seen_three, seen_five_reduce, seen_five, seen_pool
    )
    return jnp.concatenate([one, three, five, pooled], -1), seen


def _body(
    params: GoogLeNet, x: Array, running: GoogLeNet | None
) -> tuple[Array, dict[str, Array], GoogLeNet]:
    """The last map, the output of every inception by its name, and the moments."""
    known = running or GoogLeNet(None, None, None, (None,) * len(TABLE), None, ())
    x, seen1 = _unit(params.conv1, x, known.conv1, stride=2)
    x, seen2 = _unit(params.conv2, max_pool(x, 3, stride=2, padding="CEIL"), known.conv2)
    x, seen3 = _unit(params.conv3, x, known.conv3)
    outputs, seen = {}, []
    for name, block, moments in zip(TABLE, params.inceptions, known.inceptions, strict=True):
        if name in ("3a", "4a", "5a"):
            x = max_pool(x, 2 if name == "5a" else 3, stride=2, padding="CEIL")
        x, found = inception(block, x, moments)
        outputs[name] = x
        seen.append(found)
    return x, outputs, GoogLeNet(seen1, seen2, seen3, tuple(seen), (), ())


def _unit(params: ConvBN, x: Array, running: Any, stride: int = 1) -> tuple[Array, Any]:
    pad = params.w.shape[0] // 2
    x = conv2d(x, params.w, stride=stride, padding=((pad, pad), (pad, pad)))
    x, moments = batch_norm(params.bn, x, running, epsilon=EPSILON)
    return jax.nn.relu(x), moments


def _conv(size: int, c_in: int, c_out: int) -> ConvBN:
    return ConvBN(weight(size, size, c_in, c_out), BatchNorm(jnp.ones(c_out), jnp.zeros(c_out)))
