"""Nets of every kind, batches of each, and the steps of our own loop, with which those of a Flax
program are compared.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from deepseq.nets import recurrent
from deepseq.nets.images import resnet
from deepseq.nets.sequences import language_model, transformer

RNG = np.random.default_rng(0)
IMAGES = jnp.asarray(RNG.normal(size=(3, 4, 8, 8, 3)), jnp.float32)  # of three steps
LABELS = jnp.asarray(RNG.integers(0, 10, (3, 4)))
TOKENS = jnp.asarray(RNG.integers(0, 7, (3, 4, 5)))
SERIES = jnp.asarray(RNG.normal(size=(3, 6, 4, 3)), jnp.float32)  # time-major
LENGTHS = jnp.array([5, 3, 1, 4])
OPTIMIZER = optax.adamw(0.01)
KEY = jax.random.key(0)


@functools.cache
def resnet_8():
    return resnet.cifar(8, shortcut="B", width=4)


@functools.cache
def resnet_params():
    return jax.jit(resnet_8().init)(KEY)


def lstm_init(key):
    return recurrent.lstm_init(key, 3, 5)


def small_transformer(dropout=0.0):
    return transformer.transformer(
        7, layers=1, size=8, heads=2, feed_forward=8, dropout=dropout, norm=transformer.pre_norm
    )


def small_lm(dropout=0.0):
    return language_model.language_model(7, embedding=4, hidden=4, dropout=dropout)


class Program(NamedTuple):
    """A net without batch norm, and how it is called both ways."""

    net: Any
    init: Callable | None  # of a layer
    inputs: tuple  # of three steps each
    keywords: dict
    pure: Callable  # (params, *inputs of a step) -> what is compared

    def first(self) -> tuple:
        return tuple(x[0] for x in self.inputs)

    def params(self) -> Any:
        return jax.jit(self.init or self.net.init)(KEY)


def taught(net):
    def pure(params, source, tokens):
        memory = net.encode(params, source, lengths=LENGTHS, key=None)
        return net.teach(params, memory, tokens, key=None)

    return pure


@functools.cache
def program(kind: str) -> Program:
    if kind == "lstm":
        layer = recurrent.lstm
        return Program(layer, lstm_init, (SERIES,), {}, lambda p, xs: layer(p, xs))
    if kind == "language model":
        net = small_lm()
        return Program(
            net, None, (TOKENS,), {}, lambda p, xs: net.apply(p, xs, carry=None, key=None)
        )
    net = small_transformer()
    return Program(net, None, (TOKENS, TOKENS), {"lengths": LENGTHS}, taught(net))


KINDS = "lstm", "language model", "transformer"


def size(outputs: Any) -> Array:
    """A loss of anything: the mean square of all outputs, summed."""
    return sum(jnp.mean(leaf**2) for leaf in jax.tree.leaves(outputs))


@functools.cache
def trained(kind: str) -> tuple[Any, list]:
    """Parameters after three steps of our own loop, and their losses."""
    ours = program(kind)

    @jax.jit
    def step(params, state, *inputs):
        value, gradient = jax.value_and_grad(lambda p: size(ours.pure(p, *inputs)))(params)
        updates, state = OPTIMIZER.update(gradient, state, params)
        return optax.apply_updates(params, updates), state, value

    params, losses = ours.params(), []
    state = OPTIMIZER.init(params)
    for inputs in zip(*ours.inputs, strict=True):
        params, state, value = step(params, state, *inputs)
        losses.append(value)
    return params, losses


def cross_entropy(logits, labels):
    return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()


@functools.cache
def trained_resnet(momentum: float) -> tuple[Any, Any, list]:
    """Parameters and running moments after three steps as ``train_step`` has them, and losses."""
    net = resnet_8()

    @jax.jit
    def step(t, params, running, state, images, labels):
        def loss(params):
            logits, moments = net.apply(params, images, running=None, key=None)
            return cross_entropy(logits, labels), moments

        (value, moments), gradient = jax.value_and_grad(loss, has_aux=True)(params)
        updates, state = OPTIMIZER.update(gradient, state, params)
        m = jnp.where(t == 0, 0.0, momentum)
        running = jax.tree.map(lambda r, b: m * r + (1 - m) * b, running, moments)
        return optax.apply_updates(params, updates), running, state, value

    params, losses = resnet_params(), []
    running, state = zero_moments(net, params), OPTIMIZER.init(params)
    for t, (images, labels) in enumerate(zip(IMAGES, LABELS, strict=True)):
        params, running, state, value = step(t, params, running, state, images, labels)
        losses.append(value)
    return params, running, losses


def zero_moments(net: Any, params: Any) -> Any:
    """Zeros of the shapes of a net's moments."""
    shapes = jax.eval_shape(lambda p: net.apply(p, IMAGES[0], running=None, key=None)[1], params)
    return jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), shapes)
