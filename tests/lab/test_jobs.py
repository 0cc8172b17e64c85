"""The run loop: what is done, skipped and continued, and in which order it is logged."""

import functools
import json
import os

import jax
import jax.numpy as jnp
import pytest

from deepseq.lab import jobs
from deepseq.lab.jobs import Job, Session
from deepseq.train import log
from deepseq.train.loop import Interrupted

LOG = "metrics.jsonl"


def record(value, session):
    return {"value": value, "pid": os.getpid()}


def plan(names, work=record):
    return [Job({"net": name, "seed": seed}, functools.partial(work, name)) for name, seed in names]


NAMES = [("a", 0), ("a", 1), ("b", 0)]


def tags(workdir):
    return [(r["net"], r["seed"]) for r in log.read(workdir / LOG)]


def test_jobs_are_logged_in_their_order_and_once(tmp_path):
    jobs.run(plan(NAMES), tmp_path)
    assert tags(tmp_path) == NAMES
    before = (tmp_path / LOG).read_bytes()
    jobs.run(plan(NAMES), tmp_path)
    assert (tmp_path / LOG).read_bytes() == before


def test_what_is_missing_is_done(tmp_path):
    jobs.run(plan(NAMES[:1]), tmp_path)
    jobs.run(plan(NAMES[::-1]), tmp_path)
    assert tags(tmp_path) == [("a", 0), ("b", 0), ("a", 1)]


def test_a_point_of_a_curve_is_no_end(tmp_path):
    log.write(tmp_path / LOG, {"net": "a", "seed": 0, "step": 5})
    assert not jobs.finished(log.read(tmp_path / LOG), {"net": "a", "seed": 0})
    log.write(tmp_path / LOG, {"net": "a", "seed": 0, "step": 5, "final": True})
    assert jobs.finished(log.read(tmp_path / LOG), {"net": "a", "seed": 0})
    assert not jobs.finished(log.read(tmp_path / LOG), {"net": "a", "seed": 1})


def test_two_jobs_of_one_tag_are_refused(tmp_path):
    with pytest.raises(ValueError, match="two jobs are tagged a, seed 0"):
        jobs.run(plan([("a", 0), ("a", 0)]), tmp_path)
    assert not (tmp_path / LOG).exists()


def test_a_tag_may_hold_groups_and_be_no_seed(tmp_path):
    corpus = {"train": 3, "origin": "x"}
    jobs.run([Job({"corpus": corpus}, lambda session: {})], tmp_path)
    assert log.read(tmp_path / LOG) == [{"corpus": corpus}]
    jobs.run([Job({"corpus": corpus}, lambda session: {}, 3.0)], tmp_path)
    assert len(log.read(tmp_path / LOG)) == 1


def stop(name, session):
    if name == "b":
        raise Interrupted(3, session.tag)
    return {}


def test_an_interrupted_run_goes_on(tmp_path):
    with pytest.raises(Interrupted, match="net=b seed=0: interrupted at step 3"):
        jobs.run(plan(NAMES, stop), tmp_path)
    assert tags(tmp_path) == NAMES[:2]
    jobs.run(plan(NAMES), tmp_path)
    assert tags(tmp_path) == NAMES


def test_it_stops_between_jobs(tmp_path):
    asked = iter([False, True])
    session = Session({"seed": 4}, tmp_path, stopping=lambda: next(asked))
    session.check()
    with pytest.raises(Interrupted, match="seed=4: interrupted at step 7"):
        session.check(7)
    assert session.seed == 4


def test_side_by_side_they_are_logged_in_order(tmp_path):
    jobs.run(plan(NAMES), tmp_path, together=2)
    assert tags(tmp_path) == NAMES
    records = log.read(tmp_path / LOG)
    assert os.getpid() not in {r["pid"] for r in records} and [r["value"] for r in records] == [
        "a",
        "a",
        "b",
    ]


def curve(name, session):
    session.log({"step": 1})
    return {}


def test_side_by_side_they_log_nothing_else(tmp_path):
    with pytest.raises(RuntimeError, match="returns its record and logs nothing"):
        jobs.run(plan(NAMES, curve), tmp_path, together=2)


class Sum(dict):
    step = property(lambda self: self["step"])


jax.tree_util.register_pytree_with_keys(
    Sum,
    lambda s: ([(jax.tree_util.DictKey(k), s[k]) for k in sorted(s)], tuple(sorted(s))),
    lambda keys, leaves: Sum(zip(keys, leaves, strict=True)),
)


def fitted(session, fail_at=None):
    def batch(t):
        if t == fail_at:
            raise RuntimeError("cut off")
        return jnp.int32(t)

    def step(state, batch):
        return Sum(step=state.step + 1, sum=state["sum"] + batch), {"loss": jnp.float32(batch)}

    state = session.fit(
        jax.jit(step),
        Sum(step=jnp.int32(0), sum=jnp.int32(0)),
        batch,
        steps=6,
        every=2,
        save_every=2,
        observe=lambda state: {"sum": int(state["sum"])},
        look_first=True,
    )
    return {"end": int(state["sum"])}


def test_a_training_cut_off_ends_with_the_same_log(tmp_path):
    tag = {"net": "a", "seed": 0}
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    whole.mkdir()
    cut.mkdir()
    jobs.run([Job(tag, fitted)], whole)
    records = log.read(whole / LOG)
    assert [r["step"] for r in records] == [0, 2, 4, 6, 6]
    assert records[0] == {**tag, "step": 0, "sum": 0}
    assert records[-1] == {**tag, "step": 6, "final": True, "end": 15}
    with pytest.raises(RuntimeError, match="cut off"):
        jobs.run([Job(tag, functools.partial(fitted, fail_at=5))], cut)
    assert [r["step"] for r in log.read(cut / LOG)] == [0, 2, 4]
    assert (cut / "checkpoints" / "a-0").is_dir()
    jobs.run([Job(tag, fitted)], cut)
    assert (cut / LOG).read_bytes() == (whole / LOG).read_bytes()


def test_progress_names_the_job_and_grows(tmp_path, capsys, monkeypatch):
    ticks = []
    monkeypatch.setattr(jobs.progress, "bar", lambda total: _Bar(ticks, total))

    def work(session):
        session.tick(0.5)
        return {}

    jobs.run([Job({"net": "a", "seed": 0}, work, 4.0), Job({"lag": 3}, work)], tmp_path)
    assert ticks == [
        5.0,
        (0.0, "a, seed 0"),
        (2.0, "a, seed 0"),
        (4.0, "a, seed 0"),
        (4.0, "lag 3"),
        (4.5, "lag 3"),
        (5.0, "lag 3"),
    ]


class _Bar:
    def __init__(self, ticks, total):
        self.ticks = ticks
        ticks.append(total)

    def __enter__(self):
        return lambda done, label: self.ticks.append((done, label))

    def __exit__(self, *error):
        pass


def test_names_of_checkpoint_folders(tmp_path):
    path = jobs.checkpoint_path(
        tmp_path, {"task": "copy", "lag": 3, "arm": "lstm, bias 5", "of": ""}
    )
    assert path == tmp_path / "checkpoints" / "copy-3-lstm-bias-5"


def test_records_of_a_job(tmp_path):
    lines = [{"net": "a", "seed": 0, "step": 1}, {"net": "a", "seed": 1, "step": 1}, {"seed": 0}]
    (tmp_path / LOG).write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert Session({"net": "a", "seed": 0}, tmp_path).records() == lines[:1]
