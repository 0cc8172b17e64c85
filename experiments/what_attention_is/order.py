"""The order task: which of two symbols comes first? A set cannot tell, a sequence can."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array
from ml_collections import ConfigDict

from deepseq.nets.blocks import attention as A
from deepseq.nets.blocks.layers import Dense, dense
from deepseq.train.losses import cross_entropy, misclassified
from deepseq.train.sequences import sequence_step
from deepseq.train.state import init_state

KINDS = ("without positions", "with positions")
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


def examples(config: ConfigDict, rng: np.random.Generator, count: int) -> Examples:
    """Sequences of other symbols in which 0 and 1 stand once each, at two random places."""
    own = config.order
    tokens = rng.integers(2, own.symbols, (count, own.steps), dtype=np.int32)
    places = np.argsort(rng.random((count, own.steps)), axis=1)[:, :2]
    np.put_along_axis(tokens, places, np.array([[0, 1]], np.int32), axis=1)
    return Examples(tokens, (places[:, 0] < places[:, 1]).astype(np.int32))


class Sizes(NamedTuple):
    """What the compiled programs depend on."""

    symbols: int
    size: int
    heads: int
    rate: float


def init(own: Sizes, key: Array) -> Classifier:
    """The classifier's first parameters."""
    keys = jax.random.split(key, 4)

    def affine(key, outputs):
        return Dense(
            jax.random.normal(key, (own.size, outputs)) * own.size**-0.5, jnp.zeros(outputs)
        )

    embedding, heads = (
        jax.random.normal(keys[0], (own.symbols, own.size)),
        A.multi_head_init(keys[1], own.size, own.heads),
    )
    return Classifier(embedding, heads, affine(keys[2], own.size), affine(keys[3], 2))


@jax.jit
def apply(params: Classifier, tokens: Array, positions: Array) -> Array:
    """Logits (B, 2) of tokens (B, T): a mean over steps, which forgets their order but for what the
    positions say.
    """
    x = params.embedding[tokens] + positions
    h = (x + A.multi_head(params.heads, x)).mean(1)
    return dense(params.readout, jax.nn.relu(dense(params.hidden, h)))


def measure(config: ConfigDict, seed: int) -> dict[str, dict]:
    """Accuracy of both nets after training, on intact and on disturbed sequences."""
    return {
        kind: train(config, seed, positions)
        for kind, positions in zip(KINDS, _positions(config), strict=True)
    }


@functools.partial(jax.jit, static_argnums=0)
def _train(own: Sizes, key: Array, batches: Examples, positions: Array) -> tuple[Classifier, Array]:
    """The parameters after all batches, and the loss of each."""
    optimizer = optax.adam(own.rate)

    def loss(params, batch):
        return cross_entropy(apply(params, batch.tokens, positions), batch.labels).mean(), {}

    state, metrics = jax.lax.scan(
        sequence_step(loss, optimizer), init_state(init(own, key), optimizer), batches
    )
    return state.params, metrics["loss"]


def train(config: ConfigDict, seed: int, positions: Array) -> dict[str, float | list]:
    """One net: its accuracies by how the test was disturbed, and its training losses."""
    own = config.order
    rng = np.random.default_rng(seed)
    data = examples(config, rng, own.updates * own.batch_size)
    batches = jax.tree.map(lambda a: a.reshape(own.updates, own.batch_size, *a.shape[1:]), data)
    params, losses = _train(_sizes(config), jax.random.key(seed), batches, positions)
    test = examples(config, np.random.default_rng([seed, 1]), own.test)
    disturbed = {
        name: disturb(test.tokens, np.random.default_rng([seed, 2]))
        for name, disturb in DISTURBED.items()
    }
    logits = {name: apply(params, tokens, positions) for name, tokens in disturbed.items()}
    found = {
        name: 1 - float(misclassified(z, jnp.asarray(test.labels)).mean())
        for name, z in logits.items()
    }
    every = max(1, own.updates // 40)
    return {
        "accuracy": found,
        "every": every,
        "loss": (
            np.asarray(losses)[: own.updates // every * every].reshape(-1, every).mean(1).tolist()
        ),
    }


def _permuted(tokens: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return rng.permuted(tokens, axis=1)


def _filled(tokens: np.ndarray, rng: np.random.Generator, kept: np.ndarray) -> np.ndarray:
    """Steps that are not kept are left out, the others move up, and random fillers follow."""
    order = np.argsort(~kept, axis=1, kind="stable")
    fillers = rng.integers(2, tokens.max() + 1, tokens.shape, dtype=tokens.dtype)
    return np.take_along_axis(np.where(kept, tokens, fillers), order, axis=1)


def _trimmed(tokens: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return _filled(
        tokens,
        rng,
        np.broadcast_to(np.arange(tokens.shape[1]) < tokens.shape[1] // 2, tokens.shape),
    )


def _omitted(tokens: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return _filled(tokens, rng, rng.random(tokens.shape) < 0.5)


DISTURBED = {
    "intact": lambda tokens, rng: tokens,
    "permuted": _permuted,
    "trimmed": _trimmed,
    "omitted": _omitted,
}


def _positions(config: ConfigDict) -> tuple[Array, Array]:
    table = A.sinusoidal(config.order.steps, config.order.size)
    return jnp.zeros_like(table), table


def _sizes(config: ConfigDict) -> Sizes:
    return Sizes(*(config.order[name] for name in Sizes._fields))


def blindness(config: ConfigDict, seed: int) -> float:
    """Without positions, the largest change of a random net's logits when the steps are permuted,
    relative to their size.
    """
    tokens = examples(config, np.random.default_rng(seed), 64).tokens
    params, (none, _) = init(_sizes(config), jax.random.key(seed)), _positions(config)
    usual, moved = (
        np.asarray(apply(params, t, none))
        for t in (tokens, _permuted(tokens, np.random.default_rng([seed, 3])))
    )
    return float(np.abs(usual - moved).max() / np.abs(usual).max())
