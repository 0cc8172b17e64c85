"""The study on the four modes: its tasks, and how it judges."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs.sequence_modes import get_config
from deepseq.data import digits, transduction
from deepseq.lab.errors import UsageError
from deepseq.lab.jobs import Session
from deepseq.train.loop import Interrupted
from deepseq.train.teaching import TeachingBatch
from experiments.sequence_modes import check
from experiments.sequence_modes.figures import draw
from experiments.sequence_modes.records import NETS
from experiments.sequence_modes.summary import chances, summarize
from experiments.sequence_modes.tasks import TASKS, captioner, shifted
from experiments.sequence_modes.training import Trainer, mean_loss, scores

SMOKE = get_config("smoke")


def session(net, seed=0, **more):
    return Session({"net": net, "seed": seed}, None, **more)


def test_a_training_can_be_stopped():
    trainer = Trainer(SMOKE, TASKS["parity"](SMOKE))
    with pytest.raises(Interrupted, match="run the same command again"):
        trainer.train(session("parity", stopping=lambda: True))


def test_images_move_within_the_frame():
    images = np.arange(1, 1 + 5 * 4 * 4, dtype=np.uint8).reshape(5, 4, 4, 1)
    np.testing.assert_array_equal(shifted(images, 0, np.random.default_rng(0)), images)
    seen = set()
    for seed in range(20):
        for before, after in zip(
            images, shifted(images, 1, np.random.default_rng(seed)), strict=True
        ):
            framed = np.pad(before, ((1, 1), (1, 1), (0, 0)))
            seen |= {
                (i, j)
                for i in range(3)
                for j in range(3)
                if (framed[i : i + 4, j : j + 4] == after).all()
            }
    assert len(seen) == 9


def test_the_words_of_held_out_images():
    task = TASKS["image"](SMOKE)
    test = task.tests(np.random.default_rng(0))["final"]
    labels = digits.load().test.labels
    assert [transduction.decode(row, transduction.LETTERS) for row in test.answers] == [
        transduction.WRITTEN[label] for label in labels
    ]
    train = digits.load().train.pixels
    drawn = task.draw(np.random.default_rng(0), 3, None)
    assert drawn.source.shape == (3, *train.shape[1:])
    for given, answers, counted in zip(drawn.given, drawn.answers, drawn.counted, strict=True):
        end = counted.sum() - 1
        assert answers[end] == transduction.END and not answers[end + 1 :].any()
        assert given[0] == transduction.BEGIN and (given[1 : end + 1] == answers[:end]).all()


def test_captioner_teaches_what_it_decodes():
    net = captioner(9, lambda pixels: pixels / 16, channels=3, embedding=5, hidden=6)
    params = net.init(jax.random.key(0))
    images = jax.random.uniform(jax.random.key(1), (4, 8, 8, 1), maxval=16)
    tokens = jax.random.randint(jax.random.key(2), (4, 5), 0, 9)
    memory = net.encode(params, images, lengths=None, key=None)
    taught = net.teach(params, memory, tokens, key=None)
    carry = net.start(params, memory, 5)
    for t in range(5):
        carry, logits = net.decode(params, memory, carry, tokens[:, t])
        np.testing.assert_allclose(logits, taught[:, t], atol=1e-5)
    other = net.encode(params, images[::-1], lengths=None, key=None)
    assert np.abs(net.teach(params, other, tokens, key=None) - taught).max() > 1e-3


def test_strings_grow_to_the_longest():
    config = get_config()
    task = TASKS["parity"](config)
    assert task.stages == (2, 3, 4, 6, 9, 13, 19, 28, 40)
    rng = np.random.default_rng(0)
    short = task.draw(rng, 200, 3)
    assert (
        short.source.shape == (200, 40)
        and short.lengths.max() == 3
        and not short.source[:, 3:].any()
    )
    tests = task.tests(rng)
    assert set(tests["longest"].lengths) == {40} and set(tests["final"].lengths) == set(
        range(1, 41)
    )
    ones = (tests["longest"].source == transduction.CONTENT + 1).sum(1)
    np.testing.assert_array_equal(tests["longest"].answers[:, 0], ones % 2)


def test_as_many_units_each_way():
    config = get_config()
    shapes = {
        name: jax.eval_shape(TASKS[name](config).init, jax.random.key(0)) for name in NETS[3:]
    }
    units = {name: params.readout.w.shape[0] for name, params in shapes.items()}
    assert units == dict.fromkeys(NETS[3:], config.tagging.hidden)


def test_one_way_sees_no_step_to_come_and_both_ways_do():
    for name, blind in (("unidirectional", True), ("bidirectional", False)):
        task = TASKS[name](SMOKE)
        batch = task.tests(np.random.default_rng(0))["curve"]
        params = task.init(jax.random.key(0))
        t = 3
        late = batch.source.copy()
        late[:, t + 1 :] = transduction.CONTENT
        before, after = (
            task.teach(params, batch._replace(source=source))[:, : t + 1]
            for source in (batch.source, late)
        )
        assert (np.abs(before - after).max() < 1e-6) == blind


def test_what_does_not_count_is_left_out():
    answers = np.array([[3, 2, 0], [4, 5, 2], [5, 5, 5]])
    counted = np.array([[True, True, False], [True, True, True], [True, False, False]])
    batch = TeachingBatch(None, None, None, answers, counted)
    given = np.array([[3, 2, 9], [4, 9, 2], [9, 5, 5]])
    assert scores(given, batch) == {"answers": 4 / 6, "whole": 1 / 3}
    logits = jax.nn.one_hot(jnp.asarray(given), 10) * 2.0
    loss, metrics = mean_loss(logits, batch)
    right, wrong = np.log(9 + np.e**2) - 2, np.log(9 + np.e**2)
    np.testing.assert_allclose(loss, (4 * right + 2 * wrong) / 6, rtol=1e-6)
    np.testing.assert_allclose(metrics["accuracy"], 4 / 6, rtol=1e-6)
    spoilt = logits.at[0, 2].set(jnp.nan)
    assert np.isfinite(mean_loss(spoilt, batch)[0])


def test_chance_is_the_best_constant_answer():
    found = chances(get_config())
    data = transduction.reversal(0, 100_000, (1, 10), 8)
    most = np.unique(data.targets, axis=0, return_counts=True)[1].max() / 100_000
    assert found["reversal"] == 1 / 80 and abs(most - 1 / 80) < 0.002
    assert (found["image"], found["parity"], found["tagging"]) == (0.1, 0.5, 0.25)


def test_a_training_that_diverges_is_a_record():
    config = get_config("smoke")
    config.tagging.update({"updates": 4, "every": 2, "rate": 1e38})
    trainer = Trainer(config, TASKS["unidirectional"](config))
    record = trainer.train(session("unidirectional"))
    assert (
        record["ended"] in (1, 2, 3)
        and len(record["loss"]) == 2
        and not np.isfinite(record["loss"][-1])
    )
    assert all(0 <= value <= 1 for values in record["curve"].values() for value in values)


def synthetic(config, finals):
    """A finished log with these accuracies after the last update, by net and seed."""
    for number, seed in enumerate(config.seeds):
        for net in NETS:
            value = finals[net][number]
            rows = {"image": np.zeros((4, 8, 8), int)}.get(
                net, np.full((4, 6), transduction.CONTENT)
            )
            words = np.tile([transduction.CONTENT, transduction.END, 0], (4, 1))
            words = (
                words
                if net in ("image", "reversal")
                else np.zeros((4, 1 if net == "parity" else 3), int)
            )
            yield {
                "net": net,
                "seed": seed,
                "every": 10,
                "curve": {"answers": [0.1, value], "whole": [0.0, value]},
                "loss": [1.0, 0.5],
                "stages": [None, None],
                "ended": None,
                "final": {"answers": value, "whole": value},
                "longest": {"answers": value, "whole": value},
                "shown": {
                    "source": rows.tolist(),
                    "lengths": [6] * 4,
                    "answers": words.tolist(),
                    "right": words.tolist(),
                },
            }


GOOD = {
    "image": [0.93, 0.94, 0.92],
    "parity": [1.0, 0.999, 1.0],
    "reversal": [0.99, 0.98, 0.985],
} | {
    "bidirectional": [1.0, 1.0, 1.0],
    "unidirectional": [0.25, 0.252, 0.249],
}
POOR = {"image": [0.8, 0.81, 0.79], "parity": [0.5, 0.51, 0.5], "reversal": [0.3, 0.31, 0.32]} | {
    "bidirectional": [0.9, 0.91, 0.9],
    "unidirectional": [0.5, 0.51, 0.49],
}


@pytest.mark.parametrize(("finals", "verdict"), [(GOOD, "holds"), (POOR, "refuted")])
def test_the_verdicts_follow_the_measurements(finals, verdict):
    config = get_config()
    rows = summarize(config, list(synthetic(config, finals)))["claims"]
    assert {row["id"]: row["verdict"] for row in rows} == dict.fromkeys(
        (row["id"] for row in rows), verdict
    )
    assert all(row["interval"] is not None and row["n"] == 3 for row in rows)


def test_seeds_that_disagree_decide_nothing():
    config = get_config()
    rows = summarize(config, list(synthetic(config, GOOD | {"image": [0.95, 0.85, 0.99]})))[
        "claims"
    ]
    assert [row["id"] for row in rows if row["verdict"] != "holds"] == ["C-S17 vec-seq"]
    assert rows[0]["verdict"] == "undecided"


def test_an_unfinished_log_is_summarised_and_drawn():
    config = get_config()
    records = list(synthetic(config, GOOD))
    assert summarize(config, records[:4])["claims"] == [] and draw(config, records[:4]) == {}
    two = records[: 2 * len(NETS) + 3]
    assert {row["n"] for row in summarize(config, two)["claims"]} == {2}
    assert "2 seeds" in draw(config, two)["figure"].caption


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("batch_size=0", "--config.batch_size=0 must be at least 1"),
        ("clip=0", "--config.clip=0.0 must be above 0"),
        ("test=3", "--config.test=3 must be at least 4"),
        ("final=700", "--config.final=700 must be a positive multiple of test=500"),
        ("image.updates=30", "image.updates=30 must be a positive multiple of image.every=20"),
        ("parity.every=0", "--config.parity.every=0 must be at least 1"),
        ("reversal.hidden=0", "--config.reversal.hidden=0 must be at least 1"),
        ("tagging.embedding=0", "--config.tagging.embedding=0 must be at least 1"),
        ("image.rate=0", "--config.image.rate=0.0 must be above 0"),
        ("reversal.threshold=1", "--config.reversal.threshold=1.0 must be between 0 and 1"),
        ("image.channels=0", "--config.image.channels=0 must be at least 1"),
        ("image.shift=9", "--config.image.shift=9 must be from 0 to 8"),
        ("parity.longest=1", "--config.parity.longest=1 must be at least 2"),
        ("parity.mastered=1", "--config.parity.mastered=1.0 must be between 0 and 1"),
        ("reversal.longest=0", "--config.reversal.longest=0 must be at least 1"),
        ("reversal.symbols=1", "--config.reversal.symbols=1 must be at least 2"),
        ("tagging.ahead=0", "--config.tagging.ahead=0 must be at least 1"),
        ("tagging.ahead=8", "--config.tagging.ahead=8 must be below tagging.steps=8"),
        ("tagging.symbols=1", "--config.tagging.symbols=1 must be at least 2"),
        ("tagging.hidden=33", "--config.tagging.hidden=33 must be even"),
        ("tagging.whole=0", "--config.tagging.whole=0.0 must be between 0 and 1"),
        ("tagging.margin=0", "--config.tagging.margin=0.0 must be above 0"),
    ],
)
def test_a_config_that_cannot_be(flag, message):
    key, _, value = flag.partition("=")
    config = get_config("smoke")
    example = config
    for name in key.split("."):
        example = example[name]
    config.update_from_flattened_dict({key: type(example)(value)})
    with pytest.raises(UsageError) as error:
        check(config)
    assert message in str(error.value)
