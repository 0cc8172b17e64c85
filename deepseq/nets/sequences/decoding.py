"""Writing with any encoder-decoder: the likeliest token at every step, or a search that follows
several hypotheses at once.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from deepseq.nets.blocks.net import Seq2Seq

__all__ = ["Beam", "beam_search", "greedy"]


class Beam(NamedTuple):
    """K hypotheses for each of B sources, best first; one that has no probability yet has a sum of
    -inf.
    """

    tokens: Array  # (B, K, steps) ints, the end after the end
    sums: Array  # (B, K) float32, log-probability of the whole
    lengths: Array  # (B, K) ints, the end counted
    ended: Array  # (B, K) bool
    carry: Any  # of the net, every leaf (B K, ...)


def greedy(net: Seq2Seq, params, memory, *, begin: int, end: int, steps: int) -> Array:
    """The likeliest token at every step (of equals, the first), until all sequences have ended.

    Args:
      net, params, memory: a Seq2Seq, its parameters and what its ``encode`` returned.
      begin, end: the token before the first, and the one that ends a sequence.
      steps: tokens at most.

    Returns:
      (B, steps) int32; after the end there are ends. ValueError for steps below 1 or tokens outside
      of the vocabulary.
    """
    rows, _ = _check(net, params, memory, begin, end, steps)

    def going(state):
        t, _, _, ended, _ = state
        return (t < steps) & ~ended.all()

    def step(state):
        t, tokens, token, ended, carry = state
        carry, logits = net.decode(params, memory, carry, token)
        token = jnp.where(ended, end, logits.argmax(-1)).astype(jnp.int32)
        return t + 1, tokens.at[:, t].set(token), token, ended | (token == end), carry

    tokens, token = jnp.full((rows, steps), end, jnp.int32), jnp.full(rows, begin, jnp.int32)
    first = 0, tokens, token, jnp.zeros(rows, bool), net.start(params, memory, steps)
    return jax.lax.while_loop(going, step, first)[1]


def beam_search(
    net: Seq2Seq,
    params,
    memory,
    *,
    begin: int,
    end: int,
    steps: int,
    beam: int,
    length_penalty: float = 0.6,
) -> tuple[Array, Array]:
    """The best hypotheses Y by log P(Y) / ((5 + |Y|) / 6)^alpha (Wu et al. 2016, arXiv 1609.08144,
    equation 14; no coverage).

    A hypothesis ends with the end token or has all ``steps`` tokens, and |Y| counts its tokens with
    the end. At every step all are ranked by what their score would be if they were to stop there,
    ended ones among them, and K are kept: one that has ended is lost only to K better ones. With K
    = 1 this is ``greedy``, and it is exact where K is the number of hypotheses.

    Args:
      net, params, memory, begin, end, steps: as for ``greedy``.
      beam: K.
      length_penalty: alpha; 0 ranks by probability, more favours what is longer.

    Returns:
      tokens (B, K, steps) int32, after an end ends, and scores (B, K) float32, best first.

    Raises:
      ValueError: a beam or steps below 1, tokens outside of the vocabulary, or a beam wider than
        there are hypotheses.
    """
    rows, vocabulary = _check(net, params, memory, begin, end, steps)
    count = _hypotheses(vocabulary, steps, enough=beam)
    if not 1 <= beam <= count:
        raise ValueError(
            f"beam_search: a beam of {beam}, but it must be from 1 to the {count} hypotheses"
            " there are"
        )
    each = min(beam, vocabulary)
    memory = jax.tree.map(lambda a: jnp.repeat(a, beam, axis=0), memory)
    penalties = ((5 + jnp.arange(steps + 1)) / 6) ** length_penalty

    def going(state):
        t, _, now = state
        return (t < steps) & ~now.ended.all()

    def step(state):
        t, token, now = state
        carry, logits = net.decode(params, memory, now.carry, token.reshape(-1))
        logits = logits.astype(jnp.float32)
        best, which = jax.lax.top_k(logits, each)  # no more of one hypothesis than this can be kept
        logs = best - jax.nn.logsumexp(logits, axis=-1, keepdims=True)
        logs, which = (a.reshape(rows, beam, each) for a in (logs, which))
        # what has ended goes on as itself alone
        logs = jnp.where(now.ended[..., None], jnp.where(jnp.arange(each) == 0, 0, -jnp.inf), logs)
        which = jnp.where(now.ended[..., None], end, which)
        sums = now.sums[..., None] + logs
        lengths = now.lengths + ~now.ended
        scores = sums / penalties[lengths][..., None]
        _, kept = jax.lax.top_k(scores.reshape(rows, -1), beam)
        parent = kept // each

        def of(a):
            return jnp.take_along_axis(a.reshape(rows, -1), kept, axis=1)

        def inherited(a):
            return jnp.take_along_axis(a, parent.reshape(rows, beam, *(1,) * (a.ndim - 2)), axis=1)

        token = of(which).astype(jnp.int32)
        tokens = inherited(now.tokens).at[:, :, t].set(token)
        source = (jnp.arange(rows)[:, None] * beam + parent).reshape(-1)
        carry = jax.tree.map(lambda a: a[source], carry)
        ended = inherited(now.ended) | (token == end)
        return t + 1, token, Beam(tokens, of(sums), inherited(lengths), ended, carry)

    first = Beam(
        jnp.full((rows, beam, steps), end, jnp.int32),
        jnp.full((rows, beam), -jnp.inf)
        .at[:, 0]
        .set(0),  # one empty hypothesis, from which all are
        jnp.zeros((rows, beam), jnp.int32),
        jnp.zeros((rows, beam), bool),
        net.start(params, memory, steps),
    )
    _, _, last = jax.lax.while_loop(
        going, step, (0, jnp.full((rows, beam), begin, jnp.int32), first)
    )
    return last.tokens, last.sums / penalties[last.lengths]


def _check(net, params, memory, begin, end, steps):
    """B and V, once what was asked for is found possible."""
    if steps < 1:
        raise ValueError(f"decoding: {steps} steps, but at least 1 is needed")
    rows = jax.tree.leaves(memory)[0].shape[0]

    def first(params, memory, token):
        return net.decode(params, memory, net.start(params, memory, steps), token)[1]

    logits = jax.eval_shape(first, params, memory, jax.ShapeDtypeStruct((rows,), jnp.int32))
    if not (0 <= begin < logits.shape[1] and 0 <= end < logits.shape[1]):
        raise ValueError(
            f"decoding: begin {begin} and end {end} must be in the vocabulary,"
            f" 0..{logits.shape[1] - 1}"
        )
    return logits.shape


def _hypotheses(vocabulary: int, steps: int, enough: int) -> int:
    """How many sequences end within so many steps or have all of them; counting stops at
    ``enough``.
    """
    open_, ended = 1, 0
    for _ in range(steps):
        ended, open_ = ended + open_, open_ * (vocabulary - 1)
        if ended >= enough:
            break
    return ended + open_
