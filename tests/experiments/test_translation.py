"""The translation study: how it judges, and the smoke tier as a user types it."""

import json

import numpy as np
import pytest

from configs.translation import get_config
from deepseq.train import log
from experiments.run import main
from experiments.translation.corpora import bleu
from experiments.translation.figures import draw
from experiments.translation.nets import NETS
from experiments.translation.summary import summarize

SMOKE = get_config("smoke")
COMMAND = "--config=configs/translation.py:smoke"


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    path = tmp_path_factory.mktemp("translation")
    assert main([COMMAND, f"--workdir={path}"]) == 0
    return path


def test_smoke(finished):
    result = json.loads((finished / "result.json").read_text())
    assert [row["id"] for row in result["claims"]] == ["C-T12", "C-T12 on the way"]
    for net in NETS:
        found = result["metrics"][net]
        assert found["test"]["greedy"]["tokens"]["mean"] > {"rnn": 0.15, "transformer": 0.4}[net]
        assert found["updates"] == SMOKE.train.epochs * -(-SMOKE.dates.pairs // 32)
    records = log.read(finished / "metrics.jsonl")
    for name in NETS:
        losses = [
            r["loss"] for r in records if r.get("net") == name and r["seed"] == 0 and "loss" in r
        ]
        assert losses[-1] < 0.6 * losses[0]
    written = {path.name for path in finished.iterdir()}
    assert {
        f"{name}.{kind}"
        for name in ("figure", "alignments", "translations")
        for kind in ("png", "svg")
    } < written


def test_where_the_nets_look_is_recorded(finished):
    for record in log.read(finished / "metrics.jsonl"):
        for one in record.get("shown", ()):
            weights = np.array(one["weights"])
            assert weights.shape == (len(one["wrote"]), len(one["read"])) and weights.min() >= 0
            np.testing.assert_allclose(weights.sum(1), 1, atol=0.02)
            assert one["wrote"][-1] == "<end>" and "".join(one["read"]) == one["source"]
            assert "".join(one["wrote"][:-1]) == one["greedy"]


def test_what_is_logged_is_not_trained_again(finished, tmp_path):
    lines = (finished / "metrics.jsonl").read_text().splitlines(keepends=True)
    kept = [n for n, line in enumerate(lines) if '"final": true' in line][
        2
    ]  # three of the four trainings
    with open(tmp_path / "metrics.jsonl", "w") as file:  # and a line torn by a kill
        file.write("".join(lines[: kept + 1]) + lines[-1][:50])
    (tmp_path / "config.json").write_bytes((finished / "config.json").read_bytes())
    assert main([COMMAND, f"--workdir={tmp_path}"]) == 0
    assert (tmp_path / "metrics.jsonl").read_bytes() == (finished / "metrics.jsonl").read_bytes()
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["transformer-1"]


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
    assert summarize(config, records[:5])["claims"] == [] and draw(config, records[:5], {}) == {}
    assert summarize(config, [])["claims"] == []
    two = records[:13]
    assert {row["n"] for row in summarize(config, two)["claims"]} == {2}
    assert "2 seeds" in draw(config, two, {})["figure"].get_label()


def test_figures_of_the_corpus():
    config = get_config("paper")
    figures = draw(config, list(synthetic(config, {"rnn": [28.0], "transformer": [36.0]})), {})
    assert set(figures) == {"figure", "alignments", "translations"}
    assert (
        "one seed" in figures["figure"].get_label()
        and "continues a word" in figures["alignments"].get_label()
    )
    texts = [text.get_text() for text in figures["translations"].axes[0].texts]
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
            "--config.multi30k.vocabulary=258 must be from 259, the bytes and marks, to 8000",
        ),
        ("multi30k.vocabulary=8001", "--config.multi30k.vocabulary=8001 must be from 259"),
        ("multi30k.longest=7", "--config.multi30k.longest=7 must be at least 8"),
        ("multi30k.margin=-1", "--config.multi30k.margin=-1.0 must be at least 0"),
        ("dates.pairs=0", "--config.dates.pairs=0 must be from 1 to 100000"),
        ("dates.test=10000000", "--config.dates.test=10000000 must be from 1 to 100000"),
        ("dates.margin=-1", "--config.dates.margin=-1.0 must be at least 0"),
        (
            "transformer.heads=3",
            "--config.transformer.heads=3 must be at least 1 and divide transformer.size=32",
        ),
        (
            "transformer.heads=0",
            "--config.transformer.heads=0 must be at least 1 and divide transformer.size=32",
        ),
        ("transformer.layers=0", "--config.transformer.layers=0 must be at least 1"),
        ("transformer.dropout=1", "--config.transformer.dropout=1.0 must be from 0 to below 1"),
        ("transformer.rate=0", "--config.transformer.rate=0.0 must be above 0"),
        ("rnn.embedding=0", "--config.rnn.embedding=0 must be at least 1"),
        (
            "rnn.embedding=4000",
            "--config.rnn.embedding=4000 alone needs more than the Transformer's",
        ),
        ("rnn.dropout=-0.1", "--config.rnn.dropout=-0.1 must be from 0 to below 1"),
        ("train.epochs=0", "--config.train.epochs=0 must be at least 1"),
        ("train.tokens=0", "--config.train.tokens=0 must be at least 1"),
        ("train.warmup=0", "--config.train.warmup=0 must be at least 1"),
        ("train.edges=8,8", "--config.train.edges=(8, 8) must be rising lengths of at least 1"),
        ("train.edges=a", "--config.train.edges=('a',) must be rising lengths of at least 1"),
        ("train.smoothing=1", "--config.train.smoothing=1.0 must be from 0 to below 1"),
        ("train.clip=0", "--config.train.clip=0.0 must be above 0"),
        ("measure.beam=0", "--config.measure.beam=0 must be from 1 to 32"),
        ("measure.length_penalty=-1", "--config.measure.length_penalty=-1.0 must be at least 0"),
        ("measure.shown=0", "--config.measure.shown=0 must be at least 1"),
        (
            "measure.beams=9",
            "unknown config key --config.measure.beams; did you mean --config.measure.beam",
        ),
    ],
)
def test_a_config_that_cannot_be(tmp_path, capsys, flag, message):
    assert main([COMMAND, f"--config.{flag}", f"--workdir={tmp_path / 'run'}"]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
    assert not (tmp_path / "run" / "metrics.jsonl").exists()
