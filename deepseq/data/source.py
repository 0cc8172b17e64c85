"""Where data files lie, how a missing one is fetched, and what every reader of images returns."""

import errno
import gzip
import hashlib
import io
import os
import stat
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pooch

__all__ = [
    "AGAIN",
    "DISK_FULL",
    "DataError",
    "Images",
    "Splits",
    "contents",
    "data_dir",
    "fetch",
    "hold_out",
    "pixel_mean",
    "read",
    "unzipped",
]

DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
AGAIN = "delete it and run again to fetch a fresh copy"


class DataError(Exception):
    """Data that cannot be used; the message is one line that names the file and says what to do."""


class Images(NamedTuple):
    """A part of a data set."""

    pixels: np.ndarray  # (N, H, W, C) uint8, as stored
    labels: np.ndarray  # (N,) int32, in 0..classes-1


class Splits(NamedTuple):
    """A data set of images, cut into parts; a network's input is ``pixels * scale - mean``."""

    train: Images
    validation: Images  # may be empty
    test: Images
    scale: float  # brings pixels to 0..1
    mean: np.ndarray  # (H, W, C) float32, of the scaled training part alone
    classes: int
    origin: str  # which data this is, with the hash that says so


def data_dir() -> Path:
    """The data directory: $DEEPSEQ_DATA where it is set, else ``deepseq`` in the user's cache.

    Raises:
      DataError: DEEPSEQ_DATA names the home of a user who does not exist.
    """
    given = os.environ.get("DEEPSEQ_DATA")
    try:
        return Path(given).expanduser() if given else Path(pooch.os_cache("deepseq"))
    except RuntimeError as error:
        raise DataError(f"DEEPSEQ_DATA={given}: no such user; set it to a directory") from error


def pixel_mean(images: Images, scale: float) -> np.ndarray:
    """The mean of every pixel and channel over a training part, scaled: (H, W, C) float32."""
    return (images.pixels.mean(axis=0, dtype=np.float64) * scale).astype(np.float32)


def hold_out(count: int, validation: int, name: str) -> None:
    """Checks the size of a validation part: at least one of ``count`` training images must remain,
    else DataError.
    """
    if not 0 <= validation < count:
        raise DataError(
            f"data.validation={validation} cannot be held out of the {count} training images of"
            f" {name}; give a number from 0 to {count - 1}"
        )


def contents(path: str | Path, most: int, remedy: str) -> bytes:
    """The bytes of a regular file of at most ``most`` bytes.

    Raises:
      DataError: it cannot be read, is a pipe or a device, which may never end, or is larger;
        ``remedy`` ends the message.
    """
    try:
        # a pipe without a writer would not even open
        with open(os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0)), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise DataError(f"{path} is no regular file; {remedy}")
            size = os.fstat(file.fileno()).st_size
            content = file.read(most + 1)
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}); {remedy}") from error
    if len(content) > most:
        raise DataError(f"{path} has {size} bytes, expected at most {most}; {remedy}")
    return content


def unzipped(path: str | Path, most: int, remedy: str = AGAIN) -> bytes:
    """A gzipped file of at most ``most`` bytes, unpacked; DataError as ``contents``, or damaged."""
    packed = contents(path, most + 2**16, remedy)
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(packed)) as file:
            content = file.read(most + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path} cannot be read ({error}); {remedy}") from error
    if len(content) > most:
        raise DataError(f"{path} holds, unpacked, more than {most} bytes; {remedy}")
    return content


def read(path: Path, *, size: int, md5: str) -> np.ndarray:
    """The bytes of a file whose size and published md5 are known: (size,) uint8.

    Raises:
      DataError: the file cannot be read, or holds something else. It is left as it is.
    """
    content = contents(path, size, AGAIN)
    if len(content) != size:
        raise DataError(f"{path} has {len(content)} bytes, expected {size}; {AGAIN}")
    digest = hashlib.md5(content, usedforsecurity=False).hexdigest()
    if digest != md5:
        raise DataError(f"{path} has md5 {digest}, expected {md5}; {AGAIN}")
    return np.frombuffer(content, np.uint8)


def fetch(
    path: Path,
    *,
    md5: str | None = None,
    check: Callable[[Path], object] = lambda path: None,
    urls: Sequence[str],
    remedy: str,
) -> Path:
    """Downloads a missing file from the first address that serves it whole; else only checks it.

    Args:
      path: where the file belongs; its directory is created.
      md5: published checksum; None where there is none.
      check: raises DataError for a file that holds something else. What fails it, or has another
        checksum, never gets the file's name.
      urls: the official host first, then mirrors.
      remedy: what to do by hand when no address answers; ends the error message.

    Raises:
      DataError: no address served the file, or the one that is there is another. OSError: the disk
        is full.
    """
    if path.exists():
        if md5 is not None:
            read(path, size=path.stat().st_size, md5=md5)
        check(path)
        return path
    pooch.get_logger().setLevel("ERROR")
    reasons = []
    for url in urls:
        print(f"downloading {url}", flush=True)
        fresh = path.with_name(f".{os.getpid()}.{path.name}")
        try:
            _download(url, md5 and f"md5:{md5}", fresh)
            check(fresh)
            return fresh.replace(path)
        except ValueError:  # pooch's word for a wrong checksum
            reasons.append("wrong checksum")
        except DataError:
            reasons.append("other content")
        except OSError as error:  # requests' errors are OSErrors too
            if error.errno in DISK_FULL:
                raise
            reasons.append(_reason(error))
        finally:
            fresh.unlink(missing_ok=True)
    where = "; ".join(f"{url}: {reason}" for url, reason in zip(urls, reasons, strict=True))
    raise DataError(f"{path.name} is missing and could not be downloaded ({where}); {remedy}")


def _download(url: str, checksum: str | None, path: Path) -> None:
    loader = pooch.HTTPDownloader(timeout=30)
    pooch.retrieve(url, checksum, fname=path.name, path=path.parent, downloader=loader)


def _reason(error: OSError) -> str:
    response = getattr(error, "response", None)
    if response is not None:
        return f"HTTP {response.status_code}"
    return error.strerror or {"ConnectionError": "no connection"}.get(
        type(error).__name__, type(error).__name__
    )
