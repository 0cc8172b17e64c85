"""Recurrent nets against torch and flax.linen, their weights loaded by transposition: values and
gradients, float64.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from deepseq.nets import recurrent as R
from tests.nets.recurrent.recurrent_oracles import LAYERS, close, draw, scalar

KINDS = ("rnn", "lstm", "gru")


@pytest.fixture(autouse=True)
def float64():
    with jax.enable_x64(True):
        yield


@pytest.mark.parametrize("levels, both", ((1, False), (2, True)))
@pytest.mark.parametrize("kind", KINDS)
def test_equals_torch(kind, levels, both):
    torch = pytest.importorskip("torch")
    steps, batch, inputs, hidden = 9, 3, 4, 5
    theirs = getattr(torch.nn, kind.upper())(
        inputs, hidden, levels, bidirectional=both, dtype=torch.float64
    )
    names = [
        f"l{level}{side}"
        for level in range(levels)
        for side in (("", "_reverse") if both else ("",))
    ]
    sets = [from_torch(kind, theirs, name) for name in names]
    params = tuple(zip(sets[::2], sets[1::2], strict=True)) if both else tuple(sets)
    layer = R.stack(R.bidirectional(LAYERS[kind]) if both else LAYERS[kind])

    xs = np.random.default_rng(0).standard_normal((steps, batch, inputs))
    tx = torch.tensor(xs, requires_grad=True)
    lengths = np.array([9, 4, 1])
    packed = torch.nn.utils.rnn.pack_padded_sequence(tx, torch.tensor(lengths))
    ty, _ = torch.nn.utils.rnn.pad_packed_sequence(theirs(packed)[0], total_length=steps)
    weight = np.cos(np.arange(ty.numel())).reshape(ty.shape)
    (ty * torch.tensor(weight)).sum().backward()

    def total(params, xs):
        ys = layer(params, xs, lengths=lengths)[1]
        return (ys * weight).sum(), ys

    (dparams, dxs), ys = jax.grad(total, argnums=(0, 1), has_aux=True)(params, xs)
    close((ys, dxs), (ty.detach().numpy(), tx.grad.numpy()))
    flat = [side for level in dparams for side in level] if both else dparams
    for ours, name in zip(flat, names, strict=True):
        grads = from_torch(kind, theirs, name, gradient=True)
        close(ours.wx, grads.wx)
        close(ours.wh, grads.wh)
        # torch's two biases have the same gradient
        close(ours[2], grads[2] if kind == "gru" else grads.b / 2)


def from_torch(kind, module, name, gradient=False):
    """The parameters of one of torch's layers, or their gradients."""
    take = (lambda p: p.grad.numpy()) if gradient else (lambda p: p.detach().numpy())
    wx, wh, bx, bh = (
        take(getattr(module, f"{what}_{name}"))
        for what in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    )
    return (
        R.GRU(wx.T, wh.T, bx, bh)
        if kind == "gru"
        else (R.LSTM if kind == "lstm" else R.RNN)(wx.T, wh.T, bx + bh)
    )


def test_projection_equals_torch():
    torch = pytest.importorskip("torch")
    theirs = torch.nn.LSTM(4, 6, proj_size=3, dtype=torch.float64)
    wx, wh, bx, bh, wr = (p.detach().numpy() for p in theirs.parameters())
    params = R.ProjectedLSTM(wx.T, wh.T, bx + bh, wr.T)
    xs = np.random.default_rng(0).standard_normal((7, 2, 4))
    ty, (th, tc) = theirs(torch.tensor(xs))
    state = R.LSTMState(np.zeros((2, 3)), np.zeros((2, 6)))
    end, ys = R.unroll(R.projected_lstm_cell, params, state, xs)
    close((ys, end.h, end.c), tuple(t.detach().numpy() for t in (ty, th[0], tc[0])))


@pytest.mark.parametrize("kind", KINDS)
def test_equals_flax(kind):
    params, carry, xs = draw(kind)
    cell = {"rnn": nn.SimpleCell, "lstm": nn.LSTMCell, "gru": nn.GRUCell}[kind](
        5, param_dtype=jnp.float64
    )
    wx, wh = (
        np.split(w, {"rnn": 1, "lstm": 4, "gru": 3}[kind], axis=1) for w in (params.wx, params.wh)
    )
    if kind == "rnn":
        names = ("",)
        tree = {"i": {"kernel": wx[0], "bias": params.b}, "h": {"kernel": wh[0]}}
    else:
        biases = np.split(params.b if kind == "lstm" else params.bx, len(wx))
        names = "ifgo" if kind == "lstm" else "rzn"
        tree = {f"i{n}": {"kernel": w} for n, w in zip(names, wx, strict=True)}
        tree |= {f"h{n}": {"kernel": w} for n, w in zip(names, wh, strict=True)}
        for n, b in zip(names, biases, strict=True):
            tree[f"{'h' if kind == 'lstm' else 'i'}{n}"]["bias"] = b
        if kind == "gru":  # flax has no hidden bias of r and z: they add to those of the inputs
            bh = np.split(params.bh, 3)
            tree["ir"]["bias"], tree["iz"]["bias"] = biases[0] + bh[0], biases[1] + bh[1]
            tree["hn"]["bias"] = bh[2]
    start = (carry.c, carry.h) if kind == "lstm" else carry
    layer = nn.RNN(cell, time_major=True)

    def theirs(tree, xs):
        return layer.apply({"params": {"cell": tree}}, xs, initial_carry=start)

    close(LAYERS[kind](params, xs, carry)[1], theirs(tree, xs))
    ours = jax.grad(lambda p, xs: scalar(LAYERS[kind](p, xs, carry)[1]), argnums=(0, 1))(params, xs)
    dtree, dxs = jax.grad(lambda tree, xs: scalar(theirs(tree, xs)), argnums=(0, 1))(tree, xs)
    close(ours[1], dxs)
    for blocks, side in ((ours[0].wx, "i"), (ours[0].wh, "h")):
        parts = np.split(blocks, len(wx), axis=1)
        for n, part in zip(names, parts, strict=True):
            close(part, dtree[f"{side}{n}"]["kernel"])


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_export_for_every_platform(kind):
    params, carry, xs = draw(kind, dtype=np.float32)

    def gradient(params, xs, lengths):
        return jax.grad(lambda p: LAYERS[kind](p, xs, carry, lengths=lengths)[1].sum())(params)

    shapes = jax.tree.map(
        lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype), (params, xs, np.array([11, 0, 7, 1]))
    )
    exported = jax.export.export(jax.jit(gradient), platforms=["cpu", "cuda", "tpu"])(*shapes)
    assert exported.platforms == ("cpu", "cuda", "tpu")
