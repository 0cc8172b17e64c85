"""Recurrent language models: p(next token | all tokens so far) (Mikolov et al. 2010; Zaremba,
Sutskever, Vinyals 2014).

Time-major, and the logits of step t are those of token t + 1.

    net                parameters, vocabulary of 10 000 (untied, one bias per gate)
    small()             4 651 600
    medium()           19 775 200
    large()            66 022 000
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from deepseq.nets import recurrent
from deepseq.nets.blocks.embedding import look_up
from deepseq.nets.blocks.initialise import dense_init, table_init, uniform_everywhere
from deepseq.nets.blocks.inside import Probes, probe
from deepseq.nets.blocks.layers import Dense, dense
from deepseq.nets.blocks.net import LanguageModel, check_sizes, split
from deepseq.nets.recurrent.layers import GRU_LAYER, LSTM_LAYER, RNN_LAYER, Recurrence

__all__ = [
    "GRU",
    "LSTM",
    "RNN",
    "RecurrentLM",
    "Tied",
    "language_model",
    "large",
    "medium",
    "sample",
    "small",
]


RNN, LSTM, GRU = RNN_LAYER, LSTM_LAYER, GRU_LAYER


class Tied(NamedTuple):
    """A softmax whose weights are the embedding's (Press, Wolf 2017; Inan et al. 2017)."""

    b: Array  # (V,)


class RecurrentLM(NamedTuple):
    """Parameters of a language model."""

    embedding: Array  # (V, E)
    layers: tuple  # RNN, LSTM or GRU of each level: the lowest of E inputs, the others of H
    softmax: Dense | Tied  # (H, V) and (V,)


def language_model(
    vocabulary: int,
    recurrence: Recurrence = LSTM,
    *,
    embedding: int,
    hidden: int,
    layers: int = 1,
    dropout: float = 0.0,
    tied: bool = False,
) -> LanguageModel:
    """Embedding, stacked recurrent layers and a softmax, with dropout on all connections but the
    recurrent ones.

    Args:
      vocabulary: V, tokens.
      recurrence: ``LSTM``, ``GRU``, ``RNN`` or another.
      embedding, hidden, layers: E, H and the number of levels.
      dropout: rate at the embedding's, between the levels' and at the softmax's input (Zaremba et
        al. 2014, figure 2).
      tied: the softmax has the embedding's weights, which asks for E = H.

    Returns:
      LanguageModel. ``probes`` sees ("level", 0), the embedded tokens, and ("level", l), the
      outputs of the l-th level. The embedding is drawn from U(-1/sqrt(E), 1/sqrt(E)), softmax
      weights from U(-1/sqrt(H), 1/sqrt(H)), its bias is 0.

    Raises:
      ValueError: a size below 1, a rate outside 0..1, or tied sizes that differ. ``apply``: tokens
        that are not (T, B) integers in 0..V-1 (under ``jit`` such a token makes its outputs NaN),
        or a carry that does not fit.
    """
    sizes = {"vocabulary": vocabulary, "embedding": embedding, "hidden": hidden, "layers": layers}
    check_sizes("language_model", **sizes)
    if tied and embedding != hidden:
        raise ValueError(
            f"language_model: tied weights need embedding = hidden, not {embedding} and {hidden}"
        )
    drop = recurrent.each_step(dropout)
    stacked = recurrent.stack(recurrence.layer, drop)

    def init(key: Array) -> RecurrentLM:
        first, last, *keys = jax.random.split(key, layers + 2)
        sizes = [embedding] + layers * [hidden]
        levels = tuple(
            recurrence.init(k, d, h) for k, d, h in zip(keys, sizes[:-1], sizes[1:], strict=True)
        )
        softmax = Tied(jnp.zeros(vocabulary)) if tied else dense_init(last, hidden, vocabulary)
        return RecurrentLM(table_init(first, vocabulary, embedding), levels, softmax)

    def apply(
        params: RecurrentLM,
        tokens: Array,
        *,
        carry,
        key: Array | None,
        probes: Probes | None = None,
    ) -> tuple[Array, tuple]:
        keys = split(key, 3)
        xs = probe(probes, ("level", 0), look_up(params.embedding, tokens, "TB"))
        xs = drop(keys[0], xs)
        carry, ys = stacked(params.layers, xs, carry, key=keys[1], probes=probes)
        softmax = Dense(params.embedding.T, params.softmax.b) if tied else params.softmax
        return dense(softmax, drop(keys[2], ys)), carry

    return LanguageModel(init, apply)


def small(vocabulary: int = 10_000) -> LanguageModel:
    """The small net of Zaremba et al. 2014: two levels of 200 units, no dropout, parameters from
    U(-0.1, 0.1).
    """
    return _zaremba(vocabulary, 200, 0.0, 0.1)


def medium(vocabulary: int = 10_000) -> LanguageModel:
    """Their medium net: two levels of 650 units, half dropped, parameters from U(-0.05, 0.05)."""
    return _zaremba(vocabulary, 650, 0.5, 0.05)


def large(vocabulary: int = 10_000) -> LanguageModel:
    """Their large net: two levels of 1500 units, 65 % dropped, parameters from U(-0.04, 0.04)."""
    return _zaremba(vocabulary, 1500, 0.65, 0.04)


def _zaremba(vocabulary: int, units: int, dropout: float, bound: float) -> LanguageModel:
    net = language_model(vocabulary, LSTM, embedding=units, hidden=units, layers=2, dropout=dropout)
    return net._replace(init=uniform_everywhere(net.init, bound))


def sample(
    apply: Callable, params, prompt: Array, key: Array, *, length: int, temperature: float = 1.0
) -> Array:
    """Tokens drawn one by one, each from softmax(logits / temperature) given the prompt and all
    drawn before it.

    Args:
      apply, params: of a language model.
      prompt: (T,) integers, at least one.
      key: PRNG key; token n is drawn with ``fold_in(key, n)``, so a longer sample begins with a
        shorter one.
      length: tokens to draw.
      temperature: above 0; towards 0 the likeliest token is taken.

    Returns:
      (length,) int32. ValueError for an empty prompt, a length below 1 or a temperature of 0 or
      less.
    """
    if prompt.ndim != 1 or not prompt.size or length < 1 or not temperature > 0:
        given = f"prompt {prompt.shape}, length {length}, temperature {temperature}"
        raise ValueError(
            f"sample: {given}, but a prompt (T,) and a length of at least 1 are needed, and a"
            " temperature above 0"
        )
    logits, carry = apply(params, prompt[:, None], carry=None, key=None)

    def step(state, n):
        carry, logits = state
        token = jax.random.categorical(jax.random.fold_in(key, n), logits / temperature)
        logits, carry = apply(params, token.reshape(1, 1), carry=carry, key=None)
        return (carry, logits[0, 0]), token

    return jax.lax.scan(step, (carry, logits[-1, 0]), jnp.arange(length))[1].astype(jnp.int32)
