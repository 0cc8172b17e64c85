"""A layer divided among devices is the layer: values, gradients, and the divided loop that it is
for.
"""

import os
import subprocess
import sys
from pathlib import Path

SCRIPT = """
import chex, jax, jax.numpy as jnp, numpy as np
from jax.sharding import Mesh
from deepseq.nets import recurrent

assert jax.device_count() == 4
key = jax.random.key
T, D, H = 7, 3, 5

def equal(one, other):
    chex.assert_trees_all_close(one, other, rtol=1e-5, atol=1e-5)

def seen(layer, params, xs, w, carry=None, **rest):
    def loss(params, xs, carry):
        end, ys = layer(params, xs, carry, **rest)
        ends = sum(jnp.sin(leaf).sum() for leaf in jax.tree.leaves(end))
        return jnp.sum(ys * w) + ends, (end, ys)
    return jax.jit(jax.value_and_grad(loss, argnums=(0, 1, 2), has_aux=True))(params, xs, carry)

def normal(n, *shape):
    return jax.random.normal(key(n), shape)

for kind in ("rnn", "lstm", "gru"):
    layer, params = getattr(recurrent, kind), getattr(recurrent, f"{kind}_init")(key(0), D, H)
    for batch, rest in (((8,), {}), ((4, 3), {"reverse": True})):
        xs, w, h = normal(1, T, *batch, D), normal(2, T, *batch, H), normal(3, *batch, H)
        carry = recurrent.LSTMState(h, 2 * h) if kind == "lstm" else h
        if rest:  # 0 and T are among the lengths
            rest |= {"carry": carry, "lengths": jnp.arange(12).reshape(batch) % 8}
        whole = seen(layer, params, xs, w, **rest)
        divided = seen(recurrent.divided(layer), params, xs, w, **rest)
        equal(whole, divided)
        chex.assert_trees_all_equal_shapes_and_dtypes(divided[1][0], params)
        chex.assert_tree_all_finite(divided)

deep = recurrent.stack(recurrent.bidirectional(recurrent.lstm))
params = [
    [recurrent.lstm_init(key(4 * level + side), inputs, H) for side in (0, 1)]
    for level, inputs in enumerate((D, 2 * H))
]
xs, w = normal(1, T, 8, D), normal(2, T, 8, 2 * H)
lengths = jnp.arange(8)
square = Mesh(np.array(jax.devices()).reshape(2, 2), ("row", "column"))
for mesh in (Mesh(np.array(jax.devices()[:2]), ("half",)), square):
    divided = recurrent.divided(deep, mesh)
    equal(seen(deep, params, xs, w, lengths=lengths), seen(divided, params, xs, w, lengths=lengths))

layer, params = recurrent.divided(recurrent.lstm), recurrent.lstm_init(key(0), D, H)
end, ys = jax.jit(layer)(params, xs)
assert ys.sharding.shard_shape(ys.shape) == (T, 2, H)
assert end.c.sharding.shard_shape(end.c.shape) == (2, H)
gradient = jax.jit(jax.grad(lambda params, xs: (layer(params, xs)[1] ** 2).sum()))
program = gradient.lower(params, xs).compile().as_text()
# every device has its own two sequences alone
assert "f32[7,2,5]" in program and "f32[7,8," not in program
assert "all-gather" not in program and "all-reduce" in program

for wrong, words in (
    ({"xs": xs[:, :6]}, "xs of shape (7, 6, 3) cannot be divided among 4 devices"),
    ({"xs": xs[:, 0]}, "xs of shape (7, 3) cannot be divided"),
    ({"lengths": np.full(8, 9)}, "lengths must be from 0 to the 7 steps"),
    ({"lengths": np.full(4, 7)}, "lengths have shape (4,), but the batch is (8,)"),
):
    try:
        layer(params, **{"xs": xs} | wrong)
    except ValueError as error:
        assert words in str(error) and "\\n" not in str(error), error
    else:
        raise AssertionError(words)
print("equal")
"""


def test_four_devices_are_one():
    environment = os.environ | {
        "JAX_NUM_CPU_DEVICES": "4",
        "JAX_PLATFORMS": "cpu",
        "JAX_DISABLE_MOST_OPTIMIZATIONS": "1",  # half of the time is compilation
    }
    root = Path(__file__).parents[3]
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        capture_output=True,
        text=True,
        env=environment,
        cwd=root,
        check=False,
    )
    assert done.stdout == "equal\n", done.stderr
