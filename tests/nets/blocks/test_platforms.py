"""Every net's train step exports for CPU, GPU and TPU, and trains data-parallel on several devices
as on one.
"""

import os
import subprocess
import sys
from pathlib import Path

import chex
import jax
import jax.numpy as jnp
import pytest

from deepseq.train.losses import cross_entropy
from deepseq.train.optimizers import sgd
from deepseq.train.step import Batch, init_state, train_step
from tests.nets.catalogue import CLASSIFIERS


def training(net, shape=(9, 9, 3), loss=cross_entropy):
    optimizer = sgd(0.1, decay=1e-4)
    initial = init_state(net.init, net.apply, optimizer, shape)
    return initial, train_step(net.apply, optimizer, prepare=lambda key, images: images, loss=loss)


def batch(size=16, shape=(9, 9, 3)):
    keys = jax.random.split(jax.random.key(1), 3)
    return Batch(
        jax.random.normal(keys[0], (size, *shape)),
        jax.random.randint(keys[1], (size,), 0, 10),
        keys[2],
    )


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_train_step_exports(name):
    net, shape, loss = CLASSIFIERS[name]
    initial, step = training(net, shape, loss)
    state = jax.eval_shape(initial, jax.random.key(0))
    given = jax.eval_shape(lambda: batch(16, shape))
    exported = jax.export.export(jax.jit(step), platforms=["cpu", "cuda", "tpu"])(state, given)
    assert exported.platforms == ("cpu", "cuda", "tpu")
    text = exported.mlir_module()
    # XLA's own weight gradient beside the CPU's
    assert "stablehlo.convolution" in text and "stablehlo.case" in text
    leaves = jax.tree.leaves(state)
    assert len(exported.out_avals) == len(leaves) + 2
    chex.assert_trees_all_equal_shapes_and_dtypes(list(exported.out_avals[: len(leaves)]), leaves)


SCRIPT = """
import chex
import jax
import numpy as np
from deepseq.train.devices import data_parallel, on_first
from tests.nets.blocks.test_platforms import batch, training
from tests.nets.catalogue import CLASSIFIERS
assert jax.device_count() == 8
initial, step = training(CLASSIFIERS["resnet.cifar 8"].net)
parts = []

def seen(state, batch):
    jax.debug.inspect_array_sharding(
        batch.images, callback=lambda s: parts.append(s.shard_shape(batch.images.shape))
    )
    return step(state, batch)

alone, together = jax.jit(step), data_parallel(seen)
state, several, b = initial(jax.random.key(0)), initial(jax.random.key(0)), batch(16)
for _ in range(3):
    state, one = alone(state, b)
    several, eight = together(several, b)
assert parts == [(2, *b.images.shape[1:])], parts  # traced once, two images on every device
assert all(len(leaf.devices()) == 8 for leaf in jax.tree.leaves(several))
several = on_first(several)
assert all(len(leaf.devices()) == 1 for leaf in jax.tree.leaves(several))
np.testing.assert_allclose(one["loss"], eight["loss"], rtol=1e-4)
one, eight = (state.params, state.running), (several.params, several.running)
chex.assert_trees_all_close(one, eight, rtol=2e-3, atol=2e-4)
time_major = data_parallel(lambda total, xs: (total + xs.sum((0, 1)), {}), axis=1)
for width in (16, 7):  # divided, and whole on every device where it cannot be
    xs = np.arange(3 * width * 2.0, dtype=np.float32).reshape(3, width, 2)
    np.testing.assert_allclose(time_major(np.ones(2, np.float32), xs)[0], 1 + xs.sum((0, 1)))
print("equal")
"""


def test_eight_devices_train_as_one():
    """The batch is sharded and the parameters replicated; batch norm takes the moments of the whole
    batch.
    """
    environment = os.environ | {
        "XLA_FLAGS": "--xla_force_host_platform_device_count=8",
        "JAX_PLATFORMS": "cpu",
    }
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        capture_output=True,
        text=True,
        env=environment,
        cwd=Path(__file__).parents[3],
        check=False,
    )
    assert done.stdout == "equal\n", done.stderr


def test_evaluation_of_one_image_works():
    net = CLASSIFIERS["resnet.cifar 8"].net
    initial, _ = training(net)
    state = initial(jax.random.key(0))
    logits, _ = net.apply(state.params, jnp.ones((1, 9, 9, 3)), running=state.running, key=None)
    assert logits.shape == (1, 10)
