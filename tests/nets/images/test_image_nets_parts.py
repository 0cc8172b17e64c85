"""Nets that torchvision does not have, against torch written from the papers; what their parts must
satisfy.
"""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from deepseq.nets.blocks.inside import look
from deepseq.nets.blocks.layers import Moments
from deepseq.nets.images import alexnet, densenet, googlenet, nin, preact_resnet, resnet

pytestmark = pytest.mark.usefixtures("compiled_quickly")

RNG = np.random.default_rng(0)


def f(torch):
    return torch.nn.functional


def conv(torch, p, x, **how):
    return torch.relu(f(torch).conv2d(x, p.w.permute(3, 2, 0, 1), p.b, **how))


def torch_alexnet(torch, p, running, x):
    def normalised(x):
        # torch divides alpha by 5
        return f(torch).local_response_norm(x, 5, alpha=5e-4, beta=0.75, k=2.0)

    def pool(x):
        return f(torch).max_pool2d(x, 3, 2)

    x = pool(normalised(conv(torch, p.conv1, x, stride=4)))
    x = pool(normalised(conv(torch, p.conv2, x, padding=2, groups=2)))
    x = conv(torch, p.conv4, conv(torch, p.conv3, x, padding=1), padding=1, groups=2)
    x = pool(conv(torch, p.conv5, x, padding=1, groups=2)).permute(0, 2, 3, 1).flatten(1)
    for layer in (p.fc6, p.fc7):
        x = torch.relu(x @ layer.w + layer.b)
    return x @ p.fc8.w + p.fc8.b


