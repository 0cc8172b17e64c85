"""What holds of convolutions whatever their weights are, tried on random ones of one seed.

Where two ways to the same sum are compared, weights and pixels are small whole numbers, whose sums
float32 holds exactly.
"""

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
from deepseq.nets.images import densenet, preact_resnet, resnet
from experiments.conv_arithmetic.nets import NOTES, size

CHANNELS, REDUCED = 128, 32  # of the reduction by 1x1
WIDTHS = (16, 64, 128, 256)  # at which two 3x3 and one 5x5 are counted
SMALLEST = {  # of each kind, by width; DenseNet's blocks have two layers
    "post-activation": lambda width: resnet.cifar(8, width=width),
    "pre-activation": lambda width: preact_resnet.cifar(8, width=width),
    "concatenation": lambda width: densenet.cifar(10, width),
}
# every program runs a few times on little: to optimise it would take longer than it saves
quick = functools.partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})
_normal = quick(jax.random.normal, static_argnums=1)


def pixels(config: ConfigDict, seed: int) -> dict[str, float | int]:
    """A 1x1 beside a dense layer at every pixel; before a 3x3, beside one 3x3; what it saves."""
    side, batch = config.weights.pixels, config.weights.batch
    shapes = (batch, side, side, CHANNELS), (CHANNELS, REDUCED), (3, 3, REDUCED, CHANNELS)
    x, one, three = _whole(jax.random.key(seed), shapes)
    reduced, joined, apart = _pixels(x, one, three)
    return {name: float(value) for name, value in apart.items()} | {
        "side": reduced.shape[1],
        "channels": reduced.shape[3],
        "weights": joined.size,
        "weights, reduced": one.size + three.size,
        # the most channels between them with which the pair has fewer weights
        "saves up to": (joined.size - 1) // (CHANNELS + 9 * CHANNELS),
    }


@quick
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
    """What one output of two 3x3, and of one 5x5, depends on; their weights at several widths."""
    width, keys = config.weights.width, jax.random.split(jax.random.key(seed), 4)
    shapes = (64, 11, 11, width), *((n, n, width, width) for n in (3, 3, 5))
    x, a, b, c = (_normal(key, shape) for key, shape in zip(keys, shapes, strict=True))
    stacks = {"two 3x3": (a, b), "one 5x5": (c,)}
    measured = {name: _support(kernels, x) for name, kernels in stacks.items()}
    measured["widths"] = list(WIDTHS)
    for name, kernels in stacks.items():
        taps = sum(math.prod(w.shape[:2]) for w in kernels)
        measured[f"weights of {name}"] = [taps * n * n for n in WIDTHS]
    return measured


def _support(kernels: tuple[Array, ...], x: Array) -> list[int]:
    """Rows, columns and pixels that move the middle of the last map, in any example."""
    moves = np.asarray(_gradient(kernels, x)) > 0
    rows, columns = (np.ptp(np.flatnonzero(moves.any(axis))) + 1 for axis in (1, 0))
    return [int(rows), int(columns), int(moves.sum())]


