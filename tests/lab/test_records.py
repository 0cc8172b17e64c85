"""The log read back: which seeds count, what is selected, and curves."""

import numpy as np
import pytest

from deepseq.lab.records import Records

TAGS = [{"net": "a"}, {"net": "b"}]


def run(net, seed, losses=(3.0, 2.0), **end):
    """The records of one training: a look at step 0, a curve, the end."""
    points = [{"step": 0, "look": 1}, *({"step": n + 1, "loss": x} for n, x in enumerate(losses))]
    last = {"step": len(losses), "final": True, **end}
    return [{"net": net, "seed": seed, **record} for record in (*points, last)]


def log(*seeds):
    return [r for s in seeds for net in "ab" for r in run(net, s, (3 + s, 2 + s), test={"e": s})]


def test_seeds_in_the_order_asked_for_that_have_all_jobs():
    records = Records(log(2, 0, 1)[:-1], TAGS, seeds=(0, 1, 2, 3))
    assert records.seeds == [0, 2]  # b of seed 1 lacks its end, 3 never began
    assert Records([], TAGS, seeds=(0,)).seeds == []


def test_values_have_one_row_per_seed():
    records = Records(log(0, 1, 2), TAGS, seeds=(2, 0))
    np.testing.assert_array_equal(records.values("test", "e", net="a"), [2, 0])
    assert [end["test"] for end in records.ends(net="b")] == [{"e": 2}, {"e": 0}]
    assert records.end(net="b")["seed"] == 2
    assert records.has(net="a") and not records.has(net="c")
    with pytest.raises(KeyError, match="no job is tagged"):
        records.values("test", net="c")


def test_curves_leave_out_the_first_look_and_the_end():
    records = Records(log(0, 1), TAGS, seeds=(0, 1))
    steps, losses = records.curve("loss", net="a")
    np.testing.assert_array_equal(steps, [1, 2])
    np.testing.assert_array_equal(losses, [[3, 2], [4, 3]])
    assert [point["step"] for point in records.points(1, net="a")] == [0, 1, 2]


def test_jobs_that_hold_all_seeds():
    lines = [{"part": "x", "of": "", "loss": [1, 2]}, {"part": "x", "of": "n", "loss": [3, 4]}]
    tags = [{"part": "x", "of": ""}, {"part": "x", "of": "n"}, {"part": "y", "of": ""}]
    records = Records(lines, tags)
    np.testing.assert_array_equal(records.values("loss", part="x", of="n"), [3, 4])
    assert records.has(part="x", of="") and not records.has(part="y", of="")


def test_records_of_other_jobs_are_none_of_these():
    records = Records([{"corpus": {"train": 3}}, {"ngram": 2, "test": 1.0}, *log(0)], TAGS, (0,))
    assert records.seeds == [0] and len(records.all) == 10
