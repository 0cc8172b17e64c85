"""Texts as symbols, characters or words: the one that comes with Python, or a file of one's own."""

import difflib
import hashlib
import re
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from deepseq.data.source import DataError, contents

__all__ = [
    "Corpus",
    "EOS",
    "MOST",
    "UNK",
    "by_count",
    "columns",
    "decode",
    "encode",
    "from_file",
    "load",
    "load_distinct",
    "pieces",
]

# the line end and the rare word, as the Penn Treebank of Mikolov writes them
EOS, UNK = ("<eos>", "<unk>")
MOST = 2**30  # bytes of a user's file


class Corpus(NamedTuple):
    """A text as symbols, in three parts."""

    train: np.ndarray  # (N,) int32, indices into vocabulary
    validation: np.ndarray  # (M,) int32
    test: np.ndarray  # (K,) int32
    vocabulary: tuple[str, ...]  # the character or word of every symbol
    unit: str  # "characters" or "words"
    origin: str  # which text, with the hash that says so


def load(validation: int = 40_000, test: int = 0) -> Corpus:
    """Reads the language reference and help topics of ``pydoc``, the topics in alphabetical order,
    as characters.

    Characters beyond ASCII are left out. The text differs between versions of Python; ``origin``
    says which it is.

    Args:
      validation, test: characters at the end that are held out, those of ``test`` last.

    Raises:
      ValueError: a part is negative, or nothing is left to train on.
    """
    return _documentation(_topics(), validation, test, "pydoc_data.topics")


def load_distinct(validation: int, test: int) -> Corpus:
    """``load`` with every paragraph once, at its first place.

    A fifth of the text repeats paragraphs of other topics. With them, a part of the test is the
    training text word for word, and what is scored is copying."""
    paragraphs: dict[str, str] = {}
    for paragraph in _topics().split("\n\n"):
        paragraphs.setdefault(paragraph.strip(), paragraph)
    return _documentation(
        "\n\n".join(paragraphs.values()), validation, test, "pydoc_data.topics, paragraphs once"
    )


def _topics() -> str:
    from pydoc_data import topics

    return (
        "".join(topics.topics[name] for name in sorted(topics.topics))
        .encode("ascii", "ignore")
        .decode()
    )


def _documentation(text: str, validation: int, test: int, name: str) -> Corpus:
    if min(validation, test) < 0 or validation + test >= len(text):
        raise ValueError(
            f"validation={validation} and test={test}, but the text has {len(text)} characters"
        )
    vocabulary = tuple(sorted(set(text)))
    digest = hashlib.sha256(text.encode()).hexdigest()
    origin = f"{name} of Python {sys.version_info[0]}.{sys.version_info[1]} (sha256 {digest})"
    return Corpus(
        *_cut(encode(vocabulary, "characters", text), validation, test),
        vocabulary,
        "characters",
        origin,
    )


def from_file(
    path: str | Path, unit: str, *, validation: float = 0.05, test: float = 0.05
) -> Corpus:
    """Reads a UTF-8 file and cuts it into train, validation and test, in this order.

    The vocabulary of characters is all that occur in the file. That of words is those the training
    part has at least twice, with "<eos>" for the line end and "<unk>" for every other word, by
    falling count. A file of more than 1 GiB is refused.

    Args:
      unit: "characters", kept as they are, or "words", split at white space.
      validation, test: the fractions that are held out.

    Raises:
      DataError: the file cannot be read, is empty, is not UTF-8, or is too short to be cut.
        ValueError: a bad argument.
    """
    if not (validation >= 0 and test >= 0 and validation + test < 1):
        raise ValueError(
            f"validation={validation} and test={test} must be fractions that leave something to"
            " train on"
        )
    content = _bytes(path)
    try:
        found = pieces(unit, content.decode().removeprefix("\ufeff"))
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path} is not UTF-8 at byte {error.start}; convert it, for example with iconv -t"
            " UTF-8"
        ) from error
    sizes = [int(len(found) * share) for share in (validation, test)]
    if not found or any(
        share and not size for share, size in zip((validation, test), sizes, strict=True)
    ):
        raise DataError(
            f"{path} has {len(found)} {unit}, too few to cut validation={validation} and"
            f" test={test} from; give a longer text"
        )
    if unit == "characters":
        vocabulary = tuple(sorted(set(found)))
    else:
        train = found[: len(found) - sum(sizes)]
        known = {word for word, count in Counter(train).items() if count > 1} | {EOS}
        found = [word if word in known else UNK for word in found]
        vocabulary = by_count(found[: len(train)], {EOS, UNK})
    origin = f"{Path(path).name} (sha256 {hashlib.sha256(content).hexdigest()})"
    return Corpus(*_cut(_indices(vocabulary, found), *sizes), vocabulary, unit, origin)


