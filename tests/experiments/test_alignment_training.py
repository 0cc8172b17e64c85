"""The alignment study: what is held out, the nets, one training, what is measured inside."""

import itertools

import jax
import numpy as np
import pytest
from ml_collections import FrozenConfigDict

from configs.alignment import get_config
from deepseq.data import transduction
from deepseq.lab.jobs import Session
from deepseq.nets.blocks.net import parameters
from deepseq.train.loop import Interrupted
from experiments.alignment.measures import decides, masses, slopes, unequal_to_one
from experiments.alignment.nets import ATTENTIVE, FIXED, NETS, REVERSED, TRANSFORMER, build, names
from experiments.alignment.tasks import DATE_LENGTHS, TASKS, shortened
from experiments.alignment.training import Trainer, rooms_open, train

pytestmark = pytest.mark.usefixtures("compiled_quickly")

SMOKE = get_config("smoke")


def texts(rows):
    return {transduction.decode(row, transduction.CHARACTERS) for row in rows}


def test_lengths_that_are_tested_are_never_trained_on():
    config = get_config()
    task, rng = TASKS["reversal"](config, 0), np.random.default_rng(0)
    assert list(task.tests) == list(range(5, 61, 5)) and task.rooms == (8, 16, 32, 64)
    seen = set()
    for room, (shortest, longest) in enumerate(((1, 8), (9, 16), (17, 32), (33, 64))):
        batch = task.draw(rng, 500, room)
        assert batch.source.shape == (
            500,
            longest,
        ) and batch.answers.shape == batch.given.shape == (500, longest + 1)
        assert set(batch.lengths) == {n for n in range(shortest, longest + 1) if n % 5}
        seen |= set(batch.lengths)
    assert not seen & set(task.tests)
    for n, test in task.tests.items():
        assert set(test.lengths) == {n} and test.source.shape == (config.test, 64)
        np.testing.assert_array_equal(test.answers[:, :n], test.source[:, :n][:, ::-1])
        assert (test.answers[:, n] == transduction.END).all() and (
            test.counted.sum(1) == n + 1
        ).all()
        np.testing.assert_array_equal(test.given[:, 1 : n + 1], test.answers[:, :n])


def test_days_that_are_tested_are_never_trained_on():
    config = get_config()
    task = TASKS["dates"](config, 0)
    trained = task.draw(np.random.default_rng(0), 3000, 0)
    assert list(task.tests) == list(DATE_LENGTHS) == list(range(9, 34, 3))
    for n, test in task.tests.items():
        assert (
            len(test.lengths) == config.test
            and set(test.lengths) == {n}
            and test.source.shape[1] == 33
        )
        assert len(texts(test.source)) == config.test
        assert not texts(test.answers) & texts(trained.answers)


def test_seeds_have_their_own_tests():
    a, b, c = (TASKS["reversal"](SMOKE, seed).tests[10].source for seed in (0, 1, 0))
    assert (a == c).all() and (a != b).any()


def test_what_is_shortened_is_the_beginning():
    batch = TASKS["reversal"](SMOKE, 0).tests[5]
    short = shortened(batch, 3, 5)
    assert (
        short.source.shape == (3, 5)
        and short.given.shape == short.answers.shape == (3, 6)
        and short.counted.all()
    )
    np.testing.assert_array_equal(short.answers, batch.answers[:3, :6])


def test_nets_have_about_as_many_parameters():
    for tier, vocabulary in itertools.product(
        ("laptop", "paper"), (11, len(transduction.CHARACTERS))
    ):
        config = get_config(tier)
        counts = {name: parameters(build(config, name, vocabulary).net) for name in NETS}
        assert max(counts.values()) < 1.1 * min(counts.values()), counts
    config = get_config()
    assert names(config, "dates") == NETS and names(config, "reversal") == (
        *NETS,
        "fixed, 28",
        "fixed, 56",
    )
    widths = [
        build(config, name, 11).net.init(jax.random.key(0)).softmax.w.shape[0]
        for name in ("fixed, 28", FIXED)
    ]
    assert widths == [28, 112]


