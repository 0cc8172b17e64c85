"""What the degradation study measures inside a net, against the net written out, and what its
trainings record.
"""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs.degradation import get_config
from deepseq.lab import jobs
from deepseq.nets.images import resnet
from deepseq.train import log
from deepseq.train.loop import Diverged
from experiments.degradation import measures, plan, training

pytestmark = pytest.mark.usefixtures("compiled_quickly")

SMOKE = get_config("smoke")


@pytest.fixture(scope="module")
def net_and_batch(compiled_quickly):
    net = resnet.cifar(14, width=4, in_channels=1)
    params = jax.jit(net.init)(jax.random.key(0))
    rng = np.random.default_rng(0)
    params = jax.tree.map(lambda p: p + 0.1 * rng.standard_normal(p.shape, np.float32), params)
    images = jnp.asarray(rng.standard_normal((64, 8, 8, 1), np.float32))
    return net, params, images, jnp.arange(64) % 10


def by_hand(params, images, labels, normalise):
    """Responses y_l, block outputs x_b and |dL/dy_l| of ResNet-14, written out: each y_l has a
    nudge of zeros added, and the gradient is the nudge's.
    """

    def layer(p, x, nudge, stride=1):
        shape = ("NHWC", "HWIO", "NHWC")
        y = jax.lax.conv_general_dilated(
            x, p.w, (stride, stride), ((1, 1), (1, 1)), dimension_numbers=shape
        )
        return p.bn.gamma * normalise(y) + p.bn.beta + nudge

    def loss(nudges):
        ys = [layer(params.stem, images, nudges[0])]
        xs = [jax.nn.relu(ys[0])]
        for b, block in enumerate(params.blocks):
            stride = 2 if b in (2, 4) else 1
            ys.append(layer(block.conv1, xs[-1], nudges[len(ys)], stride))
            ys.append(layer(block.conv2, jax.nn.relu(ys[-1]), nudges[len(ys)]))
            short = xs[-1][:, ::stride, ::stride]
            wider = ys[-1].shape[-1] - short.shape[-1]
            xs.append(jax.nn.relu(ys[-1] + jnp.pad(short, ((0, 0),) * 3 + ((0, wider),))))
        logits = xs[-1].mean((1, 2)) @ params.head.w + params.head.b
        return -jax.nn.log_softmax(logits)[jnp.arange(64), labels].mean(), (ys, xs)

    shapes = jax.eval_shape(loss, [0.0] * 13)[1][0]
    zeros = [jnp.zeros(shape.shape) for shape in shapes]
    gradients, (ys, xs) = jax.jit(jax.grad(loss, has_aux=True))(zeros)
    return [np.asarray(y) for y in ys], xs, [np.linalg.norm(g) for g in gradients]


@pytest.fixture(scope="module")
def written_out(net_and_batch):
    """``by_hand`` of a net that normalises by the batch."""

    def by_batch(y):
        axes = (0, 1, 2)
        return (y - y.mean(axes)) / jnp.sqrt(y.var(axes) + 1e-5)

    return by_hand(*net_and_batch[1:], by_batch)


def test_inside_of_a_net_is_what_a_written_out_net_has(net_and_batch, written_out):
    net, params, images, labels = net_and_batch
    inside = jax.jit(lambda p: measures.inside(net, p, images, labels))(params)
    chex.assert_shape([inside["gradient_norm"], inside["response_std"]], (13,))
    chex.assert_shape(inside["branch_ratio"], (6,))
    ys, xs, norms = written_out
    np.testing.assert_allclose(inside["gradient_norm"], norms, rtol=1e-3)
    np.testing.assert_allclose(inside["response_std"], [y.std() for y in ys], rtol=1e-3)
    squares = [
        np.square(f).mean() / np.square(x).mean() for f, x in zip(ys[2::2], xs, strict=False)
    ]
    np.testing.assert_allclose(inside["branch_ratio"], np.sqrt(squares), rtol=1e-3)


def test_identities_of_the_block(net_and_batch, written_out):
    net, params, images, labels = net_and_batch
    relative = jax.jit(lambda p: measures.identities(net, p, images, labels))(params)
    assert measures.silenced(net, params, images, labels) == 0
    assert relative["preactivation"] < 1e-6
    ys, xs, _ = written_out
    error = np.linalg.norm(xs[2] - (xs[0] + ys[2] + ys[4])) / np.linalg.norm(xs[2])
    np.testing.assert_allclose(relative["after_relu"], error, rtol=1e-3)
    assert error > 0.01


