"""The claims of the autoregression study on what a recurrent net's state keeps: rows as in
``autoregression_claims``.
"""

import numpy as np
from ml_collections import ConfigDict

from deepseq.lab.verdicts import above, below, claim, mean_interval, within
from experiments.autoregression.records import ENDLESS, TITLES, Runs
from experiments.autoregression.symbols import COPY


def state_reaches_beyond_the_window(config: ConfigDict, runs: Runs) -> dict | None:
    if not runs.has("table", COPY) or not runs.has("latent", COPY):
        return None
    lag = config.bits.lag
    short = runs.windows(COPY)[:, lag - 1]
    difference = short - runs.latent(COPY)
    interval = mean_interval(difference)
    return claim(
        "C-S5 lag",
        "Where the lag exceeds tau, a small recurrent net loses less than AR(tau).",
        above(interval),
        statistic=(
            f"loss on the delayed copy of lag {lag}, AR({lag - 1}) by counting minus the recurrent"
            " net, paired by seed; claimed > 0"
        ),
        measured={
            f"AR({lag - 1}), nats": _mean(short),
            "recurrent net": _mean(runs.latent(COPY)),
            "entropy rate": _mean(runs.rate(COPY)),
        },
        interval=interval,
        n=len(difference),
        expected="holds",
        source="notes F0:16-17, F1:446",
    )


def state_can_be_read(config: ConfigDict, runs: Runs) -> dict | None:
    if not runs.has("latent", COPY):
        return None
    lag, goal = config.bits.lag, config.measure.decoded
    trained = runs.get("latent", COPY, "decoded", "trained")[:, lag - 1]
    interval = mean_interval(trained)
    return claim(
        "C-S5 decoded",
        "The hidden state summarises the past: a linear map reads the lagged input out of it.",
        above(interval, goal),
        statistic=(
            f"share of x_(t-{lag}) read rightly out of h_t by least squares on other series of the"
            f" delayed copy; chance 1/2, claimed > {goal:g}"
        ),
        measured={"share": _mean(trained)},
        interval=interval,
        n=len(trained),
        expected="holds",
        source="notes F0:16-17, F1:446",
    )


def training_puts_it_there(config: ConfigDict, runs: Runs) -> dict | None:
    if not runs.has("latent", COPY):
        return None
    lag, margin = config.bits.lag, config.measure.share
    both = {
        when: runs.get("latent", COPY, "decoded", when)[:, lag - 1]
        for when in ("trained", "untrained")
    }
    difference = both["trained"] - both["untrained"]
    interval = mean_interval(difference)
    return claim(
        "C-S5 untrained",
        "It is there before training: the state of random weights holds the lagged input as well.",
        within(interval, margin),
        statistic=(
            f"the same share, trained minus untrained, paired by seed; claimed within {margin:g}"
            " of 0"
        ),
        measured={when: _mean(values) for when, values in both.items()},
        interval=interval,
        n=len(difference),
        expected=(
            "holds where the recurrence starts orthogonal, as in an echo state network (Jaeger"
            " 2001)"
        ),
        source="a control of C-S5 decoded",
    )


def nears_the_filter(config: ConfigDict, runs: Runs) -> dict | None:
    if not runs.has("latent", *ENDLESS):
        return None
    margin = config.measure.margin
    excess = {source: runs.get("latent", source, "excess") for source in ENDLESS}
    largest = np.max(list(excess.values()), axis=0)
    interval = mean_interval(largest)
    return claim(
        "C-S5 filter",
        "On sources of no finite order, a recurrent net comes as near as may be to the exact"
        " filter.",
        within(interval, margin),
        statistic=(
            "loss minus that of the forward algorithm with the true source on the same test"
            f" series, the larger of two sources; claimed within {margin:g} nats of 0"
        ),
        measured={TITLES[source]: _mean(values) for source, values in excess.items()},
        interval=interval,
        n=len(largest),
        expected="holds",
        source="Rabiner 1989, section III A; notes F0:16-17",
    )


def beats_every_window(source: str):
    """The claim that the recurrent net does better than every window on a source of no finite
    order.
    """

    def row(config: ConfigDict, runs: Runs) -> dict | None:
        if not (
            runs.has("latent", source) and runs.has("table", source) and runs.has("window", source)
        ):
            return None
        every = np.concatenate([runs.windows(source), runs.windows(source, "window")], 1)
        difference = every.min(1) - runs.latent(source)
        interval = mean_interval(difference)
        longest = runs.taus(source)[-1]
        return claim(
            f"C-S5 {source}",
            f"On {TITLES[source]}, a recurrent net loses less than every AR(tau) up to tau ="
            f" {longest}.",
            above(interval),
            statistic=(
                f"least expected loss of AR(0) to AR({longest}), tables and nets, minus the loss of"
                " the recurrent net, paired by seed; claimed > 0"
            ),
            measured={
                "difference, nats": _mean(difference),
                "best window": _mean(every.min(1)),
                f"exact floor of AR({longest})": _mean(runs.floors(source)[:, -1]),
                "entropy rate": _mean(runs.rate(source)),
            },
            interval=interval,
            n=len(difference),
            expected="open: the floor of AR(tau) nears the entropy rate as tau grows",
            source="Cover, Thomas 2006, theorem 4.5.1; notes F0:16-17",
        )

    return row


def current_step_alone_is_at_chance(config: ConfigDict, runs: Runs) -> dict | None:
    if not runs.has("echo"):
        return None
    margin, floor = config.measure.margin, runs.record("echo")["baseline"]
    over = runs.get("echo", "", "MLP") - floor
    interval = mean_interval(over)
    return claim(
        "C-S6 MLP",
        "A net of the current step alone cannot use the past: on a delayed echo it stays at"
        " chance.",
        within(interval, margin),
        statistic=(
            f"expected loss of the net on the echo of lag {config.echo.lag}, exact, minus ln 2, the"
            f" least there is without memory; claimed within {margin:g} nats of 0"
        ),
        measured={"loss, nats": _mean(over) + floor, "ln 2": floor},
        interval=interval,
        n=len(over),
        expected="holds",
        source="notes F0:26-27",
    )


def recurrent_net_solves_the_echo(config: ConfigDict, runs: Runs) -> dict | None:
    if not runs.has("echo"):
        return None
    floor, goal = runs.record("echo")["baseline"], config.measure.solved
    loss = runs.get("echo", "", "RNN")
    interval = mean_interval(loss)
    return claim(
        "C-S6 RNN",
        "A recurrent net can, and solves it.",
        below(interval, goal * floor),
        statistic=f"its loss on fresh series of the same echo; claimed < {goal:g} ln 2",
        measured={"loss, nats": _mean(loss), f"{goal:g} ln 2": goal * floor},
        interval=interval,
        n=len(loss),
        expected="holds",
        source="notes F0:31",
    )


def _mean(values) -> float:
    return float(np.mean(values))


CLAIMS = (
    state_reaches_beyond_the_window,
    state_can_be_read,
    training_puts_it_there,
    nears_the_filter,
    *map(beats_every_window, ENDLESS),
    current_step_alone_is_at_chance,
    recurrent_net_solves_the_echo,
)
