"""Half precision, integers, masks of the wrong kind, and padding of NaN: blocks at their edges."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from deepseq.nets.blocks import attention, layers, pool
from deepseq.nets.recurrent import unroll
from deepseq.nets.sequences import transformer

KEY = jax.random.key(0)
HALVES = [jnp.float16, jnp.bfloat16]


@pytest.mark.parametrize("dtype", HALVES)
def test_scores_beyond_half_precision(dtype):
    """q k = 102400 is beyond float16; all keys alike, the mean is the value."""
    x = jnp.full((1, 2, 1, 64), 40, dtype)
    y = attention.dot_product_attention(x, x, jnp.ones_like(x))
    assert y.dtype == dtype
    chex.assert_trees_all_close(y, jnp.ones_like(x))
    gradients = jax.grad(lambda q: attention.dot_product_attention(q, x, x).sum())(x)
    assert gradients.dtype == dtype and jnp.isfinite(gradients).all()


@pytest.mark.parametrize("dtype", HALVES)
def test_response_norm_beyond_half_precision(dtype):
    x = jnp.full((1, 5), 300, dtype)
    y = pool.local_response_norm(x, size=5)
    near = np.array([3, 4, 5, 4, 3])
    expected = 300 / (2 + 1e-4 * near * 90_000.0) ** 0.75
    assert y.dtype == dtype
    np.testing.assert_allclose(y[0].astype(float), expected, rtol=8e-3)


@pytest.mark.parametrize("dtype", HALVES)
@pytest.mark.parametrize("function", [pool.average_pool, pool.adaptive_average_pool])
def test_means_beyond_half_precision(function, dtype):
    x = jnp.full((1, 4, 4, 1), 30_000, dtype)  # 16 of them are beyond float16
    y = function(x, 4 if function is pool.average_pool else 1)
    assert y.dtype == dtype
    np.testing.assert_allclose(y.astype(float), 30_000, rtol=4e-3)


BATCH_NORM = layers.BatchNorm(jnp.ones(2), jnp.zeros(2))


@pytest.mark.parametrize(
    "function",
    [
        lambda x: pool.average_pool(x, 2),
        lambda x: pool.adaptive_average_pool(x, 2),
        pool.local_response_norm,
        lambda x: layers.dropout(0.5, KEY, x),
        lambda x: layers.batch_norm(BATCH_NORM, x, None),
    ],
    ids=["average_pool", "adaptive_average_pool", "local_response_norm", "dropout", "batch_norm"],
)
@pytest.mark.parametrize("dtype", [np.uint8, np.int32, bool])
def test_integers_are_refused_where_they_would_be_cut_off(function, dtype):
    with pytest.raises(ValueError, match=f"x is {np.dtype(dtype)}, but must be floats"):
        function(jnp.full((1, 4, 4, 2), 200, dtype))


def test_the_largest_of_integers_is_an_integer():
    x = jnp.array([[3, 200], [7, 0]], jnp.uint8)[None, :, :, None]
    y = pool.max_pool(x, 2)
    assert y.dtype == jnp.uint8 and y.item() == 200


@pytest.mark.parametrize("mask", [jnp.array([0.0, -jnp.inf, -jnp.inf]), jnp.array([1, 0, 0])])
def test_a_mask_that_is_not_bool_is_refused(mask):
    q = k = v = jnp.ones((1, 3, 1, 2))
    with pytest.raises(ValueError, match="but must be bool, True where a query may look"):
        attention.dot_product_attention(q, k, v, mask=mask)
    with pytest.raises(ValueError, match="but must be bool"):
        attention.fused_attention(q, k, v, mask=mask)
    with pytest.raises(ValueError, match="but must be bool"):
        attention.masked_softmax(jnp.ones((2, 3)), mask)


@pytest.mark.parametrize("bad", [jnp.nan, jnp.inf])
def test_padding_reaches_neither_outputs_nor_gradients(bad):
    q, k, v = jax.random.normal(KEY, (3, 2, 4, 2, 5))
    mask = attention.padding_mask(jnp.array([4, 2]), 4)

    def run(q, k, v):
        y = attention.dot_product_attention(q, k, v, mask=mask)
        return (y**2).sum(), y

    spoiled = (q, k.at[1, 2:].set(bad), v.at[1, 2:].set(bad))
    ours, theirs = (
        jax.value_and_grad(run, argnums=(0, 1, 2), has_aux=True)(*inputs)
        for inputs in ((q, k, v), spoiled)
    )
    chex.assert_tree_all_finite(theirs)
    chex.assert_trees_all_equal(ours, theirs)
    alone = attention.dot_product_attention(q[1:], k[1:, :2], v[1:, :2])
    chex.assert_trees_all_close(theirs[0][1][1:], alone, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("lengths", [[3, 2, 1], [3, 0, 1], [0, 0, 2]])
@pytest.mark.parametrize("reverse", [False, True])
def test_a_cell_that_cannot_do_zeros_has_a_gradient(lengths, reverse):
    """log(x): finite at every real step, and not at zeros put into the padding."""

    def cell(w, h, x):
        h = h + w * jnp.log(x)
        return h, h

    xs = jax.random.uniform(KEY, (3, 3, 2), minval=0.5)
    padded = jnp.where(jnp.arange(3)[:, None, None] < jnp.array(lengths)[:, None], xs, jnp.nan)

    def loss(w, xs):
        h, ys = unroll(cell, w, jnp.zeros((3, 2)), xs, lengths=np.array(lengths), reverse=reverse)
        return h.sum() + 0 * ys.sum()

    gradient, of_xs = jax.grad(loss, argnums=(0, 1))(jnp.float32(2.0), padded)
    own = np.arange(3)[:, None, None] < np.array(lengths)[:, None]
    np.testing.assert_allclose(
        gradient, np.log(xs)[np.broadcast_to(own, xs.shape)].sum(), rtol=1e-5
    )
    np.testing.assert_allclose(of_xs, np.where(own, 2 / xs, 0), rtol=1e-5)


@pytest.mark.parametrize("dtype", HALVES)
@pytest.mark.parametrize("positions", [transformer.sinusoidal, transformer.learned(6)])
def test_a_transformer_of_halves_decodes_what_it_teaches(dtype, positions):
    net = transformer.transformer(
        7, layers=2, size=8, heads=2, feed_forward=12, dropout=0.0, positions=positions
    )
    params = jax.tree.map(lambda p: p.astype(dtype), net.init(KEY))
    tokens = jnp.array([[1, 2, 3], [4, 5, 6]])
    memory = net.encode(params, tokens, lengths=jnp.array([3, 2]), key=None)
    taught = net.teach(params, memory, tokens, key=None)

    def step(carry, token):
        return net.decode(params, memory, carry, token)

    decoded = jax.lax.scan(step, net.start(params, memory, 3), tokens.T)[1].swapaxes(0, 1)
    assert taught.dtype == decoded.dtype == dtype
    np.testing.assert_allclose(decoded.astype(float), taught.astype(float), atol=0.1)
