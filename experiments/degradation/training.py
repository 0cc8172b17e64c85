"""The nets and data of the degradation study, and one training of it."""

import functools
from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
from jax import Array
from ml_collections import ConfigDict

from deepseq.data import cifar10, digits
from deepseq.data.source import Splits
from deepseq.lab.errors import UsageError
from deepseq.lab.jobs import Session
from deepseq.nets.blocks.net import Classifier
from deepseq.nets.images import resnet
from deepseq.train.augment import normalise, pad_crop_flip
from deepseq.train.devices import data_parallel
from deepseq.train.optimizers import sgd, step_decay
from deepseq.train.order import batches
from deepseq.train.state import TrainState
from deepseq.train.step import evaluate, init_state, train_step
from experiments.degradation import measures

READERS = {"digits": digits.load, "cifar10": cifar10.load}
FLIPPED = ("cifar10",)  # a mirrored truck is a truck, a mirrored digit is none


def build(config: ConfigDict) -> Mapping[str, Classifier]:
    """The nets by name, such as plain-20 and resnet-56; UsageError if they are not to be had."""
    channels = 3 if config.data.name == "cifar10" else 1
    sizes = {"width": config.net.width, "in_channels": channels}
    try:
        return {
            f"{kind}-{depth}": resnet.cifar(depth, kind == "resnet", config.net.shortcut, **sizes)
            for kind in ("plain", "resnet")
            for depth in (config.net.shallow, config.net.deep)
        }
    except ValueError as error:
        raise UsageError(f"{error} (--config.net)") from error


def read_data(config: ConfigDict) -> Splits:
    """The data set; UsageError where a batch would hold more images than there are."""
    data = READERS[config.data.name](validation=config.data.validation)
    size, count = config.train.batch_size, len(data.train.labels)
    if not 1 <= size <= count:
        raise UsageError(
            f"--config.train.batch_size={size} must be from 1 to {count}, the images there are"
        )
    return data


class Trainer:
    """Trains one net from any seed and measures it on the way; its programs are compiled once."""

    def __init__(self, config: ConfigDict, data: Splits, name: str, nets: Mapping[str, Classifier]):
        self.config, self.data, self.net, self.nets = config, data, nets[name], nets
        self.residual, self.depth = name.startswith("resnet"), int(name.split("-")[1])
        train = config.train
        optimizer = sgd(_schedule(config), momentum=train.momentum, decay=train.decay)
        # looked at inside, the same every time
        images = self.prepare(None, jnp.asarray(data.train.pixels[: train.batch_size]))
        self.batch = images, jnp.asarray(data.train.labels[: train.batch_size])
        step = train_step(
            self.net.apply, optimizer, prepare=self.prepare, momentum=train.bn_momentum
        )
        self.step = data_parallel(step)
        self.init_state = init_state(self.net.init, self.net.apply, optimizer, images.shape[1:])
        self.score = self._score(self.net)
        look = functools.partial(jax.jit, static_argnums=0)
        self.inside = look(measures.inside)
        self.gradients_without_bn = look(measures.gradients_without_bn)
        self.identities = look(measures.identities)

    def _score(self, net: Classifier) -> Callable:
        size = self.config.train.batch_size
        return evaluate(net.apply, prepare=self.prepare, batch_size=size)

    def prepare(self, key: Array | None, pixels: Array) -> Array:
        """Normalises and, with a key, augments."""
        images = normalise(pixels, self.data.scale, self.data.mean)
        augments = self.config.data.augment and self.config.data.name in FLIPPED
        return pad_crop_flip(key, images) if augments else images

    def train(self, session: Session) -> dict:
        """One net from one seed, and what is measured after its last step."""
        init_key, batch_key = jax.random.split(jax.random.key(session.seed))
        train, measure = self.config.train, self.config.measure
        state = session.fit(
            self.step,
            self.init_state(init_key),
            batches(*self.data.train, batch_key, train.batch_size),
            steps=train.steps,
            every=measure.every,
            save_every=measure.save_every,
            observe=self.observe,
            look_first=True,
        )
        return self.conclude(state)

    def observe(self, state: TrainState) -> dict:
        """What each point of the curves records."""
        step, record = int(state.step), {}
        if step:
            record["test"] = self.score(state.params, state.running, *self.data.test)
        if step and len(self.data.validation.labels):
            record["validation"] = self.score(state.params, state.running, *self.data.validation)
        if step % self.config.measure.inside_every == 0 or step == self.config.train.steps:
            record["inside"] = jax.device_get(self.inside(self.net, state.params, *self.batch))
        if step == 0 and not self.residual:
            norms = self.gradients_without_bn(self.net, state.params, state.running, *self.batch)
            record["without_bn"] = jax.device_get(norms)
        return record

    def conclude(self, state: TrainState) -> dict:
        """What is measured after the last step."""
        record = {"train": self.score(state.params, state.running, *self.data.train)}
        record["parameters"] = sum(leaf.size for leaf in jax.tree.leaves(state.params))
        if self.residual:
            silent = measures.silenced(self.net, state.params, *self.batch)
            identities = self.identities(self.net, state.params, *self.batch)
            record["identities"] = jax.device_get(identities | {"silent": silent})
        elif self.depth == self.config.net.shallow:
            blocks_per_stage = (self.config.net.deep - 2) // 6
            deeper = measures.deepen(state.params, state.running, blocks_per_stage)
            score = self._score(self.nets[f"plain-{self.config.net.deep}"])
            record["deepened"] = score(*deeper, *self.data.train)
        return record


def _schedule(config: ConfigDict):
    train = config.train
    warmup = {"warmup_steps": train.warmup_steps, "warmup_rate": train.warmup_rate}
    try:
        return step_decay(train.learning_rate, train.steps, drops=train.drops, **warmup)
    except ValueError as error:
        raise UsageError(f"{error} (--config.train)") from error
