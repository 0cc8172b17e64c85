"""Attention against loops in NumPy and against torch: values, gradients, masks, positions."""

import math

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from deepseq.nets.blocks import attention as A

B, T, S, H, DK, DV = 2, 5, 7, 3, 4, 6


def close(a, b, tolerance=2e-5):
    chex.assert_trees_all_close(a, b, rtol=tolerance, atol=tolerance)


def normal(*shapes, seed=0):
    rng = np.random.default_rng(seed)
    return [jnp.asarray(rng.standard_normal(shape), jnp.float32) for shape in shapes]


@pytest.fixture
def qkv():
    return normal((B, T, H, DK), (B, S, H, DK), (B, S, H, DV))


def loops(q, k, v, mask):
    """Equation 1, one query at a time; zeros for a query that sees nothing."""
    out = np.zeros((B, T, H, DV))
    for b in range(B):
        for h in range(H):
            for t in range(T):
                seen = [s for s in range(S) if mask[b, h, t, s]]
                e = np.array(
                    [math.exp(np.dot(q[b, t, h], k[b, s, h]) / math.sqrt(DK)) for s in seen]
                )
                for weight, s in zip(e / e.sum() if seen else [], seen, strict=True):
                    out[b, t, h] += weight * np.asarray(v[b, s, h])
    return out


def random_mask(seed=1):
    mask = np.random.default_rng(seed).random((B, H, T, S)) < 0.5
    mask[0, 1, 2] = False  # a query that sees nothing
    mask[1, :, 4] = False
    return mask


@pytest.mark.parametrize("attend", [A.dot_product_attention, A.fused_attention])
@pytest.mark.parametrize("mask", [None, random_mask()], ids=["free", "masked"])
def test_values_equal_the_loops(qkv, attend, mask):
    expected = loops(*map(np.asarray, qkv), np.ones((B, H, T, S), bool) if mask is None else mask)
    close(attend(*qkv, mask=None if mask is None else jnp.asarray(mask)), expected)


@pytest.mark.parametrize("mask", [None, random_mask()], ids=["free", "masked"])
def test_fused_and_plain_have_the_same_gradients(qkv, mask):
    (weigh,) = normal((B, T, H, DV), seed=2)

    def total(attend, qkv):
        return (attend(*qkv, mask=mask if mask is None else jnp.asarray(mask)) * weigh).sum()

    plain, fused = (
        jax.grad(total, 1)(f, tuple(qkv)) for f in (A.dot_product_attention, A.fused_attention)
    )
    close(plain, fused)
    if mask is not None:
        np.testing.assert_array_equal(plain[0][1, 4], 0)  # of a query that sees nothing


def test_gradients_equal_differences(qkv):
    (weigh,) = normal((B, T, H, DV), seed=2)
    mask = random_mask()
    grads = jax.grad(
        lambda qkv: (A.dot_product_attention(*qkv, mask=jnp.asarray(mask)) * weigh).sum()
    )(tuple(qkv))
    rng = np.random.default_rng(3)
    for which, g in enumerate(grads):
        towards = rng.standard_normal(g.shape)
        ends = []
        for sign in (1, -1):
            moved = [np.asarray(a, np.float64) for a in qkv]
            moved[which] = moved[which] + sign * 1e-5 * towards
            ends.append((loops(*moved, mask) * np.asarray(weigh)).sum())
        assert (ends[0] - ends[1]) / 2e-5 == pytest.approx(
            float((g * towards).sum()), rel=1e-4, abs=1e-4
        )


def test_a_query_that_sees_nothing_gives_zeros_and_no_nan(qkv):
    nothing = jnp.zeros((B, 1, 1, S), bool)
    for attend in (A.dot_product_attention, A.fused_attention):
        np.testing.assert_array_equal(attend(*qkv, mask=nothing), 0)
        for g in jax.grad(lambda qkv, f=attend: f(*qkv, mask=nothing).sum())(tuple(qkv)):
            np.testing.assert_array_equal(g, 0)
    np.testing.assert_array_equal(A.attention_weights(*qkv[:2], mask=nothing), 0)


def test_weights_sum_to_one(qkv):
    weights = A.attention_weights(*qkv[:2], mask=jnp.asarray(random_mask()))
    assert weights.shape == (B, H, T, S) and weights.dtype == jnp.float32
    close(weights.sum(-1), random_mask().any(-1).astype(float))
    assert (weights[~random_mask()] == 0).all()


@pytest.mark.parametrize("scale", [1e4, 1e-4])
def test_large_and_small_scores(qkv, scale):
    q, k, v = qkv
    assert np.isfinite(
        A.dot_product_attention(scale * q, scale * k, v, mask=jnp.asarray(random_mask()))
    ).all()


def test_half_precision_takes_the_softmax_in_float32(qkv):
    low = [a.astype(jnp.bfloat16) for a in qkv]
    out = A.dot_product_attention(*low, mask=jnp.asarray(random_mask()))
    assert out.dtype == jnp.bfloat16
    close(
        out.astype(jnp.float32),
        A.dot_product_attention(*qkv, mask=jnp.asarray(random_mask())),
        0.05,
    )