def test_gradients_without_bn_are_those_of_a_net_that_has_none(net_and_batch, written_out):
    net, params, images, labels = net_and_batch
    moments = jax.eval_shape(lambda: net.apply(params, images, running=None, key=None))[1]
    # replaced, so its values do not matter
    running = jax.tree.map(lambda m: jnp.full(m.shape, 7.0), moments)
    without = jax.jit(lambda: measures.gradients_without_bn(net, params, running, images, labels))()
    chex.assert_shape(without, (13,))
    norms = by_hand(params, images, labels, lambda y: y)[2]
    np.testing.assert_allclose(without, norms, rtol=1e-3)
    assert not np.allclose(norms, written_out[2], rtol=0.1)


def test_a_deepened_plain_net_computes_the_same():
    shallow, deep = (resnet.cifar(depth, residual=False, width=4) for depth in (8, 20))
    params = jax.jit(shallow.init)(jax.random.key(0))
    x = jax.random.normal(jax.random.key(1), (5, 9, 9, 3))
    running = jax.jit(lambda x: shallow.apply(params, x, running=None, key=None))(x)[1]
    deepened = measures.deepen(params, running, 3)
    chex.assert_trees_all_equal_shapes_and_dtypes(
        deepened[0], jax.eval_shape(deep.init, jax.random.key(0))
    )
    logits, deeper = (
        jax.jit(lambda p, r, net=net: net.apply(p, x, running=r, key=None)[0])(*trees)
        for net, trees in ((shallow, (params, running)), (deep, deepened))
    )
    np.testing.assert_allclose(deeper, logits, rtol=1e-6, atol=1e-6)


@pytest.fixture(scope="module")
def trained(tmp_path_factory, compiled_quickly):
    """The log of the smoke tier's two smallest nets, traced once for each, whatever the seeds."""

    def counted(*arguments, **more):
        return chex.assert_max_traces(train_step(*arguments, **more), n=2)

    path, train_step = tmp_path_factory.mktemp("trained"), training.train_step
    chex.clear_trace_counter()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "train_step", counted)
        jobs.run([job for job in plan(SMOKE, path) if job.tag["net"].endswith("-8")], path)
    return log.read(path / "metrics.jsonl")


def test_what_a_training_records(trained):
    """A look before the first step, points on the way, and at the end what the claims rest on."""
    for net in ("plain-8", "resnet-8"):
        *points, end = [r for r in trained if (r["net"], r["seed"]) == (net, 1)]
        assert [p["step"] for p in points] == [0, 4, 8, 12, 16, 20, 24] and end["final"]
        assert [p["step"] for p in points if "inside" in p] == [0, 12, 24]
        assert [p["step"] for p in points if "test" in p] == [4, 8, 12, 16, 20, 24]
        assert ["without_bn" in p for p in points] == [net == "plain-8"] + [False] * 6
        assert ("identities" in end) == (net == "resnet-8")
        assert ("deepened" in end) == (net == "plain-8")
        assert "validation" not in points[-1]


def test_what_holds_by_construction_holds_in_trained_nets(trained):
    """The numbers behind C-R4, C-R6, C-R8 and C-R12."""
    ends = [record for record in trained if "final" in record]
    plain, residual = (
        [end for end in ends if end["net"] == net] for net in ("plain-8", "resnet-8")
    )
    for end, twin in zip(plain, residual, strict=True):
        assert end["deepened"]["loss"] == pytest.approx(end["train"]["loss"], abs=1e-4)
        assert twin["identities"]["silent"] == 0
        assert twin["identities"]["after_relu"] > 1e-2 > 1e-5 > twin["identities"]["preactivation"]
        assert end["parameters"] == twin["parameters"]


def test_the_smallest_net_learns(trained):
    """After 24 iterations on the real digits, the residual net is far from chance (90 %)."""
    points = [r for r in trained if r["net"] == "resnet-8" and r["step"] == 24 and "test" in r]
    assert len(points) == 2 and np.mean([point["test"]["error"] for point in points]) < 0.65


def test_a_loss_that_is_not_finite_stops_the_run(tmp_path):
    """What was logged before stays; images that are held out are measured too."""
    config = get_config("smoke")
    config.train.learning_rate, config.data.validation = 1e30, 100
    with pytest.raises(Diverged, match="net=plain-8 seed=0: the loss is not finite at step 4"):
        jobs.run(plan(config, tmp_path), tmp_path)
    before, after = log.read(tmp_path / "metrics.jsonl")
    assert (before["step"], after["step"]) == (0, 4) and not np.isfinite(after["loss"])
    assert set(after["validation"]) == set(after["test"]) == {"loss", "error"}
