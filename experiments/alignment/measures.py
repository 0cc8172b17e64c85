"""What is measured inside a net of the alignment study: where its weights lie, and the gradient
that moves them.
"""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np

from deepseq.train.teaching import TeachingBatch

Weights = Callable[[Any, TeachingBatch], jax.Array]  # (params, batch) -> (N heads, B, T, S)


def masses(weights: np.ndarray, length: int) -> dict[str, np.ndarray]:
    """Where the weights of reversal lie, beside the symbol that is to be said.

    Args:
      weights: (N, B, T, S) of N heads, for sources of one length n; only n rows of T count.

    Returns:
      (N,) each, means over rows and symbols: "mass" on that symbol, "near" it, there or one beside,
      and "largest", the share of symbols that have more weight than any other.
    """
    s, t = np.arange(weights.shape[-1]), np.arange(length)[:, None]
    away = np.abs(length - 1 - t - s)  # of the symbol that is said at step t
    weights = weights[:, :, :length]
    values = {
        "mass": np.where(away == 0, weights, 0).sum(-1),
        "near": np.where(away <= 1, weights, 0).sum(-1),
        "largest": weights.argmax(-1) == length - 1 - t[:, 0],
    }
    return {name: value.mean((1, 2)) for name, value in values.items()}


def unequal_to_one(weights: np.ndarray) -> float:
    """The largest distance from 1 of a row's sum."""
    return float(np.abs(weights.sum(-1, dtype=np.float64) - 1).max())


def alignment(
    weights: Weights, params: Any, tests: Mapping[int, TeachingBatch], backwards: bool
) -> dict:
    """Where the weights of all tests lie: {"sum"} and, ``backwards``, ``masses`` (N, lengths)."""
    sums, by_length = [], []
    for n, batch in tests.items():  # one after the other: they are large
        values = np.asarray(weights(params, batch))
        sums.append(unequal_to_one(values))
        by_length.append(masses(values, n) if backwards else {})
    by_head = {name: np.transpose([each[name] for each in by_length]) for name in by_length[0]}
    return {"sum": max(sums), **by_head}


def shown(weights: Weights, params: Any, test: TeachingBatch, length: int) -> dict:
    """The first row of a test as it is drawn; its weights (N, T, S) to three digits."""
    steps = int(test.counted[0].sum())
    values = np.asarray(weights(params, test), np.float64)[:, 0, :steps, :length]
    source, answers = test.source[0, :length], test.answers[0, :steps]
    return {"source": source, "answers": answers, "weights": values.round(3)}


def decides(path: tuple) -> bool:
    """Whether a parameter does nothing but decide the weights: one of additive scores, or of
    queries and keys to the source.
    """
    names = [key.name for key in path if hasattr(key, "name")]
    return "alignment" in names or ("cross" in names and names[-1] in ("wq", "bq", "wk", "bk"))


def slopes(
    loss_and_gradient: Callable, params: Any, batch: TeachingBatch, seed: int, step: float = 1e-5
) -> dict[str, float]:
    """The slope of the loss along a direction of what ``decides`` the weights, in float64.

    The direction is a random one plus the gradient's. That sum is steep, and no error of the
    gradient is at right angles to it; so short a step meets hardly any kink of a ReLU.

    Returns:
      {"gradient", "differences"}: by backpropagation, and from the loss on either side.
    """
    rng, map_with_path = np.random.default_rng(seed), jax.tree_util.tree_map_with_path
    with jax.enable_x64(True):
        wide = jax.tree.map(lambda p: np.asarray(p, np.float64), params)
        gradient = loss_and_gradient(wide, batch)[1]
        steep = map_with_path(lambda path, g: decides(path) * np.asarray(g), gradient)
        drawn = map_with_path(lambda path, g: decides(path) * rng.normal(size=g.shape), gradient)
        along = jax.tree.map(lambda g, d: g / _norm(steep) + d / _norm(drawn), steep, drawn)
        ends = (jax.tree.map(lambda p, d, t=t: p + t * d, wide, along) for t in (step, -step))
        up, down = (float(loss_and_gradient(end, batch)[0]) for end in ends)
    slope = sum(jax.tree.leaves(jax.tree.map(lambda g, d: float((g * d).sum()), steep, along)))
    return {"gradient": slope, "differences": (up - down) / (2 * step)}


def _norm(tree: Any) -> float:
    """The Euclidean norm of all that is in a tree; 1 where all of it is 0."""
    return float(np.sqrt(sum((leaf**2).sum() for leaf in jax.tree.leaves(tree)))) or 1.0
