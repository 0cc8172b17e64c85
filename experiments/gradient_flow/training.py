"""The trained part of the gradient-flow study: a tanh RNN on the temporal order task, by three ways
of taking a step.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jax import Array
from ml_collections import ConfigDict

from deepseq.data import tasks
from deepseq.lab.jobs import Session
from deepseq.nets.recurrent import RNN, orthogonal, rnn_cell, rnn_init, unroll
from deepseq.train.loop import Diverged
from deepseq.train.losses import cross_entropy, misclassified
from deepseq.train.state import State
from deepseq.train.step import jit_step
from experiments.gradient_flow import measures

# plain; clipped; clipped and regularised, as Pascanu et al. 2013 call them
ARMS = ("SGD", "SGD-C", "SGD-CR")


class Classifier(NamedTuple):
    """An RNN whose last state is read out."""

    rnn: RNN
    w: Array  # (H, 4)
    b: Array  # (4,)


class Recipe(NamedTuple):
    """What tells the arms apart: numbers, so that one program trains them all."""

    clip: Array  # threshold of the gradient's norm; infinite for none
    alpha: Array  # weight of the regulariser; 0 for none


@struct.dataclass
class ArmState(State):
    """A state that carries the recipe it follows; plain descent keeps nothing of an optimizer."""

    recipe: Recipe
    norms: Array  # (every,) of the last gradients, before they were clipped


class Pass(NamedTuple):
    """One forward and backward pass."""

    loss: Array  # (), nats
    error: Array  # (), share of wrong answers
    states: Array  # (T, B, H)
    gradients: Array  # (T, B, H), dL/dh_t, where L is the sum of the losses of the sequences


def start(config: ConfigDict) -> Callable[[Array, Recipe], ArmState]:
    """``f(key, recipe)``, the state at step 0; jitted, so that no two arrays share a buffer."""
    train = config.train

    def small(key, shape):
        return 0.1 * jax.random.normal(key, shape)

    @jax.jit
    def state(key: Array, recipe: Recipe) -> ArmState:
        rnn_key, read_key = jax.random.split(key)
        recurrence = orthogonal(train.radius)
        rnn = rnn_init(
            rnn_key, tasks.ORDER_SYMBOLS, train.hidden, inputs=small, recurrence=recurrence
        )
        w = small(read_key, (train.hidden, tasks.ORDER_CLASSES))
        params = Classifier(rnn, w, jnp.zeros(tasks.ORDER_CLASSES))
        step, norms = jnp.zeros((), jnp.int32), jnp.zeros(config.measure.every)
        return ArmState(step, params, (), recipe, norms)

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


def see(params: Classifier, batch: tasks.Order) -> tuple[Pass, Classifier]:
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
    return Pass(loss, error, states, count * gradient[1]), gradient[0]


def omega(wh: Array, seen: Pass) -> Array:
    """Pascanu's regulariser as a function of the recurrent weights alone; tanh' = 1 - tanh^2."""
    return measures.omega(wh, 1 - jnp.square(seen.states), seen.gradients)


def step(config: ConfigDict) -> Callable[[ArmState, tasks.Order], tuple[ArmState, dict]]:
    """Gradient descent, w := w - lr clip(dL/dw + alpha dOmega/dw); metrics are from before it."""

    def take(state: ArmState, batch: tasks.Order) -> tuple[ArmState, dict[str, Array]]:
        params, (threshold, alpha) = state.params, state.recipe
        forward, gradient = see(params, batch)
        towards = jax.grad(omega)(params.rnn.wh, forward)
        # where: what has diverged in Omega is nothing to plain SGD
        added = jnp.where(alpha > 0, alpha * towards, 0)
        rnn = gradient.rnn._replace(wh=gradient.rnn.wh + added)
        gradient, norm = measures.clip(gradient._replace(rnn=rnn), threshold)
        params = jax.tree.map(lambda p, g: p - config.train.learning_rate * g, params, gradient)
        norms = state.norms.at[state.step % len(state.norms)].set(norm)
        metrics = {"loss": forward.loss, "error": forward.error}
        return state.replace(step=state.step + 1, params=params, norms=norms), metrics

    return take


class Trainer:
    """Trains an arm from any seed; compiled once."""

    def __init__(self, config: ConfigDict):
        self.config, self._start, self._step = config, start(config), jit_step(step(config))

    def train(self, session: Session) -> dict:
        """One arm from one seed, looked at before, during and after; a diverged run ends there."""
        config, steps = self.config, self.config.train.steps
        see_inside = look(config, session.seed)

        def observe(state: ArmState) -> dict:
            now = int(state.step)
            record = {"gradient_norm": float(state.norms.max())} if now else {}
            if now % config.measure.look_every == 0 or now == steps:
                record["look"] = see_inside(state)
            return record

        try:
            session.fit(
                self._step,
                self._start(jax.random.key(session.seed), recipe(config, session.tag["arm"])),
                batches(config, session.seed),
                steps=steps,
                every=config.measure.every,
                save_every=config.measure.save_every,
                observe=observe,
                look_first=True,
            )
        except Diverged as error:
            return {"step": error.step, "final": True, "diverged": error.step}
        return {}


def look(config: ConfigDict, seed: int) -> Callable[[ArmState], dict[str, Any]]:
    """What held-out sequences show of a net: its error, Omega, and |dL/dh_t| by lag, 0 to T - 1.

    The gradient is one sequence's: the geometric mean over the sequences, as log10.
    """
    rng = np.random.default_rng([seed, 3])
    held_out = tasks.order(rng, config.measure.sequences, config.train.lag)

    def observe(state: ArmState) -> dict[str, Any]:
        forward, regulariser = jax.device_get(_look(state.params, held_out))
        norms = np.linalg.norm(forward.gradients[::-1].astype(np.float64), axis=-1)
        with np.errstate(divide="ignore"):
            by_lag = np.round(np.log10(norms).mean(axis=1), 3)
        radius = measures.spectral_radius(np.asarray(state.params.rnn.wh))
        return {"error": forward.error, "omega": regulariser, "radius": radius, "by_lag": by_lag}

    return observe


@jax.jit
def _look(params: Classifier, batch: tasks.Order) -> tuple[Pass, Array]:
    forward, _ = see(params, batch)
    return forward, omega(params.rnn.wh, forward)
