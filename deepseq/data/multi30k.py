"""Multi30k: 29 000 English captions of photographs and their German translations, 1014 for
validation and 1000 for the test.

Elliott et al. 2016, "Multi30K: Multilingual English-German Image Descriptions" (arXiv 1605.00459);
the raw text of task 1, with its capitals and punctuation, ``data/task1/raw`` of
https://github.com/multi30k/dataset. The test is that of 2016, from Flickr."""

import gzip
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from deepseq.data.source import DataError, data_dir, fetch, read

__all__ = ["FILES", "FOLDER", "MIRRORS", "OFFICIAL", "PARTS", "Parallel", "Sentences", "load"]

FOLDER, OFFICIAL = "multi30k", "data/task1/raw"
PARTS = ("train", "val", "test_2016_flickr")
FILES = {  # bytes and md5
    "train.de.gz": (637_044, "81ff90b99829c0cd4b1b587d394afd39"),
    "train.en.gz": (568_929, "0065d13af80720a55ca8153d126e6627"),
    "val.de.gz": (24_681, "6e0e229eb049e3fc99a1ef02fb2d5f91"),
    "val.en.gz": (21_650, "2b69aa9253948ac9f67e94917272dd40"),
    "test_2016_flickr.de.gz": (22_890, "efd67d314d98489b716b145475101932"),
    "test_2016_flickr.en.gz": (21_077, "ff2c0fcb4893a13bd73414306bc250ae"),
}
MIRRORS = ("https://raw.githubusercontent.com/multi30k/dataset/master/data/task1/raw/",)


class Sentences(NamedTuple):
    """Sentences of one part and their translations, line by line as they are in the files."""

    source: tuple[str, ...]  # German
    target: tuple[str, ...]  # English


class Parallel(NamedTuple):
    """A corpus in two languages."""

    train: Sentences
    validation: Sentences
    test: Sentences
    origin: str  # which data this is, with the hash that says so


def load(*, directory: Path | None = None, mirrors: Sequence[str] = MIRRORS) -> Parallel:
    """Reads the six files, fetching what is missing; every one is checked against its md5.

    Args:
      directory: holds ``multi30k/data/task1/raw/*.gz`` or ``multi30k/*.gz``; ``data_dir()`` by
        default.
      mirrors: addresses that serve the files by name.

    Raises:
      DataError: a file is missing and cannot be fetched, or is another one, or the two of a part
        have not equally many lines.
    """
    folder = (data_dir() if directory is None else Path(directory)) / FOLDER
    parts = [_part(folder, name, mirrors) for name in PARTS]
    return Parallel(
        *parts, "Multi30k, task 1, raw (md5 of train.de.gz {})".format(FILES["train.de.gz"][1])
    )


def _part(folder: Path, name: str, mirrors: Sequence[str]) -> Sentences:
    paths = [_find(folder, f"{name}.{language}.gz", mirrors) for language in ("de", "en")]
    german, english = map(_lines, paths)
    if len(german) != len(english):
        one, other = (
            f"{path} has {len(lines)} lines"
            for path, lines in zip(paths, (german, english), strict=True)
        )
        raise DataError(f"{one}, {other}; take both from the same release of Multi30k")
    return Sentences(german, english)


def _find(folder: Path, name: str, mirrors: Sequence[str]) -> Path:
    for path in (folder / OFFICIAL / name, folder / name):
        if path.exists():
            return path
    remedy = (
        f"put {name} of github.com/multi30k/dataset, {OFFICIAL}, into {folder}, or set DEEPSEQ_DATA"
        f" to what has {FOLDER}"
    )
    return fetch(
        folder / name, md5=FILES[name][1], urls=[mirror + name for mirror in mirrors], remedy=remedy
    )


def _lines(path: Path) -> tuple[str, ...]:
    """The lines of a file; not ``splitlines``, which also cuts at characters within a sentence."""
    size, md5 = FILES[path.name]
    text = gzip.decompress(read(path, size=size, md5=md5).tobytes()).decode()
    return tuple(text.removesuffix("\n").split("\n"))
