"""Layers and stacks of the Transformer alone: the formula of a norm, masks as zero Jacobians,
growth, dropout's places.
"""

import math

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from deepseq.nets.blocks import attention
from deepseq.nets.sequences import transformer as T

pytestmark = pytest.mark.usefixtures("compiled_quickly")

NORMS = {"post": T.post_norm, "pre": T.pre_norm}
B, S, N = 3, 5, 7


def close(a, b, tolerance=1e-5):
    chex.assert_trees_all_close(a, b, rtol=tolerance, atol=tolerance)


def normal(*shape, seed=0):
    return jnp.asarray(np.random.default_rng(seed).standard_normal(shape), jnp.float32)


def test_layer_norm_is_the_formula():
    x, gain, bias, weigh = (
        normal(4, 3, 7) * 3 + 2,
        normal(7, seed=1),
        normal(7, seed=2),
        normal(4, 3, 7, seed=3),
    )
    wide = np.asarray(x, np.float64)

    def formula(x):
        d = x - x.mean(-1, keepdims=True)
        return np.asarray(gain) * d / np.sqrt((d**2).mean(-1, keepdims=True) + 1e-5) + np.asarray(
            bias
        )

    params = T.LayerNorm(gain, bias)
    close(T.layer_norm(params, x), formula(wide))
    g = jax.grad(lambda x: (T.layer_norm(params, x) * weigh).sum())(x)
    towards = np.random.default_rng(4).standard_normal(x.shape)
    ends = [(formula(wide + e * towards) * np.asarray(weigh)).sum() for e in (1e-5, -1e-5)]
    assert (ends[0] - ends[1]) / 2e-5 == pytest.approx(float((g * towards).sum()), rel=1e-4)
    low = T.layer_norm(params, x.astype(jnp.bfloat16))
    assert low.dtype == jnp.bfloat16
    close(low.astype(jnp.float32), formula(np.asarray(x.astype(jnp.bfloat16), np.float64)), 0.02)
    # no variance: the bias, and gradients that are numbers
    constant = T.layer_norm(params, jnp.full((2, 7), 5.0))
    close(constant, np.broadcast_to(bias, (2, 7)))
    assert np.isfinite(
        jax.grad(lambda x: T.layer_norm(params, x).sum())(jnp.full((2, 7), 5.0))
    ).all()


@pytest.mark.parametrize("norm", NORMS)
def test_encoder_layers_under_a_causal_mask_write_without_a_source(norm):
    """A stack that grows by 3, 1 and 3 steps is the whole under a causal mask."""
    params, x = T.encoder_init(jax.random.key(0), 2, 12, 3, 10, norm=NORMS[norm]), normal(B, N, 12)
    cache, found = T.empty_cache(params, B, N), []
    for piece in jnp.split(x, [3, 4], axis=1):
        cache, y = T.extend(params, piece, cache, norm=NORMS[norm])
        found.append(y)
    close(
        jnp.concatenate(found, 1), T.encoder(params, x, attention.causal_mask(N), norm=NORMS[norm])
    )


def test_later_steps_are_not_seen():
    params = T.decoder_init(jax.random.key(0), 2, 12, 3, 10)
    x, memory = normal(1, N, 12), T.cross_keys(params, normal(1, S, 12, seed=1))
    jacobian = jax.jit(
        jax.jacobian(lambda x: T.decoder(params, x, memory, attention.causal_mask(N))[0])
    )(x)[:, :, 0]
    size = np.abs(jacobian).max((1, 3))
    assert (size[np.triu_indices(N, 1)] == 0).all() and (size[np.tril_indices(N)] > 0).all()


@pytest.mark.parametrize("cross", [False, True])
def test_dropout_is_at_each_sub_layers_output(cross):
    """Sub-layers of ones, added to zeros: every number counts those that were let through, each
    doubled.
    """
    make = T.decoder_init if cross else T.encoder_init
    layer = make(jax.random.key(0), 1, 64, 2, 3).layers[0]
    to_ones = jax.tree_util.tree_map_with_path(
        lambda path, w: jnp.ones_like(w) if path[-1].name in ("bo", "b2") else 0 * w, layer
    )
    only_add = T.Norm(lambda norm, x: x, lambda norm, x, y: x + y, final=False)
    x, how = jnp.zeros((5, 100, 64)), {"norm": only_add, "dropout": 0.5, "key": jax.random.key(1)}
    kv = attention.keys_and_values(layer.cross, x) if cross else None
    seen = np.asarray(
        T.decoder_layer(to_ones, x, kv, **how) if cross else T.encoder_layer(to_ones, x, **how)
    )
    places = 3 if cross else 2
    values, times = np.unique(seen, return_counts=True)
    assert values.tolist() == [2.0 * n for n in range(places + 1)]
    np.testing.assert_allclose(
        times / seen.size, [math.comb(places, n) / 2**places for n in range(places + 1)], atol=0.01
    )
