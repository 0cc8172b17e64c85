"""Our nets in nnx: the same numbers as our own loop, in a Flax user's program."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from deepseq.bridge import as_nnx, from_variables, to_variables
from deepseq.nets.images import lenet
from deepseq.nets.recurrent import lstm
from tests.bridge.programs import (
    IMAGES,
    KEY,
    KINDS,
    LABELS,
    LENGTHS,
    OPTIMIZER,
    SERIES,
    TOKENS,
    cross_entropy,
    lstm_init,
    program,
    resnet_8,
    resnet_params,
    size,
    small_lm,
    small_transformer,
    trained,
    trained_resnet,
)


def pure(model):
    return nnx.to_pure_dict(nnx.state(model, (nnx.Param, nnx.BatchStat)))


@pytest.mark.parametrize("kind", KINDS)
def test_trains_to_our_numbers(kind):
    ours = program(kind)
    params, losses = trained(kind)
    model = as_nnx(ours.net, *ours.first(), rngs=nnx.Rngs(0), init=ours.init)
    nnx.update(model, to_variables(ours.params()))
    optimizer = nnx.Optimizer(model, OPTIMIZER, wrt=nnx.Param)

    @nnx.jit
    def step(model, optimizer, *inputs):
        value, gradient = nnx.value_and_grad(lambda m: size(m(*inputs, **ours.keywords)))(model)
        optimizer.update(model, gradient)
        return value

    for inputs, expected in zip(zip(*ours.inputs, strict=True), losses, strict=True):
        np.testing.assert_allclose(step(model, optimizer, *inputs), expected, rtol=1e-6)
    chex.assert_trees_all_close(from_variables(pure(model), (params, ()))[0], params, atol=1e-6)


@pytest.mark.parametrize("shaped", [True, False])
def test_a_resnet_trains_to_our_numbers_and_keeps_our_running_average(shaped):
    """Told the shape of its input, or not."""
    params, running, losses = trained_resnet(momentum=0.8)
    inputs = (jax.ShapeDtypeStruct(IMAGES[0].shape, jnp.float32),) if shaped else ()
    model = as_nnx(resnet_8(), *inputs, rngs=nnx.Rngs(0), momentum=0.8)
    nnx.update(model, to_variables(resnet_params()))
    optimizer = nnx.Optimizer(model, OPTIMIZER, wrt=nnx.Param)

    @nnx.jit
    def step(model, optimizer, images, labels):
        def loss(model):
            return cross_entropy(model(images), labels)

        value, gradient = nnx.value_and_grad(loss)(model)
        optimizer.update(model, gradient)
        return value

    model.train()
    for images, labels, expected in zip(IMAGES, LABELS, losses, strict=True):
        np.testing.assert_allclose(step(model, optimizer, images, labels), expected, rtol=1e-6)
    chex.assert_trees_all_close(
        from_variables(pure(model), (params, running)), (params, running), atol=1e-6
    )
    model.eval()
    before = pure(model)
    logits = model(IMAGES[0])
    expected = resnet_8().apply(params, IMAGES[0], running=running, key=None)[0]
    np.testing.assert_allclose(logits, expected, atol=1e-5)
    chex.assert_trees_all_equal(pure(model), before)
    assert not shaped or len(nnx.split(model, nnx.Param, nnx.BatchStat)) == 3  # nothing else


def test_split_merge_and_plain_jit():
    model = as_nnx(resnet_8(), IMAGES[0], rngs=nnx.Rngs(0))
    graph, state = nnx.split(model)

    @jax.jit
    def step(state):
        merged = nnx.merge(graph, state)
        return merged(IMAGES[0]), nnx.split(merged)[1]

    logits, state = step(state)
    np.testing.assert_allclose(nnx.merge(graph, state)(IMAGES[0]), logits, atol=1e-5)
    np.testing.assert_allclose(model(IMAGES[0]), logits, atol=1e-5)
    assert nnx.merge(graph, state).batch_stats["started"][...] == 1


def test_moments_that_were_brought_along():
    params, running, _ = trained_resnet(momentum=0.8)
    model = as_nnx(resnet_8(), IMAGES[0], rngs=nnx.Rngs(0))
    nnx.update(model, to_variables(params, running))
    model.eval()
    expected = resnet_8().apply(params, IMAGES[0], running=running, key=None)[0]
    np.testing.assert_allclose(model(IMAGES[0]), expected, atol=1e-5)
    assert model.batch_stats["started"][...] == 1


def test_a_net_without_norms():
    net, images = lenet.zip_codes(), IMAGES[0].reshape(3, 16, 16, 1)
    for inputs in ((), (images,)):
        model = as_nnx(net, *inputs, rngs=nnx.Rngs(0))
        params, _ = from_variables(pure(model), (jax.eval_shape(net.init, KEY), ()))
        expected = net.apply(params, images, running=(), key=None)[0]
        np.testing.assert_allclose(model(images), expected, atol=1e-6)
        model.eval()
        np.testing.assert_allclose(model(images), expected, atol=1e-6)
        assert not nnx.state(model, nnx.BatchStat)


def test_before_any_batch_it_evaluates_by_means_0_and_variances_1():
    for inputs in ((), (IMAGES[0],)):
        model = as_nnx(resnet_8(), *inputs, rngs=nnx.Rngs(params=KEY))
        model.eval()
        logits = model(IMAGES[0])
        assert jnp.isfinite(logits).all() and jnp.abs(logits).max() < 1e3
        assert not inputs or model.batch_stats["started"][...] == 0


class Tagger(nnx.Module):
    """A user's net of two of ours and layers of Flax."""

    def __init__(self, rngs):
        self.backbone = as_nnx(resnet_8(), IMAGES[0], rngs=rngs)
        self.layer = as_nnx(lstm, SERIES[0], rngs=rngs, init=lstm_init)
        self.dropout = nnx.Dropout(0.5, rngs=rngs)
        self.head = nnx.Linear(15, 2, rngs=rngs)

    def __call__(self, images, xs):
        _, ys = self.layer(xs)
        return self.head(jnp.concatenate([self.backbone(images), self.dropout(ys[-1])], axis=-1))


