"""The gradient-flow study: how it judges, and the smoke tier as a user types it."""

import copy
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from configs.gradient_flow import get_config
from deepseq.lab import workdir
from deepseq.train import log
from experiments.gradient_flow.figures import draw
from experiments.gradient_flow.records import _least_squares
from experiments.gradient_flow.summary import summarize
from experiments.run import main

ROOT = Path(__file__).resolve().parents[2]
SMOKE = "--config=configs/gradient_flow.py:smoke"


def command(*arguments):
    program = [sys.executable, "-m", "experiments.run", *arguments]
    return subprocess.run(
        program, cwd=ROOT, capture_output=True, text=True, check=False, env=os.environ
    )


@pytest.fixture(scope="module")
def smoke(tmp_path_factory):
    directory = tmp_path_factory.mktemp("smoke") / "run"
    began = time.monotonic()
    done = command(SMOKE, f"--workdir={directory}")
    return directory, done, time.monotonic() - began


def test_smoke_tier_through_the_command(smoke):
    directory, done, seconds = smoke
    assert done.returncode == 0, done.stderr
    drawings = {
        f"{name}.{kind}"
        for name in ("figure", "gates", "training", "singular_values")
        for kind in ("png", "svg")
    }
    files = drawings | {"config.json", "metrics.jsonl", "result.json", "report.html", "checkpoints"}
    assert files <= {path.name for path in directory.iterdir()}
    result = json.loads((directory / "result.json").read_text())
    exact = {
        claim["id"]: claim["verdict"] for claim in result["claims"] if claim["interval"] is None
    }
    assert exact == {
        "C-S7": "holds",
        "C-S8": "holds",
        "C-S9 bound": "holds",
        "C-S12": "refuted",
        "C-S13": "refuted",
        "C-S14": "refuted",
        "C-G2": "holds",
        "C-G3": "holds",
        "C-G4 step": "holds",
        "C-G4 time": "refuted",
        "C-G5 Cho": "holds",
        "C-G5 Chung": "refuted",
        "C-G7": "holds",
        "C-G10": "holds",
        "C-G11": "holds",
    }
    assert result["comparison"][0]["ours"] == pytest.approx(4, rel=1e-4)
    assert "C-S12" in done.stdout and "report.html" in done.stdout and not done.stderr
    assert seconds < 60  # 20 s where nothing else computes


def judged(config, records):
    return {claim["id"]: claim["verdict"] for claim in summarize(config, records)["claims"]}


def test_verdicts_follow_the_numbers(smoke):
    """Each altered number turns the one verdict that rests on it."""
    config, records = get_config("smoke"), log.read(smoke[0] / "metrics.jsonl")
    before = judged(config, records)

    def turned(alter):
        changed = copy.deepcopy(records)
        for record in changed:
            alter(record)
        after = judged(config, changed)
        return {id: verdict for id, verdict in after.items() if verdict != before[id]}

    def identity(part, name, value):
        return turned(
            lambda record: (
                record.get("part") == "algebra" and record["found"][part].update({name: value})
            )
        )

    assert identity("shared_weights", "gradient", 0.1) == {"C-S7": "refuted"}
    assert identity("two_gradients", "sum", 0.1) == {"C-S8": "refuted"}
    assert identity("sigmoid_unit", "at_half", [[0.5] * 50] * 3) == {"C-S12": "holds"}
    assert identity("relu_unit", "gradient", [[2.0] * 50] * 3) == {"C-S13": "holds"}
    assert identity("determinant", "along_axes", [0.5, 0.1]) == {"C-S14": "holds"}
    assert identity("lstm_signature", "weakest", 0.0) == {"C-G2": "refuted"}
    assert identity("lstm_gates_shut", "old_memory", 1e-9) == {"C-G3": "refuted"}
    assert identity("lstm_as_rnn", "over_time", 0.0) == {"C-G4 time": "holds"}
    assert identity("gru_as_rnn", "cho", 0.1) == {"C-G5 Cho": "refuted"}
    assert identity("gru_between", "outside", 0.1) == {"C-G7": "refuted"}
    assert identity("gate_ranges", "highest_gate", 1.0) == {"C-G10": "refuted"}
    assert identity("gate_shapes", "widths", [7, 7, 7, 7, 7, 8]) == {"C-G11": "refuted"}

    def nets_of(cell, quantity, values):
        """Sets a quantity of every net of one cell; values(net, lag) is a number."""

        def alter(record):
            if record.get("cell") == cell:
                for net in record["nets"]:
                    net[quantity] = [
                        values(net, lag) + 1e-6 * record["seed"] * lag for lag in record["lags"]
                    ]

        return turned(alter)

    assert nets_of("tanh", "largest", lambda net, lag: lag)["C-S9 bound"] == "refuted"
    straight = nets_of("tanh", "largest", lambda net, lag: lag * np.log10(net.get("radius", 1e-9)))
    assert straight["C-S9 driven"] == "holds" and straight["C-S15 relative"] == "holds"
    assert nets_of("tanh", "largest", lambda net, lag: 0.5 * lag)["C-S15 relative"] == "refuted"
    assert nets_of("leaky", "largest", lambda net, lag: -lag)["C-S15 open"] == "refuted"
    assert nets_of("lstm", "direct", lambda net, lag: -0.5 * lag)["C-G9 belt"] == "refuted"
    assert nets_of("lstm", "whole", lambda net, lag: 0.0)["C-G9 whole"] == "holds"
    assert (
        nets_of("lstm", "whole", lambda net, lag: -net.get("keep", 0) * lag)["C-G9 bias"]
        == "refuted"
    )

    def ends(quantity, **values):
        """Sets what every look at these arms saw."""

        def alter(record):
            name = record.get("arm", "").replace("-", "_")
            if name in values and "look" in record:
                record["look"][quantity] = values[name] + 1e-3 * record["seed"]

        return turned(alter)

    assert ends("error", SGD=0.7, SGD_C=0.2) == {"C-S16 clipping": "holds"}
    assert ends("error", SGD=0.2, SGD_C=0.7) == {"C-S16 clipping": "refuted"}
    assert ends("omega", SGD_C=2.0, SGD_CR=1.0) == {"C-S16 regulariser": "holds"}
    assert ends("omega", SGD_C=1.0, SGD_CR=2.0) == {"C-S16 regulariser": "refuted"}


