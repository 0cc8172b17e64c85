"""The image classifiers: parameters of the papers, torch's numbers with torch's names, the smallest
images, dropout, errors.
"""

import chex
import jax
import jax.numpy as jnp
import numpy as np
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
from deepseq.nets.images import torchvision_names as names

pytestmark = pytest.mark.usefixtures("compiled_quickly")

KEY = jax.random.key(0)
BITMAPS = jnp.asarray(np.random.default_rng(0).choice([-1.0, 1.0], (10, 84)), jnp.float32)
COUNTS = {
    "lenet.zip_codes": (lenet.zip_codes, 9_760),
    "lenet.lenet5": (lambda: lenet.lenet5(BITMAPS), 60_000),
    "lenet.full_lenet5": (lenet.full_lenet5, 61_706),
    "alexnet": (alexnet.alexnet, 60_965_224),
    "alexnet, one tower": (alexnet.single_tower, 61_100_840),
    "vgg 11": (lambda: vgg.vgg(11), 132_863_336),
    "vgg 13": (lambda: vgg.vgg(13), 133_047_848),
    "vgg 16": (lambda: vgg.vgg(16), 138_357_544),
    "vgg 19": (lambda: vgg.vgg(19), 143_667_240),
    "nin": (nin.nin, 966_986),
    "googlenet": (googlenet.googlenet, 6_998_552),
    "googlenet, auxiliary": (googlenet.with_auxiliary, 13_378_280),
    "googlenet, batch norm": (googlenet_batch_norm.googlenet, 6_624_904),
    "googlenet, batch norm, auxiliary": (googlenet_batch_norm.with_auxiliary, 13_004_888),
    "resnet 18": (lambda: resnet.imagenet(18), 11_689_512),
    "resnet 34": (lambda: resnet.imagenet(34), 21_797_672),
    "resnet 34 A": (lambda: resnet.imagenet(34, "A"), 21_623_848),
    "resnet 34 C": (lambda: resnet.imagenet(34, "C"), 22_716_840),
    "resnet 50": (lambda: resnet.imagenet(50), 25_557_032),
    "resnet 101": (lambda: resnet.imagenet(101), 44_549_160),
    "resnet 152": (lambda: resnet.imagenet(152), 60_192_808),
    **{
        f"preact {d}": (lambda d=d: preact_resnet.cifar(d), n)
        for d, n in ((20, 269_722), (32, 464_154), (44, 658_586))
    },
    **{
        f"preact {d}": (lambda d=d: preact_resnet.cifar(d), n)
        for d, n in ((56, 853_018), (110, 1_727_962))
    },
    "preact 164": (lambda: preact_resnet.cifar(164, bottleneck=True), 1_703_258),
    "densenet 121": (lambda: densenet.imagenet(121), 7_978_856),
    "densenet 161": (lambda: densenet.imagenet(161), 28_681_000),
    "densenet 169": (lambda: densenet.imagenet(169), 14_149_480),
    "densenet 201": (lambda: densenet.imagenet(201), 20_013_928),
    "densenet 40, 12": (lambda: densenet.cifar(40, 12), 1_019_722),
    "densenet 100, 12": (lambda: densenet.cifar(100, 12), 6_979_642),
    "densenet 100, 24": (lambda: densenet.cifar(100, 24), 27_249_082),
    "densenet-bc 100, 12": (lambda: densenet.cifar(100, 12, bc=True), 769_162),
    "densenet-bc 250, 24": (lambda: densenet.cifar(250, 24, bc=True), 15_324_406),
    "densenet-bc 190, 40": (lambda: densenet.cifar(190, 40, bc=True), 25_624_430),
}


@pytest.mark.parametrize("name", COUNTS)
def test_parameters(name):
    make, expected = COUNTS[name]
    assert sum(leaf.size for leaf in jax.tree.leaves(jax.eval_shape(make().init, KEY))) == expected


def images(size, batch=2, channels=3):
    return np.random.default_rng(1).standard_normal((batch, size, size, channels), np.float32)


def moments_of(net, params, x):
    return jax.eval_shape(lambda p: net.apply(p, x, running=None, key=None)[1], params)


