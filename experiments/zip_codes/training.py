"""One training of the study on zip codes, a pass at a time, and linear readers fitted to what the
net sees.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from ml_collections import ConfigDict

from deepseq.nets.blocks.inside import look
from deepseq.train.loop import Diverged, Interrupted
from deepseq.train.losses import misclassified
from deepseq.train.order import permutation
from deepseq.train.state import TrainState
from deepseq.train.step import Batch, init_state, train_step
from experiments.zip_codes.nets import FEATURES, Part, Problem

AT_ONCE = 500  # images that are tested at a time
SHOWN = 8  # test images, of those that are misread, whose answers are recorded


def train(
    config: ConfigDict, given: Problem, tag: dict[str, Any], stopping: Callable[[], bool]
) -> dict[str, Any]:
    """Trains from the beginning and returns the record of the log, without its tag.

    Raises:
      Interrupted: ``stopping`` said so. Diverged: the loss is no longer finite.
    """
    key, own = jax.random.key(tag["seed"]), given.own
    per_pass = len(given.train.labels) // own.batch_size
    initial, advance = _programs(given, per_pass)
    state = first = initial(jax.random.fold_in(key, 0))
    curve = [_tested(given, state.params)]
    for done in range(own.passes):
        if stopping():
            raise Interrupted(done * per_pass, tag)
        order = permutation(jax.random.fold_in(key, 1), done, len(given.train.labels))
        state = advance(state, order[: per_pass * own.batch_size].reshape(per_pass, own.batch_size))
        curve.append(_tested(given, state.params))
        if not np.isfinite(curve[-1]["train"]["loss"]):
            raise Diverged((done + 1) * per_pass, tag)
    answers = _answers(given, state.params, given.test)
    wrong = np.flatnonzero(answers != given.test.labels)
    readers = {"pixels": lambda part: part.images.reshape(len(part.images), -1)}
    readers |= {
        name: functools.partial(_features, given, tag["net"], s.params)
        for name, s in (("maps before training", first), ("maps", state))
    }
    return {
        "origin": given.origin,
        "images": {"train": len(given.train.labels), "test": len(given.test.labels)},
        "curve": {
            f"{part} {what}": [point[part][what] for point in curve]
            for part in curve[0]
            for what in ("error", "loss")
        },
        "probe": {
            name: probe(
                read(given.train),
                given.train.labels,
                read(given.test),
                given.test.labels,
                config.probe.penalties,
            )
            for name, read in readers.items()
        },
        "wrong": {
            "images": given.test.images[wrong[:SHOWN], ..., 0].round(3),
            "labels": given.test.labels[wrong[:SHOWN]],
            "answers": answers[wrong[:SHOWN]],
        },
    }


def probe(
    x: np.ndarray,
    labels: np.ndarray,
    test: np.ndarray,
    test_labels: np.ndarray,
    penalties: Sequence[float],
) -> float:
    """% of test errors of ridge regression to 1 for the class and -1 for the others, with an
    intercept.

    Args:
      x, test: (N, D) features, which are scaled by the training part's mean and deviation over all
        of them.
      labels, test_labels: (N,).
      penalties: of which the one with the fewest errors on the last fifth of the training part is
        taken.
    """
    centre, scale = x.mean(0), x.std() + 1e-12
    x, test = (
        np.concatenate([(a - centre) / scale, np.ones((len(a), 1), np.float32)], 1)
        for a in (x, test)
    )
    cut = len(x) * 4 // 5
    products = _products(x[:cut], labels[:cut])
    errors = [_ridge_error(products, penalty, x[cut:], labels[cut:]) for penalty in penalties]
    return _ridge_error(_products(x, labels), penalties[int(np.argmin(errors))], test, test_labels)


def _products(x: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """x^T x / N and x^T y / N."""
    targets = np.where(labels[:, None] == np.arange(10), np.float32(1), np.float32(-1))
    return (x.T @ x).astype(np.float64) / len(x), (x.T @ targets).astype(np.float64) / len(x)


def _ridge_error(
    products: tuple[np.ndarray, np.ndarray], penalty: float, test: np.ndarray, labels: np.ndarray
) -> float:
    w = np.linalg.solve(products[0] + penalty * np.eye(len(products[0])), products[1])
    return float(100 * np.mean((test @ w.astype(np.float32)).argmax(1) != labels))


def _programs(given: Problem, per_pass: int) -> tuple[Callable, Callable]:
    optimizer = given.optimizer(given.own.passes * per_pass)
    step = train_step(
        given.net.apply, optimizer, prepare=lambda key, images: images, loss=given.loss
    )
    images, labels = map(jnp.asarray, given.train)
    key = jax.random.key(0)  # neither net drops anything

    @jax.jit
    def advance(state: TrainState, order: Array) -> TrainState:
        return jax.lax.scan(
            lambda s, i: (step(s, Batch(images[i], labels[i], key))[0], None), state, order
        )[0]

    return init_state(given.net.init, given.net.apply, optimizer, images.shape[1:]), advance


def _tested(given: Problem, params: Any) -> dict[str, dict[str, float]]:
    """% of errors and the mean loss on either part."""
    found = {}
    for name, part in (("train", given.train), ("test", given.test)):
        outputs, labels = _outputs(given, params, part), jnp.asarray(part.labels)
        found[name] = {
            "error": float(100 * misclassified(outputs, labels).mean()),
            "loss": float(given.loss(outputs, labels).mean()),
        }
    return found


def _answers(given: Problem, params: Any, part: Part) -> np.ndarray:
    return np.asarray(_outputs(given, params, part).argmax(1))


def _outputs(given: Problem, params: Any, part: Part) -> Array:
    return jnp.asarray(
        _in_batches(lambda images: _apply(given.net.apply, params, images), part.images)
    )


def _features(given: Problem, name: str, params: Any, part: Part) -> np.ndarray:
    """The last maps (N, D) of a net with these parameters."""
    maps = _in_batches(
        lambda images: _look(given.net.apply, FEATURES[name], params, images), part.images
    )
    return maps.reshape(len(maps), -1)


def _in_batches(compute: Callable[[np.ndarray], Array], images: np.ndarray) -> np.ndarray:
    """``compute`` of all images, always as many at a time, so that it is compiled once; the last
    batch repeats an image.
    """
    parts = []
    for start in range(0, len(images), AT_ONCE):
        index = np.minimum(np.arange(start, start + AT_ONCE), len(images) - 1)
        parts.append(np.asarray(compute(images[index]))[: len(images) - start])
    return np.concatenate(parts)


@functools.partial(jax.jit, static_argnums=0)
def _apply(apply: Callable, params: Any, images: Array) -> Array:
    return apply(params, images, running=(), key=None)[0]


@functools.partial(jax.jit, static_argnums=(0, 1))
def _look(apply: Callable, name: tuple, params: Any, images: Array) -> Array:
    return look(lambda probes: apply(params, images, running=(), key=None, probes=probes)[0].sum())[
        name
    ].value
