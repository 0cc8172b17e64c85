"""How a language model learns from a text, and how well it predicts one.

The text is cut into streams side by side, the streams into chunks of some steps. A chunk's gradient
reaches back to its first step; the state goes on to the next chunk, and is zero again where an
epoch begins (Zaremba, Sutskever, Vinyals 2014)."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from deepseq.train.losses import cross_entropy
from deepseq.train.stream import Gradient

__all__ = [
    "Apply",
    "Chunk",
    "chunk_gradient",
    "chunks",
    "evaluate",
    "steps_per_epoch",
    "surprise",
    "zero_carry",
]

Apply = Callable[
    ..., tuple[Array, Any]
]  # (params, tokens (T, B), *, carry, key) -> (logits (T, B, V), carry)


class Chunk(NamedTuple):
    """What one step is given: the next tokens of every stream, and the tokens that follow them."""

    inputs: Array  # (T, B) int
    targets: Array  # (T, B) int
    fresh: Array  # () bool, whether the streams begin here
    key: Array  # typed PRNG key of this step alone, for dropout


def steps_per_epoch(symbols: int, batch: int, unroll: int) -> int:
    """Chunks in a text of so many symbols; ValueError where there is none."""
    steps = (symbols // batch - 1) // unroll if batch >= 1 and unroll >= 1 else 0
    if steps < 1:
        raise ValueError(
            f"{symbols} symbols are too few for {batch} streams of {unroll} steps and one more"
            " symbol each"
        )
    return steps


def chunks(symbols: np.ndarray, batch: int, unroll: int, key: Array) -> Callable[[int], Chunk]:
    """The chunk of every step, as a pure function of its number: epoch after epoch in the order of
    the text.

    Args:
      symbols: (N,) int. What is left over beyond ``batch`` equal streams, and a last piece shorter
        than ``unroll``, is unused.
      batch, unroll: B streams, T steps.
      key: of the whole training; step t has ``fold_in(key, t)``.
    """
    epoch = steps_per_epoch(len(symbols), batch, unroll)
    rows = len(symbols) // batch
    streams = np.ascontiguousarray(symbols[: rows * batch].reshape(batch, rows).T)  # (N / B, B)

    def chunk(t: int) -> Chunk:
        first = t % epoch * unroll
        inputs, targets = (streams[first + shift : first + shift + unroll] for shift in (0, 1))
        return Chunk(inputs, targets, np.asarray(first == 0), jax.random.fold_in(key, t))

    return chunk


def chunk_gradient(apply: Apply) -> Gradient:
    """The gradient of a chunk's cross-entropy, summed over its steps and averaged over its streams,
    as Zaremba et al. have it.

    Returns:
      ``(params, carry, chunk) -> ((nats per token, carry), gradient)``.
    """

    def total(params, carry, chunk: Chunk):
        carry = jax.tree.map(lambda s: jnp.where(chunk.fresh, 0, s), carry)
        logits, carry = apply(params, chunk.inputs, carry=carry, key=chunk.key)
        return surprise(logits, chunk.targets).sum(0).mean(), carry

    def gradient(params, carry, chunk: Chunk):
        (value, carry), direction = jax.value_and_grad(total, has_aux=True)(params, carry, chunk)
        return (value / chunk.inputs.shape[0], carry), direction

    return gradient


def surprise(logits: Array, targets: Array) -> Array:
    """-log p(target), nats and float32: (T, B, V), (T, B) -> (T, B)."""
    return cross_entropy(logits.reshape(-1, logits.shape[-1]), targets.reshape(-1)).reshape(
        targets.shape
    )


def zero_carry(apply: Apply, params: Any, batch: int) -> Any:
    """The state before the first token, of the net's shapes."""
    tokens = jax.ShapeDtypeStruct((1, batch), jnp.int32)
    _, carry = jax.eval_shape(lambda p, t: apply(p, t, carry=None, key=None), params, tokens)
    return jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), carry)


def evaluate(
    apply: Apply, *, streams: int = 1, unroll: int = 256
) -> Callable[[Any, np.ndarray], float]:
    """Mean nats per token over a whole text; each of its tokens but the first is predicted once.

    Args:
      apply: of a language model; nothing is dropped.
      streams: pieces that the text is cut into and that are read side by side, each from the zero
        state: faster, and a little pessimistic. With 1, every token is predicted from all that
        precede it.
      unroll: steps at a time.

    Returns:
      ``f(params, symbols (N,)) -> nats``; ValueError for fewer than two symbols.
    """

    @jax.jit
    def part(params, carry, inputs, targets, counts):
        logits, carry = apply(params, inputs, carry=carry, key=None)
        return carry, jnp.where(counts, surprise(logits, targets), 0).sum()

    def mean(params: Any, symbols: np.ndarray) -> float:
        count = len(symbols) - 1
        if count < 1:
            raise ValueError(f"evaluate: {len(symbols)} symbols leave nothing to predict")
        length = -(-count // streams)  # of a stream, but for the last
        # whole parts, all of one shape; what is beyond does not count
        rows = -(-length // unroll) * unroll
        row, first = np.arange(rows)[:, None], np.arange(streams) * length
        counts = (row < length) & (first + row < count)
        where = np.where(counts, first + row, 0)
        inputs, targets = symbols[where], symbols[where + 1]
        carry, total = zero_carry(apply, params, streams), []
        for begin in range(0, rows, unroll):
            piece = slice(begin, begin + unroll)
            carry, nats = part(params, carry, inputs[piece], targets[piece], counts[piece])
            total.append(nats)
        return float(np.sum(jax.device_get(total), dtype=np.float64) / count)

    return mean
