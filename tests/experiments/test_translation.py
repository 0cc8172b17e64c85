"""The translation study: what it records, and how it judges."""

import numpy as np
import pytest

from configs.translation import get_config
from deepseq.lab import jobs
from deepseq.lab.errors import UsageError
from deepseq.train import log
from experiments.translation import check, plan
from experiments.translation.corpora import bleu
from experiments.translation.figures import draw
from experiments.translation.nets import NETS, build
from experiments.translation.summary import summarize

SMOKE = get_config("smoke")


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    path = tmp_path_factory.mktemp("translation")
    config = get_config("smoke")
    config.seeds = (0,)
    config.train.epochs = 2
    jobs.run(plan(config, path), path)
    return log.read(path / "metrics.jsonl")


def test_where_the_nets_look_is_recorded(records):
    assert sum("shown" in record for record in records) == len(NETS)
    for record in records:
        for one in record.get("shown", ()):
            weights = np.array(one["weights"])
            assert weights.shape == (len(one["wrote"]), len(one["read"])) and weights.min() >= 0
            np.testing.assert_allclose(weights.sum(1), 1, atol=0.02)
            assert one["wrote"][-1] == "<end>" and "".join(one["read"]) == one["source"]
            assert "".join(one["wrote"][:-1]) == one["greedy"]


def synthetic(config, test, on_the_way=None):
    """A finished log with these scores on the test, by net and seed."""
    measure = {"dates": "exact", "multi30k": "bleu"}[config.corpus]
    curve = on_the_way or test
    yield {"corpus": {"name": config.corpus, "vocabulary": 44, "pairs": 100}}
    for number, seed in enumerate(config.seeds):
        for net in NETS:
            tag, value = {"net": net, "seed": seed}, test[net][number]
            for step in (10, 20):
                scores = {"loss": 1.0 / step, "tokens": 0.5, measure: curve[net][number]}
                yield {**tag, "step": step, "loss": 2.0 / step, "validation": scores}
            scores = {measure: value, "tokens": value} | (
                {"signature": "nrefs:1"} if measure == "bleu" else {}
            )
            one = {
                "source": "a b",
                "reference": "b",
                "greedy": "b",
                "beam": "",
                "read": ["a", " ", "b"],
            }
            one |= {"wrote": ["b", "<end>"], "weights": [[0.5, 0.25, 0.25], [0.0, 0.0, 1.0]]}
            yield {
                **tag,
                "step": 20,
                "final": True,
                "parameters": 1000,
                "test": {"greedy": scores, "beam": scores},
                "shown": [one, one],
            }


EQUAL = {"rnn": [0.90, 0.91, 0.92], "transformer": [0.902, 0.911, 0.921]}
BEHIND = {"rnn": [0.97, 0.98, 0.99], "transformer": [0.80, 0.82, 0.81]}
NOTHING = {"rnn": [0.0, 0.01, 0.0], "transformer": [0.01, 0.0, 0.01]}
NOISY = {"rnn": [0.5, 0.9, 0.7], "transformer": [0.9, 0.5, 0.7]}


@pytest.mark.parametrize(
    ("test", "verdict"),
    [(EQUAL, "holds"), (BEHIND, "refuted"), (NOTHING, "undecided"), (NOISY, "undecided")],
)
def test_the_verdict_follows_the_measurements(test, verdict):
    config = get_config()
    assert len(config.seeds) == 3
    rows = summarize(config, list(synthetic(config, test)))["claims"]
    assert [row["verdict"] for row in rows] == 2 * [verdict]
    assert all(row["n"] == 3 and row["interval"] is not None for row in rows)


def test_the_two_claims_are_measured_apart():
    config = get_config()
    rows = summarize(config, list(synthetic(config, EQUAL, on_the_way=BEHIND)))["claims"]
    assert [row["verdict"] for row in rows] == ["holds", "refuted"]


def test_one_seed_of_the_corpus_decides_nothing():
    config = get_config("paper")
    found = summarize(config, list(synthetic(config, {"rnn": [28.0], "transformer": [36.0]})))
    (row,) = found["claims"]
    assert (row["id"], row["verdict"], row["interval"], row["n"]) == (
        "C-T12 Multi30k",
        "undecided",
        None,
        1,
    )
    assert row["measured"]["difference"] == 8.0 and found["metrics"]["signature"] == "nrefs:1"
    assert [row["paper"] for row in found["comparison"]] == [28.22, 35.73]
    assert all("only the order" in row["remark"] for row in found["comparison"])


