"""The language-model study: equal parameters, its judgements, the smoke tier as a user types it,
and bad input in one line.
"""

import json
import math
import os
import subprocess
import sys

import jax
import numpy as np
import pytest

from configs.language_model import get_config
from deepseq.data import text
from deepseq.lab.command_line import UsageError
from deepseq.nets.sequences import language_model as nets
from deepseq.train import log
from deepseq.train.language import chunks
from experiments import language_model as study
from experiments import run, sample
from experiments.language_model import nets as language_model_nets
from experiments.language_model.figures import draw
from experiments.language_model.summary import summarize

pytestmark = pytest.mark.usefixtures("compiled_quickly")

SMOKE, PAPER = get_config("smoke"), get_config("paper")
COMMAND = "--config=configs/language_model.py:smoke"


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    path = tmp_path_factory.mktemp("language_model")
    assert run.main([COMMAND, f"--workdir={path}"]) == 0
    return path


def test_equal_parameters():
    config = get_config()
    counts = {}
    for cell in ("lstm", "gru", "rnn"):
        hidden = language_model_nets.hidden_units(config, cell, 94)
        counts[cell] = language_model_nets.parameters(
            language_model_nets.cell_net(config, cell, 94, hidden)
        )
        nearer = [
            language_model_nets.parameters(
                language_model_nets.cell_net(config, cell, 94, hidden + d)
            )
            for d in (-1, 1)
        ]
        assert all(abs(counts[cell] - counts["lstm"]) <= abs(n - counts["lstm"]) for n in nearer)
    assert language_model_nets.hidden_units(config, "lstm", 94) == config.net.hidden
    assert max(counts.values()) < 1.005 * min(counts.values())


def test_equal_parameters_of_tied_nets():
    config = get_config()
    config.net.update({"tied": True, "hidden": 20, "layers": 2})
    units = {
        cell: language_model_nets.hidden_units(config, cell, 94) for cell in ("lstm", "gru", "rnn")
    }
    assert units["lstm"] == 20 < units["gru"] < units["rnn"]
    shapes = jax.eval_shape(
        language_model_nets.cell_net(config, "rnn", 94, units["rnn"]).init, jax.random.key(0)
    )
    assert shapes.embedding.shape == (94, units["rnn"]) and isinstance(shapes.softmax, nets.Tied)


def test_the_rate_of_the_paper():
    """Small: 1 for four epochs, then halved before each of the nine others."""
    small = PAPER.small
    rates = [
        float(
            language_model_nets.step_rate(
                np.int32(epoch * 7 + 6),
                rate=small.rate,
                epoch=7,
                flat=small.flat,
                decay=small.decay,
            )
        )
        for epoch in range(small.epochs)
    ]
    assert rates == [1.0] * 4 + [0.5**n for n in range(1, 10)]