def test_equals_torch_scaled_dot_product(qkv):
    torch = pytest.importorskip("torch", reason="parity with PyTorch needs torch")
    mask = random_mask()
    mask[..., 0] = True  # torch gives NaN where nothing is seen
    tensors = [torch.from_numpy(np.array(a)).transpose(1, 2).requires_grad_() for a in qkv]
    out = torch.nn.functional.scaled_dot_product_attention(
        *tensors, attn_mask=torch.from_numpy(mask)
    )
    (weigh,) = normal((B, T, H, DV), seed=2)
    (out.transpose(1, 2) * torch.from_numpy(np.array(weigh))).sum().backward()
    close(
        A.dot_product_attention(*qkv, mask=jnp.asarray(mask)), out.detach().transpose(1, 2).numpy()
    )
    ours = jax.grad(
        lambda qkv: (A.dot_product_attention(*qkv, mask=jnp.asarray(mask)) * weigh).sum()
    )(tuple(qkv))
    close(ours, tuple(t.grad.transpose(1, 2).numpy() for t in tensors))


@pytest.mark.parametrize("cross", [False, True])
@pytest.mark.parametrize("bias", [False, True])
def test_multi_head_equals_torch(cross, bias):
    torch = pytest.importorskip("torch", reason="parity with PyTorch needs torch")
    params = A.multi_head_init(
        jax.random.key(0), 12, 3, memory_size=5 if cross else None, bias=bias
    )
    if bias:
        drawn = {
            name: normal(getattr(params, name).shape, seed=i)[0]
            for i, name in enumerate(("bq", "bk", "bv", "bo"))
        }
        params = params._replace(**drawn)
    sizes = {"kdim": 5, "vdim": 5} if cross else {}
    theirs = torch.nn.MultiheadAttention(12, 3, bias=bias, batch_first=True, **sizes)

    def flat(w):
        return np.array(w).reshape(w.shape[0], -1).T

    maps = [flat(w) for w in (params.wq, params.wk, params.wv)]
    with torch.no_grad():
        if cross:
            for name, w in zip(
                ("q_proj_weight", "k_proj_weight", "v_proj_weight"), maps, strict=True
            ):
                getattr(theirs, name).copy_(torch.from_numpy(w))
        else:
            theirs.in_proj_weight.copy_(torch.from_numpy(np.concatenate(maps)))
        theirs.out_proj.weight.copy_(torch.from_numpy(np.array(params.wo).reshape(12, 12).T))
        if bias:
            biases = np.concatenate([np.ravel(b) for b in (params.bq, params.bk, params.bv)])
            theirs.in_proj_bias.copy_(torch.from_numpy(biases))
            theirs.out_proj.bias.copy_(torch.from_numpy(np.array(params.bo)))
    x, memory = normal((B, T, 12), (B, S, 5), seed=5)
    lengths = np.array([S, 4] if cross else [T, 3])
    mask = A.padding_mask(jnp.asarray(lengths), S if cross else T)
    tx, tm = (torch.from_numpy(np.array(a)).requires_grad_() for a in (x, memory))
    seen = tm if cross else tx
    padding = torch.arange(seen.shape[1]) >= torch.from_numpy(lengths)[:, None]
    out, _ = theirs(tx, seen, seen, key_padding_mask=padding)
    close(A.multi_head(params, x, memory if cross else None, mask=mask), out.detach().numpy())
    (out**2).sum().backward()

    def total(params, x, memory):
        return (A.multi_head(params, x, memory if cross else None, mask=mask) ** 2).sum()

    g, gx, gm = jax.grad(total, (0, 1, 2))(params, x, memory)
    close(gx, tx.grad.numpy(), 1e-4)
    if cross:
        close(gm, tm.grad.numpy(), 1e-4)
        close(flat(g.wk), theirs.k_proj_weight.grad.numpy(), 1e-4)
    else:
        close(
            np.concatenate([flat(w) for w in (g.wq, g.wk, g.wv)]),
            theirs.in_proj_weight.grad.numpy(),
            1e-4,
        )
    close(np.reshape(g.wo, (12, 12)).T, theirs.out_proj.weight.grad.numpy(), 1e-4)
    if bias:
        close(g.bo, theirs.out_proj.bias.grad.numpy(), 1e-4)


@pytest.mark.parametrize("heads", [1, 2, 8, 64])
def test_the_count_does_not_depend_on_the_heads(heads):
    params = jax.eval_shape(lambda key: A.multi_head_init(key, 512, heads), jax.random.key(0))
    assert sum(p.size for p in jax.tree.leaves(params)) == 1_050_624


def test_value_size_is_free():
    # 8 heads of 10: a map of 80 x 10
    params = A.multi_head_init(jax.random.key(0), 10, 8, key_size=3, value_size=10)
    assert params.wo.shape == (8, 10, 10) and params.wq.shape == (10, 8, 3)
    (x,) = normal((B, T, 10))
    assert A.multi_head(params, x).shape == (B, T, 10)


