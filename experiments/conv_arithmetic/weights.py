"""What holds of convolutions whatever their weights are, tried on random ones of one seed.

Where two ways to the same sum are compared, weights and pixels are small whole numbers, whose sums
float32 holds exactly."""

import functools
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from ml_collections import ConfigDict

from deepseq.nets.blocks.conv import conv2d
from deepseq.nets.blocks.inside import look
from deepseq.nets.blocks.net import Net
from deepseq.nets.images import densenet, preact_resnet, resnet
from experiments.conv_arithmetic.nets import NOTES

CHANNELS, REDUCED = 128, 32  # of the reduction by 1x1
WIDTHS = (16, 64, 128, 256)  # at which two 3x3 and one 5x5 are counted


def pixels(config: ConfigDict, seed: int) -> dict[str, float | int]:
    """1x1: beside a dense layer at every pixel; before a 3x3, with and without ReLU, beside one
    3x3; what it saves.
    """
    own = config.weights
    x, one, three = _whole(
        seed,
        (own.batch, own.pixels, own.pixels, CHANNELS),
        (CHANNELS, REDUCED),
        (3, 3, REDUCED, CHANNELS),
    )
    reduced, joined, apart = _pixels(x, one, three)
    return {name: float(value) for name, value in apart.items()} | {
        "side": reduced.shape[1],
        "channels": reduced.shape[3],
        "weights": joined.size,
        "weights, reduced": one.size + three.size,
        # the most channels between them with which the pair has fewer weights
        "saves up to": max(
            m for m in range(1, CHANNELS) if CHANNELS * m + 9 * m * CHANNELS < joined.size
        ),
    }


@jax.jit
def _pixels(x: Array, one: Array, three: Array) -> tuple[Array, Array, dict[str, Array]]:
    reduced = conv2d(x, one[None, None])
    joined = jnp.einsum("im,hwmo->hwio", one, three)  # the one kernel that does what the pair does
    direct = conv2d(x, joined)
    apart = {
        "from a dense layer": _apart(reduced, x @ one),
        "pair from one 3x3": _apart(conv2d(reduced, three), direct),
        "pair with ReLU from one 3x3": _apart(conv2d(jax.nn.relu(reduced), three), direct),
    }
    return reduced, joined, apart


def fields(config: ConfigDict, seed: int) -> dict[str, list | dict]:
    """Rows and columns that one output of two 3x3, and of one 5x5, depends on; weights of both at
    several widths.
    """
    width = config.weights.width
    keys = jax.random.split(jax.random.key(seed), 4)
    x = jax.random.normal(keys[0], (64, 11, 11, width))
    a, b, c = (
        jax.random.normal(k, (n, n, width, width)) for k, n in zip(keys[1:], (3, 3, 5), strict=True)
    )
    stacks = {"two 3x3": (a, b), "one 5x5": (c,)}
    return {name: _support(kernels, x) for name, kernels in stacks.items()} | {
        "widths": list(WIDTHS),
        "weights of two 3x3": [sum(_shape(w, n) for w in (a, b)) for n in WIDTHS],
        "weights of one 5x5": [_shape(c, n) for n in WIDTHS],
    }


def _shape(w: Array, width: int) -> int:
    """Weights of a kernel, were it ``width`` channels wide."""
    return math.prod((*w.shape[:2], width, width))


def _support(kernels: tuple[Array, ...], x: Array) -> list[int]:
    """Rows, columns and pixels of the image that move the middle of the last map, in any example."""
    seen = np.asarray(_gradient(kernels, x) > 0)
    return [int(np.ptp(np.flatnonzero(seen.any(axis))) + 1) for axis in (1, 0)] + [int(seen.sum())]


