"""The alignment study: how it judges and draws, and the configs that it refuses."""

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
from ml_collections import ConfigDict

from configs.alignment import get_config
from deepseq.data import transduction
from deepseq.train import log
from experiments.alignment import draw, plan, summarize
from experiments.alignment.figures import best_head
from experiments.alignment.nets import ATTENDING, FIXED, NETS, REVERSED, names
from experiments.alignment.records import slope
from experiments.alignment.tasks import DATE_LENGTHS, TASKS
from experiments.run import main

ROOT = Path(__file__).resolve().parents[2]
COMMAND = "--config=configs/alignment.py:smoke"
IDS = [
    *("C-A1 reversal", "C-A1 dates", "C-A1 width", "C-A2 reversal", "C-A2 dates"),
    *("C-A2 Transformer reversal", "C-A2 Transformer dates"),
    *("C-A2 backwards reversal", "C-A2 backwards dates", "C-A4", "C-A5 sum", "C-A5 learned"),
]


def test_jobs_can_be_sent_to_other_processes(tmp_path):
    jobs = plan(get_config(), tmp_path)
    assert [job.tag for job in pickle.loads(pickle.dumps(jobs))] == [job.tag for job in jobs]
    assert len(jobs) == 3 * (2 * len(NETS) + 2)


def synthetic(config, falls, mass, error=1e-9):
    """A finished log in which a net loses ``falls[net]`` of its accuracy per ten steps, a little
    more with every seed.
    """
    for number, seed in enumerate(config.seeds):
        for task in TASKS:
            n = np.arange(5, 61, 5) if task == "reversal" else np.array(DATE_LENGTHS)
            for net in names(config, task):
                tokens = (
                    0.95
                    - (falls.get(net, 0.15) + 0.001 * number) * n / 10
                    + 0.002 * np.cos(number + n)
                )
                record = {"task": task, "net": net, "seed": seed, "loss": [1.0], "ended": None}
                record |= {"parameters": 1000, "lengths": n, "tokens": tokens}
                record |= {"whole": tokens - 0.2}
                if net in ATTENDING:
                    heads, length = 1 if net == "attentive" else 4, config[task].shown
                    values = np.full((heads, len(n)), mass + 0.002 * number)
                    masses = dict.fromkeys(("mass", "near", "largest"), values)
                    record["alignment"] = {"sum": 1e-7, **masses}
                    record["start"] = record["alignment"] | {"mass": 0 * values + 0.05}
                    record["slope"] = {"gradient": 0.1, "differences": 0.1 * (1 + error)}
                    weights = np.full((heads, length + 1, length), 1 / length)
                    symbols = np.full(length, transduction.CONTENT)
                    record["shown"] = {
                        "source": symbols,
                        "answers": [*symbols, transduction.END],
                        "weights": weights,
                    }
                yield record


GOOD = {
    FIXED: 0.12,
    REVERSED: 0.10,
    "attentive": 0.0,
    "transformer": 0.02,
    "fixed, 28": 0.16,
    "fixed, 56": 0.14,
}
POOR = {
    FIXED: -0.005,
    REVERSED: 0.03,
    "attentive": 0.05,
    "transformer": 0.04,
    "fixed, 28": -0.015,
    "fixed, 56": -0.01,
}


@pytest.mark.parametrize(
    ("falls", "mass", "error", "verdict"),
    [(GOOD, 0.95, 1e-9, "holds"), (POOR, 0.5, 1e-3, "refuted")],
)
def test_the_verdicts_follow_the_measurements(falls, mass, error, verdict):
    config = get_config()
    rows = summarize(config, list(synthetic(config, falls, mass, error)))["claims"]
    assert [row["id"] for row in rows] == IDS
    expected = dict.fromkeys(IDS, verdict) | {"C-A5 sum": "holds"}
    assert {row["id"]: row["verdict"] for row in rows} == expected
    assert all(
        (row["interval"] is None) == row["id"].startswith("C-A5") and row["n"] == 3 for row in rows
    )


def test_a_gap_that_stays_as_it_is_does_not_open():
    config = get_config()
    records = list(synthetic(config, GOOD | {FIXED: 0.05, "attentive": 0.05}, 0.95))
    for record in records:
        if record["net"] == "attentive":
            # a lead, and a large one, but the same at every length
            record["tokens"] = record["tokens"] + 0.3
    rows = {row["id"]: row for row in summarize(config, records)["claims"]}
    assert rows["C-A2 reversal"]["measured"]["mean lead"] > 0.29
    assert rows["C-A2 reversal"]["verdict"] == rows["C-A2 dates"]["verdict"] == "undecided"


