"""The autoregression study's numbers, verdicts and deviations."""

from collections.abc import Sequence

from ml_collections import ConfigDict

from deepseq.lab.records import Record
from deepseq.lab.verdicts import deviations, over_seeds
from experiments.autoregression.claims import claims
from experiments.autoregression.records import Runs


def summarize(config: ConfigDict, records: Sequence[Record]) -> dict:
    """The study's metrics, verdicts and deviations, from its log alone.

    Claims whose parts are not all there are left out.
    """
    runs = Runs(config, records)
    return {
        "metrics": {
            "nats": {one: symbols(runs, one) for one in runs.sources if runs.ended("table", one)},
            "Gaussian, nats": reals(runs) if runs.ended("linear") else {},
            "bits per pixel": {arm: pixels(runs, arm) for arm in runs.arms()},
            "trainings that were not finite": runs.unfinite(),
        },
        "claims": claims(config, runs),
        "comparison": [],
        "deviations": departures(config),
    }


def symbols(runs: Runs, source: str) -> dict:
    """Losses on a source, and its entropy rate."""
    losses = {"entropy rate": over_seeds(runs.rate(source))}
    forms = [form for form in ("table", "window") if runs.ended(form, source)]
    for tau, floors in enumerate(runs.get("table", source, "floors").T):
        losses[f"AR({tau})"] = {"floor": floors.mean()} | {
            form: over_seeds(runs.get(form, source, "loss")[:, tau]) for form in forms
        }
    if runs.ended("latent", source):
        losses["recurrent net"] = over_seeds(runs.latent(source))
    return losses


def reals(runs: Runs) -> dict:
    """Losses on the Gaussian series."""
    floors, losses = (runs.get("linear", "", key) for key in ("floors", "loss"))
    rows = {f"AR({n})": {"floor": f} | over_seeds(losses[:, n]) for n, f in enumerate(floors)}
    if runs.ended("real latent"):
        excess = runs.get("real latent", "", "excess")
        rows["recurrent net"] = over_seeds(floors[runs.order] + excess)
    return rows


def pixels(runs: Runs, arm: str) -> dict:
    """Size and loss of a model of images."""
    sizes = {key: runs.end(part="pixels", of=arm)[key] for key in ("hidden", "parameters")}
    return sizes | over_seeds(runs.get("pixels", arm, "bits"))


def departures(config: ConfigDict) -> list[dict]:
    """What is done otherwise than in the sources."""
    return deviations(
        (
            "AR(tau) by maximum likelihood",
            f"tables add {config.table.prior:g} to every count; linear models and nets are plain"
            " maximum likelihood",
            "one window that was never seen would make a plain table's loss infinite (Krichevsky,"
            " Trofimov 1981)",
        ),
        (
            "an entropy rate in closed form",
            "of the hidden Markov source, the middle of two exact bounds",
            "none is known; the bounds differ by less than any margin here",
        ),
        (
            "Graves et al. 2007: LSTM with peepholes, four directions, classification of pixels",
            "one direction, no peepholes, p(pixel | left and above), on scikit-learn's digits of"
            " 8x8 pixels and 17 levels",
            "a model that generates may not see what comes after; the digits come with the package",
        ),
        (
            "a recurrence alone",
            "every model of pixels is told the row and column of the pixel it predicts",
            "along the raster a net would have to count columns, which is not the question",
        ),
    )
