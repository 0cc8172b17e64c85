"""The Transformer: counts, a cache that is teacher forcing, padding, shared embeddings, dropout and
bad input.
"""

import functools
import math

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from deepseq.nets.blocks import attention
from deepseq.nets.sequences import transformer as T

pytestmark = pytest.mark.usefixtures("compiled_quickly")

TINY = {"layers": 2, "size": 12, "heads": 3, "feed_forward": 10}
NORMS = {"post": T.post_norm, "pre": T.pre_norm}
B, S, N, V = 3, 5, 7, 9
RNG = np.random.default_rng(0)
SOURCE, TOKENS, LENGTHS = (
    RNG.integers(0, V, (B, S)),
    RNG.integers(0, V, (B, N)),
    np.array([5, 2, 1]),
)


def close(a, b, tolerance=1e-5):
    chex.assert_trees_all_close(a, b, rtol=tolerance, atol=tolerance)


def normal(*shape, seed=0):
    return jnp.asarray(np.random.default_rng(seed).standard_normal(shape), jnp.float32)


def count(tree):
    return sum(leaf.size for leaf in jax.tree.leaves(tree))


def shapes(net):
    return jax.eval_shape(net.init, jax.random.key(0))


def logits(net, params, source=SOURCE, tokens=TOKENS, lengths=LENGTHS, key=None):
    keys = T.split(key, 2)
    return net.teach(
        params, net.encode(params, source, lengths=lengths, key=keys[0]), tokens, key=keys[1]
    )


@functools.cache
def small(norm, **how):
    net = T.transformer(V, **TINY, norm=NORMS[norm], **how)
    return net, jax.jit(net.init)(jax.random.key(0))


def test_counts():
    base = shapes(T.transformer(37_000, bias=False))
    assert count(base) == 63_045_632
    defaults = shapes(T.transformer(11, norm=T.pre_norm))
    assert count((defaults.encoder, defaults.decoder)) == 44_140_544
    assert (
        count(shapes(T.transformer(11, source_vocabulary=13))) - count(shapes(T.transformer(11)))
        == 13 * 512
    )
    assert (
        count(shapes(T.transformer(11, positions=T.learned(50)))) - count(shapes(T.transformer(11)))
        == 2 * 50 * 512
    )


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["whole", "padded"])
def test_step_by_step_is_teacher_forcing(norm, lengths):
    net, params = small(norm)

    @jax.jit
    def stepwise(params):
        memory = net.encode(params, SOURCE, lengths=lengths, key=None)
        carry = net.start(params, memory, N + 3)  # room that stays empty changes nothing
        assert all(leaf.shape[0] == B for leaf in jax.tree.leaves((memory, carry)))
        step = functools.partial(net.decode, params, memory)
        found = jax.lax.scan(step, carry, TOKENS.T)[1].swapaxes(0, 1)
        return found, net.teach(params, memory, TOKENS, key=None)

    found, expected = stepwise(params)
    assert expected.shape == (B, N, V) and np.std(expected) > 0.1
    close(found, expected)


def test_step_by_step_with_learned_positions_and_a_source_of_its_own():
    net, params = small("pre", source_vocabulary=4, positions=T.learned(N))
    memory = net.encode(params, SOURCE % 4, lengths=LENGTHS, key=None)
    carry, found = net.start(params, memory, N), []
    for t in range(N):
        carry, z = net.decode(params, memory, carry, TOKENS[:, t])
        found.append(z)
    close(np.stack(found, 1), net.teach(params, memory, TOKENS, key=None))
    with pytest.raises(ValueError, match="step 8 in a cache that has room for 7"):
        net.decode(params, memory, carry, TOKENS[:, 0])
    assert np.isnan(jax.jit(net.decode)(params, memory, carry, TOKENS[:, 0])[1]).all()
    with pytest.raises(ValueError, match="a sequence of 8 steps, but there are 7 positions"):
        net.start(params, memory, N + 1)


def test_rows_of_memory_and_carry_can_be_chosen():
    """What a beam search does between two steps."""
    net, params = small("post")
    decode, index = jax.jit(net.decode), np.array([2, 0, 0, 1])
    memory = net.encode(params, SOURCE, lengths=LENGTHS, key=None)
    carry, _ = decode(params, memory, net.start(params, memory, N), TOKENS[:, 0])
    _, expected = decode(params, memory, carry, TOKENS[:, 1])
    memory, carry = jax.tree.map(lambda a: a[index], (memory, carry))
    close(decode(params, memory, carry, TOKENS[index, 1])[1], expected[index])