def pieces(unit: str, text: str) -> Sequence[str]:
    """The characters of a text, or its words with "<eos>" at every line end."""
    if unit not in ("characters", "words"):
        raise ValueError(f'a text is read as "characters" or "words", not {unit!r}')
    return text if unit == "characters" else text.replace("\n", f" {EOS} ").split()


def by_count(words: Iterable[str], always: Iterable[str] = ()) -> tuple[str, ...]:
    """The different words by falling count, equal counts alphabetically; ``always`` are in it even
    where they count 0.
    """
    counts = Counter(words)
    return tuple(sorted({*counts, *always}, key=lambda word: (-counts[word], word)))


def encode(vocabulary: Corpus | Sequence[str], unit: str, text: str) -> np.ndarray:
    """The symbols of a text, (T,) int32; ``vocabulary`` may be the corpus that has it.

    Raises:
      ValueError: a character or word is not in the vocabulary; words are never replaced by "<unk>"
        here.
    """
    vocabulary = vocabulary.vocabulary if isinstance(vocabulary, Corpus) else vocabulary
    try:
        return _indices(vocabulary, pieces(unit, text))
    except KeyError as error:
        unknown = error.args[0]
    if unit == "characters":
        raise ValueError(
            f"the character {unknown!r} (U+{ord(unknown):04X}) is not in the vocabulary; leave"
            " it out"
        )
    close = difflib.get_close_matches(unknown, vocabulary, 1, 0)
    advice = [f"the nearest word is {close[0]!r}"] if close else []
    advice += [f'write "{UNK}" to mean any rare word'] if UNK in vocabulary else []
    raise ValueError(
        f"the word {unknown!r} is not in the vocabulary; "
        + ", or ".join(advice or ["leave it out"])
    )


def decode(vocabulary: Sequence[str], unit: str, symbols: Iterable[int]) -> str:
    """The text of symbols: characters side by side, words with spaces between them and "<eos>" as a
    line end.
    """
    found = [vocabulary[symbol] for symbol in symbols]
    if unit == "characters":
        return "".join(found)
    return re.sub(" ?\n ?", "\n", " ".join("\n" if word == EOS else word for word in found))


def columns(symbols: np.ndarray, batch: int) -> np.ndarray:
    """The text cut into ``batch`` streams side by side, (T, batch), each going on where its last
    chunk ended.
    """
    if not 1 <= batch <= len(symbols):
        raise ValueError(f"columns: {len(symbols)} symbols make no {batch} streams")
    steps = len(symbols) // batch
    return np.ascontiguousarray(symbols[: steps * batch].reshape(batch, steps).T)


def _bytes(path: str | Path) -> bytes:
    content = contents(path, MOST, "give a readable UTF-8 text file")
    if not content:
        raise DataError(f"{path} is empty; give a file that has text")
    return content


def _indices(vocabulary: Sequence[str], found: Sequence[str]) -> np.ndarray:
    index = {piece: i for i, piece in enumerate(vocabulary)}
    return np.fromiter(map(index.__getitem__, found), np.int32, len(found))


def _cut(
    symbols: np.ndarray, validation: int, test: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    held, tested = len(symbols) - validation - test, len(symbols) - test
    return symbols[:held], symbols[held:tested], symbols[tested:]