def test_the_paper_tier_has_its_recipe():
    found = {name: language_model_nets.recipe(PAPER, name, 200_000, 50) for name in PAPER.nets}
    assert [(r.batch, r.unroll, r.steps // r.epoch) for r in found.values()] == [
        (20, 20, 13),
        (20, 35, 39),
        (20, 35, 55),
    ]
    assert found["small"].epoch == (10_000 - 1) // 20


@pytest.mark.parametrize("size", ["small", "medium", "large"])
def test_the_paper_s_nets_take_a_step(size):
    course = study.course(PAPER, language_model_nets.recipe(PAPER, size, 2000, 50))
    plan = course.recipe
    first = chunks(np.arange(2000) % 50, plan.batch, plan.unroll, jax.random.key(1))(0)
    state, metrics = course.step(course.initial(jax.random.key(0)), first)
    assert float(metrics["loss"]) == pytest.approx(math.log(50), abs=0.1)
    assert int(state.step) == 1 and float(metrics["gradient_norm"]) > 0


def test_smoke(finished):
    records = log.read(finished / "metrics.jsonl")
    assert sum(bool(r.get("final")) for r in records) == 6
    result = json.loads((finished / "result.json").read_text())
    assert [row["id"] for row in result["claims"]][:3] == ["LM-lstm", "LM-gru", "LM-rnn"]
    drawn = {f"{name}.{kind}" for name in ("figure", "scores") for kind in ("png", "svg")}
    assert drawn < {path.name for path in finished.iterdir()}
    by_net = {r["net"]: r for r in records if r.get("final") and r["seed"] == 0}
    assert by_net["lstm"]["test"] < math.log(94)  # better than not knowing anything


def test_two_devices_train_as_one(finished, tmp_path):
    command = [
        sys.executable,
        "-m",
        "experiments.run",
        COMMAND,
        f"--workdir={tmp_path / 'run'}",
        "--config.nets=lstm",
    ]
    subprocess.run(
        command, env=os.environ | {"JAX_NUM_CPU_DEVICES": "2"}, check=True, capture_output=True
    )
    ours = {
        r["seed"]: r["test"] for r in log.read(tmp_path / "run" / "metrics.jsonl") if r.get("final")
    }
    theirs = {
        r["seed"]: r["test"]
        for r in log.read(finished / "metrics.jsonl")
        if r.get("final") and r["net"] == "lstm"
    }
    assert ours == pytest.approx(theirs, rel=1e-5) and len(ours) == 2


def test_the_logged_counts_are_the_model_s(finished):
    corpus = text.load_distinct(2000, 2000)
    record = next(r for r in log.read(finished / "metrics.jsonl") if r.get("ngram") == 1)
    counts = np.bincount(corpus.train, minlength=len(corpus.vocabulary))
    assert record["test"] == pytest.approx(
        -np.log(counts / counts.sum())[corpus.test[1:]].mean(), rel=2e-3
    )


def test_interrupted_and_continued_it_is_the_same(finished, tmp_path, monkeypatch, capsys):
    asked = 0

    def stop():
        nonlocal asked
        asked += 1
        return asked == 36  # in the midst of the second net

    usual = study.interruption
    monkeypatch.setattr(study, "interruption", lambda: __import__("contextlib").nullcontext(stop))
    assert run.main([COMMAND, f"--workdir={tmp_path / 'run'}"]) == 1
    assert "interrupted at step 15" in capsys.readouterr().err
    monkeypatch.setattr(study, "interruption", usual)
    assert run.main([COMMAND, f"--workdir={tmp_path / 'run'}"]) == 0
    ours, theirs = (log.read(path / "metrics.jsonl") for path in (tmp_path / "run", finished))
    assert sorted(map(json.dumps, ours)) == sorted(map(json.dumps, theirs))


def test_a_sample_is_the_same_for_the_same_seed(finished, capsys):
    def draw(*flags):
        assert sample.main([f"--workdir={finished}", "--length=200", *flags]) == 0
        return capsys.readouterr().out

    first = draw("--prompt=The ")
    assert first.startswith("The ") and len(first) == 4 + 200 + 1
    assert draw("--prompt=The ") == first
    assert draw("--prompt=The ", "--seed=1") != first
    assert draw("--prompt=The ", "--net=gru", "--net_seed=1") != first
    assert draw("--prompt=The ", "--temperature=0.3") != first
    assert draw().startswith("\n")


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--prompt=caf\u00e9"], "the character 'é' (U+00E9) is not in the vocabulary"),
        (["--prompt="], "--prompt= is empty"),
        (["--temperature=0"], "--temperature=0.0 must be above 0"),
        (["--temperature=-1"], "must be above 0"),
        (["--temperature=warm"], "--temperature=warm takes a number"),
        (["--length=0"], "--length=0 must be at least 1"),
        (["--seed=-1"], "--seed=-1 must be at least 0"),
        (["--net=lstn"], "--net=lstn is not in"),
        (["--net_seed=9"], "take one of 0, 1"),
        (["--lenght=3"], "did you mean --length?"),
        (["here"], "stray argument"),
    ],
)
def test_a_sample_that_cannot_be(finished, capsys, flags, message):
    assert sample.main([f"--workdir={finished}", *flags]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1 and "Traceback" not in error


def test_a_sample_needs_no_text(tmp_path, finished, capsys):
    """A run on a file that is gone still writes."""
    path, book = tmp_path / "run", tmp_path / "book.txt"
    book.write_text("the cat sat on the mat\n" * 200)
    flags = [
        "--config.nets=rnn",
        "--config.seeds=0",
        "--config.corpus.unit=words",
        "--config.measure.streams=2",
    ]
    assert run.main([COMMAND, f"--config.corpus.text={book}", f"--workdir={path}", *flags]) == 0
    book.unlink()
    capsys.readouterr()
    assert sample.main([f"--workdir={path}", "--prompt=the cat", "--length=5"]) == 0
    assert len(capsys.readouterr().out.split()) <= 7
    assert sample.main([f"--workdir={path}", "--prompt=the cas"]) == 2
    assert (
        "the word 'cas' is not in the vocabulary; the nearest word is 'cat'"
        in capsys.readouterr().err
    )


def test_a_directory_without_a_model(tmp_path, capsys):
    def refused(path):
        assert sample.main([f"--workdir={path}"]) == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1
        return error

    assert "no --workdir given" in refused("")
    assert "has no model" in refused(tmp_path / "nowhere")
    (tmp_path / "config.json").write_text("[1")
    assert "is damaged" in refused(tmp_path)
    (tmp_path / "config.json").write_text('{"name": "no_such_study"}')
    assert "is of no study" in refused(tmp_path)
    (tmp_path / "config.json").write_text('{"name": "degradation", "nets": [], "seeds": [0]}')
    assert "has no model: degradation trains none that writes text" in refused(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(SMOKE.to_dict()))
    assert "no checkpoint of lstm, seed 0" in refused(tmp_path)


def test_help(capsys):
    assert sample.main(["--help"]) == 0
    assert "--temperature" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("content", "flags", "message"),
    [
        (None, [], "cannot be read (No such file or directory)"),
        (b"", [], "is empty"),
        (b"abc\xff\xfe" * 100, [], "is not UTF-8 at byte 3"),
        (b"abc", [], "too few to cut"),
        (b"a b c d\n" * 9, [], "too few for 8 streams of 10 steps"),
        (b"a b c d\n" * 9, ["--config.corpus.unit=words"], "too few for 8 streams of 10 steps"),
        (b"a b c d\n" * 300, ["--config.train.unroll=1000"], "lower them, or give a longer text"),
    ],
)
def test_a_text_that_cannot_be_used(tmp_path, capsys, content, flags, message):
    path = tmp_path / "text.txt"
    if content is not None:
        path.write_bytes(content)
    assert (
        run.main([COMMAND, f"--config.corpus.text={path}", f"--workdir={tmp_path / 'run'}", *flags])
        == 2
    )
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("nets=lstm,gruu", "--config.nets=gruu does not exist; did you mean gru?"),
        ("nets=lstm,lstm", "must be different nets"),
        ("corpus.unit=letters", "--config.corpus.unit=letters does not exist"),
        ("corpus.unit=words", "is read as characters"),
        ("corpus.held_out=10000000", "--config.corpus.held_out=10000000 is too large"),
        ("net.hidden=0", "--config.net.hidden=0 must be at least 1"),
        ("net.dropout=1.0", "from 0 to below 1"),
        ("train.rate.lstm=0", "--config.train.rate.lstm=0.0 must be above 0"),
        ("train.batch_size=0", "--config.train.batch_size=0 must be above 0"),
        ("measure.every=100", "from 1 to train.updates=20"),
        ("ngrams=0,1", "orders of at least 1"),
    ],
)
def test_a_config_that_cannot_be(tmp_path, capsys, flag, message):
    assert run.main([COMMAND, f"--config.{flag}", f"--workdir={tmp_path / 'run'}"]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_the_paper_s_nets_are_of_the_paper_tier():
    config = get_config("paper")
    config.nets = ("small", "lstm")
    with pytest.raises(UsageError, match="--config.nets=lstm does not exist"):
        study.check(config)


def finals(config, scores, **more):
    """A log of finished nets with these test scores by seed, nats."""
    for net, values in scores.items():
        for seed, nats in zip(config.seeds, values, strict=True):
            yield {"net": net, "seed": seed, "step": 10, "loss": nats, "validation": nats}
            yield {
                "net": net,
                "seed": seed,
                "step": 10,
                "final": True,
                "epoch": 5,
                "parameters": 1000,
                "test": nats,
                "validation": nats + 0.1,
                **more,
            }


def verdicts(summary):
    return {row["id"]: (row["verdict"], row["interval"]) for row in summary["claims"]}


def test_the_verdicts_follow_the_scores():
    config = get_config()
    config.nets = ("lstm", "gru", "rnn")
    bits = math.log(2)
    scores = {
        "lstm": [2 * bits, 2.1 * bits, 1.9 * bits],
        "gru": [1.5 * bits, 1.6 * bits, 1.4 * bits],
    }
    scores["rnn"] = [2.001 * bits, 2.099 * bits, 1.901 * bits]
    records = [
        {"ngram": 2, "validation": 1.9 * bits, "test": 1.0},
        {"ngram": 3, "validation": 1.8 * bits, "test": 1.7 * bits},
    ]
    found = verdicts(summarize(config, [*records, *finals(config, scores)]))
    assert {id: verdict for id, (verdict, _) in found.items()} == {
        "LM-lstm": "refuted",
        "LM-gru": "undecided",
        "LM-rnn": "refuted",
        "C-G8": "holds",
        "C-G8 equal": "refuted",
        "C-G8 LSTM": "undecided",
        "C-G8 GRU": "holds",
    }
    np.testing.assert_allclose(found["C-G8"][1], [0.5, 0.5])
    scores["gru"] = scores["lstm"]
    assert (
        verdicts(summarize(config, [*records, *finals(config, scores)]))["C-G8 equal"][0] == "holds"
    )


def test_words_are_judged_by_perplexity_and_beside_the_paper():
    config = get_config("paper")
    config.seeds = (0, 1)
    small = {"small": [math.log(114.5), math.log(115.5)]}
    summary = summarize(
        config, [{"ngram": 5, "validation": 5.0, "test": math.log(140)}, *finals(config, small)]
    )
    assert verdicts(summary)["LM-small"][0] == "holds"
    test = summary["comparison"][1]
    assert (test["quantity"], test["paper"], test["remark"]) == ("small, test", 114.5, "+0.4 %")
    assert test["ours"] == pytest.approx(115)
    assert (
        any(row["here"] == "only small" for row in summary["deviations"]) is False
    )  # the config names all three
    config.corpus.text = "other.txt"
    assert summarize(config, list(finals(config, small)))["comparison"][0]["paper"] is None


def test_an_unfinished_log_is_summarised_and_drawn():
    config = get_config()
    half = [r for r in finals(config, {"lstm": [1.0, 1.1, 1.2]}) if r["seed"] != 2]
    summary = summarize(config, half)
    assert summary["claims"] == [] and draw(config, half, summary) == {}