@pytest.mark.parametrize("norm", NORMS)
def test_what_is_beyond_a_length_changes_nothing(norm):
    net, params = small(norm)
    beyond = np.arange(S) >= LENGTHS[:, None]
    run = jax.jit(jax.value_and_grad(lambda p, source: (logits(net, p, source) ** 2).sum()))
    one, other = run(params, SOURCE), run(params, np.where(beyond, (SOURCE + 3) % V, SOURCE))
    close(one, other)
    # nor does its being there
    close(logits(net, params)[1:2], logits(net, params, SOURCE[1:2, :2], TOKENS[1:2], None))
    close(logits(net, params, lengths=None), logits(net, params, lengths=np.full(B, S)))


def test_an_encoder_knows_no_order_but_that_of_its_positions():
    net, params = small("post")
    x, order = normal(B, S, 12), np.array([3, 0, 4, 1, 2])
    close(T.encoder(params.encoder, x[:, order]), T.encoder(params.encoder, x)[:, order])
    one, other = (
        net.encode(params, s, lengths=None, key=None).layers[0][0]
        for s in (SOURCE, SOURCE[:, order])
    )
    assert np.abs(one[:, order] - other).max() > 0.1


def test_fused_attention_is_the_same_net():
    net, params = small("post")
    fused, _ = small("post", attend=attention.fused_attention)
    close(logits(fused, params), logits(net, params))


def test_embeddings_are_shared():
    """One table serves three times: with a table of its own for the source, two equal ones have its
    gradient between them.
    """
    net, params = small("post")
    apart, _ = small("post", source_vocabulary=V)

    def total(net, params):
        return (logits(net, params) ** 2).sum()

    both = params._replace(source_embedding=params.embedding)
    (one, g), (two, h) = (
        jax.value_and_grad(functools.partial(total, f))(p)
        for f, p in ((net, params), (apart, both))
    )
    assert float(one) == pytest.approx(float(two), rel=1e-5)
    close(g.embedding, h.embedding + h.source_embedding, 1e-3)
    memory = net.encode(params, SOURCE, lengths=None, key=None)
    moved = params._replace(embedding=params.embedding.at[0].mul(2))
    # row 0 as a class, never as a token
    only_read = net.teach(moved, memory, TOKENS * 0 + 1, key=None)
    close(only_read[..., 0], 2 * net.teach(params, memory, TOKENS * 0 + 1, key=None)[..., 0])


def test_initial_parameters():
    net = T.transformer(200, layers=2, size=64, heads=4, feed_forward=96)
    params = jax.jit(net.init)(jax.random.key(0))
    np.testing.assert_allclose(params.embedding.std(), 1 / 8, rtol=0.03)
    layer = params.decoder.layers[1]
    weights = [w for m in (layer.attention, layer.cross) for w in m[:4]]
    for w, bound in [(w, math.sqrt(6 / 128)) for w in weights] + [
        (layer.feed_forward.w1, math.sqrt(6 / 160))
    ]:
        assert 0.98 * bound < np.abs(w).max() <= bound
        np.testing.assert_allclose(w.std(), bound / math.sqrt(3), rtol=0.05)
    everything = np.concatenate([np.ravel(w) for w in jax.tree.leaves(params) if np.std(w)])
    assert len(np.unique(everything)) > 0.98 * len(everything)
    np.testing.assert_array_equal(layer.cross_norm.gain, 1)
    np.testing.assert_array_equal(layer.attention.bo, 0)


def test_dropout_of_embeddings():
    net = T.transformer(V, layers=1, size=12, heads=3, feed_forward=10, dropout=0.5)
    params = net.init(jax.random.key(0))
    through = jax.tree.map(jnp.zeros_like, params.encoder.layers[0])._replace(
        attention_norm=params.encoder.layers[0].attention_norm,
        feed_forward_norm=params.encoder.layers[0].feed_forward_norm,
    )
    eye = params.decoder.layers[0].cross._replace(wk=jnp.eye(12).reshape(12, 3, 4))
    decoder = params.decoder._replace(layers=(params.decoder.layers[0]._replace(cross=eye),))
    params = params._replace(encoder=T.Stack((through,), None), decoder=decoder)
    x = math.sqrt(12) * params.embedding[SOURCE] + attention.sinusoidal(S, 12)
    key = jax.random.key(2)
    kept = T.drop(0.5, T.split(key, 2)[0], x)
    assert set(np.unique(np.asarray(kept / x).round(5))) == {0.0, 2.0}
    ones = through.attention_norm
    seen = net.encode(params, SOURCE, lengths=None, key=key).layers[0][0].reshape(B, S, 12)
    close(seen, T.layer_norm(ones, T.layer_norm(ones, kept)))


