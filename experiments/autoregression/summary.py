"""From the log of the autoregression study to its numbers, verdicts and deviations."""

from collections.abc import Mapping, Sequence

import numpy as np
from ml_collections import ConfigDict

from deepseq.lab.verdicts import mean_interval
from experiments.autoregression import claims as chains
from experiments.autoregression import claims_latent as latent
from experiments.autoregression import claims_more as more
from experiments.autoregression.records import Runs


def summarize(config: ConfigDict, records: Sequence[Mapping]) -> dict:
    """The study's metrics, verdicts and deviations, from its log alone; claims whose parts are not
    all there are left out.
    """
    runs = Runs(config, records)
    rows = [row(config, runs) for row in (*chains.CLAIMS, *latent.CLAIMS, *more.CLAIMS)]
    return {
        "metrics": {
            "nats": {
                source: _source(runs, source)
                for source in runs.sources
                if runs.has("table", source)
            },
            "Gaussian, nats": _real(runs),
            "bits per pixel": {
                arm: (
                    {key: runs.record("pixels", arm)[key] for key in ("hidden", "parameters")}
                    | _over_seeds(runs.bits(arm))
                )
                for arm in runs.arms()
            },
            "trainings that were not finite": runs.unfinite(),
        },
        "claims": [row for row in rows if row is not None],
        "comparison": [],
        "deviations": _deviations(config),
    }


def _source(runs: Runs, source: str) -> dict:
    found = {"entropy rate": _over_seeds(runs.rate(source))}
    for tau in runs.taus(source):
        found[f"AR({tau})"] = {"floor": float(runs.floors(source)[:, tau].mean())} | {
            form: _over_seeds(runs.windows(source, form)[:, tau])
            for form in ("table", "window")
            if runs.has(form, source)
        }
    if runs.has("latent", source):
        found["recurrent net"] = _over_seeds(runs.latent(source))
    return found


def _real(runs: Runs) -> dict:
    if not runs.has("linear"):
        return {}
    floors, losses = runs.record("linear")["floors"], runs.get("linear", "", "loss")
    found = {
        f"AR({tau})": {"floor": floor} | _over_seeds(losses[:, tau])
        for tau, floor in enumerate(floors)
    }
    if runs.has("real latent"):
        found["recurrent net"] = _over_seeds(
            floors[runs.order] + runs.get("real latent", "", "excess")
        )
    return found


def _over_seeds(values: np.ndarray) -> dict:
    return {
        "mean": float(values.mean()),
        "interval": mean_interval(values),
        "by_seed": values.tolist(),
    }


def _deviations(config: ConfigDict) -> list[dict]:
    return [
        {
            "paper": "AR(tau) by maximum likelihood",
            "here": (
                f"tables add {config.table.prior:g} to every count; linear models and nets are"
                " plain maximum likelihood"
            ),
            "reason": (
                "one window that was never seen would make a plain table's loss infinite"
                " (Krichevsky, Trofimov 1981)"
            ),
        },
        {
            "paper": "an entropy rate in closed form",
            "here": "of the hidden Markov source, the middle of two exact bounds",
            "reason": "none is known; the bounds differ by less than any margin here",
        },
        {
            "paper": (
                "Graves et al. 2007: LSTM with peepholes, four directions, classification of pixels"
            ),
            "here": (
                "one direction, no peepholes, p(pixel | left and above), on scikit-learn's digits"
                " of 8x8 pixels and 17 levels"
            ),
            "reason": (
                "a model that generates may not see what comes after; the digits come with the"
                " package"
            ),
        },
        {
            "paper": "a recurrence alone",
            "here": "every model of pixels is told the row and column of the pixel it predicts",
            "reason": (
                "along the raster a net would have to count columns, which is not the question"
            ),
        },
    ]