@jax.jit
def _gradient(kernels: tuple[Array, ...], x: Array) -> Array:
    def middle(x: Array) -> Array:
        for w in kernels:
            x = jax.nn.relu(conv2d(x, w))
        return x[:, x.shape[1] // 2, x.shape[2] // 2].sum()

    return jnp.abs(jax.grad(middle)(x)).max((0, 3))


def towers(config: ConfigDict, seed: int) -> dict[str, float]:
    """AlexNet's conv2: two groups beside two convolutions, and what an output owes to the pixels of
    the other tower.
    """
    del config
    kernel, _, c_in, c_out, groups = NOTES["conv2"]
    x, w = _whole(seed, (1, 9, 9, c_in * groups), (kernel, kernel, c_in, c_out * groups))
    return {
        name: float(value) for name, value in _towers(x, w, jax.random.key(seed), groups).items()
    }


@functools.partial(jax.jit, static_argnums=3)
def _towers(x: Array, w: Array, key: Array, groups: int) -> dict[str, Array]:
    ours, theirs = (jnp.split(a, groups, -1) for a in (x, w))
    halves = [conv2d(a, b) for a, b in zip(ours, theirs, strict=True)]
    out, backward = jax.vjp(lambda x: conv2d(x, w, groups=groups), x)
    first = jnp.arange(out.shape[-1]) < halves[0].shape[-1]
    gradient = jnp.abs(backward(jnp.where(first, jax.random.normal(key, out.shape), 0))[0]).max(
        (0, 1, 2)
    )
    within, between = jnp.split(gradient, [ours[0].shape[-1]])
    return {
        "from two convolutions": _apart(out, jnp.concatenate(halves, -1)),
        "within a tower": within.min(),
        "between towers": between.max(),
    }


def additions(config: ConfigDict, seed: int) -> dict[str, float]:
    """ResNet-8 and its pre-activation twin: option A's shortcut beside x and F, and the signs of
    the blocks' outputs.
    """
    own = config.weights
    params, x = _init("post-activation", own.width, seed), _images(config, seed)
    seen = _seen("post-activation", own.width, params, x)
    padded, copied = [], []
    for b in (2, 3):  # the blocks that change shape
        before, response, after = seen["block", b - 1], seen["layer", 2 * b + 1], seen["block", b]
        kept = before.shape[-1]
        copied.append(
            np.abs(
                after[..., :kept] - np.maximum(response[..., :kept] + before[:, ::2, ::2], 0)
            ).max()
        )
        padded.append(np.abs(after[..., kept:] - np.maximum(response[..., kept:], 0)).max())
    twin = _init("pre-activation", own.width, seed)
    other = _seen("pre-activation", own.width, twin, x)
    blocks, others = (
        [a for (kind, b), a in s.items() if kind == "block" and b] for s in (seen, other)
    )
    return {
        "new channels from F": float(max(padded)),
        "old channels from F + x": float(max(copied)),
        "parameters of the shortcuts": sum(
            leaf.size for block in params.blocks for leaf in jax.tree.leaves(block.shortcut)
        ),
        "least, post-activation": float(min(a.min() for a in blocks)),
        "largest, post-activation": float(min(a.max() for a in blocks)),
        "least, pre-activation": float(max(a.min() for a in others)),
        "largest, pre-activation": float(min(a.max() for a in others)),
    }


def slices(config: ConfigDict, seed: int) -> dict[str, float | int]:
    """What is left of earlier features when the last layer of a block gets other weights:
    concatenated, and added.
    """
    width, x = config.weights.width, _images(config, seed)
    keys = jax.random.split(jax.random.key(seed + 1000), 2)
    dense = _init("concatenation", width, seed)
    last = dense.blocks[0][-1]
    other = (*last[:-1], last[-1]._replace(w=_like(keys[0], last[-1].w)))
    changed = dense._replace(blocks=((*dense.blocks[0][:-1], other), *dense.blocks[1:]))
    before, after = (_seen("concatenation", width, p, x)["block", 0] for p in (dense, changed))
    new = last[-1].w.shape[3]
    stem = np.asarray(conv2d(x, dense.stem.w))
    added = _init("post-activation", width, seed)
    first = added.blocks[0]
    moved = first._replace(conv2=first.conv2._replace(w=_like(keys[1], first.conv2.w)))
    sums = [
        _seen("post-activation", width, p, x)["block", 1]
        for p in (added, added._replace(blocks=(moved, *added.blocks[1:])))
    ]
    return {
        "channels before the last layer": before.shape[-1] - new,
        "their change": float(np.abs(before - after)[..., :-new].max()),
        "the new ones' change": float(np.abs(before - after)[..., -new:].max((0, 1, 2)).min()),
        "first channels from the block's input": float(
            np.abs(before[..., : stem.shape[-1]] - stem).max()
        ),
        "least change of a channel of a sum": float(np.abs(sums[0] - sums[1]).max((0, 1, 2)).min()),
    }


@functools.cache
def _net(name: str, width: int) -> Net:
    """The shallowest net of each kind, but for DenseNet, whose blocks have two layers."""
    if name == "concatenation":
        return densenet.cifar(10, width)
    make: Callable[..., Net] = resnet.cifar if name == "post-activation" else preact_resnet.cifar
    return make(8, width=width)


def _init(name: str, width: int, seed: int) -> Any:
    return _starting(name, width)(jax.random.key(seed))


@functools.cache
def _starting(name: str, width: int) -> Callable:
    return jax.jit(_net(name, width).init)


@functools.cache
def _looking(name: str, width: int) -> Callable:
    net = _net(name, width)
    return jax.jit(
        lambda p, x: look(
            lambda probes: net.apply(p, x, running=None, key=None, probes=probes)[0].sum()
        )
    )


def _seen(name: str, width: int, params: Any, x: Array) -> dict[tuple, np.ndarray]:
    return {key: np.asarray(seen.value) for key, seen in _looking(name, width)(params, x).items()}


def _images(config: ConfigDict, seed: int) -> Array:
    own = config.weights
    return jax.random.normal(jax.random.key(seed + 100), (own.batch, own.pixels, own.pixels, 3))


def _like(key: Array, w: Array) -> Array:
    return w.std() * jax.random.normal(key, w.shape)


def _whole(seed: int, *shapes: tuple[int, ...]) -> list[Array]:
    """Arrays of whole numbers from -3 to 3."""
    keys = jax.random.split(jax.random.key(seed), len(shapes))
    return [
        jax.random.randint(k, shape, -3, 4).astype(jnp.float32)
        for k, shape in zip(keys, shapes, strict=True)
    ]


def _apart(a: Array, b: Array) -> Array:
    return jnp.abs(a - b).max()
