import hashlib

import numpy as np
import pytest
from sklearn.datasets import load_digits

from deepseq.data import digits
from deepseq.data.source import DataError


def test_the_parts_are_the_documented_ones():
    bunch = load_digits()
    parts = digits.load(validation=100)
    assert [part.pixels.shape for part in parts[:3]] == [
        (1337, 8, 8, 1),
        (100, 8, 8, 1),
        (360, 8, 8, 1),
    ]
    for label in range(10):  # per digit, file order is training, validation, test
        whole = bunch.images[bunch.target == label]
        cut = np.concatenate([part.pixels[part.labels == label, ..., 0] for part in parts[:3]])
        np.testing.assert_array_equal(cut, whole)
        assert [np.sum(part.labels == label) for part in parts[1:3]] == [10, 36]
    assert parts.train.pixels.dtype == np.uint8 and parts.train.labels.dtype == np.int32


def test_the_parts_keep_the_order_of_the_file():
    parts, bunch = digits.load(), load_digits()
    rows = [image.tobytes() for image in bunch.images.astype(np.uint8)]
    for part in (parts.train, parts.test):
        places = iter(rows)
        assert all(image.tobytes() in places for image in part.pixels)  # a subsequence


def test_mean_and_scale_are_of_the_training_part_alone():
    parts = digits.load(validation=37)
    total = np.zeros((8, 8, 1))
    for image in parts.train.pixels:
        total += image / 16
    np.testing.assert_allclose(parts.mean, total / 1400, atol=1e-6)
    assert parts.mean.dtype == np.float32 and parts.scale == 1 / 16 and parts.classes == 10


def test_the_origin_names_the_data_by_its_hash():
    bunch = load_digits()
    content = bunch.images.astype(np.uint8).tobytes() + bunch.target.astype(np.int32).tobytes()
    assert hashlib.sha256(content).hexdigest() in digits.load().origin


def test_without_validation_the_part_is_empty_but_shaped():
    parts = digits.load()
    assert parts.validation.pixels.shape == (0, 8, 8, 1) and len(parts.train.labels) == 1437


@pytest.mark.parametrize("validation", [-1, 1437, 5000])
def test_a_validation_part_that_leaves_nothing_is_refused(validation):
    with pytest.raises(
        DataError, match=f"data.validation={validation} .*1437 training images.*0 to 1436"
    ):
        digits.load(validation=validation)
