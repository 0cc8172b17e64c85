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

from deepseq.nets.images import (
    alexnet,
    densenet,
    googlenet,
    googlenet_batch_norm,
    lenet,
    nin,
    preact_resnet,
    resnet,
    vgg,
)
from deepseq.train.losses import cross_entropy, squared_error, with_auxiliary
from deepseq.train.optimizers import sgd
from deepseq.train.step import Batch, init_state, jit_step, train_step

NETS = {
    "resnet.cifar(8)": resnet.cifar(8, width=4),
    "resnet.cifar(8, plain)": resnet.cifar(8, residual=False, width=4),
    "resnet.cifar(8, B)": resnet.cifar(8, shortcut="B", width=4),
}


OTHERS = {  # the images, and the loss where it is not the usual one
    "lenet.zip_codes": (lenet.zip_codes(), (16, 16, 1), squared_error),
    "lenet.lenet5": (lenet.lenet5(jnp.ones((10, 84))), (32, 32, 1), cross_entropy),
    "lenet.full_lenet5": (lenet.full_lenet5(), (28, 28, 1), cross_entropy),
    "alexnet": (alexnet.alexnet(10, 67), (67, 67, 3), cross_entropy),
    "alexnet.single_tower": (alexnet.single_tower(10, 63), (63, 63, 3), cross_entropy),
    "vgg(11)": (vgg.vgg(11, 10, 32), (32, 32, 3), cross_entropy),
    "nin": (nin.nin(), (8, 8, 3), cross_entropy),
    "googlenet": (googlenet.googlenet(10), (31, 31, 3), cross_entropy),
    "googlenet.with_auxiliary": (googlenet.with_auxiliary(10, 79), (79, 79, 3), with_auxiliary()),
    "googlenet_batch_norm": (googlenet_batch_norm.googlenet(10), (31, 31, 3), cross_entropy),
    "googlenet_batch_norm.with_auxiliary": (
        googlenet_batch_norm.with_auxiliary(10),
        (31, 31, 3),
        with_auxiliary(),
    ),
    "resnet.imagenet(18)": (resnet.imagenet(18, classes=10), (33, 33, 3), cross_entropy),
    "resnet.imagenet(50)": (resnet.imagenet(50, classes=10), (33, 33, 3), cross_entropy),
    "preact_resnet.cifar(8)": (preact_resnet.cifar(8), (9, 9, 3), cross_entropy),
    "preact_resnet.cifar(11, bottleneck)": (
        preact_resnet.cifar(11, bottleneck=True),
        (9, 9, 3),
        cross_entropy,
    ),
    "densenet.imagenet(121)": (densenet.imagenet(121, 10), (32, 32, 3), cross_entropy),
    "densenet.cifar(10, bc)": (densenet.cifar(10, 4, bc=True), (9, 9, 3), cross_entropy),
}


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


@pytest.mark.parametrize("name", [*NETS, *OTHERS])
def test_train_step_exports(name):
    net, shape, loss = OTHERS.get(name) or (NETS[name], (9, 9, 3), cross_entropy)
    initial, step = training(net, shape, loss)
    state = jax.eval_shape(initial, jax.random.key(0))
    given = jax.eval_shape(lambda: batch(16, shape))
    exported = jax.export.export(jax.jit(step), platforms=["cpu", "cuda", "tpu"])(state, given)
    assert exported.platforms == ("cpu", "cuda", "tpu")
    text = exported.mlir_module()
    assert (
        "stablehlo.convolution" in text and "stablehlo.case" in text
    )  # XLA's own weight gradient beside the CPU's
    assert len(exported.out_avals) == len(jax.tree.leaves(state)) + 2


def test_step_is_traced_once_for_all_seeds():
    chex.clear_trace_counter()
    initial, step = training(NETS["resnet.cifar(8)"])
    step = jit_step(chex.assert_max_traces(step, n=1))
    for seed in range(3):
        state = initial(jax.random.key(seed))
        for _ in range(2):
            state, _ = step(state, batch())


SCRIPT = """
import chex, jax
from deepseq.train.devices import data_parallel, on_first
from tests_nets_test_platforms import NETS, batch, training
assert jax.device_count() == 8
initial, step = training(NETS["resnet.cifar(8)"])
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
    here = Path(__file__)
    load = (
        "import importlib.util as u, sys; s ="
        f" u.spec_from_file_location('tests_nets_test_platforms', {str(here)!r}); m ="
        " u.module_from_spec(s); sys.modules[s.name] = m; s.loader.exec_module(m)\n"
    )
    environment = os.environ | {
        "XLA_FLAGS": "--xla_force_host_platform_device_count=8",
        "JAX_PLATFORMS": "cpu",
    }
    done = subprocess.run(
        [sys.executable, "-c", load + SCRIPT],
        capture_output=True,
        text=True,
        env=environment,
        cwd=here.parents[2],
        check=False,
    )
    assert done.stdout == "equal\n", done.stderr


def test_evaluation_of_one_image_works():
    net = NETS["resnet.cifar(8)"]
    initial, _ = training(net)
    state = initial(jax.random.key(0))
    logits, _ = net.apply(state.params, jnp.ones((1, 9, 9, 3)), running=state.running, key=None)
    assert logits.shape == (1, 10)
