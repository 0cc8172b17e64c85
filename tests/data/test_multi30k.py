import functools
import gzip
import hashlib
import http.server
import os
import threading

import pytest

from deepseq.data import multi30k
from deepseq.data.source import DataError

TEXTS = {
    "train.de.gz": "Ein Hund läuft.\nZwei  Kinder\u2028spielen. \n",
    "train.en.gz": "A dog runs.\nTwo children play.\n",
    "val.de.gz": "Ein Mann.\n",
    "val.en.gz": "A man.\n",
    "test_2016_flickr.de.gz": "Eine Frau.\n",
    "test_2016_flickr.en.gz": "A woman.\n",
}


def packed(texts):
    return {name: gzip.compress(text.encode(), mtime=0) for name, text in texts.items()}


def known(monkeypatch, files):
    """The sizes and md5s of these files in place of the published ones."""
    sums = {
        name: (len(content), hashlib.md5(content).hexdigest()) for name, content in files.items()
    }
    monkeypatch.setattr(multi30k, "FILES", sums)


@pytest.fixture
def tiny(monkeypatch):
    files = packed(TEXTS)
    known(monkeypatch, files)
    return files


def put(folder, files):
    folder.mkdir(parents=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)


@pytest.mark.parametrize("layout", ["multi30k", "multi30k/data/task1/raw"])
def test_lines_are_kept_as_they_are(tmp_path, tiny, layout):
    put(tmp_path / layout, tiny)
    data = multi30k.load(directory=tmp_path, mirrors=())
    assert data.train.source == ("Ein Hund läuft.", "Zwei  Kinder\u2028spielen. ")
    assert data.train.target == ("A dog runs.", "Two children play.")
    assert data.validation == (("Ein Mann.",), ("A man.",)) and data.test == (
        ("Eine Frau.",),
        ("A woman.",),
    )
    assert hashlib.md5(tiny["train.de.gz"]).hexdigest() in data.origin


def test_the_data_directory_is_the_environment_s(tmp_path, tiny, monkeypatch):
    put(tmp_path / "multi30k", tiny)
    monkeypatch.setenv("DEEPSEQ_DATA", str(tmp_path))
    assert len(multi30k.load(mirrors=()).train.source) == 2


@pytest.mark.parametrize("name", ["train.de.gz", "test_2016_flickr.en.gz"])
def test_a_missing_file_is_named_with_its_place(tmp_path, tiny, name):
    put(tmp_path / "multi30k", {other: content for other, content in tiny.items() if other != name})
    with pytest.raises(DataError) as error:
        multi30k.load(directory=tmp_path, mirrors=())
    message = str(error.value)
    assert (
        f"put {name} of github.com/multi30k/dataset" in message
        and str(tmp_path / "multi30k") in message
    )
    assert "\n" not in message


def test_unequal_files_are_an_error(tmp_path, monkeypatch):
    files = packed(TEXTS | {"train.en.gz": "A dog runs.\n"})
    known(monkeypatch, files)
    put(tmp_path / "multi30k", files)
    with pytest.raises(
        DataError,
        match=r"train\.de\.gz has 2 lines, .*train\.en\.gz has 1 lines; take both from the same",
    ):
        multi30k.load(directory=tmp_path, mirrors=())


def test_another_file_is_an_error(tmp_path, tiny):
    put(tmp_path / "multi30k", tiny | {"val.en.gz": tiny["val.de.gz"]})
    with pytest.raises(DataError, match=r"val\.en\.gz has .*expected"):
        multi30k.load(directory=tmp_path, mirrors=())


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


def test_what_is_missing_is_fetched(tmp_path, tiny, capsys):
    put(tmp_path / "served", tiny)
    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Quiet, directory=tmp_path / "served")
    )
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        mirror = f"http://127.0.0.1:{server.server_port}/"
        data = multi30k.load(directory=tmp_path / "data", mirrors=(mirror,))
    finally:
        server.shutdown()
        server.server_close()
    assert len(data.train.source) == 2
    assert {path.name for path in (tmp_path / "data/multi30k").iterdir()} == set(TEXTS)
    assert capsys.readouterr().out.count("downloading") == 6


def test_the_official_files():
    if not os.environ.get("DEEPSEQ_DATA"):
        pytest.skip("DEEPSEQ_DATA is not set")
    try:
        data = multi30k.load(mirrors=())
    except DataError as error:
        pytest.skip(str(error))
    assert [len(part.source) for part in data[:3]] == [29_000, 1014, 1000]
    assert (
        data.train.source[0] == "Zwei junge weiße Männer sind im Freien in der Nähe vieler Büsche."
    )
    assert data.train.target[0] == "Two young, White males are outside near many bushes."
    assert data.test.target[0] == "A man in an orange hat starring at something."
