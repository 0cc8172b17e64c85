"""The nets that read digits: torch with the connections spelt out, the papers' counts of
connections, the table of C3.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from deepseq.nets.images import lenet

pytestmark = pytest.mark.usefixtures("compiled_quickly")

RNG = np.random.default_rng(0)
BITMAPS = RNG.choice([-1.0, 1.0], (10, 84)).astype(np.float32)


def drawn(net, seed=0):
    """Parameters with biases that are not 0."""
    rng = np.random.default_rng(seed)
    return jax.tree.map(
        lambda p: p + 0.1 * rng.standard_normal(p.shape).astype(np.float32),
        net.init(jax.random.key(seed)),
    )


def squash(torch, x):
    return 1.7159 * torch.tanh(2 / 3 * x)


def torch_zip_codes(torch, p, x):
    f = torch.nn.functional
    x = f.pad(x.permute(0, 3, 1, 2), (2, 2, 2, 2), value=-1.0)
    h1 = squash(
        torch,
        f.conv2d(x, p.h1.w.permute(3, 2, 0, 1), stride=2)[:, :, :8, :8] + p.h1.b.permute(2, 0, 1),
    )
    h1, maps = f.pad(h1, (2, 2, 2, 2), value=-1.0), []
    for m in range(12):
        seen = h1[:, list(lenet.SEEN_BY_H2[m // 4])]
        kernel = p.h2.w[m // 4, :, :, :, m % 4].permute(2, 0, 1)[None]
        maps.append(f.conv2d(seen, kernel, stride=2)[:, 0, :4, :4] + p.h2.b[:, :, m])
    h2 = squash(torch, torch.stack(maps, -1)).flatten(1)
    return squash(torch, squash(torch, h2 @ p.h3.w + p.h3.b) @ p.out.w + p.out.b)


def torch_lenet5(torch, p, x):
    f = torch.nn.functional

    def subsample(q, x):
        return squash(torch, 4 * f.avg_pool2d(x, 2) * q.w[:, None, None] + q.b[:, None, None])

    x = subsample(
        p.s2, squash(torch, f.conv2d(x.permute(0, 3, 1, 2), p.c1.w.permute(3, 2, 0, 1), p.c1.b))
    )
    maps = [
        f.conv2d(x[:, list(seen)], c.w.permute(3, 2, 0, 1), c.b)
        for c, seen in zip(p.c3, lenet.SEEN_BY_C3, strict=True)
    ]
    x = subsample(p.s4, squash(torch, torch.cat(maps, 1)))
    x = squash(torch, f.conv2d(x, p.c5.w.permute(3, 2, 0, 1), p.c5.b))[:, :, 0, 0]
    x = squash(torch, x @ p.f6.w + p.f6.b)
    return -(torch.cdist(x, torch.from_numpy(BITMAPS)) ** 2)


def torch_full(torch, p, x):
    f, edge = torch.nn.functional, (32 - x.shape[1]) // 2
    x = f.pad(x.permute(0, 3, 1, 2), (edge,) * 4)
    for c in (p.c1, p.c3):
        x = f.max_pool2d(torch.relu(f.conv2d(x, c.w.permute(3, 2, 0, 1), c.b)), 2)
    x = torch.relu(x.permute(0, 2, 3, 1).flatten(1) @ p.c5.w + p.c5.b)
    return torch.relu(x @ p.f6.w + p.f6.b) @ p.out.w + p.out.b


CASES = {
    "zip_codes": (lenet.zip_codes(), torch_zip_codes, 16),
    "lenet5": (lenet.lenet5(jnp.asarray(BITMAPS)), torch_lenet5, 32),
    "full_lenet5": (lenet.full_lenet5(), torch_full, 32),
    "full_lenet5, 28": (lenet.full_lenet5(), torch_full, 28),
}


@pytest.mark.parametrize("name", CASES)
def test_equals_torch(name):
    torch = pytest.importorskip("torch", reason="parity with PyTorch needs torch")
    net, theirs, size = CASES[name]
    params, x = drawn(net), RNG.standard_normal((3, size, size, 1)).astype(np.float32)
    weigh = RNG.standard_normal((3, 10)).astype(np.float32)

    def loss(params, x):
        y = net.apply(params, x, running=(), key=None)[0]
        return (y * weigh).sum(), y

    (_, ours), gradient = jax.jit(jax.value_and_grad(loss, argnums=(0, 1), has_aux=True))(params, x)
    held = jax.tree.map(lambda a: torch.tensor(np.asarray(a), requires_grad=True), (params, x))
    expected = theirs(torch, *held)
    (expected * torch.from_numpy(weigh)).sum().backward()
    np.testing.assert_allclose(ours, expected.detach(), rtol=1e-4, atol=1e-4)
    jax.tree.map(
        lambda g, p: np.testing.assert_allclose(g, p.grad, rtol=2e-3, atol=2e-3), gradient, held
    )


def test_connections_of_1989():
    """Every unit's inputs and its bias; units of each layer (the paper's section 3)."""
    units = {"H1": 12 * 64, "H2": 12 * 16, "H3": 30, "out": 10}
    each = {"H1": 25, "H2": 8 * 25, "H3": 12 * 16, "out": 30}
    assert sum(units[name] * (each[name] + 1) for name in units) == 64_660
    assert 16 * 16 + sum(units.values()) == 1256
    reach = jax.jit(
        jax.jacobian(
            lambda x: lenet.zip_codes().apply(drawn(lenet.zip_codes()), x, running=(), key=None)[0]
        )
    )
    assert (
        np.abs(reach(jnp.zeros((1, 16, 16, 1)))).sum((0, 1, 2)) > 0
    ).all()  # no pixel is left out


def test_table_of_c3():
    seen = np.zeros((6, 16), int)
    for m, maps in enumerate(lenet.SEEN_BY_C3):
        seen[list(maps), m] = 1
    assert (
        seen.sum() == 60
        and (seen.sum(0) == [3] * 6 + [4] * 9 + [6]).all()
        and (seen.sum(1) == 10).all()
    )
    assert len({tuple(column) for column in seen.T}) == 16


def test_squash_keeps_its_targets():
    np.testing.assert_allclose(lenet.squash(jnp.array([-1.0, 0.0, 1.0])), [-1, 0, 1], atol=1e-4)
