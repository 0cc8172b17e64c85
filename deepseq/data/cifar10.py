"""CIFAR-10 in its official binary layout: 50 000 training and 10 000 test images of ten kinds of
things, 32x32, RGB.

Krizhevsky 2009, "Learning multiple layers of features from tiny images";
https://www.cs.toronto.edu/~kriz/cifar.html. Each file holds 10 000 records of 3073 bytes: the
label, then 1024 red, 1024 green and 1024 blue values, row by row."""

import os
import tarfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from deepseq.data.source import (
    DataError,
    Images,
    Splits,
    data_dir,
    fetch,
    hold_out,
    pixel_mean,
    read,
)

__all__ = ["ARCHIVE", "ARCHIVE_MD5", "FOLDER", "MD5", "RECORD", "RECORDS", "URLS", "load"]

FOLDER = "cifar-10-batches-bin"
ARCHIVE, ARCHIVE_MD5 = "cifar-10-binary.tar.gz", "c32a1d4ab5d03f1284b67883e8d87530"
URLS = (
    "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
    "https://storage.googleapis.com/s4tf-hosted-binaries/datasets/CIFAR10/cifar-10-binary.tar.gz",
)
MD5 = {
    "data_batch_1.bin": "5dd7e06a14cb22eb9f671a540d1b7c25",
    "data_batch_2.bin": "5ea93a67294ea407fff1d09f752e9692",
    "data_batch_3.bin": "942cd6a4bcdd0dd3c604fbe906cb4421",
    "data_batch_4.bin": "ae636b3ba5c66a11e91e8cb52e771fcb",
    "data_batch_5.bin": "53f37980c15c3d472c316c40844f3f0d",
    "test_batch.bin": "803d5f7f4d78ea53de84dbe85f74fb6d",
}
RECORD, RECORDS = 1 + 3 * 32 * 32, 10_000


def load(
    validation: int = 5000,
    *,
    directory: Path | None = None,
    urls: Sequence[str] = URLS,
    archive_md5: str = ARCHIVE_MD5,
) -> Splits:
    """Reads CIFAR-10, fetching what is missing; every file is checked against its published md5.

    Args:
      validation: how many training images, the last in file order, are held out; He et al. 2015 use
        5000.
      directory: holds ``cifar-10-batches-bin/*.bin``; ``data_dir()`` by default.
      urls, archive_md5: where the official archive comes from.

    Returns:
      Splits with pixels (N, 32, 32, 3) and labels (N,).

    Raises:
      DataError: a file is missing and cannot be fetched, is truncated or altered, or ``validation``
        is out of range.
    """
    hold_out(5 * RECORDS, validation, "CIFAR-10")
    directory = data_dir() if directory is None else Path(directory)
    folder = directory / FOLDER
    present = {name: _images(folder / name) for name in MD5 if (folder / name).exists()}
    missing = [name for name in MD5 if name not in present]
    if missing:
        remedy = (
            f"put {missing[0]} of {ARCHIVE} into {folder}, or set DEEPSEQ_DATA to the directory"
            f" that has {FOLDER}"
        )
        _unpack(
            fetch(directory / ARCHIVE, md5=archive_md5, urls=urls, remedy=remedy), folder, missing
        )
        present |= {name: _images(folder / name) for name in missing}
    *batches, test = (present[name] for name in MD5)
    whole = Images(*(np.concatenate(parts) for parts in zip(*batches, strict=True)))
    cut = len(whole.labels) - validation
    train, held = (Images(*(a[part] for a in whole)) for part in (slice(cut), slice(cut, None)))
    scale = 1 / 255
    origin = f"CIFAR-10, official binary version (md5 {ARCHIVE_MD5})"
    return Splits(train, held, test, scale, pixel_mean(train, scale), 10, origin)


def _images(path: Path) -> Images:
    records = read(path, size=RECORD * RECORDS, md5=MD5[path.name]).reshape(RECORDS, RECORD)
    # stored channel by channel
    pixels = records[:, 1:].reshape(RECORDS, 3, 32, 32).transpose(0, 2, 3, 1)
    return Images(np.ascontiguousarray(pixels), records[:, 0].astype(np.int32))


def _unpack(archive: Path, folder: Path, names: Sequence[str]) -> None:
    """Writes the named files of the archive, and nothing else it may hold, each whole or not at
    all.
    """
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with tarfile.open(archive) as tar:
            for name in names:
                stream = tar.extractfile(f"{FOLDER}/{name}")
                if stream is None:
                    raise KeyError(f"{name} is not a plain file")
                temporary = folder / f"{name}.{os.getpid()}.part"
                temporary.write_bytes(stream.read(RECORD * RECORDS + 1))
                os.replace(temporary, folder / name)
    except (tarfile.TarError, EOFError, KeyError) as error:
        reason = " ".join(map(str, error.args))
        raise DataError(
            f"{archive} is not the official archive ({reason}); delete it and run again"
        ) from error
