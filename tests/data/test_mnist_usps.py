"""MNIST and the zip codes: formats, what is missing, what is another file, and the real ones."""

import gzip
import hashlib
import struct

import numpy as np
import pytest

from deepseq.data import bitmaps, mnist, source, usps
from deepseq.data.source import DataError

RNG = np.random.default_rng(0)


def idx(array):
    """The IDX format: two zeros, the type of bytes, the number of axes, the sizes, the numbers."""
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()


def damaged(packed):
    """The same gzip file with nonsense where its deflate stream begins."""
    return packed[:10] + b"\xff" * 4 + packed[14:]


@pytest.fixture
def digits(monkeypatch):
    """Four small files, and what is known of them in place of the published."""
    arrays = {}
    for name, count in (("train", 6), ("t10k", 3)):
        arrays[f"{name}-images-idx3-ubyte"] = RNG.integers(0, 256, (count, 28, 28), np.uint8)
        arrays[f"{name}-labels-idx1-ubyte"] = RNG.integers(0, 10, count, np.uint8)
    files = {
        name: (array.shape, hashlib.md5(idx(array)).hexdigest()) for name, array in arrays.items()
    }
    monkeypatch.setattr(mnist, "FILES", files)
    return arrays


def put(folder, contents):
    folder.mkdir(parents=True)
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    return folder


@pytest.mark.parametrize("packed", [True, False])
def test_mnist_packed_or_not(tmp_path, digits, packed):
    named = {(f"{name}.gz" if packed else name): idx(a) for name, a in digits.items()}
    put(
        tmp_path / "mnist",
        {name: gzip.compress(content) if packed else content for name, content in named.items()},
    )
    data = mnist.load(2, directory=tmp_path, mirrors=())
    images = digits["train-images-idx3-ubyte"]
    np.testing.assert_array_equal(data.train.pixels[..., 0], images[:4])
    np.testing.assert_array_equal(data.validation.pixels[..., 0], images[4:])
    np.testing.assert_array_equal(data.test.labels, digits["t10k-labels-idx1-ubyte"])
    np.testing.assert_allclose(data.mean[..., 0], images[:4].mean(0) / 255, rtol=1e-5)
    assert data.train.labels.dtype == np.int32 and data.classes == 10
    with pytest.raises(DataError, match="data.validation=6"):
        mnist.load(6, directory=tmp_path, mirrors=())


def test_mnist_that_is_another_file_or_missing(tmp_path, digits):
    folder = put(
        tmp_path / "mnist", {f"{name}.gz": gzip.compress(idx(a)) for name, a in digits.items()}
    )
    path = folder / "t10k-labels-idx1-ubyte.gz"
    other = gzip.compress(idx(np.zeros(3, np.uint8)))
    for content, reason in (
        (other, "has, unpacked, md5"),
        (b"no gzip", "cannot be read"),
        (other[:-9], "cannot be read"),
        (damaged(other), r"cannot be read \(Error -3"),
        (gzip.compress(bytes(10**6)), "holds, unpacked, more than 11 bytes"),
    ):
        path.write_bytes(content)
        with pytest.raises(
            DataError, match=f"t10k-labels-idx1-ubyte.gz {reason}.*delete it"
        ) as error:
            mnist.load(directory=tmp_path, mirrors=())
        assert "\n" not in str(error.value) and path.read_bytes() == content
    path.unlink()
    with pytest.raises(DataError, match="put t10k-labels-idx1-ubyte.gz into .*DEEPSEQ_DATA"):
        mnist.load(directory=tmp_path, mirrors=("http://127.0.0.1:9/",))


@pytest.fixture
def codes(monkeypatch):
    tables, files = {}, {}
    for name, count in (("zip.train.gz", 5), ("zip.test.gz", 2)):
        labels, pixels = (
            RNG.integers(0, 10, count).astype(np.int32),
            RNG.integers(-1000, 1001, (count, 256)).astype(np.int16),
        )
        lines = [
            f"{label}.0000 " + " ".join(f"{p / 1000:.4f}" for p in row)
            for label, row in zip(labels, pixels, strict=True)
        ]
        digest = hashlib.sha256(
            labels.tobytes() + pixels.reshape(-1, 16, 16, 1).tobytes()
        ).hexdigest()
        tables[name], files[name] = (labels, pixels, "\n".join(lines) + "\n"), (count, digest)
    monkeypatch.setattr(usps, "FILES", files)
    return tables


