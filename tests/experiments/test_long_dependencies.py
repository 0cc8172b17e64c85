"""The long-dependencies study: how a training ends, how the study judges, and the smoke tier as a
user types it.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from configs.long_dependencies import get_config
from deepseq.data import tasks
from deepseq.train import log
from deepseq.train.loop import Interrupted
from experiments import long_dependencies as study
from experiments.long_dependencies import cells
from experiments.long_dependencies.figures import draw
from experiments.long_dependencies.records import SGD, Runs
from experiments.long_dependencies.summary import summarize
from experiments.long_dependencies.tasks import TASKS, problem
from experiments.long_dependencies.training import programs, train
from experiments.run import main

ROOT = Path(__file__).resolve().parents[2]
CONFIG = "--config=configs/long_dependencies.py:smoke"


def tiny(**train):
    config = get_config("smoke")
    config.lags.update({"adding": (4,), "copy": (), "order": (), "echo": ()})
    config.net.update({"cells": ("rnn",)})
    config.train.update(train)
    return config


def the_training(config, arm):
    return next(training for training in study.plan(config) if training.arm == arm)


def never():
    return False


def test_divergence_is_a_record(tmp_path):
    config = tiny()
    config.clipping.update(
        {"rate": 3e38, "slow_rate": 1e-3}
    )  # beyond what float32 holds, within a few steps
    record = train(config, programs(config), tmp_path, never, the_training(config, "sgd"))
    log.write(tmp_path / "log", record)
    (read,) = log.read(tmp_path / "log")
    assert [run["end"] for run in read["runs"]] == ["diverged", "diverged"]
    assert all(
        run["steps"] < config.measure.every and len(run["loss"]) == 1 for run in read["runs"]
    )
    runs = Runs(config, [read])
    assert runs.shortfall(("order", 10), "sgd").tolist() == [1, 1] and runs.diverged("sgd") == 2
    assert runs.cost(("order", 10), "sgd").tolist() == [config.clipping.steps] * 2


def test_a_run_ends_when_solved_whatever_the_other_seeds_do(tmp_path):
    config = tiny()
    config.measure.solved = 0.8
    config.train.steps.adding = 400
    training = the_training(config, "rnn")
    both = train(config, programs(config), tmp_path, never, training)["runs"]
    assert {run["end"] for run in both} == {"solved"} and max(run["steps"] for run in both) < 400
    assert all(run["loss"][-1] < 0.8 / 6 <= min(run["loss"][:-1], default=1) for run in both)
    config.seeds = (1,)
    (alone,) = train(config, programs(config), tmp_path, never, training)["runs"]
    assert alone["seed"] == 1 and alone["steps"] == both[1]["steps"]
    np.testing.assert_allclose(alone["loss"], both[1]["loss"], rtol=1e-3)


def test_a_training_goes_on_from_its_checkpoint_with_the_same_record(tmp_path):
    config = tiny()
    config.train.steps.adding = 120
    config.measure.save_every = 40
    training = the_training(config, "rnn")
    whole = train(config, programs(config), tmp_path / "whole", never, training)
    asked = []

    def stopping():
        asked.append(1)
        return len(asked) > 5  # of six chunks

    with pytest.raises(Interrupted, match="step 100"):
        train(config, programs(config), tmp_path / "cut", stopping, training)
    asked.clear()
    assert train(config, programs(config), tmp_path / "cut", stopping, training) == whole
    assert len(asked) == 2  # chunks from step 80 on


STEPS = {
    "lstm": 1000,
    "gru": 400,
    "gru-wide": 400,
    "tied": 500,
    "lstm, bias 0": 1500,
    "lstm, bias 3": 600,
}
STEPS |= {"sgd-c": 900, "sgd-cr": 300}
LEVELS = dict.fromkeys(STEPS, 0.05) | {"rnn": 1.0, "irnn": 0.3}


def records(config, levels=LEVELS, steps=STEPS):
    """A log as the study writes it, from made-up last losses (over the baseline, at the longest
    lag) and steps by arm.
    """
    rng = np.random.default_rng(0)
    for training in study.plan(config):
        drawn, arm = problem(training.task, training.lag), training.arm
        units = cells.width(training.cell, 32, drawn.inputs, drawn.outputs)
        long = training.lag > min(config.lags[training.task])
        runs = []
        for seed in config.seeds:
            level = (levels.get(arm, 1.02) if long or arm in SGD else 0.05) * (
                1 + 0.01 * rng.random()
            )
            taken = (
                round(steps.get(arm, 700) * (1 + 0.1 * rng.random()))
                if level < 0.1
                else training.steps
            )
            curve = (drawn.baseline * np.array([2.0, 1.0, level])).tolist()
            end = "solved" if level < 0.1 else "unsolved"
            runs.append(
                {"seed": seed, "end": end, "steps": taken, "loss": curve, "norm": [1.0] * 3}
            )
        counts = {
            "units": units,
            "parameters": cells.parameters(training.cell, units, drawn.inputs, drawn.outputs),
            "cell_parameters": cells.torch_count(training.cell, units, drawn.inputs),
        }
        yield {
            "task": training.task,
            "lag": training.lag,
            "arm": arm,
            **counts,
            "baseline": drawn.baseline,
            "runs": runs,
        }


def verdicts(summary):
    return {claim["id"]: claim["verdict"] for claim in summary["claims"]}


def test_verdicts_when_gates_bridge_the_lag():
    config = get_config("laptop")
    summary = summarize(config, list(records(config)))
    assert verdicts(summary) == {
        "C-S11": "holds",
        "C-S11 first": "holds",
        "C-S13 trained": "refuted",
        "C-S16 clipping": "holds",
        "C-S16 regulariser": "holds",
        "C-G1": "holds",
        "C-G6 count": "holds",
        "C-G6 loss": "holds",
        "C-G8 width": "holds",
        "C-G8 parameters": "holds",
        "C-G9 trained": "holds",
    }
    assert summary["claims"][0]["n"] == 3 and summary["claims"][0]["measured"][
        "mean"
    ] == pytest.approx(0.95, abs=0.02)
    assert summary["claims"][3]["measured"]["SGD-C solved, share of runs"] == 1
    json.dumps(summary, allow_nan=False)


def test_verdicts_when_it_is_the_other_way_round():
    config = get_config("laptop")
    levels = LEVELS | {"rnn": 0.04, "lstm": 1.0, "irnn": 1.0, "tied": 1.0, "sgd": 0.05}
    summary = summarize(
        config,
        list(records(config, levels, STEPS | {"sgd": 100, "sgd-cr": 2000, "lstm, bias 3": 1900})),
    )
    found = verdicts(summary)
    assert {name for name, verdict in found.items() if verdict == "holds"} == {
        "C-S13 trained",
        "C-G6 count",
        "C-G8 width",
        "C-G8 parameters",
    }
    assert {name for name, verdict in found.items() if verdict == "refuted"} == {
        "C-S11",
        "C-S11 first",
        "C-S16 clipping",
        "C-S16 regulariser",
        "C-G1",
        "C-G6 loss",
        "C-G9 trained",
    }


def test_one_seed_decides_nothing_but_algebra():
    config = get_config("laptop")
    config.seeds = (0,)
    found = verdicts(summarize(config, list(records(config))))
    assert len(found) == 11 and {
        name for name, verdict in found.items() if verdict != "undecided"
    } == {"C-G6 count"}


def test_a_log_that_is_not_finished_gives_what_it_can():
    config = get_config("laptop")
    whole = list(records(config))
    for count in (0, 1, 9, len(whole) - 1):
        summary = summarize(config, whole[:count])
        assert set(draw(config, whole[:count], summary)) == {
            "figure",
            "curves",
            "gates",
            "clipping",
        }
    assert summarize(config, [])["claims"] == [] and "C-S16 regulariser" not in verdicts(summary)


def test_a_run_that_diverged_or_got_worse_counts_as_the_baseline():
    config = tiny()
    run = {"seed": 0, "end": "unsolved", "steps": 40, "loss": [0.1, 70.0], "norm": [1.0, 1.0]}
    record = {
        "task": "adding",
        "lag": 4,
        "arm": "rnn",
        "baseline": 1 / 6,
        "runs": [run, {**run, "seed": 1, "end": "diverged"}],
    }
    assert Runs(config, [record]).shortfall(("adding", 4), "rnn").tolist() == [1, 1]
    run["loss"] = [float("inf")]
    assert Runs(config, [record]).shortfall(("adding", 4), "rnn").tolist() == [1, 1]


def test_deviations_follow_the_config():
    rows = {tier: summarize(get_config(tier), [])["deviations"] for tier in ("laptop", "paper")}
    here = {tier: " ".join(row["here"] for row in rows[tier]) for tier in rows}
    assert (
        "Adam at" in here["laptop"]
        and "rnn 0.003" in here["laptop"]
        and "Adam" not in here["paper"]
    )
    assert (
        "100 (adding), 30 (copy), 50 (temporal order)" in here["laptop"]
        and "(adding)" not in here["paper"]
    )


def test_every_tier_has_a_plan():
    for tier in ("smoke", "laptop", "paper"):
        config = get_config(tier)
        trainings = study.plan(config)
        assert len({(t.task, t.lag, t.arm) for t in trainings}) == len(trainings)
        assert {training.task for training in trainings} <= set(TASKS)
        assert {training.arm for training in trainings} >= set(SGD)
    assert (
        max(config.lags.adding) == 750 and config.train.optimizer == "rmsprop"
    )  # Arjovsky et al. 2016
    assert tasks.copy_baseline(500) == pytest.approx(0.04, abs=2e-3)


def command(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "experiments.run", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env=os.environ,
    )


@pytest.fixture(scope="module")
def smoke(tmp_path_factory):
    directory = tmp_path_factory.mktemp("smoke") / "run"
    began = time.monotonic()
    done = command(CONFIG, f"--workdir={directory}")
    return directory, done, time.monotonic() - began


def test_smoke_tier_through_the_command(smoke):
    directory, done, seconds = smoke
    assert done.returncode == 0 and not done.stderr, done.stderr
    files = (
        "config.json metrics.jsonl result.json report.html figure.png curves.svg gates.png"
        " clipping.svg"
    )
    assert set(files.split()) <= {path.name for path in directory.iterdir()}
    result = json.loads((directory / "result.json").read_text())
    assert result["seeds"] == [0, 1] and verdicts(result)["C-G6 count"] == "holds"
    assert "C-G8 width" in done.stdout and "report.html" in done.stdout
    assert seconds < 60  # 20 s where nothing else computes


def test_killed_and_continued_the_study_ends_with_the_same_bits(smoke, tmp_path):
    reference, directory = smoke[0], tmp_path / "run"
    arguments = [sys.executable, "-m", "experiments.run", CONFIG, f"--workdir={directory}"]
    for lines in (1, 4):
        with subprocess.Popen(arguments, cwd=ROOT, stdout=subprocess.DEVNULL) as process:
            metrics = directory / "metrics.jsonl"
            while process.poll() is None and (
                not metrics.exists() or metrics.read_bytes().count(b"\n") < lines
            ):
                time.sleep(0.02)
            process.kill()
    assert command(*arguments[3:]).returncode == 0
    for name in ("metrics.jsonl", "figure.svg", "curves.svg"):
        assert (directory / name).read_bytes() == (reference / name).read_bytes(), name
    results = [json.loads((path / "result.json").read_text()) for path in (directory, reference)]
    assert (
        results[0]["metrics"] == results[1]["metrics"]
        and results[0]["claims"] == results[1]["claims"]
    )


def test_a_finished_run_only_redraws(smoke):
    before = (smoke[0] / "metrics.jsonl").read_bytes(), (smoke[0] / "result.json").read_bytes()
    assert main([CONFIG, f"--workdir={smoke[0]}"]) == 0
    assert (
        (smoke[0] / "metrics.jsonl").read_bytes(),
        (smoke[0] / "result.json").read_bytes(),
    ) == before


@pytest.mark.parametrize(
    "flag, words",
    [
        ("--config.net.cells=rnn,lstn", "net.cells=lstn does not exist; did you mean lstm"),
        ("--config.net.cells=rnn,rnn", "must be different cells"),
        ("--config.net.other_forget_biases=1.0", "none of them net.forget_bias=1"),
        ("--config.train.optimizer=adma", "did you mean adam"),
        ("--config.lags.adding=30,10", "increasing, from 2 on"),
        ("--config.lags.order=5", "increasing, from 10 on"),
        ("--config.clipping.lags=9", "increasing, from 10 on"),
        ("--config.train.steps.adding=50", "multiple of measure.every=20"),
        ("--config.measure.every=0", "at least 1"),
        ("--config.measure.save_every=30", "multiple of measure.every=20, or 0"),
        ("--config.train.rates.gru=0", "must be above 0"),
        ("--config.net.hidden=0", "at least 1"),
        ("--config.train.batch_size=0", "at least 1"),
    ],
)
def test_numbers_that_do_not_fit_together(flag, words, tmp_path, capsys):
    path = tmp_path / "run"
    assert main([CONFIG, flag, f"--workdir={path}"]) == 2
    line = capsys.readouterr().err
    assert words in line and line.count("\n") == 1 and not path.exists()
