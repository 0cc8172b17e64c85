"""What every net owes, whoever wrote it: the same calls, mode as required keywords, probes, and
trees that keep their shapes and dtypes from init through gradients to the optimiser's state.
"""

import importlib
import inspect
import pkgutil
import re

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from deepseq import nets
from deepseq.nets.blocks.inside import look
from deepseq.nets.blocks.net import Classifier, LanguageModel, Net, Seq2Seq, parameters
from deepseq.train.optimizers import sgd
from deepseq.train.step import Batch, init_state, train_step
from tests.nets.catalogue import CLASSIFIERS, LANGUAGE_MODELS, LAYERS, OTHERS, SEQ2SEQ, VOCABULARY

pytestmark = pytest.mark.usefixtures("compiled_quickly")

KEY = jax.random.key(0)
CATALOGUE = {
    Classifier: {name: case.net for name, case in CLASSIFIERS.items()},
    LanguageModel: LANGUAGE_MODELS,
    Seq2Seq: SEQ2SEQ,
    Net: OTHERS,
}
# long to compile: test_platforms has the shapes of their steps, test_image_nets torch's gradients
DEEP = {name for name in CLASSIFIERS if re.match(r"googlenet|.*imagenet (50|121)", name)}
T, B, S = 3, 2, 4
TOKENS = np.random.default_rng(0).integers(0, VOCABULARY, (T, B))
SOURCE = np.random.default_rng(1).integers(0, 13, (B, S))


def keywords(call):
    """What can be given by name alone: {name: whether it must be}."""
    return {
        name: p.default is p.empty
        for name, p in inspect.signature(call).parameters.items()
        if p.kind is p.KEYWORD_ONLY
    }


def assert_only_arrays(tree):
    """NamedTuples, tuples or None, and float32 arrays at their ends."""
    if isinstance(tree, tuple):
        for branch in tree:
            assert_only_arrays(branch)
    elif tree is not None:
        chex.assert_type(tree, jnp.float32)


def check_training(init, loss):
    """Gradients and the optimiser's state are trees like the parameters; all of them are finite."""
    params = jax.jit(init)(KEY)
    assert_only_arrays(params)
    chex.assert_trees_all_equal_shapes_and_dtypes(params, jax.eval_shape(init, KEY))
    chex.clear_trace_counter()
    gradient = jax.jit(chex.assert_max_traces(lambda p, key: jax.grad(loss)(p, key), n=1))
    for key in jax.random.split(KEY, 2):
        gradients = gradient(params, key)
    chex.assert_trees_all_equal_shapes_and_dtypes(params, gradients)
    chex.assert_tree_all_finite((params, gradients))
    assert all(jnp.any(leaf != 0) for leaf in jax.tree.leaves(gradients))
    moments = optax.adam(1e-3).init(params)[0]
    chex.assert_trees_all_equal_shapes_and_dtypes(params, moments.mu, moments.nu)


def test_the_catalogue_is_complete():
    """A constructor is a public function that says it returns a net."""
    constructors = {kind: set() for kind in CATALOGUE}
    for part in ("images", "recurrent", "sequences"):
        package = importlib.import_module(f"{nets.__name__}.{part}")
        for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
            for name, value in vars(importlib.import_module(module.name)).items():
                kind = inspect.isfunction(value) and value.__annotations__.get("return")
                if kind in CATALOGUE and value.__module__ == module.name and name[0] != "_":
                    constructors[kind].add(f"{module.name.rsplit('.', 1)[1]}.{name}")
    assert constructors == {
        kind: {name.split()[0] for name in cases} for kind, cases in CATALOGUE.items()
    }
    for kind, cases in CATALOGUE.items():
        assert all(type(net) is kind for net in cases.values())


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_calls_of_a_classifier(name):
    net, shape, _ = CLASSIFIERS[name]
    assert keywords(net.apply) == {"running": True, "key": True, "probes": False}
    assert keywords(net.features) == keywords(net.apply) | {"stages": False}
    params = jax.eval_shape(net.init, KEY)
    x = jax.ShapeDtypeStruct((B, *shape), jnp.float32)

    def maps(stages, key):
        return jax.eval_shape(
            lambda p, x: net.features(p, x, running=None, key=key, stages=stages), params, x
        )

    assert_only_arrays(params)
    last, moments = maps(False, None)
    assert_only_arrays(moments)
    stages, same = maps(True, KEY)
    chex.assert_shape(last, (B, None, None, None))
    chex.assert_trees_all_equal_shapes_and_dtypes((last, moments), (stages[-1], same))
    assert len(stages) > 1
    for finer, coarser in zip(stages, stages[1:], strict=False):
        chex.assert_shape(finer, (B, None, None, None))
        assert finer.shape[1] >= coarser.shape[1] and finer.shape[2] >= coarser.shape[2]

    def apply(params, x, running, key):
        return net.apply(params, x, running=running, key=key)

    logits, moments = jax.eval_shape(lambda p, x: apply(p, x, None, None), params, x)
    chex.assert_shape(logits[0] if isinstance(logits, tuple) else logits, (B, 10))
    evaluated = jax.eval_shape(lambda p, x, m: apply(p, x, m, KEY), params, x, moments)
    chex.assert_trees_all_equal_shapes_and_dtypes(evaluated, (logits, moments))


