"""The degradation study: its jobs, how it judges and draws, and the configs that it refuses."""

import functools
import json
from pathlib import Path

import jax
import numpy as np
import pytest
from ml_collections import ConfigDict

from configs.degradation import TIERS, get_config
from deepseq.lab.errors import UsageError
from deepseq.lab.jobs import Session
from deepseq.train import log
from deepseq.train.loop import Interrupted
from experiments import degradation
from experiments.degradation import check, draw, plan, summarize
from experiments.run import QUICK_COMPILE, main

RESULTS = Path(__file__).resolve().parents[2] / "results" / "degradation"
COMMAND = "--config=configs/degradation.py"
NETS = ["plain-20", "plain-56", "resnet-20", "resnet-56"]


def test_jobs_share_the_data_and_what_is_compiled(tmp_path, monkeypatch):
    made = []

    class Fake:
        def __init__(self, config, data, name, nets):
            made.append(name)

        def train(self, session):
            return session.tag

    monkeypatch.setattr(degradation, "Trainer", Fake)
    monkeypatch.setattr(degradation, "read_data", lambda config: made.append("data"))
    every = plan(get_config(), tmp_path)
    tags = [{"net": net, "seed": seed} for seed in (0, 1, 2) for net in NETS]
    assert [job.tag for job in every] == tags and [job.cost for job in every] == 6 * [20, 56]
    assert made == [] and all(job.work(Session(job.tag, tmp_path)) == job.tag for job in every)
    assert made == ["data", *NETS]


@pytest.mark.parametrize("tier", ["smoke", "laptop"])
def test_the_smoke_tier_alone_is_compiled_quickly(tier, tmp_path, monkeypatch, request):
    """And only while it runs, whatever was set before."""
    request.addfinalizer(
        functools.partial(jax.config.update, QUICK_COMPILE, jax.config.read(QUICK_COMPILE))
    )
    quickly = []

    def stop(config, workdir):
        quickly.append(jax.config.read(QUICK_COMPILE))
        raise Interrupted(0, {})

    monkeypatch.setattr(degradation, "plan", stop)
    jax.config.update(QUICK_COMPILE, tier != "smoke")
    assert main([f"{COMMAND}:{tier}", f"--workdir={tmp_path}"]) == 1
    assert quickly == [tier == "smoke"] and jax.config.read(QUICK_COMPILE) == (tier != "smoke")


