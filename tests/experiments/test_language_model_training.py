"""The language-model study: its nets, a small run, and the texts that its nets write."""

import functools
import json
import math
import os
import subprocess
import sys

import chex
import jax
import numpy as np
import pytest

from configs.language_model import get_config
from deepseq.data.text import Corpus, load_distinct
from deepseq.lab.jobs import Session, carries
from deepseq.nets.blocks.net import parameters
from deepseq.nets.sequences.language_model import Tied
from deepseq.train import log
from deepseq.train.language import chunks
from deepseq.train.loop import Interrupted
from experiments import language_model as study
from experiments import run, sample
from experiments.language_model.nets import cell_net, hidden_units, recipe, step_rate
from experiments.language_model.training import Trainer

pytestmark = pytest.mark.usefixtures("compiled_quickly")

SMOKE, PAPER = get_config("smoke"), get_config("paper")
COMMAND = "--config=configs/language_model.py:smoke"


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    path = tmp_path_factory.mktemp("language_model")
    flags = ["--config.nets=lstm,gru", "--config.ngrams=1"]
    assert run.main([COMMAND, *flags, f"--workdir={path}"]) == 0
    return path


def test_equal_parameters():
    config, counts = get_config(), {}
    for cell in ("lstm", "gru", "rnn"):
        hidden = hidden_units(config, cell, 94)
        less, counts[cell], more = (
            parameters(cell_net(config, cell, 94, hidden + d)) for d in (-1, 0, 1)
        )
        distance = abs(counts[cell] - counts["lstm"])
        assert distance <= min(abs(n - counts["lstm"]) for n in (less, more))
    assert hidden_units(config, "lstm", 94) == config.net.hidden
    assert max(counts.values()) < 1.005 * min(counts.values())


def test_equal_parameters_of_tied_nets():
    config = get_config()
    config.net.update({"tied": True, "hidden": 20, "layers": 2})
    units = {cell: hidden_units(config, cell, 94) for cell in ("lstm", "gru", "rnn")}
    assert units["lstm"] == 20 < units["gru"] < units["rnn"]
    params = jax.eval_shape(cell_net(config, "rnn", 94, units["rnn"]).init, jax.random.key(0))
    chex.assert_shape(params.embedding, (94, units["rnn"]))
    assert isinstance(params.softmax, Tied)


def test_the_rate_of_the_paper():
    """Small: 1 for four epochs, then halved before each of the nine others."""
    small, last = PAPER.small, 6
    of = functools.partial(step_rate, rate=small.rate, epoch=7, flat=small.flat, decay=small.decay)
    rates = [float(of(np.int32(epoch * 7 + last))) for epoch in range(small.epochs)]
    assert rates == [1.0] * 4 + [0.5**n for n in range(1, 10)]


