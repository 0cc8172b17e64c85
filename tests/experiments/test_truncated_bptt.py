"""The truncation study: its streams, what it measures, how it judges, what it asks of a config."""

import json
import math
from pathlib import Path

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs.truncated_bptt import get_config
from deepseq.lab.errors import UsageError
from deepseq.lab.jobs import Session
from deepseq.nets import recurrent as R
from deepseq.train import log
from deepseq.train.loop import Interrupted
from experiments import truncated_bptt as study
from experiments.truncated_bptt import measures, training
from experiments.truncated_bptt.figures import draw
from experiments.truncated_bptt.nets import Inputs, echo_stream, reader, step_loss, text_stream
from experiments.truncated_bptt.records import Runs, guess
from experiments.truncated_bptt.summary import summarize
from experiments.truncated_bptt.trainer import Trainer
from experiments.truncated_bptt.training import KEPT, RESET, Training

pytestmark = pytest.mark.usefixtures("compiled_quickly")

SMOKE = get_config("smoke")


@pytest.fixture(scope="module")
def echo():
    return training.model(SMOKE, "echo", 3)


@pytest.fixture(scope="module")
def params(echo):
    """Of every seed, (S, ...)."""
    return jax.jit(jax.vmap(echo.init))(jnp.stack([jax.random.key(seed) for seed in SMOKE.seeds]))


def test_the_exact_guess_is_what_a_window_can_know():
    """By enumeration: a step knows its bit when it came in the same chunk."""
    for lag, k in ((3, 1), (3, 4), (10, 16), (5, 5)):
        known = [t % k >= lag for t in range(240)]
        assert guess(lag, k) == pytest.approx(math.log(2) * (1 - sum(known) / 240))


def test_a_fresh_carry_is_zero():
    init, cell, zero = reader("lstm", 2, 2, 5)
    params, carry = jax.jit(init)(jax.random.key(0)), jax.tree.map(lambda s: s + 1.0, zero(3))
    symbol, cell = jnp.array([0, 1, 1]), jax.jit(cell)
    fresh, kept, from_zero = (
        cell(params, before, Inputs(symbol, jnp.asarray(here)))[1]
        for before, here in ((carry, True), (carry, False), (zero(3), False))
    )
    chex.assert_shape((fresh, kept), (3, 2))
    np.testing.assert_array_equal(fresh, from_zero)
    assert np.abs(fresh - kept).max() > 0.01


def test_segments_carry_the_stream_on():
    stream = echo_stream(SMOKE, 0, 3, 24)
    inputs, targets = training.segments(stream, 8, 4, RESET)
    np.testing.assert_array_equal(inputs.symbol.reshape(24, -1), stream.symbols)
    np.testing.assert_array_equal(targets.symbol[1, 0], inputs.symbol[0, 5])  # three steps before
    np.testing.assert_array_equal(inputs.fresh[0], [True, False, False, False] * 2)
    assert not training.segments(stream, 8, 4, KEPT)[0].fresh.any()
    assert targets.counts.sum() == 24 - 3


def test_streams_of_text_go_round_at_its_end():
    stream = text_stream(np.arange(12), batch=3, first=2, steps=5)
    np.testing.assert_array_equal(stream.symbols[:, 1], [6, 7, 4, 5, 6])
    np.testing.assert_array_equal(stream.targets[:, 1], [7, 4, 5, 6, 7])
    chex.assert_shape(stream, [(5, 3), (5, 3), (5,)])


def first_update(net, k, carry):
    """Its inputs and targets in the stream of the first seed."""
    steps = SMOKE.train.steps
    return jax.tree.map(lambda a: a[0], training.segments(net.streams[0], steps, k, carry))


def test_resetting_makes_chunks_of_the_full_gradient(echo, params):
    """With the carry set to zero every k steps, the truncated gradient is the full one."""
    params, carry = jax.tree.map(lambda p: p[0], params), echo.zero(SMOKE.train.batch_size)
    inputs, targets = first_update(echo, 2, RESET)
    cut, full = (
        jax.jit(R.tbptt(echo.cell, step_loss, k1=k, k2=k))(params, carry, inputs, targets)[1]
        for k in (2, 8)
    )
    chex.assert_trees_all_close(cut, full, rtol=1e-4, atol=1e-6)


def test_against_full(echo, params):
    measured = measures.against_full(SMOKE, echo, params)
    cosine, bias = np.array(measured["cosine"]), np.array(measured["bias"])
    chex.assert_shape((cosine, bias), (2, 2))
    np.testing.assert_allclose(cosine[-1], 1, atol=1e-5)
    np.testing.assert_allclose(bias[-1], 0, atol=1e-5)
    assert (bias[0] > 0.01).all() and (cosine[0] < 1 - 1e-4).all()