def test_inside_a_users_module():
    model = Tagger(nnx.Rngs(0))
    optimizer = nnx.Optimizer(model, OPTIMIZER, wrt=nnx.Param)
    before = nnx.to_pure_dict(nnx.state(model, nnx.Param))

    @nnx.jit
    def step(model, optimizer):
        gradient = nnx.grad(lambda m: size(m(IMAGES[0], SERIES[0])))(model)
        optimizer.update(model, gradient)

    step(model, optimizer)
    after = nnx.to_pure_dict(nnx.state(model, nnx.Param))
    for old, new in zip(jax.tree.leaves(before), jax.tree.leaves(after), strict=True):
        assert jnp.abs(new - old).max() > 0
    assert model.backbone.batch_stats["started"][...] == 1
    model.eval()
    assert model.backbone.use_running_average and model.layer.deterministic
    shapes = jax.eval_shape(lstm_init, KEY)
    _, ys = lstm(from_variables(pure(model.layer), (shapes, ()))[0], SERIES[0])
    logits = jnp.concatenate([model.backbone(IMAGES[0]), ys[-1]], axis=-1)
    np.testing.assert_allclose(model(IMAGES[0], SERIES[0]), model.head(logits), atol=1e-6)


def test_dropout_is_ours_with_a_new_key_at_every_call():
    net = small_lm(dropout=0.5)
    model = as_nnx(net, TOKENS[0], rngs=nnx.Rngs(params=0, dropout=1))
    params = from_variables(pure(model), (net.init(KEY), ()))[0]
    stream = nnx.Rngs(params=0, dropout=1)["dropout"].fork()
    for _ in range(2):
        expected = net.apply(params, TOKENS[0], carry=None, key=stream())
        chex.assert_trees_all_close(model(TOKENS[0]), expected, atol=1e-6)
    for silent in (nnx.view(model, deterministic=True), model):
        silent.eval() if silent is model else None
        whole = net.apply(params, TOKENS[0], carry=None, key=None)
        chex.assert_trees_all_close(silent(TOKENS[0]), whole, atol=1e-6)
    keyless = as_nnx(net, TOKENS[0], rngs=nnx.Rngs(params=0))
    with pytest.raises(ValueError, match="drops units in training and needs a key"):
        keyless(TOKENS[0])
    assert as_nnx(small_transformer(), TOKENS[0], TOKENS[0], rngs=nnx.Rngs(0)).rngs is None


def test_a_view_normalises_by_the_running_average_alone():
    model = as_nnx(resnet_8(), IMAGES[0], rngs=nnx.Rngs(0))
    model(IMAGES[1])
    view = nnx.view(model, use_running_average=True)
    logits = view(IMAGES[0])
    model.eval()
    np.testing.assert_array_equal(logits, model(IMAGES[0]))


def test_a_transformer_writes_token_by_token_what_it_teaches():
    source, tokens = TOKENS[0], TOKENS[1]
    model = as_nnx(small_transformer(dropout=0.3), source, tokens, rngs=nnx.Rngs(0))
    dropped = model(source, tokens, lengths=LENGTHS)
    model.eval()
    logits = model(source, tokens, lengths=LENGTHS)
    assert jnp.abs(dropped - logits).max() > 1e-3
    memory = model.encode(source, lengths=LENGTHS)
    np.testing.assert_allclose(model.teach(memory, tokens), logits, atol=1e-6)
    carry = model.start(memory, 5)
    for t in range(5):
        carry, step = model.decode(memory, carry, tokens[:, t])
        np.testing.assert_allclose(step, logits[:, t], atol=1e-5)


def test_errors_name_what_is_wrong():
    with pytest.raises(ValueError, match="lstm is no net of init and apply"):
        as_nnx(lstm, rngs=nnx.Rngs(0))
    model = as_nnx(lstm, rngs=nnx.Rngs(0), init=lstm_init)
    model.params["b"] = nnx.Param(jnp.zeros(3))
    with pytest.raises(ValueError, match=r"params.b is \(3,\), not \(20,\)"):
        model(SERIES[0])