TORCH = {  # ours, theirs, size of the images, which names
    "one tower": (
        lambda: alexnet.single_tower(7, 63),
        lambda t: t.alexnet(7, 1),
        63,
        names.names_of_single_tower,
    ),
    "one tower, 2x2": (
        lambda: alexnet.single_tower(3, 99),
        lambda t: t.alexnet(3, 2),
        99,
        names.names_of_single_tower,
    ),
    "vgg 11": (
        lambda: vgg.vgg(11, 7, 64),
        lambda t: t.vgg((1, 1, 2, 2, 2), 7, 2),
        64,
        names.names_of_vgg,
    ),
    "vgg 16": (
        lambda: vgg.vgg(16, 5, 32),
        lambda t: t.vgg((2, 2, 3, 3, 3), 5, 1),
        32,
        names.names_of_vgg,
    ),
    "googlenet": (
        lambda: googlenet.googlenet(7),
        lambda t: t.GoogLeNet(googlenet.TABLE, 7, 0),
        45,
        names.names_of_googlenet,
    ),
    "auxiliary": (
        lambda: googlenet.with_auxiliary(7, 79),
        lambda t: t.GoogLeNet(googlenet.TABLE, 7, 1),
        79,
        names.names_of_googlenet,
    ),
    "googlenet, batch norm": (
        lambda: googlenet_batch_norm.googlenet(7),
        lambda t: t.GoogLeNetBatchNorm(googlenet.TABLE, 7, 0),
        45,
        names.names_of_googlenet_batch_norm,
    ),
    "googlenet, batch norm, auxiliary": (
        lambda: googlenet_batch_norm.with_auxiliary(7),
        lambda t: t.GoogLeNetBatchNorm(googlenet.TABLE, 7, 4),
        101,
        names.names_of_googlenet_batch_norm,
    ),
    "resnet 18": (
        lambda: resnet.imagenet(18, classes=7),
        lambda t: t.ResNet((2, 2, 2, 2), False, 7),
        41,
        names.names_of_resnet,
    ),
    "resnet 50": (
        lambda: resnet.imagenet(50, classes=7),
        lambda t: t.ResNet((3, 4, 6, 3), True, 7),
        33,
        names.names_of_resnet,
    ),
    "densenet 121": (
        lambda: densenet.imagenet(121, 7),
        lambda t: t.densenet((6, 12, 24, 16), 32, 7),
        32,
        names.names_of_densenet,
    ),
}


# Fifty norms over a few pixels would magnify every rounding.
BY_KNOWN_MOMENTS = "googlenet, batch norm, auxiliary", "resnet 50", "densenet 121"


@pytest.mark.parametrize("name", TORCH)
def test_torch_s_weights_give_torch_s_logits(name, tmp_path):
    """Random weights and moments out of a file of torch's; saved again, they are the same file's
    arrays.
    """
    torch = pytest.importorskip("torch", reason="parity with PyTorch needs torch")
    from safetensors.torch import save_file

    from benchmarks import torch_image_nets
    from deepseq.train import weights

    make, theirs, size, named = TORCH[name]
    torch.manual_seed(0)
    theirs = theirs(torch_image_nets).eval()
    with torch.no_grad():
        for key, value in theirs.state_dict().items():
            if value.ndim > 1:
                torch.nn.init.kaiming_normal_(value, nonlinearity="relu")
            elif value.ndim == 1:  # norms, their moments and biases that are not 0 and 1
                value.copy_(
                    0.1 * torch.rand_like(value)
                    if "bias" in key or "mean" in key
                    else 0.5 + torch.rand_like(value)
                )
    save_file(theirs.state_dict(), tmp_path / "theirs.safetensors")
    net, x = make(), images(size)
    params = jax.eval_shape(net.init, KEY)
    shapes = params, moments_of(net, params, x)
    where = named(*shapes)
    assert jax.tree.structure(where) == jax.tree.structure(shapes)
    params, moments = weights.load(tmp_path / "theirs.safetensors", shapes, where)
    ours, seen = jax.jit(lambda p, m: net.apply(p, x, running=m, key=None))(params, moments)
    chex.assert_trees_all_equal(seen, moments)  # each returned in its place
    with torch.no_grad():
        expected = theirs(torch.from_numpy(x.transpose(0, 3, 1, 2).copy()))
    expected = expected if isinstance(expected, tuple) else (expected,)
    for a, b in zip(jax.tree.leaves(ours), expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4 * float(b.abs().max()))
        assert np.abs(np.diff(a, axis=0)).max() > 1e-3 * np.abs(a).max()  # it looks at the image
    weights.save(tmp_path / "ours.npz", (params, moments), where)
    with np.load(tmp_path / "ours.npz") as saved:
        for key, value in theirs.state_dict().items():
            if not key.endswith("num_batches_tracked"):
                np.testing.assert_array_equal(saved[key], value)


