"""The alignment study: how it judges, and the smoke tier as a user types it."""

import json

import numpy as np
import pytest

from configs.alignment import get_config
from deepseq.data import transduction
from deepseq.train import log
from experiments.alignment.figures import draw, spread
from experiments.alignment.figures_weights import best_head
from experiments.alignment.nets import FIXED, LOOKING, NETS, REVERSED, names
from experiments.alignment.records import slope
from experiments.alignment.summary import summarize
from experiments.alignment.tasks import DATE_LENGTHS, TASKS
from experiments.run import main

SMOKE = get_config("smoke")
COMMAND = "--config=configs/alignment.py:smoke"
IDS = [
    *("C-A1 reversal", "C-A1 dates", "C-A1 width", "C-A2 reversal", "C-A2 dates"),
    *(
        "C-A2 Transformer reversal",
        "C-A2 Transformer dates",
        "C-A2 backwards reversal",
        "C-A2 backwards dates",
    ),
    *("C-A4", "C-A5 sum", "C-A5 learned"),
]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    path = tmp_path_factory.mktemp("alignment")
    assert main([COMMAND, f"--workdir={path}"]) == 0
    return path


def test_smoke(finished):
    result = json.loads((finished / "result.json").read_text())
    rows = {row["id"]: row for row in result["claims"]}
    assert list(rows) == IDS
    assert (
        rows["C-A5 sum"]["verdict"] == rows["C-A5 learned"]["verdict"] == "holds"
    )  # exact, however short the training
    accuracy = result["metrics"]["accuracy"]
    assert list(accuracy) == [f"{task}, {net}" for task in TASKS for net in names(SMOKE, task)]
    assert list(accuracy["reversal, fixed"]["tokens"]) == ["5", "10"]
    assert all(0 <= value <= 1 for found in accuracy.values() for value in found["tokens"].values())
    assert result["metrics"]["diverged"] == 0
    assert {"figure.png", "figure.svg", "weights.png", "weights.svg"} < {
        path.name for path in finished.iterdir()
    }


def test_training_lowers_the_loss(finished):
    for record in log.read(finished / "metrics.jsonl"):
        assert record["loss"][-1] < record["loss"][0] - 0.05, (record["task"], record["net"])


def test_a_net_that_is_logged_is_not_trained_again(finished, tmp_path):
    """However many train at a time, the log is in the order of the plan."""
    plan = [
        (task, net, seed) for seed in SMOKE.seeds for task in TASKS for net in names(SMOKE, task)
    ]
    records = log.read(finished / "metrics.jsonl")
    assert [(record["task"], record["net"], record["seed"]) for record in records] == plan
    lines = (finished / "metrics.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "metrics.jsonl").write_text(
        "".join(lines[:-2]) + lines[-2][:50]
    )  # two are missing, one is torn by a kill
    (tmp_path / "config.json").write_bytes((finished / "config.json").read_bytes())
    assert main([COMMAND, f"--workdir={tmp_path}"]) == 0
    assert (tmp_path / "metrics.jsonl").read_bytes() == (finished / "metrics.jsonl").read_bytes()


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
                own = {
                    "task": task,
                    "net": net,
                    "seed": seed,
                    "loss": [1.0],
                    "ended": None,
                    "parameters": 1000,
                }
                own |= {"lengths": n, "tokens": tokens, "whole": tokens - 0.2}
                if net in LOOKING:
                    heads, length = 1 if net == "attentive" else 4, config[task].shown
                    values = np.full((heads, len(n)), mass + 0.002 * number)
                    own["alignment"] = {
                        "sum": 1e-7,
                        "mass": values,
                        "near": values,
                        "largest": values,
                    }
                    own["start"] = own["alignment"] | {"mass": 0 * values + 0.05}
                    own["slope"] = {"gradient": 0.1, "differences": 0.1 * (1 + error)}
                    weights = np.full((heads, length + 1, length), 1 / length)
                    symbols = np.full(length, transduction.CONTENT)
                    own["shown"] = {
                        "source": symbols,
                        "answers": [*symbols, transduction.END],
                        "weights": weights,
                    }
                yield own


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
            record["tokens"] = (
                record["tokens"] + 0.3
            )  # a lead, and a large one, but the same at every length
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
    assert (
        metrics["reversal, fixed"]["longest of which half are whole"] == 20
    )  # 0.95 - 0.2 - 0.012 n is a half at 20.8
    assert metrics["reversal, attentive"]["longest of which half are whole"] == 60