def test_reach_is_backpropagation_by_hand(echo, params):
    """The last step's loss followed back through the states of a tanh RNN, one step at a time."""
    measured = measures.reach(SMOKE, echo)
    params = jax.tree.map(lambda p: np.asarray(p[0], float), params)
    inputs, targets = first_update(echo, SMOKE.train.steps, KEPT)
    h, states = np.zeros((SMOKE.train.batch_size, SMOKE.echo.hidden)), []
    for symbol in inputs.symbol:
        h = np.tanh(params.embed[symbol] @ params.cell.wx + h @ params.cell.wh + params.cell.b)
        states.append(h)
    logits = h @ params.w + params.b
    share = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    delta = (share - np.eye(2)[targets.symbol[-1]]) @ params.w.T / len(h)
    norms = []
    for h in reversed(states):
        delta = (delta * (1 - h**2)) @ params.cell.wh.T
        norms.append(np.linalg.norm(delta))
    for k, felt in zip(SMOKE.truncations, measured["norms"], strict=True):
        np.testing.assert_allclose(felt[:k], norms[:k], rtol=1e-4)
        assert not any(felt[k:])
    assert measured["whole"] < 1e-5 and measured["lags"] == list(range(8))


def test_truncation_bounds_the_memory(echo):
    measured = measures.cost(SMOKE, echo)
    assert measured["long_k"] == 8 and len(measured["memory"]) == len(measured["seconds"]) == 2
    truncated, full = (measured["long"][form] for form in ("truncated", "full"))
    assert truncated[0] == truncated[1] > 0 and 5 * full[0] < full[1]


def test_a_kept_and_a_reset_carry_share_a_program(echo):
    traces = []

    def cell(*arguments):
        traces.append(1)
        return echo.cell(*arguments)

    start, run = training.program(SMOKE, echo._replace(cell=cell), 2)
    keys, counts, losses = jax.vmap(jax.random.key)(jnp.array(SMOKE.seeds)), [], []
    for carry in (RESET, KEPT):
        cut = [training.segments(stream, 8, 2, carry) for stream in echo.streams]
        states, (loss, finite) = run(start(keys), jax.tree.map(lambda *a: np.stack(a)[:, :3], *cut))
        chex.assert_shape((loss, finite), (2, 3))
        chex.assert_tree_all_finite((states[0].params, loss))
        counts, losses = [*counts, len(traces)], [*losses, loss]
    assert counts[0] == counts[1] and np.abs(losses[0] - losses[1]).max() > 1e-3


LAST = Training("echo", 3, 8, KEPT)  # of its task, the net that is measured


def test_what_is_measured_is_of_the_training_which_is_repeated_if_need_be(tmp_path):
    trainer, other = Trainer(SMOKE), LAST._replace(carry=RESET)
    session = Session({"task": "echo", "lag": 3, "measured": ...}, tmp_path)
    measured = trainer.measure(session, LAST)
    trainer.train(Session(other._asdict(), tmp_path), other)
    assert trainer.measure(session, LAST) == measured
    record = trainer.train(Session(LAST._asdict(), tmp_path), LAST)
    assert record["every"] == 10 and [run["seed"] for run in record["runs"]] == [0, 1]
    for run in record["runs"]:
        assert run["finite"] and len(run["loss"]) == 2 and run["final"] == run["loss"][-1]
    assert trainer.measure(session, LAST) == measured
    assert measured["measured"]["start"] != measured["measured"]["end"]


def test_a_training_can_be_stopped(tmp_path):
    session = Session(LAST._asdict(), tmp_path, stopping=lambda: True)
    with pytest.raises(Interrupted, match="carry=kept: interrupted at step 0"):
        Trainer(SMOKE).train(session, LAST)


def test_a_training_that_diverges_is_a_record(tmp_path):
    config = get_config("smoke")
    config.echo.rate = 3e38
    record = Trainer(config).train(Session(LAST._asdict(), tmp_path), LAST)
    log.write(tmp_path / "log", {**LAST._asdict(), **record})
    (record,) = log.read(tmp_path / "log")
    assert [run["finite"] for run in record["runs"]] == [False, False]
    assert not np.isfinite(Runs(config, [record]).final(("echo", 3), 8, KEPT)).any()


def records(config, final):
    """A log as the study writes it, from made-up losses: final(training)."""
    rng = np.random.default_rng(0)
    ks, seeds, steps = config.truncations, config.seeds, config.train.steps
    for tag in (job.tag for job in study.plan(config, Path())):
        if "k" in tag:
            run = {"loss": [1.0, loss := final(Training(**tag))], "finite": True}
            runs = [{"seed": s, "final": loss + 1e-3 * rng.random(), **run} for s in seeds]
            yield {**tag, "every": 20, "runs": runs}
            continue
        cosine = [[1 - 1 / (k + 1) + 1e-3 * rng.random() for _ in seeds] for k in ks]
        angles = {"cosine": cosine, "bias": cosine}
        measured = {"start": angles, "end": angles}
        if tag["task"] == "text":
            norms = [[1 / (t + 1) if t < k else 0.0 for t in range(steps)] for k in ks]
            measured["reach"] = {"lags": list(range(steps)), "norms": norms, "whole": 1e-7}
            long = {"truncated": [5, 5, 5], "full": [10, 100, 1000]}
            measured["cost"] = {"memory": [10 * k for k in ks], "long_k": ks[1], "long": long}
            measured["cost"]["seconds"] = [0.1] * len(ks)
        yield {**tag, "measured": measured}


