"""The language-model study: how it judges, what it draws, what it asks of a config."""

import json
import math

import numpy as np
import pytest

from configs.language_model import get_config
from deepseq.lab.errors import UsageError
from experiments import language_model as study
from experiments.language_model.corpora import read_corpus
from experiments.language_model.figures import draw
from experiments.language_model.summary import summarize

BIT = math.log(2)  # in nats


def finals(config, scores, **more):
    """A log of finished nets with these test scores by seed, nats."""
    for net, values in scores.items():
        for seed, nats in zip(config.seeds, values, strict=True):
            record = {"net": net, "seed": seed, "step": 10}
            yield {**record, "loss": nats, "validation": nats}
            ends = {"epoch": 5, "parameters": 1000, "test": nats, "validation": nats + 0.1}
            yield {**record, "final": True, **ends, **more}


def verdicts(summary):
    return {claim["id"]: claim["verdict"] for claim in summary["claims"]}


def three_cells():
    config = get_config()
    config.nets = ("lstm", "gru", "rnn")
    return config


COUNTED = [
    {"ngram": 2, "validation": 1.9 * BIT, "test": 1.0},
    {"ngram": 3, "validation": 1.8 * BIT, "test": 1.7 * BIT},
]
SCORES = {  # in bits
    "lstm": [2, 2.1, 1.9],
    "gru": [1.5, 1.6, 1.4],
    "rnn": [2.001, 2.099, 1.901],
}


def records(config, scores):
    """A finished log with these test scores by net and seed, bits."""
    return [*COUNTED, *finals(config, {net: np.multiply(scores[net], BIT) for net in scores})]


def test_the_verdicts_follow_the_scores():
    config = three_cells()
    summary = summarize(config, records(config, SCORES))
    assert verdicts(summary) == {
        "LM-lstm": "refuted",
        "LM-gru": "undecided",
        "LM-rnn": "refuted",
        "C-G8": "holds",
        "C-G8 equal": "refuted",
        "C-G8 LSTM": "undecided",
        "C-G8 GRU": "holds",
    }
    (gru,) = [claim for claim in summary["claims"] if claim["id"] == "C-G8"]
    np.testing.assert_allclose(gru["interval"], [0.5, 0.5])
    (counting,) = [claim for claim in summary["claims"] if claim["id"] == "LM-lstm"]
    assert "order 3, which the validation text chose" in counting["statistic"]
    json.dumps(summary, allow_nan=False)
    alike = summarize(config, records(config, SCORES | {"gru": SCORES["lstm"]}))
    assert verdicts(alike)["C-G8 equal"] == "holds"


def test_one_seed_decides_nothing():
    config = three_cells()
    config.seeds = (0,)
    one = records(config, {net: scores[:1] for net, scores in SCORES.items()})
    claims = summarize(config, one)["claims"]
    assert [(claim["verdict"], claim["interval"], claim["n"]) for claim in claims] == [
        ("undecided", None, 1)
    ] * 7
    assert "one seed" in draw(config, one)["figure"].caption


def test_words_are_judged_by_perplexity_and_beside_the_paper():
    config = get_config("paper")
    config.seeds = (0, 1)
    small = list(finals(config, {"small": [math.log(114.5), math.log(115.5)]}))
    lines = [{"ngram": 5, "validation": 5.0, "test": math.log(140)}, *small]
    summary = summarize(config, lines)
    assert verdicts(summary)["LM-small"] == "holds"
    test = summary["comparison"][1]
    assert (test["quantity"], test["paper"], test["remark"]) == ("small, test", 114.5, "+0.4 %")
    assert test["ours"] == pytest.approx(115)
    # the config names all three
    assert not any(row["here"] == "only small" for row in summary["deviations"])
    drawings = draw(config, lines)
    assert all("erplexity per word" in drawing.caption for drawing in drawings.values())
    assert "Dash-dotted: the paper's" in drawings["figure"].caption
    config.corpus.text = "other.txt"
    assert summarize(config, small)["comparison"][0]["paper"] is None
    assert "the paper's" not in draw(config, small)["figure"].caption


def test_the_figures_name_what_is_compared():
    config = three_cells()
    drawings = draw(config, records(config, SCORES))
    assert set(drawings) == {"figure", "scores"}
    assert all("Bits per character" in drawing.caption for drawing in drawings.values())
    assert "mean of 3 seeds" in drawings["figure"].caption
    learning, (_, nets) = drawings["figure"].figure.axes[0], drawings["scores"].figure.axes
    named = {text.get_text() for text in learning.texts}
    assert named == {"LSTM: 2.000", "GRU: 1.500", "RNN: 2.000", "Kneser-Ney, order 3: 1.800"}
    ticks = [label.get_text() for label in nets.get_xticklabels()]
    assert ticks == ["LSTM\n0.00 M", "GRU\n0.00 M", "RNN\n0.00 M"]


def test_an_unfinished_log_is_summarised_and_drawn():
    config = get_config()
    half = [r for r in finals(config, {"lstm": [1.0, 1.1, 1.2]}) if r["seed"] != 2]
    assert summarize(config, half)["claims"] == [] and draw(config, half) == {}
    config = three_cells()
    lines = records(config, SCORES)[:-1]  # the last net lacks a seed
    assert set(verdicts(summarize(config, lines))) == {
        "LM-lstm",
        "LM-gru",
        "C-G8",
        "C-G8 equal",
    }
    assert set(draw(config, lines)) == {"figure", "scores"}


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("nets", ("lstm", "gruu"), "--config.nets=gruu does not exist; did you mean gru?"),
        ("nets", ("lstm", "lstm"), "nets=lstm,lstm must be one or more different values"),
        ("corpus.unit", "letters", "--config.corpus.unit=letters does not exist"),
        ("corpus.unit", "words", "is read as characters"),
        ("corpus.held_out", 10_000_000, "--config.corpus.held_out=10000000 is too large"),
        ("corpus.held_out", 1, "corpus.held_out=1 must be at least 2"),
        ("net.hidden", 0, "--config.net.hidden=0 must be at least 1"),
        ("net.dropout", 1.0, "from 0 to below 1"),
        ("train.rate.lstm", 0.0, "--config.train.rate.lstm=0.0 must be above 0"),
        ("train.batch_size", 0, "--config.train.batch_size=0 must be above 0"),
        ("measure.every", 100, "measure.every=100 must be from 1 to 20"),
        ("measure.streams", 0, "measure.streams=0 must be at least 1"),
        ("measure.margin", 0.0, "measure.margin=0.0 must be above 0"),
        ("ngrams", (0, 1), "orders of at least 1"),
    ],
)
def test_a_config_that_cannot_be(key, value, message):
    config = get_config("smoke")
    config.update_from_flattened_dict({key: value})
    with pytest.raises(UsageError) as error:
        study.check(config)
        read_corpus(config)
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("nets", ("small", "lstm"), "--config.nets=lstm does not exist"),
        ("medium.unroll", 0, "medium.unroll=0 must be above 0"),
    ],
)
def test_a_config_of_the_paper_tier_that_cannot_be(key, value, message):
    config = get_config("paper")
    config.update_from_flattened_dict({key: value})
    with pytest.raises(UsageError, match=message):
        study.check(config)
