"""Where a Transformer's decoder looks: NumPy's weights, torch's, the logits that follow from them,
and what a compiled program pays for them.
"""

import math

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from deepseq.nets.blocks import attention
from deepseq.nets.sequences import transformer as T
from deepseq.nets.sequences.transformer import alignments

pytestmark = pytest.mark.usefixtures("compiled_quickly")

B, S, N, READ, WRITE, D, H = 4, 5, 6, 9, 7, 12, 3
RNG = np.random.default_rng(0)
SOURCE, TOKENS, LENGTHS = (
    RNG.integers(0, READ, (B, S)),
    RNG.integers(0, WRITE, (B, N)),
    np.array([5, 1, 3, 4]),
)
NORMS = {"post": T.post_norm, "pre": T.pre_norm}


def case(norm, bias=True, positions=T.sinusoidal):
    """A net, its parameters moved off the zeros and ones that some start at, a memory and the
    weights.
    """
    sizes = {"layers": 2, "size": D, "heads": H, "feed_forward": 10, "dropout": 0.0, "bias": bias}
    net = T.transformer(
        WRITE, source_vocabulary=READ, norm=NORMS[norm], positions=positions, **sizes
    )
    leaves, structure = jax.tree.flatten(net.init(jax.random.key(0)))
    rng = np.random.default_rng(1)
    moved = [
        leaf + jnp.asarray(0.3 * rng.standard_normal(leaf.shape), leaf.dtype) for leaf in leaves
    ]
    params = jax.tree.unflatten(structure, moved)
    memory = net.encode(params, SOURCE, lengths=LENGTHS, key=None)
    return net, params, memory, alignments(net, params, memory, TOKENS)