@pytest.mark.parametrize("name", sorted(set(CLASSIFIERS) - DEEP))
def test_training_of_a_classifier(name):
    """Two steps in one trace keep the whole state's shapes and dtypes, and all of it is finite."""
    net, shape, loss = CLASSIFIERS[name]
    optimizer = sgd(1e-4, decay=1e-4)
    state = jax.jit(init_state(net.init, net.apply, optimizer, shape))(KEY)
    images = jax.random.normal(KEY, (B, *shape))
    chex.clear_trace_counter()
    step = train_step(net.apply, optimizer, prepare=lambda key, images: images, loss=loss)
    step = jax.jit(chex.assert_max_traces(step, n=1))
    for key in jax.random.split(KEY, 2):
        after, metrics = step(state, Batch(images, jnp.arange(B), key))
    chex.assert_trees_all_equal_shapes_and_dtypes(after, state)
    chex.assert_tree_all_finite((after, metrics))


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_probes_of_a_classifier(name):
    """Every activation comes with a gradient of its shape; the trunk alone marks the same."""
    net, shape, _ = CLASSIFIERS[name]
    x = jax.ShapeDtypeStruct((B, *shape), jnp.float32)

    def seen(function):
        def loss(probes, params, x):
            outputs = function(params, x, running=None, key=None, probes=probes)[0]
            return sum(leaf.sum() for leaf in jax.tree.leaves(outputs))

        params = jax.eval_shape(net.init, KEY)
        return jax.eval_shape(lambda p, x: look(lambda probes: loss(probes, p, x)), params, x)

    whole = seen(net.apply)
    assert len(whole) > 1 and sorted(whole)
    for h, gradient in whole.values():
        chex.assert_shape(h, (B, None, None, None))
        chex.assert_trees_all_equal_shapes_and_dtypes(h, gradient)
    chex.assert_trees_all_equal_shapes_and_dtypes(seen(net.features), whole)


