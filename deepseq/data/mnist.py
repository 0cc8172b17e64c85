"""MNIST: 60 000 training and 10 000 test digits of 28x28 pixels (LeCun, Cortes, Burges 1998), in
the official IDX files.
"""

import gzip
import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from deepseq.data.source import DataError, Images, Splits, data_dir, fetch, hold_out, pixel_mean

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
    shape, md5 = FILES[name]
    path = folder / name
    if not path.exists():
        remedy = f"put {name}.gz into {folder}, or set DEEPSEQ_DATA to what has {FOLDER}"
        path = fetch(
            folder / f"{name}.gz",
            md5=None,
            urls=[f"{mirror}{name}.gz" for mirror in mirrors],
            remedy=remedy,
        )
    try:
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (OSError, EOFError) as error:
        raise DataError(
            f"{path} cannot be read ({error}); delete it and run again to fetch a fresh copy"
        ) from error
    found = hashlib.md5(content, usedforsecurity=False).hexdigest()
    if found != md5:
        raise DataError(
            f"{path} has, unpacked, md5 {found}, expected {md5}; delete it and run again to fetch a"
            " fresh copy"
        )
    values = np.frombuffer(content, np.uint8, offset=4 + 4 * len(shape)).reshape(shape)
    return values if len(shape) == 3 else values.astype(np.int32)