def test_the_reversed_net_reads_backwards():
    plain, backwards = (build(SMOKE, name, 11).net for name in (FIXED, REVERSED))
    params, batch = plain.init(jax.random.key(0)), TASKS["reversal"](SMOKE, 0).tests[5]
    source = batch.source[:, :5]
    expected = plain.encode(params, source[:, ::-1], lengths=None, key=None)
    memory = backwards.encode(params, batch.source, lengths=batch.lengths, key=None)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), memory, expected)


def test_rooms_open_one_after_the_other():
    assert [rooms_open(n, 600, 4) for n in (0, 199, 200, 399, 400, 599, 600, 5000)] == [
        1,
        1,
        2,
        2,
        3,
        3,
        4,
        4,
    ]
    assert rooms_open(0, 0, 4) == 4 and rooms_open(0, 10, 1) == 1


def test_mass_on_the_anti_diagonal():
    n, rest = 4, np.zeros((1, 2, 3, 6))
    exact = np.concatenate(
        [np.pad(np.eye(n)[::-1], ((0, 0), (0, 2)))[None, None].repeat(2, 1), rest], 2
    )
    beside = np.roll(exact, 1, axis=-1)
    values = masses(np.concatenate([exact, beside, np.full_like(exact, 1 / 6)]), n)
    np.testing.assert_allclose(values["mass"], [1, 0, 1 / 6])
    assert values["largest"].tolist()[:2] == [1, 0]
    # nothing is before the last to be said
    np.testing.assert_allclose(values["near"], [1, 1, np.mean([3, 3, 3, 2]) / 6])
    assert unequal_to_one(np.array([[0.5, 0.5], [0.5, 0.75]])) == 0.25


@pytest.mark.parametrize("name", [ATTENTIVE, TRANSFORMER])
def test_slopes_are_of_the_scores_alone(name):
    trainer = Trainer(SMOKE, "reversal", build(SMOKE, name, 13))
    params = trainer.net.init(jax.random.key(0))
    batch = shortened(TASKS["reversal"](SMOKE, 0).tests[5], 2, 5)
    slope = slopes(trainer.loss_and_gradient, params, batch, 0)
    assert abs(slope["gradient"] / slope["differences"] - 1) < 1e-5 and slope["gradient"] != 0
    flat = jax.tree_util.tree_flatten_with_path(params)[0]
    chosen = {
        path[-2].name if path[-1].name == "v" else path[-1].name: leaf.shape
        for path, leaf in flat
        if decides(path)
    }
    assert len(chosen) == (3 if name == ATTENTIVE else 4)
    # the loss does depend on the weights: where all keys are alike nothing is left of that slope
    alike = batch._replace(source=np.full_like(batch.source, transduction.CONTENT))
    if name == ATTENTIVE:
        still = params._replace(encoder=jax.tree.map(np.zeros_like, params.encoder))
        assert slopes(trainer.loss_and_gradient, still, alike, 0)["gradient"] == 0


def test_a_training_and_what_is_measured_of_it(tmp_path):
    tag = {"task": "reversal", "net": ATTENTIVE, "seed": 0}
    record = train(FrozenConfigDict(SMOKE), Session(tag, tmp_path))
    assert record["loss"][-1] < record["loss"][0] - 0.05 and record["ended"] is None
    assert record["lengths"] == [5, 10] and all(0 < share < 1 for share in record["tokens"])
    assert record["alignment"]["sum"] < 1e-6 and record["start"]["mass"].shape == (1, 2)
    shown = record["shown"]
    assert shown["answers"].tolist() == [*shown["source"][::-1], transduction.END]
    assert shown["weights"].shape == (1, 6, 5)


def test_a_training_that_diverges_is_a_record_and_one_can_be_stopped(tmp_path):
    config = get_config("smoke")
    config.fixed.rate = 1e38
    config, tag = FrozenConfigDict(config), {"task": "reversal", "net": FIXED, "seed": 0}
    with pytest.raises(Interrupted, match="run the same command again"):
        train(config, Session(tag, tmp_path, stopping=lambda: True))
    record = train(config, Session(tag, tmp_path))
    assert record["ended"] in (1, 2, 3) and not np.isfinite(record["loss"][-1])
    assert len(record["loss"]) == config.reversal.updates // config.every
