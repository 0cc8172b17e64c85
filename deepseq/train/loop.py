"""The training loop: steps, records on a fixed grid, checkpoints on a coarser one; killed anywhere,
it continues.
"""

import contextlib
import math
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from deepseq.train import log as metrics_log
from deepseq.train.checkpoints import CheckpointError, Checkpoints
from deepseq.train.devices import on_first
from deepseq.train.state import State
from deepseq.train.step import Batch

__all__ = ["Diverged", "Interrupted", "fit", "interruption", "train_in_chunks"]

# steps the host may queue before it waits: enough to keep the device busy, few enough to stop at
# once
_AHEAD = 8


class Diverged(Exception):
    """The loss, or what the last update made of the parameters, is no longer finite."""

    def __init__(self, step: int, tag: dict[str, Any], what: str = "the loss is"):
        self.step, self.tag = step, tag
        super().__init__(
            f"{_name(tag)}{what} not finite at step {step}; lower the learning rate or warm up"
        )


class Interrupted(Exception):
    """The run was asked to stop."""

    def __init__(self, step: int, tag: dict[str, Any]):
        self.step, self.tag = step, tag
        super().__init__(
            f"{_name(tag)}interrupted at step {step}; run the same command again to continue"
        )


def fit(
    step: Callable[[State, Batch], tuple[State, dict[str, Array]]],
    state: State,
    batches: Callable[[int], Batch],
    *,
    steps: int,
    every: int,
    save_every: int,
    log: Path,
    tag: dict[str, Any],
    checkpoints: Checkpoints,
    observe: Callable[[State], dict[str, Any]] = lambda state: {},
    tick: Callable[[int], None] = lambda done: None,
    stopping: Callable[[], bool] = lambda: False,
) -> State:
    """Trains up to ``steps``, from the newest checkpoint where there is one, and returns the last
    state, on one device.

    Every ``every`` steps, and after the last, one record is appended to the log: {**tag, "step":
    steps taken, "loss", "error" (or whatever ``step`` measures), means over the steps since the
    last record, **observe(state)}. Every ``save_every`` steps, and after the last, the log is
    synced and the state saved. Killed at any instant and called again with the same arguments, it
    leaves the same log and returns the same bits as if left alone.

    Args:
      step: jitted train step; it may donate its state.
      state: before the first step; used up.
      batches: t -> the batch of step t, pure.
      steps, every, save_every: ``save_every`` is a multiple of ``every``.
      log: path of the log, which may hold records of other tags.
      tag: names the run among those of the log.
      checkpoints: of this run alone.
      observe: further entries of a record, a pure function of the state; it must not keep the
        state.
      tick: told the number of steps taken, once after the restart and after each step, for a
        progress bar.
      stopping: asked before each step; see ``interruption``.

    Raises:
      ValueError: ``every`` and ``save_every`` do not fit together, the checkpoint is beyond
        ``steps``, or a measure or what ``observe`` returned has a name that the record has.
      Diverged: the mean loss of a record is not finite, or the parameters after it are not, so that
        the next loss would not be; the record is in the log, and no such state is saved.
      Interrupted: ``stopping`` said so; what was saved is on the disk.
      OSError: the log or a checkpoint cannot be written, or the log lacks the records that the
        checkpoint goes with.
    """
    if every < 1 or save_every < 1 or save_every % every:
        raise ValueError(
            f"fit: save_every is {save_every}, but it must be a multiple of every, {every}"
        )
    restored = checkpoints.restore(state)
    state = state if restored is None else restored
    start = int(state.step)
    if start > steps:
        raise ValueError(
            f"fit: {_name(tag)}the checkpoint is of step {start}, beyond the {steps} asked for"
        )
    _rewind(log, tag, start)
    tick(start)

    pending: list[dict[str, Array]] = []
    for done in range(start + 1, steps + 1):
        if stopping():
            checkpoints.wait()
            raise Interrupted(done - 1, tag)
        state, metrics = step(state, batches(done - 1))
        pending.append(metrics)
        if len(pending) > _AHEAD:
            jax.block_until_ready(pending[-_AHEAD - 1])
        last = done == steps
        if done % every == 0 or last:
            means = _means(pending)
            pending.clear()
            known = _record({**tag, "step": done}, means, "the step measures")
            metrics_log.write(log, _record(known, observe(on_first(state)), "observe returned"))
            if not math.isfinite(means["loss"]):
                checkpoints.wait()
                raise Diverged(done, tag)
            if not _all_finite(getattr(state, "params", state)):
                checkpoints.wait()
                raise Diverged(done, tag, "the parameters are")
        if done % save_every == 0 or last:  # a multiple of every: the parameters were looked at
            metrics_log.sync(log)
            checkpoints.save(done, state)
        tick(done)
    checkpoints.wait()
    return on_first(state)


