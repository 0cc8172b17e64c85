"""What every train step keeps: it is traced once, and gives back the state that it was given."""

from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax import Array

from deepseq.train import step as training
from deepseq.train.devices import data_parallel
from deepseq.train.sequences import clipped, sequence_step
from deepseq.train.state import StreamState, init_state
from deepseq.train.step import Batch, jit_step, train_step
from deepseq.train.stream import stream_step

OPTIMIZER = clipped(optax.adam(0.1), 1.0)
RNG = np.random.default_rng(0)
XS = RNG.normal(size=(3, 8, 2, 3, 1)).astype(np.float32)  # steps, images
YS = RNG.integers(0, 4, (3, 8)).astype(np.int32)


class Linear(NamedTuple):
    w: Array
    b: Array


def init(key, dtype):
    return Linear(jax.random.normal(key, (6, 4), dtype), jnp.zeros(4, dtype))


def apply(params, x, *, running, key):
    x = x.reshape(len(x), -1)
    mean = x.mean(0) if running is None else running
    return (x - mean).astype(params.w.dtype) @ params.w + params.b, mean


def loss(params, batch):
    logits = apply(params, batch[0], running=None, key=None)[0]
    return optax.softmax_cross_entropy_with_integer_labels(logits, batch[1]).mean(), {}


def stream_gradient(params, carry, chunk):
    (value, _), direction = jax.value_and_grad(loss, has_aux=True)(params, chunk)
    return (value, 0.5 * carry + chunk[0].mean()), direction


def of_images(dtype):
    state = training.init_state(lambda key: init(key, dtype), apply, OPTIMIZER, (2, 3, 1))
    batches = [Batch(x, y, jax.random.key(t)) for t, (x, y) in enumerate(zip(XS, YS, strict=True))]
    step = train_step(apply, OPTIMIZER, prepare=lambda key, images: images)
    return step, state(jax.random.key(0)), batches


def of_sequences(dtype):
    state = init_state(init(jax.random.key(0), dtype), OPTIMIZER)
    return sequence_step(loss, OPTIMIZER), state, list(zip(XS, YS, strict=True))


def of_streams(dtype):
    params = init(jax.random.key(0), dtype)
    state = init_state(params, OPTIMIZER, StreamState, carry=jnp.zeros(5))
    return stream_step(stream_gradient, OPTIMIZER), state, list(zip(XS, YS, strict=True))


@pytest.mark.parametrize("compiled", [jit_step, data_parallel])
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
@pytest.mark.parametrize("kind", [of_images, of_sequences, of_streams])
def test_one_trace_and_the_same_state(kind, dtype, compiled):
    chex.clear_trace_counter()
    step, first, batches = kind(dtype)
    shapes = jax.eval_shape(lambda: first)
    run = compiled(chex.assert_max_traces(step, n=1))
    state, metrics = first, []
    for batch in batches:
        state, measured = run(state, batch)
        metrics.append(measured)
        chex.assert_trees_all_equal_shapes_and_dtypes(state, shapes)
    assert type(state) is type(first) and int(state.step) == len(batches)
    assert all(leaf.is_deleted() for leaf in jax.tree.leaves(first))  # donated
    chex.assert_trees_all_equal_shapes_and_dtypes(*metrics)
    chex.assert_tree_all_finite((state, metrics))
    assert all(value.shape == () for value in metrics[0].values())
