"""The claims of the autoregression study on symbols: one function each, from the runs to a row, or
None without them.
"""

import numpy as np
from ml_collections import ConfigDict

from deepseq.lab.verdicts import above, claim, exact, mean_interval, within
from experiments.autoregression.records import Runs
from experiments.autoregression.symbols import EXACT

ENUMERATED = 1e-10  # relative, in float64


def order_matters_to_ar(config: ConfigDict, runs: Runs) -> dict | None:
    return _order_matters(config, runs, "AR", "AR(tau) at the chain's order, by counting")


def order_matters_to_rnn(config: ConfigDict, runs: Runs) -> dict | None:
    return _order_matters(config, runs, "RNN", "a recurrent net")


def chain_rule(config: ConfigDict, runs: Runs) -> dict | None:
    if not runs.has("chain rule"):
        return None
    worst = {
        key: float(runs.get("chain rule", "", key).max())
        for key in ("forward", "table", "total", "marginal")
    }
    true = (
        worst["forward"] < ENUMERATED
        and max(worst["table"], worst["total"], worst["marginal"]) < EXACT
    )
    return claim(
        "C-S2",
        "The probability of a series is the product of the conditional ones.",
        exact(true),
        statistic=(
            f"relative difference over all {runs.record('chain rule')['words']} words of six"
            " symbols: product of conditionals against the enumerated joint distribution, claimed"
            f" below {ENUMERATED:g} in float64 and {EXACT:g} in float32; total probability of a"
            " recurrent net, and its sums over the last symbol, likewise"
        ),
        measured={
            "forward algorithm": worst["forward"],
            "AR(2) by its table": worst["table"],
            "recurrent net, total minus 1": worst["total"],
            "recurrent net, sums": worst["marginal"],
        },
        interval=None,
        n=len(runs.seeds),
        expected="holds exactly",
        source="notes F0:11-12",
    )


def loss_falls_to_the_order(config: ConfigDict, runs: Runs) -> dict | None:
    if not runs.has("table", *_chains(runs)):
        return None
    falls = [-np.diff(runs.windows(f"order {order}"))[:, :order] for order in runs.orders]
    smallest = np.min([fall.min(1) for fall in falls], axis=0)
    interval = mean_interval(smallest)
    return claim(
        "C-S3 falls",
        "Up to the order of a chain, each further symbol of the past lowers the loss of AR(tau).",
        above(interval),
        statistic=(
            "expected loss at tau - 1 minus at tau, smallest over tau = 1 to the order and over"
            f" chains of order {_listed(runs.orders)}, tables; claimed > 0"
        ),
        measured={"smallest, nats": _mean(smallest)}
        | {
            f"order {order}, last fall": _mean(fall[:, -1])
            for order, fall in zip(runs.orders, falls, strict=True)
        },
        interval=interval,
        n=len(smallest),
        expected="holds",
        source="Cover, Thomas 2006, theorem 4.2.1; notes F0:14-15, F1:429",
    )


def loss_is_flat_from_the_order(config: ConfigDict, runs: Runs) -> dict | None:
    return _flat(config, runs, "table", "C-S3 flat", "by counting")


def loss_of_nets_is_flat_from_the_order(config: ConfigDict, runs: Runs) -> dict | None:
    return _flat(config, runs, "window", "C-S3 flat, nets", "as a net of the window")


def markov_discards_information(config: ConfigDict, runs: Runs) -> dict | None:
    if 2 not in runs.orders or not runs.has("table", "order 2"):
        return None
    losses, floors = runs.windows("order 2"), runs.floors("order 2")
    difference = losses[:, 1] - losses[:, 2]
    interval = mean_interval(difference)
    return claim(
        "C-S4 loses",
        "The Markov model discards information: on a chain of order 2 it loses more than AR(2).",
        above(interval),
        statistic=(
            "expected loss of AR(1) minus AR(2) on the chain of order 2, tables, paired by seed;"
            " claimed > 0"
        ),
        measured={
            "difference, nats": _mean(difference),
            "exact floors, difference": _mean(floors[:, 1] - floors[:, 2]),
        },
        interval=interval,
        n=len(difference),
        expected="holds",
        source="notes F0:69-72, F1:439, F3:133",
    )


