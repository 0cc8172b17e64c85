"""The nets that won or could have won ImageNet's competition, counted; AlexNet layer by layer,
beside the notes.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from deepseq.nets.blocks import arithmetic
from deepseq.nets.blocks.layers import Dense
from deepseq.nets.blocks.net import Net
from deepseq.nets.images import alexnet, densenet, googlenet, resnet, vgg
from experiments.conv_arithmetic.graph import depth

IMAGE = 224


class Entry(NamedTuple):
    """A net of the years' table."""

    year: int
    make: Callable[[], Net]
    image: int = IMAGE


NETS = {
    "AlexNet": Entry(2012, alexnet.alexnet, 227),
    "VGG-16": Entry(2014, lambda: vgg.vgg(16)),
    "VGG-19": Entry(2014, lambda: vgg.vgg(19)),
    "GoogLeNet": Entry(2014, googlenet.googlenet),
    "ResNet-34": Entry(2015, lambda: resnet.imagenet(34)),
    "ResNet-50": Entry(2015, lambda: resnet.imagenet(50)),
    "ResNet-152": Entry(2015, lambda: resnet.imagenet(152)),
    "DenseNet-201": Entry(2016, lambda: densenet.imagenet(201)),
}

# The notes' products, layer by layer: numbers of weights, without biases.
NOTES = {
    "conv1": (11, 11, 3, 48, 2),
    "conv2": (5, 5, 48, 128, 2),
    "conv3": (3, 3, 128 * 2, 192 * 2),
    "conv4": (3, 3, 192, 192, 2),
    "conv5": (3, 3, 192, 128, 2),
    "fc6": (13, 13, 128 * 2, 2048 * 2),
    "fc7": (2048 * 2, 2048 * 2),
    "fc8": (2048 * 2, 1000),
}


class Program(NamedTuple):
    """A net without numbers."""

    params: Any  # shapes
    x: jax.ShapeDtypeStruct  # one image
    forward: Callable  # (params, x) -> logits


def program(net: Net, image: int = IMAGE, channels: int = 3) -> Program:
    """The shapes of a net's parameters and its forward pass over one square image."""
    x = jax.ShapeDtypeStruct((1, image, image, channels), jnp.float32)
    return Program(
        jax.eval_shape(net.init, jax.random.key(0)),
        x,
        lambda p, x: net.apply(p, x, running=None, key=None)[0],
    )


def size(tree: Any) -> int:
    """Numbers in all arrays of a tree, or in their shapes."""
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(tree))


def dense_size(params: Any) -> int:
    """Numbers in the dense layers of a net."""
    layers = jax.tree.leaves(params, is_leaf=lambda node: isinstance(node, Dense))
    return sum(size(layer) for layer in layers if isinstance(layer, Dense))


def measure(config: ConfigDict) -> list[dict[str, int | str]]:
    """Each net's year, depth, parameters and multiply-adds, and how many of both are its dense
    layers'.
    """
    del config
    rows = []
    for name, entry in NETS.items():
        own = program(entry.make(), entry.image)
        layers = arithmetic.layers(own.forward, own.params, own.x)
        rows.append(
            {
                "net": name,
                "year": entry.year,
                "depth": depth(jax.make_jaxpr(own.forward)(own.params, own.x).jaxpr),
                "parameters": size(own.params),
                "dense parameters": dense_size(own.params),
                "multiply-adds": sum(layer.multiply_adds for layer in layers),
                "dense multiply-adds": sum(
                    layer.multiply_adds for layer in layers if len(layer.shape) == 2
                ),
            }
        )
    return rows


def alexnet_rows(config: ConfigDict) -> list[dict[str, int | str | list]]:
    """AlexNet's layers: output, weights in the net and in the notes, and what they would be without
    sharing and grouping.
    """
    del config
    own = program(alexnet.alexnet(), 227)
    layers = {layer.name: layer for layer in arithmetic.layers(own.forward, own.params, own.x)}
    rows, channels = [], own.x.shape[3]
    for name, factors in NOTES.items():
        w, shape = getattr(own.params, name).w.shape, layers[name].shape[1:]
        rows.append(
            {
                "layer": name,
                "output": list(shape),
                "kernel": list(w),
                "weights": math.prod(w),
                "notes": math.prod(factors),
                "parameters": layers[name].parameters,
                "multiply-adds": layers[name].multiply_adds,
                # were every position given a kernel of its own, and every kernel all channels
                "unshared": math.prod(w) * math.prod(shape[:-1]),
                "ungrouped": math.prod(w[:-2]) * channels * w[-1] if len(w) == 4 else math.prod(w),
            }
        )
        channels = w[-1]
    return rows
