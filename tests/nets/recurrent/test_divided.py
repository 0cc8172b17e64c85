"""A layer divided among devices is the layer: values, gradients, and the divided loop that it is
for.
"""

import os
import subprocess
import sys
from pathlib import Path

SCRIPT = """
import jax, jax.numpy as jnp, numpy as np
from jax.sharding import Mesh
from deepseq.nets import recurrent

assert jax.device_count() == 4
key = jax.random.key

def equal(one, other):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5), one, other)

def seen(layer, params, xs, w, carry=None, **rest):
    def loss(params, xs, carry):
        end, ys = layer(params, xs, carry, **rest)
        ends = sum(jnp.sin(leaf).sum() for leaf in jax.tree.leaves(end))
        return jnp.sum(ys * w) + ends, (end, ys)
    return jax.jit(jax.value_and_grad(loss, argnums=(0, 1, 2), has_aux=True))(params, xs, carry)

for kind in ("rnn", "lstm", "gru"):
    layer, params = getattr(recurrent, kind), getattr(recurrent, f"{kind}_init")(key(0), 3, 5)
    for batch, rest in (((8,), {}), ((4, 3), {"reverse": True})):
        xs, w = jax.random.normal(key(1), (7, *batch, 3)), jax.random.normal(key(2), (7, *batch, 5))
        h = jax.random.normal(key(3), (*batch, 5))
        carry = recurrent.LSTMState(h, 2 * h) if kind == "lstm" else h
        if rest:
            lengths = jnp.arange(12).reshape(batch) % 8  # 0 and T among them
            rest |= {"carry": carry, "lengths": lengths}
        divided = seen(recurrent.divided(layer), params, xs, w, **rest)
        equal(seen(layer, params, xs, w, **rest), divided)

deep = recurrent.stack(recurrent.bidirectional(recurrent.lstm))
params = [
    [recurrent.lstm_init(key(4 * level + side), (3, 10)[level], 5) for side in (0, 1)]
    for level in (0, 1)
]
xs, w = jax.random.normal(key(1), (7, 8, 3)), jax.random.normal(key(2), (7, 8, 10))
lengths = jnp.arange(8)
square = Mesh(np.array(jax.devices()).reshape(2, 2), ("row", "column"))
for mesh in (Mesh(np.array(jax.devices()[:2]), ("half",)), square):
    divided = seen(recurrent.divided(deep, mesh), params, xs, w, lengths=lengths)
    equal(seen(deep, params, xs, w, lengths=lengths), divided)

layer, params = recurrent.divided(recurrent.lstm), recurrent.lstm_init(key(0), 3, 5)
end, ys = jax.jit(layer)(params, xs)
assert ys.sharding.shard_shape(ys.shape) == (7, 2, 5)
assert end.c.sharding.shard_shape(end.c.shape) == (2, 5)
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
    environment = os.environ | {"JAX_NUM_CPU_DEVICES": "4", "JAX_PLATFORMS": "cpu"}
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
