"""The blocks of GoogLeNet, ResNet and DenseNet: shapes, counts and order, without numbers."""

import itertools
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from ml_collections import ConfigDict

from deepseq.nets.blocks import arithmetic
from deepseq.nets.blocks.conv import conv2d
from deepseq.nets.blocks.net import Net
from deepseq.nets.blocks.pool import max_pool
from deepseq.nets.images import densenet, googlenet, preact_resnet, resnet
from experiments.conv_arithmetic.graph import order as order_of
from experiments.conv_arithmetic.nets import IMAGE, program, size

SIDES = {
    "3": 28,
    "4": 14,
    "5": 7,
}  # pixels of the inceptions' inputs, by the first sign of their names
REDUCERS = ("three_reduce", "five_reduce")
BRANCHES = ("one", "three", "five", "pool")
DENSENETS = {
    "DenseNet-121": (lambda: densenet.imagenet(121), IMAGE),
    "DenseNet(40, 12)": (lambda: densenet.cifar(40, 12), 32),
    "DenseNet(100, 12)": (
        lambda: densenet.cifar(100, 12),
        None,
    ),  # the shapes of its parameters are enough
    "DenseNet-BC(100, 12)": (lambda: densenet.cifar(100, 12, bc=True), 32),
}


def inceptions(config: ConfigDict) -> list[dict[str, int | str | list]]:
    """Of each inception: channels and receptive fields of its branches, and its count with and
    without the 1x1 reducers.
    """
    del config
    blocks = jax.eval_shape(googlenet.googlenet().init, jax.random.key(0)).inceptions
    rows = []
    for name, block in zip(googlenet.TABLE, blocks, strict=True):
        x = jax.ShapeDtypeStruct(
            (1, SIDES[name[0]], SIDES[name[0]], block.one.w.shape[2]), jnp.float32
        )
        direct = {
            kind: (
                w
                if w.shape[2] == x.shape[3]
                else jax.ShapeDtypeStruct((*w.shape[:2], x.shape[3], w.shape[3]), w.dtype)
            )
            for kind in BRANCHES
            for w in [getattr(block, kind).w]
        }
        reduced = {kind: getattr(block, kind)._asdict() for kind in (*BRANCHES, *REDUCERS)}
        unreduced = {kind: {"w": direct[kind], "b": getattr(block, kind).b} for kind in BRANCHES}
        with_, without = _layers(reduced, x), _layers(unreduced, x)
        rows.append(
            {
                "block": name,
                "channels in": x.shape[3],
                "branches": [with_[kind].shape[3] for kind in BRANCHES],
                "channels out": jax.eval_shape(googlenet.inception, block, x).shape[3],
                "fields": [int(with_[kind].receptive_field) for kind in BRANCHES],
                "parameters": size(block),
                "parameters, unreduced": sum(layer.parameters for layer in without.values()),
                "multiply-adds": sum(layer.multiply_adds for layer in with_.values()),
                "multiply-adds, unreduced": sum(layer.multiply_adds for layer in without.values()),
            }
        )
    return rows


def _layers(params: dict, x: jax.ShapeDtypeStruct) -> dict[str, arithmetic.Layer]:
    return {layer.name: layer for layer in arithmetic.layers(branches, params, x)}


def branches(params: dict, x: Array) -> Array:
    """An inception of named layers, whose 3x3 and 5x5 look at x itself where there are no reducers."""

    def layer(kind: str, x: Array) -> Array:
        return (
            jax.nn.relu(conv2d(x, params[kind]["w"]) + params[kind]["b"]) if kind in params else x
        )

    pooled = max_pool(x, 3, stride=1, padding=((1, 1), (1, 1)))
    three, five = (layer(kind, layer(f"{kind}_reduce", x)) for kind in ("three", "five"))
    return jnp.concatenate([layer("one", x), three, five, layer("pool", pooled)], -1)


