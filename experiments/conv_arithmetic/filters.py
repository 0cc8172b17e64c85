"""Filters that everybody knows, applied by conv2d to a photograph, beside SciPy's."""

import jax.numpy as jnp
import numpy as np
import scipy.ndimage
from ml_collections import ConfigDict

from deepseq.data import pictures
from deepseq.nets.blocks.conv import conv2d

FILTERS = {
    "identity": np.array([[0, 0, 0], [0, 1, 0], [0, 0, 0]]),
    "box blur": np.ones((3, 3)) / 9,
    "Sobel, left to right": np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]]),
    "sharpen": np.array([[0, -1, 0], [-1, 5, -1], [0, -1, 0]]),
    "Laplacian": np.array([[0, 1, 0], [1, -4, 1], [0, 1, 0]]),
}
RANGE = 255  # of a pixel


def filtered(pixels: np.ndarray) -> dict[str, np.ndarray]:
    """What each filter makes of a grey picture (H, W), zeros around it: all in one convolution of
    as many kernels.
    """
    kernels = np.stack(list(FILTERS.values()), -1)[:, :, None].astype(np.float32)
    x = jnp.asarray(pixels, jnp.float32)[None, :, :, None]
    out = np.asarray(conv2d(x, jnp.asarray(kernels), padding=((1, 1), (1, 1)))[0])
    return {name: out[..., i] for i, name in enumerate(FILTERS)}


def measure(config: ConfigDict) -> dict[str, str | list]:
    """Of each filter: how far conv2d is from SciPy's correlation and its convolution, in pixel
    ranges; what flatness gives.
    """
    picture = pictures.temple(config.picture.every)
    ours, flat = filtered(picture.pixels), filtered(np.full((9, 9), RANGE, np.uint8))
    x = picture.pixels.astype(np.float64)
    rows = []
    for name, kernel in FILTERS.items():
        apart = {
            "correlation": scipy.ndimage.correlate(x, kernel.astype(np.float64), mode="constant"),
            "convolution": scipy.ndimage.convolve(x, kernel.astype(np.float64), mode="constant"),
        }
        rows.append(
            {"filter": name, "of a flat picture": float(flat[name][4, 4]) / RANGE}
            | {
                f"from {kind}": float(np.abs(ours[name] - theirs).max()) / RANGE
                for kind, theirs in apart.items()
            }
            | {"from the picture": float(np.abs(ours[name] - x).max()) / RANGE}
        )
    return {"origin": picture.origin, "rows": rows}
