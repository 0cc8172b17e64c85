"""A log read back by the tags of its jobs."""

import numpy as np

from deepseq.lab.records import Records


def test_jobs_without_seeds_are_read_before_all_have_ended():
    """A job that holds all seeds in one record says what it can while another is missing."""
    tags = [{"part": "table", "of": "even"}, {"part": "echo", "of": ""}]
    records = Records([tags[0] | {"loss": [[1.0, 2.0], [3.0, 4.0]]}], tags)
    assert records.seeds == [] and records.has(**tags[0]) and not records.has(**tags[1])
    np.testing.assert_array_equal(records.values("loss", **tags[0]), [[1, 2], [3, 4]])
    assert records.end(**tags[0])["of"] == "even"
