import hashlib

import numpy as np
import pytest
from sklearn.datasets import load_sample_image

from deepseq.data import pictures
from deepseq.data.source import DataError


def test_the_temple_is_grey_and_thinned():
    whole, thin = pictures.temple(), pictures.temple(3)
    assert whole.pixels.shape == (427, 640) and whole.pixels.dtype == np.uint8
    np.testing.assert_array_equal(thin.pixels, whole.pixels[::3, ::3])
    assert (
        hashlib.sha256(whole.pixels.tobytes()).hexdigest() in whole.origin
        and "CC BY" in whole.origin
    )
    red, green, blue = load_sample_image("china.jpg")[100, 200].astype(float)
    assert abs(whole.pixels[100, 200] - (0.299 * red + 0.587 * green + 0.114 * blue)) <= 0.5 + 1e-9


@pytest.mark.parametrize("every", [0, 428])
def test_nothing_left_is_refused(every):
    with pytest.raises(DataError, match="cannot be kept"):
        pictures.temple(every)


def test_a_missing_picture_is_told(monkeypatch):
    def missing(name):
        raise FileNotFoundError(name)

    monkeypatch.setattr("sklearn.datasets.load_sample_image", missing)
    with pytest.raises(DataError, match="china.jpg cannot be read"):
        pictures.temple()