def test_one_seed_decides_nothing_but_algebra(smoke):
    config, records = get_config("smoke"), log.read(smoke[0] / "metrics.jsonl")
    config.seeds = (0,)
    summary = summarize(config, records)
    decided = {claim["id"] for claim in summary["claims"] if claim["verdict"] != "undecided"}
    assert not any(
        id.startswith(("C-S15", "C-S16", "C-G9")) or id == "C-S9 driven" for id in decided
    )
    assert {"C-S7", "C-S12", "C-G2"} <= decided
    assert draw(config, records, summary)["figure"].get_label().endswith("One seed.")


def test_unfinished_seeds_are_left_out(smoke):
    config, records = get_config("smoke"), log.read(smoke[0] / "metrics.jsonl")
    summary = summarize(config, records[:-1])
    assert {claim["n"] for claim in summary["claims"]} == {1}
    empty = summarize(config, [])
    assert empty["claims"] == [] and empty["metrics"] == {} and draw(config, [], empty) == {}
    json.dumps(workdir.plain(empty), allow_nan=False)


def test_divergence_is_data(tmp_path):
    """At this rate every arm overflows; the run goes on, counts it and draws what there is."""
    path = tmp_path / "run"
    flags = ["--config.train.learning_rate=1e38", "--config.seeds=0,1", f"--workdir={path}"]
    assert main([SMOKE, *flags]) == 0
    records = log.read(path / "metrics.jsonl")
    ends = {(record["arm"], record["seed"]): record for record in records if record.get("final")}
    assert ends["SGD", 0]["diverged"] == ends["SGD", 1]["diverged"] == 5
    result = json.loads((path / "result.json").read_text())
    assert result["metrics"]["trained"]["SGD"]["wrong_percent"]["by_seed"] == [75.0, 75.0]
    before = (path / "metrics.jsonl").read_bytes()
    cut = before[
        : before.rstrip().rfind(b"\n") + 1
    ]  # killed before the last record of a run that diverged
    (path / "metrics.jsonl").write_bytes(cut)
    assert main([SMOKE, *flags]) == 0
    assert (path / "metrics.jsonl").read_bytes() == before


@pytest.mark.parametrize(
    "flag, words",
    [
        ("--config.flow.hidden=1", "flow.hidden=1 must be at least 2"),
        ("--config.flow.radii=0,1", "different numbers above 0"),
        ("--config.flow.radii=1,1", "different numbers above 0"),
        ("--config.flow.keeps=1", "at least two different numbers"),
        ("--config.flow.points=26", "from 5 to flow.steps + 1 = 25"),
        ("--config.flow.drive=0", "above 0"),
        ("--config.train.lag=9", "at least 10"),
        ("--config.train.learning_rate=-1", "above 0"),
        ("--config.train.clip=0", "above 0"),
        ("--config.measure.look_every=7", "multiple of measure.every=5"),
        ("--config.train.radios=2", "did you mean --config.train.radius"),
    ],
)
def test_numbers_that_do_not_fit_together(flag, words, tmp_path, capsys):
    path = tmp_path / "run"
    assert main([SMOKE, flag, f"--workdir={path}"]) == 2
    line = capsys.readouterr().err
    assert words in line and line.count("\n") == 1 and not path.exists()


def test_killed_and_continued_the_study_ends_with_the_same_bits(smoke, tmp_path):
    reference, directory = smoke[0], tmp_path / "run"
    arguments = [SMOKE, f"--workdir={directory}"]
    program = [sys.executable, "-m", "experiments.run", *arguments]
    for lines in sorted(np.random.default_rng().integers(2, 60, 2)):
        with subprocess.Popen(program, cwd=ROOT, stdout=subprocess.DEVNULL) as process:
            metrics = directory / "metrics.jsonl"
            while process.poll() is None and (
                not metrics.exists() or metrics.read_bytes().count(b"\n") < lines
            ):
                time.sleep(0.02)
            process.kill()
    assert command(*arguments).returncode == 0
    for name in ("metrics.jsonl", "figure.svg", "training.svg"):
        assert (directory / name).read_bytes() == (reference / name).read_bytes(), name


def test_a_finished_run_only_redraws(smoke):
    directory = smoke[0]
    before = {
        name: (directory / name).read_bytes()
        for name in ("metrics.jsonl", "result.json", "gates.svg")
    }
    (directory / "result.json").unlink()
    done = command(SMOKE, f"--workdir={directory}", "--report_only")
    assert done.returncode == 0, done.stderr
    assert {name: (directory / name).read_bytes() for name in before} == before


def test_the_fitted_line_is_that_of_least_squares():
    rng = np.random.default_rng(0)
    xs, ys = np.sort(rng.random(37)) * 200, rng.standard_normal(37)
    assert _least_squares(xs, ys) == pytest.approx(np.polyfit(xs, ys, 1)[0], rel=1e-9)
    assert _least_squares(xs, 3 - 0.25 * xs) == pytest.approx(-0.25, rel=1e-12)
