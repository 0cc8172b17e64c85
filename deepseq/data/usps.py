"""The zip codes of LeCun et al. 1989: 7291 training and 2007 test digits of 16x16 pixels from US
envelopes.

The files zip.train.gz and zip.test.gz that come with Hastie, Tibshirani and Friedman, "The Elements
of Statistical Learning": a line holds a digit and 256 grey values from -1 (paper) to 1 (ink), in
thousandths."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from deepseq.data.source import AGAIN, DataError, Images, Splits, data_dir, fetch, unzipped

__all__ = ["FILES", "FOLDER", "MIRRORS", "MOST", "load"]

FOLDER = "usps"
FILES = {  # images, and the sha256 of digits and values in thousandths
    "zip.train.gz": (7291, "74a5585991da3675aa6077b06413513d5a4bc12176b01607b5919e914ab50a5a"),
    "zip.test.gz": (2007, "e75fe4e91da775cf237bbc273df49e8597641d50bf39c951ef8b30390c25d17d"),
}
MOST = 2**25  # bytes of a file, unpacked; the larger has 14 million
MIRRORS = (
    "https://hastie.su.domains/ElemStatLearn/datasets/",
    "https://web.stanford.edu/~hastie/ElemStatLearn/datasets/",
)


def load(*, directory: Path | None = None, mirrors: Sequence[str] = MIRRORS) -> Splits:
    """Reads both files, fetching what is missing, and checks what they hold.

    Args:
      directory: holds ``usps/zip.*.gz``; ``data_dir()`` by default.
      mirrors: addresses that serve the files by name.

    Returns:
      Splits of pixels (N, 16, 16, 1), float32 in -1..1 with a scale of 1 and a mean of 0, without a
      validation part.

    Raises:
      DataError: a file is missing and cannot be fetched, or holds something else.
    """
    folder = (data_dir() if directory is None else Path(directory)) / FOLDER
    train, test = (_read(folder, name, mirrors) for name in FILES)
    nothing = Images(train.pixels[:0], train.labels[:0])
    origin = f"USPS zip codes (sha256 of the training part {FILES['zip.train.gz'][1]})"
    return Splits(train, nothing, test, 1.0, np.zeros((16, 16, 1), np.float32), 10, origin)


def _read(folder: Path, name: str, mirrors: Sequence[str]) -> Images:
    remedy = (
        f"put {name} of The Elements of Statistical Learning into {folder}, or set DEEPSEQ_DATA to"
        f" what has {FOLDER}"
    )
    urls = [mirror + name for mirror in mirrors]
    path = fetch(folder / name, check=lambda path: _images(name, path), urls=urls, remedy=remedy)
    return _images(name, path)


def _images(name: str, path: Path) -> Images:
    """The digits of a file, checked against their sha256."""
    count, digest = FILES[name]
    try:
        lines = unzipped(path, MOST).decode("ascii").splitlines()
        table = np.array([line.split() for line in lines], np.float32)
    except ValueError as error:
        raise DataError(f"{path} is no table of numbers ({error}); {AGAIN}") from error
    if table.shape != (count, 257):
        raise DataError(f"{path} holds a table {table.shape}, expected {(count, 257)}; {AGAIN}")
    labels, pixels = table[:, 0].astype(np.int32), table[:, 1:].reshape(-1, 16, 16, 1)
    thousandths = np.rint(1000 * pixels).astype(np.int16)
    held = hashlib.sha256(labels.tobytes() + thousandths.tobytes()).hexdigest()
    if held != digest:
        raise DataError(f"{path} holds other digits (sha256 {held}, expected {digest}); {AGAIN}")
    return Images(pixels, labels)
