"""The net that learns to align: a loop from the paper's equations, finite differences, and what
alpha is.
"""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from deepseq.nets.blocks.initialise import uniform_everywhere
from deepseq.nets.sequences.attentive import alignments, attentive

pytestmark = pytest.mark.usefixtures("compiled_quickly")

B, S, T, READ, WRITE = 4, 5, 6, 9, 7
RNG = np.random.default_rng(0)
SOURCE, TOKENS = RNG.integers(0, READ, (B, S)), RNG.integers(0, WRITE, (B, T))
LENGTHS = np.array([5, 1, 3, 4])
NET = attentive(READ, WRITE, embedding=3, hidden=4, alignment=6, readout=5)
PARAMS = uniform_everywhere(NET.init, 1.0)(jax.random.key(0))


def close(a, b):
    chex.assert_trees_all_close(a, b, rtol=1e-5, atol=1e-5)


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


def gru_step(p, h, x):
    (rx, zx, nx), (rh, zh, nh) = np.split(x @ p.wx + p.bx, 3), np.split(h @ p.wh + p.bh, 3)
    z = sigmoid(zx + zh)
    return (1 - z) * np.tanh(nx + sigmoid(rx + rh) * nh) + z * h


def test_attentive_equals_a_loop():
    """Bahdanau, Cho, Bengio 2015, appendix A.1.2 and A.2, and their alpha."""
    p = jax.tree.map(np.asarray, PARAMS)
    memory = NET.encode(PARAMS, SOURCE, lengths=LENGTHS, key=None)
    found, alpha = NET.teach(PARAMS, memory, TOKENS, key=None), alignments(PARAMS, memory, TOKENS)
    assert alpha.shape == (B, T, S)
    uo, vo, co = np.split(p.readout.w, [4, 4 + 3])
    for b in range(B):
        words, sides = SOURCE[b, : LENGTHS[b]], []
        for cell, order in zip(p.encoder, (1, -1), strict=True):
            h, side = np.zeros(4), []
            for word in words[::order]:
                h = gru_step(cell, h, p.source[word])
                side.append(h)
            sides.append(side[::order])
        annotations = [np.concatenate(pair) for pair in zip(*sides, strict=True)]
        s = np.tanh(sides[1][0] @ p.first.w + p.first.b)
        for t, word in enumerate(TOKENS[b]):
            e = np.array(
                [
                    p.alignment.v @ np.tanh(s @ p.alignment.wq + h @ p.alignment.wk)
                    for h in annotations
                ]
            )
            a = np.exp(e) / np.exp(e).sum()
            c = sum(weight * h for weight, h in zip(a, annotations, strict=True))
            y = p.target[word]
            s = gru_step(p.decoder, s, np.concatenate([y, c]))
            t_ = s @ uo + y @ vo + c @ co + p.readout.b
            best = np.array([max(t_[unit], t_[5 + unit]) for unit in range(5)])
            close(found[b, t], best @ p.softmax.w + p.softmax.b)
            close(alpha[b, t], np.pad(a, (0, S - len(a))))
    assert np.abs(alpha[0] - 1 / S).max() > 0.05  # it is not the plain mean


def test_gradient_of_attentive_is_that_of_finite_differences():
    """In float64, along random directions of every parameter by itself."""

    def loss(params):
        logits = NET.teach(
            params, NET.encode(params, SOURCE, lengths=LENGTHS, key=None), TOKENS[:, :-1], key=None
        )
        return -jnp.take_along_axis(jax.nn.log_softmax(logits), TOKENS[:, 1:, None], 2).mean()

    with jax.enable_x64(True):
        params, f = jax.tree.map(lambda p: jnp.asarray(p, jnp.float64), PARAMS), jax.jit(loss)
        leaves, structure = jax.tree.flatten(params)
        gradient, rng, step = (
            jax.tree.leaves(jax.jit(jax.grad(f))(params)),
            np.random.default_rng(1),
            1e-5,
        )
        for n, leaf in enumerate(leaves):
            direction = rng.normal(size=leaf.shape)
            moved = [
                float(
                    f(
                        jax.tree.unflatten(
                            structure,
                            [*leaves[:n], leaf + sign * step * direction, *leaves[n + 1 :]],
                        )
                    )
                )
                for sign in (1, -1)
            ]
            slope = float((gradient[n] * direction).sum())
            np.testing.assert_allclose(
                slope, (moved[0] - moved[1]) / (2 * step), rtol=1e-6, atol=1e-9
            )
            assert slope != 0


def test_alignments_are_means_over_the_source():
    memory = NET.encode(PARAMS, SOURCE, lengths=LENGTHS, key=None)
    alpha = np.asarray(alignments(PARAMS, memory, TOKENS))
    np.testing.assert_allclose(alpha.sum(-1), 1, rtol=1e-6)
    inside = np.arange(S) < LENGTHS[:, None]
    assert (alpha[~np.broadcast_to(inside[:, None], alpha.shape)] == 0).all() and (alpha >= 0).all()
    assert (alpha[1, :, 0] == 1).all()  # a source of one token
    assert (memory.h[~inside] == 0).all()
    with pytest.raises(ValueError, match="outside of 0"):
        alignments(PARAMS, memory, TOKENS + 7)


def test_a_half_of_the_precision():
    """bfloat16 in, bfloat16 out, through the float32 of the softmax."""
    params = jax.tree.map(lambda p: p.astype(jnp.bfloat16), PARAMS)
    found = NET.teach(
        params, NET.encode(params, SOURCE, lengths=LENGTHS, key=None), TOKENS, key=None
    )
    assert found.dtype == jnp.bfloat16
    expected = NET.teach(
        PARAMS, NET.encode(PARAMS, SOURCE, lengths=LENGTHS, key=None), TOKENS, key=None
    )
    np.testing.assert_allclose(found.astype(jnp.float32), expected, atol=0.1)


@pytest.mark.parametrize("size", ["embedding", "hidden", "alignment", "readout"])
def test_bad_sizes(size):
    sizes = {"embedding": 3, "hidden": 4, "alignment": 6, "readout": 5} | {size: 0}
    with pytest.raises(ValueError, match=f"attentive: {size} is 0, but must be at least 1"):
        attentive(READ, WRITE, **sizes)
