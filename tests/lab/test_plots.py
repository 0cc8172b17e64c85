"""What studies draw with: notes beside points, dots of seeds."""

import numpy as np
from matplotlib.figure import Figure

from deepseq.lab import plots


def test_a_note_stands_beside_its_point():
    ax = Figure().subplots()
    plots.note(ax, "here", (1.0, 2.0), plots.BLUE, (3, -5), ha="right")
    (text,) = ax.texts
    assert text.get_text() == "here" and text.xy == (1.0, 2.0) and text.xyann == (3, -5)
    assert text.get_color() == plots.BLUE and text.get_ha() == "right"


def test_dots_are_one_for_each_seed_and_a_bar_at_the_mean():
    values = np.array([1.0, 2.0, 6.0])
    for upright in (False, True):
        ax = Figure().subplots()
        plots.dots(ax, 4, values, plots.RED, upright=upright)
        seeds, mean = (line.get_xydata()[:, :: -1 if upright else 1] for line in ax.lines)
        np.testing.assert_array_equal(seeds, [[1, 4], [2, 4], [6, 4]])
        np.testing.assert_array_equal(mean, [[3, 4]])
