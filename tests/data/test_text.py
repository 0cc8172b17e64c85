"""Texts as symbols: the bundled one and a user's file."""

import hashlib
import os

import numpy as np
import pytest

from deepseq.data import text
from deepseq.data.source import DataError


def write(tmp_path, content):
    path = tmp_path / "a text.txt"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def test_text_can_be_read_back():
    data = text.load(1000, 500)
    assert (len(data.validation), len(data.test), data.unit) == (
        1000,
        500,
        "characters",
    ) and "sha256" in data.origin
    assert data.train.max() < len(data.vocabulary) and sorted(set(data.vocabulary)) == list(
        data.vocabulary
    )
    assert data.train.dtype == data.validation.dtype == data.test.dtype == np.int32
    read = text.decode(data.vocabulary, data.unit, data.train[:60_000])
    assert "statement" in read and "\n" in read
    np.testing.assert_array_equal(text.encode(data, data.unit, read), data.train[:60_000])
    np.testing.assert_array_equal(
        text.load(0).train, np.concatenate([data.train, data.validation, data.test])
    )
    whole = text.decode(data.vocabulary, data.unit, text.load(0).train)
    assert hashlib.sha256(whole.encode()).hexdigest() in data.origin
    for bad in (
        {"validation": -1},
        {"test": -1},
        {"validation": len(whole)},
        {"validation": 1, "test": len(whole) - 1},
    ):
        with pytest.raises(ValueError, match=f"validation=.*the text has {len(whole)} characters"):
            text.load(**bad)


def test_distinct_paragraphs_stand_once_in_their_first_place():
    every, once = text.load(0), text.load_distinct(1000, 500)
    assert (len(once.validation), len(once.test)) == (
        1000,
        500,
    ) and "paragraphs once" in once.origin
    whole = np.concatenate([once.train, once.validation, once.test])
    found = text.decode(once.vocabulary, once.unit, whole).split("\n\n")
    usual = text.decode(every.vocabulary, every.unit, every.train).split("\n\n")
    bare = [paragraph.strip() for paragraph in found]
    assert len(set(bare)) == len(bare) < len(usual)
    assert bare == sorted(set(bare), key=[paragraph.strip() for paragraph in usual].index)


def test_columns_go_on_where_they_ended():
    rows = text.columns(np.arange(11), 3)
    np.testing.assert_array_equal(rows, [[0, 3, 6], [1, 4, 7], [2, 5, 8]])
    for symbols, batch in ((np.arange(2), 3), (np.arange(2), 0)):
        with pytest.raises(ValueError, match="make no"):
            text.columns(symbols, batch)


def test_characters_of_a_file(tmp_path):
    content = "aé \r\n\tb日" * 5 + "z"
    path = write(tmp_path, "\ufeff" + content)
    data = text.from_file(path, "characters", validation=0.1, test=0.2)
    assert (len(data.train), len(data.validation), len(data.test)) == (29, 4, 8)  # of 41
    whole = np.concatenate([data.train, data.validation, data.test])
    assert text.decode(data.vocabulary, "characters", whole) == content
    # "z", of the test part alone, has a symbol too
    assert data.vocabulary == tuple(sorted(set(content)))
    assert data.origin == f"a text.txt (sha256 {hashlib.sha256(path.read_bytes()).hexdigest()})"


def test_words_of_a_file(tmp_path):
    path = write(tmp_path, "b a once\r\n b  c b\n\nc a <eos>" + " a new" + " b once")
    data = text.from_file(path, "words", validation=2 / 16, test=2 / 16)
    assert data.vocabulary == ("<eos>", "b", "a", "c", "<unk>")
    read = [[data.vocabulary[i] for i in part] for part in data[:3]]
    assert read[0] == "b a <unk> <eos> b c b <eos> <eos> c a <eos>".split()
    assert read[1:] == [["a", "<unk>"], ["b", "<unk>"]]
    again = text.from_file(path, "words", validation=0, test=0)  # "once" is twice in it now
    assert (
        "once" in again.vocabulary
        and len(again.train) == 16
        and not len(again.validation) + len(again.test)
    )


