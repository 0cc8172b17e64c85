"""The metrics log: one JSON object per line, appended; what a kill leaves is read and continued.

Each line ends with the CRC-32 of what stands before it, so that a changed digit is noticed; a log
without any is read too, and goes on without. A float is written as its shortest exact decimal form.
JSON knows no NaN or infinity: they are the strings "nan", "inf" and "-inf", and a text that looks
like one of these is written with an apostrophe before it. ``read`` undoes both.
"""

import json
import math
import os
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["matches", "read", "sync", "truncate", "write"]

_NOT_FINITE = ("nan", "inf", "-inf")
_CRC = ', "crc32": "{:08x}"}}\n'  # the end of a line
_CRC_KEY, _CRC_SIZE = b'"crc32": ', len(_CRC.format(0))


def write(path: Path, record: dict[str, Any]) -> None:
    """Appends a record to the log, creating it if need be; a torn last line left by a kill is
    removed first.

    Args:
      path: of the log.
      record: numbers, strings, None, NumPy or JAX arrays (written as lists), and lists and dicts of
        these.

    Raises:
      ValueError: the record is empty, or has a "crc32", which is the line's own.
      OSError: the file cannot be written (a full disk, say); the message names the file and what to
        do.
    """
    if not record or "crc32" in record:
        raise ValueError("log: a record must have an entry, and none named crc32")
    content = json.dumps(_plain(record), allow_nan=False).encode()
    try:
        with open(path, "ab+", buffering=0) as file:
            _cut_torn_line(file)
            line = content + b"\n" if _is_unchecked(file) else _with_crc(content)
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
    """All records of a log in the order of writing, without a torn last line; [] without a log.

    Raises:
      ValueError: another line than the last is no JSON object, or is not as it was written.
    """
    return [record for record, _ in _records(Path(path))]


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
    kept = b"".join(line for record, line in _records(path) if keep(record))
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


def _records(path: Path) -> list[tuple[dict[str, Any], bytes]]:
    """Every record and its line."""
    content = path.read_bytes() if path.exists() else b""
    lines = content[: content.rfind(b"\n") + 1].splitlines(keepends=True)
    records, checked = [], any(_CRC_KEY in line[-_CRC_SIZE:] for line in lines)
    for number, line in enumerate(lines, 1):
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            record = None
        if not isinstance(record, dict):
            raise ValueError(
                f"{path}: line {number} is no JSON object; repair or delete it, or take a new"
                " directory"
            )
        if checked and line != _with_crc(line[:-_CRC_SIZE] + b"}"):
            raise ValueError(
                f"{path}: line {number} is not as it was written (its checksum differs); restore"
                " the log, or delete the line"
            )
        record.pop("crc32", None)
        records.append((_restore(record), line))
    return records


def _with_crc(content: bytes) -> bytes:
    """The line of a JSON object that has an entry."""
    return content[:-1] + _CRC.format(zlib.crc32(content[:-1])).encode()


def _is_unchecked(file) -> bool:
    """Whether a log holds a line, and that has no checksum."""
    size = file.seek(0, os.SEEK_END)
    file.seek(max(size - _CRC_SIZE, 0))
    return size > 0 and _CRC_KEY not in file.read()


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
    return "'" + value if isinstance(value, str) and value.lstrip("'") in _NOT_FINITE else value


def _restore(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _restore(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_restore(v) for v in value]
    if not isinstance(value, str) or value.lstrip("'") not in _NOT_FINITE:
        return value
    return value[1:] if value.startswith("'") else float(value)


def _cannot_write(path: Path, error: OSError) -> OSError:
    what = (
        f"cannot write the log ({error.strerror}); make room and run the same command again to"
        " continue"
    )
    return OSError(error.errno, what, str(path))
