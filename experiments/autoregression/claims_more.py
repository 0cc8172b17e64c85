"""The claims of the autoregression study on real numbers and on images: rows as in
``autoregression_claims``.
"""

import numpy as np
from ml_collections import ConfigDict

from deepseq.lab.verdicts import above, below, claim, mean_interval, within
from experiments.autoregression.records import Runs


def real_loss_falls_to_the_order(config: ConfigDict, runs: Runs) -> dict | None:
    if not runs.has("linear"):
        return None
    order = runs.order
    falls = -np.diff(runs.get("linear", "", "loss"))[:, :order]
    interval = mean_interval(falls.min(1))
    return claim(
        "C-S3 real, falls",
        f"The same of a linear AR(tau) on a Gaussian series of order {order}: up to the order its"
        " loss falls.",
        above(interval),
        statistic=(
            f"expected loss at tau - 1 minus at tau, exact, smallest over tau = 1 to {order};"
            " claimed > 0"
        ),
        measured={"smallest, nats": _mean(falls.min(1)), "last": _mean(falls[:, -1])},
        interval=interval,
        n=len(falls),
        expected="holds, since no partial autocorrelation is 0",
        source="Box, Jenkins 1970, section 3.2; notes F0:14-15, F1:429",
    )


def real_loss_is_flat_from_the_order(config: ConfigDict, runs: Runs) -> dict | None:
    if not runs.has("linear"):
        return None
    order, margin = runs.order, config.measure.margin
    over = (
        runs.get("linear", "", "loss") - np.asarray(runs.record("linear")["floors"], float)[order]
    )[:, order:]
    interval = mean_interval(over.max(1))
    return claim(
        "C-S3 real, flat",
        "From the order on it is at the floor.",
        within(interval, margin),
        statistic=(
            f"expected loss minus the entropy rate, both exact, largest over tau = {order} to"
            f" {config.real.longest}; claimed within {margin:g} nats of 0"
        ),
        measured={"largest, nats": _mean(over.max(1))},
        interval=interval,
        n=len(over),
        expected="holds",
        source="Box, Jenkins 1970, section 3.2; notes F0:14-15, F1:429",
    )


def feeding_back_costs(config: ConfigDict, runs: Runs) -> dict | None:
    if not runs.has("linear"):
        return None
    order, horizon = runs.order, config.real.horizon
    errors = runs.get("linear", "", "errors", str(order))
    rise = errors[:, -1] - errors[:, 0]
    interval = mean_interval(rise)
    return claim(
        "F0:18 grows",
        "An autoregressive model predicts, feeds that back and predicts again: its error grows"
        " beyond that of one step.",
        above(interval),
        statistic=(
            f"squared error of the fitted AR({order}) {horizon} steps ahead minus one step ahead,"
            " exact; claimed > 0"
        ),
        measured={
            "one step ahead": _mean(errors[:, 0]),
            f"{horizon} steps ahead": _mean(errors[:, -1]),
        },
        interval=interval,
        n=len(rise),
        expected="holds, up to the variance of the process",
        source="Box, Jenkins 1970, section 5.1; notes F0:18",
    )


def feeding_back_is_at_the_floor(config: ConfigDict, runs: Runs) -> dict | None:
    if not runs.has("linear"):
        return None
    order, share = runs.order, config.measure.share
    over = _over_floor(runs, runs.get("linear", "", "errors", str(order))).max(1)
    interval = mean_interval(over)
    return claim(
        "F0:18 floor",
        "That is no fault of feeding back: with the right order, no forecast could do better at any"
        " horizon.",
        within(interval, share),
        statistic=(
            f"squared error of AR({order}) over the closed form of the least one, minus 1, largest"
            f" of {config.real.horizon} horizons; claimed within {share:g} of 0"
        ),
        measured={"largest": _mean(over)},
        interval=interval,
        n=len(over),
        expected="holds",
        source="Box, Jenkins 1970, section 5.1",
    )


def markov_pays_when_fed_back(config: ConfigDict, runs: Runs) -> dict | None:
    if not runs.has("linear") or runs.order < 2:
        return None
    share = config.measure.share
    over = _over_floor(runs, runs.get("linear", "", "errors", "1")).mean(1)
    interval = mean_interval(over)
    return claim(
        "F0:18 Markov",
        "The Markov model fed back stays above that floor.",
        above(interval, share),
        statistic=f"the same of AR(1), mean over horizons; claimed > {share:g}",
        measured={"mean": _mean(over)},
        interval=interval,
        n=len(over),
        expected="holds",
        source="notes F0:18, 69-72",
    )


