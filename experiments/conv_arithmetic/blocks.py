"""The blocks of GoogLeNet, ResNet and DenseNet: shapes, counts and order, without numbers."""

import jax
import jax.numpy as jnp
from jax import Array
from ml_collections import ConfigDict

from deepseq.nets.blocks import arithmetic
from deepseq.nets.blocks.layers import Conv, conv
from deepseq.nets.blocks.pool import max_pool
from deepseq.nets.images import densenet, googlenet, preact_resnet, resnet
from experiments.conv_arithmetic import graph
from experiments.conv_arithmetic.nets import IMAGE, Program, floats, refused, size

SIDES = {"3": 28, "4": 14, "5": 7}  # pixels of the inceptions' inputs, by their names' first sign
BRANCHES = ("one", "three", "five", "pool")
DENSENETS = {
    "DenseNet-121": (lambda: densenet.imagenet(121), IMAGE),
    "DenseNet(40, 12)": (lambda: densenet.cifar(40, 12), 32),
    # the shapes of its parameters are enough
    "DenseNet(100, 12)": (lambda: densenet.cifar(100, 12), None),
    "DenseNet-BC(100, 12)": (lambda: densenet.cifar(100, 12, bc=True), 32),
}


def inceptions(_: ConfigDict) -> list[dict[str, int | str | list]]:
    """Each inception's branches and channels, and its counts with and without reducers."""
    blocks = Program(googlenet.googlenet()).params.inceptions
    rows = []
    for name, block in zip(googlenet.TABLE, blocks, strict=True):
        channels, side = block.one.w.shape[2], SIDES[name[0]]
        x = floats(1, side, side, channels)
        layers = {layer.name: layer for layer in arithmetic.layers(googlenet.inception, block, x)}
        direct = {
            kind: Conv(floats(*w.shape[:2], channels, w.shape[3]), b)
            for kind in BRANCHES
            for w, b in [getattr(block, kind)]
        }
        without = arithmetic.layers(unreduced, direct, x)
        rows.append(
            {
                "block": name,
                "channels in": channels,
                "branches": [layers[kind].shape[3] for kind in BRANCHES],
                "channels out": jax.eval_shape(googlenet.inception, block, x).shape[3],
                "fields": [int(layers[kind].receptive_field) for kind in BRANCHES],
                "parameters": size(block),
                "parameters, unreduced": sum(layer.parameters for layer in without),
                "multiply-adds": sum(layer.multiply_adds for layer in layers.values()),
                "multiply-adds, unreduced": sum(layer.multiply_adds for layer in without),
            }
        )
    return rows


def unreduced(params: dict[str, Conv], x: Array) -> Array:
    """An inception whose 3x3 and 5x5 read x itself."""
    inputs = {kind: x for kind in BRANCHES}
    inputs["pool"] = max_pool(x, 3, stride=1, padding=((1, 1), (1, 1)))
    return jnp.concatenate([jax.nn.relu(conv(params[kind], inputs[kind])) for kind in BRANCHES], -1)


def bottlenecks(_: ConfigDict) -> dict[str, int | dict]:
    """Weights of a bottleneck and of two 3x3 of its width, and which blocks which depth has."""
    nets = {depth: Program(resnet.imagenet(depth)) for depth in resnet.BLOCKS}
    thin = next(b for b in nets[50].params.blocks if b.conv1.w.shape[2:] == (256, 64))
    wide = next(b for b in nets[34].params.blocks if b.conv1.w.shape[2:] == (256, 256))
    layers = {layer.name: layer for layer in nets[50].layers()}
    # He et al. stride in a bottleneck's first 1x1, which then works on a quarter of the pixels
    striding = [layers[f"blocks.{b}.conv1"] for b in (3, 7, 13)]
    return {
        "bottleneck": sum(size(c.w) for c in thin[:-1]),
        "two 3x3": sum(size(c.w) for c in wide[:-1]),
        "widths": [c.w.shape[3] for c in thin[:-1]],
        "saved by striding first": sum(layer.multiply_adds * 3 // 4 for layer in striding),
        "kinds": {str(depth): type(net.params.blocks[0]).__name__ for depth, net in nets.items()},
        "refused": [depth for depth in (13,) if refused(resnet.imagenet, depth)],
    }


def stages(_: ConfigDict) -> dict[str, dict]:
    """ResNet's maps after the first convolution, the pooling and each stage."""
    measured = {}
    for depth in (34, 50):
        net = Program(resnet.imagenet(depth))
        layers = net.layers()
        pooled = next(layer for layer in layers if layer.name == "max_pool")
        shapes = [layers[0].shape, pooled.shape, *net.maps()]
        measured[str(depth)] = {
            "sides": [shape[1] for shape in shapes],
            "channels": [shape[3] for shape in shapes],
            "last": [[layer.name, *layer.shape[1:]] for layer in layers[-2:]],
        }
    return measured


def growth(_: ConfigDict) -> dict[str, dict]:
    """Of each DenseNet the channels that its layers take in, its transitions and parameters."""
    measured = {}
    for name, (make, image) in DENSENETS.items():
        net = Program(make(), image or IMAGE)
        params, maps = net.params, net.maps() if image else []
        measured[name] = {
            "inputs": [[layer[0].w.shape[2] for layer in block] for block in params.blocks],
            "growth": params.blocks[0][0][-1].w.shape[3],
            "maps": [[shape[1], shape[3]] for shape in maps],
            "transitions": [list(t.w.shape[2:]) for t in params.transitions],
            "parameters": size(params),
        }
    return measured


def order(_: ConfigDict) -> dict[str, list[str]]:
    """What the shallowest nets of 2015 and 2016 do, in order."""
    nets = {"post-activation": resnet.cifar(8), "pre-activation": preact_resnet.cifar(8)}
    return {name: graph.order(Program(net, 8).jaxpr()) for name, net in nets.items()}
