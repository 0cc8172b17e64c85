"""What attention is, exactly: Jacobians, permutations, shapes and counts, on random weights."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from ml_collections import FrozenConfigDict

from deepseq.nets.blocks import attention as A
from deepseq.nets.sequences import transformer

TOKENS = 11  # of the Transformer whose cache is tried


def measure(config: FrozenConfigDict, seed: int) -> dict[str, float | list]:
    """All exact measurements of one seed, by name."""
    size, steps = config.algebra.size, config.algebra.steps
    keys = jax.random.split(jax.random.key(seed), 4)
    params = A.multi_head_init(keys[0], size, config.algebra.heads)
    x, memory = (jax.random.normal(key, (1, steps, size)) for key in keys[1:3])
    return {
        **permutations(params, x, np.random.default_rng(seed)),
        **contexts(params, x, np.random.default_rng(seed)),
        **masks(params, x, np.random.default_rng(seed)),
        **shapes(),
        **cross(params, x, memory),
        **stepwise(config, keys[3]),
    }


def permutations(params: A.MultiHead, x: Array, rng: np.random.Generator) -> dict[str, float]:
    """|f(P x) - P f(x)| / |f(x)|, without and with positions, for a permutation P."""
    steps = x.shape[1]
    order = np.roll(rng.permutation(steps), 1)
    order = order if (order != np.arange(steps)).any() else np.roll(order, 1)
    moved = {}
    for name, added in (("without", 0.0), ("with", A.sinusoidal(steps, x.shape[2]))):
        straight = _attend(params, x + added)
        change = _attend(params, x[:, order] + added) - straight[:, order]
        moved[f"permuted {name} positions"] = float(
            jnp.linalg.norm(change) / jnp.linalg.norm(straight)
        )
    return moved


def contexts(params: A.MultiHead, x: Array, rng: np.random.Generator) -> dict[str, float]:
    """What an output owes to other steps, by self-attention and by a shared feed-forward net."""
    size = x.shape[2]
    w1 = np.float32(rng.standard_normal((size, 2 * size)))
    w2 = np.float32(rng.standard_normal((2 * size, size)))
    shared = np.asarray(blocks(_feed_forward, (w1, w2), x))
    off = ~np.eye(x.shape[1], dtype=bool)
    other = x.at[0, -1].add(1.0)  # the same first word, another last one
    change = (_attend(params, other) - _attend(params, x))[0, 0]
    return {
        "least influence between steps": float(blocks(_attend, params, x).min()),
        "feed-forward influence between steps": float(shared[off].max()),
        "feed-forward influence within a step": float(shared[~off].min()),
        "change of a word in another context": float(jnp.linalg.norm(change)),
    }


def masks(params: A.MultiHead, x: Array, rng: np.random.Generator) -> dict[str, float]:
    """The largest block of the Jacobian where a mask forbids to look, the least where it allows."""
    steps = x.shape[1]
    arbitrary = rng.random((1, 1, steps, steps)) < 0.5
    arbitrary[..., 0, :] = False  # one query sees nothing at all
    influence = {}
    for name, mask in (
        ("causal", A.causal_mask(steps)),
        ("padding", A.padding_mask(jnp.array([steps - 2]), steps)),
        ("arbitrary", jnp.asarray(arbitrary)),
    ):
        allowed = np.broadcast_to(mask[0, 0], (steps, steps))
        # an output depends on its own step through the query as well, where it may look at anything
        depends = allowed | (np.eye(steps, dtype=bool) & allowed.any(1)[:, None])
        mask = jnp.broadcast_to(mask, (1, 1, steps, steps))
        size = np.asarray(blocks(_masked, (params, mask), x))
        influence[f"{name} mask, forbidden"] = float(size[~depends].max())
        influence[f"{name} mask, allowed"] = float(size[allowed].min())
    return influence


def cross(params: A.MultiHead, x: Array, memory: Array) -> dict[str, float]:
    """A decoder's attention: its Jacobian to the encoder's outputs, and its use of alike keys."""
    size = blocks(_cross, (params, x), memory)
    # all keys alike: the query cannot choose
    same = _cross((params, x), jnp.broadcast_to(memory[:, :1], memory.shape))
    return {
        "least influence of the encoder": float(size.min()),
        "difference of outputs where all keys are alike": float(jnp.abs(same - same[:, :1]).max()),
    }


def shapes() -> dict[str, list | float]:
    """Parameters for several head counts, and whether d_v is free and d_k is not."""

    def count(**sizes) -> int:
        init = functools.partial(A.multi_head_init, size=80, bias=False, **sizes)
        return sum(leaf.size for leaf in jax.tree.leaves(jax.eval_shape(init, jax.random.key(0))))

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


def stepwise(config: FrozenConfigDict, key: Array) -> dict[str, float]:
    """A Transformer's logits token by token from its cache, beside those of the whole target."""
    *keys, net_key = jax.random.split(key, 3)
    source, target = (jax.random.randint(k, (2, config.algebra.steps), 0, TOKENS) for k in keys)
    whole, steps = _whole_and_steps(config.algebra, net_key, source, target)
    difference = jnp.abs(whole - steps).max() / jnp.abs(whole).max()
    return {"step by step against the whole target": float(difference)}


@functools.partial(jax.jit, static_argnums=0)
def _whole_and_steps(config: FrozenConfigDict, key: Array, source: Array, target: Array):
    sizes = {"size": config.size, "heads": config.heads, "feed_forward": 2 * config.size}
    net = transformer.transformer(TOKENS, layers=2, dropout=0.0, **sizes)
    params = net.init(key)
    memory = net.encode(params, source, lengths=None, key=None)
    whole = net.teach(params, memory, target, key=None)
    carry = net.start(params, memory, target.shape[1])
    _, logits = jax.lax.scan(functools.partial(net.decode, params, memory), carry, target.T)
    return whole, logits.transpose(1, 0, 2)


@functools.partial(jax.jit, static_argnums=0)
def blocks(f: Callable, params: Any, x: Array) -> Array:
    """The largest modulus of d f(x)_t / d x_s for every t and s: (T, T)."""
    return jnp.abs(jax.jacobian(lambda x: f(params, x)[0])(x)[:, :, 0]).max((1, 3))


_attend = jax.jit(A.multi_head)
_masked = jax.jit(lambda both, x: A.multi_head(both[0], x, mask=both[1]))
_cross = jax.jit(lambda both, memory: A.multi_head(*both, memory))
_feed_forward = jax.jit(lambda weights, x: jax.nn.relu(x @ weights[0]) @ weights[1])


def scores(config: FrozenConfigDict, seed: int) -> list[dict[str, float]]:
    """Variance of random scores, entropy and derivative of their softmax, at each key size."""
    rows = []
    for size in config.scores.key_sizes:
        keys = jax.random.split(jax.random.key(seed))
        counts = config.scores.queries, config.scores.choices
        q, k = (jax.random.normal(key, (n, size)) for key, n in zip(keys, counts, strict=True))
        row = {"key_size": size}
        for name, divisor in (("divided", size**0.5), ("plain", 1.0)):
            statistics = _statistics(q @ k.T / divisor)
            row |= {f"{name} {key}": float(value) for key, value in statistics.items()}
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