@quick
def _gradient(kernels: tuple[Array, ...], x: Array) -> Array:
    def middle(x: Array) -> Array:
        for w in kernels:
            x = jax.nn.relu(conv2d(x, w))
        return x[:, x.shape[1] // 2, x.shape[2] // 2].sum()

    return jnp.abs(jax.grad(middle)(x)).max((0, 3))


def towers(_: ConfigDict, seed: int) -> dict[str, float]:
    """AlexNet's conv2 beside two convolutions, and what an output owes to the other tower."""
    (kernel, _, c_in, c_out, groups), key = NOTES["conv2"], jax.random.key(seed)
    x, w = _whole(key, ((1, 9, 9, c_in * groups), (kernel, kernel, c_in, c_out * groups)))
    return {name: float(value) for name, value in _towers(x, w, key, groups=groups).items()}


@functools.partial(quick, static_argnames="groups")
def _towers(x: Array, w: Array, key: Array, *, groups: int) -> dict[str, Array]:
    ours, theirs = (jnp.split(a, groups, -1) for a in (x, w))
    halves = [conv2d(a, b) for a, b in zip(ours, theirs, strict=True)]
    out, backward = jax.vjp(lambda x: conv2d(x, w, groups=groups), x)
    first = jnp.arange(out.shape[-1]) < halves[0].shape[-1]
    (gradient,) = backward(jnp.where(first, jax.random.normal(key, out.shape), 0))
    within, between = jnp.split(jnp.abs(gradient).max((0, 1, 2)), [ours[0].shape[-1]])
    return {
        "from two convolutions": _apart(out, jnp.concatenate(halves, -1)),
        "within a tower": within.min(),
        "between towers": between.max(),
    }


def additions(config: ConfigDict, seed: int) -> dict[str, float]:
    """ResNet-8 and its pre-activation twin: option A beside x and F, and the blocks' signs."""
    width, x, key = config.weights.width, _images(config, seed), jax.random.key(seed)
    init, maps = _net("post-activation", width)
    init_twin, maps_twin = _net("pre-activation", width)
    params = init(key)
    values, twin = maps(params, x), maps_twin(init_twin(key), x)
    padded, copied = [], []
    for b in (2, 3):  # the blocks that change shape
        before, response = values["block", b - 1], values["layer", 2 * b + 1]
        after, kept = values["block", b], before.shape[-1]
        expected = np.maximum(response, 0)
        padded.append(np.abs(after - expected)[..., kept:].max())
        expected = np.maximum(response[..., :kept] + before[:, ::2, ::2], 0)
        copied.append(np.abs(after[..., :kept] - expected).max())
    blocks, others = (
        [value for (kind, b), value in net.items() if kind == "block" and b]
        for net in (values, twin)
    )
    return {
        "new channels from F": float(max(padded)),
        "old channels from F + x": float(max(copied)),
        "parameters of the shortcuts": size([block.shortcut for block in params.blocks]),
        "least, post-activation": float(min(a.min() for a in blocks)),
        "largest, post-activation": float(min(a.max() for a in blocks)),
        "least, pre-activation": float(max(a.min() for a in others)),
        "largest, pre-activation": float(min(a.max() for a in others)),
    }


def slices(config: ConfigDict, seed: int) -> dict[str, float | int]:
    """What is left of earlier features, concatenated and added, when a layer's weights change."""
    width, x, key = config.weights.width, _images(config, seed), jax.random.key(seed)
    keys = jax.random.split(jax.random.key(seed + 1000), 2)
    init, maps = _net("concatenation", width)
    dense = init(key)
    *layers, (*norms, last) = dense.blocks[0]
    block = (*layers, (*norms, _redrawn(keys[0], last)))
    changed = dense._replace(blocks=(block, *dense.blocks[1:]))
    before, after = (maps(params, x)["block", 0] for params in (dense, changed))
    change, new, stem = np.abs(before - after), last.w.shape[3], conv2d(x, dense.stem.w)

    init, maps = _net("post-activation", width)
    added = init(key)
    first, *others = added.blocks
    block = first._replace(conv2=_redrawn(keys[1], first.conv2))
    changed = added._replace(blocks=(block, *others))
    one, other = (maps(params, x)["block", 1] for params in (added, changed))
    return {
        "channels before the last layer": before.shape[-1] - new,
        "their change": float(change[..., :-new].max()),
        "the new ones' change": float(change[..., -new:].max((0, 1, 2)).min()),
        "first channels from the block's input": float(_apart(before[..., : stem.shape[-1]], stem)),
        "least change of a channel of a sum": float(np.abs(one - other).max((0, 1, 2)).min()),
    }


@functools.cache
def _net(kind: str, width: int) -> tuple[Callable, Callable]:
    """(key -> params, (params, images) -> what the net's layers and blocks give), compiled once."""
    net = SMALLEST[kind](width)

    @quick
    def maps(params: Any, x: Array) -> dict[tuple, Array]:
        probes = look(lambda p: net.apply(params, x, running=None, key=None, probes=p)[0].sum())
        return {name: probe.value for name, probe in probes.items()}

    return quick(net.init), lambda params, x: jax.device_get(maps(params, x))


def _images(config: ConfigDict, seed: int) -> Array:
    side = config.weights.pixels
    return _normal(jax.random.key(seed + 100), (config.weights.batch, side, side, 3))


def _redrawn(key: Array, layer: Any) -> Any:
    """A layer with other weights of the same size."""
    return layer._replace(w=layer.w.std() * _normal(key, layer.w.shape))


@functools.partial(quick, static_argnums=1)
def _whole(key: Array, shapes: tuple[tuple[int, ...], ...]) -> list[Array]:
    """Arrays of whole numbers from -3 to 3."""
    keys = jax.random.split(key, len(shapes))
    return [
        jax.random.randint(k, shape, -3, 4).astype(jnp.float32)
        for k, shape in zip(keys, shapes, strict=True)
    ]


def _apart(a: Array, b: Array) -> Array:
    return jnp.abs(a - b).max()
