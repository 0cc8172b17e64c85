"""Our nets in linen: the same numbers as our own loop, in a Flax user's program."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import core, serialization
from flax import linen as nn

from deepseq.bridge import as_linen, from_variables, to_variables
from deepseq.nets import recurrent
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
    zero_moments,
)


@pytest.mark.parametrize("kind", KINDS)
def test_trains_to_our_numbers(kind):
    ours = program(kind)
    params, losses = trained(kind)
    module = as_linen(ours.net, init=ours.init)
    shapes = jax.eval_shape(lambda: module.init(KEY, *ours.first(), **ours.keywords))
    variables, rngs = to_variables(ours.params()), {"dropout": KEY}
    chex.assert_trees_all_equal_shapes_and_dtypes(variables, shapes)

    @jax.jit
    def step(variables, state, *inputs):
        def loss(variables):
            outputs = module.apply(variables, *inputs, train=True, rngs=rngs, **ours.keywords)
            return size(outputs)

        value, gradient = jax.value_and_grad(loss)(variables)
        updates, state = OPTIMIZER.update(gradient, state, variables)
        return optax.apply_updates(variables, updates), state, value

    state = OPTIMIZER.init(variables)
    for inputs, expected in zip(zip(*ours.inputs, strict=True), losses, strict=True):
        variables, state, value = step(variables, state, *inputs)
        np.testing.assert_allclose(value, expected, rtol=1e-6)
    chex.assert_trees_all_close(from_variables(variables, (params, ()))[0], params, atol=1e-6)


def test_a_resnet_trains_to_our_numbers_and_keeps_our_running_average():
    params, running, losses = trained_resnet(momentum=0.8)
    module = as_linen(resnet_8(), momentum=0.8)
    variables = jax.jit(module.init)(KEY, IMAGES[0])
    stats = variables["batch_stats"]
    assert stats["started"] == 0 and (stats["stem"]["var"] == 1).all()
    weights = to_variables(resnet_params())["params"]
    chex.assert_trees_all_equal_shapes_and_dtypes(weights, variables["params"])

    @jax.jit
    def step(weights, stats, state, images, labels):
        def loss(weights):
            logits, changed = module.apply(
                {"params": weights, "batch_stats": stats},
                images,
                train=True,
                mutable=["batch_stats"],
                rngs={"dropout": KEY},
            )
            return cross_entropy(logits, labels), changed["batch_stats"]

        (value, stats_after), gradient = jax.value_and_grad(loss, has_aux=True)(weights)
        updates, state = OPTIMIZER.update(gradient, state, weights)
        return optax.apply_updates(weights, updates), stats_after, state, value

    state = OPTIMIZER.init(weights)
    for images, labels, expected in zip(IMAGES, LABELS, losses, strict=True):
        weights, stats, state, value = step(weights, stats, state, images, labels)
        np.testing.assert_allclose(value, expected, rtol=1e-6)
    assert step._cache_size() == 1  # nothing changes its shape between steps
    variables = {"params": weights, "batch_stats": stats}
    ours = from_variables(variables, (params, running))
    chex.assert_trees_all_close(ours, (params, running), atol=1e-6)
    logits = module.apply(variables, IMAGES[0])
    expected = resnet_8().apply(params, IMAGES[0], running=running, key=None)[0]
    np.testing.assert_allclose(logits, expected, atol=1e-5)
    data = serialization.to_bytes(variables)
    again = serialization.from_bytes(jax.tree.map(jnp.zeros_like, variables), data)
    np.testing.assert_array_equal(module.apply(again, IMAGES[0]), logits)
    np.testing.assert_array_equal(module.apply(core.freeze(variables), IMAGES[0]), logits)


def test_moments_that_were_brought_along_are_averaged_on():
    net = resnet_8()
    params = resnet_params()
    moments = jax.tree.map(lambda z: z + 0.5, zero_moments(net, params))
    _, changed = as_linen(net, momentum=0.75).apply(
        to_variables(params, moments), IMAGES[0], train=True, mutable=["batch_stats"]
    )
    batch = net.apply(params, IMAGES[0], running=None, key=None)[1]
    expected = to_variables((), jax.tree.map(lambda b: 0.75 * 0.5 + 0.25 * b, batch))
    chex.assert_trees_all_close(changed["batch_stats"], expected["batch_stats"], atol=1e-6)
    _, first = as_linen(net).apply(
        to_variables(params), IMAGES[0], train=True, mutable=["batch_stats"]
    )
    chex.assert_trees_all_equal(first["batch_stats"], to_variables((), batch)["batch_stats"])


class Tagger(nn.Module):
    """A user's net of two of ours and layers of Flax."""

    @nn.compact
    def __call__(self, images, xs, train):
        maps = as_linen(resnet_8(), name="backbone")(images, train=train)
        _, ys = as_linen(lstm, init=lstm_init)(xs)
        ys = nn.Dropout(0.5, deterministic=not train)(ys)
        return nn.Dense(2)(maps) + nn.Dense(2)(ys[-1])


