"""The trained part of the gradient-flow study: a tanh RNN on the temporal order task, by three ways
of taking a step.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from ml_collections import ConfigDict

from deepseq.data import tasks
from deepseq.nets.recurrent import RNN, orthogonal, rnn_cell, rnn_init, unroll
from deepseq.train.losses import cross_entropy, misclassified
from experiments.gradient_flow import measures

ARMS = (
    "SGD",
    "SGD-C",
    "SGD-CR",
)  # plain; clipped; clipped and regularised, as Pascanu et al. 2013 call them


class Classifier(NamedTuple):
    """An RNN whose last state is read out."""

    rnn: RNN
    w: Array  # (H, 4)
    b: Array  # (4,)


class Recipe(NamedTuple):
    """What tells the arms apart: numbers, so that one program trains them all."""

    clip: Array  # threshold of the gradient's norm; infinite for none
    alpha: Array  # weight of the regulariser; 0 for none


class State(NamedTuple):
    """What a step changes, and the recipe it follows."""

    step: Array  # () int32
    params: Classifier
    recipe: Recipe
    norms: Array  # (every,) of the last gradients, before they were clipped


class Seen(NamedTuple):
    """One forward and backward pass."""

    loss: Array  # (), nats
    error: Array  # (), share of wrong answers
    states: Array  # (T, B, H)
    gradients: Array  # (T, B, H), dL/dh_t, where L is the sum of the losses of the sequences


def initial(config: ConfigDict) -> Callable[[Array, Recipe], State]:
    """``f(key, recipe) -> State`` at step 0; jitted, so that no two arrays of it share a buffer."""
    train = config.train

    def small(key, shape):
        return 0.1 * jax.random.normal(key, shape)

    @jax.jit
    def state(key: Array, recipe: Recipe) -> State:
        rnn_key, read_key = jax.random.split(key)
        recurrence = orthogonal(train.radius)
        rnn = rnn_init(
            rnn_key, tasks.ORDER_SYMBOLS, train.hidden, inputs=small, recurrence=recurrence
        )
        params = Classifier(
            rnn,
            small(read_key, (train.hidden, tasks.ORDER_CLASSES)),
            jnp.zeros(tasks.ORDER_CLASSES),
        )
        return State(jnp.zeros((), jnp.int32), params, recipe, jnp.zeros(config.measure.every))

    return state


def recipe(config: ConfigDict, arm: str) -> Recipe:
    """The numbers of one arm."""
    clip = float("inf") if arm == "SGD" else config.train.clip
    return Recipe(np.float32(clip), np.float32(config.train.alpha if arm == "SGD-CR" else 0))


def batches(config: ConfigDict, seed: int) -> Callable[[int], tasks.Order]:
    """t -> the batch of iteration t, the same for every arm."""
    return lambda t: tasks.order(
        np.random.default_rng([seed, 2, t]), config.train.batch_size, config.train.lag
    )


def see(params: Classifier, batch: tasks.Order) -> tuple[Seen, Classifier]:
    """One pass over a batch, and the gradient of its mean loss with respect to the parameters.

    dL/dh_t is the gradient with respect to a nudge: zeros that are added to h_t.
    """
    xs = jax.nn.one_hot(batch.xs, tasks.ORDER_SYMBOLS)
    steps, count = batch.xs.shape
    zero = jnp.zeros((count, params.w.shape[0]))

    def nudged(params, h, inputs):
        x, nudge = inputs
        h = rnn_cell(params, h, x)[0] + nudge
        return h, h

    def mean_loss(params: Classifier, nudges: Array):
        last, states = unroll(nudged, params.rnn, zero, (xs, nudges))
        logits = last @ params.w + params.b
        loss, error = (
            cross_entropy(logits, batch.targets).mean(),
            misclassified(logits, batch.targets).mean(),
        )
        return loss, (loss, error, states)

    gradient, (loss, error, states) = jax.grad(mean_loss, argnums=(0, 1), has_aux=True)(
        params, jnp.zeros((steps, *zero.shape))
    )
    return Seen(loss, error, states, count * gradient[1]), gradient[0]


def omega(wh: Array, seen: Seen) -> Array:
    """Pascanu's regulariser as a function of the recurrent weights alone; tanh' = 1 - tanh^2."""
    return measures.omega(wh, 1 - jnp.square(seen.states), seen.gradients)


def step(config: ConfigDict) -> Callable[[State, tasks.Order], tuple[State, dict[str, Array]]]:
    """One step of gradient descent: w := w - lr clip(dL/dw + alpha dOmega/dw); metrics are from
    before it.
    """

    def take(state: State, batch: tasks.Order) -> tuple[State, dict[str, Array]]:
        params, (threshold, alpha) = state.params, state.recipe
        seen, gradient = see(params, batch)
        towards = jax.grad(omega)(params.rnn.wh, seen)
        added = jnp.where(
            alpha > 0, alpha * towards, 0
        )  # where: what has diverged in Omega is nothing to plain SGD
        rnn = gradient.rnn._replace(wh=gradient.rnn.wh + added)
        gradient, norm = measures.clip(gradient._replace(rnn=rnn), threshold)
        params = jax.tree.map(lambda p, g: p - config.train.learning_rate * g, params, gradient)
        norms = state.norms.at[state.step % len(state.norms)].set(norm)
        return State(state.step + 1, params, state.recipe, norms), {
            "loss": seen.loss,
            "error": seen.error,
        }

    return take


def look(config: ConfigDict, seed: int) -> Callable[[State], dict[str, Any]]:
    """What a look at a net on held-out sequences shows: its error, Omega, and |dL/dh_t| by lag,
    from 0 to T - 1.

    The gradient is one sequence's: the geometric mean over the sequences, as log10.
    """
    held_out = tasks.order(
        np.random.default_rng([seed, 3]), config.measure.sequences, config.train.lag
    )

    def observe(state: State) -> dict[str, Any]:
        seen, regulariser = jax.device_get(_look(state.params, held_out))
        with np.errstate(divide="ignore"):
            by_lag = np.log10(
                np.linalg.norm(seen.gradients[::-1].astype(np.float64), axis=-1)
            ).mean(axis=1)
        radius = measures.spectral_radius(np.asarray(state.params.rnn.wh))
        return {
            "error": seen.error,
            "omega": regulariser,
            "radius": radius,
            "by_lag": np.round(by_lag, 3),
        }

    return observe


@jax.jit
def _look(params: Classifier, batch: tasks.Order) -> tuple[Seen, Array]:
    seen, _ = see(params, batch)
    return seen, omega(params.rnn.wh, seen)
