"""The truncation study: what it measures, how it judges, and the smoke tier as a user types it."""

import json
import math
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs.truncated_bptt import get_config
from deepseq.nets import recurrent as R
from deepseq.train import log
from experiments.run import main
from experiments.truncated_bptt import measures, plan, training
from experiments.truncated_bptt.figures import draw
from experiments.truncated_bptt.nets import Inputs, echo_stream, reader, step_loss
from experiments.truncated_bptt.summary import guess, summarize

ROOT = Path(__file__).resolve().parents[2]
SMOKE = get_config("smoke")


@pytest.fixture(scope="module")
def echo():
    return training.model(SMOKE, "echo", 3)


def test_the_exact_guess_is_what_a_window_can_know():
    """By enumeration: a step knows its bit when it came in the same chunk."""
    for lag, k in ((3, 1), (3, 4), (10, 16), (5, 5)):
        known = [t % k >= lag for t in range(240)]
        assert guess(lag, k) == pytest.approx(math.log(2) * (1 - sum(known) / 240))


def test_a_fresh_carry_is_zero():
    init, cell, zero = reader("lstm", 2, 2, 5)
    params, carry = init(jax.random.key(0)), jax.tree.map(lambda s: s + 1.0, zero(3))
    symbol = jnp.array([0, 1, 1])
    fresh, kept = (
        cell(params, carry, Inputs(symbol, jnp.asarray(here)))[1] for here in (True, False)
    )
    np.testing.assert_array_equal(
        fresh, cell(params, zero(3), Inputs(symbol, jnp.asarray(False)))[1]
    )
    assert np.abs(fresh - kept).max() > 0.01


def test_segments_carry_the_stream_on():
    stream = echo_stream(SMOKE, 0, 3, 24)
    inputs, targets = training.segments(stream, 8, 4, training.RESET)
    np.testing.assert_array_equal(inputs.symbol.reshape(24, -1), stream.symbols)
    np.testing.assert_array_equal(targets.symbol[1, 0], inputs.symbol[0, 5])  # three steps before
    np.testing.assert_array_equal(inputs.fresh[0], [True, False, False, False] * 2)
    assert not training.segments(stream, 8, 4, training.KEPT)[0].fresh.any()
    assert targets.counts.sum() == 24 - 3


def test_resetting_makes_chunks_of_the_full_gradient(echo):
    """With the carry set to zero every k steps, the truncated gradient is the full one."""
    params = echo.init(jax.random.key(0))
    inputs, targets = jax.tree.map(
        lambda a: a[0], training.segments(echo.streams[0], 8, 2, training.RESET)
    )
    carry = echo.zero(SMOKE.train.batch_size)
    cut, full = (
        jax.jit(R.tbptt(echo.cell, step_loss, k1=k, k2=k))(params, carry, inputs, targets)[1]
        for k in (2, 8)
    )
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), cut, full)


def test_against_full(echo):
    params = jax.vmap(echo.init)(jnp.stack([jax.random.key(seed) for seed in SMOKE.seeds]))
    found = measures.against_full(SMOKE, echo, params)
    np.testing.assert_allclose(found["cosine"][-1], 1, atol=1e-5)
    np.testing.assert_allclose(found["bias"][-1], 0, atol=1e-5)
    assert np.shape(found["cosine"]) == (2, 2) and (np.array(found["bias"][0]) > 0.01).all()


def records(config, final):
    """A log as the study writes it, from made-up losses: final(task, lag, k, carry)."""
    rng = np.random.default_rng(0)
    for one in plan(config):
        value = final(one)
        runs = [
            {"seed": s, "loss": [1.0, value], "final": value + 1e-3 * rng.random(), "finite": True}
            for s in config.seeds
        ]
        yield {**one._asdict(), "every": 20, "runs": runs}
    ks, seeds, steps = config.truncations, len(config.seeds), config.train.steps
    for task, lag in [("echo", lag) for lag in config.echo.lags] + [("text", 0)]:
        cosine = [[1 - 1 / (k + 1) + 1e-3 * rng.random() for _ in range(seeds)] for k in ks]
        found = {"cosine": cosine, "bias": cosine}
        measured = {"start": found, "end": found}
        if task == "text":
            norms = [[1 / (t + 1) if t < k else 0.0 for t in range(steps)] for k in ks]
            measured["reach"] = {"lags": list(range(steps)), "norms": norms, "whole": 1e-7}
            measured["cost"] = {
                "memory": [10 * k for k in ks],
                "seconds": [0.1 for _ in ks],
                "long_k": ks[1],
                "long": {"truncated": [5, 5, 5], "full": [10, 100, 1000]},
            }
        yield {"task": task, "lag": lag, "measured": measured}


