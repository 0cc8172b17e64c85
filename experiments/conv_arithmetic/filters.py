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
    """What each filter makes of a grey picture (H, W), zeros around it, in one convolution."""
    kernels = np.stack(list(FILTERS.values()), -1)[:, :, None].astype(np.float32)
    x = jnp.asarray(pixels, jnp.float32)[None, :, :, None]
    out = np.asarray(conv2d(x, jnp.asarray(kernels), padding=((1, 1), (1, 1)))[0])
    return {name: out[..., i] for i, name in enumerate(FILTERS)}


def measure(config: ConfigDict) -> dict[str, str | list]:
    """How far each filter is from SciPy's correlation and convolution, in ranges of a pixel."""
    picture = pictures.temple(config.picture.every)
    ours, flat = filtered(picture.pixels), filtered(np.full((9, 9), RANGE, np.uint8))
    x = picture.pixels.astype(np.float64)

    def apart(name: str, other: np.ndarray) -> float:
        return float(np.abs(ours[name] - other).max()) / RANGE

    rows = []
    for name, kernel in FILTERS.items():
        theirs = (x, kernel.astype(np.float64))
        row = {
            "filter": name,
            "of a flat picture": float(flat[name][4, 4]) / RANGE,
            "from correlation": apart(name, scipy.ndimage.correlate(*theirs, mode="constant")),
            "from convolution": apart(name, scipy.ndimage.convolve(*theirs, mode="constant")),
            "from the picture": apart(name, x),
        }
        rows.append(row)
    return {"origin": picture.origin, "rows": rows}
