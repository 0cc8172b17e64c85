"""Byte-pair encoding: against a few lines that do it from the definition, back and forth, and the
same every time.
"""

import collections
import json
import os
import subprocess
import sys

import numpy as np
import pytest

from deepseq.data.subwords import LEAST, Subwords
from deepseq.data.transduction import CONTENT

TEXT = [
    "the cat sat on the mat",
    "the hat of the cat",
    "cats and hats, mats and the rest",
    "Äpfel über Äpfel",
]
ODD = [
    "",
    " ",
    "  two  spaces ",
    "tab\tand\nline",
    "naïve 日本語 🙂",
    "<pad> <begin> <end>",
    "\u2028",
    "UPPER lower",
]


@pytest.fixture(scope="module")
def learned():
    return Subwords.learn(TEXT, 290)


@pytest.mark.parametrize("text", [*TEXT, *ODD])
def test_every_text_comes_back(learned, text):
    (pieces,) = learned.encode([text])
    assert learned.decode(pieces) == text
    assert (
        pieces.dtype == np.int32
        and pieces.size
        and pieces.min() >= CONTENT
        and pieces.max() < learned.size
    )


def test_marks_are_left_out(learned):
    (pieces,) = learned.encode(["the cat"])
    assert learned.decode([1, *pieces, 2, 0, 0]) == "the cat"


def test_pieces_are_those_of_the_definition():
    """The most frequent pair is joined, again and again, in a text of which no two pairs are
    equally frequent.
    """
    text = [("ab " * 9 + "cab " * 4 + "cx " * 2).strip()]
    words = collections.Counter((" " + text[0]).replace(" ", "|_").split("|")[1:])
    cut = {word: list(word) for word in words}
    joined = []
    while len(joined) < 5:
        pairs = collections.Counter()
        for word, count in words.items():
            for pair in zip(cut[word], cut[word][1:], strict=False):
                pairs[pair] += count
        ((a, b), most), *next_best = pairs.most_common(2)
        assert not next_best or most > next_best[0][1]
        joined.append(a + b)
        for word, parts in cut.items():
            merged, k = [], 0
            while k < len(parts):
                step = 2 if parts[k : k + 2] == [a, b] else 1
                merged.append("".join(parts[k : k + step]))
                k += step
            cut[word] = merged
    found = Subwords.learn(text, LEAST + len(joined))
    assert found.size == LEAST + len(joined)
    shown = found.shown(range(LEAST, found.size))
    assert shown == [part[1:] if part[0] == "_" else "\N{MIDDLE DOT}" + part for part in joined]


def test_frequent_words_are_one_piece():
    found = Subwords.learn(TEXT, 400)
    pieces = found.encode(["the cat and the cats", "cat the"])
    assert [found.shown(row) for row in pieces] == [
        ["the", "cat", "and", "the", "cats"],
        ["cat", "the"],
    ]
    assert pieces[0][0] == pieces[1][1], "the first word of a line is cut as any other"
    assert found.shown(found.encode(["matte"])[0])[-1].startswith("\N{MIDDLE DOT}")


def test_a_short_text_has_no_more_pieces_than_pairs():
    assert Subwords.learn(["a b"], 8000).size < 300


def test_the_same_on_one_thread_and_many(learned):
    program = (
        f"from deepseq.data.subwords import Subwords; print(Subwords.learn({TEXT!r},"
        " 290).written())"
    )
    for threads in ("1", "4"):
        environment = os.environ | {"RAYON_NUM_THREADS": threads, "PYTHONIOENCODING": "utf-8"}
        said = subprocess.run(
            [sys.executable, "-c", program],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        assert json.loads(said.stdout) == json.loads(learned.written())


def test_written_and_read(learned):
    again = Subwords.read(learned.written())
    assert again.size == learned.size
    np.testing.assert_array_equal(again.encode(TEXT)[0], learned.encode(TEXT)[0])
    with pytest.raises(ValueError, match="no subwords"):
        Subwords.read("{}")


def test_a_vocabulary_without_room_for_the_bytes():
    with pytest.raises(
        ValueError, match="a vocabulary of 258, but the bytes and marks alone are 259"
    ):
        Subwords.learn(TEXT, 258)