def recurrent_net_feeds_itself(config: ConfigDict, runs: Runs) -> dict | None:
    if not (runs.has("real latent") and runs.has("linear")):
        return None
    share = config.measure.share
    over = (
        runs.get("real latent", "", "error_excess")
        / np.asarray(runs.record("linear")["error_floor"])
    ).max(1)
    interval = mean_interval(over)
    return claim(
        "F0:18 RNN",
        "A recurrent net that feeds itself, trained on single steps alone, stays near it.",
        within(interval, share),
        statistic=(
            "its squared error minus that of the best forecast on the same series, over the least"
            f" error, largest over horizons; claimed within {share:g} of 0"
        ),
        measured={"largest": _mean(over)},
        interval=interval,
        n=len(over),
        expected="holds",
        source="notes F0:18",
    )


def both_neighbours_say_more(config: ConfigDict, runs: Runs) -> dict | None:
    if not runs.has("pixels", "left", "above", "both"):
        return None
    one = np.minimum(runs.bits("left"), runs.bits("above"))
    return _pixels(
        runs,
        "F4:137 neighbours",
        "The past of a pixel lies in two directions: both neighbours say more than one.",
        ("the better of the windows left and above", one),
        ("both", runs.bits("both")),
        "notes F4:137",
        "holds",
    )


def state_says_more_than_neighbours(config: ConfigDict, runs: Runs) -> dict | None:
    return _arms(
        runs,
        "F4:137 state",
        "A state from the left and from above says more than the two neighbours.",
        "both",
        "grid rnn",
        "holds",
    )


def grid_against_raster(config: ConfigDict, runs: Runs) -> dict | None:
    return _arms(
        runs,
        "F4:137 raster",
        "It says more than a state that comes along the raster.",
        "raster rnn",
        "grid rnn",
        "open: neighbours are nearer in two dimensions, but what is above and to the right is not"
        " seen",
    )


def seeing_ahead(config: ConfigDict, runs: Runs) -> dict | None:
    return _arms(
        runs,
        "F4:137 ahead",
        "It lacks the side above and to the right: shown one pixel of it, it does better.",
        "grid rnn",
        "grid rnn ahead",
        "holds if the raster's advantage lies there",
    )


def grid_against_raster_lstm(config: ConfigDict, runs: Runs) -> dict | None:
    return _arms(
        runs,
        "F4:137 LSTM",
        "Of LSTMs, too, the one in two dimensions does better than the one along the raster.",
        "raster lstm",
        "grid lstm",
        "open",
    )


def _arms(runs: Runs, id: str, text: str, worse: str, better: str, expected: str) -> dict | None:
    if not runs.has("pixels", worse, better):
        return None
    source = "Graves, Fernandez, Schmidhuber 2007, section 2; notes F4:137"
    return _pixels(
        runs, id, text, (worse, runs.bits(worse)), (better, runs.bits(better)), source, expected
    )


def _pixels(runs: Runs, id: str, text: str, worse, better, source: str, expected: str) -> dict:
    difference = better[1] - worse[1]
    interval = mean_interval(difference)
    return claim(
        id,
        text,
        below(interval),
        statistic=(
            f"bits per pixel on test images, {better[0]} minus {worse[0]}, at equal parameters and,"
            " of the updates, those best on validation images, paired by seed; claimed < 0"
        ),
        measured={name: _mean(values) for name, values in (worse, better)},
        interval=interval,
        n=len(difference),
        expected=expected,
        source=source,
    )


def _over_floor(runs: Runs, errors: np.ndarray) -> np.ndarray:
    return errors / np.asarray(runs.record("linear")["error_floor"], float) - 1


def _mean(values) -> float:
    return float(np.mean(values))


CLAIMS = (
    real_loss_falls_to_the_order,
    real_loss_is_flat_from_the_order,
    feeding_back_costs,
    feeding_back_is_at_the_floor,
    markov_pays_when_fed_back,
    recurrent_net_feeds_itself,
    both_neighbours_say_more,
    state_says_more_than_neighbours,
    grid_against_raster,
    seeing_ahead,
    grid_against_raster_lstm,
)
