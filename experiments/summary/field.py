"""The effective receptive field: how much each pixel moves the middle of the last map (Luo et al.
2016, arXiv 1701.04128).
"""

import base64
import io
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend import core
from matplotlib.figure import Figure

from deepseq.lab import workdir
from deepseq.lab.command_line import UsageError
from experiments.summary.nets import Pass

IMAGES = 8


def draw(built: Pass, path: Path) -> str:
    """Draws |d output / d pixel|, a mean over random images and channels, as a picture; returns it
    as a data URI.

    The output is the middle of the last activation of four axes, all its channels added; weights
    are just initialised."""
    if len(built.inputs[0].shape) != 4:
        raise UsageError("--field needs a net that reads images")
    strength = measure(built)
    figure = Figure(figsize=(5.4, 4.6), layout="constrained")
    axes = figure.subplots()
    shown = axes.imshow(
        strength / strength.max(), cmap="magma_r", vmin=0, vmax=1, interpolation="nearest"
    )
    axes.set(
        xlabel="column, pixels",
        ylabel="row, pixels",
        title="Effective receptive field of the last map's middle",
    )
    figure.colorbar(shown, ax=axes, label="mean |gradient|, of its largest")
    rows, columns = (np.flatnonzero(strength.max(axis) > 0) for axis in (1, 0))
    axes.plot(
        [
            columns[0] - 0.5,
            columns[-1] + 0.5,
            columns[-1] + 0.5,
            columns[0] - 0.5,
            columns[0] - 0.5,
        ],
        [rows[0] - 0.5, rows[0] - 0.5, rows[-1] + 0.5, rows[-1] + 0.5, rows[0] - 0.5],
        color="#0072B2",
    )
    axes.text(
        columns[0],
        rows[0] + 0.02 * len(strength),
        " all that it depends on",
        color="#0072B2",
        va="top",
        fontsize=9,
    )
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=150)
    workdir.write(path, file.getvalue())
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


def measure(built: Pass, images: int = IMAGES) -> np.ndarray:
    """(H, W) float64, mean |d output / d pixel| over images of N(0, 1) and their channels."""
    params = jax.jit(built.init)(jax.random.key(0))
    _, height, width, channels = built.inputs[0].shape
    x = jax.random.normal(jax.random.key(1), (images, 1, height, width, channels))

    def middle(x):
        last = last_map(built, params, x)
        return last[0, last.shape[1] // 2, last.shape[2] // 2].sum()

    gradient = jax.jit(lambda xs: jax.lax.map(jax.grad(middle), xs))(x)
    return np.asarray(jnp.abs(gradient).mean((0, 1, 4)), np.float64)


def last_map(built: Pass, params, x):
    """The last activation of four axes with more than one pixel, found in the jaxpr of the forward
    pass.
    """
    closed = jax.make_jaxpr(built.forward)(params, x)
    jaxpr = closed.jaxpr
    maps = [
        out
        for eqn in jaxpr.eqns
        for out in eqn.outvars
        if len(out.aval.shape) == 4
        and min(out.aval.shape[1:3]) > 1
        and out.aval.shape[0] == x.shape[0]
    ]
    if not maps:
        raise UsageError("--field: the net has no map of more than one pixel at this image size")
    cut = jaxpr.replace(outvars=[maps[-1]], debug_info=jaxpr.debug_info._replace(result_paths=None))
    return core.jaxpr_as_fun(core.ClosedJaxpr(cut, closed.consts))(*jax.tree.leaves(params), x)[0]
