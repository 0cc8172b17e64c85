"""Stochastic gradient descent with momentum as He et al. 2015 trained, and schedules of the
learning rate.
"""

from collections.abc import Sequence

import jax.numpy as jnp
import optax
from jax import Array

__all__ = ["noam", "sgd", "step_decay"]


def sgd(
    schedule: optax.ScalarOrSchedule, *, momentum: float = 0.9, decay: float = 0.0
) -> optax.GradientTransformation:
    """Momentum with the learning rate inside the velocity, as Caffe and He et al. have it.

        v := m v + lr (g + decay w)
        w := w - v

    torch and ``optax.sgd`` keep the rate outside, v := m v + g and w := w - lr v: the same while
    the rate is constant, but after a drop this form still moves by what the velocity gathered at
    the old rate.

    Args:
      schedule: learning rate, or a function of the steps taken.
      momentum: m.
      decay: of *every* parameter, those of batch normalisation and biases too, as Caffe's default
        has it.
    """
    return optax.chain(
        optax.add_decayed_weights(decay),
        optax.scale_by_learning_rate(schedule),  # -lr (g + decay w)
        optax.trace(momentum),  # -v
    )


def step_decay(
    rate: float,
    steps: int,
    *,
    drops: Sequence[float] = (0.5, 0.75),
    factor: float = 0.1,
    warmup_steps: int = 0,
    warmup_rate: float = 0.01,
) -> optax.Schedule:
    """A constant learning rate with sudden drops (He et al. 2015, section 4.2: 0.1, a tenth at 32k
    and at 48k of 64k).

    Args:
      rate: after the warm-up and before the first drop.
      steps: of the whole training.
      drops: fractions of ``steps``, in increasing order, at which the rate is multiplied by
        ``factor``.
      factor: of each drop.
      warmup_steps: the first steps, which run at ``warmup_rate`` (the paper's depth 110: about 400
        steps at 0.01).
      warmup_rate: a lower rate.

    Returns:
      steps taken (0 at the first step) -> learning rate, float32.

    Raises:
      ValueError: the warm-up and the drops do not follow one another within the training.
    """
    bounds = [warmup_steps, *(round(fraction * steps) for fraction in drops)]
    if bounds != sorted(bounds) or not 0 <= bounds[0] <= bounds[-1] <= steps:
        raise ValueError(
            f"step_decay: a warm-up of {warmup_steps} steps and drops at"
            f" {', '.join(map(str, bounds[1:])) or 'none'} are out of order in {steps} steps; let"
            " each follow the one before"
        )
    rates = [warmup_rate, *(rate * factor**k for k in range(len(bounds)))]

    def schedule(count: Array) -> Array:
        passed = jnp.sum(jnp.asarray(count) >= jnp.array(bounds))
        return jnp.array(rates, jnp.float32)[passed]

    return schedule


def noam(size: int, warmup: int) -> optax.Schedule:
    """D^-0.5 min(step^-0.5, step warmup^-1.5): up in a line, then down as the root (Vaswani et al.
    2017, equation 3).

    Args:
      size: D of the model.
      warmup: steps until the peak, (D warmup)^-0.5.

    Returns:
      steps taken -> learning rate, float32. The paper counts steps from 1, so this is its rate at
      one more than were taken.

    Raises:
      ValueError: a size or a warm-up below 1.
    """
    if min(size, warmup) < 1:
        raise ValueError(f"noam: size {size} and a warm-up of {warmup} steps must be at least 1")

    def schedule(count: Array) -> Array:
        step = jnp.asarray(count, jnp.float32) + 1
        return size**-0.5 * jnp.minimum(step**-0.5, step * warmup**-1.5)

    return schedule
