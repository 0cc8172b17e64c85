"""Checkpoints of a run through orbax: written in the background, the last two kept, checked when read."""

import hashlib
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp

_DIGEST = np.zeros(32, np.uint8)  # shape and type of a sha256


class CheckpointError(OSError):
    """A checkpoint could not be written."""


def _print(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


class Checkpoints:
    """The checkpoints of one run, in a directory of their own that one process at a time writes.

    Each holds the state and the sha256 of its arrays, so that restoring notices also the damage that orbax does not.
    Use it in a ``with`` statement, or call ``close`` at the end.
    """

    def __init__(self, directory: Path, *, keep: int = 2, warn: Callable[[str], None] = _print):
        """Opens a directory, made if need be, whose other files are left alone; ``warn`` gets a line for each damage.

        Raises:
          CheckpointError: the directory cannot be made or written.
        """
        self._directory = Path(directory).absolute()
        self._warn = warn
        try:
            self._directory.mkdir(parents=True, exist_ok=True)
            self._manager = ocp.CheckpointManager(
                self._directory, options=ocp.CheckpointManagerOptions(max_to_keep=keep, cleanup_tmp_directories=True)
            )
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
        """Copies the state and writes it in the background; the copy may be donated at once.

        Raises:
          CheckpointError: this save cannot be begun, or the one before failed.
        """
        state = jax.tree.map(np.array, jax.device_get(state))  # np.array copies; device_get may give a view
        try:
            self._manager.save(step, args=ocp.args.StandardSave({"state": state, "sha256": _digest(state)}))
        except Exception as error:  # orbax passes on whatever its writer thread met, of any type
            raise self._cannot_write(error) from error

    def restore(self, like: Any) -> Any | None:
        """The newest undamaged state, or None if there is none.

        One that cannot be read, or whose digest differs, is renamed to damaged-<step>, and the one before is taken.

        Args:
          like: a state whose structure, shapes, types and placement on devices the result has.
        """
        self.wait()
        target = {"state": jax.tree.map(lambda x: np.empty(x.shape, x.dtype), like), "sha256": _DIGEST}
        steps = sorted(self._manager.all_steps(), reverse=True)
        for n, step in enumerate(steps):
            try:
                found = self._manager.restore(step, args=ocp.args.StandardRestore(target))
                if not np.array_equal(found["sha256"], _digest(found["state"])):
                    raise ValueError("its digest does not match")
                return jax.tree.map(_place, found["state"], like)
            except Exception as error:  # damage shows up as nearly any type of error
                older = f"continuing from step {steps[n + 1]}" if n + 1 < len(steps) else "none is left: starting anew"
                reason = (str(error).splitlines() or [type(error).__name__])[0][:120]
                self._warn(f"{self._directory}: the checkpoint of step {step} is damaged ({reason}); {older}")
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

    def _set_aside(self, step: int) -> None:
        aside = self._directory / f"damaged-{step}"
        shutil.rmtree(aside, ignore_errors=True)
        (self._directory / str(step)).rename(aside)
        self._manager.reload()

    def _cannot_write(self, error: Exception) -> CheckpointError:
        reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
        return CheckpointError(
            f"{self._directory}: cannot write a checkpoint ({reason}); make room and run the same command again"
        )


def _digest(state: Any) -> np.ndarray:
    """sha256 over type, shape and bytes of each array of the state, as uint8 (32,)."""
    total = hashlib.sha256()
    for x in jax.tree.leaves(state):
        total.update(f"{x.dtype}{x.shape}".encode())
        total.update(np.ascontiguousarray(x))
    return np.frombuffer(total.digest(), np.uint8)


def _place(value: np.ndarray, like: jax.Array) -> jax.Array:
    """On the devices of ``like``, in a buffer of its own; uncommitted if it is, or jit would compile a second time."""
    if getattr(like, "committed", False):
        return jax.device_put(value.copy(), like.sharding)
    return jnp.array(value, copy=True)
