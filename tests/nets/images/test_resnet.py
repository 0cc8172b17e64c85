"""resnet.cifar against the paper's table, torch, and the identities its parts must satisfy."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from deepseq.nets.blocks.inside import look
from deepseq.nets.blocks.layers import Moments
from deepseq.nets.images import resnet
from deepseq.train.losses import cross_entropy

pytestmark = pytest.mark.usefixtures("compiled_quickly")

OPTION_A = {20: 269_722, 32: 464_154, 44: 658_586, 56: 853_018, 110: 1_727_962, 1202: 19_421_274}
OPTION_B = {20: 272_474, 32: 466_906, 44: 661_338, 56: 855_770, 110: 1_730_714, 1202: 19_424_026}


def count(net):
    return sum(leaf.size for leaf in jax.tree.leaves(jax.eval_shape(net.init, jax.random.key(0))))


def random_moments(moments, seed=0):
    rng = np.random.default_rng(seed)
    return jax.tree.map(lambda m: jnp.asarray(rng.uniform(0.5, 1.5, m.shape), jnp.float32), moments)


@pytest.mark.parametrize("depth", OPTION_A)
def test_counts_of_the_paper(depth):
    assert count(resnet.cifar(depth)) == OPTION_A[depth]
    assert count(resnet.cifar(depth, shortcut="B")) == OPTION_B[depth]
    assert count(resnet.cifar(depth, residual=False)) == OPTION_A[depth]


def test_option_c_projects_in_every_block():
    extra = sum(
        c_in * c_out + 2 * c_out
        for c_in, c_out in (
            [(16, 16)] * 3 + [(16, 32)] + [(32, 32)] * 2 + [(32, 64)] + [(64, 64)] * 2
        )
    )
    assert count(resnet.cifar(20, shortcut="C")) == OPTION_A[20] + extra


@pytest.mark.parametrize(
    "arguments, words",
    [
        ({"depth": 21}, "depth 21.*20 or 26"),
        ({"depth": 7}, "depth 7.*8, the shallowest"),
        ({"depth": 2}, "depth 2.*8"),
        ({"depth": 20, "shortcut": "D"}, "shortcut 'D'"),
        ({"depth": 20, "width": 0}, "width is 0"),
    ],
)
def test_nets_that_do_not_exist(arguments, words):
    with pytest.raises(ValueError, match=words):
        resnet.cifar(**arguments)


def test_wrong_number_of_channels_is_named():
    net = resnet.cifar(8, width=4)
    params = net.init(jax.random.key(0))
    with pytest.raises(ValueError, match="channel"):
        net.apply(params, jnp.zeros((2, 8, 8, 1)), running=None, key=None)


def test_mode_is_required():
    net = resnet.cifar(8, width=4)
    with pytest.raises(TypeError, match="running"):
        net.apply(net.init(jax.random.key(0)), jnp.zeros((2, 8, 8, 3)), key=None)


@pytest.mark.parametrize("size", [(32, 32), (8, 8), (9, 13)])
def test_shapes_of_the_stages(size):
    height, width = size
    net = resnet.cifar(14, width=4)
    params = net.init(jax.random.key(0))
    shapes = {}
    jax.eval_shape(
        lambda x: net.apply(params, x, running=None, key=None, probes=shapes)[0],
        jnp.zeros((2, *size, 3)),
    )
    halves = [(-(-height // s), -(-width // s)) for s in (1, 2, 4)]
    expected = [(2, *halves[0], 4)] * 3 + [(2, *halves[1], 8)] * 2 + [(2, *halves[2], 16)] * 2
    assert [shapes["block", b].value.shape for b in range(7)] == expected
    assert sum(name[0] == "layer" for name in shapes) == 13


def test_plain_twin_starts_from_the_same_weights():
    plain, res = (
        resnet.cifar(14, residual=r, width=4).init(jax.random.key(3)) for r in (False, True)
    )
    chex.assert_trees_all_equal(plain, res)


def test_initial_weights_are_he_normal():
    params = resnet.cifar(20, width=64).init(jax.random.key(1))
    w = np.asarray(params.blocks[5].conv2.w)
    assert abs(w.std() / np.sqrt(2 / (9 * 128)) - 1) < 0.01
    # a normal's kurtosis; truncation at two deviations gives 2.5
    assert abs(np.mean(w**4) / np.mean(w**2) ** 2 - 3) < 0.05
    assert not np.allclose(w, np.asarray(params.blocks[4].conv2.w))


def test_running_moments_of_the_batch_give_the_same_logits():
    net = resnet.cifar(14, width=4, shortcut="B")
    params = net.init(jax.random.key(0))
    x = jax.random.normal(jax.random.key(1), (5, 9, 9, 3))
    apply = jax.jit(lambda x, running: net.apply(params, x, running=running, key=None))
    logits, moments = apply(x, None)
    again, returned = apply(x, moments)
    np.testing.assert_allclose(again, logits, rtol=1e-4, atol=1e-4)
    chex.assert_trees_all_equal(returned, moments)
    assert jax.tree.structure(returned) == jax.tree.structure(moments)
    one, _ = apply(x[:1], moments)
    # images do not see each other any more
    np.testing.assert_allclose(one, logits[:1], rtol=1e-4, atol=1e-4)


def test_option_a_pads_with_zero_channels_and_subsamples():
    net = resnet.cifar(8, width=4)
    params = net.init(jax.random.key(0))
    block = params.blocks[1]  # 4 -> 8 channels, stride 2
    silent = block._replace(
        conv2=block.conv2._replace(bn=jax.tree.map(jnp.zeros_like, block.conv2.bn))
    )
    params = params._replace(blocks=(params.blocks[0], silent, params.blocks[2]))
    seen = _values(net, params, jax.random.normal(jax.random.key(1), (3, 9, 9, 3)))
    np.testing.assert_array_equal(seen["block", 2][..., :4], seen["block", 1][:, ::2, ::2])
    np.testing.assert_array_equal(seen["block", 2][..., 4:], 0)


def _values(net, params, x):
    seen = jax.jit(
        lambda: look(
            lambda probes: net.apply(params, x, running=None, key=None, probes=probes)[0].sum()
        )
    )()
    return {name: h.value for name, h in seen.items()}


@pytest.mark.parametrize(
    "residual, shortcut", [(False, "A"), (True, "A"), (True, "B"), (True, "C")]
)
@pytest.mark.parametrize("training", [True, False])
def test_equals_torch(residual, shortcut, training):
    torch = pytest.importorskip("torch")
    net = resnet.cifar(14, residual=residual, shortcut=shortcut, width=4)
    rng = np.random.default_rng(0)
    params = jax.tree.map(
        lambda p: p + 0.1 * rng.standard_normal(p.shape, np.float32), net.init(jax.random.key(0))
    )
    x = rng.standard_normal((6, 11, 10, 3), np.float32)
    labels = jnp.arange(6) % 10
    running = (
        None
        if training
        else random_moments(jax.eval_shape(lambda: net.apply(params, x, running=None, key=None)[1]))
    )

    def loss(params):
        logits, _ = net.apply(params, x, running=running, key=None)
        return cross_entropy(logits, labels).mean(), logits

    (value, logits), gradient = jax.jit(jax.value_and_grad(loss, has_aux=True))(params)

    theirs = jax.tree.map(lambda p: torch.tensor(np.asarray(p), requires_grad=True), params)
    their_logits = _torch_resnet(torch, theirs, running, torch.tensor(np.asarray(x)), residual)
    their_loss = torch.nn.functional.cross_entropy(
        their_logits, torch.tensor(np.asarray(labels)).long()
    )
    their_loss.backward()
    np.testing.assert_allclose(logits, their_logits.detach(), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(value, their_loss.item(), rtol=1e-5)
    jax.tree.map(
        lambda g, p: np.testing.assert_allclose(g, p.grad, rtol=2e-3, atol=1e-4), gradient, theirs
    )


def _torch_resnet(torch, params, running, x, residual):
    """The net in torch's terms, written from section 4.2 of the paper."""
    f = torch.nn.functional

    def conv_bn(p, moments, x, stride=1):
        y = f.conv2d(x, p.w.permute(3, 2, 0, 1), stride=stride, padding=p.w.shape[0] // 2)
        given = (
            [torch.tensor(np.asarray(m)) for m in moments]
            if isinstance(moments, Moments)
            else [None, None]
        )
        return f.batch_norm(y, *given, p.bn.gamma, p.bn.beta, training=moments is None, eps=1e-5)

    x = f.relu(conv_bn(params.stem, running and running.stem, x.permute(0, 3, 1, 2)))
    for i, block in enumerate(params.blocks):
        known = running and running.blocks[i]
        stride = 2 if i in (2, 4) else 1
        y = f.relu(conv_bn(block.conv1, known and known.conv1, x, stride))
        y = conv_bn(block.conv2, known and known.conv2, y)
        if residual and block.shortcut:
            y = y + conv_bn(block.shortcut, known and known.shortcut, x, stride)
        elif residual:
            y = y + f.pad(x[:, :, ::stride, ::stride], (0, 0, 0, 0, 0, y.shape[1] - x.shape[1]))
        x = f.relu(y)
    return x.mean((2, 3)) @ params.head.w + params.head.b
