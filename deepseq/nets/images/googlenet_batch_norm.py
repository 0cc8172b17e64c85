"""The later GoogLeNet that most mean by the name: batch norm (Ioffe, Szegedy 2015, arXiv
1502.03167), 3x3 for 5x5 kernels.

Table 1 of Szegedy et al. (2014) with a batch norm in place of every bias and of the normalisation
across channels, its "5x5" branch of 3x3 kernels, and a last pooling of 2x2: 6 624 904 parameters,
13 004 888 with both auxiliary classifiers, whose pooling to 4x4 leaves the size of the images free.
So TensorFlow-Slim's inception_v1 has it, and after it torchvision, whose trained weights take
images (pixel - 0.5) / 0.5, pixels from 0 to 1."""

import jax
import jax.numpy as jnp
from jax import Array

from deepseq.nets.blocks.initialise import conv_bn_table, he_normal
from deepseq.nets.blocks.inside import Probes, probe
from deepseq.nets.blocks.layers import (
    ConvBN,
    check_images,
    conv_bn,
    dense,
    dropout,
    global_average_pool,
    part,
)
from deepseq.nets.blocks.net import Classifier, split
from deepseq.nets.blocks.pool import adaptive_average_pool, max_pool
from deepseq.nets.images.googlenet import (
    HALF_WAY,
    SMALLEST,
    STAGES,
    TABLE,
    Auxiliary,
    GoogLeNet,
    Inception,
    Logits,
    table,
)

__all__ = ["EPSILON", "SIDE", "googlenet", "inception", "with_auxiliary"]

EPSILON = 1e-3
SIDE = 4  # pixels left by the pooling of an auxiliary classifier


def googlenet(classes: int = 1000, in_channels: int = 3) -> Classifier:
    """The net without auxiliary classifiers, for images of any size of at least 31 x 31.

    Returns:
      Classifier as ``googlenet.googlenet``, whose parameters and moments are a ``GoogLeNet`` of
      ConvBN and of Moments; ``key`` is dropout's, at 0.2. ValueError for other or smaller images.
    """

    def features(
        params: GoogLeNet,
        x: Array,
        *,
        running: GoogLeNet | None,
        key: Array | None,
        probes: Probes | None = None,
        stages: bool = False,
    ):
        del key
        check_images("googlenet_batch_norm", x, in_channels, SMALLEST)
        outputs, moments = _body(params, x, running, probes)
        return tuple(outputs[name] for name in STAGES) if stages else outputs["5b"], moments

    def apply(
        params: GoogLeNet,
        x: Array,
        *,
        running: GoogLeNet | None,
        key: Array | None,
        probes: Probes | None = None,
    ):
        x, moments = features(params, x, running=running, key=key, probes=probes)
        return dense(params.fc, dropout(0.2, key, global_average_pool(x))), moments

    def init(key: Array) -> GoogLeNet:
        return he_normal(key, table(conv_bn_table, 3, classes, in_channels))

    return Classifier(init, apply, features)


def with_auxiliary(classes: int = 1000, in_channels: int = 3) -> Classifier:
    """The net with both auxiliary classifiers, each with a dropout of 0.7.

    Returns:
      as ``googlenet``, with ``Logits`` in place of (B, classes). The moments of ``features`` have
      none of the auxiliary classifiers.
    """

    def apply(
        params: GoogLeNet,
        x: Array,
        *,
        running: GoogLeNet | None,
        key: Array | None,
        probes: Probes | None = None,
    ):
        check_images("googlenet_batch_norm.with_auxiliary", x, in_channels, SMALLEST)
        keys = split(key, 3)
        outputs, moments = _body(params, x, running, probes)
        pooled = dropout(0.2, keys[0], global_average_pool(outputs["5b"]))
        answers, auxiliary = [dense(params.fc, pooled)], []
        for i, name in enumerate(HALF_WAY):
            classifier = params.auxiliary[i]
            y = adaptive_average_pool(outputs[name], SIDE)
            y, seen = _unit(classifier.conv, y, part(running, "auxiliary", i, "conv"))
            y = jax.nn.relu(dense(classifier.fc1, y.reshape(len(y), -1)))
            answers.append(dense(classifier.fc2, dropout(0.7, keys[i + 1], y)))
            auxiliary.append(Auxiliary(seen, (), ()))
        return Logits(*answers), moments._replace(auxiliary=tuple(auxiliary))

    def init(key: Array) -> GoogLeNet:
        return he_normal(key, table(conv_bn_table, 3, classes, in_channels, SIDE))

    return Classifier(init, apply, googlenet(classes, in_channels).features)


def inception(params: Inception, x: Array, running: Inception | None) -> tuple[Array, Inception]:
    """The four branches side by side, and their moments: (B, H, W, C) -> (B, H, W, C')."""
    moments = {}

    def unit(name: str, x: Array) -> Array:
        y, moments[name] = _unit(getattr(params, name), x, part(running, name))
        return y

    branches = [
        unit("one", x),
        unit("three", unit("three_reduce", x)),
        unit("five", unit("five_reduce", x)),
        unit("pool", max_pool(x, 3, stride=1, padding=((1, 1), (1, 1)))),
    ]
    return jnp.concatenate(branches, -1), Inception(**moments)


def _body(
    params: GoogLeNet, x: Array, running: GoogLeNet | None, probes: Probes | None
) -> tuple[dict[str, Array], GoogLeNet]:
    """The output of every inception by its name, and the moments."""
    x, moments1 = _unit(params.conv1, x, part(running, "conv1"), stride=2)
    x = max_pool(x, 3, stride=2, padding="CEIL")
    x, moments2 = _unit(params.conv2, x, part(running, "conv2"))
    x, moments3 = _unit(params.conv3, x, part(running, "conv3"))
    outputs, moments = {}, []
    for n, (name, block) in enumerate(zip(TABLE, params.inceptions, strict=True)):
        if name in ("3a", "4a", "5a"):
            x = max_pool(x, 2 if name == "5a" else 3, stride=2, padding="CEIL")
        x, seen = inception(block, x, part(running, "inceptions", n))
        x = outputs[name] = probe(probes, ("inception", name), x)
        moments.append(seen)
    return outputs, GoogLeNet(moments1, moments2, moments3, tuple(moments), (), ())


def _unit(params: ConvBN, x: Array, running, *, stride: int = 1):
    x, moments = conv_bn(params, x, running, stride=stride, epsilon=EPSILON)
    return jax.nn.relu(x), moments
