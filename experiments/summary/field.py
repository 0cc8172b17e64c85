"""The effective receptive field: how much each pixel moves the middle of the last map.

Luo et al. 2016, arXiv 1701.04128.
"""

import io
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend import core

from deepseq.lab import workdir
from deepseq.lab.errors import UsageError
from deepseq.lab.plots import BLUE, panels
from experiments.summary.nets import Pass

IMAGES = 8


def draw(net: Pass, path: Path) -> None:
    """Saves |d output / d pixel|, a mean over random images and channels, as a picture.

    The output is the middle of the last activation of four axes, all its channels added; weights
    are just initialised.
    """
    if len(net.inputs[0].shape) != 4:
        raise UsageError("--field needs a net that reads images")
    strength = measure(net)
    figure, ax = panels(5.4, 4.6)
    scale = {"cmap": "magma_r", "vmin": 0, "vmax": 1}
    shown = ax.imshow(strength / strength.max(), interpolation="nearest", **scale)
    ax.set_title("Effective receptive field of the last map's middle")
    ax.set(xlabel="column, pixels", ylabel="row, pixels")
    figure.colorbar(shown, ax=ax, label="mean |gradient|, of its largest")
    rows, columns = (np.flatnonzero(strength.max(axis) > 0) for axis in (1, 0))
    (top, bottom), (left, right) = ((n[0] - 0.5, n[-1] + 0.5) for n in (rows, columns))
    ax.plot([left, right, right, left, left], [top, top, bottom, bottom, top], color=BLUE)
    place, text = (columns[0], rows[0] + 0.02 * len(strength)), " all that it depends on"
    ax.text(*place, text, color=BLUE, va="top", fontsize=9)
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=150)
    workdir.write(path, file.getvalue())


def measure(net: Pass, images: int = IMAGES) -> np.ndarray:
    """(H, W) float64, mean |d output / d pixel| over images of N(0, 1) and their channels."""
    params = jax.jit(net.init)(jax.random.key(0))
    _, height, width, channels = net.inputs[0].shape
    x = jax.random.normal(jax.random.key(1), (images, 1, height, width, channels))

    def middle(x):
        last = last_map(net, params, x)
        return last[0, last.shape[1] // 2, last.shape[2] // 2].sum()

    gradient = jax.jit(lambda xs: jax.lax.map(jax.grad(middle), xs))(x)
    return np.asarray(jnp.abs(gradient).mean((0, 1, 4)), np.float64)


def last_map(net: Pass, params, x):
    """The last activation of four axes with more than one pixel, by the forward pass's jaxpr."""
    closed = jax.make_jaxpr(net.forward)(params, x)
    jaxpr = closed.jaxpr
    outputs = (out for equation in jaxpr.eqns for out in equation.outvars)
    maps = [
        out
        for out in outputs
        if len(shape := out.aval.shape) == 4 and min(shape[1:3]) > 1 and shape[0] == len(x)
    ]
    if not maps:
        raise UsageError("--field: the net has no map of more than one pixel at this image size")
    cut = jaxpr.replace(outvars=[maps[-1]], debug_info=jaxpr.debug_info._replace(result_paths=None))
    return core.jaxpr_as_fun(core.ClosedJaxpr(cut, closed.consts))(*jax.tree.leaves(params), x)[0]