@pytest.mark.parametrize("name", ["lenet.lenet5", "resnet.cifar 8 B", "densenet.cifar 10 bc"])
def test_logits_are_read_off_the_maps(name):
    net, shape, _ = CLASSIFIERS[name]
    params, x = net.init(KEY), jax.random.normal(KEY, (B, *shape))

    @jax.jit
    def run(params, x):
        mode = {"running": None, "key": None}
        stages, _ = net.features(params, x, **mode, stages=True)
        return net.apply(params, x, **mode), net.features(params, x, **mode), stages

    (logits, moments), (maps, same), stages = run(params, x)
    chex.assert_trees_all_equal((stages[-1], moments), (maps, same))
    chex.assert_tree_all_finite((logits, moments, stages))
    if hasattr(params, "head"):
        head = maps.mean((1, 2)) @ params.head.w + params.head.b
        chex.assert_trees_all_close(logits, head, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", LANGUAGE_MODELS)
def test_language_model(name):
    net = LANGUAGE_MODELS[name]
    assert keywords(net.apply) == {"carry": True, "key": True, "probes": False}
    large = parameters(net) > 1e5  # a paper's: its shapes alone
    params = jax.eval_shape(net.init, KEY)

    def logits(params, key, probes=None):
        return net.apply(params, TOKENS, carry=None, key=key, probes=probes)

    values, carry = jax.eval_shape(lambda p: logits(p, KEY), params)
    chex.assert_shape(values, (T, B, VOCABULARY))
    again = jax.eval_shape(lambda p, c: net.apply(p, TOKENS, carry=c, key=None)[1], params, carry)
    chex.assert_trees_all_equal_shapes_and_dtypes(carry, again)
    seen = jax.eval_shape(lambda p: look(lambda probes: logits(p, None, probes)[0].sum()), params)
    assert {n for _, n in seen} == set(range(len(params.layers) + 1))
    for h, gradient in seen.values():
        chex.assert_shape((h, gradient), (T, B, None))
    if not large:
        check_training(net.init, lambda p, key: (logits(p, key)[0] ** 2).mean())


@pytest.mark.parametrize("name", SEQ2SEQ)
def test_sequence_to_sequence(name):
    net = SEQ2SEQ[name]
    assert keywords(net.encode) == {"lengths": True, "key": True}
    assert keywords(net.teach) == {"key": True, "probes": False}
    lengths, tokens = np.array([S, S - 1]), TOKENS.T

    def logits(params, key, probes=None):
        memory = net.encode(params, SOURCE, lengths=lengths, key=key)
        return net.teach(params, memory, tokens, key=key, probes=probes)

    params = net.init(KEY)
    taught = jax.jit(lambda p: logits(p, None))(params)
    chex.assert_shape(taught, (B, T, VOCABULARY))
    memory = net.encode(params, SOURCE, lengths=lengths, key=None)
    chex.assert_tree_shape_prefix((memory, net.start(params, memory, T)), (B,))

    def step(carry, token):
        return net.decode(params, memory, carry, token)

    decoded = jax.lax.scan(step, net.start(params, memory, T), jnp.asarray(TOKENS))[1]
    chex.assert_trees_all_close(decoded.swapaxes(0, 1), taught, rtol=1e-4, atol=1e-5)
    seen = jax.eval_shape(lambda p: look(lambda probes: logits(p, None, probes).sum()), params)
    for h, gradient in seen.values():
        chex.assert_trees_all_equal_shapes_and_dtypes(h, gradient)
    check_training(net.init, lambda p, key: (logits(p, key) ** 2).mean())


def test_autoregressive_nets():
    window, latent = OTHERS["ar.window"], OTHERS["ar.latent"]
    past = TOKENS.reshape(B, T)
    logits = window.apply(window.init(KEY), past)
    chex.assert_shape(logits, (B, VOCABULARY))
    check_training(window.init, lambda p, key: (window.apply(p, past) ** 2).mean())
    xs = jax.random.normal(KEY, (T, B, 2))
    ys, carry = latent.apply(latent.init(KEY), xs, carry=None)
    chex.assert_shape((ys, carry), [(T, B, 4), (B, 5)])
    check_training(latent.init, lambda p, key: (latent.apply(p, xs, carry=None)[0] ** 2).mean())


@pytest.mark.parametrize(
    ("name", "mark", "shape"), [("ar.window", "hidden", (B, 5)), ("ar.latent", "states", (T, B, 5))]
)
def test_probes_of_an_autoregressive_net(name, mark, shape):
    net = OTHERS[name]
    params = net.init(KEY)

    def loss(probes):
        if name == "ar.window":
            return net.apply(params, TOKENS.reshape(B, T), probes=probes).sum()
        return net.apply(params, jnp.ones((T, B, 2)), carry=None, probes=probes)[0].sum()

    seen = look(loss)
    assert set(seen) == {mark}
    chex.assert_shape(tuple(seen[mark]), shape)
    readout = np.asarray(params.readout.w).sum(1)  # dy/dh of a sum of all outputs
    chex.assert_trees_all_close(seen[mark].gradient, np.broadcast_to(readout, shape), rtol=1e-5)


@pytest.mark.parametrize("name", LAYERS)
def test_a_recurrent_layer(name):
    """(params, xs, carry, *, lengths) -> (carry, ys); a carry of None is the zero state."""
    init, layer, width = LAYERS[name]
    params, xs, lengths = init(KEY), jax.random.normal(KEY, (T, B, 3)), np.array([T, T - 1])
    run = layer(params, xs)
    for carry in (None, jax.tree.map(jnp.zeros_like, run[0])):
        again = layer(params, xs, carry, lengths=lengths)
        chex.assert_trees_all_equal_shapes_and_dtypes(again, run)
        chex.assert_trees_all_close(layer(params, xs, carry), run)
    chex.assert_shape(run[1], (T, B, width))
    chex.assert_tree_shape_prefix(run[0], (B, 5))
    with pytest.raises(TypeError, match="positional"):
        layer(params, xs, None, lengths)
    check_training(init, lambda p, key: (layer(p, xs, lengths=lengths)[1] ** 2).mean())
