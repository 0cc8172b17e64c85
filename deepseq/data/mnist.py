"""MNIST: 60 000 training and 10 000 test digits of 28x28 pixels (LeCun, Cortes, Burges 1998), in
the official IDX files.
"""

import functools
import hashlib
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from deepseq.data.source import (
    AGAIN,
    DataError,
    Images,
    Splits,
    contents,
    data_dir,
    fetch,
    hold_out,
    pixel_mean,
    unzipped,
)

__all__ = ["FILES", "FOLDER", "MIRRORS", "load"]

FOLDER = "mnist"
FILES = {  # shape, and the md5 of the unpacked file: packed anew it would be other bytes
    "train-images-idx3-ubyte": ((60_000, 28, 28), "6bbc9ace898e44ae57da46a324031adb"),
    "train-labels-idx1-ubyte": ((60_000,), "a25bea736e30d166cdddb491f175f624"),
    "t10k-images-idx3-ubyte": ((10_000, 28, 28), "2646ac647ad5339dbf082846283269ea"),
    "t10k-labels-idx1-ubyte": ((10_000,), "27ae3e4e09519cfbb04c329615203637"),
}
MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
)


def load(
    validation: int = 0, *, directory: Path | None = None, mirrors: Sequence[str] = MIRRORS
) -> Splits:
    """Reads the four files, packed or not, fetching what is missing; every one is checked against
    its md5.

    Args:
      validation: images at the end of the training files to hold out.
      directory: holds ``mnist/*-ubyte.gz`` or unpacked; ``data_dir()`` by default.
      mirrors: addresses that serve the packed files by name.

    Returns:
      Splits of pixels (N, 28, 28, 1).

    Raises:
      DataError: a file is missing and cannot be fetched, or is another one; ``validation`` is out
        of range.
    """
    folder = (data_dir() if directory is None else Path(directory)) / FOLDER
    pixels, labels, test_pixels, test_labels = (_read(folder, name, mirrors) for name in FILES)
    hold_out(len(labels), validation, "MNIST")
    first = len(labels) - validation
    train, held = (
        Images(pixels[part, ..., None], labels[part]) for part in (slice(first), slice(first, None))
    )
    scale = 1 / 255
    origin = f"MNIST (md5 of the training images {FILES['train-images-idx3-ubyte'][1]})"
    return Splits(
        train,
        held,
        Images(test_pixels[..., None], test_labels),
        scale,
        pixel_mean(train, scale),
        10,
        origin,
    )


def _read(folder: Path, name: str, mirrors: Sequence[str]) -> np.ndarray:
    """The array of an IDX file: uint8 images, or int32 labels."""
    shape, _ = FILES[name]
    path = folder / name
    if not path.exists():
        remedy = f"put {name}.gz into {folder}, or set DEEPSEQ_DATA to what has {FOLDER}"
        urls = [f"{mirror}{name}.gz" for mirror in mirrors]
        check = functools.partial(_content, name)
        path = fetch(folder / f"{name}.gz", check=check, urls=urls, remedy=remedy)
    header = 4 + 4 * len(shape)
    values = np.frombuffer(_content(name, path), np.uint8, offset=header).reshape(shape)
    return values if len(shape) == 3 else values.astype(np.int32)


def _content(name: str, path: Path) -> bytes:
    """The bytes of an IDX file, packed or not, checked against its md5."""
    shape, md5 = FILES[name]
    size = 4 + 4 * len(shape) + math.prod(shape)
    packed = path.suffix == ".gz"
    content = unzipped(path, size) if packed else contents(path, size, AGAIN)
    digest = hashlib.md5(content, usedforsecurity=False).hexdigest()
    if digest != md5:
        unpacked = ", unpacked," if packed else ""
        raise DataError(f"{path} has{unpacked} md5 {digest}, expected {md5}; {AGAIN}")
    return content
