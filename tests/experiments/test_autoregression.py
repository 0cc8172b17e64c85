"""The autoregression study: how it judges, what it makes of half a log, and the smoke tier as a
user types it.
"""

import copy
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import jax
import numpy as np
import pytest

from configs.autoregression import get_config
from deepseq.train import log
from experiments import autoregression as study
from experiments.autoregression.figures import draw
from experiments.autoregression.summary import summarize
from experiments.run import main

ROOT = Path(__file__).resolve().parents[2]
CONFIG = "--config=configs/autoregression.py:smoke"
FIGURES = {"figure", "disturbed", "memory", "fed_back", "pixels"}


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


def verdicts(summary):
    return {claim["id"]: claim["verdict"] for claim in summary["claims"]}


def test_smoke_tier_through_the_command(smoke):
    directory, done, seconds = smoke
    assert done.returncode == 0 and not done.stderr, done.stderr
    names = {"config.json", "metrics.jsonl", "result.json", "report.html"} | {
        f"{name}.png" for name in FIGURES
    }
    assert names <= {path.name for path in directory.iterdir()}
    result = json.loads((directory / "result.json").read_text())
    found = verdicts(result)
    assert (
        found["C-S2"] == found["C-S3 real, falls"] == found["F0:18 grows"] == "holds"
        and len(found) == 23
    )
    assert "C-S5 lag" in done.stdout and seconds < 60  # 20 s where nothing else computes


def test_killed_and_continued_the_study_ends_with_the_same_bits(smoke, tmp_path):
    reference, directory = smoke[0], tmp_path / "run"
    arguments = [sys.executable, "-m", "experiments.run", CONFIG, f"--workdir={directory}"]
    for lines in (2, 9):
        with subprocess.Popen(arguments, cwd=ROOT, stdout=subprocess.DEVNULL) as process:
            metrics = directory / "metrics.jsonl"
            while process.poll() is None and (
                not metrics.exists() or metrics.read_bytes().count(b"\n") < lines
            ):
                time.sleep(0.02)
            process.kill()
    assert command(*arguments[3:]).returncode == 0
    for name in ("metrics.jsonl", "figure.svg", "pixels.svg"):
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


@pytest.fixture
def lines(smoke):
    return log.read(smoke[0] / "metrics.jsonl")


def altered(lines, part, of, **values):
    """The log with values of a part replaced."""
    lines = copy.deepcopy(lines)
    (record,) = [line for line in lines if (line["part"], line["of"]) == (part, of)]
    record.update(values)
    return lines


def test_verdicts_follow_the_numbers(lines):
    """Each verdict turns when the number behind it does."""
    config = get_config("smoke")

    def judged(part, of, **values):
        return verdicts(summarize(config, altered(lines, part, of, **values)))

    for excess, found in ((0.001, "holds"), (0.9, "refuted")):
        assert judged("latent", "copy", excess=[excess, excess + 1e-4])["C-S5 lag"] == found
    assert judged("latent", "even", excess=[-0.5, -0.5001])["C-S5 even"] == "holds"
    assert judged("echo", "", RNN=[0.01, 0.011])["C-S6 RNN"] == "holds"
    assert judged("echo", "", RNN=[0.6, 0.61])["C-S6 RNN"] == "refuted"
    assert judged("echo", "", MLP=[0.5, 0.501])["C-S6 MLP"] == "refuted"
    raster = np.array(next(line["bits"] for line in lines if line["of"] == "raster rnn"))
    assert judged("pixels", "grid rnn", bits=(raster - 0.1).tolist())["F4:137 raster"] == "holds"
    assert judged("pixels", "grid rnn", bits=(raster + 0.1).tolist())["F4:137 raster"] == "refuted"
    assert judged("chain rule", "", total=[0.0, 1e-3])["C-S2"] == "refuted"
    assert (
        judged("table", "order 2", loss=[[1.0, 0.5, 0.6, 0.6, 0.6]] * 2)["C-S4 loses"] == "refuted"
    )
    assert (
        judged("table", "order 1", loss=[[1.0, 0.5, 0.4, 0.4, 0.4]] * 2)["C-S4 suffices"]
        == "refuted"
    )
    assert (
        judged("linear", "", loss=[[2.0, 1.8, 1.6, 1.7, 1.5, 1.5]] * 2)["C-S3 real, falls"]
        == "refuted"
    )


def test_one_seed_decides_nothing_but_algebra(lines):
    config = get_config("smoke")
    config.seeds = (0,)
    one = [
        jax.tree.map(
            lambda v: v[:1] if isinstance(v, list) and len(v) == 2 else v,
            line,
            is_leaf=lambda v: isinstance(v, list),
        )
        for line in lines
    ]
    found = verdicts(summarize(config, one))
    assert {name for name, verdict in found.items() if verdict != "undecided"} == {"C-S2"}


def test_a_log_that_is_not_finished_gives_what_it_can(lines):
    config = get_config("smoke")
    for count in (0, 1, 5, 12, len(lines) - 1):
        summary = summarize(config, lines[:count])
        json.dumps(summary, allow_nan=False)
        assert set(draw(config, lines[:count], summary)) < FIGURES
    assert summarize(config, [])["claims"] == [] and set(
        verdicts(summarize(config, lines[:1]))
    ) == {"C-S2"}
    assert set(draw(config, lines, summary)) == FIGURES


def test_every_tier_has_a_plan():
    for tier in ("smoke", "laptop", "paper"):
        parts = study.plan(get_config(tier))
        assert len(set(parts)) == len(parts) and {part for part, _ in parts} == set(study.COSTS)


@pytest.mark.parametrize(
    "flag, words",
    [
        ("--config.latent.cell=gur", "latent.cell=gur does not exist; did you mean gru"),
        ("--config.pixels.arms=both,grid rmn", "did you mean grid rnn"),
        ("--config.pixels.arms=both,both", "different models"),
        ("--config.pixels.parameters=40", "less than one unit"),
        ("--config.pixels.validation=5000", "cannot be held out"),
        ("--config.pixels.validation=0", "at least 1"),
        ("--config.chain.orders=2,1", "increasing, from 1 on"),
        ("--config.chain.symbols=1", "at least 2"),
        ("--config.chain.concentration=0", "above 0"),
        ("--config.chain.longest=2", "above the highest of chain.orders, 2"),
        ("--config.chain.longest=20", "too many words"),
        ("--config.bits.lag=4", "above bits.lag=4"),
        ("--config.bits.lag=11", "from 1 to 10"),
        ("--config.bits.flip=0.5", "between 0 and 0.5"),
        ("--config.bits.stop=1", "between 0 and 1"),
        ("--config.real.reflections=0.5,1.0", "between -1 and 1"),
        ("--config.real.longest=4", "above the order, 4"),
        ("--config.series.steps=11", "for all lags, horizons and pieces to fit in"),
        ("--config.table.prior=0", "infinite loss"),
        ("--config.measure.omit=0.01", "one of 32 symbols"),
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
    assert main([CONFIG, flag, f"--workdir={path}"]) == 2
    line = capsys.readouterr().err
    assert words in line and line.count("\n") == 1 and not path.exists()