def bottlenecks(config: ConfigDict) -> dict[str, int | dict]:
    """Weights of a bottleneck and of two 3x3 of its width; multiply-adds of the nets; which blocks
    which depth has.
    """
    del config
    params = {
        depth: jax.eval_shape(resnet.imagenet(depth).init, jax.random.key(0))
        for depth in resnet.BLOCKS
    }
    thin = next(
        b for b in params[50].blocks if b.conv1.w.shape[2] == 256 and b.conv1.w.shape[3] == 64
    )
    wide = next(b for b in params[34].blocks if b.conv1.w.shape[2:] == (256, 256))
    own = program(resnet.imagenet(50))
    layers = {layer.name: layer for layer in arithmetic.layers(own.forward, own.params, own.x)}
    # He et al. stride in a bottleneck's first 1x1, which then works on a quarter of the pixels
    striding = [f"blocks.{b}.conv1" for b in (3, 7, 13)]
    saved = sum(layers[name].multiply_adds * 3 // 4 for name in striding)
    return {
        "bottleneck": sum(size(c.w) for c in thin[:-1]),
        "two 3x3": sum(size(c.w) for c in wide[:-1]),
        "widths": [c.w.shape[3] for c in thin[:-1]],
        "saved by striding first": saved,
        "kinds": {str(depth): type(tree.blocks[0]).__name__ for depth, tree in params.items()},
        "refused": [depth for depth in (13,) if not _exists(depth)],
    }


def _exists(depth: int) -> bool:
    try:
        resnet.imagenet(depth)
    except ValueError:
        return False
    return True


def stages(config: ConfigDict) -> dict[str, dict]:
    """Sides and channels of ResNet's maps: the first convolution's, the pooling's, and those after
    each stage.
    """
    del config
    found = {}
    for depth in (34, 50):
        net = resnet.imagenet(depth)
        own, ends = program(net), list(itertools.accumulate(resnet.BLOCKS[depth], initial=0))
        maps = block_maps(net, own.params, own.x)
        layers = arithmetic.layers(own.forward, own.params, own.x)
        found[str(depth)] = {
            "sides": [layers[0].shape[1], *(maps[end][1] for end in ends)],
            "channels": [layers[0].shape[3], *(maps[end][3] for end in ends)],
            "last": [[layer.name, *layer.shape[1:]] for layer in layers[-2:]],
        }
    return found


def block_maps(net: Net, params: Any, x: jax.ShapeDtypeStruct) -> list[tuple[int, ...]]:
    """Shapes of a net's probed blocks."""
    probes: dict = {}
    jax.eval_shape(
        lambda p, x: net.apply(p, x, running=None, key=None, probes=probes)[0], params, x
    )
    return [probes[name].value.shape for name in sorted(probes)]


def growth(config: ConfigDict) -> dict[str, dict]:
    """Of each DenseNet: the channels that the layers of each block take in, the growth, its
    transitions and parameters.
    """
    del config
    found = {}
    for name, (make, image) in DENSENETS.items():
        net = make()
        params = jax.eval_shape(net.init, jax.random.key(0))
        x = jax.ShapeDtypeStruct((1, image, image, 3), jnp.float32) if image else None
        found[name] = {
            "inputs": [[layer[0].w.shape[2] for layer in block] for block in params.blocks],
            "growth": params.blocks[0][0][-1].w.shape[3],
            "maps": [[shape[1], shape[3]] for shape in block_maps(net, params, x)] if image else [],
            "transitions": [list(t.w.shape[2:]) for t in params.transitions],
            "parameters": size(params),
        }
    return found


def order(config: ConfigDict) -> dict[str, list[str]]:
    """What the shallowest nets of 2015 and 2016 do, in order."""
    del config
    nets = {"post-activation": resnet.cifar(8), "pre-activation": preact_resnet.cifar(8)}
    found = {}
    for name, net in nets.items():
        own = program(net, 8)
        found[name] = order_of(jax.make_jaxpr(own.forward)(own.params, own.x).jaxpr)
    return found