def as_expected(training):
    if training.task == "text":
        return 1.6 + (0.2 if training.carry == RESET else 0) + (0.1 if training.k == 1 else 0)
    return guess(training.lag, training.k) if training.carry == RESET else 0.1


def verdicts(summary):
    return {claim["id"]: claim["verdict"] for claim in summary["claims"]}


def test_verdicts_and_figures():
    config = get_config("laptop")
    lines = list(records(config, as_expected))
    summary = summarize(config, lines)
    assert list(verdicts(summary).values()) == ["holds"] * 14
    reset = summary["metrics"]["echo 3"]["k=1, carry reset"]
    assert reset["mean"] == pytest.approx(math.log(2), abs=2e-3)
    json.dumps(summary, allow_nan=False)
    drawings = draw(config, lines)
    assert set(drawings) == {"figure", "gradient", "cost"}
    titles = [ax.get_title() for ax in drawings["figure"].figure.axes]
    echoes = [f"echo of lag {lag} (grey line)" for lag in (3, 10)]
    assert titles == [*echoes, "next character of text, held out"]
    assert "mean of 3 seeds" in drawings["figure"].caption


def test_verdicts_when_it_is_the_other_way_round():
    config = get_config("laptop")
    lines = list(records(config, lambda training: 0.0 if training.carry == RESET else 1.0))
    by_id = verdicts(summarize(config, lines))
    refuted = {"C-S10 lag 3", "C-S10 carry 10", "C-S10 learned 3", "C-S10 text carry"}
    assert {by_id[id] for id in refuted} == {"refuted"}
    measured = lines[-1]["measured"]
    measured["reach"]["norms"][0][1] = 1e-9  # one step beyond k = 1
    measured["reach"]["whole"] = 1e-3
    measured["cost"]["long"]["truncated"] = [5, 5, 6]
    by_id = verdicts(summarize(config, lines))
    assert {by_id[f"C-S10 {name}"] for name in ("zero", "full", "memory")} == {"refuted"}


def test_one_seed_decides_nothing_but_algebra():
    config = get_config("laptop")
    config.seeds = (0,)
    by_id = verdicts(summarize(config, list(records(config, as_expected))))
    decided = {id for id, verdict in by_id.items() if verdict != "undecided"}
    assert decided == {"C-S10 zero", "C-S10 full", "C-S10 memory"} < set(by_id)


def test_a_seed_that_diverged_leaves_its_claims_undecided():
    config = get_config("laptop")
    lines = list(records(config, as_expected))
    for line in lines:
        if (line["task"], line["lag"], line.get("carry")) == ("echo", 3, KEPT):
            line["runs"][1] |= {"loss": [1.0, math.nan], "final": math.nan, "finite": False}
    by_id = verdicts(summarize(config, lines))
    undecided = {id for id, verdict in by_id.items() if verdict == "undecided"}
    assert undecided == {"C-S10 carry 3", "C-S10 learned 3"}
    assert set(draw(config, lines)) == {"figure", "gradient", "cost"}


def test_unfinished_tasks_are_left_out():
    config = get_config("laptop")
    lines = [line for line in records(config, as_expected) if line["task"] != "text"]
    summary = summarize(config, lines)
    assert set(summary["metrics"]) == {"echo 3", "echo 10"}
    assert not any("text" in claim["id"] for claim in summary["claims"])
    assert set(draw(config, lines)) == {"figure", "gradient"}
    assert set(summarize(config, lines[:-1])["metrics"]) == {"echo 3"}
    assert summarize(config, [])["claims"] == [] and draw(config, []) == {}


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("echo.cell", "gur", "echo.cell=gur does not exist; did you mean gru"),
        ("truncations", (1, 3), "truncations=1,3 must be increasing divisors of train.steps=8"),
        ("truncations", (2, 4), "the last of them 8 itself"),
        ("train.steps", 0, "train.steps=0 must be at least 1"),
        ("train.threshold", 0.0, "train.threshold=0.0 must be above 0"),
        ("echo.lags", (0,), "echo.lags=0 must be increasing, from 1 on"),
        ("echo.hidden", 0, "echo.hidden=0 must be at least 1"),
        ("text.updates", 15, "text.updates=15 must be a positive multiple of measure.every=10"),
        ("measure.every", 0, "measure.every=0 must be at least 1"),
        ("measure.timings", 0, "measure.timings=0 must be at least 1"),
        ("measure.lengths", (1000, 100), "measure.lengths=1000,100 must be increasing"),
    ],
)
def test_a_config_that_cannot_be(key, value, message):
    config = get_config("smoke")
    config.update_from_flattened_dict({key: value})
    with pytest.raises(UsageError, match=message):
        study.check(config)