def test_an_unfinished_log_is_summarised_and_drawn():
    config = get_config()
    records = list(synthetic(config, GOOD, 0.95))
    per_seed = len(records) // len(config.seeds)
    assert per_seed == 2 * len(NETS) + len(config.fixed.widths)
    assert summarize(config, records[:7])["claims"] == [] and draw(config, records[:7], {}) == {}
    two = records[: 2 * per_seed + 3]
    assert {row["n"] for row in summarize(config, two)["claims"]} == {2}
    assert "2 seeds" in draw(config, two, {})["figure"].get_label()


def test_names_at_the_ends_of_lines_do_not_overlap():
    placed = spread([(0.3, "c", ""), (0.99, "a", ""), (1.0, "b\nb", ""), (0.31, "d", "")])
    assert [name for _, name, _ in placed] == ["c", "d", "a", "b\nb"]
    heights = [y for y, *_ in placed]
    assert (np.diff(heights) > 0.06).all() and heights[-1] <= 1.03 and heights[0] == 0.3
    assert spread([(0.2, "low", "x"), (0.9, "high", "y")]) == [
        (0.2, "low", "x"),
        (0.9, "high", "y"),
    ]


def test_the_best_head_looks_at_what_it_writes():
    seen, answers = np.array([3, 4, 5]), np.array([5, 4, 3, transduction.END])
    backwards = np.concatenate([np.eye(3)[::-1], np.full((1, 3), 1 / 3)])
    assert (
        best_head(np.stack([np.full((4, 3), 1 / 3), backwards, backwards[::-1]]), seen, answers)
        == 1
    )


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("together=0", "--config.together=0 must be at least 1"),
        ("batch_size=0", "--config.batch_size=0 must be at least 1"),
        ("every=0", "--config.every=0 must be at least 1"),
        ("warmup=-1", "--config.warmup=-1 must be at least 0"),
        ("clip=0", "--config.clip=0.0 must be above 0"),
        ("test=3", "--config.test=3 must be from 4 to 500"),
        ("test=501", "--config.test=501 must be from 4 to 500"),
        ("reversal.held_out=1", "--config.reversal.held_out=1 must be at least 2"),
        (
            "reversal.rooms=20,10",
            "--config.reversal.rooms=(20, 10) must be growing integers, the last",
        ),
        (
            "reversal.rooms=0,10",
            "--config.reversal.rooms=(0, 10) must be growing integers, the last",
        ),
        (
            "reversal.rooms=9,",
            "--config.reversal.rooms=(9,) must be growing integers, the last at least twice",
        ),
        (
            "reversal.rooms=9,10",
            "--config.reversal.rooms=(9, 10) must be growing integers, the last at least twice",
        ),
        ("reversal.symbols=1", "--config.reversal.symbols=1 must be at least 2"),
        (
            "reversal.shown=7",
            "--config.reversal.shown=7 must be a length that is tested, one of 5, 10",
        ),
        ("reversal.growing=-1", "--config.reversal.growing=-1 must be at least 0"),
        ("reversal.updates=70", "--config.reversal.updates=70 must be a multiple of every=20"),
        (
            "dates.updates=0",
            "--config.dates.updates=0 must be a multiple of every=20, more than warmup=",
        ),
        ("dates.pairs=0", "--config.dates.pairs=0 must be from 1 to 1000000"),
        ("dates.shown=20", "--config.dates.shown=20 must be one of 9, 12"),
        ("fixed.hidden=0", "--config.fixed.hidden=0 must be at least 1"),
        (
            "fixed.widths=4,16",
            (
                "--config.fixed.widths=(4, 16) must be different integers from 1 to below"
                " fixed.hidden=16"
            ),
        ),
        ("fixed.rate=0", "--config.fixed.rate=0.0 must be above 0"),
        ("attentive.alignment=0", "--config.attentive.alignment=0 must be at least 1"),
        (
            "transformer.heads=3",
            "--config.transformer.heads=3 must be a divisor of transformer.size=16",
        ),
        ("transformer.layers=0", "--config.transformer.layers=0 must be at least 1"),
        ("limits.mass=1", "--config.limits.mass=1.0 must be between 0 and 1"),
        ("limits.slope=0", "--config.limits.slope=0.0 must be above 0"),
        (
            "transformer.head=2",
            "unknown config key --config.transformer.head; did you mean --config.transformer.heads",
        ),
    ],
)
def test_a_config_that_cannot_be(tmp_path, capsys, flag, message):
    assert main([COMMAND, f"--config.{flag}", f"--workdir={tmp_path / 'run'}"]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
    assert not (tmp_path / "run").exists()
