"""The metrics log: one JSON object per line, appended; whatever a kill leaves behind can be read
and continued.

A float is written as its shortest exact decimal form. JSON knows no NaN or infinity: they are
written as the strings "nan", "inf" and "-inf", and ``read`` turns those strings back into floats.
"""

import json
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["matches", "read", "sync", "truncate", "write"]

_NOT_FINITE = ("nan", "inf", "-inf")


def write(path: Path, record: dict[str, Any]) -> None:
    """Appends a record to the log, creating it if need be; a torn last line left by a kill is
    removed first.

    Args:
      path: of the log.
      record: numbers, strings, None, NumPy or JAX arrays (written as lists), and lists and dicts of
        these.

    Raises:
      OSError: the file cannot be written (a full disk, say); the message names the file and what to
        do.
    """
    line = (json.dumps(_plain(record), allow_nan=False) + "\n").encode()
    try:
        with open(path, "ab+", buffering=0) as file:
            _cut_torn_line(file)
            while line:
                line = line[file.write(line) :]
    except OSError as error:
        raise _cannot_write(path, error) from error


def sync(path: Path) -> None:
    """Waits until all that was written is on the disk."""
    try:
        with open(path, "ab") as file:
            os.fsync(file.fileno())
    except OSError as error:
        raise _cannot_write(path, error) from error


def read(path: Path) -> list[dict[str, Any]]:
    """All records of a log in the order of writing, without a torn last line; [] where there is no
    log.

    Raises:
      ValueError: another line than the last is no JSON object.
    """
    path = Path(path)
    return [_parse(path, number, line) for number, line in enumerate(_lines(path), 1)]


def matches(record: dict[str, Any], tag: dict[str, Any]) -> bool:
    """Whether a record belongs to the run that logs under ``tag``."""
    return "step" in record and all(record.get(key) == value for key, value in tag.items())


def truncate(path: Path, keep: Callable[[dict[str, Any]], bool]) -> None:
    """Drops all records but those for which ``keep`` is true, and a torn last line, at once or not
    at all.

    Raises:
      ValueError: a line is no JSON object. OSError: the file cannot be written.
    """
    path = Path(path)
    lines = _lines(path)
    kept = b"".join(
        line for number, line in enumerate(lines, 1) if keep(_parse(path, number, line))
    )
    if not path.exists() or path.stat().st_size == len(kept):
        return
    temporary = path.with_name(path.name + ".tmp")
    try:
        with open(temporary, "wb") as file:
            file.write(kept)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise _cannot_write(path, error) from error


def _lines(path: Path) -> list[bytes]:
    content = path.read_bytes() if path.exists() else b""
    return content[: content.rfind(b"\n") + 1].splitlines(keepends=True)


def _parse(path: Path, number: int, line: bytes) -> dict[str, Any]:
    try:
        record = json.loads(line)
    except ValueError:
        record = None
    if not isinstance(record, dict):
        raise ValueError(
            f"{path}: line {number} is no JSON object; repair or delete it, or take a new directory"
        )
    return _restore(record)


def _cut_torn_line(file) -> None:
    size = file.seek(0, os.SEEK_END)
    if size == 0:
        return
    file.seek(size - 1)
    if file.read(1) != b"\n":
        file.seek(0)
        file.truncate(file.read().rfind(b"\n") + 1)
        file.seek(0, os.SEEK_END)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if hasattr(value, "dtype"):
        return _plain(np.asarray(value).tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value


def _restore(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _restore(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_restore(v) for v in value]
    return float(value) if isinstance(value, str) and value in _NOT_FINITE else value


def _cannot_write(path: Path, error: OSError) -> OSError:
    what = (
        f"cannot write the log ({error.strerror}); make room and run the same command again to"
        " continue"
    )
    return OSError(error.errno, what, str(path))
