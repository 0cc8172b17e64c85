import hashlib
import http.server
import io
import re
import tarfile
import threading

import numpy as np
import pytest

from deepseq.data import cifar10, source
from deepseq.data.source import DataError

SMALL = 3  # records of a file in these tests; the official files have 10 000


@pytest.fixture
def small(monkeypatch):
    """Six files of a few records in the official layout, and their md5s in place of the published
    ones.
    """
    random = np.random.default_rng(0)
    files = {name: random.integers(0, 10, SMALL * 3073, np.uint8).tobytes() for name in cifar10.MD5}
    monkeypatch.setattr(
        cifar10, "MD5", {name: hashlib.md5(content).hexdigest() for name, content in files.items()}
    )
    monkeypatch.setattr(cifar10, "RECORDS", SMALL)
    return files


def archive(files, **more):
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as tar:
        for name, data in {
            **{f"{cifar10.FOLDER}/{n}": d for n, d in files.items()},
            **more,
        }.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return content.getvalue()


@pytest.fixture
def host():
    """A local server: fill ``served`` with path -> bytes; ``asked`` lists the paths in the order of
    the requests.
    """

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            server.asked.append(self.path)
            content = server.served.get(self.path)
            self.send_response(404 if content is None else 200)
            self.send_header("Content-Length", str(len(content or b"")))
            self.end_headers()
            self.wfile.write(content or b"")

        def log_message(self, *arguments):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.served, server.asked = {}, []
        server.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def put(directory, files):
    folder = directory / cifar10.FOLDER
    folder.mkdir(parents=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


def load(directory, **more):
    return cifar10.load(**{"validation": 2, "directory": directory, "urls": (), **more})


def test_reads_the_official_layout(tmp_path, small):
    put(tmp_path, small)
    parts = load(tmp_path)
    order = [f"data_batch_{i}.bin" for i in range(1, 6)]
    records = [small[name][i * 3073 : (i + 1) * 3073] for name in order for i in range(SMALL)]
    assert (
        len(parts.train.labels) == 13
        and len(parts.validation.labels) == 2
        and len(parts.test.labels) == SMALL
    )
    pixels, labels = (
        np.concatenate(pair) for pair in zip(parts.train, parts.validation, strict=True)
    )
    for record, image, label in zip(records, pixels, labels, strict=True):
        assert label == record[0]
        for channel, row, column in [(0, 0, 0), (1, 0, 5), (2, 31, 2), (0, 17, 31)]:
            assert image[row, column, channel] == record[1 + channel * 1024 + row * 32 + column]
    np.testing.assert_allclose(parts.mean, np.mean(parts.train.pixels / 255, axis=0), atol=1e-6)
    np.testing.assert_array_equal(
        parts.test.labels, [small["test_batch.bin"][i * 3073] for i in range(SMALL)]
    )


@pytest.mark.parametrize("validation", [-1, 15])
def test_validation_out_of_range(tmp_path, small, validation):
    put(tmp_path, small)
    with pytest.raises(DataError, match=f"data.validation={validation} .*15 training images"):
        load(tmp_path, validation=validation)


def test_truncated_file_is_named_and_kept(tmp_path, small):
    folder = put(tmp_path, small)
    (folder / "data_batch_3.bin").write_bytes(small["data_batch_3.bin"][:-1])
    with pytest.raises(
        DataError, match=r"data_batch_3.bin has 9218 bytes, expected 9219; delete it"
    ) as caught:
        load(tmp_path)
    assert "\n" not in str(caught.value)
    assert (folder / "data_batch_3.bin").read_bytes() == small["data_batch_3.bin"][:-1]


def test_altered_file_is_named_with_both_checksums(tmp_path, small):
    folder = put(tmp_path, small)
    altered = b"\x00" + small["test_batch.bin"][1:-1] + b"\xff"
    (folder / "test_batch.bin").write_bytes(altered)
    found, expected = hashlib.md5(altered).hexdigest(), cifar10.MD5["test_batch.bin"]
    with pytest.raises(
        DataError, match=f"test_batch.bin has md5 {found}, expected {expected}; delete it"
    ):
        load(tmp_path)


def test_a_folder_in_place_of_a_file(tmp_path, small):
    folder = put(tmp_path, small)
    (folder / "test_batch.bin").unlink()
    (folder / "test_batch.bin").mkdir()
    with pytest.raises(DataError, match="test_batch.bin"):
        load(tmp_path)


def test_downloads_what_is_missing_and_nothing_else(tmp_path, small, host, capfd):
    folder = put(
        tmp_path, {name: data for name, data in small.items() if name != "data_batch_2.bin"}
    )
    evil = {"../escaped": b"x", f"{cifar10.FOLDER}/extra": b"x", "/absolute": b"x"}
    host.served["/good.tar.gz"] = content = archive(small, **evil)
    parts = load(
        tmp_path, urls=[f"{host.url}/good.tar.gz"], archive_md5=hashlib.md5(content).hexdigest()
    )
    assert len(parts.train.labels) == 13
    assert sorted(p.name for p in folder.iterdir()) == sorted(small)
    assert sorted(p.name for p in tmp_path.iterdir()) == [cifar10.FOLDER, cifar10.ARCHIVE]
    captured = capfd.readouterr()
    assert captured.out == f"downloading {host.url}/good.tar.gz\n" and captured.err == ""
    (folder / "test_batch.bin").unlink()  # the archive stays, so that nothing is downloaded twice
    load(tmp_path, urls=[], archive_md5=hashlib.md5(content).hexdigest())
    assert host.asked == ["/good.tar.gz"]


def test_falls_back_to_the_mirror(tmp_path, small, host):
    content = archive(small)
    host.served |= {"/altered": b"not what was published", "/mirror": content}
    urls = [f"{host.url}/gone", f"{host.url}/altered", f"{host.url}/mirror"]
    load(tmp_path, urls=urls, archive_md5=hashlib.md5(content).hexdigest())
    assert host.asked == ["/gone", "/altered", "/mirror"]


def test_when_no_host_serves_it_the_line_says_what_to_put_where(tmp_path, small, host):
    host.served["/altered"] = b"not what was published"
    with pytest.raises(DataError) as caught:
        load(
            tmp_path,
            urls=[f"{host.url}/gone", f"{host.url}/altered", "http://127.0.0.1:9/off"],
            archive_md5="0" * 32,
        )
    line = str(caught.value)
    assert (
        "/gone: HTTP 404" in line
        and "/altered: wrong checksum" in line
        and "/off: no connection" in line
    )
    assert (
        f"put data_batch_1.bin of cifar-10-binary.tar.gz into {tmp_path / cifar10.FOLDER}" in line
    )
    assert "DEEPSEQ_DATA" in line and "\n" not in line
    assert not (tmp_path / cifar10.ARCHIVE).exists()


@pytest.mark.parametrize("content", [b"no archive at all", b"\x1f\x8b truncated"])
def test_a_damaged_archive_put_by_hand(tmp_path, small, content):
    (tmp_path / cifar10.ARCHIVE).write_bytes(content)
    with pytest.raises(
        DataError, match=f"{cifar10.ARCHIVE} has md5 .*, expected {cifar10.ARCHIVE_MD5}"
    ):
        load(tmp_path)
    with pytest.raises(DataError, match=f"{cifar10.ARCHIVE} is not the official archive"):
        load(tmp_path, archive_md5=hashlib.md5(content).hexdigest())
    assert (tmp_path / cifar10.ARCHIVE).read_bytes() == content


def test_an_archive_that_lacks_a_file(tmp_path, small):
    content = archive({name: data for name, data in small.items() if name != "test_batch.bin"})
    (tmp_path / cifar10.ARCHIVE).write_bytes(content)
    with pytest.raises(DataError, match="not the official archive.*test_batch.bin"):
        load(tmp_path, archive_md5=hashlib.md5(content).hexdigest())


def test_the_official_host_is_asked_first_and_there_is_a_mirror():
    assert cifar10.URLS[0].startswith("https://www.cs.toronto.edu/~kriz/") and len(cifar10.URLS) > 1


def test_data_dir(monkeypatch, tmp_path):
    monkeypatch.setenv("DEEPSEQ_DATA", str(tmp_path))
    assert source.data_dir() == tmp_path
    monkeypatch.delenv("DEEPSEQ_DATA")
    assert re.search("deepseq", str(source.data_dir()))


def test_the_real_files():
    folder = source.data_dir() / cifar10.FOLDER
    if not (folder / "test_batch.bin").exists():
        pytest.skip(f"no CIFAR-10 in {folder}; set DEEPSEQ_DATA")
    parts = cifar10.load()
    assert [part.pixels.shape for part in parts[:3]] == [
        (n, 32, 32, 3) for n in (45_000, 5_000, 10_000)
    ]
    labels = np.concatenate([parts.train.labels, parts.validation.labels])
    assert (
        np.bincount(labels).tolist() == [5000] * 10
        and np.bincount(parts.test.labels).tolist() == [1000] * 10
    )
    # the channel means and deviations of the 50 000 training images that are in common use
    raw = np.concatenate(
        [
            np.fromfile(folder / f"data_batch_{i}.bin", np.uint8).reshape(-1, 3073)
            for i in range(1, 6)
        ]
    )
    means = [
        raw[:, 1 + 1024 * c : 1 + 1024 * (c + 1)].mean(dtype=np.float64) / 255 for c in range(3)
    ]
    np.testing.assert_allclose(means, [0.4914, 0.4822, 0.4465], atol=1e-4)
    cut = raw[:45_000, 1:].mean(axis=0, dtype=np.float64).reshape(3, 32, 32) / 255
    np.testing.assert_allclose(parts.mean, cut.transpose(1, 2, 0), atol=1e-6)
    np.testing.assert_array_equal(parts.validation.labels, raw[45_000:, 0])
