"""Jobs without a seed: how they are named and read back."""

from deepseq.lab import jobs
from deepseq.lab.records import Records

TABLE = {"part": "table", "seed": None}


def test_a_job_without_a_seed_is_named_by_the_rest_of_its_tag(tmp_path, monkeypatch):
    named = []
    monkeypatch.setattr(jobs.progress, "bar", lambda total: Bar(named))
    plan = [jobs.Job({"part": "table", "seed": seed}, lambda session: {}) for seed in (None, 0)]
    jobs.run(plan, tmp_path)
    assert list(dict.fromkeys(named)) == ["table", "table, seed 0"]


def test_a_record_of_no_seed_is_found_where_no_seeds_are_asked_for():
    records = Records([TABLE | {"found": 3}], [{"part": "table"}])
    assert records.seeds == [0] and records.values("found", part="table") == 3
    assert Records([TABLE | {"found": 3}], [{"part": "table"}], [0]).seeds == []


class Bar:
    """Notes what the progress bar is told."""

    def __init__(self, named):
        self.named = named

    def __enter__(self):
        return lambda done, label: self.named.append(label)

    def __exit__(self, *error):
        pass