def test_inside_a_users_module():
    module, inputs = Tagger(), (IMAGES[0], SERIES[0])
    variables = module.init({"params": KEY}, *inputs, train=False)
    assert set(variables["params"]) == {"backbone", "Net_0", "Dense_0", "Dense_1"}
    assert set(variables["batch_stats"]) == {"backbone"}

    @jax.jit
    def gradient(variables):
        def loss(weights):
            outputs, changed = module.apply(
                variables | {"params": weights},
                *inputs,
                train=True,
                mutable=["batch_stats"],
                rngs={"dropout": KEY},
            )
            return size(outputs), changed

        return jax.grad(loss, has_aux=True)(variables["params"])

    slopes, changed = gradient(variables)
    assert all(jnp.abs(slope).max() > 0 for slope in jax.tree.leaves(slopes["Net_0"]))
    assert changed["batch_stats"]["backbone"]["started"] == 1
    maps = as_linen(resnet_8()).apply(
        {name: variables[name]["backbone"] for name in variables}, inputs[0]
    )
    _, ys = lstm(
        from_variables({"params": variables["params"]["Net_0"]}, (lstm_init(KEY), ()))[0], inputs[1]
    )
    tops = [variables["params"][f"Dense_{i}"] for i in (0, 1)]
    expected = sum(
        x @ top["kernel"] + top["bias"] for x, top in zip((maps, ys[-1]), tops, strict=True)
    )
    np.testing.assert_allclose(module.apply(variables, *inputs, train=False), expected, atol=1e-5)


def test_a_module_called_twice_shares_its_parameters():
    class Twice(nn.Module):
        @nn.compact
        def __call__(self, xs):
            layer = as_linen(lstm, init=lambda key: lstm_init(key), name="layer")
            return layer(xs)[1], layer(2 * xs)[1]

    (once, double), variables = Twice().init_with_output(KEY, SERIES[0])
    params = from_variables({"params": variables["params"]["layer"]}, (lstm_init(KEY), ()))[0]
    np.testing.assert_allclose(once, lstm(params, SERIES[0])[1], atol=1e-6)
    np.testing.assert_allclose(double, lstm(params, 2 * SERIES[0])[1], atol=1e-6)


class Key(nn.Module):
    """The key that a module at the top gets of linen."""

    def __call__(self):
        return self.make_rng("dropout")


def test_dropout_is_ours_with_linens_key():
    net, rngs = small_lm(dropout=0.5), {"dropout": jax.random.key(3)}
    params, module = net.init(KEY), as_linen(net)
    expected = net.apply(params, TOKENS[0], carry=None, key=Key().apply({}, rngs=rngs))
    outputs = module.apply(to_variables(params), TOKENS[0], train=True, rngs=rngs)
    chex.assert_trees_all_close(outputs, expected, atol=1e-6)
    whole = module.apply(to_variables(params), TOKENS[0], rngs=rngs)
    assert jnp.abs(whole[0] - outputs[0]).max() > 1e-3
    chex.assert_trees_all_close(whole, net.apply(params, TOKENS[0], carry=None, key=None))
    with pytest.raises(ValueError, match="drops units in training and needs a key"):
        module.apply(to_variables(params), TOKENS[0], train=True)


