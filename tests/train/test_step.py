import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from deepseq.train import step as training
from deepseq.train.optimizers import sgd
from deepseq.train.state import TrainState, init_state
from deepseq.train.step import Batch, evaluate, jit_step, train_step

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (50, 2, 3, 1), np.uint8)
LABELS = RNG.integers(0, 4, 50).astype(np.int32)


def init(key):
    return {
        "w": jax.random.normal(key, (6, 4)) / 2,
        "zero": jnp.zeros(6),
        "also_zero": jnp.zeros(6),
    }


def apply(params, x, *, running, key):
    x = x.reshape(len(x), -1) + params["zero"] + params["also_zero"]
    mean = x.mean(0) if running is None else running
    return (x - mean) @ params["w"], mean


def prepare(key, pixels):
    x = pixels.astype(jnp.float32) / 255
    return x if key is None else x + 0.1 * jax.random.normal(key, x.shape)


def batch(t, size=8):
    index = slice(t * size, (t + 1) * size)
    return Batch(
        jnp.array(IMAGES[index]), jnp.array(LABELS[index]), jax.random.fold_in(jax.random.key(9), t)
    )


def numpy_step(params, running, x, labels, lr, momentum):
    x = x.reshape(len(x), -1) + params["zero"] + params["also_zero"]
    mean = x.mean(0)
    logits = (x - mean) @ params["w"]
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    loss = -np.log(p[np.arange(len(x)), labels]).mean()
    error = (logits.argmax(1) != labels).mean()
    dlogits = (p - np.eye(4)[labels]) / len(x)
    dx = dlogits @ params["w"].T
    dx = (dx - dx.mean(0)).sum(0)
    gradients = {"w": (x - mean).T @ dlogits, "zero": dx, "also_zero": dx}
    running = mean if running is None else momentum * running + (1 - momentum) * mean
    return {k: params[k] - lr * gradients[k] for k in params}, running, loss, error


def test_steps_equal_the_same_steps_in_numpy():
    optimizer = sgd(0.5, momentum=0.0)
    state = training.init_state(init, apply, optimizer, (2, 3, 1))(jax.random.key(0))
    step = jit_step(train_step(apply, optimizer, prepare=prepare, momentum=0.8))
    params, running = jax.device_get(state.params), None
    for t in range(4):
        x = np.asarray(prepare(jax.random.split(batch(t).key)[0], batch(t).images), np.float64)
        params, running, loss, error = numpy_step(
            params, running, x, np.asarray(batch(t).labels), 0.5, 0.8
        )
        state, metrics = step(state, batch(t))
        assert int(state.step) == t + 1
        np.testing.assert_allclose(metrics["loss"], loss, rtol=1e-5)
        np.testing.assert_allclose(metrics["error"], error)
        chex.assert_trees_all_close(state.params, params, rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(state.running, running, rtol=1e-5)


def test_a_scan_over_batches_equals_steps_one_by_one():
    optimizer = sgd(0.1)
    step = train_step(apply, optimizer, prepare=prepare)
    begin = training.init_state(init, apply, optimizer, (2, 3, 1))
    batches = jax.tree.map(lambda *x: jnp.stack(x), *map(batch, range(3)))
    scanned, metrics = jax.lax.scan(step, begin(jax.random.key(0)), batches)
    state = begin(jax.random.key(0))
    for t in range(3):
        state, last = step(state, batch(t))
    chex.assert_trees_all_close(scanned, state, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(metrics["loss"][2], last["loss"], rtol=1e-5)


def test_one_trace_serves_all_seeds_and_the_state_is_donated():
    chex.clear_trace_counter()
    optimizer = sgd(0.1)
    begin = training.init_state(chex.assert_max_traces(init, n=1), apply, optimizer, (2, 3, 1))
    step = jit_step(chex.assert_max_traces(train_step(apply, optimizer, prepare=prepare), n=1))
    for seed in range(3):
        state = first = begin(jax.random.key(seed))
        buffers = [x.unsafe_buffer_pointer() for x in jax.tree.leaves(first)]
        assert len(set(buffers)) == len(buffers)  # else the state could not be donated
        for t in range(2):
            state, _ = step(state, batch(t))
        assert all(x.is_deleted() for x in jax.tree.leaves(first))


def test_a_net_without_moments_has_an_empty_running_average():
    def plain(params, x, *, running, key):
        assert running in (None, ())
        return x.reshape(len(x), -1) @ params["w"], ()

    optimizer = optax.sgd(0.1)
    state = training.init_state(init, plain, optimizer, (2, 3, 1))(jax.random.key(0))
    state, _ = jit_step(train_step(plain, optimizer, prepare=prepare))(state, batch(0))
    assert state.running == ()
    f = evaluate(plain, prepare=prepare, batch_size=8)
    assert f(state.params, (), IMAGES, LABELS)["loss"] > 0


def test_augmentation_and_net_draw_from_different_keys():
    seen = {}

    def spy(params, x, *, running, key):
        seen["net"] = key
        return apply(params, x, running=running, key=key)

    def spy_prepare(key, pixels):
        seen["augment"] = key
        return prepare(key, pixels)

    params = init(jax.random.key(0))
    state = init_state(params, optax.sgd(0.1), TrainState, running=jnp.zeros(6))
    train_step(spy, optax.sgd(0.1), prepare=spy_prepare)(state, batch(0))
    keys = [jax.random.key_data(k).tolist() for k in (seen["net"], seen["augment"], batch(0).key)]
    assert len({tuple(k) for k in keys}) == 3


@pytest.mark.parametrize("total", [1, 7, 16, 50])
def test_evaluation_equals_the_mean_over_the_set_for_any_size(total):
    params = jax.device_get(init(jax.random.key(0)))
    running = np.full(6, 0.4, np.float32)
    found = evaluate(apply, prepare=prepare, batch_size=16)(
        params, running, IMAGES[:total], LABELS[:total]
    )
    logits = (IMAGES[:total].reshape(total, -1) / 255 - 0.4) @ params["w"]
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    np.testing.assert_allclose(
        found["loss"], -np.log(p[np.arange(total), LABELS[:total]]).mean(), rtol=1e-5
    )
    assert found["error"] == pytest.approx((logits.argmax(1) != LABELS[:total]).mean(), abs=1e-9)


def test_evaluation_compiles_once_for_sets_of_different_size():
    chex.clear_trace_counter()
    f = evaluate(chex.assert_max_traces(apply, n=1), prepare=prepare, batch_size=16)
    for total in (3, 20, 50):
        f(init(jax.random.key(0)), jnp.zeros(6), IMAGES[:total], LABELS[:total])


def test_what_fills_the_last_batch_does_not_count_even_if_infinite():
    images = np.concatenate([IMAGES[:3], IMAGES[3:4]])

    def infinite_for_many(params, x, *, running, key):
        return (
            jnp.where(
                jnp.arange(len(x))[:, None] >= 4, jnp.array([jnp.inf, 0, 0, 0]), jnp.zeros(4)
            ),
            (),
        )

    f = evaluate(infinite_for_many, prepare=prepare, batch_size=16)
    assert f((), (), images, np.zeros(4, np.int32)) == {
        "loss": pytest.approx(np.log(4)),
        "error": 0.0,
    }


def test_an_empty_set_is_refused():
    f = evaluate(apply, prepare=prepare, batch_size=16)
    with pytest.raises(ValueError, match="one label per image"):
        f(init(jax.random.key(0)), jnp.zeros(6), IMAGES[:0], LABELS[:0])
