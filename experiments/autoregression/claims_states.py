"""The claims on the past as a state: what a recurrent net keeps where no window would do."""

import numpy as np
from ml_collections import ConfigDict

from deepseq.lab.verdicts import Above, Below, Within
from experiments.autoregression.records import Runs
from experiments.autoregression.sources import COPY, ENDLESS, TITLES


def states(config: ConfigDict, runs: Runs) -> dict[str, tuple]:
    """C-S5 and C-S6, as far as their parts are there."""
    rows = {}
    if runs.ended("table", COPY) and runs.ended("latent", COPY):
        rows |= copy(config, runs)
    rows |= endless(config, runs)
    if runs.ended("echo"):
        rows |= echo(config, runs)
    return rows


def copy(config: ConfigDict, runs: Runs) -> dict[str, tuple]:
    """C-S5 on the delayed copy."""
    lag, measure = config.bits.lag, config.measure
    short = runs.get("table", COPY, "loss")[:, lag - 1]
    trained, untrained = (
        runs.get("latent", COPY, "decoded", when)[:, lag - 1] for when in ("trained", "untrained")
    )
    return {
        "C-S5 lag": (
            "Where the lag exceeds tau, a small recurrent net loses less than AR(tau).",
            f"loss on the delayed copy of lag {lag}, AR({lag - 1}) by counting minus the recurrent"
            " net, paired by seed",
            short - runs.latent(COPY),
            Above(0),
            {
                f"AR({lag - 1}), nats": short,
                "recurrent net": runs.latent(COPY),
                "entropy rate": runs.rate(COPY),
            },
        ),
        "C-S5 decoded": (
            "The hidden state summarises the past: a linear map reads the lagged input out of it.",
            f"share of x_(t-{lag}) read rightly out of h_t by least squares on other series of the"
            " delayed copy; chance 1/2",
            trained,
            Above(measure.decoded),
            {"share": trained},
        ),
        "C-S5 untrained": (
            "It is there before training: the state of random weights holds the lagged input as"
            " well.",
            "the same share, trained minus untrained, paired by seed",
            trained - untrained,
            Within(measure.share),
            {"trained": trained, "untrained": untrained},
            "a control of C-S5 decoded",
            "holds where the recurrence starts orthogonal, as in an echo state network (Jaeger"
            " 2001)",
        ),
    }


def endless(config: ConfigDict, runs: Runs) -> dict[str, tuple]:
    """C-S5 on sources of no finite order, beside the exact filter and every window."""
    rows = {}
    if runs.ended("latent", *ENDLESS):
        excess = {TITLES[source]: runs.get("latent", source, "excess") for source in ENDLESS}
        rows["C-S5 filter"] = (
            "On sources of no finite order, a recurrent net comes as near as may be to the exact"
            " filter.",
            "loss minus that of the forward algorithm with the true source on the same test"
            " series, nats, the larger of two sources",
            np.max(list(excess.values()), axis=0),
            Within(config.measure.margin),
            excess,
            "Rabiner 1989, section III A",
        )
    for source in ENDLESS:
        if not all(runs.ended(part, source) for part in ("table", "window", "latent")):
            continue
        losses = [runs.get(form, source, "loss") for form in ("table", "window")]
        best, longest = np.concatenate(losses, 1).min(1), config.bits.longest
        rows[f"C-S5 {source}"] = (
            f"On {TITLES[source]}, a recurrent net loses less than every AR(tau) up to tau ="
            f" {longest}.",
            f"least expected loss of AR(0) to AR({longest}), tables and nets, minus the loss of the"
            " recurrent net, paired by seed",
            best - runs.latent(source),
            Above(0),
            {
                "difference, nats": best - runs.latent(source),
                "best window": best,
                f"exact floor of AR({longest})": runs.get("table", source, "floors")[:, -1],
                "entropy rate": runs.rate(source),
            },
            "Cover, Thomas 2006, theorem 4.5.1",
            "open: the floor of AR(tau) nears the entropy rate as tau grows",
        )
    return rows


def echo(config: ConfigDict, runs: Runs) -> dict[str, tuple]:
    """C-S6."""
    mlp, rnn = (runs.get("echo", "", net) for net in ("MLP", "RNN"))
    floor, goal = runs.end(part="echo")["baseline"], config.measure.solved
    return {
        "C-S6 MLP": (
            "A net of the current step alone cannot use the past: on a delayed echo it stays at"
            " chance.",
            f"expected loss of the net on the echo of lag {config.echo.lag}, nats, exact, minus"
            " ln 2, the least there is without memory",
            mlp - floor,
            Within(config.measure.margin),
            {"loss, nats": (mlp - floor).mean() + floor, "ln 2": floor},
        ),
        "C-S6 RNN": (
            "A recurrent net can, and solves it.",
            f"its loss on fresh series of the same echo, beside {goal:g} ln 2",
            rnn,
            Below(goal * floor),
            {"loss, nats": rnn, f"{goal:g} ln 2": goal * floor},
        ),
    }