def test_a_language_model_goes_on_from_its_carry():
    net = small_lm()
    variables = to_variables(net.init(KEY))
    module = as_linen(net)
    whole, _ = module.apply(variables, TOKENS[0])
    _, carry = module.apply(variables, TOKENS[0][:2])
    rest, _ = module.apply(variables, TOKENS[0][2:], carry=carry)
    np.testing.assert_allclose(rest, whole[2:], atol=1e-6)


def test_a_transformer_writes_token_by_token_what_it_teaches():
    module = as_linen(small_transformer())
    source, tokens = TOKENS[0], TOKENS[1]
    variables = module.init(KEY, source, tokens, lengths=LENGTHS)
    logits = module.apply(variables, source, tokens, lengths=LENGTHS)
    memory = module.apply(variables, source, lengths=LENGTHS, method="encode")
    taught = module.apply(variables, memory, tokens, method="teach")
    np.testing.assert_allclose(taught, logits, atol=1e-6)
    carry = module.apply(variables, memory, 5, method="start")
    for t in range(5):
        carry, step = module.apply(variables, memory, carry, tokens[:, t], method="decode")
        np.testing.assert_allclose(step, logits[:, t], atol=1e-5)


def test_a_net_without_norms():
    """It has no batch_stats, which need not be mutable in training."""
    net, images = lenet.zip_codes(), IMAGES[0].reshape(3, 16, 16, 1)
    variables = jax.jit(as_linen(net).init)(KEY, images)
    params, _ = from_variables(variables, (jax.eval_shape(net.init, KEY), ()))
    expected = net.apply(params, images, running=(), key=None)[0]
    for train in (True, False):
        logits = as_linen(net).apply(variables, images, train=train)
        np.testing.assert_allclose(logits, expected, atol=1e-6)


def test_layers_of_layers():
    """Stacks, in both directions, whose parameters are tuples of tuples."""
    layer = recurrent.stack(recurrent.bidirectional(recurrent.gru), recurrent.each_step(0.5))
    keys = jax.random.split(KEY, 2)
    params = tuple((recurrent.gru_init(k, d, 4),) * 2 for k, d in zip(keys, (3, 8), strict=True))
    module = as_linen(layer, init=lambda key: params)
    carry, ys = layer(params, SERIES[0], lengths=LENGTHS)
    outputs = module.apply(to_variables(params), SERIES[0], lengths=LENGTHS)
    chex.assert_trees_all_close(outputs, (carry, ys), atol=1e-6)
    with pytest.raises(ValueError, match="needs a key"):
        module.apply(to_variables(params), SERIES[0], train=True)


def test_tabulate():
    table = as_linen(resnet_8()).tabulate(KEY, IMAGES[0], console_kwargs={"width": 200})
    count = sum(leaf.size for leaf in jax.tree.leaves(resnet_params()))
    assert "batch_stats" in table and f"{count:,}" in table


def test_errors_name_what_is_wrong():
    module = as_linen(resnet_8())
    variables = jax.jit(module.init)(KEY, IMAGES[0])
    broken = variables | {"params": variables["params"] | {"head": {"w": jnp.zeros((16, 10))}}}
    with pytest.raises(ValueError, match="1 variables do not fit: params.head.b is missing"):
        module.apply(broken, IMAGES[0])
    with pytest.raises(ValueError, match="batch_stats.stem.mean is missing"):
        module.apply({"params": variables["params"]}, IMAGES[0])
    with pytest.raises(ValueError, match="lstm is no net of init and apply"):
        as_linen(lstm)
    with pytest.raises(Exception, match="batch_stats"):  # Flax's own, as of its BatchNorm
        module.apply(variables, IMAGES[0], train=True)
