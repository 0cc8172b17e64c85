"""The probes: what they see is what the net computed, and the gradient is the one autodiff gives
without them.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from deepseq.nets.blocks.inside import Seen, look, probe
from deepseq.nets.images import resnet

pytestmark = pytest.mark.usefixtures("compiled_quickly")


def two_layers(w, x, probes=None):
    h = probe(probes, "h", jnp.tanh(x @ w[0]))
    return probe(probes, "y", h @ w[1])


@pytest.fixture
def problem():
    k1, k2, k3 = jax.random.split(jax.random.key(0), 3)
    return (jax.random.normal(k1, (3, 5)), jax.random.normal(k2, (5, 2))), jax.random.normal(
        k3, (4, 3)
    )


def test_values_and_gradients(problem):
    w, x = problem
    seen = look(lambda probes: (two_layers(w, x, probes) ** 2).sum())
    h = np.tanh(x @ w[0])
    y = h @ w[1]
    np.testing.assert_allclose(seen["h"].value, h, rtol=1e-6)
    np.testing.assert_allclose(seen["y"].value, y, rtol=1e-5)
    np.testing.assert_allclose(seen["y"].gradient, 2 * y, rtol=1e-5)
    np.testing.assert_allclose(seen["h"].gradient, 2 * y @ w[1].T, rtol=1e-5)


def test_under_jit_vmap_and_remat(problem):
    w, x = problem

    def gradient(x):
        def loss(probes):
            return (jax.checkpoint(lambda w, x: two_layers(w, x, probes))(w, x) ** 2).sum()

        return look(loss)["h"].gradient

    expected = jnp.stack([gradient(row[None]) for row in x])
    np.testing.assert_allclose(
        jax.jit(jax.vmap(lambda row: gradient(row[None])))(x), expected, rtol=1e-5
    )


def test_in_a_scan_a_probe_sees_its_step():
    """A sequence's probes go through the scan as its inputs do; then dL/dh_t comes back for each
    step.
    """

    def loss(probes, w=0.5, steps=6):
        def step(h, z):
            return probe({"h": z}, "h", w * h), None

        return jax.lax.scan(step, jnp.float32(1.0), probes, length=steps)[0]

    seen = jax.grad(loss)(Seen(jnp.zeros(6), jnp.zeros(6)))
    np.testing.assert_allclose(seen.value, 0.5 ** np.arange(1, 7), rtol=1e-6)
    np.testing.assert_allclose(seen.gradient, 0.5 ** np.arange(5, -1, -1), rtol=1e-6)


def test_a_probe_leaves_the_net_as_it_is():
    net = resnet.cifar(8, width=4)
    params = net.init(jax.random.key(0))
    x = jax.random.normal(jax.random.key(1), (4, 8, 8, 3))

    def loss(params, probes):
        return (net.apply(params, x, running=None, key=None, probes=probes)[0] ** 2).sum()

    seen = jax.jit(lambda: look(lambda probes: loss(params, probes)))()
    gradient = jax.jit(jax.grad(loss))
    with_probes, without = (
        gradient(params, jax.tree.map(jnp.zeros_like, seen)),
        gradient(params, None),
    )
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), with_probes, without
    )


def test_gradient_equals_a_finite_difference():
    net = resnet.cifar(8, width=4)
    params = net.init(jax.random.key(0))
    x = jax.random.normal(jax.random.key(1), (4, 8, 8, 3))
    seen = jax.jit(
        lambda: look(
            lambda probes: net.apply(params, x, running=None, key=None, probes=probes)[0].sum()
        )
    )()

    # the stem's response is its BN's output, so moving beta moves it: dL/dbeta is the sum of dL/dy
    # over all pixels
    @jax.jit
    def moved(step):
        stem = params.stem._replace(
            bn=params.stem.bn._replace(beta=params.stem.bn.beta.at[1].add(step))
        )
        return net.apply(params._replace(stem=stem), x, running=None, key=None)[0].sum()

    difference = (moved(1e-2) - moved(-1e-2)) / 2e-2
    np.testing.assert_allclose(seen["layer", 1].gradient[..., 1].sum(), difference, rtol=0.05)


def test_probes_that_reach_no_net():
    with pytest.raises(ValueError, match="probes to no net"):
        look(lambda probes: jnp.float32(1.0))