def records(config, train_error):
    """A log as the study writes it, from made-up final training errors by net."""
    rng = np.random.default_rng(0)
    for seed in config.seeds:
        for net, depth in zip(NETS, (20, 56, 20, 56), strict=True):
            tag, plain = {"net": net, "seed": seed}, net.startswith("plain")
            error = train_error[net] + 0.01 * rng.random()
            inside = {
                "gradient_norm": np.linspace(2, 1, depth - 1).tolist(),
                "response_std": [1 / depth] * (depth - 1),
                "branch_ratio": [1.0] * (depth // 2 - 1),
            }
            without_bn = {"without_bn": [1e-6] * (depth - 1)} if plain else {}
            yield {**tag, "step": 0, "inside": inside, **without_bn}
            for step in (4, 8):
                ratio = [1 / step + 0.01 * rng.random()] * (depth // 2 - 1)
                yield {
                    **tag,
                    "step": step,
                    "loss": 8 * error / step,
                    "error": error,
                    "inside": inside | {"branch_ratio": ratio},
                    "test": {"loss": 2 * error, "error": error + 0.02},
                }
            end = {"train": {"loss": 2 * error, "error": error}, "parameters": 100 * depth}
            if not plain:
                end["identities"] = {"silent": 0.0, "after_relu": 0.3, "preactivation": 1e-8}
            if net == "plain-20":
                end["deepened"] = dict(end["train"])
            yield {**tag, "step": 8, "final": True, **end}


DEGRADED = {"plain-20": 0.05, "plain-56": 0.6, "resnet-20": 0.04, "resnet-56": 0.03}


def verdicts(summary):
    return {claim["id"]: claim["verdict"] for claim in summary["claims"]}


def test_verdicts_when_the_plain_net_degrades():
    config = get_config()
    summary = summarize(config, list(records(config, DEGRADED)))
    assert verdicts(summary) == {
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
    assert 53 < first["measured"]["difference"] < 57
    assert first["interval"][0] > 50 and first["n"] == 3
    train = summary["metrics"]["plain-56"]["train_error_percent"]
    assert train["mean"] == pytest.approx(60.5, abs=0.5)
    json.dumps(summary, allow_nan=False)


def test_verdicts_when_depth_helps():
    config = get_config()
    lines = list(records(config, DEGRADED | {"plain-20": 0.6, "plain-56": 0.05}))
    rows = verdicts(summarize(config, lines))
    assert rows["C-R1a"] == rows["C-R1b"] == "refuted" and rows["C-R3"] == "holds"


def test_verdicts_follow_the_numbers():
    """Each altered number turns the one verdict that rests on it, or leaves it undecided."""
    config = get_config()
    before = verdicts(summarize(config, list(records(config, DEGRADED))))

    def turned(alter):
        changed = list(records(config, DEGRADED))
        for record in changed:
            alter(record)
        after = verdicts(summarize(config, changed))
        return {id: verdict for id, verdict in after.items() if verdict != before[id]}

    def end(net, part, **values):
        return turned(
            lambda record: record["net"] == net and part in record and record[part].update(values)
        )

    def inside(net, name, value):
        """At every look, the same for all layers but the last, which has 1."""

        def alter(record):
            if record["net"] == net and "inside" in record:
                record["inside"][name] = [value * (1 + 0.01 * record["seed"])] * 3 + [1.0]

        return turned(alter)

    assert inside("plain-56", "gradient_norm", 1e-5) == {"C-R2": "holds"}
    assert inside("plain-56", "gradient_norm", 0.0) == {"C-R2": "holds"}  # dead
    assert inside("resnet-56", "response_std", 9.0) == {"C-R11 depth": "refuted"}
    assert inside("resnet-56", "branch_ratio", 9.0) == {"C-R11 time": "undecided"}
    assert end("plain-56", "test", error=2.0) == {"C-R3": "holds"}
    assert end("plain-20", "deepened", loss=9.0) == {"C-R4": "refuted"}
    assert end("resnet-20", "identities", silent=1e-9) == {"C-R6": "refuted"}
    assert end("resnet-56", "identities", after_relu=1e-9) == {}  # the other net's is not
    assert turned(
        lambda record: "identities" in record and record["identities"].update(after_relu=1e-9)
    ) == {"C-R8": "holds"}
    assert turned(
        lambda record: record["net"] == "resnet-20" and record.update(parameters=2001)
    ) == {"C-R12": "refuted"}
    assert turned(
        lambda record: record["net"] == "resnet-56" and "loss" in record and record.update(loss=9)
    ) == {"C-R7": "undecided"}


def test_one_seed_decides_nothing_but_algebra():
    config = get_config()
    config.seeds = (0,)
    rows = verdicts(summarize(config, list(records(config, DEGRADED))))
    decided = {id for id, verdict in rows.items() if verdict != "undecided"}
    assert decided == {"C-R4", "C-R6", "C-R8", "C-R12"}


def test_unfinished_seeds_are_left_out():
    config = get_config()
    lines = list(records(config, DEGRADED))
    assert {row["n"] for row in summarize(config, lines[:-1])["claims"]} == {2}
    assert "mean of 2 seeds" in draw(config, lines[:-1])["figure"].caption
    assert summarize(config, [])["claims"] == [] and draw(config, []) == {}


def test_paper_numbers_stand_beside_the_same_data_only():
    rows = {tier: summarize(get_config(tier), [])["comparison"] for tier in ("laptop", "paper")}
    assert [row["paper"] for row in rows["laptop"]] == [None] * 4
    assert [row["paper"] for row in rows["paper"]] == [None, None, 8.75, 6.97]


def test_deviations_follow_the_config():
    def here(config):
        return [row["here"] for row in summarize(config, [])["deviations"]]

    config = get_config("paper")
    assert not any("digits" in text or "iterations at a rate" in text for text in here(config))
    assert any("digits" in text for text in here(get_config()))
    config.train.steps = 500
    assert any(text.startswith("500 iterations") and "250 and 375" in text for text in here(config))


@pytest.mark.parametrize(
    ("tier", "images", "seeds", "drops"),
    [
        ("laptop", "scikit-learn's digits", "mean of 5 seeds, band: one", [66, 99]),
        ("cifar10", "CIFAR-10", "one seed", [250, 375]),
    ],
)
def test_the_committed_logs_are_drawn(tier, images, seeds, drops):
    config = ConfigDict(json.loads((RESULTS / tier / "config.json").read_text()))
    lines = log.read(RESULTS / tier / "metrics.jsonl")
    (curves, caption), (inside, below) = map(draw(config, lines).get, ("figure", "inside"))
    assert images in caption and seeds in caption and seeds.split(",")[0] in below.lower()
    assert [ax.get_title() for ax in curves.axes] == ["plain nets", "residual nets"]
    for ax, kind in zip(curves.axes, ("plain", "resnet"), strict=True):
        assert [text.get_text() for text in ax.texts] == ["20 layers", "56 layers"]
        ends = [line for line in lines if line["net"].startswith(kind) and "test" in line]
        ends = [line for line in ends if line["step"] == config.train.steps]
        for depth, (train, test) in {20: ax.lines[0:2], 56: ax.lines[2:4]}.items():
            last = [line for line in ends if line["net"] == f"{kind}-{depth}"]
            for drawn, errors in (
                (train, [line["error"] for line in last]),
                (test, [line["test"]["error"] for line in last]),
            ):
                assert drawn.get_ydata()[-1] == pytest.approx(100 * np.mean(errors))
        assert [line.get_xdata()[0] for line in ax.lines[4:6]] == drops
    named = [text.get_text() for text in inside.legends[0].get_texts()]
    assert named == [*NETS, "plain-20 without BN", "plain-56 without BN"]
    looks = ["before training", "half way", "after training"]
    assert [ax.get_title() for ax in inside.axes[:3]] == looks


def test_every_tier_is_accepted():
    for tier in TIERS:
        check(get_config(tier))


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("net.shallow", 14, "net.shallow=14 must be less than net.deep=14"),
        ("train.steps", 0, "train.steps=0 must be at least 1"),
        ("train.learning_rate", -1.0, "learning_rate=-1.0 must be above 0"),
        ("train.momentum", 1.0, "momentum=1.0 must be from 0 to below 1"),
        ("train.bn_momentum", 1.0, "bn_momentum=1.0 must be from 0 to below 1"),
        ("train.decay", -1e-4, "decay=-0.0001 must be at least 0"),
        ("measure.every", 0, "measure.every=0 must be at least 1"),
        ("measure.every", 5, "inside_every=12 must be a positive multiple of measure.every=5"),
        ("measure.save_every", 0, "save_every=0 must be a positive multiple of measure.every=4"),
    ],
)
def test_a_config_that_cannot_be(key, value, message):
    config = get_config("smoke")
    config.update_from_flattened_dict({key: value})
    with pytest.raises(UsageError, match=f"^--config.*{message}"):
        check(config)


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("train.batch_size=5000", "train.batch_size=5000 must be from 1 to 1437"),
        ("train.warmup_steps=20", "warm-up of 20 steps"),
    ],
)
def test_what_only_a_job_can_tell_is_told_before_anything_is_written(
    flag, message, tmp_path, capsys
):
    path = tmp_path / "run"
    assert main([f"{COMMAND}:smoke", f"--config.{flag}", f"--workdir={path}"]) == 2
    line = capsys.readouterr().err
    assert message in line and line.count("\n") == 1 and not path.exists()


def test_a_data_file_that_is_not_the_published_one(tmp_path, monkeypatch, capsys):
    """Of the right size, so that its published checksum must tell; it stays as it is."""
    path = tmp_path / "cifar-10-batches-bin" / "data_batch_1.bin"
    path.parent.mkdir()
    path.touch()
    with path.open("wb") as file:
        file.truncate(30_730_000)
    monkeypatch.setenv("DEEPSEQ_DATA", str(tmp_path))
    flags = ["--config.data.name=cifar10", f"--workdir={tmp_path / 'run'}"]
    assert main([f"{COMMAND}:smoke", *flags]) == 2
    line = capsys.readouterr().err
    assert "data_batch_1.bin" in line and "expected 5dd7e06a" in line and line.count("\n") == 1
    assert path.stat().st_size == 30_730_000
