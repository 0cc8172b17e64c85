"""The nets that won or could have won ImageNet's competition, counted; AlexNet by layers."""

import functools
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from deepseq.nets.blocks import arithmetic
from deepseq.nets.blocks.net import Classifier
from deepseq.nets.images import alexnet, densenet, googlenet, resnet, vgg
from experiments.conv_arithmetic import graph

IMAGE = 224  # pixels on a side
NETS = {  # year, constructor, pixels of an image
    "AlexNet": (2012, alexnet.alexnet, 227),
    "VGG-16": (2014, lambda: vgg.vgg(16), IMAGE),
    "VGG-19": (2014, lambda: vgg.vgg(19), IMAGE),
    "GoogLeNet": (2014, googlenet.googlenet, IMAGE),
    "ResNet-34": (2015, lambda: resnet.imagenet(34), IMAGE),
    "ResNet-50": (2015, lambda: resnet.imagenet(50), IMAGE),
    "ResNet-152": (2015, lambda: resnet.imagenet(152), IMAGE),
    "DenseNet-201": (2016, lambda: densenet.imagenet(201), IMAGE),
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


class Program:
    """A net without numbers: the shapes of its parameters, and its forward pass over one image."""

    def __init__(self, net: Classifier, image: int = IMAGE, channels: int = 3):
        self.params = jax.eval_shape(net.init, jax.random.key(0))
        self.x = floats(1, image, image, channels)
        self.forward = lambda p, x: net.apply(p, x, running=None, key=None)[0]  # -> logits
        self.features = functools.partial(net.features, running=None, key=None, stages=True)

    def layers(self) -> list[arithmetic.Layer]:
        """Its table."""
        return arithmetic.layers(self.forward, self.params, self.x)

    def jaxpr(self) -> Any:
        """What it does."""
        return jax.make_jaxpr(self.forward)(self.params, self.x).jaxpr

    def maps(self) -> list[tuple[int, ...]]:
        """The shapes after its stages."""
        return [maps.shape for maps in jax.eval_shape(self.features, self.params, self.x)[0]]


def floats(*shape: int) -> jax.ShapeDtypeStruct:
    """An array of float32 without numbers."""
    return jax.ShapeDtypeStruct(shape, jnp.float32)


def size(tree: Any) -> int:
    """Numbers in all arrays of a tree, or in their shapes."""
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(tree))


def refused(function: Callable, *inputs: Any) -> bool:
    """Whether a function says that its inputs cannot be."""
    try:
        function(*inputs)
    except ValueError:
        return True
    return False


def measure(_: ConfigDict) -> list[dict[str, int | str]]:
    """Each net's year, depth, parameters and multiply-adds, and its dense layers' part of both."""
    rows = []
    for name, (year, make, image) in NETS.items():
        net = Program(make(), image)
        row = {"net": name, "year": year, "depth": graph.depth(net.jaxpr())}
        layers = net.layers()
        dense = [layer for layer in layers if len(layer.shape) == 2]
        for count in ("parameters", "multiply_adds"):
            words = count.replace("_", "-")
            row[words] = sum(getattr(layer, count) for layer in layers)
            row[f"dense {words}"] = sum(getattr(layer, count) for layer in dense)
        rows.append(row)
    return rows


def alexnet_rows(_: ConfigDict) -> list[dict[str, int | str | list]]:
    """AlexNet's layers: their weights in the net, in the notes, unshared and ungrouped."""
    net = Program(alexnet.alexnet(), 227)
    layers = {layer.name: layer for layer in net.layers()}
    rows, channels = [], net.x.shape[3]
    for name, factors in NOTES.items():
        w, layer = getattr(net.params, name).w.shape, layers[name]
        weights, (*positions, _) = math.prod(w), layer.shape[1:]
        rows.append(
            {
                "layer": name,
                "output": list(layer.shape[1:]),
                "kernel": list(w),
                "weights": weights,
                "notes": math.prod(factors),
                "parameters": layer.parameters,
                "multiply-adds": layer.multiply_adds,
                # were every position given a kernel of its own, and every kernel all channels
                "unshared": weights * math.prod(positions),
                "ungrouped": math.prod(w[:-2]) * channels * w[-1] if len(w) == 4 else weights,
            }
        )
        channels = w[-1]
    return rows
