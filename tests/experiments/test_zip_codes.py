"""The study on zip codes: its images, its readers, how it judges, and the smoke tier as a user
types it.
"""

import json

import jax.numpy as jnp
import numpy as np
import pytest

from configs.zip_codes import get_config
from deepseq.data.source import data_dir
from deepseq.train import log
from deepseq.train.loop import Interrupted
from experiments.run import main
from experiments.zip_codes import nets as zip_codes_nets
from experiments.zip_codes import training as zip_codes_training
from experiments.zip_codes.figures import draw
from experiments.zip_codes.nets import NETS
from experiments.zip_codes.summary import READERS, summarize

SMOKE = get_config("smoke")
COMMAND = "--config=configs/zip_codes.py:smoke"


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    path = tmp_path_factory.mktemp("zip_codes")
    assert main([COMMAND, f"--workdir={path}"]) == 0
    return path


def test_smoke(finished):
    result = json.loads((finished / "result.json").read_text())
    ids = [
        f"{id} {net}{more}"
        for net in NETS
        for id, more in (("C-C16", ""), ("C-C15", ""), ("C-C15", " learned"))
    ]
    assert [row["id"] for row in result["claims"]] == ids
    for net in NETS:
        found = result["metrics"][net]
        assert found["test error"]["mean"] < 35 and found["train error"]["mean"] < 30
        assert 2 < found["linear reader of pixels"]["mean"] < 20
    assert {"figure.png", "misread.svg"} < {path.name for path in finished.iterdir()}


def test_what_is_logged_is_not_trained_again(finished, tmp_path):
    lines = (finished / "metrics.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "metrics.jsonl").write_text(
        "".join(lines[:3]) + lines[3][:40]
    )  # the last one torn by a kill
    (tmp_path / "config.json").write_bytes((finished / "config.json").read_bytes())
    assert main([COMMAND, f"--workdir={tmp_path}"]) == 0
    assert (tmp_path / "metrics.jsonl").read_bytes() == (finished / "metrics.jsonl").read_bytes()


def test_a_training_can_be_stopped():
    with pytest.raises(Interrupted, match="run the same command again"):
        zip_codes_training.train(
            SMOKE,
            zip_codes_nets.problem(SMOKE, "lenet5"),
            {"net": "lenet5", "seed": 0},
            lambda: True,
        )


@pytest.mark.parametrize(
    ("net", "shape", "ends"),
    [("zip_codes", (16, 16, 1), (-1, 1)), ("lenet5", (32, 32, 1), (-0.1, 1.175))],
)
def test_images_fill_what_the_net_reads(net, shape, ends):
    given = zip_codes_nets.problem(SMOKE, net)
    assert given.train.images.shape == (1437, *shape) and given.test.images.shape == (360, *shape)
    np.testing.assert_allclose(
        [given.train.images.min(), given.train.images.max()], ends, rtol=1e-5
    )


def test_images_are_enlarged_and_framed():
    images = np.arange(1.0, 5).reshape(1, 2, 2, 1)
    large = zip_codes_nets.fitted(images, 5, 0)[0, ..., 0]
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
    np.testing.assert_allclose(
        zip_codes_nets.maximum_a_posteriori(jnp.float32(outputs), jnp.array(labels)),
        by_hand,
        rtol=1e-5,
    )


def test_a_linear_reader_finds_what_is_linear_and_no_more():
    rng = np.random.default_rng(0)
    labels, test_labels = rng.integers(0, 10, 2000), rng.integers(0, 10, 500)
    centres = 3 * rng.standard_normal((10, 12))
    x, test = (centres[y] + rng.standard_normal((len(y), 12)) for y in (labels, test_labels))
    noise, other = rng.standard_normal((2000, 12)), rng.standard_normal((500, 12))
    assert zip_codes_training.probe(x, labels, test, test_labels, (1e-3, 1e-1)) < 2
    assert zip_codes_training.probe(noise, labels, other, test_labels, (1e-3, 1e-1)) > 80
    shifted = zip_codes_training.probe(
        100 * x + 7, labels, 100 * test + 7, test_labels, (1e-3, 1e-1)
    )
    assert shifted == zip_codes_training.probe(x, labels, test, test_labels, (1e-3, 1e-1))


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


def test_the_paper_tier_has_a_report(tmp_path):
    config = get_config("paper")
    (tmp_path / "config.json").write_text(config.to_json())
    for record in synthetic(config, 5.0, (3, 2, 1)):
        log.write(tmp_path / "metrics.jsonl", record)
    assert (
        main(["--config=configs/zip_codes.py:paper", "--report_only", f"--workdir={tmp_path}"]) == 0
    )
    report = (tmp_path / "report.html").read_text()
    assert "test errors of the net of 1989" in report and "another optimiser" in report


def test_an_unfinished_log_is_summarised_and_drawn():
    config = get_config()
    records = list(synthetic(config, 5.0, (3, 2, 1)))
    assert summarize(config, [])["claims"] == [] and draw(config, [], {}) == {}
    assert len(summarize(config, records[:2])["claims"]) == 3
    assert set(draw(config, records[:2], {})) == {"figure", "misread"}


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("zip_codes.data=ups", "--config.zip_codes.data=ups does not exist; did you mean usps?"),
        (
            "zip_codes.data=mnist",
            "--config.zip_codes.data=mnist does not exist; take one of digits, usps",
        ),
        ("lenet5.passes=0", "--config.lenet5.passes=0 must be at least 1"),
        ("lenet5.batch_size=0", "--config.lenet5.batch_size=0 must be from 1 to 1000"),
        ("zip_codes.rate=0", "--config.zip_codes.rate=0.0 must be above 0"),
        ("zip_codes.threshold=100", "--config.zip_codes.threshold=100.0 must be between 0 and 100"),
        ("probe.penalties=0.1,0", "--config.probe.penalties=(0.1, 0.0) must be numbers above 0"),
    ],
)
def test_a_config_that_cannot_be(tmp_path, capsys, flag, message):
    assert main([COMMAND, f"--config.{flag}", f"--workdir={tmp_path / 'run'}"]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
    assert not (tmp_path / "run").exists() or log.read(tmp_path / "run" / "metrics.jsonl") == []


def test_missing_images_are_one_line(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("DEEPSEQ_DATA", str(tmp_path / "none"))
    monkeypatch.setattr("deepseq.data.usps.MIRRORS", ())
    monkeypatch.setattr(
        zip_codes_nets.usps.load, "__kwdefaults__", {"directory": None, "mirrors": ()}
    )
    assert main([COMMAND, "--config.zip_codes.data=usps", f"--workdir={tmp_path / 'run'}"]) == 2
    error = capsys.readouterr().err
    assert "zip.train.gz is missing" in error and "DEEPSEQ_DATA" in error and error.count("\n") == 1


def test_the_real_zip_codes_are_read():
    if not (data_dir() / "usps" / "zip.train.gz").exists():
        pytest.skip(f"no zip codes in {data_dir() / 'usps'}; set DEEPSEQ_DATA")
    given = zip_codes_nets.problem(get_config("paper"), "zip_codes")
    assert (len(given.train.labels), len(given.test.labels)) == (7291, 2007)
    assert np.abs(given.train.images).max() == 1 and given.train.images.shape[1:] == (16, 16, 1)
