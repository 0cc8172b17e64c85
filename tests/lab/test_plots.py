"""What every study draws with: bands against NumPy, and names that do not overlap."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from deepseq.lab import plots

X = np.arange(1, 5)
VALUES = np.array([[1.0, 2, 3, 4], [3, 2, 9, 8], [2, 2, 6, 30]])


def band_of(ax):
    """The lower and the upper edge of what was filled."""
    (filled,) = ax.collections
    vertices = filled.get_paths()[0].vertices
    low, high = ([], [])
    for x in X:
        ys = vertices[vertices[:, 0] == x, 1]
        low.append(ys.min())
        high.append(ys.max())
    return np.array(low), np.array(high)


@pytest.mark.parametrize("spread", ["deviation", "range"])
@pytest.mark.parametrize("log", [False, True])
def test_bands_are_numpy_s(spread, log):
    figure, ax = plots.panels(3, 2)
    mean = plots.band(ax, X, VALUES, plots.BLUE, spread=spread, log=log, label="a")
    values = np.log(VALUES) if log else VALUES
    middle, sd = values.mean(0), values.std(0, ddof=1)
    edges = (values.min(0), values.max(0)) if spread == "range" else (middle - sd, middle + sd)
    undo = np.exp if log else np.asarray
    np.testing.assert_allclose(mean, undo(middle))
    np.testing.assert_allclose(ax.lines[0].get_ydata(), undo(middle))
    np.testing.assert_allclose(band_of(ax), [undo(edge) for edge in edges])
    assert ax.lines[0].get_label() == "a"


def test_one_seed_has_no_band():
    _, ax = plots.panels(3, 2)
    plots.band(ax, X, VALUES[:1], plots.RED, log=True)
    assert not ax.collections
    np.testing.assert_allclose(ax.lines[0].get_ydata(), VALUES[0])


@pytest.mark.parametrize("scale", ["linear", "log"])
def test_names_stand_apart_and_inside(scale):
    figure, ax = plots.panels(4, 3)
    ax.set(yscale=scale, xlim=(0, 10), ylim=(0.01, 10))
    levels = (0.02, 0.021, 5, 5.1, 100)  # two pairs that meet, and one beyond the axes
    plots.label_ends(ax, {f"n{n}": (10, y, plots.COLOURS[n]) for n, y in enumerate(levels)})
    heights = [text.xy[1] for text in ax.texts]
    assert [text.get_text() for text in ax.texts] == [f"n{n}" for n in range(5)]
    assert all(b - a >= 0.055 - 1e-9 for a, b in zip(heights[:-1], heights[1:], strict=True))
    assert min(heights) >= 0 and max(heights) < 1.2
    assert [text.get_color() for text in ax.texts] == list(plots.COLOURS[:5])


def test_axes_are_tidied():
    figure = Figure()
    axes = figure.subplots(1, 2)
    plots.tidy(*axes, grid="x")
    for ax in axes:
        assert not ax.spines["top"].get_visible() and ax.spines["left"].get_visible()
        assert ax.xaxis.get_gridlines()[0].get_visible()
        assert not ax.yaxis.get_gridlines()[0].get_visible()


def test_captions_say_what_a_band_is():
    assert plots.over([3]) == "one seed"
    assert plots.over([0, 1]) == "mean of 2 seeds, band: one standard deviation"
    assert plots.over([0, 1, 2], "range").endswith("band: from the least to the largest")


def test_colours_differ():
    assert len({*plots.COLOURS, plots.GREY, plots.BLACK}) == 8
