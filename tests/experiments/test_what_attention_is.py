"""The attention study: what it measures, how it judges, and what it asks of its config."""

import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import ConfigDict, FrozenConfigDict

from configs.what_attention_is import get_config
from deepseq.nets.blocks import attention as A
from deepseq.train import log
from experiments.run import main
from experiments.what_attention_is import algebra, cost, order
from experiments.what_attention_is.figures import draw
from experiments.what_attention_is.summary import summarize

RESULTS = Path(__file__).resolve().parents[2] / "results" / "what_attention_is" / "laptop"
SMOKE = FrozenConfigDict(get_config("smoke"))
MASKS = ("causal", "padding", "arbitrary")
COMMAND = "--config=configs/what_attention_is.py:smoke"


def test_depth_counts_what_must_wait():
    def program(x):
        a = jnp.sin(x)
        b = jnp.cos(x) + 1.0
        return a * b  # sin beside cos and its sum, then the product

    assert cost.depth(jax.make_jaxpr(program)(1.0).jaxpr) == 3

    def loop(x):
        return jax.lax.scan(lambda c, _: (jnp.sin(c) * 2.0, None), x, length=7)[0]

    assert cost.depth(jax.make_jaxpr(loop)(1.0).jaxpr) == 14
    assert cost.depth(jax.make_jaxpr(jax.jit(loop))(1.0).jaxpr) == 14
    assert cost.depth(jax.make_jaxpr(lambda x: x)(1.0).jaxpr) == 0


def test_operations_are_those_of_the_products():
    def program(x, w):
        return jax.lax.scan(lambda c, _: (c @ w, None), x, length=5)[0]

    assert (
        cost.operations(jax.make_jaxpr(program)(jnp.ones((3, 4)), jnp.ones((4, 4))).jaxpr)
        == 5 * 2 * 3 * 4 * 4
    )
    q, k, v = (jnp.ones((2, n, 3, d)) for n, d in ((5, 4), (7, 4), (7, 6)))
    attention = jax.make_jaxpr(A.dot_product_attention)(q, k, v).jaxpr
    assert cost.operations(attention) == 2 * 2 * 3 * 5 * 7 * (4 + 6)


def test_slope_of_a_power():
    lengths = [16, 32, 64, 128, 256]
    assert cost.slope(lengths, [3 * n**2 for n in lengths]) == pytest.approx(2)
    assert cost.slope(lengths, [1e9, 1e9, 64, 128, 256]) == pytest.approx(1)  # the upper half alone


def test_blocks_of_a_jacobian():
    w = np.zeros((4, 4), np.float32)
    w[2, 1], w[3, 3] = 5.0, -2.0
    mixed = algebra.blocks(
        lambda w, x: jnp.einsum("ts,bsd->btd", w, x), jnp.asarray(w), jnp.ones((1, 4, 3))
    )
    np.testing.assert_array_equal(mixed, np.abs(w))


def test_a_leaking_mask_would_be_seen(monkeypatch):
    params = A.multi_head_init(jax.random.key(0), 6, 2)
    x = jax.random.normal(jax.random.key(1), (1, 7, 6))
    tight = algebra.masks(params, x, np.random.default_rng(0))
    assert tight["causal mask, forbidden"] == 0 < tight["causal mask, allowed"]
    leaking = jax.jit(lambda both, x: A.multi_head(both[0], x))
    monkeypatch.setattr(algebra, "_masked", leaking)
    assert algebra.masks(params, x, np.random.default_rng(0))["causal mask, forbidden"] > 1e-3


def test_the_order_task():
    data = order.examples(SMOKE, np.random.default_rng(0), 500)
    for tokens, label in zip(*data, strict=True):
        assert (tokens == 0).sum() == (tokens == 1).sum() == 1
        assert label == (np.argmax(tokens == 0) < np.argmax(tokens == 1))
    assert 0.4 < data.labels.mean() < 0.6


def test_disturbances():
    rng = np.random.default_rng(0)
    tokens = order.examples(SMOKE, rng, 200).tokens
    done = {
        name: disturb(tokens, np.random.default_rng(1)) for name, disturb in order.DISTURBED.items()
    }
    np.testing.assert_array_equal(done["intact"], tokens)
    np.testing.assert_array_equal(np.sort(done["permuted"]), np.sort(tokens))
    half = tokens.shape[1] // 2
    np.testing.assert_array_equal(done["trimmed"][:, :half], tokens[:, :half])
    assert (done["trimmed"][:, half:] >= 2).all()
    for before, after in zip(tokens, done["omitted"], strict=True):  # what is left keeps its order
        kept = [t for t in after if t < 2]
        assert kept == [t for t in before if t in kept]
    assert 0.4 < (done["omitted"] < 2).mean() / (tokens < 2).mean() < 0.6


def test_without_positions_a_classifier_is_blind():
    assert order.blindness(SMOKE, 0) < 1e-5


