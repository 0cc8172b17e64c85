import json
import os
import resource
import time

import jax.numpy as jnp
import numpy as np
import pytest

from deepseq.data.source import DataError
from deepseq.lab import environment, workdir
from deepseq.lab.errors import UsageError

CONFIG = {"name": "a", "tier": "b", "seeds": (0, 1), "train": {"steps": 3}}


def refused(path, config=CONFIG):
    with pytest.raises(UsageError) as caught, workdir.claimed(path, config):
        raise AssertionError("claimed")
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_claims_and_continues_with_the_same_config(tmp_path):
    path = tmp_path / "deep" / "down"
    for _ in range(2):
        with workdir.claimed(path, CONFIG) as claimed:
            assert claimed == path
    assert json.loads((path / "config.json").read_text()) == {**CONFIG, "seeds": [0, 1]}


def test_another_config_is_told_key_by_key_with_both_values(tmp_path):
    with workdir.claimed(tmp_path / "r", CONFIG):
        pass
    line = refused(
        tmp_path / "r",
        {"name": "a", "tier": "b", "seeds": (0,), "train": {"steps": 4, "rate": 0.1}},
    )
    assert (
        "seeds is [0, 1] there and [0] here" in line and "train.steps is 3 there and 4 here" in line
    )
    assert "train.rate is absent there and 0.1 here" in line and "name" not in line
    assert json.loads((tmp_path / "r" / "config.json").read_text())["train"] == {"steps": 3}


def test_one_writer(tmp_path):
    with workdir.claimed(tmp_path / "r", CONFIG):
        assert f"in use by process {os.getpid()}; wait for it" in refused(tmp_path / "r")
    with workdir.claimed(tmp_path / "r", CONFIG):
        pass


def test_a_file_as_the_directory(tmp_path):
    (tmp_path / "f").write_text("mine")
    assert f"{tmp_path / 'f'} is a file" in refused(tmp_path / "f")
    assert "cannot be written (Not a directory)" in refused(tmp_path / "f" / "inside")
    assert (tmp_path / "f").read_text() == "mine"


def test_a_directory_that_cannot_be_written(tmp_path, monkeypatch):
    monkeypatch.setattr(workdir, "LOCK", "no/such/lock")  # root may write everywhere
    assert "cannot be written" in refused(tmp_path / "r")


def test_a_directory_of_other_things_is_left_alone(tmp_path):
    (tmp_path / "figure.png").write_text("mine")
    assert "is not empty and holds no run" in refused(tmp_path)
    assert (tmp_path / "figure.png").read_text() == "mine"


@pytest.mark.parametrize("content", ["", '{"name": "a", "ti', "[1]", "\x80\x81"])
def test_a_damaged_config_file(tmp_path, content):
    (tmp_path / "config.json").write_bytes(content.encode("latin1"))
    assert "config.json is damaged" in refused(tmp_path)


@pytest.mark.parametrize("error", [UsageError("x"), DataError("x")])
def test_a_run_refused_before_it_began_leaves_nothing(tmp_path, error):
    with pytest.raises(type(error)), workdir.claimed(tmp_path / "r", CONFIG):
        workdir.begin_session(tmp_path / "r", {})
        raise error
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(OSError), workdir.claimed(tmp_path / "r", CONFIG):
        raise OSError("a full disk can be emptied")
    assert (tmp_path / "r" / "config.json").exists()


def test_a_damaged_log_names_its_line(tmp_path):
    (tmp_path / "metrics.jsonl").write_text('{"step": 1}\n{"st\n{"step": 3}\n')
    with pytest.raises(UsageError, match="metrics.jsonl: line 2 "):
        workdir.read_log(tmp_path)
    (tmp_path / "metrics.jsonl").write_text('{"step": 1}\n{"st')
    assert workdir.read_log(tmp_path) == [{"step": 1}]


def log(path, step):
    with open(path / "metrics.jsonl", "a") as file:
        file.write(f'{{"step": {step}}}\n')


def test_sessions_add_up_and_tell_what_changed(tmp_path):
    for step, (version, seconds) in enumerate([("1", 2.0), ("1", 3.5), ("2", 1.0)]):
        workdir.begin_session(tmp_path, {"jax": version, "cores": 2, "commit": None})
        log(tmp_path, step)
        workdir.end_session(tmp_path, seconds)
    assert workdir.sessions(tmp_path) == ({"jax": "1, then 2", "cores": 2, "commit": None}, 6.5)
    assert not (tmp_path / ".session.json").exists()


