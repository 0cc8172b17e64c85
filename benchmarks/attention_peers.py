"""The same Transformer, and the same GRU encoder-decoder with additive attention, in flax.linen and
PyTorch.

Each constructor returns a function without arguments that takes one training step: cross-entropy of
the next token, gradient, plain gradient descent. Nothing is dropped unless a rate is given."""

import math
from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

RATE = 0.1


def cross_entropy(logits, targets):
    """Mean over all tokens, in JAX."""
    logs = jax.nn.log_softmax(logits)
    return -jnp.take_along_axis(logs, targets[..., None], -1).mean()


def jitted(apply: Callable, params, source, target, key) -> Callable:
    """A training step of ``apply(params, source, target[:, :-1], key) -> logits`` that goes on from
    its own parameters.
    """

    @jax.jit
    def step(params, key):
        g = jax.grad(lambda p: cross_entropy(apply(p, source, target[:, :-1], key), target[:, 1:]))(
            params
        )
        return jax.tree.map(lambda p, g: p - RATE * g, params, g)

    state = [params, 0]

    def call():
        state[0], state[1] = (
            jax.block_until_ready(step(state[0], jax.random.fold_in(key, state[1]))),
            state[1] + 1,
        )

    return call


class LinenSublayers(nn.Module):
    """Self-attention, attention to a memory if there is one, and the feed-forward net, each added
    and normalised.
    """

    heads: int
    hidden: int
    rate: float

    @nn.compact
    def __call__(self, x, mask, memory=None):
        size, still = x.shape[-1], self.rate == 0

        def add(x, y):
            return nn.LayerNorm(epsilon=1e-5)(x + nn.Dropout(self.rate, deterministic=still)(y))

        x = add(x, nn.MultiHeadDotProductAttention(self.heads, deterministic=True)(x, mask=mask))
        if memory is not None:
            x = add(x, nn.MultiHeadDotProductAttention(self.heads, deterministic=True)(x, memory))
        return add(x, nn.Dense(size)(nn.relu(nn.Dense(self.hidden)(x))))


class LinenTransformer(nn.Module):
    """The encoder-decoder with one embedding."""

    vocabulary: int
    layers: int
    size: int
    heads: int
    hidden: int
    rate: float

    @nn.compact
    def __call__(self, source, target):
        embedding = nn.Embed(
            self.vocabulary, self.size, embedding_init=nn.initializers.normal(self.size**-0.5)
        )
        how = (self.heads, self.hidden, self.rate)

        def read(tokens):
            x = math.sqrt(self.size) * embedding(tokens) + _positions(tokens.shape[1], self.size)
            return nn.Dropout(self.rate, deterministic=self.rate == 0)(x)

        x = read(source)
        for _ in range(self.layers):
            x = LinenSublayers(*how)(x, None)
        y, mask = read(target), nn.make_causal_mask(target)
        for _ in range(self.layers):
            y = LinenSublayers(*how)(y, mask, x)
        return embedding.attend(y)


def linen_transformer(sizes: dict, source, target) -> Callable:
    """``sizes``: vocabulary, layers, size, heads, hidden, rate."""
    net, key = LinenTransformer(**sizes), jax.random.key(0)
    params = jax.jit(net.init)(key, source[:1], target[:1, :-1])

    def apply(params, source, target, key):
        return net.apply(params, source, target, rngs={"dropout": key})

    return jitted(apply, params, source, target, key)


def torch_transformer(sizes: dict, source, target) -> Callable | None:
    """The same in PyTorch, or None without it."""
    try:
        import torch
    except ImportError:
        return None
    size, layers = sizes["size"], sizes["layers"]
    net = torch.nn.Transformer(
        size, sizes["heads"], layers, layers, sizes["hidden"], sizes["rate"], batch_first=True
    )
    net.encoder.norm = net.decoder.norm = None  # post-norm has none at the end
    embedding = torch.nn.Embedding(sizes["vocabulary"], size)
    torch.nn.init.normal_(embedding.weight, std=size**-0.5)
    source, target = (torch.from_numpy(np.array(a, np.int64)) for a in (source, target))
    positions = torch.from_numpy(np.array(_positions(max(source.shape[1], target.shape[1]), size)))
    mask = torch.nn.Transformer.generate_square_subsequent_mask(target.shape[1] - 1)
    parameters = [*net.parameters(), embedding.weight]

    def read(tokens):
        x = math.sqrt(size) * embedding(tokens) + positions[: tokens.shape[1]]
        return torch.nn.functional.dropout(x, sizes["rate"])

    def call():
        out = (
            net(read(source), read(target[:, :-1]), tgt_mask=mask, tgt_is_causal=True)
            @ embedding.weight.T
        )
        torch.nn.functional.cross_entropy(
            out.reshape(-1, out.shape[-1]), target[:, 1:].reshape(-1)
        ).backward()
        _descend(torch, parameters)

    return call


