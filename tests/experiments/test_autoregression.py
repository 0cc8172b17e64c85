"""The autoregression study: how it judges, what it makes of half a log, what it asks of a config.

The log is the committed one of five seeds.
"""

import copy
import json
from pathlib import Path

import jax
import numpy as np
import pytest
from ml_collections import ConfigDict

from configs.autoregression import get_config
from deepseq.train import log
from experiments import autoregression as study
from experiments.autoregression.figures import draw
from experiments.autoregression.summary import summarize
from experiments.run import main

RESULTS = Path(__file__).resolve().parents[2] / "results" / "autoregression" / "laptop"
COMMAND = "--config=configs/autoregression.py:smoke"
FIGURES = {"figure", "disturbed", "memory", "fed_back", "pixels"}


@pytest.fixture(scope="module")
def config():
    return ConfigDict(json.loads((RESULTS / "config.json").read_text()))


@pytest.fixture(scope="module")
def lines():
    return log.read(RESULTS / "metrics.jsonl")


def verdicts(summary):
    return {claim["id"]: claim["verdict"] for claim in summary["claims"]}


def altered(lines, part, of, **values):
    """The log with values of a part replaced."""
    lines = copy.deepcopy(lines)
    (record,) = [line for line in lines if (line["part"], line["of"]) == (part, of)]
    record.update(values)
    return lines


def test_verdicts_follow_the_numbers(config, lines):
    """Each verdict turns when the number behind it does."""

    def judged(part, of, **values):
        return verdicts(summarize(config, altered(lines, part, of, **values)))

    def spread(value):  # of five seeds
        return (value + 1e-4 * np.arange(5)).tolist()

    for excess, verdict in ((0.001, "holds"), (0.9, "refuted")):
        assert judged("latent", "copy", excess=spread(excess))["C-S5 lag"] == verdict
    assert judged("latent", "even", excess=spread(-0.5))["C-S5 even"] == "holds"
    assert judged("echo", "", RNN=spread(0.01))["C-S6 RNN"] == "holds"
    assert judged("echo", "", RNN=spread(0.6))["C-S6 RNN"] == "refuted"
    assert judged("echo", "", MLP=spread(0.5))["C-S6 MLP"] == "refuted"
    raster = np.array(next(line["bits"] for line in lines if line["of"] == "raster rnn"))
    for more, verdict in ((-0.1, "holds"), (0.1, "refuted")):
        bits = (raster + more).tolist()
        assert judged("pixels", "grid rnn", bits=bits)["F4:137 raster"] == verdict
    assert judged("chain rule", "", total=[0.0, 1e-3, 0.0, 0.0, 0.0])["C-S2"] == "refuted"
    rising = [[1.0, 0.5, 0.6, 0.6, 0.6, 0.6]] * 5
    assert judged("table", "order 2", loss=rising)["C-S4 loses"] == "refuted"
    falling = [[1.0, 0.5, 0.4, 0.4, 0.4, 0.4]] * 5
    assert judged("table", "order 1", loss=falling)["C-S4 suffices"] == "refuted"
    uneven = [[2.0, 1.8, 1.6, 1.7, 1.5, 1.5, 1.5]] * 5
    assert judged("linear", "", loss=uneven)["C-S3 real, falls"] == "refuted"


def test_one_seed_decides_nothing_but_algebra(config, lines):
    one = [
        jax.tree.map(
            lambda v: v[:1] if isinstance(v, list) and len(v) == 5 else v,
            line,
            is_leaf=lambda v: isinstance(v, list),
        )
        for line in lines
    ]
    alone = config.copy_and_resolve_references()
    alone.seeds = (0,)
    decided = {
        id for id, verdict in verdicts(summarize(alone, one)).items() if verdict != "undecided"
    }
    assert decided == {"C-S2"}


def test_a_log_that_is_not_finished_gives_what_it_can(config, lines):
    for count in (0, 1, 5, 12, len(lines) - 1):
        json.dumps(summarize(config, lines[:count]), allow_nan=False)
        assert set(draw(config, lines[:count])) < FIGURES
    assert summarize(config, [])["claims"] == []
    assert set(verdicts(summarize(config, lines[:1]))) == {"C-S2"}


def test_the_committed_log_is_drawn(config, lines):
    drawings = draw(config, lines)
    assert set(drawings) == FIGURES
    assert all(drawing.figure.axes and drawing.caption for drawing in drawings.values())


def test_every_tier_has_a_plan(tmp_path):
    for tier in ("smoke", "laptop", "paper"):
        jobs = study.plan(get_config(tier), tmp_path)
        assert {job.tag["part"] for job in jobs} == set(study.PARTS)


def test_floats_are_logged_to_seven_digits():
    record = {"a": np.array([1 / 3, 2.0]), "n": 3, "ok": np.array([True]), "none": None}
    rounded = study.rounded(record)
    assert rounded["a"] == [0.3333333, 2.0] and rounded["n"] == 3 and rounded["none"] is None


@pytest.mark.parametrize(
    "flag, words",
    [
        ("--config.latent.cell=gur", "latent.cell=gur does not exist; did you mean gru"),
        ("--config.pixels.arms=both,grid rmn", "did you mean grid rnn"),
        ("--config.pixels.arms=both,both", "different models"),
        ("--config.pixels.parameters=40", "one unit of the model"),
        ("--config.pixels.validation=5000", "cannot be held out"),
        ("--config.pixels.validation=0", "at least 1"),
        ("--config.chain.orders=2,1", "increasing, from 1 on"),
        ("--config.chain.symbols=1", "at least 2"),
        ("--config.chain.concentration=0", "above 0"),
        ("--config.chain.longest=2", "above the highest of chain.orders, 2"),
        ("--config.chain.longest=20", "too many words"),
        ("--config.bits.lag=4", "from 5 to 12"),
        ("--config.bits.lag=11", "from 1 to 10"),
        ("--config.bits.flip=0.5", "between 0 and 0.5"),
        ("--config.bits.stop=1", "between 0 and 1"),
        ("--config.real.reflections=0.5,1.0", "between -1 and 1"),
        ("--config.real.longest=4", "above the order, 4"),
        ("--config.series.steps=11", "for all lags, horizons and pieces to fit"),
        ("--config.table.prior=0", "infinite loss"),
        ("--config.measure.omit=0.01", "of 32 symbols one"),
        ("--config.measure.every=0", "at least 1"),
        ("--config.latent.updates=50", "multiple of measure.every=20"),
        ("--config.latent.hidden=0", "at least 1"),
        ("--config.window.rate=0", "above 0"),
        ("--config.latent.batch_size=0", "at least 1"),
        ("--config.echo.lag=0", "at least 1"),
    ],
)
def test_numbers_that_do_not_fit_together(flag, words, tmp_path, capsys):
    path = tmp_path / "run"
    assert main([COMMAND, flag, f"--workdir={path}"]) == 2
    line = capsys.readouterr().err
    assert words in line and line.count("\n") == 1 and not path.exists()