def softmax(scores):
    e = np.exp(scores - scores.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def norm_of(p, x):
    d = x - x.mean(-1, keepdims=True)
    return p.gain * d / np.sqrt((d**2).mean(-1, keepdims=True) + 1e-5) + p.bias


def project(x, w, b):
    return np.einsum("btm,mhd->bhtd", x, w) + (0 if b is None else b[:, None])


def joined(weights, v, p):
    return np.einsum("bhts,bhsd,hdm->btm", weights, v, p.wo) + (0 if p.bo is None else p.bo)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("norm", NORMS)
def test_weights_are_those_of_a_loop_and_give_the_decoders_logits(norm, bias):
    """The decoder of Vaswani et al. 2017, figure 1, in NumPy: its weights, and what it makes of the
    given ones.
    """
    net, params, memory, found = case(norm, bias)
    p = jax.tree.map(lambda a: np.asarray(a, np.float64), params)
    before = (lambda n, x: x) if norm == "post" else norm_of
    after = (lambda n, x, y: norm_of(n, x + y)) if norm == "post" else (lambda n, x, y: x + y)
    angle = np.arange(N)[:, None] / 10_000 ** (np.arange(0, D, 2) / D)
    x = math.sqrt(D) * p.embedding[TOKENS] + np.stack([np.sin(angle), np.cos(angle)], -1).reshape(
        N, D
    )
    assert len(found) == 2
    for layer, (k, v), weights in zip(p.decoder.layers, memory.layers, found, strict=True):
        h, own = before(layer.attention_norm, x), layer.attention
        q, key, value = (
            project(h, *of) for of in ((own.wq, own.bq), (own.wk, own.bk), (own.wv, own.bv))
        )
        scores = np.einsum("bhtd,bhsd->bhts", q, key) / math.sqrt(D // H)
        scores = np.where(np.tril(np.ones((N, N), bool)), scores, -np.inf)
        x = after(layer.attention_norm, x, joined(softmax(scores), value, own))
        q = project(before(layer.cross_norm, x), layer.cross.wq, layer.cross.bq)
        scores = np.einsum("bhtd,bshd->bhts", q, np.asarray(k, np.float64)) / math.sqrt(D // H)
        scores = np.where(np.arange(S) < LENGTHS[:, None, None, None], scores, -np.inf)
        np.testing.assert_allclose(weights, softmax(scores), atol=1e-5)
        x = after(
            layer.cross_norm,
            x,
            joined(np.asarray(weights), np.asarray(v).swapaxes(1, 2), layer.cross),
        )
        h, forward = before(layer.feed_forward_norm, x), layer.feed_forward
        y = np.maximum(h @ forward.w1 + forward.b1, 0) @ forward.w2 + forward.b2
        x = after(layer.feed_forward_norm, x, y)
    x = x if p.decoder.norm is None else norm_of(p.decoder.norm, x)
    taught = net.teach(params, memory, TOKENS, key=None)
    np.testing.assert_allclose(taught, x @ p.embedding.T, atol=2e-4)


@pytest.mark.parametrize("norm", NORMS)
def test_rows_are_means_over_the_source(norm):
    for weights in map(np.asarray, case(norm)[3]):
        chex.assert_shape(weights, (B, H, N, S))
        chex.assert_type(weights, np.float32)
        np.testing.assert_allclose(weights.sum(-1), 1, rtol=1e-6)
        inside = np.broadcast_to((np.arange(S) < LENGTHS[:, None])[:, None, None], weights.shape)
        assert (weights[~inside] == 0).all() and (weights[inside] > 0).all()
        assert (weights[1, :, :, 0] == 1).all()  # a source of one token
        assert np.abs(weights[0] - 1 / S).max() > 0.05  # it is not the plain mean


def test_the_first_level_is_torchs():
    """Post-norm: ``MultiheadAttention`` twice, its weights asked for."""
    torch = pytest.importorskip("torch")
    _, params, memory, found = case("post")
    layer = params.decoder.layers[0]

    def tensor(a):
        return torch.tensor(np.asarray(a))

    def torchs(p):
        module = torch.nn.MultiheadAttention(D, H, batch_first=True)
        weights = {
            "in_proj_weight": np.concatenate(
                [np.asarray(w).reshape(D, D).T for w in (p.wq, p.wk, p.wv)]
            )
        }
        weights |= {
            "in_proj_bias": np.concatenate([np.asarray(b).reshape(D) for b in (p.bq, p.bk, p.bv)])
        }
        weights |= {
            "out_proj.weight": np.asarray(p.wo).reshape(D, D).T,
            "out_proj.bias": np.asarray(p.bo),
        }
        module.load_state_dict({name: torch.tensor(w.copy()) for name, w in weights.items()})
        return module

    x = math.sqrt(D) * params.embedding[TOKENS] + attention.sinusoidal(N, D)
    # the memory as keys are made from it, found back from these: the least-squares solution is
    # exact, D of D
    wide = layer.cross.wk.reshape(D, D)
    source = (memory.layers[0][0] - layer.cross.bk).reshape(B, S, D) @ jnp.linalg.inv(wide)
    with torch.no_grad():
        later = torch.triu(torch.ones(N, N, dtype=torch.bool), 1)
        own, _ = torchs(layer.attention)(*3 * [tensor(x)], attn_mask=later)
        norm = layer.attention_norm
        asking = torch.nn.functional.layer_norm(
            tensor(x) + own, (D,), tensor(norm.gain), tensor(norm.bias)
        )
        beyond = torch.tensor(np.arange(S) >= LENGTHS[:, None])
        source = tensor(source)
        how = {"key_padding_mask": beyond, "need_weights": True, "average_attn_weights": False}
        _, weights = torchs(layer.cross)(asking, source, source, **how)
    np.testing.assert_allclose(found[0], weights.numpy(), atol=1e-4)


def test_learned_positions_and_bad_tokens():
    net, params, memory, found = case("post", positions=T.learned(N))
    shifted = params._replace(positions=(params.positions[0], params.positions[1][::-1]))
    other = alignments(net, shifted, memory, TOKENS)
    assert np.abs(found[0] - other[0]).max() > 1e-3
    with pytest.raises(ValueError, match="positions"):
        alignments(net, params, memory, np.concatenate([TOKENS, TOKENS], 1))
    with pytest.raises(ValueError, match="outside of 0"):
        alignments(net, params, memory, TOKENS + WRITE)
    with pytest.raises(ValueError, match="are needed"):
        alignments(net, params, memory, TOKENS[0])


@pytest.mark.parametrize("norm", NORMS)
def test_a_net_that_attends_otherwise_looks_at_the_same(norm):
    """Weights that a fused attention never holds, and those under ``jit``, are the same."""
    net, params, memory, expected = case(norm)
    fused = T.transformer(
        WRITE,
        source_vocabulary=READ,
        norm=NORMS[norm],
        layers=2,
        size=D,
        heads=H,
        feed_forward=10,
        attend=attention.fused_attention,
    )
    for other in (net, fused):
        found = jax.jit(lambda params, other=other: alignments(other, params, memory, TOKENS))
        chex.assert_trees_all_close(found(params), expected, rtol=1e-4, atol=1e-5)


def test_under_jit_there_is_no_backward_pass():
    """It takes less than teaching, which goes on after the last level's weights."""
    net, params, memory, _ = case("post")

    def flops(f):
        return jax.jit(f).lower(params).compile().cost_analysis()["flops"]

    teaching = flops(lambda params: net.teach(params, memory, TOKENS, key=None))
    assert 0 < flops(lambda params: alignments(net, params, memory, TOKENS)) < teaching
