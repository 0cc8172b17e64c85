"""scikit-learn's handwritten digits: 1797 grey 8x8 images, pixels 0..16, which come with the
package.

They are the test part of the UCI set "Optical Recognition of Handwritten Digits" (Alpaydin and
Kaynak 1998)."""

import hashlib

import numpy as np

from deepseq.data.source import Images, Splits, hold_out, pixel_mean

__all__ = ["TEST_PER_CLASS", "load"]

TEST_PER_CLASS = 36


def load(validation: int = 0) -> Splits:
    """Reads the digits and cuts them the same way every time; there is no official split.

    The test part is the last 36 images of each digit in file order (360 in all), the validation
    part the last of each before those, so that both are balanced; the rest, 1437 less
    ``validation``, is for training. The file is not shuffled and neighbours can be from one hand,
    so a random split would be easier. Parts keep the file's order.

    Returns:
      Splits with pixels (N, 8, 8, 1) and labels (N,).

    Raises:
      DataError: ``validation`` is out of range.
    """
    # takes longer to import than any other library here, and a report needs no data
    from sklearn.datasets import load_digits

    bunch = load_digits()
    pixels, labels = bunch.images.astype(np.uint8)[..., None], bunch.target.astype(np.int32)
    classes, test = 10, 10 * TEST_PER_CLASS
    hold_out(len(labels) - test, validation, "the digits")

    # of the same digit
    later = np.array([np.sum(labels[i + 1 :] == label) for i, label in enumerate(labels)])
    # the last of each digit, then the last but one of each, ...
    order = np.lexsort((labels, later))
    parts = np.split(order, (test, test + validation))
    tested, held, trained = (Images(pixels[i], labels[i]) for i in map(np.sort, parts))

    digest = hashlib.sha256(pixels.tobytes() + labels.tobytes()).hexdigest()
    scale = 1 / 16
    origin = f"scikit-learn's digits (sha256 of pixels and labels {digest})"
    return Splits(trained, held, tested, scale, pixel_mean(trained, scale), classes, origin)