def test_slope_is_that_of_polyfit():
    lengths, values = np.array([5, 10, 20, 60]), np.random.default_rng(0).normal(size=(3, 4))
    expected = [10 * np.polyfit(lengths, row, 1)[0] for row in values]
    np.testing.assert_allclose(slope(lengths, values), expected)


def test_how_far_a_net_reaches():
    config = get_config()
    metrics = summarize(config, list(synthetic(config, GOOD, 0.95)))["metrics"]["accuracy"]
    # 0.95 - 0.2 - 0.012 n is a half at 20.8
    assert metrics["reversal, fixed"]["longest of which half are whole"] == 20
    assert metrics["reversal, attentive"]["longest of which half are whole"] == 60


def test_seeds_that_are_not_finished_are_left_out():
    config = get_config()
    records = list(synthetic(config, GOOD, 0.95))
    two = records[: 2 * len(records) // 3 + 3]
    assert {row["n"] for row in summarize(config, two)["claims"]} == {2}
    assert "2 seeds" in draw(config, two)["figure"].caption


def test_the_committed_log_is_drawn():
    directory = ROOT / "results/alignment/laptop"
    config = ConfigDict(json.loads((directory / "result.json").read_text())["config"])
    figure = draw(config, log.read(directory / "metrics.jsonl"))["figure"].figure
    left, middle, right = ([text.get_text() for text in ax.texts] for ax in figure.axes)
    assert "one vector, 132 k" in left and "source reversed, 138 k" in middle
    assert "112 units" in right and "28 units" in right


def test_the_best_head_looks_at_what_it_writes():
    source, answers = np.array([3, 4, 5]), np.array([5, 4, 3, transduction.END])
    backwards = np.concatenate([np.eye(3)[::-1], np.full((1, 3), 1 / 3)])
    assert (
        best_head(np.stack([np.full((4, 3), 1 / 3), backwards, backwards[::-1]]), source, answers)
        == 1
    )


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("together=0", "together=0 must be at least 1"),
        ("warmup=-1", "warmup=-1 must be at least 0"),
        ("warmup=40", "warmup=40 must be below dates.updates=40"),
        ("clip=0", "clip=0.0 must be above 0"),
        ("test=3", "test=3 must be from 4 to 500"),
        ("test=501", "test=501 must be from 4 to 500"),
        ("reversal.held_out=1", "reversal.held_out=1 must be at least 2"),
        ("reversal.rooms=20,10", "reversal.rooms=20,10 must be increasing, from 1 on"),
        ("reversal.rooms=0,10", "reversal.rooms=0,10 must be increasing, from 1 on"),
        ("reversal.rooms=9,", "reversal.rooms=9 must be such that the last is at least twice"),
        ("reversal.rooms=9,10", "reversal.rooms=9,10 must be such that the last is at least"),
        ("reversal.shown=7", "reversal.shown=7 must be one of 5, 10"),
        ("reversal.growing=-1", "reversal.growing=-1 must be at least 0"),
        ("reversal.updates=70", "reversal.updates=70 must be a positive multiple of every=20"),
        ("dates.updates=0", "dates.updates=0 must be a positive multiple of every=20"),
        ("dates.pairs=0", "dates.pairs=0 must be from 1 to 1000000"),
        ("dates.shown=20", "dates.shown=20 must be one of 9, 12"),
        ("fixed.hidden=0", "fixed.hidden=0 must be at least 1"),
        ("fixed.widths=4,16", "fixed.widths=4,16 must be below fixed.hidden=16"),
        ("fixed.rate=0", "fixed.rate=0.0 must be above 0"),
        ("transformer.heads=3", "transformer.heads=3 must be a divisor of transformer.size=16"),
        ("transformer.layers=0", "transformer.layers=0 must be at least 1"),
        ("limits.mass=1", "limits.mass=1.0 must be between 0 and 1"),
        ("limits.slope=0", "limits.slope=0.0 must be above 0"),
    ],
)
def test_a_config_that_cannot_be(tmp_path, capsys, flag, message):
    assert main([COMMAND, f"--config.{flag}", f"--workdir={tmp_path / 'run'}"]) == 2
    error = capsys.readouterr().err
    assert f"--config.{message}" in error and error.count("\n") == 1