def train_in_chunks(
    advance: Callable[[Any, Any], tuple[Any, Any]],
    state: Any,
    chunks: Callable[[int], Any],
    *,
    updates: int,
    every: int,
    tag: dict[str, Any] | None = None,
    stopping: Callable[[], bool] = lambda: False,
    begin: int = 0,
) -> Iterator[tuple[int, Any, Any]]:
    """Trains ``every`` updates at a time, each time in one compiled program; nothing is stored.

    Args:
      advance: (state, chunk) -> (state, metrics), jitted; it may donate its state.
      state: before the first update, or after ``begin`` of them.
      chunks: n -> what the n-th call of ``advance`` is given.
      updates, every: in all, and of one call.
      tag: names the training where it is interrupted.
      stopping: asked before each call; see ``interruption``.
      begin: updates that were taken before.

    Yields:
      (updates taken, state, metrics), the metrics on the host, after each call.

    Raises:
      ValueError: ``every`` does not divide ``updates`` or ``begin``. Interrupted: ``stopping`` said
        so.
    """
    if every < 1 or updates % every or begin % every:
        raise ValueError(
            f"train_in_chunks: chunks of {every} do not divide {updates} updates from {begin} on"
        )
    for done in range(begin, updates, every):
        if stopping():
            raise Interrupted(done, tag or {})
        state, metrics = advance(state, chunks(done // every))
        yield done + every, state, jax.device_get(metrics)


@contextlib.contextmanager
def interruption() -> Iterator[Callable[[], bool]]:
    """Turns SIGTERM and Ctrl-C into a flag for ``fit(stopping=...)``; a second signal acts at once,
    as usual.

    Outside the main thread, where Python handles no signals, the flag is never set.
    """
    stop = threading.Event()
    usual: dict[int, Any] = {}

    def restore() -> None:
        for number, handler in usual.items():
            signal.signal(number, handler)

    def on_signal(number, frame) -> None:
        stop.set()
        restore()

    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGINT):
            usual[number] = signal.signal(number, on_signal)
    try:
        yield stop.is_set
    finally:
        restore()


def _rewind(log: Path, tag: dict[str, Any], step: int) -> None:
    """Removes what was logged of this run after a step, and makes sure that what was logged up to
    it is there.
    """
    ours = [record["step"] for record in metrics_log.read(log) if metrics_log.matches(record, tag)]
    if step and step not in ours:
        raise CheckpointError(
            f"{log}: {_name(tag)}the record of step {step} is missing, though its checkpoint is"
            " there; restore the log, or delete the checkpoints to start anew"
        )
    metrics_log.truncate(
        log, lambda record: not metrics_log.matches(record, tag) or record["step"] <= step
    )


def _means(metrics: list[dict[str, Array]]) -> dict[str, float]:
    fetched = jax.device_get(metrics)
    return {
        name: float(np.mean([m[name] for m in fetched], dtype=np.float64)) for name in fetched[0]
    }


def _record(known: dict[str, Any], more: dict[str, Any], source: str) -> dict[str, Any]:
    if twice := known.keys() & more.keys():
        raise ValueError(
            f"fit: {source} {', '.join(sorted(twice))}, which the record has already; rename it"
        )
    return {**known, **more}


@jax.jit
def _all_finite(tree: Any) -> Array:
    """Whether every number of a tree is finite: one scalar for the host to wait for."""
    leaves = [x for x in jax.tree.leaves(tree) if jnp.issubdtype(x.dtype, jnp.inexact)]
    return jnp.all(jnp.array([jnp.isfinite(x).all() for x in leaves]))


def _name(tag: dict[str, Any]) -> str:
    return " ".join(f"{key}={value}" for key, value in tag.items()) + (": " if tag else "")
