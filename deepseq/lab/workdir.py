"""A run's directory: one writer, one config, files that are whole or absent, and a record of every
session.

config.json      the config; a directory belongs to one config for good
metrics.jsonl    the log (deepseq.train.log)
sessions.jsonl   one line for every process that trained: its environment and its seconds
result.json, report.html, <figure>.png, <figure>.svg, checkpoints/
"""

import contextlib
import fcntl
import hashlib
import json
import math
import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from deepseq.data.source import DISK_FULL
from deepseq.lab.errors import UsageError
from deepseq.train import log

__all__ = [
    "LOCK",
    "LOG",
    "begin_session",
    "claimed",
    "default_path",
    "end_session",
    "plain",
    "read_log",
    "sessions",
    "settle_session",
    "write",
    "write_json",
]

LOCK, _RUNNING, LOG = ".lock", ".session.json", "metrics.jsonl"


def default_path(config: Mapping[str, Any], overrides: Mapping[str, Any]) -> Path:
    """runs/<name>-<tier>, and -<hash> of the overrides where there are any."""
    text = json.dumps(sorted(overrides.items()))
    suffix = "-" + hashlib.sha256(text.encode()).hexdigest()[:8] if overrides else ""
    return Path("runs") / f"{config['name']}-{config['tier']}{suffix}"


@contextlib.contextmanager
def claimed(path: Path, config: Mapping[str, Any]) -> Iterator[Path]:
    """Holds the directory for this process and this config, creating it if need be.

    Nothing is written before it is known that the directory is a run's, or empty. When an error
    other than an OSError ends the block and no work was done, what was made here is removed.

    Raises:
      UsageError: the path is no directory, cannot be written, is used by another process or belongs
        to another config.
    """
    new = not path.exists()
    with _usable(path):
        path.mkdir(parents=True, exist_ok=True)
        _check_ours(path)
        # no link is followed: its target is somebody's file
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0)
        lock = open(os.open(path / LOCK, flags, 0o666), "a+b", buffering=0)
    with lock:
        _take(lock, path)
        unbound = not (path / "config.json").exists()
        _agree(path, config)
        try:
            yield path
        except Exception as error:
            idle = {"config.json", _RUNNING, LOCK}.issuperset(os.listdir(path))
            if unbound and idle and not isinstance(error, OSError):
                for name in os.listdir(path):
                    (path / name).unlink()
                if new:
                    path.rmdir()
            raise


def read_log(path: Path) -> list[dict[str, Any]]:
    """The records of the directory's log; UsageError where it is damaged."""
    try:
        return log.read(path / LOG)
    except ValueError as error:
        raise UsageError(str(error)) from error


def begin_session(path: Path, environment: Mapping[str, Any]) -> None:
    """Notes that a process starts to train; a session that was killed before its end is closed
    first.
    """
    settle_session(path)
    stamp = _stamp(path)
    write_json(
        path / _RUNNING, {"started": time.time(), "stamp": stamp, "environment": environment}
    )


def end_session(path: Path, seconds: float) -> None:
    """Records the session that ``begin_session`` noted, unless it logged nothing: a finished run
    only redraws.
    """
    note = _session(path)
    if note is None:
        return
    if note["stamp"] != _stamp(path):
        log.write(
            path / "sessions.jsonl",
            {"environment": note["environment"], "seconds": round(seconds, 3)},
        )
    (path / _RUNNING).unlink()


def settle_session(path: Path) -> None:
    """Closes a session whose process was killed: it lasted until the log was last written."""
    note, stamp = _session(path), _stamp(path)
    if note is not None:
        end_session(path, max(0.0, stamp[1] / 1e9 - note["started"]) if stamp else 0.0)


def sessions(path: Path) -> tuple[dict[str, Any], float | None]:
    """The environment and the seconds of all sessions together; values that changed between
    sessions are all given.
    """
    file = path / "sessions.jsonl"
    try:
        records = log.read(file)
    except ValueError as error:
        raise UsageError(str(error)) from error
    if not records:
        return {}, None
    for number, record in enumerate(records, 1):
        if not isinstance(record.get("environment"), dict) or not _is_number(record.get("seconds")):
            raise UsageError(f"{file}: line {number} is of no session; delete the line")
    environment = {}
    for key in records[-1]["environment"]:
        values = list(dict.fromkeys(record["environment"].get(key) for record in records))
        environment[key] = values[0] if len(values) == 1 else ", then ".join(map(str, values))
    return environment, round(sum(record["seconds"] for record in records), 3)


