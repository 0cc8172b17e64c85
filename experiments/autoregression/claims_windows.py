"""The claims on the past as a window: that order matters, and how much of the past is needed."""

import numpy as np
from ml_collections import ConfigDict

from deepseq.lab.verdicts import Above, Within
from experiments.autoregression.records import Runs
from experiments.autoregression.symbols import EXACT

ENUMERATED = 1e-10  # relative, in float64
COVER = "Cover, Thomas 2006, theorem 4.2.1"


def windows(config: ConfigDict, runs: Runs) -> dict[str, tuple]:
    """C-S1 to C-S4, as far as their parts are there."""
    rows = {}
    if runs.ended("latent", *runs.chains):
        rows |= order_matters(runs, "AR", "AR(tau) at the chain's order, by counting")
        rows |= order_matters(runs, "RNN", "a recurrent net")
    if runs.ended("chain rule"):
        rows |= chain_rule(runs)
    if runs.ended("table", *runs.chains):
        rows |= needed(config, runs) | markov(config, runs)
    return rows


def order_matters(runs: Runs, model: str, name: str) -> dict[str, tuple]:
    """C-S1 of one model."""
    losses = [runs.disturbances(chain, model) for chain in runs.chains]
    rises = {
        kind: np.array([of_chain[kind] - of_chain["intact"] for of_chain in losses])
        for kind in losses[0]
        if kind != "intact"
    }
    smallest = np.min(list(rises.values()), axis=(0, 1))
    return {
        f"C-S1 {model}": (
            f"Order matters to {name}: it finds series that were trimmed, omitted from or permuted"
            " less likely than intact ones.",
            "loss per symbol on disturbed minus on intact test series, the smallest of three"
            f" disturbances and of the chains of order {_orders(runs)}",
            smallest,
            Above(0),
            {"smallest, nats": smallest, "share of seeds where intact is lowest": smallest > 0}
            | {f"{kind}, mean": values.mean(0) for kind, values in rises.items()},
        )
    }


def chain_rule(runs: Runs) -> dict[str, tuple]:
    """C-S2, exact."""
    worst = {
        "forward algorithm": runs.get("chain rule", "", "forward").max(),
        "AR(2) by its table": runs.get("chain rule", "", "table").max(),
        "recurrent net, total minus 1": runs.get("chain rule", "", "total").max(),
        "recurrent net, sums": runs.get("chain rule", "", "marginal").max(),
    }
    forward, *others = worst.values()
    return {
        "C-S2": (
            "The probability of a series is the product of the conditional ones.",
            f"relative difference over all {runs.get('chain rule', '', 'words')} words of six"
            " symbols: product of conditionals against the enumerated joint distribution; total"
            " probability of a recurrent net, and its sums over the last symbol, likewise",
            forward < ENUMERATED and max(others) < EXACT,
            f"below {ENUMERATED:g} in float64 and {EXACT:g} in float32",
            worst,
            "",
            "holds exactly",
        )
    }


def needed(config: ConfigDict, runs: Runs) -> dict[str, tuple]:
    """C-S3: up to the order of a chain, and from there on."""
    falls = {
        chain: -np.diff(runs.get("table", chain, "loss"))[:, :order]
        for chain, order in runs.chains.items()
    }
    smallest = np.min([values.min(1) for values in falls.values()], axis=0)
    rows = {
        "C-S3 falls": (
            "Up to the order of a chain, each further symbol of the past lowers the loss of"
            " AR(tau).",
            "expected loss at tau - 1 minus at tau, smallest over tau = 1 to the order and over"
            f" chains of order {_orders(runs)}, tables",
            smallest,
            Above(0),
            {"smallest, nats": smallest}
            | {f"{chain}, last fall": values[:, -1] for chain, values in falls.items()},
            COVER,
        )
    }
    forms = {"C-S3 flat": ("table", "by counting")}
    if runs.ended("window", *runs.chains):
        forms["C-S3 flat, nets"] = ("window", "as a net of the window")
    for id, (form, fitted) in forms.items():
        largest = {
            chain: (runs.get(form, chain, "loss") - runs.rate(chain)[:, None])[:, order:].max(1)
            for chain, order in runs.chains.items()
        }
        rows[id] = (
            f"From the order on, the past before does not matter: AR(tau), {fitted}, is at the"
            " entropy rate.",
            "expected loss minus entropy rate, nats, both exact, largest over tau from the order to"
            f" {config.chain.longest} and over the chains",
            np.max(list(largest.values()), axis=0),
            Within(config.measure.margin),
            largest,
            COVER,
        )
    return rows


def markov(config: ConfigDict, runs: Runs) -> dict[str, tuple]:
    """C-S4, where there are the chains it is about."""
    rows = {}

    def lost(chain: str, key: str = "loss") -> np.ndarray:
        values = runs.get("table", chain, key)
        return values[:, 1] - values[:, 2]

    if "order 2" in runs.chains:
        rows["C-S4 loses"] = (
            "The Markov model discards information: on a chain of order 2 it loses more than"
            " AR(2).",
            "expected loss of AR(1) minus AR(2) on the chain of order 2, tables, paired by seed",
            lost("order 2"),
            Above(0),
            {
                "difference, nats": lost("order 2"),
                "exact floors, difference": lost("order 2", "floors"),
            },
        )
    if "order 1" in runs.chains:
        rows["C-S4 suffices"] = (
            "On a Markov chain it loses nothing.",
            "the same on the chain of order 1, nats",
            lost("order 1"),
            Within(config.measure.margin),
            {"difference, nats": lost("order 1")},
            "",
            "holds; AR(2) is the worse by what it has to learn in vain",
        )
    return rows


def _orders(runs: Runs) -> str:
    return ", ".join(map(str, runs.chains.values()))