def test_a_session_that_logged_nothing_does_not_count(tmp_path):
    log(tmp_path, 1)
    workdir.begin_session(tmp_path, {"jax": "1"})
    workdir.end_session(tmp_path, 9.0)
    assert workdir.sessions(tmp_path) == ({}, None)


def test_a_killed_session_lasted_until_its_last_record(tmp_path):
    workdir.begin_session(tmp_path, {"jax": "1"})
    log(tmp_path, 1)
    os.utime(tmp_path / "metrics.jsonl", (time.time() + 50,) * 2)
    workdir.begin_session(tmp_path, {"jax": "1"})
    workdir.end_session(tmp_path, 1.0)  # added nothing
    assert workdir.sessions(tmp_path)[1] == pytest.approx(50, abs=1)


def test_a_damaged_list_of_sessions(tmp_path):
    (tmp_path / "sessions.jsonl").write_text("{\n{}\n")
    with pytest.raises(UsageError, match="sessions.jsonl: line 1"):
        workdir.sessions(tmp_path)


def test_a_file_is_written_whole_or_not_at_all(tmp_path):
    workdir.write(tmp_path / "f", b"old")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(OSError, match="cannot be written") as caught:
            workdir.write(tmp_path / "f", b"x" * 2000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert caught.value.filename == str(tmp_path / "f")
    assert (tmp_path / "f").read_bytes() == b"old" and [p.name for p in tmp_path.iterdir()] == ["f"]


def test_json_of_numpy_jax_and_what_json_cannot_say(tmp_path):
    value = {
        "a": np.float32(0.5),
        "b": jnp.arange(2),
        "c": float("nan"),
        "d": (np.inf, 1, None, True, "ü"),
        5: np.int64(3),
    }
    workdir.write_json(tmp_path / "f", value)
    expected = {"a": 0.5, "b": [0, 1], "c": None, "d": [None, 1, None, True, "ü"], "5": 3}
    assert json.loads((tmp_path / "f").read_text()) == expected


def test_the_environment(tmp_path):
    described = environment.describe()
    assert set(described) == {
        "python",
        "jax",
        "jaxlib",
        "numpy",
        "device",
        "cores",
        "platform",
        "commit",
    }
    assert all(described[key] for key in described.keys() - {"commit"})


def test_the_commit_is_the_trees_own(tmp_path):
    git = f"git -C {tmp_path} -c user.name=a -c user.email=a@b.c"
    assert environment.commit(tmp_path) is None
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "f").write_text("1")
    if os.system(f"git -C {tmp_path} init -q && {git} add -A && {git} commit -qm one"):
        pytest.skip("no git")
    clean = environment.commit(tmp_path)
    assert len(clean) == 40 and environment.commit(tmp_path / "sub") is None
    (tmp_path / "sub" / "f").write_text("2")
    assert environment.commit(tmp_path) == f"{clean}+changes"


def test_nothing_of_somebody_else_is_touched(tmp_path):
    """A foreign lock, a link and a thesis stay as they are, to the byte."""
    home, secret = tmp_path / "d", tmp_path / "secret"
    home.mkdir()
    (home / ".lock").write_text("precious")
    secret.write_text("1234")
    assert "is of another program" in refused(home)
    (home / "thesis").touch()
    assert "holds no run" in refused(home)
    assert (home / ".lock").read_text() == "precious"
    linked = tmp_path / "linked"
    linked.mkdir()
    (linked / ".lock").symlink_to(secret)
    assert "is of another program" in refused(linked)
    assert secret.read_text() == "1234"
    (tmp_path / "folder" / ".lock").mkdir(parents=True)
    assert "is of another program" in refused(tmp_path / "folder")


def test_a_failed_start_does_not_bind_an_empty_directory(tmp_path):
    with pytest.raises(DataError), workdir.claimed(tmp_path, CONFIG):
        raise DataError("no data")
    assert list(tmp_path.iterdir()) == []
    with workdir.claimed(tmp_path, {**CONFIG, "seeds": (3,)}):
        pass


@pytest.mark.parametrize("content", ["{}", "[]", '{"started": "x"}', "[" * 200_000])
def test_a_session_note_that_is_none(tmp_path, content):
    (tmp_path / workdir._RUNNING).write_text(content)
    workdir.settle_session(tmp_path)
    assert workdir.sessions(tmp_path) == ({}, None)
    (tmp_path / "sessions.jsonl").write_text("{}\n")
    with pytest.raises(UsageError, match="line 1 is of no session"):
        workdir.sessions(tmp_path)
