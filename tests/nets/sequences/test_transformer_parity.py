"""Layers and stacks of the Transformer against torch's: values and gradients, of inputs and of
every weight.
"""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from deepseq.nets.blocks import attention
from deepseq.nets.sequences import transformer as T

pytestmark = pytest.mark.usefixtures("compiled_quickly")

torch = pytest.importorskip("torch", reason="parity with PyTorch needs torch")

B, S, N, D, H, F = 3, 5, 7, 12, 3, 10  # sources of up to S steps, targets of N
LENGTHS = np.array([5, 2, 1])
NORMS = {"post": T.post_norm, "pre": T.pre_norm}


def close(a, b, tolerance=1e-4):
    chex.assert_trees_all_close(a, b, rtol=tolerance, atol=tolerance)


def value(parameter):
    return parameter.detach().numpy().copy()


def gradient(parameter):
    return parameter.grad.numpy().copy()


def multi_head(module, of):
    maps = np.split(of(module.in_proj_weight), 3)
    biases = np.split(of(module.in_proj_bias), 3)
    wq, wk, wv = (w.T.reshape(D, H, D // H) for w in maps)
    wo = of(module.out_proj.weight).T.reshape(H, D // H, D)
    return attention.MultiHead(
        wq, wk, wv, wo, *(b.reshape(H, D // H) for b in biases), of(module.out_proj.bias)
    )


def norm(module, of):
    return T.LayerNorm(of(module.weight), of(module.bias))


def feed_forward(module, of):
    one, two = module.linear1, module.linear2
    return T.FeedForward(of(one.weight).T, of(one.bias), of(two.weight).T, of(two.bias))


def layer(module, of):
    """A torch layer's weights, or their gradients, as ours."""
    own = multi_head(module.self_attn, of)
    if hasattr(module, "multihead_attn"):
        cross = multi_head(module.multihead_attn, of)
        norms = [norm(m, of) for m in (module.norm1, module.norm2, module.norm3)]
        return T.DecoderLayer(own, norms[0], cross, norms[1], feed_forward(module, of), norms[2])
    return T.EncoderLayer(
        own, norm(module.norm1, of), feed_forward(module, of), norm(module.norm2, of)
    )


def stack(module, of):
    return T.Stack(
        tuple(layer(m, of) for m in module.layers),
        None if module.norm is None else norm(module.norm, of),
    )


def theirs(kind, first):
    torch.manual_seed(0)
    module = kind(D, H, F, dropout=0.0, batch_first=True, norm_first=first == "pre")
    return module


def spread(module):
    """Every parameter drawn anew: torch starts biases at 0 and gains at 1."""
    with torch.no_grad():
        for p in module.parameters():
            p.copy_(0.4 * torch.randn(p.shape) + (p if p.ndim == 1 else 0))
    return module


def inputs():
    rng = np.random.default_rng(0)
    x, memory, weigh = (
        rng.standard_normal(shape).astype(np.float32) for shape in ((B, N, D), (B, S, D), (B, N, D))
    )
    return x, memory, weigh


def masks():
    padding = np.arange(S) >= LENGTHS[:, None]
    return torch.from_numpy(padding), torch.triu(torch.ones(N, N, dtype=torch.bool), 1)


def compare(module, run, read, ours):
    """run(module, x, memory) against ours(params, x, memory): outputs, then gradients of a weighted
    sum of them.
    """
    x, memory, weigh = inputs()
    tx, tm = (torch.from_numpy(a).requires_grad_() for a in (x, memory))
    out = run(spread(module), tx, tm)
    (out * torch.from_numpy(weigh[:, : out.shape[1]])).sum().backward()
    params = read(module, value)

    def total(params, x, memory):
        y = ours(params, x, memory)
        return (y * weigh[:, : y.shape[1]]).sum(), y

    (_, found), grads = jax.jit(jax.value_and_grad(total, (0, 1, 2), has_aux=True))(
        params, x, memory
    )
    close(found, value(out))
    close(grads[0], read(module, gradient))
    for ours_, t in zip(grads[1:], (tx, tm), strict=True):
        close(ours_, np.zeros(t.shape) if t.grad is None else gradient(t))


@pytest.mark.parametrize("first", NORMS)
@pytest.mark.parametrize("masked", ["padding", "causal"])
def test_encoder_layer(first, masked):
    padding, causal = masks()

    def run(module, x, memory):
        return (
            module(memory, src_key_padding_mask=padding)
            if masked == "padding"
            else module(x, src_mask=causal)
        )

    def ours(params, x, memory):
        if masked == "padding":
            return T.encoder_layer(
                params, memory, attention.padding_mask(jnp.asarray(LENGTHS), S), norm=NORMS[first]
            )
        return T.encoder_layer(params, x, attention.causal_mask(N), norm=NORMS[first])

    compare(theirs(torch.nn.TransformerEncoderLayer, first), run, layer, ours)


@pytest.mark.parametrize("first", NORMS)
def test_decoder_layer(first):
    padding, causal = masks()

    def ours(params, x, memory):
        kv = attention.keys_and_values(params.cross, memory)
        mask = attention.padding_mask(jnp.asarray(LENGTHS), S)
        return T.decoder_layer(params, x, kv, attention.causal_mask(N), mask, norm=NORMS[first])

    compare(
        theirs(torch.nn.TransformerDecoderLayer, first),
        lambda module, x, memory: module(
            x, memory, tgt_mask=causal, memory_key_padding_mask=padding
        ),
        layer,
        ours,
    )


@pytest.mark.parametrize("first", NORMS)
def test_encoder_stack(first):
    padding, _ = masks()
    end = torch.nn.LayerNorm(D) if first == "pre" else None
    module = torch.nn.TransformerEncoder(
        theirs(torch.nn.TransformerEncoderLayer, first), 2, norm=end, enable_nested_tensor=False
    )
    mask = attention.padding_mask(jnp.asarray(LENGTHS), S)
    compare(
        module,
        lambda module, x, memory: module(memory, src_key_padding_mask=padding),
        stack,
        lambda params, x, memory: T.encoder(params, memory, mask, norm=NORMS[first]),
    )


@pytest.mark.parametrize("first", NORMS)
def test_decoder_stack(first):
    padding, causal = masks()
    end = torch.nn.LayerNorm(D) if first == "pre" else None
    module = torch.nn.TransformerDecoder(
        theirs(torch.nn.TransformerDecoderLayer, first), 2, norm=end
    )
    mask = attention.padding_mask(jnp.asarray(LENGTHS), S)

    def ours(params, x, memory):
        return T.decoder(
            params,
            x,
            T.cross_keys(params, memory),
            attention.causal_mask(N),
            mask,
            norm=NORMS[first],
        )

    compare(
        module,
        lambda module, x, memory: module(
            x, memory, tgt_mask=causal, memory_key_padding_mask=padding
        ),
        stack,
        ours,
    )


def test_layer_norm():
    x, _, weigh = inputs()
    module = torch.nn.LayerNorm(D)
    with torch.no_grad():
        module.weight.copy_(torch.randn(D))
        module.bias.copy_(torch.randn(D))
    tx = torch.from_numpy(x).requires_grad_()
    out = module(tx)
    (out * torch.from_numpy(weigh)).sum().backward()
    params = norm(module, value)
    close(T.layer_norm(params, x), value(out), 1e-5)
    ours = jax.grad(lambda p, x: (T.layer_norm(p, x) * weigh).sum(), (0, 1))(params, x)
    close(ours, (norm(module, gradient), gradient(tx)), 2e-5)