def as_expected(one):
    if one.task == "text":
        return 1.6 + (0.2 if one.carry == "reset" else 0) + (0.1 if one.k == 1 else 0)
    return guess(one.lag, one.k) if one.carry == "reset" else 0.1


def test_verdicts_and_figures():
    config = get_config("laptop")
    lines = list(records(config, as_expected))
    summary = summarize(config, lines)
    verdicts = {claim["id"]: claim["verdict"] for claim in summary["claims"]}
    assert len(verdicts) == 14 and set(verdicts.values()) == {"holds"}
    assert summary["metrics"]["echo 3"]["k=1, carry reset"]["mean"] == pytest.approx(
        math.log(2), abs=2e-3
    )
    json.dumps(summary, allow_nan=False)
    assert set(draw(config, lines, summary)) == {"figure", "gradient", "cost"}

    worse = summarize(
        config, list(records(config, lambda one: 0.0 if one.carry == "reset" else 1.0))
    )
    verdicts = {claim["id"]: claim["verdict"] for claim in worse["claims"]}
    refuted = {"C-S10 lag 3", "C-S10 carry 10", "C-S10 learned 3", "C-S10 text carry"}
    assert {verdicts[name] for name in refuted} == {"refuted"}


def test_unfinished_tasks_are_left_out():
    config = get_config("laptop")
    lines = [line for line in records(config, as_expected) if line["task"] != "text"]
    summary = summarize(config, lines)
    assert set(summary["metrics"]) == {"echo 3", "echo 10"}
    assert not any("text" in claim["id"] for claim in summary["claims"])
    assert set(draw(config, lines, summary)) == {"figure", "gradient"}
    assert summarize(config, [])["claims"] == [] and draw(config, [], {}) == {}


def run_smoke(directory):
    """In a process of its own, as a user does: nothing is compiled yet."""
    command = [
        sys.executable,
        "-m",
        "experiments.run",
        "--config=configs/truncated_bptt.py:smoke",
        f"--workdir={directory}",
    ]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def smoke(tmp_path_factory):
    directory = tmp_path_factory.mktemp("truncated") / "run"
    return directory, run_smoke(directory)


def test_smoke_tier_through_the_command(smoke):
    directory, done = smoke
    assert done.returncode == 0, done.stderr
    result = json.loads((directory / "result.json").read_text())
    verdicts = {claim["id"]: claim["verdict"] for claim in result["claims"]}
    assert {verdicts[f"C-S10 {name}"] for name in ("zero", "full", "memory")} == {"holds"}
    assert (directory / "cost.png").stat().st_size > 10_000


def test_cut_off_and_continued_gives_the_same_log(smoke, tmp_path):
    directory, _ = smoke
    lines = log.read(directory / "metrics.jsonl")
    for line in (lines[0], lines[1]):
        log.write(tmp_path / "metrics.jsonl", line)
    (tmp_path / "config.json").write_bytes((directory / "config.json").read_bytes())
    assert run_smoke(tmp_path).returncode == 0

    def timeless(line):
        if "measured" in line and "cost" in line["measured"]:
            line["measured"]["cost"].pop("seconds")
        return line

    again = log.read(tmp_path / "metrics.jsonl")
    assert list(map(timeless, again)) == list(map(timeless, lines))


@pytest.mark.parametrize(
    "flag, words",
    [
        ("--config.echo.cell=gur", "did you mean gru"),
        ("--config.truncations=1,3", "increasing divisors of train.steps=8"),
        ("--config.echo.lags=0", "increasing, from 1 on"),
        ("--config.text.updates=15", "a positive multiple of 10"),
    ],
)
def test_bad_config(flag, words, tmp_path, capsys):
    assert (
        main(["--config=configs/truncated_bptt.py:smoke", flag, f"--workdir={tmp_path / 'run'}"])
        == 2
    )
    error = capsys.readouterr().err
    assert words in error and error.count("\n") == 1
