"""The order task: which of two symbols comes first? A set cannot tell, a sequence can."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array
from ml_collections import FrozenConfigDict

from deepseq.nets.blocks import attention as A
from deepseq.nets.blocks.layers import Dense, dense
from deepseq.train.losses import cross_entropy, misclassified
from deepseq.train.sequences import sequence_step
from deepseq.train.state import init_state

NETS = ("without positions", "with positions")
GUESS = 0.5  # accuracy of a guess


class Classifier(NamedTuple):
    """Parameters of one layer of attention whose mean output is classified."""

    embedding: Array  # (V, D)
    heads: A.MultiHead
    hidden: Dense  # D -> D
    readout: Dense  # D -> 2


class Examples(NamedTuple):
    """A part of the task."""

    tokens: np.ndarray  # (N, T) int32: 0 and 1 once each, and others
    labels: np.ndarray  # (N,) int32: 1 where 0 comes before 1


def examples(config: FrozenConfigDict, rng: np.random.Generator, count: int) -> Examples:
    """Sequences of other symbols in which 0 and 1 stand once each, at two random places."""
    shape = count, config.order.steps
    tokens = rng.integers(2, config.order.symbols, shape, dtype=np.int32)
    places = np.argsort(rng.random(shape), axis=1)[:, :2]
    np.put_along_axis(tokens, places, np.array([[0, 1]], np.int32), axis=1)
    return Examples(tokens, (places[:, 0] < places[:, 1]).astype(np.int32))


def init(net: FrozenConfigDict, key: Array) -> Classifier:
    """The classifier's first parameters."""
    keys, size = jax.random.split(key, 4), net.size

    def affine(key, outputs):
        return Dense(jax.random.normal(key, (size, outputs)) * size**-0.5, jnp.zeros(outputs))

    embedding = jax.random.normal(keys[0], (net.symbols, size))
    heads = A.multi_head_init(keys[1], size, net.heads)
    return Classifier(embedding, heads, affine(keys[2], size), affine(keys[3], 2))


@jax.jit
def apply(params: Classifier, tokens: Array, positions: Array) -> Array:
    """Logits (B, 2) of tokens (B, T): a mean over steps knows their order from positions alone."""
    x = params.embedding[tokens] + positions
    h = (x + A.multi_head(params.heads, x)).mean(1)
    return dense(params.readout, jax.nn.relu(dense(params.hidden, h)))


def measure(config: FrozenConfigDict, seed: int) -> dict[str, dict]:
    """Accuracy of both nets after training, on intact and on disturbed sequences."""
    return {name: train(config, seed, table) for name, table in _positions(config).items()}


def train(config: FrozenConfigDict, seed: int, positions: Array) -> dict[str, float | dict | list]:
    """One net: its accuracies by how the test was disturbed, and its training losses."""
    updates, size = config.order.updates, config.order.batch_size
    data = examples(config, np.random.default_rng(seed), updates * size)
    batches = jax.tree.map(lambda a: a.reshape(updates, size, *a.shape[1:]), data)
    params, losses = _train(config.order, jax.random.key(seed), batches, positions)
    test = examples(config, np.random.default_rng([seed, 1]), config.order.test)
    labels, accuracy = jnp.asarray(test.labels), {}
    for name, disturb in DISTURBED.items():
        logits = apply(params, disturb(test.tokens, np.random.default_rng([seed, 2])), positions)
        accuracy[name] = 1 - float(misclassified(logits, labels).mean())
    every = max(1, updates // 40)
    means = np.asarray(losses)[: updates // every * every].reshape(-1, every).mean(1)
    return {"accuracy": accuracy, "every": every, "loss": means.tolist()}


@functools.partial(jax.jit, static_argnums=0)
def _train(net: FrozenConfigDict, key: Array, batches: Examples, positions: Array):
    """The parameters after all batches, and the loss of each."""
    optimizer = optax.adam(net.rate)

    def loss(params, batch):
        return cross_entropy(apply(params, batch.tokens, positions), batch.labels).mean(), {}

    state = init_state(init(net, key), optimizer)
    state, metrics = jax.lax.scan(sequence_step(loss, optimizer), state, batches)
    return state.params, metrics["loss"]


def blindness(config: FrozenConfigDict, seed: int) -> float:
    """The largest relative change of a random net's logits, without positions, by permuting."""
    tokens = examples(config, np.random.default_rng(seed), 64).tokens
    moved = DISTURBED["permuted"](tokens, np.random.default_rng([seed, 3]))
    params, none = init(config.order, jax.random.key(seed)), _positions(config)[NETS[0]]
    before, after = (np.asarray(apply(params, t, none)) for t in (tokens, moved))
    return float(np.abs(before - after).max() / np.abs(before).max())


def _filled(tokens: np.ndarray, rng: np.random.Generator, kept: np.ndarray) -> np.ndarray:
    """Steps that are not kept are left out, the others move up, and random fillers follow."""
    order = np.argsort(~kept, axis=1, kind="stable")
    fillers = rng.integers(2, tokens.max() + 1, tokens.shape, dtype=tokens.dtype)
    return np.take_along_axis(np.where(kept, tokens, fillers), order, axis=1)


DISTURBED = {
    "intact": lambda tokens, rng: tokens,
    "permuted": lambda tokens, rng: rng.permuted(tokens, axis=1),
    "trimmed": lambda tokens, rng: _filled(
        tokens, rng, np.indices(tokens.shape)[1] < tokens.shape[1] // 2
    ),
    "omitted": lambda tokens, rng: _filled(tokens, rng, rng.random(tokens.shape) < 0.5),
}


def _positions(config: FrozenConfigDict) -> dict[str, Array]:
    table = A.sinusoidal(config.order.steps, config.order.size)
    return dict(zip(NETS, (jnp.zeros_like(table), table), strict=True))
