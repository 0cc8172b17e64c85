"""The layers equal flax.linen's, torch's and NumPy's, values and gradients."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from deepseq.nets.blocks import initialise, layers
from deepseq.nets.blocks.layers import BatchNorm, Dense, Moments, batch_norm

SHAPES = [(16, 5), (4, 6, 7, 5), (1, 3, 3, 5), (2, 4, 5)]


def draw(shape, seed=0):
    rng = np.random.default_rng(seed)
    channels = shape[-1]
    x = (3 * rng.standard_normal(shape) + 2).astype(np.float32)
    gamma, beta = (rng.standard_normal(channels).astype(np.float32) for _ in range(2))
    # of a loss that no symmetry makes trivial
    weights = rng.standard_normal(shape).astype(np.float32)
    return x, BatchNorm(gamma, beta), weights


def by_numpy(params, x):
    """The definition in float64, two passes."""
    x = np.asarray(x, np.float64)
    axes = tuple(range(x.ndim - 1))
    mean, var = x.mean(axes), x.var(axes)
    return params.gamma * (x - mean) / np.sqrt(var + 1e-5) + params.beta, mean, var


def plain(params, x):
    """The definition, for JAX to differentiate."""
    axes = tuple(range(x.ndim - 1))
    mean, var = x.mean(axes), x.var(axes)
    return params.gamma * (x - mean) / jnp.sqrt(var + 1e-5) + params.beta, Moments(mean, var)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_batch_norm_equals_numpy(shape):
    x, params, _ = draw(shape)
    y, moments = jax.jit(batch_norm, static_argnums=2)(params, x, None)
    for ours, theirs in zip((y, *moments), by_numpy(params, x), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=2e-5)


@pytest.mark.parametrize("epsilon", [1e-5, 0.1])
@pytest.mark.parametrize("shape", SHAPES[:2], ids=str)
def test_batch_norm_equals_linen(shape, epsilon):
    x, params, weights = draw(shape)
    linen = nn.BatchNorm(use_running_average=False, momentum=0.0, epsilon=epsilon)
    stats = linen.init(jax.random.key(0), x)["batch_stats"]

    def theirs(params, x):
        variables = {"params": {"scale": params.gamma, "bias": params.beta}, "batch_stats": stats}
        y, new = linen.apply(variables, x, mutable=["batch_stats"])
        return (y * weights).sum(), (y, new["batch_stats"]["mean"], new["batch_stats"]["var"])

    def ours(params, x):
        y, moments = batch_norm(params, x, None, epsilon=epsilon)
        return (y * weights).sum(), (y, *moments)

    (_, a), da = jax.value_and_grad(ours, (0, 1), has_aux=True)(params, x)
    (_, b), db = jax.value_and_grad(theirs, (0, 1), has_aux=True)(params, x)
    for one, other in zip(jax.tree.leaves((a, da)), jax.tree.leaves((b, db)), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4)


def test_batch_norm_equals_torch():
    torch = pytest.importorskip("torch")
    x, params, weights = draw((4, 6, 7, 5))
    tx = torch.tensor(x.transpose(0, 3, 1, 2), requires_grad=True)
    tg, tb = (torch.tensor(p, requires_grad=True) for p in params)
    ty = torch.nn.functional.batch_norm(tx, None, None, tg, tb, training=True, eps=1e-5)
    (ty * torch.tensor(weights.transpose(0, 3, 1, 2))).sum().backward()
    dparams, dx = jax.grad(lambda p, x: (batch_norm(p, x, None)[0] * weights).sum(), (0, 1))(
        params, x
    )
    y = batch_norm(params, x, None)[0]
    np.testing.assert_allclose(y, ty.detach().numpy().transpose(0, 2, 3, 1), atol=1e-5)
    np.testing.assert_allclose(dx, tx.grad.numpy().transpose(0, 2, 3, 1), atol=1e-5)
    np.testing.assert_allclose(dparams.gamma, tg.grad, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(dparams.beta, tb.grad, rtol=1e-4, atol=1e-4)


def test_gradients_flow_through_the_moments():
    x, params, weights = draw((4, 3, 3, 5))

    def loss(f, params, x):
        y, moments = f(params, x)
        return (y * weights).sum() + (moments.mean**2).sum() + jnp.sin(moments.var).sum()

    ours = jax.grad(lambda p, x: loss(lambda p, x: batch_norm(p, x, None), p, x), (0, 1))(params, x)
    theirs = jax.grad(lambda p, x: loss(plain, p, x), (0, 1))(params, x)
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def test_gradient_of_gradient():
    x, params, weights = draw((4, 3, 3, 5))

    def penalty(f, params, x):
        grads = jax.grad(lambda p, x: (f(p, x)[0] ** 3 * weights).sum(), (0, 1))(params, x)
        return sum((g**2).sum() for g in jax.tree.leaves(grads)) / 1e4

    ours = jax.grad(lambda p, x: penalty(lambda p, x: batch_norm(p, x, None), p, x), (0, 1))(
        params, x
    )
    theirs = jax.grad(lambda p, x: penalty(plain, p, x), (0, 1))(params, x)
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-3, atol=2e-3 * np.abs(b).max())


@pytest.mark.parametrize("mean, std", [(1e3, 1e-1), (1e3, 1e-2), (-1e4, 1.0)])
def test_no_cancellation_far_from_zero(mean, std):
    """Without the shift, E[x^2] - E[x]^2 at mean 1e3 is wrong by about 0.1, where the variance is
    1e-4.
    """
    x = (mean + std * np.random.default_rng(1).standard_normal((64, 8, 8, 4))).astype(np.float32)
    params = BatchNorm(jnp.ones(4), jnp.zeros(4))
    y, moments = batch_norm(params, x, None)
    true_y, true_mean, true_var = by_numpy(params, x)
    np.testing.assert_allclose(moments.mean, true_mean, rtol=1e-6)
    np.testing.assert_allclose(moments.var, true_var, rtol=1e-4)
    # not by the rounded mean, which is off by up to 0.003 deviations
    np.testing.assert_allclose(y, true_y, atol=1e-4)


def test_constant_channel():
    x, params, weights = (
        jnp.full((3, 2, 2, 2), 7.0),
        BatchNorm(jnp.ones(2), jnp.zeros(2)),
        draw((3, 2, 2, 2))[2],
    )
    y, moments = batch_norm(params, x, None)
    np.testing.assert_array_equal(y, 0)
    np.testing.assert_array_equal(moments.var, 0)
    dx = jax.grad(lambda x: (batch_norm(params, x, None)[0] * weights).sum())(x)
    assert np.isfinite(dx).all()


def test_vmap_and_bfloat16():
    x, params, _ = draw((3, 4, 6, 7, 5))
    y, moments = jax.vmap(lambda x: batch_norm(params, x, None))(x)
    for k in range(3):
        np.testing.assert_allclose(y[k], batch_norm(params, x[k], None)[0], atol=1e-5)
    low, moments = batch_norm(params, x[0].astype(jnp.bfloat16), None)
    assert low.dtype == jnp.bfloat16 and moments.var.dtype == jnp.float32
    np.testing.assert_allclose(low.astype(jnp.float32), y[0], atol=0.1)


def test_running_moments_are_used_and_returned():
    x, params, _ = draw((4, 3, 3, 5))
    running = Moments(mean=jnp.arange(5.0), var=jnp.arange(1.0, 6.0))
    y, moments = batch_norm(params, x, running)
    assert moments is running
    expected = params.gamma * (x - running.mean) / np.sqrt(running.var + 1e-5) + params.beta
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-5)


def test_he_normal_is_a_true_normal():
    w = np.asarray(initialise.he_normal(jax.random.key(0), initialise.weight(3, 3, 64, 128)))
    std = np.sqrt(2 / (3 * 3 * 64))
    assert abs(w.std() / std - 1) < 0.01
    assert np.abs(w).max() > 4 * std  # JAX's he_normal is cut off at 2.3 of these
    assert abs(w.mean()) < 4 * std / np.sqrt(w.size)


def test_dense_and_pool():
    rng = np.random.default_rng(0)
    x, params = (
        rng.standard_normal((3, 4)),
        Dense(rng.standard_normal((4, 2)), rng.standard_normal(2)),
    )
    np.testing.assert_allclose(
        layers.dense(params, jnp.array(x)), x @ params.w + params.b, rtol=1e-5
    )
    images = rng.standard_normal((3, 4, 5, 2)).astype(np.float32)
    np.testing.assert_allclose(
        layers.global_average_pool(jnp.array(images)), images.mean((1, 2)), rtol=1e-5, atol=1e-6
    )


def test_says_what_is_wrong():
    params = BatchNorm(jnp.ones(3), jnp.zeros(3))
    with pytest.raises(ValueError, match="do not fit x"):
        batch_norm(params, jnp.ones((2, 4)), None)
    with pytest.raises(ValueError, match="does not end in the 4 inputs"):
        layers.dense(Dense(jnp.ones((4, 2)), jnp.ones(2)), jnp.ones((3, 5)))
    with pytest.raises(ValueError, match="images are"):
        layers.global_average_pool(jnp.ones((2, 3)))
