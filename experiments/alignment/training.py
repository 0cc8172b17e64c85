"""One training of the alignment study, and what the net then writes by itself."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array
from ml_collections import ConfigDict

from deepseq.data.transduction import BEGIN, END
from deepseq.nets.blocks.net import Seq2Seq
from deepseq.nets.sequences.decoding import greedy
from deepseq.train.loop import Interrupted
from deepseq.train.losses import cross_entropy
from deepseq.train.sequences import clipped, ended, sequence_step
from deepseq.train.state import init_state
from deepseq.train.step import jit_step
from experiments.alignment.nets import Arm
from experiments.alignment.tasks import Batch, Task


class Programs(NamedTuple):
    """What trains and tests a net on a task, compiled once for all seeds."""

    arm: Arm
    start: Callable  # key -> state
    step: Callable  # (state, batch) -> (state, metrics), whose old state is used up
    write: Callable  # (params, batch) -> tokens (B, T)
    look: Callable | None  # (params, batch) -> weights (N, B, T, S)
    gradient: Callable  # (params, batch) -> loss and gradient in the precision of the parameters


def programs(config: ConfigDict, task: str, arm: Arm) -> Programs:
    """Adam with a warm-up, its rate then falling to 0 as a cosine; gradients clipped."""
    updates, net = config[task].updates, arm.net
    rate = optax.warmup_cosine_decay_schedule(0.0, arm.rate, config.warmup, updates)
    optimizer = clipped(optax.adam(rate), config.clip)

    def write(params: Any, batch: Batch) -> Array:
        return greedy(
            net,
            params,
            encode(net, params, batch),
            begin=BEGIN,
            end=END,
            steps=batch.answers.shape[1],
        )

    def look(params: Any, batch: Batch) -> Array:
        return arm.look(params, encode(net, params, batch), batch.given)

    def exact_loss(
        params: Any, batch: Batch
    ) -> Array:  # cross_entropy would have float32; for batches without padding
        logs = jax.nn.log_softmax(
            net.teach(params, encode(net, params, batch), batch.given, key=None)
        )
        return -jnp.take_along_axis(logs, batch.answers[..., None], 2).mean()

    step = sequence_step(lambda params, batch: (mean_loss(net, params, batch), {}), optimizer)
    begin = jax.jit(lambda key: init_state(net.init(key), optimizer))
    gradient = jax.jit(jax.value_and_grad(exact_loss))
    return Programs(
        arm, begin, jit_step(step), jax.jit(write), arm.look and jax.jit(look), gradient
    )


def encode(net: Seq2Seq, params: Any, batch: Batch) -> Any:
    """The memory of a batch's sources."""
    return net.encode(params, batch.source, lengths=batch.lengths, key=None)


def mean_loss(net: Seq2Seq, params: Any, batch: Batch) -> Array:
    """Cross-entropy of the next token given the right ones before, the mean over all that count."""
    logits = net.teach(params, encode(net, params, batch), batch.given, key=None)
    losses = cross_entropy(logits.reshape(-1, logits.shape[-1]), batch.answers.reshape(-1)).reshape(
        batch.answers.shape
    )
    return jnp.where(batch.counted, losses, 0).sum() / batch.counted.sum()


def scores(said: np.ndarray, batch: Batch) -> tuple[float, float]:
    """The share of tokens that are right at their place, and of sequences without a wrong one; the
    end counts.
    """
    right = np.asarray(said) == batch.answers
    return float(right[batch.counted].mean()), float((right | ~batch.counted).all(1).mean())


def train(
    config: ConfigDict, own: Programs, task: Task, tag: dict, stopping: Callable[[], bool]
) -> tuple[Any, dict]:
    """Trains from the beginning, in the same batches for every net; their sources grow, and half
    are of the newest room.

    Returns:
      the parameters and {"loss": means of every so many updates, "ended": updates after which it
      diverged, or None}.

    Raises:
      Interrupted: ``stopping`` said so.
    """
    group, rng = config[tag["task"]], np.random.default_rng(tag["seed"])
    state, losses, finite = own.start(jax.random.key(tag["seed"])), [], []
    for update in range(group.updates):
        if stopping():
            raise Interrupted(update, tag)
        newest = rooms_open(update, group.growing, len(task.rooms)) - 1
        room = newest if rng.random() < 0.5 else int(rng.integers(newest + 1))
        state, seen = own.step(state, task.draw(rng, config.batch_size, room))
        losses.append(seen["loss"])
        finite.append(seen["finite"])
        if len(losses) % config.every == 0:  # and so the host does not run ahead
            losses[-config.every :] = jax.device_get(losses[-config.every :])
    finite = np.array(jax.device_get(finite))
    return state.params, {
        "loss": np.array(losses).reshape(-1, config.every).mean(1),
        "ended": ended(finite),
    }


def rooms_open(update: int, growing: int, rooms: int) -> int:
    """How many of the rooms are drawn from: one more after each equal part of the ``growing``
    updates.
    """
    return rooms if update >= growing else 1 + update * (rooms - 1) // growing


def test(own: Programs, params: Any, tests: Mapping[int, Batch]) -> dict[str, list]:
    """What a net writes for each length, judged: {"lengths", "tokens", "whole"}, a number for each."""
    found = [scores(own.write(params, batch), batch) for batch in tests.values()]
    return {
        "lengths": list(tests),
        "tokens": [tokens for tokens, _ in found],
        "whole": [whole for _, whole in found],
    }