def test_a_held_out_word_has_a_symbol_where_training_has_no_rare_one(tmp_path):
    data = text.from_file(write(tmp_path, "a a a a strange"), "words", validation=0, test=0.2)
    assert data.vocabulary == ("a", "<eos>", "<unk>") and data.test.tolist() == [2]


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"", "is empty; give"),
        (b"fine \xe9 not", "is not UTF-8 at byte 5; convert"),
        ("\ufeffé".encode() + b"\xff", "is not UTF-8 at byte 5; convert"),
        (
            b"nineteen characters",
            "has 19 characters, too few to cut validation=0.05 and test=0.05 from; give",
        ),
    ],
)
def test_a_file_that_cannot_be_used(tmp_path, content, line):
    path = write(tmp_path, content)
    with pytest.raises(DataError) as caught:
        text.from_file(path, "characters")
    assert str(caught.value).startswith(f"{path} {line}") and "\n" not in str(caught.value)
    assert path.read_bytes() == content


def test_a_file_that_cannot_be_read(tmp_path, monkeypatch):
    (tmp_path / "folder").mkdir()
    for name, reason in (
        ("missing.txt", "No such file or directory"),
        ("folder", "Is a directory"),
    ):
        with pytest.raises(
            DataError, match=rf"{name} cannot be read \({reason}\); give a readable UTF-8 text file"
        ):
            text.from_file(tmp_path / name, "words")

    def refuse(path, flags):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(DataError, match=r"locked.txt cannot be read \(Permission denied\)"):
        text.from_file(tmp_path / "locked.txt", "words")


def test_files_without_end_are_refused(tmp_path, monkeypatch):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", "/dev/zero"):
        with pytest.raises(DataError, match=f"{path} is no regular file"):
            text.from_file(path, "words")
    monkeypatch.setattr(text, "MOST", 10)
    with open(tmp_path / "sparse.txt", "wb") as file:
        file.truncate(10**12)
    with pytest.raises(DataError, match="has 1000000000000 bytes, expected at most 10"):
        text.from_file(tmp_path / "sparse.txt", "words")


def test_white_space_has_no_words(tmp_path):
    with pytest.raises(DataError, match="has 0 words, too few"):
        text.from_file(write(tmp_path, "  \t "), "words", validation=0, test=0)


def test_bad_arguments(tmp_path):
    path = write(tmp_path, "some text " * 50)
    for bad in ({"validation": -0.1}, {"test": float("nan")}, {"validation": 0.5, "test": 0.5}):
        with pytest.raises(ValueError, match="must be fractions"):
            text.from_file(path, "words", **bad)
    with pytest.raises(ValueError, match='"characters" or "words", not \'letters\''):
        text.from_file(path, "letters")


def test_words_come_back_from_their_symbols():
    vocabulary = ("<eos>", "the", "cat")
    for symbols in ([1, 2, 0, 1], [0, 0, 0], [0, 1, 0], [2], []):
        read = text.decode(vocabulary, "words", symbols)
        np.testing.assert_array_equal(text.encode(vocabulary, "words", read), symbols)
    assert text.decode(vocabulary, "words", [0, 1, 2, 0, 0, 2]) == "\nthe cat\n\ncat"


def test_what_is_unknown_is_named():
    words = ("<eos>", "<unk>", "banana", "the")
    with pytest.raises(
        ValueError, match="word 'bananna' is not.*nearest word is 'banana'.*\"<unk>\""
    ) as caught:
        text.encode(words, "words", "the bananna was")
    assert "\n" not in str(caught.value)
    assert text.encode(words, "words", "the <unk>").tolist() == [3, 1]
    with pytest.raises(ValueError) as caught:
        text.encode(("the",), "words", "xyz")
    assert "<unk>" not in str(caught.value)
    with pytest.raises(ValueError, match=r"character '\\n' \(U\+000A\)") as caught:
        text.encode(("a", "b"), "characters", "ab\n")
    assert "\n" not in str(caught.value)
