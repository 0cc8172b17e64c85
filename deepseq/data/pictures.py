"""The photograph of a Chinese temple that comes with scikit-learn, 427 x 640 pixels of red, green
and blue.

"china.jpg" by Daniel Buechele, flickr.com/photos/danielbuechele/6061409035, CC BY 2.0.
"""

import hashlib
from typing import NamedTuple

import numpy as np

from deepseq.data.source import DataError

__all__ = ["LUMA", "Picture", "temple"]

LUMA = (0.299, 0.587, 0.114)  # weights of red, green and blue in ITU-R BT.601


class Picture(NamedTuple):
    """A picture and where it comes from."""

    pixels: np.ndarray  # (H, W) uint8, grey
    origin: str  # which picture, by whom, with the hash of its pixels


def temple(every: int = 1) -> Picture:
    """The photograph in grey, of which every ``every``-th row and column is kept.

    Raises:
      DataError: the installed scikit-learn comes without its pictures, or ``every`` leaves nothing.
    """
    try:
        # takes longer to import than any other library here
        from sklearn.datasets import load_sample_image

        colour = load_sample_image("china.jpg")
    except (OSError, AttributeError, ImportError) as error:
        raise DataError(
            "scikit-learn's picture china.jpg cannot be read; install scikit-learn and Pillow again"
        ) from error
    if not 1 <= every <= min(colour.shape[:2]):
        raise DataError(
            f"every {every}th pixel of a picture of {colour.shape[0]} x {colour.shape[1]} cannot be"
            " kept"
        )
    grey = np.rint(colour @ np.array(LUMA)).astype(np.uint8)[::every, ::every]
    digest = hashlib.sha256(grey.tobytes()).hexdigest()
    return Picture(
        grey,
        "china.jpg by Daniel Buechele, CC BY 2.0, of scikit-learn (sha256 of its grey pixels"
        f" {digest})",
    )
