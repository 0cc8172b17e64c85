"""The degradation study: what it measures, how it judges, and the smoke tier as a user types it."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs.degradation import get_config
from deepseq.nets.images import resnet
from deepseq.train.loop import Interrupted
from experiments import degradation
from experiments.degradation import measures
from experiments.degradation.figures import draw
from experiments.degradation.summary import summarize
from experiments.run import main

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def net_and_batch():
    net = resnet.cifar(14, width=4, in_channels=1)
    params = jax.jit(net.init)(jax.random.key(0))
    rng = np.random.default_rng(0)
    params = jax.tree.map(lambda p: p + 0.1 * rng.standard_normal(p.shape, np.float32), params)
    images = jnp.asarray(rng.standard_normal((16, 8, 8, 1), np.float32))
    return net, params, images, jnp.arange(16) % 10


def test_a_deepened_plain_net_computes_the_same():
    shallow, deep = (resnet.cifar(depth, residual=False, width=4) for depth in (8, 20))
    params = shallow.init(jax.random.key(0))
    x = jax.random.normal(jax.random.key(1), (5, 9, 9, 3))
    _, running = jax.jit(lambda x: shallow.apply(params, x, running=None, key=None))(x)
    params_20, running_20 = measures.deepen(params, running, 3)
    assert jax.tree.structure(params_20) == jax.tree.structure(
        jax.eval_shape(deep.init, jax.random.key(0))
    )
    logits, deeper = (
        jax.jit(lambda p, r, x: deep.apply(p, x, running=r, key=None)[0])(p, r, x)
        for p, r in ((params, running), (params_20, running_20))
    )
    np.testing.assert_allclose(deeper, logits, rtol=1e-6, atol=1e-6)


def test_identities_of_the_block(net_and_batch):
    net, params, images, labels = net_and_batch
    found = jax.jit(lambda p: measures.identities(net, p, images, labels))(params)
    assert measures.silenced(net, params, images, labels) == 0
    assert found["preactivation"] < 1e-6
    assert found["after_relu"] > 0.01


def test_what_is_seen_inside(net_and_batch):
    net, params, images, labels = net_and_batch
    found = jax.jit(lambda p: measures.inside(net, p, images, labels))(params)
    assert found["gradient_norm"].shape == found["response_std"].shape == (13,) and found[
        "branch_ratio"
    ].shape == (6,)
    # a batch norm's output has the moments that gamma and beta give it
    gamma, beta = params.stem.bn
    np.testing.assert_allclose(
        found["response_std"][0], np.sqrt(np.mean(gamma**2) + np.var(beta)), rtol=1e-3
    )

    # with the last block's F scaled down tenfold, so is its branch ratio, and no other of the
    # blocks before it
    last = params.blocks[-1]
    bn = jax.tree.map(lambda p: p / 10, last.conv2.bn)
    weaker = params._replace(
        blocks=(*params.blocks[:-1], last._replace(conv2=last.conv2._replace(bn=bn)))
    )
    after = jax.jit(lambda p: measures.inside(net, p, images, labels))(weaker)
    np.testing.assert_allclose(after["branch_ratio"][-1], found["branch_ratio"][-1] / 10, rtol=1e-4)
    np.testing.assert_allclose(after["branch_ratio"][:-1], found["branch_ratio"][:-1], rtol=1e-4)


def test_gradients_without_bn_differ_from_those_with(net_and_batch):
    net, params, images, labels = net_and_batch
    running = jax.eval_shape(lambda: net.apply(params, images, running=None, key=None))[1]
    running = jax.tree.map(
        lambda m: jnp.full(m.shape, 7.0), running
    )  # replaced, so its values do not matter
    without = jax.jit(lambda: measures.gradients_without_bn(net, params, running, images, labels))()
    assert without.shape == (13,) and bool(jnp.isfinite(without).all())
    assert not np.allclose(
        without, measures.inside(net, params, images, labels)["gradient_norm"], rtol=0.1
    )


def records(config, train_error):
    """A log as the study writes it, from made-up final training errors by net."""
    rng = np.random.default_rng(0)
    for seed in config.seeds:
        for kind in ("plain", "resnet"):
            for depth in (config.net.shallow, config.net.deep):
                tag = {"net": f"{kind}-{depth}", "seed": seed}
                error = train_error[tag["net"]] + 0.01 * rng.random()
                look = {
                    "gradient_norm": np.linspace(2, 1, depth - 1).tolist(),
                    "response_std": [1 / depth] * (depth - 1),
                    "branch_ratio": [1.0] * (depth // 2 - 1),
                }
                yield (
                    tag
                    | {"step": 0, "inside": look}
                    | ({"without_bn": [1e-6] * (depth - 1)} if kind == "plain" else {})
                )
                for step in (4, 8):
                    later = look | {
                        "branch_ratio": [1 / step + 0.01 * rng.random()] * (depth // 2 - 1)
                    }
                    yield tag | {
                        "step": step,
                        "loss": 8 * error / step,
                        "error": error,
                        "inside": later,
                        "test": {"loss": 2 * error, "error": error + 0.02},
                    }
                end = {"train": {"loss": 2 * error, "error": error}, "parameters": 100 * depth}
                end |= (
                    {"identities": {"silent": 0.0, "after_relu": 0.3, "preactivation": 1e-8}}
                    if kind == "resnet"
                    else {}
                )
                end |= (
                    {"deepened": {"loss": 2 * error, "error": error}}
                    if tag["net"].endswith(str(config.net.shallow))
                    else {}
                )
                yield tag | {"step": 8, "final": True} | end


DEGRADED = {"plain-20": 0.05, "plain-56": 0.6, "resnet-20": 0.04, "resnet-56": 0.03}


def test_verdicts_when_the_plain_net_degrades():
    config = get_config("laptop")
    summary = summarize(config, list(records(config, DEGRADED)))
    verdicts = {claim["id"]: claim["verdict"] for claim in summary["claims"]}
    assert verdicts == {
        "C-R1a": "holds",
        "C-R1b": "holds",
        "C-R2": "refuted",
        "C-R3": "refuted",
        "C-R4": "holds",
        "C-R6": "holds",
        "C-R7": "holds",
        "C-R8": "refuted",
        "C-R11 time": "holds",
        "C-R11 depth": "holds",
        "C-R12": "holds",
    }
    first = summary["claims"][0]
    assert (
        53 < first["measured"]["difference"] < 57 and first["interval"][0] > 50 and first["n"] == 3
    )
    assert summary["metrics"]["plain-56"]["train_error_percent"]["mean"] == pytest.approx(
        60.5, abs=0.5
    )
    json.dumps(summary, allow_nan=False)


def test_verdicts_when_depth_helps():
    config = get_config("laptop")
    summary = summarize(
        config, list(records(config, DEGRADED | {"plain-20": 0.6, "plain-56": 0.05}))
    )
    verdicts = {claim["id"]: claim["verdict"] for claim in summary["claims"]}
    assert verdicts["C-R1a"] == verdicts["C-R1b"] == "refuted" and verdicts["C-R3"] == "holds"


def test_one_seed_decides_nothing_but_algebra():
    config = get_config("laptop")
    config.seeds = (0,)
    verdicts = {
        claim["id"]: claim["verdict"]
        for claim in summarize(config, list(records(config, DEGRADED)))["claims"]
    }
    assert {name for name, verdict in verdicts.items() if verdict != "undecided"} == {
        "C-R4",
        "C-R6",
        "C-R8",
        "C-R12",
    }


def test_unfinished_seeds_are_left_out():
    config = get_config("laptop")
    log = list(records(config, DEGRADED))
    summary = summarize(config, log[:-1])
    assert summary["claims"][0]["n"] == 2
    assert summarize(config, [])["claims"] == []
    assert set(draw(config, log[:-1], summary)) == {"figure", "inside"}


def test_paper_numbers_stand_beside_the_same_data_only():
    rows = {tier: summarize(get_config(tier), [])["comparison"] for tier in ("laptop", "paper")}
    assert [row["paper"] for row in rows["laptop"]] == [None] * 4
    assert [row["paper"] for row in rows["paper"]] == [None, None, 8.75, 6.97]


def test_deviations_follow_the_config():
    config = get_config("paper")
    reasons = [row["here"] for row in summarize(config, [])["deviations"]]
    assert not any("digits" in text or "iterations at a rate" in text for text in reasons)
    assert any("digits" in row["here"] for row in summarize(get_config("laptop"), [])["deviations"])
    config.train.steps = 500
    assert any(
        text.startswith("500 iterations") and "250 and 375" in text
        for text in (row["here"] for row in summarize(config, [])["deviations"])
    )


def command(*arguments, cwd=ROOT):
    return subprocess.run(
        [sys.executable, "-m", "experiments.run", *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
        env=os.environ,
    )


@pytest.fixture(scope="module")
def smoke(tmp_path_factory):
    directory = tmp_path_factory.mktemp("smoke") / "run"
    began = time.monotonic()
    done = command("--config=configs/degradation.py:smoke", f"--workdir={directory}")
    return directory, done, time.monotonic() - began


def test_smoke_tier_through_the_command(smoke):
    directory, done, seconds = smoke
    assert done.returncode == 0, done.stderr
    files = (
        "config.json metrics.jsonl result.json figure.png figure.svg inside.png inside.svg"
        " report.html checkpoints"
    )
    assert set(files.split()) <= {path.name for path in directory.iterdir()}
    result = json.loads((directory / "result.json").read_text())
    assert result["seeds"] == [0, 1] and len(result["claims"]) == 11
    exact = {
        claim["id"]: claim["verdict"] for claim in result["claims"] if claim["interval"] is None
    }
    assert exact == {"C-R4": "holds", "C-R6": "holds", "C-R8": "refuted", "C-R12": "holds"}
    assert "C-R1a" in done.stdout and "report.html" in done.stdout and not done.stderr
    assert seconds < 60  # 20 s where nothing else computes


def test_the_smallest_net_learns(smoke):
    """After 24 iterations on the real digits, the residual nets are far from chance (90 %)."""
    result = json.loads((smoke[0] / "result.json").read_text())
    assert result["metrics"]["resnet-8"]["test_error_percent"]["mean"] < 65


@pytest.mark.parametrize(
    "flag, words",
    [
        ("--config.data.name=cifar", "did you mean cifar10"),
        ("--config.net.shortcut=D", "net.shortcut=D"),
        ("--config.net.deep=57", "depth 57"),
        ("--config.net.deep=8", "less than net.deep=8"),
        ("--config.seeds=", "takes a list of integers"),
        ("--config.seeds=1,1", "different integers"),
        ("--config.train.steps=0", "train.steps=0 must be at least 1"),
        ("--config.train.learning_rate=-1", "must be above 0"),
        ("--config.train.batch_size=5000", "from 1 to 1437"),
        ("--config.train.warmup_steps=20", "warm-up of 20 steps"),
        ("--config.measure.every=5", "multiple of measure.every=5"),
        ("--config.measure.save_every=0", "positive multiple"),
        ("--config.data.validation=1437", "data.validation=1437"),
    ],
)
def test_numbers_that_do_not_fit_together(flag, words, tmp_path, capsys):
    path = tmp_path / "run"
    assert main(["--config=configs/degradation.py:smoke", flag, f"--workdir={path}"]) == 2
    line = capsys.readouterr().err
    assert words in line and line.count("\n") == 1 and not path.exists()


@pytest.mark.parametrize(
    "size, words", [(10, "has 10 bytes, expected 30730000"), (30_730_000, "expected 5dd7e06a")]
)
def test_a_data_file_that_is_not_the_published_one(size, words, tmp_path, monkeypatch, capsys):
    folder = tmp_path / "data" / "cifar-10-batches-bin"
    folder.mkdir(parents=True)
    with open(folder / "data_batch_1.bin", "wb") as file:
        file.truncate(size)
    monkeypatch.setenv("DEEPSEQ_DATA", str(tmp_path / "data"))
    flags = ["--config.data.name=cifar10", f"--workdir={tmp_path / 'run'}"]
    assert main(["--config=configs/degradation.py:smoke", *flags]) == 2
    line = capsys.readouterr().err
    assert "data_batch_1.bin" in line and words in line and line.count("\n") == 1
    assert (folder / "data_batch_1.bin").stat().st_size == size


def test_nan_stops_the_run(tmp_path, capsys):
    """A rate this high makes the loss overflow; what was logged before stays."""
    path = tmp_path / "run"
    flags = [
        "--config.train.learning_rate=1e30",
        "--config.train.drops=0.5,0.75",
        f"--workdir={path}",
    ]
    assert main(["--config=configs/degradation.py:smoke", *flags]) == 1
    line = capsys.readouterr().err
    assert "net=plain-8 seed=0" in line and "not finite" in line and line.count("\n") == 1
    assert [json.loads(text)["step"] for text in (path / "metrics.jsonl").read_text().splitlines()][
        0
    ] == 0


def test_killed_and_continued_the_study_ends_with_the_same_bits(smoke, tmp_path):
    reference, directory = smoke[0], tmp_path / "run"
    arguments = [
        sys.executable,
        "-m",
        "experiments.run",
        "--config=configs/degradation.py:smoke",
        f"--workdir={directory}",
    ]
    for lines in np.random.default_rng().integers(2, 60, 3):
        with subprocess.Popen(arguments, cwd=ROOT, stdout=subprocess.DEVNULL) as process:
            log = directory / "metrics.jsonl"
            while process.poll() is None and (
                not log.exists() or log.read_bytes().count(b"\n") < lines
            ):
                time.sleep(0.02)
            process.kill()
    assert command(*arguments[3:]).returncode == 0
    for name in ("metrics.jsonl", "figure.svg", "inside.svg"):
        assert (directory / name).read_bytes() == (reference / name).read_bytes(), name
    results = [json.loads((path / "result.json").read_text()) for path in (directory, reference)]
    assert (
        results[0]["metrics"] == results[1]["metrics"]
        and results[0]["claims"] == results[1]["claims"]
    )


def test_a_finished_run_only_redraws(smoke):
    directory = smoke[0]
    before = {
        name: (directory / name).read_bytes()
        for name in ("metrics.jsonl", "result.json", "figure.svg")
    }
    (directory / "result.json").unlink()
    done = command(
        "--config=configs/degradation.py:smoke", f"--workdir={directory}", "--report_only"
    )
    assert done.returncode == 0, done.stderr
    after = {name: (directory / name).read_bytes() for name in before}
    assert after == before


@pytest.mark.parametrize("optimize", [True, False])
def test_optimize_sets_the_compiler_for_the_run_alone(optimize, tmp_path, monkeypatch):
    seen = []

    def run(config, workdir):
        seen.append(jax.config.read("jax_disable_most_optimizations"))
        raise Interrupted(0, {})

    monkeypatch.setattr(degradation, "run", run)
    assert (
        main(
            [
                "--config=configs/degradation.py:smoke",
                f"--config.optimize={optimize}",
                f"--workdir={tmp_path}",
            ]
        )
        == 1
    )
    assert seen == [not optimize] and not jax.config.read("jax_disable_most_optimizations")
