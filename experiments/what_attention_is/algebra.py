"""What attention is, exactly: Jacobians, permutations, shapes and counts, on random weights of one
seed.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from ml_collections import ConfigDict

from deepseq.nets.blocks import attention as A
from deepseq.nets.sequences import transformer

TOKENS = 11  # of the Transformer whose cache is tried


def measure(config: ConfigDict, seed: int) -> dict[str, float | list]:
    """All exact measurements of one seed, by name."""
    own = config.algebra
    keys = jax.random.split(jax.random.key(seed), 4)
    params = A.multi_head_init(keys[0], own.size, own.heads)
    x, memory = (jax.random.normal(k, (1, own.steps, own.size)) for k in keys[1:3])
    parts = (permutations, contexts, masks, shapes)
    found = [part(params, x, np.random.default_rng(seed)) for part in parts]
    return functools.reduce(
        dict.__or__, [*found, cross(params, x, memory), stepwise(config, keys[3])]
    )


def permutations(params: A.MultiHead, x: Array, rng: np.random.Generator) -> dict[str, float]:
    """|f(P x) - P f(x)| / |f(x)|, without and with positions, for a permutation P that moves every
    step.
    """
    steps = x.shape[1]
    order = np.roll(rng.permutation(steps), 1)
    order = order if (order != np.arange(steps)).any() else np.roll(order, 1)
    positions = A.sinusoidal(steps, x.shape[2])
    attend = functools.partial(_attend, params)
    moved = {}
    for name, add in (("without positions", 0.0), ("with positions", positions)):
        straight = attend(x + add)
        moved[name] = float(
            jnp.linalg.norm(attend(x[:, order] + add) - straight[:, order])
            / jnp.linalg.norm(straight)
        )
    return {"permuted " + name: value for name, value in moved.items()}


def contexts(params: A.MultiHead, x: Array, rng: np.random.Generator) -> dict[str, float]:
    """What an output owes to other steps: by self-attention, and by a feed-forward net that all
    steps share.
    """
    own = x.shape[2]
    w1, w2 = (
        jnp.asarray(rng.standard_normal(shape), jnp.float32)
        for shape in ((own, 2 * own), (2 * own, own))
    )
    attended = blocks(_attend, params, x)
    shared = blocks(_feed_forward, (w1, w2), x)
    off = ~np.eye(x.shape[1], dtype=bool)
    other = x.at[0, -1].add(1.0)  # the same first word, another last one
    change = (_attend(params, other) - _attend(params, x))[0, 0]
    return {
        "least influence between steps": float(attended.min()),
        "feed-forward influence between steps": float(shared[off].max()),
        "feed-forward influence within a step": float(shared[~off].min()),
        "change of a word in another context": float(jnp.linalg.norm(change)),
    }


def masks(params: A.MultiHead, x: Array, rng: np.random.Generator) -> dict[str, float]:
    """The largest entry of the Jacobian where a mask forbids to look, and the least block where it
    allows it.
    """
    steps = x.shape[1]
    arbitrary = rng.random((1, 1, steps, steps)) < 0.5
    arbitrary[..., 0, :] = False  # one query sees nothing at all
    found = {}
    kinds = {
        "causal": A.causal_mask(steps),
        "padding": A.padding_mask(jnp.array([steps - 2]), steps),
        "arbitrary": jnp.asarray(arbitrary),
    }
    for name, mask in kinds.items():
        allowed = np.broadcast_to(mask[0, 0], (steps, steps))
        # An output depends on its own step through the query as well, where it may look at anything
        # at all.
        depends = allowed | (np.eye(steps, dtype=bool) & allowed.any(1)[:, None])
        size = blocks(_masked, (params, jnp.broadcast_to(mask, (1, 1, steps, steps))), x)
        found[f"{name} mask, forbidden"] = float(size[~depends].max())
        found[f"{name} mask, allowed"] = float(size[allowed].min())
    return found


def cross(params: A.MultiHead, x: Array, memory: Array) -> dict[str, float]:
    """A decoder's attention: its Jacobian to the encoder's outputs, and what is left without them."""
    size = blocks(_cross, (params, x), memory)
    same = _cross(
        (params, x), jnp.broadcast_to(memory[:, :1], memory.shape)
    )  # all keys alike: the query cannot choose
    return {
        "least influence of the encoder": float(size.min()),
        "difference of outputs where all keys are alike": float(jnp.abs(same - same[:, :1]).max()),
    }


def shapes(params: A.MultiHead, x: Array, rng: np.random.Generator) -> dict[str, list | float]:
    """Parameters of multi-head attention for several head counts, split and not, and whether d_v is
    free and d_k is not.
    """
    del rng
    key = jax.random.key(0)

    def count(**sizes) -> int:
        tree = jax.eval_shape(lambda key: A.multi_head_init(key, 80, bias=False, **sizes), key)
        return sum(leaf.size for leaf in jax.tree.leaves(tree))

    heads = (1, 2, 4, 8, 16)
    q, v = jnp.ones((1, 3, 2, 4)), jnp.ones((1, 3, 2, 9))
    try:
        A.dot_product_attention(q, jnp.ones((1, 3, 2, 5)), v)
        refused = 0.0
    except ValueError:
        refused = 1.0
    return {
        "heads": list(heads),
        "parameters, size split": [count(heads=h) for h in heads],
        "parameters, 10 each": [count(heads=h, key_size=10, value_size=10) for h in heads],
        "value size of the output": A.dot_product_attention(q, q, v).shape[-1],
        "another key size is refused": refused,
    }


def stepwise(config: ConfigDict, key: Array) -> dict[str, float]:
    """A Transformer's logits token by token from its cache, beside those of the whole target at
    once.
    """
    own = config.algebra
    keys = jax.random.split(key, 3)
    source, target = (jax.random.randint(k, (2, own.steps), 0, TOKENS) for k in keys[:2])
    whole, steps = _whole_and_steps(own.size, own.heads, keys[2], source, target)
    return {
        "step by step against the whole target": float(
            jnp.abs(whole - steps).max() / jnp.abs(whole).max()
        )
    }


@functools.partial(jax.jit, static_argnums=(0, 1))
def _whole_and_steps(
    size: int, heads: int, key: Array, source: Array, target: Array
) -> tuple[Array, Array]:
    net = transformer.transformer(
        TOKENS, layers=2, size=size, heads=heads, feed_forward=2 * size, dropout=0.0
    )
    params = net.init(key)
    memory = net.encode(params, source, lengths=None, key=None)
    whole = net.teach(params, memory, target, key=None)
    carry = net.start(params, memory, target.shape[1])
    _, logits = jax.lax.scan(functools.partial(net.decode, params, memory), carry, target.T)
    return whole, logits.transpose(1, 0, 2)


@functools.partial(jax.jit, static_argnums=0)
def _sizes(f: Callable, params: Any, x: Array) -> Array:
    return jnp.abs(jax.jacobian(lambda x: f(params, x)[0])(x)[:, :, 0]).max((1, 3))


def blocks(f: Callable, params: Any, x: Array) -> np.ndarray:
    """The largest modulus of d f(x)_t / d x_s for every t and s: (T, T)."""
    return np.asarray(_sizes(f, params, x))


@jax.jit
def _attend(params: A.MultiHead, x: Array) -> Array:
    return A.multi_head(params, x)


@jax.jit
def _masked(params: tuple[A.MultiHead, Array], x: Array) -> Array:
    return A.multi_head(params[0], x, mask=params[1])


@jax.jit
def _cross(params: tuple[A.MultiHead, Array], memory: Array) -> Array:
    return A.multi_head(*params, memory)


@jax.jit
def _feed_forward(weights: tuple[Array, Array], x: Array) -> Array:
    return jax.nn.relu(x @ weights[0]) @ weights[1]


def scores(config: ConfigDict, seed: int) -> list[dict[str, float]]:
    """Of random queries and keys at each size: the scores' variance, the softmax's entropy and the
    size of its derivative.
    """
    own, rows = config.scores, []
    for size in own.key_sizes:
        keys = jax.random.split(jax.random.key(seed))
        q, k = (
            jax.random.normal(key, (n, size))
            for key, n in zip(keys, (own.queries, own.choices), strict=True)
        )
        row = {"key_size": size}
        for name, divisor in (("divided", size**0.5), ("plain", 1.0)):
            found = _statistics(q @ k.T / divisor)
            row |= {f"{name} {what}": float(value) for what, value in found.items()}
        rows.append(row)
    return rows


@jax.jit
def _statistics(s: Array) -> dict[str, Array]:
    p = jax.nn.softmax(s)
    entropy = -(p * jax.nn.log_softmax(s)).sum(-1).mean() / np.log(s.shape[-1])
    jacobian = jax.vmap(lambda p: jnp.diag(p) - jnp.outer(p, p))(p)
    return {
        "variance": s.var(),
        "entropy": entropy,
        "derivative": jnp.sqrt((jacobian**2).sum((1, 2))).mean(),
    }
