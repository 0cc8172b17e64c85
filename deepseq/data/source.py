"""Where data files lie, how a missing one is fetched, and what every reader of images returns."""

import errno
import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pooch

__all__ = [
    "DISK_FULL",
    "DataError",
    "Images",
    "Splits",
    "data_dir",
    "fetch",
    "hold_out",
    "pixel_mean",
    "read",
]

DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


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
    """The data directory: $DEEPSEQ_DATA where it is set, else ``deepseq`` in the user's cache."""
    given = os.environ.get("DEEPSEQ_DATA")
    return Path(given).expanduser() if given else Path(pooch.os_cache("deepseq"))


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


def read(path: Path, *, size: int, md5: str) -> np.ndarray:
    """The bytes of a file whose size and published md5 are known: (size,) uint8.

    Raises:
      DataError: the file cannot be read, or holds something else. It is left as it is.
    """
    try:
        found = path.stat().st_size
        content = np.fromfile(path, np.uint8) if found == size else None
    except OSError as error:
        raise DataError(
            f"{path} cannot be read ({error.strerror}); make it a readable file"
        ) from error
    remedy = "delete it and run again to fetch a fresh copy"
    if content is None:
        raise DataError(f"{path} has {found} bytes, expected {size}; {remedy}")
    digest = hashlib.md5(content, usedforsecurity=False).hexdigest()
    if digest != md5:
        raise DataError(f"{path} has md5 {digest}, expected {md5}; {remedy}")
    return content


def fetch(path: Path, *, md5: str | None, urls: Sequence[str], remedy: str) -> Path:
    """Downloads a missing file from the first address that serves it whole; one that is there is
    only checked.

    Args:
      path: where the file belongs; its directory is created.
      md5: published checksum; what does not match it never gets the file's name. None where the
        caller checks what it holds.
      urls: the official host first, then mirrors.
      remedy: what to do by hand when no address answers; ends the error message.

    Raises:
      DataError: no address served the file, or the one that is there is another. OSError: the disk
        is full.
    """
    if path.exists():
        if md5 is not None:
            read(path, size=path.stat().st_size, md5=md5)
        return path
    pooch.get_logger().setLevel("ERROR")
    reasons = []
    for url in urls:
        print(f"downloading {url}", flush=True)
        try:
            loader = pooch.HTTPDownloader(timeout=30)
            return Path(
                pooch.retrieve(
                    url, md5 and f"md5:{md5}", fname=path.name, path=path.parent, downloader=loader
                )
            )
        except ValueError:  # pooch's word for a wrong checksum
            reasons.append("wrong checksum")
        except OSError as error:  # requests' errors are OSErrors too
            if error.errno in DISK_FULL:
                raise
            reasons.append(_reason(error))
    where = "; ".join(f"{url}: {reason}" for url, reason in zip(urls, reasons, strict=True))
    raise DataError(f"{path.name} is missing and could not be downloaded ({where}); {remedy}")


def _reason(error: OSError) -> str:
    response = getattr(error, "response", None)
    if response is not None:
        return f"HTTP {response.status_code}"
    return error.strerror or {"ConnectionError": "no connection"}.get(
        type(error).__name__, type(error).__name__
    )