def test_zip_codes(tmp_path, codes):
    put(
        tmp_path / "usps",
        {name: gzip.compress(text.encode()) for name, (_, _, text) in codes.items()},
    )
    data = usps.load(directory=tmp_path, mirrors=())
    labels, pixels, _ = codes["zip.train.gz"]
    np.testing.assert_array_equal(data.train.labels, labels)
    np.testing.assert_allclose(data.train.pixels.reshape(5, 256), pixels / 1000, atol=1e-6)
    assert (
        data.test.pixels.shape == (2, 16, 16, 1)
        and data.validation.pixels.shape == (0, 16, 16, 1)
        and data.scale == 1
    )


def test_zip_codes_that_are_others_or_missing(tmp_path, codes):
    text = codes["zip.test.gz"][2]
    folder = put(
        tmp_path / "usps", {name: gzip.compress(t.encode()) for name, (_, _, t) in codes.items()}
    )
    path = folder / "zip.test.gz"
    wrong = {
        "holds other digits": gzip.compress(
            ("9" + text[1:] if text[0] != "9" else "8" + text[1:]).encode()
        ),
        r"holds a table \(1, 257\), expected \(2, 257\)": gzip.compress(
            text.splitlines()[0].encode()
        ),
        "is no table of numbers": gzip.compress(b"one two three"),
        "cannot be read": b"not packed",
        r"cannot be read \(Error -3": damaged(gzip.compress(text.encode())),
        "holds, unpacked, more than": gzip.compress(bytes(2**25 + 1)),
    }
    for reason, content in wrong.items():
        path.write_bytes(content)
        with pytest.raises(DataError, match=f"zip.test.gz {reason}.*delete it") as error:
            usps.load(directory=tmp_path, mirrors=())
        assert "\n" not in str(error.value) and path.read_bytes() == content
    path.unlink()
    with pytest.raises(DataError, match="put zip.test.gz of The Elements"):
        usps.load(directory=tmp_path, mirrors=("http://127.0.0.1:9/",))


def test_the_real_mnist():
    if not any(
        (source.data_dir() / "mnist" / f"train-images-idx3-ubyte{ending}").exists()
        for ending in ("", ".gz")
    ):
        pytest.skip(f"no MNIST in {source.data_dir() / 'mnist'}; set DEEPSEQ_DATA")
    data = mnist.load()
    assert data.train.pixels.shape == (60_000, 28, 28, 1) and len(data.test.labels) == 10_000
    assert data.test.labels[:5].tolist() == [7, 2, 1, 0, 4]


def test_the_real_zip_codes():
    if not (source.data_dir() / "usps" / "zip.train.gz").exists():
        pytest.skip(f"no zip codes in {source.data_dir() / 'usps'}; set DEEPSEQ_DATA")
    data = usps.load()
    counts = [np.bincount(part.labels).tolist() for part in (data.train, data.test)]
    assert counts[0] == [
        1194,
        1005,
        731,
        658,
        652,
        556,
        664,
        645,
        542,
        644,
    ]  # Hastie et al., zip.info
    assert counts[1] == [359, 264, 198, 166, 200, 160, 170, 147, 166, 177]


def test_bitmaps_differ():
    drawn = bitmaps.digits()
    assert drawn.shape == (10, 84) and set(np.unique(drawn)) == {-1, 1}
    distance = (drawn[:, None] != drawn).sum(-1) + 99 * np.eye(10, dtype=int)
    assert distance.min() >= 6  # pixels in which the two most similar differ


def test_a_download_with_other_content_is_not_kept(tmp_path, codes, monkeypatch):
    def download(url, checksum, path):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(gzip.compress(b"1 2 3"))

    monkeypatch.setattr(source, "_download", download)
    with pytest.raises(DataError, match="could not be downloaded .*other content"):
        usps.load(directory=tmp_path, mirrors=("http://nowhere/",))
    assert list((tmp_path / "usps").iterdir()) == []


def test_the_home_of_nobody(monkeypatch):
    monkeypatch.setenv("DEEPSEQ_DATA", "~nosuchuser/data")
    with pytest.raises(DataError, match="DEEPSEQ_DATA=~nosuchuser/data: no such user"):
        source.data_dir()