def markov_suffices(config: ConfigDict, runs: Runs) -> dict | None:
    if 1 not in runs.orders or not runs.has("table", "order 1"):
        return None
    losses, margin = runs.windows("order 1"), config.measure.margin
    difference = losses[:, 1] - losses[:, 2]
    interval = mean_interval(difference)
    return claim(
        "C-S4 suffices",
        "On a Markov chain it loses nothing.",
        within(interval, margin),
        statistic=f"the same on the chain of order 1; claimed within {margin:g} nats of 0",
        measured={"difference, nats": _mean(difference)},
        interval=interval,
        n=len(difference),
        expected="holds; AR(2) is the worse by what it has to learn in vain",
        source="notes F0:69-72",
    )


def _order_matters(config: ConfigDict, runs: Runs, model: str, who: str) -> dict | None:
    if not runs.has("latent", *_chains(runs)):
        return None
    by_order = []
    for order in runs.orders:
        found = runs.disturbances(order, model)
        by_order.append(
            {how: values - found["intact"] for how, values in found.items() if how != "intact"}
        )
    rises = {how: np.mean([each[how] for each in by_order], axis=0) for how in by_order[0]}
    smallest = np.min([list(each.values()) for each in by_order], axis=(0, 1))
    interval = mean_interval(smallest)
    return claim(
        f"C-S1 {model}",
        f"Order matters to {who}: it finds series that were trimmed, omitted from or permuted less"
        " likely than intact ones.",
        above(interval),
        statistic=(
            "loss per symbol on disturbed minus on intact test series, the smallest of three"
            f" disturbances and of the chains of order {_listed(runs.orders)}; claimed > 0"
        ),
        measured={
            "smallest, nats": _mean(smallest),
            "share of seeds where intact is lowest": _mean(smallest > 0),
        }
        | {f"{how}, mean": _mean(values) for how, values in rises.items()},
        interval=interval,
        n=len(smallest),
        expected="holds",
        source="notes F0:6, 151-156",
    )


def _flat(config: ConfigDict, runs: Runs, form: str, id: str, how: str) -> dict | None:
    if not (runs.has("table", *_chains(runs)) and runs.has(form, *_chains(runs))):
        return None
    margin = config.measure.margin
    over = [
        runs.windows(f"order {order}", form) - runs.rate(f"order {order}")[:, None]
        for order in runs.orders
    ]
    largest = np.max(
        [values[:, order:].max(1) for order, values in zip(runs.orders, over, strict=True)], axis=0
    )
    interval = mean_interval(largest)
    return claim(
        id,
        f"From the order on, the past before does not matter: AR(tau), {how}, is at the entropy"
        " rate.",
        within(interval, margin),
        statistic=(
            "expected loss minus entropy rate, both exact, largest over tau from the order to "
            f"{config.chain.longest} and over the chains; claimed within {margin:g} nats of 0"
        ),
        measured={
            f"order {order}": _mean(values[:, order:].max(1))
            for order, values in zip(runs.orders, over, strict=True)
        },
        interval=interval,
        n=len(largest),
        expected="holds",
        source="Cover, Thomas 2006, theorem 4.2.1; notes F0:14-15, F1:429",
    )


def _chains(runs: Runs) -> list[str]:
    return [f"order {order}" for order in runs.orders]


def _listed(values) -> str:
    return ", ".join(map(str, values))


def _mean(values) -> float:
    return float(np.mean(values))


CLAIMS = (
    order_matters_to_ar,
    order_matters_to_rnn,
    chain_rule,
    loss_falls_to_the_order,
    loss_is_flat_from_the_order,
    loss_of_nets_is_flat_from_the_order,
    markov_discards_information,
    markov_suffices,
)
