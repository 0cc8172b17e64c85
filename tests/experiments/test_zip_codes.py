"""The study on zip codes: its images, its readers, what a training measures, and how it judges."""

import json
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import ConfigDict

from configs.zip_codes import get_config
from deepseq.data.source import data_dir
from deepseq.lab.errors import UsageError
from deepseq.lab.jobs import Session
from deepseq.train import log
from deepseq.train.loop import Interrupted
from experiments import zip_codes
from experiments.run import main
from experiments.zip_codes import draw, nets, plan, readers, summarize
from experiments.zip_codes.nets import NETS
from experiments.zip_codes.readers import READERS
from experiments.zip_codes.training import SHOWN, Trainer

COMMITTED = Path(__file__).resolve().parents[2] / "results/zip_codes"


def test_jobs_go_net_by_net_and_share_what_is_read_and_compiled(tmp_path, monkeypatch):
    made = []

    class Fake:
        def __init__(self, config, net):
            made.append(net)

        def train(self, session):
            return session.tag

    monkeypatch.setattr(zip_codes, "Trainer", Fake)
    jobs = plan(get_config(), tmp_path)
    assert [job.tag for job in jobs] == [
        {"net": net, "seed": seed} for net in NETS for seed in (0, 1, 2)
    ]
    assert made == [] and all(job.work(Session(job.tag, tmp_path)) == job.tag for job in jobs)
    assert made == list(NETS)


@pytest.mark.usefixtures("compiled_quickly")
def test_a_training_and_what_is_read_from_it(tmp_path):
    config = get_config("smoke")
    config.lenet5.passes = 1
    trainer = Trainer(config, "lenet5")
    tag, done = {"net": "lenet5", "seed": 0}, []
    record = trainer.train(Session(tag, tmp_path, tick=done.append))
    assert done == [1] and record["images"] == {"train": 1437, "test": 360}
    for name, (before, after) in record["curve"].items():
        assert after < before, name
    assert set(record["probe"]) == set(READERS)
    wrong = record["wrong"]
    assert len(wrong["labels"]) == SHOWN and (wrong["labels"] != wrong["answers"]).all()
    with pytest.raises(Interrupted, match="run the same command again"):
        trainer.train(Session(tag, tmp_path, stopping=lambda: True))


@pytest.mark.parametrize(
    ("net", "shape", "ends"),
    [("zip_codes", (16, 16, 1), (-1, 1)), ("lenet5", (32, 32, 1), (-0.1, 1.175))],
)
def test_images_fill_what_the_net_reads(net, shape, ends):
    splits = nets.read(net, "digits")
    assert splits.train.pixels.shape == (1437, *shape) and splits.test.pixels.shape == (360, *shape)
    pixels = splits.train.pixels
    np.testing.assert_allclose([pixels.min(), pixels.max()], ends, rtol=1e-5)


def test_images_are_enlarged_and_framed():
    images = np.arange(1.0, 5).reshape(1, 2, 2, 1)
    large = nets.fitted(images, 5, 0)[0, ..., 0]
    np.testing.assert_array_equal(
        large, [[1, 1, 2, 2, 0], [1, 1, 2, 2, 0], [3, 3, 4, 4, 0], [3, 3, 4, 4, 0], [0] * 5]
    )


def test_the_criterion_of_equation_9():
    outputs = -np.random.default_rng(0).uniform(0, 4, (5, 10))
    labels = np.array([0, 3, 9, 1, 1])
    by_hand = [
        -outputs[n, d] + np.log(np.exp(-0.1) + np.exp(outputs[n]).sum())
        for n, d in enumerate(labels)
    ]
    ours = nets.maximum_a_posteriori(jnp.float32(outputs), jnp.array(labels))
    np.testing.assert_allclose(ours, by_hand, rtol=1e-5)


def test_a_linear_reader_finds_what_is_linear_and_no_more():
    rng = np.random.default_rng(0)
    centres = 3 * rng.standard_normal((10, 12))

    def part(count):
        labels = rng.integers(0, 10, count)
        return centres[labels] + rng.standard_normal((count, 12)), labels

    def of(train, test, change=lambda x: x):
        train, test = ((change(x), labels) for x, labels in (train, test))
        return readers.test_error(train, test, (1e-3, 1e-1))

    train, test = part(2000), part(500)
    assert of(train, test) < 2
    assert of(train, test, lambda x: rng.standard_normal(x.shape)) > 80
    assert of(train, test, lambda x: 100 * x + 7) == of(train, test)


