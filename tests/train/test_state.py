"""Train states: what a step makes of them, and how a study extends them."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import struct
from jax import Array

from deepseq.train.state import State, StreamState, init_state

PARAMS = {"w": jnp.array([[1.0, 2.0]]), "b": jnp.zeros(2)}


@struct.dataclass
class Counted(State):
    """A state with a field of a study's own."""

    seen: Array


def test_an_update_is_optax_s():
    optimizer = optax.adam(0.1)
    state = init_state(PARAMS, optimizer)
    gradient = jax.tree.map(jnp.ones_like, PARAMS)
    after = jax.jit(lambda s: s.update(gradient, optimizer))(state)
    updates, expected = optimizer.update(gradient, optimizer.init(PARAMS), PARAMS)
    chex.assert_trees_all_close(after.params, optax.apply_updates(PARAMS, updates))
    chex.assert_trees_all_close(after.optimizer, expected)
    chex.assert_trees_all_equal_shapes_and_dtypes(after, state)
    chex.assert_tree_all_finite(after)
    assert int(after.step) == 1 and int(state.step) == 0


def test_an_extended_state_is_scanned_mapped_and_replaced():
    optimizer = optax.sgd(0.5)
    state = init_state(PARAMS, optimizer, Counted, seen=jnp.zeros((), jnp.int32))

    def step(state, x):
        gradient = jax.tree.map(lambda p: x * jnp.ones_like(p), state.params)
        return state.update(gradient, optimizer, seen=state.seen + 1), state.seen

    end, seen = jax.jit(lambda s, xs: jax.lax.scan(step, s, xs))(state, jnp.ones(3))
    assert type(end) is Counted and int(end.seen) == int(end.step) == 3
    np.testing.assert_array_equal(seen, [0, 1, 2])
    np.testing.assert_allclose(end.params["b"], -1.5 * np.ones(2))
    both = jax.vmap(lambda s, x: step(s, x)[0], (None, 0))(state, jnp.arange(2.0))
    np.testing.assert_allclose(both.params["b"], [[0, 0], [-0.5, -0.5]])
    assert int(end.replace(seen=jnp.int32(7)).seen) == 7 and int(end.seen) == 3


def test_a_stream_carries_its_state_on():
    state = init_state(PARAMS, optax.sgd(0.1), StreamState, carry=jnp.zeros((2, 3)))
    names = [jax.tree_util.keystr(path) for path, _ in jax.tree_util.tree_leaves_with_path(state)]
    assert ".carry" in names and ".step" in names