@pytest.mark.parametrize(
    "name", ["one tower", "vgg 11", "auxiliary", *BY_KNOWN_MOMENTS, "resnet 18"]
)
def test_gradients_equal_torch_s(name):
    torch = pytest.importorskip("torch", reason="parity with PyTorch needs torch")
    from benchmarks import torch_image_nets

    make, theirs, size, named = TORCH[name]
    torch.manual_seed(1)
    theirs = theirs(torch_image_nets)
    for module in theirs.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    net, x = make(), images(size, batch=3)
    shapes = jax.eval_shape(net.init, KEY)
    moments = moments_of(net, shapes, x)
    where, of_moments = named(shapes, moments)
    state = {key: value.numpy() for key, value in theirs.state_dict().items()}
    params = jax.tree.map(
        lambda entry, s: jnp.asarray(entry.ours(state[entry.name], s.shape)), where, shapes
    )
    running = None
    if name in BY_KNOWN_MOMENTS:
        theirs.eval()
        running = jax.tree.map(
            lambda entry, s: jnp.asarray(entry.ours(state[entry.name], s.shape)),
            of_moments,
            moments,
        )
    theirs_y = theirs(torch.from_numpy(x.transpose(0, 3, 1, 2).copy()))
    theirs_y = theirs_y if isinstance(theirs_y, tuple) else (theirs_y,)
    rng = np.random.default_rng(2)
    weigh = [rng.standard_normal(y.shape).astype(np.float32) for y in theirs_y]

    def total(p):
        ys = jax.tree.leaves(net.apply(p, x, running=running, key=None)[0])
        return sum((y * w).sum() for y, w in zip(ys, weigh, strict=True))

    gradient = jax.jit(jax.grad(total))(params)
    sum((y * torch.from_numpy(w)).sum() for y, w in zip(theirs_y, weigh, strict=True)).backward()
    expected = {key: value.grad.numpy() for key, value in theirs.named_parameters()}

    def compare(entry, g):
        e = entry.ours(expected[entry.name], g.shape)
        np.testing.assert_allclose(
            g, e, rtol=2e-3, atol=2e-4 * max(np.abs(e).max(), 1e-3), err_msg=entry.name
        )

    jax.tree.map(compare, where, gradient)


SMALLEST = {
    "alexnet": lambda n: (alexnet.alexnet(3, n), n),
    "alexnet.single_tower": lambda n: (alexnet.single_tower(3, n), n),
    "vgg": lambda n: (vgg.vgg(11, 3, n), n),
    "googlenet": lambda n: (googlenet.googlenet(3), n),
    "googlenet.with_auxiliary": lambda n: (googlenet.with_auxiliary(3, n), n),
    "nin": lambda n: (nin.nin(3), n),
    "googlenet_batch_norm": lambda n: (googlenet_batch_norm.googlenet(3), n),
    "googlenet_batch_norm.with_auxiliary": lambda n: (googlenet_batch_norm.with_auxiliary(3), n),
    "densenet.imagenet": lambda n: (densenet.imagenet(121, 3), n),
    "densenet.cifar": lambda n: (densenet.cifar(7, 2, classes=3), n),
}
PIXELS = (67, 63, 32, 31, 79, 4, 31, 31, 29, 4)