class LinenAttentive(nn.Module):
    """Bidirectional GRU encoder, additive attention, GRU decoder, maxout read-out (Bahdanau et al.
    2015).
    """

    vocabulary: int
    embedding: int
    hidden: int

    @nn.compact
    def __call__(self, source, target):
        forward, backward = (nn.RNN(nn.GRUCell(self.hidden)) for _ in range(2))
        h = nn.Bidirectional(forward, backward)(nn.Embed(self.vocabulary, self.embedding)(source))
        keys = nn.Dense(self.hidden, use_bias=False)(h)
        state = jnp.tanh(nn.Dense(self.hidden)(h[:, 0, self.hidden :]))
        words = nn.Embed(self.vocabulary, self.embedding)(target)

        class Step(nn.Module):
            hidden: int

            @nn.compact
            def __call__(self, state, word):
                e = nn.Dense(1, use_bias=False)(
                    jnp.tanh(nn.Dense(self.hidden, use_bias=False)(state)[:, None] + keys)
                )
                context = jnp.einsum("bs,bsd->bd", jax.nn.softmax(e[..., 0]), h)
                new, _ = nn.GRUCell(self.hidden)(state, jnp.concatenate([word, context], -1))
                return new, jnp.concatenate([new, context], -1)

        scan = nn.scan(
            Step, variable_broadcast="params", split_rngs={"params": False}, in_axes=1, out_axes=1
        )
        _, read = scan(self.hidden)(state, words)
        t = nn.Dense(2 * self.hidden)(jnp.concatenate([read, words], -1))
        return nn.Dense(self.vocabulary)(t.reshape(*t.shape[:-1], self.hidden, 2).max(-1))


def linen_attentive(sizes: dict, source, target) -> Callable:
    """``sizes``: vocabulary, embedding, hidden."""
    net = LinenAttentive(**sizes)
    params = jax.jit(net.init)(jax.random.key(0), source[:1], target[:1, :-1])
    return jitted(
        lambda p, s, t, key: net.apply(p, s, t), params, source, target, jax.random.key(0)
    )


def torch_attentive(sizes: dict, source, target) -> Callable | None:
    """The same in PyTorch, or None without it."""
    try:
        import torch
    except ImportError:
        return None
    vocabulary, embedding, hidden = (sizes[name] for name in ("vocabulary", "embedding", "hidden"))
    linear = torch.nn.Linear
    parts = torch.nn.ModuleDict(
        {
            "source": torch.nn.Embedding(vocabulary, embedding),
            "target": torch.nn.Embedding(vocabulary, embedding),
            "encoder": torch.nn.GRU(embedding, hidden, batch_first=True, bidirectional=True),
            "projection": linear(2 * hidden, hidden, False),
            "first": linear(hidden, hidden),
            "query": linear(hidden, hidden, False),
            "score": linear(hidden, 1, False),
            "cell": torch.nn.GRUCell(embedding + 2 * hidden, hidden),
            "maxout": linear(3 * hidden + embedding, 2 * hidden),
            "out": linear(hidden, vocabulary),
        }
    )
    source, target = (torch.from_numpy(np.array(a, np.int64)) for a in (source, target))
    parameters = list(parts.parameters())

    def call():
        h, _ = parts["encoder"](parts["source"](source))
        keys, state = parts["projection"](h), torch.tanh(parts["first"](h[:, 0, hidden:]))
        words, read = parts["target"](target[:, :-1]), []
        for t in range(words.shape[1]):
            e = parts["score"](torch.tanh(parts["query"](state)[:, None] + keys))[..., 0]
            context = torch.einsum("bs,bsd->bd", torch.softmax(e, -1), h)
            state = parts["cell"](torch.cat([words[:, t], context], -1), state)
            read.append(torch.cat([state, context, words[:, t]], -1))
        deep = parts["maxout"](torch.stack(read, 1)).unflatten(-1, (hidden, 2)).amax(-1)
        logits = parts["out"](deep)
        torch.nn.functional.cross_entropy(
            logits.reshape(-1, vocabulary), target[:, 1:].reshape(-1)
        ).backward()
        _descend(torch, parameters)

    return call


def _descend(torch, parameters) -> None:
    with torch.no_grad():
        for p in parameters:
            p -= RATE * p.grad
            p.grad = None


def _positions(steps: int, size: int) -> np.ndarray:
    angle = np.arange(steps)[:, None] / 10_000 ** (np.arange(0, size, 2) / size)
    return np.stack([np.sin(angle), np.cos(angle)], -1).reshape(steps, size).astype(np.float32)