def synthetic(config, error, probes):
    """A finished log with these test errors by seed, and errors of the readers."""
    for net in NETS:
        for number, seed in enumerate(config.seeds):
            curve = {"train error": [90.0, 1.0], "test error": [90.0, error + 0.1 * number]}
            yield {
                "net": net,
                "seed": seed,
                "origin": "made up",
                "images": {"train": 100, "test": 200},
                "curve": curve | {"train loss": [1.0, 0.1], "test loss": [1.0, 0.2]},
                "probe": {
                    name: value + 0.1 * number * (k + 1)
                    for k, (name, value) in enumerate(zip(READERS, probes, strict=True))
                },
                "wrong": {"images": [[[0.0] * 4] * 4], "labels": [3], "answers": [8]},
            }


@pytest.mark.parametrize(
    ("error", "probes", "verdicts"),
    [
        (5.0, (12.0, 9.0, 6.0), ["holds"] * 3),
        (30.0, (6.0, 5.0, 9.0), ["refuted"] * 3),
        (9.9, (8.0, 8.1, 8.0), None),
    ],
)
def test_the_verdicts_follow_the_measurements(error, probes, verdicts):
    config = get_config()
    rows = summarize(config, list(synthetic(config, error, probes)))["claims"]
    if verdicts is None:
        assert {row["verdict"] for row in rows if row["id"].startswith("C-C16")} == {"undecided"}
    else:
        assert [row["verdict"] for row in rows] == 2 * verdicts
    assert all(row["n"] == 3 and row["interval"] is not None for row in rows)


def test_the_paper_is_compared_only_where_its_images_are_read():
    paper, laptop = get_config("paper"), get_config()
    assert summarize(laptop, list(synthetic(laptop, 5.0, (3, 2, 1))))["comparison"] == []
    rows = summarize(paper, list(synthetic(paper, 5.0, (3, 2, 1))))["comparison"]
    assert [row["paper"] for row in rows] == [0.14, 5.0] and rows[1]["ours"] == pytest.approx(5.2)


def test_an_unfinished_log_is_summarised_and_drawn():
    config = get_config()
    records = list(synthetic(config, 5.0, (3, 2, 1)))
    assert summarize(config, [])["claims"] == [] and draw(config, []) == {}
    assert len(summarize(config, records[:2])["claims"]) == 3
    assert set(draw(config, records[:2])) == {"figure", "misread"}


@pytest.mark.parametrize("tier", ["laptop", "usps_mnist"])
def test_the_committed_logs_are_drawn(tier):
    config = ConfigDict(json.loads((COMMITTED / tier / "result.json").read_text())["config"])
    drawings = draw(config, log.read(COMMITTED / tier / "metrics.jsonl"))
    assert set(drawings) == {"figure", "misread"}
    assert "mean of 5 seeds" in drawings["figure"].caption
    texts = [text.get_text() for text in drawings["figure"].figure.axes[0].texts]
    assert ("printed, test: 5 %" in texts) == (tier == "usps_mnist")


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("zip_codes.data", "ups", "zip_codes.data=ups does not exist; did you mean usps?"),
        ("zip_codes.data", "mnist", "=mnist does not exist; take one of digits, usps"),
        ("lenet5.passes", 0, "--config.lenet5.passes=0 must be at least 1"),
        ("lenet5.batch_size", 0, "--config.lenet5.batch_size=0 must be from 1 to 1000"),
        ("zip_codes.rate", 0.0, "--config.zip_codes.rate=0.0 must be above 0"),
        ("zip_codes.threshold", 100.0, "zip_codes.threshold=100.0 must be between 0 and 100"),
        ("probe.penalties", (0.1, 0.0), "probe.penalties=0.1,0.0 must be one or more numbers ab"),
    ],
)
def test_a_config_that_cannot_be(tmp_path, key, value, message):
    config = get_config("smoke")
    config.update_from_flattened_dict({key: value})
    with pytest.raises(UsageError) as error:
        plan(config, tmp_path)
    assert message in str(error.value)


def test_missing_images_are_one_line(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("DEEPSEQ_DATA", str(tmp_path / "none"))
    monkeypatch.setattr("deepseq.data.usps.MIRRORS", ())
    monkeypatch.setattr(nets.usps.load, "__kwdefaults__", {"directory": None, "mirrors": ()})
    assert (
        main(
            [
                "--config=configs/zip_codes.py:smoke",
                "--config.zip_codes.data=usps",
                f"--workdir={tmp_path / 'run'}",
            ]
        )
        == 2
    )
    error = capsys.readouterr().err
    assert "zip.train.gz is missing" in error and "DEEPSEQ_DATA" in error and error.count("\n") == 1


def test_the_real_zip_codes_are_read():
    if not (data_dir() / "usps" / "zip.train.gz").exists():
        pytest.skip(f"no zip codes in {data_dir() / 'usps'}; set DEEPSEQ_DATA")
    splits = nets.read("zip_codes", "usps")
    assert (len(splits.train.labels), len(splits.test.labels)) == (7291, 2007)
    pixels = splits.train.pixels
    assert np.abs(pixels).max() == 1 and pixels.shape[1:] == (16, 16, 1)