def torch_nin(torch, p, running, x):
    for i, mlpconv in enumerate(p):
        for layer in mlpconv:
            x = conv(torch, layer, x, padding=layer.w.shape[0] // 2)
        x = f(torch).max_pool2d(x, 3, 2, ceil_mode=True) if i < 2 else x
    return x.mean((2, 3))


def batch_norm(torch, p, moments, x):
    given = (
        [torch.tensor(np.asarray(m)) for m in moments]
        if isinstance(moments, Moments)
        else [None, None]
    )
    return f(torch).batch_norm(x, *given, p.gamma, p.beta, training=moments is None, eps=1e-5)


def bn_relu_conv(torch, p, moments, x, stride=1):
    x = torch.relu(batch_norm(torch, p.bn, moments and moments.bn, x))
    return f(torch).conv2d(x, p.w.permute(3, 2, 0, 1), padding=p.w.shape[0] // 2, stride=stride)


def torch_preact(torch, p, running, x):
    x = f(torch).conv2d(x, p.stem.permute(3, 2, 0, 1), padding=1)
    n = len(p.blocks) // 3
    for b, block in enumerate(p.blocks):
        known = running and running.blocks[b].convs
        stride, y, short = 2 if b in (n, 2 * n) else 1, x, x
        for i, layer in enumerate(block.convs):
            strides = i == (1 if len(block.convs) == 3 else 0)
            if i == 0 and (b == 0 or block.shortcut):
                short = torch.relu(batch_norm(torch, layer.bn, known and known[0].bn, x))
            y = bn_relu_conv(torch, layer, known and known[i], y, stride if strides else 1)
        if block.shortcut:
            short = f(torch).conv2d(short, block.shortcut[0].T[:, :, None, None], stride=stride)
        else:
            short = f(torch).pad(
                short[:, :, ::stride, ::stride], (0, 0, 0, 0, 0, y.shape[1] - short.shape[1])
            )
        x = short + y
    x = torch.relu(batch_norm(torch, p.norm, running and running.norm, x))
    return x.mean((2, 3)) @ p.head.w + p.head.b


def torch_densenet(torch, p, running, x):
    x = f(torch).conv2d(x, p.stem.w.permute(3, 2, 0, 1), padding=1)
    for b, block in enumerate(p.blocks):
        for i, layer in enumerate(block):
            y = x
            for j, each in enumerate(layer):
                y = bn_relu_conv(torch, each, running and running.blocks[b][i][j], y)
            x = torch.cat([x, y], 1)
        if b < 2:
            x = f(torch).avg_pool2d(
                bn_relu_conv(torch, p.transitions[b], running and running.transitions[b], x), 2
            )
    x = torch.relu(batch_norm(torch, p.norm, running and running.norm, x))
    return x.mean((2, 3)) @ p.head.w + p.head.b


CASES = {
    "alexnet": (alexnet.alexnet(5, 67), torch_alexnet, (2, 67, 67, 3)),
    "nin": (nin.nin(5), torch_nin, (2, 11, 9, 3)),
    "preact basic": (preact_resnet.cifar(14, width=4, classes=5), torch_preact, (4, 9, 11, 3)),
    "preact bottleneck": (
        preact_resnet.cifar(20, bottleneck=True, width=4, classes=5),
        torch_preact,
        (4, 9, 11, 3),
    ),
    "densenet": (densenet.cifar(10, 3, classes=5), torch_densenet, (4, 9, 11, 3)),
    "densenet-bc": (densenet.cifar(16, 3, bc=True, classes=5), torch_densenet, (4, 9, 11, 3)),
}
WITH_BN = [name for name in CASES if name not in ("alexnet", "nin")]


@pytest.mark.parametrize(
    ("name", "training"), [*((name, True) for name in CASES), *((name, False) for name in WITH_BN)]
)
def test_equals_torch(name, training):
    torch = pytest.importorskip("torch", reason="parity with PyTorch needs torch")
    net, theirs, shape = CASES[name]
    params = jax.jit(net.init)(jax.random.key(0))
    if name == "alexnet":  # from its own small weights nothing is left after eight layers
        params = jax.tree.map(lambda p: 5 * p if p.ndim > 1 else 0.1 * p, params)
    params = jax.tree.map(
        lambda p: p + 0.02 * RNG.standard_normal(p.shape).astype(np.float32), params
    )
    x = RNG.standard_normal(shape).astype(np.float32)
    weigh = RNG.standard_normal((shape[0], 5)).astype(np.float32)
    moments = jax.eval_shape(lambda: net.apply(params, x, running=None, key=None)[1])
    running = (
        None
        if training
        else jax.tree.map(lambda m: RNG.uniform(0.5, 1.5, m.shape).astype(np.float32), moments)
    )

    def loss(params):
        y = net.apply(params, x, running=running, key=None)[0]
        return (y * weigh).sum(), y

    (_, ours), gradient = jax.jit(jax.value_and_grad(loss, has_aux=True))(params)
    held = jax.tree.map(lambda a: torch.tensor(np.asarray(a), requires_grad=True), params)
    expected = theirs(torch, held, running, torch.from_numpy(x.transpose(0, 3, 1, 2).copy()))
    (expected * torch.from_numpy(weigh)).sum().backward()
    expected = expected.detach().numpy()
    np.testing.assert_allclose(ours, expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max())

    def compare(g, p):
        np.testing.assert_allclose(
            g, p.grad, rtol=5e-3, atol=1e-3 * max(float(p.grad.abs().max()), 1e-3)
        )

    jax.tree.map(compare, gradient, held)


@pytest.mark.parametrize("name", WITH_BN)
def test_moments_of_the_batch_give_the_same_logits(name):
    net, _, shape = CASES[name]
    params = jax.jit(net.init)(jax.random.key(0))
    x = RNG.standard_normal(shape).astype(np.float32)
    apply = jax.jit(lambda running: net.apply(params, x, running=running, key=None))
    logits, moments = apply(None)
    again, same = apply(moments)
    np.testing.assert_allclose(again, logits, rtol=1e-3, atol=1e-4)
    chex.assert_trees_all_equal(same, moments)


def test_x_l_is_the_sum_of_residuals():
    """Equation 4 of 2016, which the additions of 2015 break with their ReLU: a silent block passes
    x on.
    """
    net = preact_resnet.cifar(14, width=4)
    params = net.init(jax.random.key(0))
    last = params.blocks[1].convs[1]
    silent = params.blocks[1]._replace(
        convs=(params.blocks[1].convs[0], last._replace(w=0 * last.w))
    )
    params = params._replace(blocks=(params.blocks[0], silent, *params.blocks[2:]))
    x = jax.random.normal(jax.random.key(1), (2, 8, 8, 3))
    seen = jax.jit(
        lambda: look(
            lambda probes: net.apply(params, x, running=None, key=None, probes=probes)[0].sum()
        )
    )()
    np.testing.assert_array_equal(seen["block", 2].value, seen["block", 1].value)
    assert seen["block", 2].value.min() < 0  # no ReLU after the addition


def test_earlier_features_are_kept():
    """DenseNet concatenates: the first channels of a block's output are its input, whatever the
    block's weights are.
    """
    net = densenet.cifar(7, 3)
    params = net.init(jax.random.key(0))
    first = params.blocks[0][0][0]
    other = params._replace(blocks=(((first._replace(w=2 * first.w),),), *params.blocks[1:]))
    x = jax.random.normal(jax.random.key(1), (2, 8, 8, 3))
    inside = jax.jit(
        lambda p: look(
            lambda probes: net.apply(p, x, running=None, key=None, probes=probes)[0].sum()
        )
    )
    a, b = (inside(p)["block", 0].value for p in (params, other))
    assert [inside(params)["block", b].value.shape for b in range(3)] == [
        (2, 8, 8, 19),
        (2, 4, 4, 22),
        (2, 2, 2, 25),
    ]
    np.testing.assert_array_equal(a[..., :16], b[..., :16])
    np.testing.assert_allclose(2 * a[..., 16:], b[..., 16:], rtol=1e-5)


def test_inception_stacks_its_branches():
    params = jax.jit(googlenet.googlenet(3).init)(jax.random.key(0)).inceptions[0]
    x = jax.nn.relu(jax.random.normal(jax.random.key(1), (1, 6, 6, 192)))
    whole = googlenet.inception(params, x)
    silent = params._replace(five=params.five._replace(w=0 * params.five.w))
    there = np.abs(googlenet.inception(silent, x) - whole).max((0, 1, 2)) > 0
    assert (
        whole.shape == (1, 6, 6, 256)
        and not there[:192].any()
        and there[192:224].any()
        and not there[224:].any()
    )


@pytest.mark.parametrize("depth", [18, 50])
def test_shapes_of_the_stages(depth):
    net, shapes = resnet.imagenet(depth), {}
    params = jax.eval_shape(net.init, jax.random.key(0))
    image = jax.ShapeDtypeStruct((1, 224, 224, 3), jnp.float32)
    jax.eval_shape(
        lambda p, x: net.apply(p, x, running=None, key=None, probes=shapes)[0], params, image
    )
    ends = np.cumsum((0, *resnet.BLOCKS[depth]))
    scale = 1 if depth == 18 else 4
    assert [shapes["block", b].value.shape[1:] for b in ends] == [
        (56, 56, 64),
        (56, 56, 64 * scale),
        (28, 28, 128 * scale),
        (14, 14, 256 * scale),
        (7, 7, 512 * scale),
    ]
