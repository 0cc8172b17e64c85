"""The language-model study's numbers, verdicts, table against the paper and deviations."""

import math
from collections.abc import Sequence

import numpy as np
from ml_collections import ConfigDict

from deepseq.lab.records import Record
from deepseq.lab.verdicts import About, Above, Claim, Within, compare, deviations, judge, over_seeds
from experiments.language_model.records import Runs

# table 1: validation, test
ZAREMBA = {"small": (120.7, 114.5), "medium": (86.2, 82.7), "large": (82.2, 78.4)}
NAMES = {"lstm": "LSTM", "gru": "GRU", "rnn": "RNN"}
PARTS = ("validation", "test")


def summarize(config: ConfigDict, records: Sequence[Record]) -> dict:
    """The study's metrics, verdicts and deviations, from its log alone.

    Nets that are not finished are left out.
    """
    runs = Runs(config, records)
    metrics = {"unit": runs.unit, "corpus": runs.corpus}
    for net in runs.nets:
        scores = {part: over_seeds(runs.shown_scores(net, part)) for part in PARTS}
        metrics[net] = {"parameters": runs.end(net=net)["parameters"]} | scores
    for order, record in runs.ngrams.items():
        metrics[f"kneser-ney {order}"] = {part: runs.shown(record[part]) for part in PARTS}
    sizes = [net for net in runs.nets if net in ZAREMBA]
    return {
        "metrics": metrics,
        "claims": beats_counting(runs) + cells(config, runs),
        "comparison": [row for net in sizes for row in against_paper(config, runs, net)],
        "deviations": departures(config, runs),
    }


def beats_counting(runs: Runs) -> list[Claim]:
    """LM: every net against the best model that counts."""
    best, rows = runs.best_ngram(), []
    for net in runs.nets if best else []:
        name = NAMES.get(net, f"{net} LSTM")
        counting = f"Kneser-Ney model of order {best['ngram']}, which the validation text chose"
        about = About(
            f"LM-{net}",
            f"{name} predicts better than counting",
            _statistic(runs, name, counting),
            "Mikolov et al. 2010; Chen and Goodman 1999",
            "above 0",
        )
        measured = {name: runs.shown_scores(net, "test"), "n-gram": runs.shown(best["test"])}
        gain = _gain(runs, runs.score(net, "test"), best["test"])
        rows.append(judge(about, gain, Above(0), measured=measured))
    return rows


def cells(config: ConfigDict, runs: Runs) -> list[Claim]:
    """C-G8: the cells against one another, with as many parameters."""
    rows = []
    for better, worse, id in (
        ("gru", "lstm", "C-G8"),
        ("lstm", "rnn", "C-G8 LSTM"),
        ("gru", "rnn", "C-G8 GRU"),
    ):
        if not {better, worse} <= set(runs.nets):
            continue
        names = NAMES[better], NAMES[worse]
        gain = _gain(runs, runs.score(better, "test"), runs.score(worse, "test"))
        measured = {NAMES[net]: runs.shown_scores(net, "test") for net in (better, worse)}
        about = About(
            id,
            f"{names[0]} predicts better than {names[1]} with as many parameters",
            _statistic(runs, *names),
            "Chung et al. 2014 (arXiv 1412.3555)",
            "above 0",
        )
        rows.append(judge(about, gain, Above(0), measured=measured))
        if id == "C-G8":
            text = "GRU and LSTM with as many parameters predict equally well"
            equal = about._replace(id="C-G8 equal", text=text, prediction="0")
            rows.append(judge(equal, gain, Within(config.measure.margin), measured=measured))
    return rows


def _gain(runs: Runs, better: np.ndarray, worse: np.ndarray | float) -> np.ndarray:
    """How much lower ``better`` is: bits per character, or the share of the perplexity, by seed."""
    nats = np.asarray(worse) - better
    return 1 - np.exp(-nats) if runs.words else nats / math.log(2)


def _statistic(runs: Runs, better: str, worse: str) -> str:
    if runs.words:
        return f"1 - test perplexity of the {better} / that of the {worse}"
    return f"test bits per character of the {worse} minus those of the {better}"


def against_paper(config: ConfigDict, runs: Runs, net: str) -> list[dict]:
    """The paper's perplexities, where they are of the same text."""
    same = config.corpus.text == "ptb" and runs.words
    rows = []
    for part, printed in zip(PARTS, ZAREMBA[net], strict=True):
        values = runs.shown_scores(net, part)
        difference = f"{100 * (values.mean() / printed - 1):+.1f} %"
        row = compare(
            f"{net}, {part}",
            values,
            paper=printed if same else None,
            source="Zaremba et al. 2014, Table 1",
            unit=runs.unit,
            remark=difference if same else "another text than the paper's: not comparable",
        )
        rows.append(row)
    return rows


def departures(config: ConfigDict, runs: Runs) -> list[dict]:
    """What is done otherwise than in the papers."""
    sizes = [net for net in config.nets if net in ZAREMBA]
    cells = [net for net in config.nets if net in NAMES]
    missing = [net for net in ZAREMBA if net not in sizes]
    recipe = {"small": 13, "medium": 39, "large": 55}
    cut = [f"{net} {config[net].epochs}" for net in sizes if config[net].epochs != recipe[net]]
    return deviations(
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
    )
