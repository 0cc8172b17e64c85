"""One training of the study on zip codes, a pass at a time, and what is read from the net."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from ml_collections import ConfigDict

from deepseq.data.source import Images
from deepseq.lab.jobs import Session
from deepseq.nets.blocks.inside import Probes, look
from deepseq.train.loop import Diverged
from deepseq.train.losses import misclassified
from deepseq.train.order import permutation
from deepseq.train.state import TrainState
from deepseq.train.step import Batch, init_state, train_step
from experiments.zip_codes.nets import FEATURES, build, make_optimizer, read
from experiments.zip_codes.readers import READERS, test_error

AT_ONCE = 500  # images that are tested at a time
SHOWN = 8  # test images, of those that are misread, whose answers are recorded


class Trainer:
    """Trains one net from any seed and measures it; its programs are compiled once."""

    def __init__(self, config: ConfigDict, name: str):
        """Reads the images; DataError where they are not there."""
        self.splits = read(name, config[name].data)
        self.parts = {"train": self.splits.train, "test": self.splits.test}
        self.passes, self.penalties = config[name].passes, config.probe.penalties
        images, labels = map(jnp.asarray, self.splits.train)
        batch_size = config[name].batch_size
        self.batches = len(labels) // batch_size, batch_size  # of a pass
        net, self.loss = build(name)
        optimizer = make_optimizer(name, config[name].rate, self.passes * self.batches[0])
        step = train_step(net.apply, optimizer, prepare=lambda key, images: images, loss=self.loss)
        key = jax.random.key(0)  # neither net drops anything

        def advance(state: TrainState, order: Array) -> TrainState:
            return jax.lax.scan(
                lambda s, i: (step(s, Batch(images[i], labels[i], key))[0], None), state, order
            )[0]

        def outputs(params: Any, images: Array, probes: Probes | None = None) -> Array:
            return net.apply(params, images, running=(), key=None, probes=probes)[0]

        def maps(params: Any, images: Array) -> Array:
            return look(lambda p: outputs(params, images, p).sum())[FEATURES[name]].value

        self.init_state = init_state(net.init, net.apply, optimizer, images.shape[1:])
        self.advance, self.outputs, self.maps = map(jax.jit, (advance, outputs, maps))

    def train(self, session: Session) -> dict[str, Any]:
        """One net from one seed, and its record; Diverged where the loss is no longer finite."""
        key, (count, size) = jax.random.key(session.seed), self.batches
        train, test = self.parts.values()
        state = first = self.init_state(jax.random.fold_in(key, 0))
        curve = [self.evaluate(state.params)]
        for done in range(self.passes):
            session.check(done * count)
            order = permutation(jax.random.fold_in(key, 1), done, len(train.labels))
            state = self.advance(state, order[: count * size].reshape(count, size))
            curve.append(self.evaluate(state.params))
            if not np.isfinite(curve[-1]["train loss"]):
                raise Diverged((done + 1) * count, session.tag)
            session.tick((done + 1) / self.passes)
        answers = in_batches(self.outputs, state.params, test).argmax(1)
        wrong = np.flatnonzero(answers != test.labels)[:SHOWN]
        before, after = (functools.partial(in_batches, self.maps, s.params) for s in (first, state))
        features = zip(READERS, (lambda part: part.pixels, before, after), strict=True)
        return {
            "origin": self.splits.origin,
            "images": {name: len(part.labels) for name, part in self.parts.items()},
            "curve": {name: [point[name] for point in curve] for name in curve[0]},
            "probe": {name: self.reader(of) for name, of in features},
            "wrong": {
                "images": test.pixels[wrong, ..., 0].round(3),
                "labels": test.labels[wrong],
                "answers": answers[wrong],
            },
        }

    def evaluate(self, params: Any) -> dict[str, float]:
        """% of errors and the mean loss on either part."""
        measured = {}
        for name, part in self.parts.items():
            outputs = jnp.asarray(in_batches(self.outputs, params, part))
            labels = jnp.asarray(part.labels)
            measured[f"{name} error"] = float(100 * misclassified(outputs, labels).mean())
            measured[f"{name} loss"] = float(self.loss(outputs, labels).mean())
        return measured

    def reader(self, features: Callable[[Images], np.ndarray]) -> float:
        """% of test errors of a linear reader of the features (N, ...) of images."""
        train, test = (
            (features(part).reshape(len(part.labels), -1), part.labels)
            for part in self.parts.values()
        )
        return test_error(train, test, self.penalties)


def in_batches(compute: Callable, params: Any, part: Images) -> np.ndarray:
    """``compute(params, images)`` of all images, as many at a time, so that it is compiled once.

    The last batch repeats an image.
    """
    results, count = [], len(part.pixels)
    for start in range(0, count, AT_ONCE):
        index = np.minimum(np.arange(start, start + AT_ONCE), count - 1)
        results.append(np.asarray(compute(params, part.pixels[index]))[: count - start])
    return np.concatenate(results)