def test_one_head_of_identities_is_dot_product_attention():
    eye = jnp.eye(6)[:, None, :]
    (x,) = normal((B, T, 6))
    plain = A.dot_product_attention(*[x[:, :, None, :]] * 3)[:, :, 0]
    close(A.multi_head(A.MultiHead(eye, eye, eye, jnp.eye(6)[None]), x), plain)


def test_causal_mask_is_a_zero_jacobian():
    params = A.multi_head_init(jax.random.key(0), 6, 2)
    (x,) = normal((1, T, 6))
    jacobian = jax.jacobian(lambda x: A.multi_head(params, x, mask=A.causal_mask(T))[0])(x)[
        :, :, 0
    ]  # (T, 6, T, 6)
    size = np.abs(jacobian).max((1, 3))
    assert (size[np.triu_indices(T, 1)] == 0).all() and (size[np.tril_indices(T)] > 0).all()


def test_masks():
    np.testing.assert_array_equal(A.causal_mask(3)[0, 0], np.tril(np.ones((3, 3))))
    np.testing.assert_array_equal(
        A.causal_mask(2, seen=3)[0, 0], [[1, 1, 1, 1, 0], [1, 1, 1, 1, 1]]
    )
    np.testing.assert_array_equal(
        A.padding_mask(jnp.array([0, 2, 3]), 3)[:, 0, 0], [[0, 0, 0], [1, 1, 0], [1, 1, 1]]
    )


def test_additive_attention_equals_the_loops():
    params = A.additive_init(jax.random.key(0), 4, 3, 5)
    query, keys, values = normal((B, 4), (B, S, 3), (B, S, 2))
    mask = np.array([[True] * S, [True, False, True] + [False] * (S - 3)])
    context, alpha = A.additive_attention(
        params, query, A.additive_keys(params, keys), values, jnp.asarray(mask)
    )
    wq, wk, v = map(np.asarray, params)
    for b in range(B):
        e = [
            math.exp(v @ np.tanh(query[b] @ wq + keys[b, s] @ wk)) if mask[b, s] else 0
            for s in range(S)
        ]
        expected = np.array(e) / sum(e)
        close(alpha[b], expected)
        close(context[b], sum(expected[s] * np.asarray(values[b, s]) for s in range(S)))
    nothing = A.additive_attention(
        params, query, A.additive_keys(params, keys), values, jnp.zeros((B, S), bool)
    )
    np.testing.assert_array_equal(nothing[0], 0)


def test_scores_one_at_a_time():
    params = A.additive_init(jax.random.key(0), 4, 3, 5)
    query, keys, w = normal((B, 4), (B, S, 3), (4, 3))
    additive, multiplicative = (
        A.additive_scores(params, query, keys),
        A.multiplicative_scores(w, query, keys),
    )
    for b in range(B):
        for s in range(S):
            close(additive[b, s], np.tanh(query[b] @ params.wq + keys[b, s] @ params.wk) @ params.v)
            close(multiplicative[b, s], query[b] @ w @ keys[b, s])


def test_sinusoidal_positions():
    table = np.asarray(A.sinusoidal(50, 8), np.float64)
    for position in (0, 1, 49):
        for i in range(4):
            angle = position / 10_000 ** (2 * i / 8)
            close(table[position, 2 * i : 2 * i + 2], np.array([math.sin(angle), math.cos(angle)]))
    k = 7  # PE(p + k) is a rotation of PE(p), the same for every p
    for i in range(4):
        angle = k / 10_000 ** (2 * i / 8)
        rotation = np.array(
            [[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]]
        )
        close(table[k:, 2 * i : 2 * i + 2], table[:-k, 2 * i : 2 * i + 2] @ rotation, 1e-5)
    assert A.sinusoidal(3, 5).shape == (3, 5)


def test_bad_input():
    q, k, v = normal((B, T, H, DK), (B, S, H, DK), (B, S, H, DV))
    params = A.multi_head_init(jax.random.key(0), 6, 2)
    for call, message in (
        (lambda: A.multi_head_init(jax.random.key(0), 10, 3), "3 heads do not divide 10"),
        (lambda: A.multi_head_init(jax.random.key(0), 0, 1), "must be at least 1"),
        (lambda: A.dot_product_attention(q, k[:, :, :2], v), "one value for each key"),
        (lambda: A.dot_product_attention(q[..., :2], k, v), r"must be \(B, T, H, Dk\)"),
        (
            lambda: A.dot_product_attention(q, k, v, mask=jnp.ones((T, T), bool)),
            r"does not broadcast to \(B, H, T, S\)",
        ),
        (
            lambda: A.fused_attention(q, k, v, mask=jnp.ones((1, 1, 1, T, S), bool)),
            "does not broadcast",
        ),
        (lambda: A.multi_head(params, jnp.ones((B, T, 5))), r"must be \(B, S, 6\)"),
        (
            lambda: A.multi_head(params, jnp.ones((B, T, 5)), jnp.ones((B, T, 6))),
            r"x \(2, 5, 5\) must be \(B, T, 6\)",
        ),
        (
            lambda: A.learned(jnp.ones((4, 2)), 5),
            "a sequence of 5 steps, but there are 4 positions",
        ),
    ):
        with pytest.raises(ValueError, match=message):
            call()
