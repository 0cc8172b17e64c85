"""Checkpoints of a run through orbax: written in the background, the last two kept, checked when
read.
"""

import contextlib
import functools
import hashlib
import json
import logging
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import chex
import jax
import numpy as np
import orbax.checkpoint as ocp

from deepseq.train import stored_state

__all__ = ["CheckpointError", "Checkpoints", "quiet_orbax"]

_DIGESTS = "sha256.json"  # of a checkpoint's files: {path in the checkpoint: sha256}
_STATE = "default"  # where orbax keeps the one item of a checkpoint
_ORBAX = str(Path(ocp.__file__).parent) + os.sep  # the folder of its code
_TEMPORARY = (  # in orbax's names for checkpoints being written, after the step
    ".orbax-checkpoint-tmp"
)
_UNFINISHED = f"{_TEMPORARY}*"


class CheckpointError(OSError):
    """A checkpoint cannot be written, or does not belong to this run."""


def _print(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _not_orbax(record: logging.LogRecord) -> bool:
    """Drops what orbax logs through absl: of what matters, ``warn`` and the exceptions here tell in
    one line.
    """
    return not record.pathname.startswith(_ORBAX)


def _not_a_task_of_orbax(record: logging.LogRecord) -> bool:
    """Drops what asyncio logs of orbax's tasks, told by the file of their coroutine or by the file
    that cannot be written.
    """
    message = record.getMessage()
    return _ORBAX not in message and _TEMPORARY not in message


@functools.cache  # once in a process
def quiet_orbax() -> None:
    """Silences what orbax says of itself in this process, for a command with errors of one line.

    It logs through absl. And when one array of a checkpoint cannot be written, it ends its event
    loop and leaves the other arrays' tasks: each of those then fails to report there, or fails
    unheard. What was wrong has been raised by then, so their tracebacks tell nothing.
    """
    logging.getLogger("absl").addFilter(_not_orbax)
    logging.getLogger("asyncio").addFilter(_not_a_task_of_orbax)
    tell = sys.unraisablehook

    def hook(unraisable) -> None:
        error = unraisable.exc_value
        late = isinstance(error, RuntimeError) and str(error) == "Event loop is closed"
        if not late or unraisable.object is not None:  # an object's own complaint is not of these
            tell(unraisable)

    sys.unraisablehook = hook


class Checkpoints:
    """The checkpoints of one run, in a directory of their own that one process at a time writes.

    The sha256 of every file is stored with it, so that restoring notices also the damage that orbax
    does not. Use it in a ``with`` statement, or call ``close`` at the end."""

    def __init__(
        self,
        directory: Path,
        *,
        keep: int = 2,
        warn: Callable[[str], None] = _print,
        reading: bool = False,
    ):
        """Opens a directory, made if need be, whose other files are left alone; ``warn`` gets a
        line for each damage. Only ``reading``, nothing is made, renamed or deleted, so that another
        process may be writing there.

        Raises:
          ValueError: ``keep`` is below 1. CheckpointError: the directory cannot be made or written.
        """
        if keep < 1:
            raise ValueError(f"Checkpoints: keep is {keep}, but at least 1 must be kept")
        self._directory, self._warn, self._reading = Path(directory).absolute(), warn, reading
        if reading:
            self._manager = _Reader(self._directory)
            return
        options = ocp.CheckpointManagerOptions(
            max_to_keep=keep,
            async_options=ocp.AsyncOptions(post_finalization_callback=self._write_digests),
        )
        try:
            self._directory.mkdir(parents=True, exist_ok=True)
            if jax.process_index() == 0:
                # now; orbax would do it in the background
                for torn in self._directory.glob(f"*{_UNFINISHED}"):
                    shutil.rmtree(torn, ignore_errors=True)
            self._manager = ocp.CheckpointManager(self._directory, options=options)
        except OSError as error:
            raise self._cannot_write(error) from error

    def __enter__(self) -> "Checkpoints":
        return self

    def __exit__(self, kind, error, traceback) -> None:
        try:
            self.close()
        except CheckpointError:
            if error is None:  # else the error under way is the one to hear of
                raise

    def save(self, step: int, state: Any) -> None:
        """Copies the state and writes the copy in the background, so that the state may be donated
        at once.

        Args:
          step: of which nothing is saved yet.
          state: a tree of arrays, random keys and Python's numbers.

        Raises:
          ValueError: the step is saved already. CheckpointError: this save cannot be begun, or the
            one before failed.
        """
        # np.array copies; device_get may give a view
        state = jax.tree.map(np.array, jax.device_get(jax.tree.map(stored_state.stored, state)))
        self.wait()
        if step in self._manager.all_steps():
            raise ValueError(f"{self._directory}: step {step} is saved already; save it once")
        try:
            self._saving = step
            # or orbax may skip it silently
            self._manager.save(step, args=ocp.args.StandardSave(state), force=True)
        except Exception as error:  # orbax passes on whatever its writer thread met, of any type
            raise self._cannot_write(error) from error

    def restore(self, like: Any) -> Any | None:
        """The newest undamaged state, or None if there is none.

        A checkpoint with a file that is missing or differs from its digest is renamed to
        damaged-<step>, unless this only reads, and the one before is taken.

        Args:
          like: a state whose structure, shapes, types and placement on devices the result has.

        Raises:
          CheckpointError: a checkpoint cannot be read, which is no damage, or is whole, but its
            state is of another structure, shape or type than ``like``.
        """
        self.wait()
        steps = sorted(self._manager.all_steps(), reverse=True)
        for n, step in enumerate(steps):
            damage = _damage(self._directory / str(step))
            if damage is None:
                return self._read(step, like)
            older = (
                f"continuing from step {steps[n + 1]}"
                if n + 1 < len(steps)
                else "none is left: starting anew"
            )
            if self._reading:
                older = older.removesuffix(": starting anew").replace("continuing from", "taking")
            self._warn(
                f"{self._directory}: the checkpoint of step {step} is damaged ({damage}); {older}"
            )
            if not self._reading:
                self._set_aside(step)
        return None

    def wait(self) -> None:
        """Waits until everything saved is on the disk.

        Raises:
          CheckpointError: a save failed; the checkpoints before it are as they were.
        """
        try:
            self._manager.wait_until_finished()
        except Exception as error:
            raise self._cannot_write(error) from error

    def close(self) -> None:
        """Waits, then ends orbax's threads."""
        try:
            self._manager.close()
        except Exception as error:
            raise self._cannot_write(error) from error

    def _read(self, step: int, like: Any) -> Any:
        target = jax.tree.map(stored_state.target, like)
        path = self._directory / str(step) / _STATE
        try:
            with contextlib.closing(ocp.StandardCheckpointHandler()) as handler:
                metadata = handler.metadata(path)
                if difference := stored_state.difference(metadata.tree, target):
                    raise ValueError(difference)
                state = handler.restore(path, args=ocp.args.StandardRestore(target))
            chex.assert_trees_all_equal_shapes_and_dtypes(state, target)
        except Exception as error:
            raise CheckpointError(
                f"{self._directory}: the checkpoint of step {step} does not fit this net and"
                f" optimiser ({_first_line(error)}); take a new directory, or delete the"
                " checkpoints to start anew"
            ) from error
        return jax.tree.map(stored_state.place, state, like)

    def _write_digests(self) -> None:
        """Called by orbax when all files are written, before the checkpoint gets its final name."""
        if jax.process_index() == 0:
            for checkpoint in self._directory.glob(f"{self._saving}{_UNFINISHED}"):
                (checkpoint / _DIGESTS).write_text(json.dumps(_digests(checkpoint)))

    def _set_aside(self, step: int) -> None:
        aside = self._directory / f"damaged-{step}"
        shutil.rmtree(aside, ignore_errors=True)
        (self._directory / str(step)).rename(aside)
        self._manager.reload()

    def _cannot_write(self, error: Exception) -> CheckpointError:
        reason = _first_line(error)
        return CheckpointError(
            f"{self._directory}: cannot write a checkpoint ({reason}); make room and run the same"
            " command again"
        )


class _Reader:
    """What ``Checkpoints`` asks of orbax's manager where it only reads."""

    def __init__(self, directory: Path):
        self._directory = directory

    def all_steps(self) -> list[int]:
        if not self._directory.is_dir():
            return []
        return [int(path.name) for path in self._directory.iterdir() if path.name.isdecimal()]

    def wait_until_finished(self) -> None:
        """Nothing is being written."""

    def close(self) -> None:
        """Nothing is open."""


def _digests(checkpoint: Path) -> dict[str, str]:
    files = sorted(path for path in (checkpoint / _STATE).rglob("*") if path.is_file())
    return {
        str(path.relative_to(checkpoint)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
    }


def _damage(checkpoint: Path) -> str | None:
    """What is wrong with the files of a checkpoint, or None."""
    try:
        expected = dict(json.loads((checkpoint / _DIGESTS).read_text()))
        found = _digests(checkpoint)
    except (FileNotFoundError, NotADirectoryError, ValueError, TypeError, RecursionError):
        return f"{_DIGESTS} is missing or no list of digests"
    except OSError as error:
        raise CheckpointError(
            f"{checkpoint}: cannot be read ({error.strerror}); it is not taken for damaged: see to"
            " its permissions and its disk, and run the same command again"
        ) from error
    names = sorted(expected.keys() | found.keys()) or [_STATE]
    wrong = [name for name in names if name not in found or found[name] != expected.get(name)]
    return f"{wrong[0]} is missing or altered" if wrong else None


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
