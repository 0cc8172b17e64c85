"""What is looked at in a net of the alignment study: where its weights lie, and the gradient that
moves them.
"""

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from experiments.alignment.tasks import Batch
from experiments.alignment.training import Programs


def masses(weights: np.ndarray, length: int) -> dict[str, np.ndarray]:
    """Where the weights of reversal lie, beside the symbol that is to be said.

    Args:
      weights: (N, B, T, S) of N heads, for sources of one length n; the rows beyond the n symbols
        are left out.

    Returns:
      (N,) each, means over rows and symbols: "mass" on that symbol, "near" it, there or one beside,
      and "largest", the share of symbols that have more weight than any other.
    """
    s, t = np.arange(weights.shape[-1]), np.arange(length)[:, None]
    away = np.abs(length - 1 - t - s)  # of the symbol that is said at step t
    own = weights[:, :, :length]
    found = {
        name: np.where(away <= most, own, 0).sum(-1) for name, most in (("mass", 0), ("near", 1))
    }
    found["largest"] = own.argmax(-1) == length - 1 - t[:, 0]
    return {name: values.mean((1, 2)) for name, values in found.items()}


def unequal_to_one(weights: np.ndarray) -> float:
    """The largest distance from 1 of a row's sum."""
    return float(np.abs(weights.sum(-1, dtype=np.float64) - 1).max())


def alignment(own: Programs, params: Any, tests: Mapping[int, Batch], *, backwards: bool) -> dict:
    """What the heads look at in the tests of every length: {"sum"} and, ``backwards``, ``masses``."""
    sums, of_length = [], []
    for n, batch in tests.items():  # one after the other: they are large
        weights = np.asarray(own.look(params, batch))
        sums.append(unequal_to_one(weights))
        of_length += [masses(weights, n)] if backwards else []
    record = {"sum": max(sums)}
    if backwards:
        record |= {
            name: np.transpose([values[name] for values in of_length]) for name in of_length[0]
        }  # (N, L)
    return record


def shown(own: Programs, params: Any, test: Batch, length: int) -> dict:
    """The first row of a test as it is drawn: what was read, written and looked at (N heads, T, S),
    three digits of it.
    """
    steps = int(test.counted[0].sum())
    weights = np.asarray(own.look(params, test), np.float64)[:, 0, :steps, :length]
    return {
        "source": test.source[0, :length],
        "answers": test.answers[0, :steps],
        "weights": weights.round(3),
    }


def decides(path: tuple) -> bool:
    """Whether a parameter does nothing but decide the weights: one of additive scores, or of
    queries and keys to the source.
    """
    names = [key.name for key in path if hasattr(key, "name")]
    return "alignment" in names or ("cross" in names and names[-1] in ("wq", "bq", "wk", "bk"))


def slopes(
    own: Programs, params: Any, batch: Batch, seed: int, step: float = 1e-5
) -> dict[str, float]:
    """The slope of the loss along a direction of what ``decides`` the weights, in float64: a random
    one plus the gradient's.

    That sum is steep, and no error of the gradient is at right angles to it; so short a step meets
    hardly any kink of a ReLU.

    Returns:
      {"gradient", "differences"}: by backpropagation through the softmax, and from the loss on
      either side.
    """
    rng = np.random.default_rng(seed)
    with jax.enable_x64(True):
        wide = jax.tree.map(lambda p: np.asarray(p, np.float64), params)
        gradient = own.gradient(wide, batch)[1]
        steep = jax.tree_util.tree_map_with_path(
            lambda path, g: decides(path) * np.asarray(g), gradient
        )
        drawn = jax.tree_util.tree_map_with_path(
            lambda path, g: decides(path) * rng.normal(size=g.shape), gradient
        )
        along = jax.tree.map(lambda g, d: g / _norm(steep) + d / _norm(drawn), steep, drawn)
        up, down = (jax.tree.map(lambda p, d, t=t: p + t * d, wide, along) for t in (step, -step))
        difference = float(own.gradient(up, batch)[0]) - float(own.gradient(down, batch)[0])
    slope = sum(
        float((g * d).sum())
        for g, d in zip(jax.tree.leaves(steep), jax.tree.leaves(along), strict=True)
    )
    return {"gradient": slope, "differences": difference / (2 * step)}


def _norm(tree: Any) -> float:
    """The Euclidean norm of all that is in a tree; 1 where all of it is 0."""
    return float(np.sqrt(sum((leaf**2).sum() for leaf in jax.tree.leaves(tree)))) or 1.0
