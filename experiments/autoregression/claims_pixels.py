"""The claims on images: what a model keeps of the past of a pixel, which has two directions."""

import numpy as np

from deepseq.lab.verdicts import Below
from experiments.autoregression.records import Runs

ONE = "the better of the windows left and above"
GRAVES = "Graves, Fernandez, Schmidhuber 2007, section 2"
PAIRS = {  # the worse and the better model, a sentence, source and prediction
    "neighbours": (
        (ONE, "both"),
        "The past of a pixel lies in two directions: both neighbours say more than one.",
    ),
    "state": (
        ("both", "grid rnn"),
        "A state from the left and from above says more than the two neighbours.",
        GRAVES,
    ),
    "raster": (
        ("raster rnn", "grid rnn"),
        "It says more than a state that comes along the raster.",
        GRAVES,
        "open: neighbours are nearer in two dimensions, but what is above and to the right is not"
        " seen",
    ),
    "ahead": (
        ("grid rnn", "grid rnn ahead"),
        "It lacks the side above and to the right: shown one pixel of it, it does better.",
        GRAVES,
        "holds if the raster's advantage lies there",
    ),
    "LSTM": (
        ("raster lstm", "grid lstm"),
        "Of LSTMs, too, the one in two dimensions does better than the one along the raster.",
        GRAVES,
        "open",
    ),
}


def pixels(runs: Runs) -> dict[str, tuple]:
    """F4:137, as far as the models are there."""
    rows, bits = {}, {arm: runs.get("pixels", arm, "bits") for arm in runs.arms()}
    if {"left", "above"} <= bits.keys():
        bits[ONE] = np.minimum(bits["left"], bits["above"])
    for name, ((worse, better), text, *more) in PAIRS.items():
        if {worse, better} <= bits.keys():
            rows[f"F4:137 {name}"] = (
                text,
                f"bits per pixel on test images, {better} minus {worse}, at equal parameters and,"
                " of the updates, those best on validation images, paired by seed",
                bits[better] - bits[worse],
                Below(0),
                {worse: bits[worse], better: bits[better]},
                *more,
            )
    return rows
