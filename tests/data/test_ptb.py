import functools
import hashlib
import http.server
import threading

import numpy as np
import pytest

from deepseq.data import ptb, source, text
from deepseq.data.source import DataError

TINY = {
    "ptb.train.txt": b" the <unk> sat \n the cat sat on N mats \n a cat \n",
    "ptb.valid.txt": b" a cat sat \n",
    "ptb.test.txt": b" the mats \n the N \n",
}


@pytest.fixture
def tiny(monkeypatch):
    """Three files of a few words in the official layout, and their md5s in place of the published
    ones.
    """
    files = {
        name: (len(content), hashlib.md5(content).hexdigest()) for name, content in TINY.items()
    }
    monkeypatch.setattr(ptb, "FILES", files)
    return TINY


def put(folder, files):
    folder.mkdir(parents=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


@pytest.mark.parametrize("layout", ["ptb", "ptb/simple-examples/data"])
def test_words(tmp_path, tiny, layout):
    put(tmp_path / layout, tiny)
    data = ptb.load("words", directory=tmp_path, mirrors=())
    assert data.vocabulary == ("<eos>", "cat", "sat", "the", "<unk>", "N", "a", "mats", "on")
    read = [" ".join(data.vocabulary[i] for i in part) for part in data[:3]]
    assert read[0] == "the <unk> sat <eos> the cat sat on N mats <eos> a cat <eos>"
    assert read[1:] == ["a cat sat <eos>", "the mats <eos> the N <eos>"] and data.unit == "words"


def test_characters(tmp_path, tiny):
    put(tmp_path / "ptb", tiny)
    data = ptb.load("characters", directory=tmp_path, mirrors=())
    read = [text.decode(data.vocabulary, data.unit, part) for part in data[:3]]
    assert read == [
        "the <unk> sat\nthe cat sat on N mats\na cat\n",
        "a cat sat\n",
        "the mats\nthe N\n",
    ]
    assert data.vocabulary == tuple(sorted(set(read[0]))) and data.train.dtype == np.int32


@pytest.fixture
def host(tmp_path):
    """A local server of the files in ``tmp_path / "served"``; gives its address."""

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *arguments):
            pass

    with http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Handler, directory=tmp_path / "served")
    ) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


def test_what_is_missing_is_fetched_from_a_mirror(tmp_path, tiny, host, capsys):
    folder = put(tmp_path / "ptb", {"ptb.train.txt": tiny["ptb.train.txt"]})
    put(tmp_path / "served", {**tiny, "ptb.train.txt": b"never asked for"})
    data = ptb.load("words", directory=tmp_path, mirrors=(host + "gone/", host))
    assert len(data.validation) == 4 and {path.name for path in folder.iterdir()} == set(tiny)
    lines = capsys.readouterr().out.splitlines()
    assert lines == [
        f"downloading {host}{place}{name}" for name in list(tiny)[1:] for place in ("gone/", "")
    ]


def test_when_no_mirror_serves_it_the_line_says_what_to_put_where(tmp_path, tiny):
    folder = put(
        tmp_path / "ptb",
        {"ptb.train.txt": tiny["ptb.train.txt"], "ptb.test.txt": tiny["ptb.test.txt"]},
    )
    with pytest.raises(DataError) as caught:
        ptb.load(
            "words", directory=tmp_path, mirrors=("http://127.0.0.1:9/a/", "http://127.0.0.1:9/b/")
        )
    line = str(caught.value)
    assert "/a/ptb.valid.txt: no connection" in line and "/b/ptb.valid.txt: no connection" in line
    assert f"put ptb.valid.txt of Mikolov's simple-examples.tgz into {folder}" in line
    assert "DEEPSEQ_DATA" in line and "\n" not in line


def test_another_file_is_named_and_kept(tmp_path, tiny):
    folder = put(tmp_path / "ptb", tiny)
    other = tiny["ptb.test.txt"].replace(b"mats", b"hats")
    for content, reason in (
        (other, "has md5"),
        (other[:-1], f"has {len(other) - 1} bytes, expected {len(other)}"),
    ):
        (folder / "ptb.test.txt").write_bytes(content)
        with pytest.raises(DataError, match=f"ptb.test.txt {reason}.*; delete it"):
            ptb.load("words", directory=tmp_path, mirrors=())
        assert (folder / "ptb.test.txt").read_bytes() == content


def test_an_unknown_unit_is_told_before_anything_is_read(tmp_path):
    with pytest.raises(ValueError, match="not 'letters'"):
        ptb.load("letters", directory=tmp_path, mirrors=())


def test_there_are_two_mirrors():
    assert len(ptb.MIRRORS) == 2 and all(
        mirror.startswith("https://") and mirror.endswith("/") for mirror in ptb.MIRRORS
    )


def test_the_real_files():
    folder = source.data_dir() / ptb.FOLDER
    if not any((folder / place / "ptb.train.txt").exists() for place in ("", ptb.OFFICIAL)):
        pytest.skip(f"no Penn Treebank in {folder}; set DEEPSEQ_DATA")
    words = ptb.load("words")
    assert [len(part) for part in words[:3]] == [
        929_589,
        73_760,
        82_430,
    ]  # Zaremba et al. 2014: 929k, 73k, 82k
    assert len(words.vocabulary) == 10_000 and words.vocabulary[:3] == ("the", "<unk>", "<eos>")
    counts = np.bincount(words.train, minlength=10_000)
    assert counts.min() > 0 and (np.diff(counts) <= 0).all() and counts[2] == 42_068  # its lines
    read = text.decode(words.vocabulary, "words", words.test)
    assert read.startswith(
        "no it was n't black monday\nbut while the new york stock exchange did n't fall apart"
        " friday"
    )
    letters = ptb.load("characters")
    assert [len(part) for part in letters[:3]] == [5_017_482, 393_042, 442_423] and len(
        letters.vocabulary
    ) == 50
    assert text.decode(letters.vocabulary, "characters", letters.test) == read