def test_dropout_keys():
    net, params = small("pre")
    run = jax.jit(functools.partial(logits, net))
    one, same, other = (run(params, key=jax.random.key(n)) for n in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert np.abs(one - other).max() > 1e-3
    np.testing.assert_array_equal(run(params), run(params))
    still = T.transformer(V, **TINY, norm=T.pre_norm, dropout=0.0)
    close(logits(still, params, key=jax.random.key(1)), run(params))
    x = normal(50)
    mean = jax.vmap(lambda key: T.drop(0.1, key, x))(
        jax.random.split(jax.random.key(0), 20_000)
    ).mean(0)
    np.testing.assert_allclose(mean, x, rtol=0.02)


def test_a_training_gradient_exports():
    net, _ = small("post")

    def loss(params, source, tokens, lengths, key):
        z = logits(net, params, source, tokens[:, :-1], lengths, key)
        return -jnp.take_along_axis(jax.nn.log_softmax(z), tokens[:, 1:, None], 2).mean()

    args = (
        shapes(net),
        *(jax.ShapeDtypeStruct(a.shape, jnp.int32) for a in (SOURCE, TOKENS, LENGTHS)),
        jax.random.key(0),
    )
    exported = jax.export.export(jax.jit(jax.grad(loss)), platforms=["cpu", "cuda", "tpu"])(*args)
    assert exported.platforms == ("cpu", "cuda", "tpu") and len(exported.out_avals) == len(
        jax.tree.leaves(args[0])
    )


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"heads": 5}, "the heads divide the size"),
        ({"layers": 0}, "must be at least 1"),
        ({"feed_forward": 0}, "must be at least 1"),
        ({"dropout": 1.0}, "the dropout rate is 1.0"),
        ({"source_vocabulary": 0}, "vocabularies 9 and 0"),
    ],
)
def test_bad_sizes(sizes, message):
    with pytest.raises(ValueError, match=message):
        T.transformer(V, **TINY | sizes)


def test_bad_input():
    net, params = small("post")
    memory = net.encode(params, SOURCE, lengths=None, key=None)
    carry = net.start(params, memory, 2)
    encode = functools.partial(net.encode, params, lengths=None, key=None)
    norm, ff = params.encoder.layers[0].attention_norm, params.encoder.layers[0].feed_forward
    for call, message in (
        (lambda: T.encoder_init(jax.random.key(0), 0, 12, 3, 10), "0 layers"),
        (lambda: T.learned(0), "a table of 0 positions"),
        (lambda: encode(SOURCE[0]), "int"),
        (lambda: encode(SOURCE * 1.0), "float"),
        (lambda: encode(SOURCE[:, :0]), "empty"),
        (lambda: encode(SOURCE + V), r"outside of 0\.\.8"),
        (
            lambda: net.encode(params, SOURCE, lengths=np.array([5, 0, 1]), key=None),
            r"outside of 1\.\.5",
        ),
        (
            lambda: net.encode(params, SOURCE, lengths=np.array([6, 1, 1]), key=None),
            r"outside of 1\.\.5",
        ),
        (lambda: net.teach(params, memory, -TOKENS - 1, key=None), r"outside of 0\.\.8"),
        (lambda: net.decode(params, memory, carry, TOKENS), "int"),
        (lambda: net.start(params, memory, 0), "room for 0 steps"),
        (lambda: T.layer_norm(norm, jnp.ones((2, 5))), r"do not fit x \(2, 5\)"),
        (lambda: T.feed_forward(ff, jnp.ones((2, 5))), "the 12 inputs of w1"),
        (lambda: T.encoder(params.encoder, jnp.ones((B, S, 5))), r"must be \(B, S, 12\)"),
        (
            lambda: T.encoder(params.encoder, jnp.ones((B, S, 12)), jnp.ones((S, 4), bool)),
            "does not broadcast",
        ),
        (
            lambda: T.extend(params.decoder, jnp.ones((B, 3, 12)), carry, memory.layers),
            "step 3 in a cache that has room for 2",
        ),
    ):
        with pytest.raises(ValueError, match=message):
            call()
    short = T.transformer(V, **TINY, positions=T.learned(4))
    with pytest.raises(ValueError, match="a sequence of 5 steps, but there are 4 positions"):
        short.encode(short.init(jax.random.key(0)), SOURCE, lengths=None, key=None)


def test_a_bad_token_under_jit_is_nan():
    net, params = small("post")
    found = jax.jit(functools.partial(logits, net))(
        params, tokens=np.where(TOKENS == TOKENS[0, 0], V, TOKENS) * 1
    )
    assert np.isnan(found[0]).all() and found.shape == (B, N, V)