@pytest.mark.parametrize(("name", "least"), list(zip(SMALLEST, PIXELS, strict=True)))
def test_smallest_images(name, least):
    def shape(n):
        net, size = SMALLEST[name](n)
        x = jax.ShapeDtypeStruct((2, size, size, 3), np.float32)
        return jax.eval_shape(
            lambda k, x: net.apply(net.init(k), x, running=None, key=None)[0], KEY, x
        )

    assert jax.tree.leaves(shape(least))[0].shape == (2, 3)
    with pytest.raises(ValueError, match=f"{name}: .*{least - 1}.* {least}"):
        shape(least - 1)


WRONG = [
    (lambda: vgg.vgg(12), "no net has depth 12; depths are 11, 13, 16, 19"),
    (lambda: resnet.imagenet(20), "no net has depth 20; depths are 18, 34, 50, 101, 152"),
    (lambda: resnet.imagenet(18, "D"), "no shortcut 'D'"),
    (
        lambda: preact_resnet.cifar(21),
        r"no net has depth 21; depths are 6n \+ 2, the nearest 20 or 26",
    ),
    (lambda: preact_resnet.cifar(20, width=0), "width is 0"),
    (lambda: preact_resnet.cifar(21, bottleneck=True), r"depths are 9n \+ 2, the nearest 20 or 29"),
    (lambda: densenet.imagenet(100), "no net has depth 100; depths are 121, 161, 169, 201"),
    (lambda: densenet.cifar(41, 12), r"depth 41 and growth 12; depths are 3m \+ 4"),
    (lambda: densenet.cifar(40, 0), "growth 0"),
    (lambda: densenet.cifar(43, 12, bc=True), r"depths are 6m \+ 4"),
    (lambda: lenet.lenet5(jnp.ones((10, 83))), r"prototypes \(10, 83\) must be \(classes, 84\)"),
]


@pytest.mark.parametrize(("make", "message"), WRONG)
def test_nets_that_do_not_exist(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    "net, shape",
    [
        (lenet.zip_codes(), (2, 16, 16, 3)),
        (lenet.lenet5(BITMAPS), (2, 28, 28, 1)),
        (lenet.full_lenet5(), (2, 28, 28, 3)),
        (lenet.full_lenet5(), (2, 30, 30, 1)),
        (alexnet.single_tower(3, 63), (2, 64, 64, 3)),
        (nin.nin(), (2, 8, 8, 1)),
        (vgg.vgg(11, 3, 32), (2, 33, 33, 3)),
        (googlenet.with_auxiliary(3, 79), (2, 80, 80, 3)),
        (resnet.imagenet(18), (2, 8, 8, 1)),
        (googlenet_batch_norm.googlenet(3), (2, 64, 64, 1)),
        (densenet.cifar(7, 2), (8, 8, 3)),
        (preact_resnet.cifar(8), (2, 8, 8, 4)),
    ],
)
def test_other_images_are_refused(net, shape):
    with pytest.raises(ValueError, match=r"channels|images|made with image_size"):
        jax.eval_shape(
            lambda k, x: net.apply(net.init(k), x, running=None, key=None)[0], KEY, jnp.zeros(shape)
        )


DROPS = [
    (alexnet.alexnet(3, 67), 67, 2),
    (alexnet.single_tower(3, 63), 63, 2),
    (vgg.vgg(11, 3, 32), 32, 2),
    (nin.nin(3), 8, 2),
    (googlenet.googlenet(3), 31, 1),
    (googlenet.with_auxiliary(3, 79), 79, 3),
    (googlenet_batch_norm.googlenet(3), 31, 1),
    (googlenet_batch_norm.with_auxiliary(3), 31, 3),
    (resnet.imagenet(18), 8, 0),
]


@pytest.mark.parametrize(("net", "size", "draws"), DROPS)
def test_dropout_is_drawn_where_the_paper_drops(net, size, draws):
    params = jax.eval_shape(net.init, KEY)

    def drawn(key):
        return str(
            jax.make_jaxpr(lambda p: net.apply(p, images(size), running=None, key=key)[0])(params)
        ).count("name=_bernoulli")

    assert drawn(None) == 0 and drawn(KEY) == draws


def test_dropout_is_drawn_from_its_key_alone():
    net = nin.nin(3)
    params = jax.jit(net.init)(KEY)
    apply = jax.jit(lambda key: net.apply(params, images(8), running=(), key=key)[0])
    first, again, other = (apply(jax.random.key(i)) for i in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 0
