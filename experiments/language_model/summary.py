"""From the log of the language-model study to its numbers, verdicts and deviations."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from ml_collections import ConfigDict

from deepseq.lab.verdicts import above, claim, mean_interval, within
from experiments.language_model.records import Runs

ZAREMBA = {
    "small": (120.7, 114.5),
    "medium": (86.2, 82.7),
    "large": (82.2, 78.4),
}  # table 1: validation, test
NAMES = {"lstm": "LSTM", "gru": "GRU", "rnn": "RNN"}
CELLS_SOURCE = "Chung et al. 2014 (arXiv 1412.3555); the notes on GRU"


def summarize(config: ConfigDict, records: Sequence[Mapping]) -> dict:
    """The study's metrics, verdicts and deviations, from its log alone; nets that are not finished
    are left out.
    """
    runs = Runs(config, records)
    metrics = {net: {"parameters": runs.parameters(net)} | _scores(runs, net) for net in runs.nets}
    parts = ("validation", "test")
    counted = {
        f"kneser-ney {order}": {part: runs.shown(r[part]) for part in parts}
        for order, r in runs.ngrams.items()
    }
    return {
        "metrics": {"unit": runs.unit, "corpus": runs.corpus, **metrics, **counted},
        "claims": _beats_counting(runs) + _cells(config, runs),
        "comparison": [
            row for net in runs.nets if net in ZAREMBA for row in _compare(config, runs, net)
        ],
        "deviations": [
            {"paper": p, "here": h, "reason": r}
            for p, h, r, differs in _deviations(config, runs)
            if differs
        ],
    }


def _scores(runs: Runs, net: str) -> dict:
    scores = {}
    for part in ("validation", "test"):
        values = [runs.shown(nats) for nats in runs.score(net, part)]
        scores[part] = {
            "mean": float(np.mean(values)),
            "interval": mean_interval(values),
            "by_seed": values,
        }
    return scores


def _mean(runs: Runs, net: str) -> float:
    return float(np.mean([runs.shown(nats) for nats in runs.score(net, "test")]))


def _gain(runs: Runs, better: np.ndarray | float, worse: np.ndarray | float) -> np.ndarray:
    """How much lower ``better`` is: bits per character, or the share of the perplexity, by seed."""
    nats = np.asarray(worse) - better
    return 1 - np.exp(-nats) if runs.words else nats / math.log(2)


def _statistic(runs: Runs, better: str, worse: str) -> str:
    if runs.words:
        return f"1 - test perplexity of the {better} / that of the {worse}"
    return f"test bits per character of the {worse} minus those of the {better}"


def _beats_counting(runs: Runs) -> list[dict]:
    best = runs.best_ngram()
    rows = []
    for net in runs.nets if best else []:
        gain = _gain(runs, runs.score(net, "test"), best["test"])
        name = NAMES.get(net, f"{net} LSTM")
        counting = f"Kneser-Ney model of order {best['ngram']}, which the validation text chose"
        rows.append(
            claim(
                f"LM-{net}",
                f"{name} predicts better than counting",
                above(mean_interval(gain)),
                statistic=_statistic(runs, name, counting),
                measured={name: _mean(runs, net), "n-gram": runs.shown(best["test"])},
                interval=mean_interval(gain),
                n=len(runs.seeds),
                expected="above 0",
                source="Mikolov et al. 2010; Chen and Goodman 1999",
            )
        )
    return rows


def _cells(config: ConfigDict, runs: Runs) -> list[dict]:
    rows = []
    for better, worse, id in (
        ("gru", "lstm", "C-G8"),
        ("lstm", "rnn", "C-G8 LSTM"),
        ("gru", "rnn", "C-G8 GRU"),
    ):
        if not {better, worse} <= set(runs.nets):
            continue
        gain = _gain(runs, runs.score(better, "test"), runs.score(worse, "test"))
        measured = {NAMES[net]: _mean(runs, net) for net in (better, worse)}
        shared = {
            "statistic": _statistic(runs, NAMES[better], NAMES[worse]),
            "measured": measured,
            "source": CELLS_SOURCE,
            "interval": mean_interval(gain),
            "n": len(runs.seeds),
        }
        rows.append(
            claim(
                id,
                f"{NAMES[better]} predicts better than {NAMES[worse]} with as many parameters",
                above(mean_interval(gain)),
                expected="above 0",
                **shared,
            )
        )
        if id == "C-G8":
            margin = config.measure.margin
            rows.append(
                claim(
                    "C-G8 equal",
                    "GRU and LSTM with as many parameters predict equally well",
                    within(mean_interval(gain), margin),
                    expected=f"within {margin} of 0",
                    **shared,
                )
            )
    return rows


def _compare(config: ConfigDict, runs: Runs, net: str) -> list[dict]:
    """Rows of the table against the paper: its perplexities, where they are of the same text."""
    same = config.corpus.text == "ptb" and runs.words
    rows = []
    for part, printed in zip(("validation", "test"), ZAREMBA[net], strict=True):
        values = [runs.shown(nats) for nats in runs.score(net, part)]
        ours = float(np.mean(values))
        rows.append(
            {
                "quantity": f"{net}, {part}",
                "unit": runs.unit,
                "paper": printed if same else None,
                "source": "Zaremba et al. 2014, Table 1",
                "ours": ours,
                "interval": mean_interval(values),
                "n": len(runs.seeds),
                "remark": (
                    f"{100 * (ours / printed - 1):+.1f} %"
                    if same
                    else "another text than the paper's: not comparable"
                ),
            }
        )
    return rows


def _deviations(config: ConfigDict, runs: Runs) -> list[tuple[str, str, str, bool]]:
    """(the paper, here, why, whether it applies)."""
    sizes = [net for net in config.nets if net in ZAREMBA]
    cells = [net for net in config.nets if net in NAMES]
    missing = [net for net in ZAREMBA if net not in sizes]
    recipe = {"small": 13, "medium": 39, "large": 55}
    cut = [f"{net} {config[net].epochs}" for net in sizes if config[net].epochs != recipe[net]]
    return [
        (
            "small, medium and large nets",
            f"only {', '.join(sizes)}",
            "time on this machine",
            bool(sizes and missing),
        ),
        ("13, 39 and 55 epochs", f"epochs: {', '.join(cut)}", "set in the config", bool(cut)),
        (
            "single runs, and ensembles of up to 38",
            f"single runs, {len(runs.seeds)} seed(s)",
            "time",
            bool(sizes),
        ),
        (
            "does not say how the validation text is read",
            (
                f"in {config.measure.streams} stream(s), each token but the first of all once; the"
                " state starts at zero"
            ),
            (
                "one stream predicts every token from all before it; more are faster, and a little"
                " pessimistic"
            ),
            True,
        ),
        (
            (
                "Chung et al. 2014 train on music and speech, with RMSProp and hidden layers of 36"
                " to 46 units"
            ),
            "Adam on text, for a fixed number of updates, the rate falling to 0 along a line",
            (
                "the notes' claim is about the cells in general; the rates were chosen on the"
                " validation text with other seeds"
            ),
            bool(cells),
        ),
    ]
