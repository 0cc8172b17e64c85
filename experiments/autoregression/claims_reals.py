"""The claims on a Gaussian series: the past that a linear model needs, and predictions fed back."""

import numpy as np
from ml_collections import ConfigDict

from deepseq.lab.verdicts import Above, Within
from experiments.autoregression.records import Runs

JENKINS = "Box, Jenkins 1970, section"


def reals(config: ConfigDict, runs: Runs) -> dict[str, tuple]:
    """C-S3 of real numbers and F0:18, as far as their parts are there."""
    return needed(config, runs) | fed_back(config, runs) if runs.ended("linear") else {}


def needed(config: ConfigDict, runs: Runs) -> dict[str, tuple]:
    """C-S3 of real numbers."""
    order, losses = runs.order, runs.get("linear", "", "loss")
    falls = -np.diff(losses)[:, :order]
    largest = (losses - runs.get("linear", "", "floors")[order])[:, order:].max(1)
    return {
        "C-S3 real, falls": (
            f"The same of a linear AR(tau) on a Gaussian series of order {order}: up to the order"
            " its loss falls.",
            f"expected loss at tau - 1 minus at tau, exact, smallest over tau = 1 to {order}",
            falls.min(1),
            Above(0),
            {"smallest, nats": falls.min(1), "last": falls[:, -1]},
            f"{JENKINS} 3.2",
            "holds, since no partial autocorrelation is 0",
        ),
        "C-S3 real, flat": (
            "From the order on it is at the floor.",
            "expected loss minus the entropy rate, nats, both exact, largest over tau ="
            f" {order} to {config.real.longest}",
            largest,
            Within(config.measure.margin),
            {"largest, nats": largest},
            f"{JENKINS} 3.2",
        ),
    }


def fed_back(config: ConfigDict, runs: Runs) -> dict[str, tuple]:
    """F0:18 of linear models."""
    order, horizon, share = runs.order, config.real.horizon, config.measure.share
    errors, of_markov = (runs.get("linear", "", "errors", str(tau)) for tau in (order, 1))
    least = runs.get("linear", "", "error_floor")
    largest, mean = (errors / least - 1).max(1), (of_markov / least - 1).mean(1)
    rows = {
        "F0:18 grows": (
            "An autoregressive model predicts, feeds that back and predicts again: its error grows"
            " beyond that of one step.",
            f"squared error of the fitted AR({order}) {horizon} steps ahead minus one step ahead,"
            " exact",
            errors[:, -1] - errors[:, 0],
            Above(0),
            {"one step ahead": errors[:, 0], f"{horizon} steps ahead": errors[:, -1]},
            f"{JENKINS} 5.1",
            "holds, up to the variance of the process",
        ),
        "F0:18 floor": (
            "That is no fault of feeding back: with the right order, no forecast could do better at"
            " any horizon.",
            f"squared error of AR({order}) over the closed form of the least one, minus 1, largest"
            f" of {horizon} horizons",
            largest,
            Within(share),
            {"largest": largest},
            f"{JENKINS} 5.1",
        ),
    }
    if order >= 2:
        rows["F0:18 Markov"] = (
            "The Markov model fed back stays above that floor.",
            "the same of AR(1), mean over horizons",
            mean,
            Above(share),
            {"mean": mean},
        )
    if runs.ended("real latent"):
        excess = (runs.get("real latent", "", "error_excess") / least).max(1)
        rows["F0:18 RNN"] = (
            "A recurrent net that feeds itself, trained on single steps alone, stays near it.",
            "its squared error minus that of the best forecast on the same series, over the least"
            " error, largest over horizons",
            excess,
            Within(share),
            {"largest": excess},
        )
    return rows