def write(path: Path, content: bytes) -> None:
    """Writes a file whole or not at all."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise OSError(error.errno, f"cannot be written ({error.strerror})", str(path)) from error


def write_json(path: Path, value: Any) -> None:
    """Writes JSON; NumPy and JAX values become numbers and lists, and what JSON has no number for
    (NaN, inf) null.
    """
    write(
        path,
        (json.dumps(plain(value), indent=1, allow_nan=False, ensure_ascii=False) + "\n").encode(),
    )


def plain(value: Any) -> Any:
    """``value`` in the types of JSON; see ``write_json``."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if hasattr(value, "dtype"):
        return plain(np.asarray(value).tolist())
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _check_ours(path: Path) -> None:
    """UsageError for a directory that holds something, but no run."""
    names = {entry.name for entry in path.iterdir()}
    others = [name for name in sorted(names) if not name.startswith(".")]
    if others and "config.json" not in names:
        raise UsageError(
            f"{path} is not empty and holds no run (no config.json); give another --workdir"
        )
    lock = path / LOCK
    # a process number in one of ours
    if lock.is_symlink() or (lock.exists() and not _holds_number(lock)):
        raise UsageError(f"{lock} is of another program; give another --workdir")


def _holds_number(file: Path) -> bool:
    if not file.is_file():
        return False
    with open(file, "rb") as opened:
        content = opened.read(32)
    return not content or content.isdigit()


def _take(lock, path: Path) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # not removed since it was opened
        held = os.fstat(lock.fileno()).st_ino == os.stat(path / LOCK).st_ino
    except (BlockingIOError, FileNotFoundError):
        held = False
    except OSError as error:
        raise UsageError(
            f"{path} cannot be locked ({error.strerror}); give a --workdir on another file system"
        ) from error
    lock.seek(0)
    if not held:
        holder = lock.read().decode(errors="replace").strip()
        raise UsageError(
            f"{path} is in use by {f'process {holder}' if holder else 'another process'}; "
            "wait for it, or give another --workdir"
        )
    with _usable(path):
        lock.truncate(0)
        lock.write(str(os.getpid()).encode())


def _agree(path: Path, config: Mapping[str, Any]) -> None:
    file, here = path / "config.json", plain(config)
    if not file.exists():
        with _usable(path):
            write_json(file, here)
        return
    try:
        there = json.loads(file.read_bytes())
        differing = [
            f"{key} is {there_flat.get(key, 'absent')} there and {here_flat.get(key, 'absent')}"
            " here"
            for there_flat, here_flat in [(_flat(there), _flat(here))]
            for key in dict.fromkeys([*here_flat, *there_flat])
            if there_flat.get(key, file) != here_flat.get(key, file)
        ]
    except (ValueError, AttributeError, RecursionError) as error:
        raise UsageError(
            f"{file} is damaged (no JSON object); restore it, or give another --workdir"
        ) from error
    if differing:
        raise UsageError(
            f"{path} holds a run of another config: {', '.join(differing)}; give another --workdir"
        )


def _flat(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat = {}
    for key, value in config.items():
        flat |= (
            _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
        )
    return flat


def _stamp(path: Path) -> list[int] | None:
    file = path / LOG
    return [file.stat().st_size, file.stat().st_mtime_ns] if file.exists() else None


def _session(path: Path) -> dict[str, Any] | None:
    """The note of a session that is not closed; None where there is none of ours."""
    try:
        note = json.loads((path / _RUNNING).read_bytes())
    except (FileNotFoundError, ValueError, RecursionError):
        return None
    known = isinstance(note, dict) and isinstance(note.get("environment"), dict)
    return note if known and "stamp" in note and _is_number(note.get("started")) else None


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


@contextlib.contextmanager
def _usable(path: Path) -> Iterator[None]:
    """A directory that cannot be made or written is the user's choice of directory; a full disk is
    not.
    """
    try:
        yield
    except OSError as error:
        if error.errno in DISK_FULL:
            raise OSError(
                error.errno, f"cannot be written ({os.strerror(error.errno)})", str(path)
            ) from error
        what = "is a file" if path.is_file() else f"cannot be written ({os.strerror(error.errno)})"
        raise UsageError(f"--workdir: {path} {what}; give another directory") from error