def synthetic(config, accuracy):
    """A finished log with these accuracies on the order task, (with, without positions) by seed."""
    base = {
        "algebra": {
            "least influence between steps": 0.1,
            "feed-forward influence between steps": 0.0,
            "feed-forward influence within a step": 1.0,
            "change of a word in another context": 0.5,
            "permuted without positions": 1e-8,
            "permuted with positions": 0.3,
            "least influence of the encoder": 0.2,
            "difference of outputs where all keys are alike": 1e-8,
            "heads": [1, 2],
            "parameters, size split": [9, 9],
            "parameters, 10 each": [3200, 6400],
            "value size of the output": 9,
            "another key size is refused": 1.0,
            "step by step against the whole target": 1e-7,
            **{f"{kind} mask, forbidden": 0.0 for kind in MASKS},
            **{f"{kind} mask, allowed": 0.1 for kind in MASKS},
        },
        "scores": [
            {
                "key_size": n,
                "divided variance": 1.0,
                "plain variance": n,
                "divided entropy": 0.9,
                "plain entropy": 0.1,
                "divided derivative": 0.1,
                "plain derivative": 0.01,
            }
            for n in config.scores.key_sizes
        ],
        "blindness": 1e-8,
        "cost": [
            {
                "layer": layer,
                "steps": n,
                "seconds": n**p,
                "bytes": n**p,
                "operations": n**p,
                "depth": n if layer == "RNN" else 9,
            }
            for layer, p in (("attention", 2), ("RNN", 1), ("feed-forward", 1))
            for n in config.cost.lengths
        ],
    }
    for seed, (positioned, blind) in zip(config.seeds, accuracy, strict=True):
        nets = {
            "without positions": dict.fromkeys(order.DISTURBED, blind),
            "with positions": {
                "intact": positioned,
                "permuted": 0.5,
                "trimmed": 0.6,
                "omitted": 0.7,
            },
        }
        trained = {
            kind: {"accuracy": values, "every": 1, "loss": [0.7, 0.6]}
            for kind, values in nets.items()
        }
        for part, value in {**base, "order": trained}.items():
            yield {"part": part, "seed": seed, "found": value}


def verdicts(config, records):
    return {row["id"]: row["verdict"] for row in summarize(config, records)["claims"]}


def test_what_is_exact_holds_on_random_weights():
    measures = {"algebra": algebra.measure, "blindness": order.blindness}
    records = [
        record | {"found": measures[record["part"]](SMOKE, record["seed"])}
        if record["part"] in measures
        else record
        for record in synthetic(SMOKE, [(1.0, 0.5)] * 2)
    ]
    exact = {
        row["id"]: row["verdict"]
        for row in summarize(SMOKE, records)["claims"]
        if row["id"].startswith(("C-T2", "C-T3", "C-T5", "C-T7", "C-T9"))
        or row["id"] in ("C-T8", "C-T8 blind")
    }
    assert len(exact) == 10 and set(exact.values()) == {"holds"}


def test_the_verdicts_follow_the_measurements():
    config = get_config()
    records = list(synthetic(config, [(1.0, 0.50), (0.99, 0.51), (1.0, 0.49)]))
    rows = {row["id"]: row for row in summarize(config, records)["claims"]}
    expected = {id: "holds" for id in rows} | {"C-T1 time": "refuted"}  # n^2 seconds beside n
    assert {id: row["verdict"] for id, row in rows.items()} == expected
    assert rows["C-T8 solved"]["interval"][0] > 0.95 and rows["C-T9 mask"]["interval"] is None
    leaks = {"causal mask, forbidden": 1e-9}
    bad = [
        r | {"found": r["found"] | leaks} if (r["part"], r["seed"]) == ("algebra", 1) else r
        for r in records
    ]
    assert verdicts(config, bad)["C-T9 mask"] == "refuted"
    guess = list(synthetic(config, [(0.5, 0.6), (0.49, 0.61), (0.51, 0.59)]))
    judged = verdicts(config, guess)
    assert all(judged[id] == "refuted" for id in ("C-T8 solved", "C-T8 chance", "C-S1 attention"))


def test_an_unfinished_log_is_summarised_and_drawn():
    config = get_config()
    half = [r for r in synthetic(config, [(1.0, 0.5)] * 3) if r["part"] != "cost"]
    assert summarize(config, half)["claims"] == [] and draw(config, half) == {}


def test_the_committed_log_is_drawn():
    config = ConfigDict(json.loads((RESULTS / "config.json").read_text()))
    drawings = draw(config, log.read(RESULTS / "metrics.jsonl"))
    assert set(drawings) == {"figure", "scores", "order"}
    assert all(drawing.figure.axes and drawing.caption for drawing in drawings.values())


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        (
            "algebra.heads=5",
            "--config.algebra.size=24 must be a positive multiple of algebra.heads=5",
        ),
        ("algebra.heads=0", "--config.algebra.heads=0 must be at least 1"),
        ("order.heads=3", "--config.order.size=32 must be a positive multiple of order.heads=3"),
        ("order.symbols=2", "at least 3"),
        ("cost.lengths=64,32", "must be increasing"),
        ("scores.key_sizes=4", "at least two"),
        ("order.rate=0", "--config.order.rate=0.0 must be above 0"),
    ],
)
def test_a_config_that_cannot_be(tmp_path, capsys, flag, message):
    assert main([COMMAND, f"--config.{flag}", f"--workdir={tmp_path / 'run'}"]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
    assert not (tmp_path / "run").exists()
