"""The train step of sequence losses, scan-typed: (state, batch) -> (state, metrics), whatever
becomes of the numbers.

Recurrent nets diverge, and how often is a result. So nothing is raised here, nothing skipped and
nothing repaired: ``finite`` says of every step whether its loss and its gradient were finite. A
step that was not makes the parameters NaN, and all that follow are not finite either; the first of
them is where the run ended (``ended``)."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from deepseq.train.state import State

__all__ = ["Gradient", "Loss", "Step", "clipped", "ended", "gradient_step", "sequence_step"]

Loss = Callable[
    [Any, Any], tuple[Array, dict[str, Array]]
]  # (params, batch) -> (scalar, further metrics)
Gradient = Callable[
    [Any, Any], tuple[tuple[Array, dict[str, Array]], Any]
]  # what jax.value_and_grad of a Loss returns
Step = Callable[[State, Any], tuple[State, dict[str, Array]]]


def sequence_step(loss: Loss, optimizer: optax.GradientTransformation) -> Step:
    """One step down the gradient of ``loss``, a pure function for ``jit``, ``vmap`` over stacked
    runs and ``lax.scan``.

    Args:
      loss: ``(params, batch) -> (value, metrics)``, value a scalar and metrics a dict of whatever
        else is to be recorded.
      optimizer: an optax transformation, for example ``clipped(optax.adam(1e-3), 1.0)``.

    Returns:
      ``step(state, batch) -> (state, {"loss", "gradient_norm", "finite", **metrics})``: the loss
      before the update, the global norm of its gradient before any clipping, float32, and whether
      both are finite, bool.
    """
    return gradient_step(jax.value_and_grad(loss, has_aux=True), optimizer)


def gradient_step(gradient: Gradient, optimizer: optax.GradientTransformation) -> Step:
    """``sequence_step`` along another direction than the gradient of the loss: a truncated one, or
    with a regulariser's.

    Args:
      gradient: ``(params, batch) -> ((value, metrics), direction)``, the direction of the
        parameters' structure.
      optimizer: an optax transformation.
    """

    def step(state: State, batch: Any) -> tuple[State, dict[str, Array]]:
        (value, metrics), direction = gradient(state.params, batch)
        norm = optax.tree.norm(direction)
        finite = jnp.isfinite(value) & jnp.isfinite(norm)
        known = {"loss": value, "gradient_norm": norm, "finite": finite}
        return state.update(direction, optimizer), known | metrics

    return step


def clipped(
    optimizer: optax.GradientTransformation, threshold: float | Array
) -> optax.GradientTransformation:
    """The optimizer on gradients of a global norm of at most ``threshold`` (Pascanu et al. 2013,
    algorithm 1).

    A threshold of infinity clips nothing. A gradient that is not finite has no direction to keep:
    it stays not finite. ValueError for a threshold that is not above 0, unless it is traced.
    """
    if not isinstance(threshold, jax.core.Tracer) and not np.all(np.asarray(threshold) > 0):
        raise ValueError(f"clipped: the threshold is {threshold}, but it must be above 0")
    return optax.chain(optax.clip_by_global_norm(threshold), optimizer)


def ended(finite: np.ndarray) -> int | None:
    """Steps (T,) that were taken before the first that was not finite; None where all are."""
    finite = np.asarray(finite, bool)
    return None if finite.all() else int(finite.argmin())