def test_an_unfinished_log_is_summarised_and_drawn():
    config = get_config()
    records = list(synthetic(config, EQUAL))
    assert summarize(config, records[:5])["claims"] == [] and draw(config, records[:5]) == {}
    assert summarize(config, [])["claims"] == []
    two = records[:13]
    assert {row["n"] for row in summarize(config, two)["claims"]} == {2}
    assert "2 seeds" in draw(config, two)["figure"].caption


def test_figures_of_the_corpus():
    config = get_config("paper")
    figures = draw(config, list(synthetic(config, {"rnn": [28.0], "transformer": [36.0]})))
    assert set(figures) == {"figure", "alignments", "translations"}
    assert (
        "one seed" in figures["figure"].caption
        and "continues a word" in figures["alignments"].caption
    )
    texts = [text.get_text() for text in figures["translations"].figure.axes[0].texts]
    assert "(nothing)" in texts and "a b" in texts


def test_bleu_is_that_of_the_definition():
    """Papineni et al. 2002: the geometric mean of the precisions of 1 to 4 words, less where it is
    too short.
    """
    said, right = ["the cat sat on the mat today"], ["the cat sat on a mat this day and night"]
    precisions = [5 / 7, 3 / 6, 2 / 5, 1 / 4]
    expected = 100 * np.exp(np.mean(np.log(precisions)) + 1 - 10 / 7)
    value, signature = bleu(said, right)
    np.testing.assert_allclose(value, expected, rtol=1e-6)
    assert {"nrefs:1", "case:mixed", "tok:13a"} < set(signature.split("|"))
    assert bleu(right, right)[0] == pytest.approx(100)


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("corpus=multi3k", "--config.corpus=multi3k does not exist; did you mean multi30k?"),
        ("corpus=wmt", "--config.corpus=wmt does not exist; take one of dates, multi30k"),
        (
            "multi30k.vocabulary=258",
            "--config.multi30k.vocabulary=258 must be from 259 to 8000",
        ),
        ("multi30k.vocabulary=8001", "--config.multi30k.vocabulary=8001 must be from 259"),
        ("multi30k.longest=7", "--config.multi30k.longest=7 must be at least 8"),
        ("multi30k.margin=-1", "--config.multi30k.margin=-1.0 must be at least 0"),
        ("dates.pairs=0", "--config.dates.pairs=0 must be from 1 to 100000"),
        ("dates.test=10000000", "--config.dates.test=10000000 must be from 1 to 100000"),
        ("dates.margin=-1", "--config.dates.margin=-1.0 must be at least 0"),
        (
            "transformer.heads=3",
            "--config.transformer.heads=3 must be a divisor of transformer.size=32",
        ),
        (
            "transformer.heads=0",
            "--config.transformer.heads=0 must be a divisor of transformer.size=32",
        ),
        ("transformer.layers=0", "--config.transformer.layers=0 must be at least 1"),
        ("transformer.dropout=1", "--config.transformer.dropout=1.0 must be from 0 to below 1"),
        ("transformer.rate=0", "--config.transformer.rate=0.0 must be above 0"),
        ("rnn.embedding=0", "--config.rnn.embedding=0 must be at least 1"),
        ("rnn.dropout=-0.1", "--config.rnn.dropout=-0.1 must be from 0 to below 1"),
        ("train.epochs=0", "--config.train.epochs=0 must be at least 1"),
        ("train.tokens=0", "--config.train.tokens=0 must be at least 1"),
        ("train.warmup=0", "--config.train.warmup=0 must be at least 1"),
        ("train.edges=8,8", "--config.train.edges=8,8 must be increasing, from 1 on"),
        ("train.edges=a", "--config.train.edges=a must be lengths, integers"),
        ("train.smoothing=1", "--config.train.smoothing=1.0 must be from 0 to below 1"),
        ("train.clip=0", "--config.train.clip=0.0 must be above 0"),
        ("measure.beam=0", "--config.measure.beam=0 must be from 1 to 32"),
        ("measure.length_penalty=-1", "--config.measure.length_penalty=-1.0 must be at least 0"),
        ("measure.shown=0", "--config.measure.shown=0 must be at least 1"),
    ],
)
def test_a_config_that_cannot_be(flag, message):
    key, _, text = flag.partition("=")
    config = get_config("smoke")
    value = config
    for name in key.split("."):
        value = value[name]
    if isinstance(value, tuple):
        value = tuple(int(item) if item.isdigit() else item for item in text.split(","))
    else:
        value = type(value)(text)
    config.update_from_flattened_dict({key: value})
    with pytest.raises(UsageError) as error:
        check(config)
    assert message in str(error.value)


def test_an_embedding_that_leaves_no_unit_is_told():
    config = get_config("smoke")
    config.rnn.embedding = 4000
    with pytest.raises(UsageError, match=r"rnn\.embedding=4000 alone needs more than the Transf"):
        build(config, 44)