def test_the_paper_tier_has_its_recipe():
    recipes = {name: recipe(PAPER, name, 200_000, 50) for name in PAPER.nets}
    assert [(r.batch, r.unroll, r.steps // r.epoch) for r in recipes.values()] == [
        (20, 20, 13),
        (20, 35, 39),
        (20, 35, 55),
    ]
    assert recipes["small"].epoch == (10_000 - 1) // 20


@pytest.mark.parametrize("size", ["small", "medium", "large"])
def test_the_paper_s_nets_take_a_step(size):
    symbols = np.arange(2000) % 50
    corpus = Corpus(symbols, symbols, symbols, ("a",) * 50, "words", "")
    trainer = Trainer(PAPER, corpus, recipe(PAPER, size, 2000, 50))
    batch = chunks(symbols, trainer.recipe.batch, 2, jax.random.key(1))(0)
    state, metrics = trainer.step(trainer.init_state(jax.random.key(0)), batch)
    assert float(metrics["loss"]) == pytest.approx(math.log(50), abs=0.1)
    chex.assert_tree_all_finite((state.params, metrics))
    assert int(state.step) == 1 and float(metrics["gradient_norm"]) > 0


def finals_of(path):
    return [record for record in log.read(path / "metrics.jsonl") if record.get("final")]


def test_the_nets_learn(finished):
    scores = {(r["net"], r["seed"]): r["test"] for r in finals_of(finished)}
    assert set(scores) == {(net, seed) for net in ("lstm", "gru") for seed in (0, 1)}
    assert max(scores.values()) < math.log(94)  # better than not knowing anything


def test_two_devices_train_as_one(finished, tmp_path):
    path, program = tmp_path / "run", [sys.executable, "-m", "experiments.run", COMMAND]
    flags = ["--config.nets=lstm", "--config.seeds=0", "--config.ngrams=1", f"--workdir={path}"]
    devices = os.environ | {"JAX_NUM_CPU_DEVICES": "2"}
    subprocess.run([*program, *flags], env=devices, check=True, capture_output=True)
    (two,), one = finals_of(path), finals_of(finished)[0]
    assert (two["net"], two["seed"]) == (one["net"], one["seed"]) == ("lstm", 0)
    assert two["test"] == pytest.approx(one["test"], rel=1e-5)


def test_the_logged_counts_are_the_model_s(finished):
    corpus = load_distinct(2000, 2000)
    record = next(r for r in log.read(finished / "metrics.jsonl") if r.get("ngram") == 1)
    counts = np.bincount(corpus.train, minlength=len(corpus.vocabulary))
    nats = -np.log(counts / counts.sum())[corpus.test[1:]].mean()
    assert record["test"] == pytest.approx(nats, rel=2e-3)


def test_interrupted_in_the_midst_of_a_net_it_ends_with_the_same_records(finished, tmp_path):
    asked = []

    def stop():
        asked.append(1)
        return len(asked) == 16

    tag = {"net": "gru", "seed": 0}
    (job,) = [job for job in study.plan(SMOKE, tmp_path) if job.tag == tag]
    with pytest.raises(Interrupted, match="net=gru seed=0: interrupted at step 15"):
        job.work(Session(tag, tmp_path, stopping=stop))
    asked.clear()
    session = Session(tag, tmp_path, stopping=stop)
    final = {**tag, "step": 20, "final": True, **job.work(session)}
    whole = [r for r in log.read(finished / "metrics.jsonl") if carries(r, tag)]
    assert [*session.records(), final] == whole and len(whole) == 3
    assert len(asked) == 10  # from the checkpoint of step 10 on


def test_a_sample_is_the_same_for_the_same_seed(finished, capsys):
    def write(*flags):
        assert sample.main([f"--workdir={finished}", "--length=200", *flags]) == 0
        return capsys.readouterr().out

    first = write("--prompt=The ")
    assert first.startswith("The ") and len(first) == 4 + 200 + 1
    assert write("--prompt=The ") == first
    assert write("--prompt=The ", "--seed=1") != first
    assert write("--prompt=The ", "--net=gru", "--net_seed=1") != first
    assert write("--prompt=The ", "--temperature=0.3") != first
    assert write().startswith("\n")


def refused(capsys, *flags):
    """The one line that ``sample`` tells of a wrong command line."""
    assert sample.main(flags) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "Traceback" not in error
    return error


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("--prompt=caf\u00e9", "the character 'é' (U+00E9) is not in the vocabulary"),
        ("--prompt=", "--prompt= is empty"),
        ("--temperature=0", "--temperature=0.0 must be above 0"),
        ("--temperature=-1", "must be above 0"),
        ("--temperature=warm", "--temperature=warm takes a number"),
        ("--length=0", "--length=0 must be at least 1"),
        ("--seed=-1", "--seed=-1 must be at least 0"),
        ("--net=lstn", "--net=lstn is not in"),
        ("--net_seed=9", "take one of 0, 1"),
        ("--lenght=3", "did you mean --length?"),
        ("here", "stray argument"),
    ],
)
def test_a_sample_that_cannot_be(finished, capsys, flag, message):
    assert message in refused(capsys, f"--workdir={finished}", flag)


def test_a_sample_needs_no_text(tmp_path, capsys):
    """A run on a file that is gone still writes."""
    path, book = tmp_path / "run", tmp_path / "book.txt"
    book.write_text("the cat sat on the mat\n" * 200)
    flags = ["--config.nets=rnn", "--config.seeds=0", "--config.measure.streams=2"]
    text = ["--config.corpus.unit=words", f"--config.corpus.text={book}"]
    assert run.main([COMMAND, *text, *flags, f"--workdir={path}"]) == 0
    book.unlink()
    capsys.readouterr()
    assert sample.main([f"--workdir={path}", "--prompt=the cat", "--length=5"]) == 0
    assert len(capsys.readouterr().out.split()) <= 7
    message = "the word 'cas' is not in the vocabulary; the nearest word is 'cat'"
    assert message in refused(capsys, f"--workdir={path}", "--prompt=the cas")


def test_a_directory_without_a_model(tmp_path, capsys):
    assert "no --workdir given" in refused(capsys, "--workdir=")
    assert "has no model" in refused(capsys, f"--workdir={tmp_path / 'nowhere'}")
    no_model = "has no model: degradation trains none that writes text"
    for config, message in (
        ("[1", "is damaged"),
        ('{"name": "no_such_study"}', "is of no study"),
        ('{"name": "degradation", "nets": [], "seeds": [0]}', no_model),
        (json.dumps(SMOKE.to_dict()), "no checkpoint of lstm, seed 0"),
    ):
        (tmp_path / "config.json").write_text(config)
        assert message in refused(capsys, f"--workdir={tmp_path}")


def test_help_of_sample(capsys):
    assert sample.main(["--help"]) == 0
    assert "--temperature" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("content", "flag", "message"),
    [
        (None, (), "cannot be read (No such file or directory)"),
        (b"", (), "is empty"),
        (b"abc\xff\xfe" * 100, (), "is not UTF-8 at byte 3"),
        (b"abc", (), "too few to cut"),
        (b"a b c d\n" * 9, (), "too few for 8 streams of 10 steps"),
        (b"a b c d\n" * 9, ["--config.corpus.unit=words"], "too few for 8 streams of 10 steps"),
        (b"a b c d\n" * 300, ["--config.train.unroll=1000"], "lower them, or give a longer text"),
    ],
)
def test_a_text_that_cannot_be_used(tmp_path, capsys, content, flag, message):
    text, path = tmp_path / "text.txt", tmp_path / "run"
    if content is not None:
        text.write_bytes(content)
    assert run.main([COMMAND, f"--config.corpus.text={text}", f"--workdir={path}", *flag]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1 and not path.exists()
