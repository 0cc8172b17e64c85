"""Checkpoints of whatever a state may hold, of other states, of unreadable files, and while another
process writes them.
"""

import json
import os

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from deepseq.train.checkpoints import CheckpointError, Checkpoints


def tree():
    return {"w": jnp.arange(6.0).reshape(2, 3), "n": jnp.int32(3)}


def saved(directory, state=None, steps=(1, 2)):
    with Checkpoints(directory) as checkpoints:
        for step in steps:
            checkpoints.save(step, tree() if state is None else state)
    return directory


@pytest.mark.parametrize("number", [True, 3, -(2**40), 0.1, 2 - 1j], ids=repr)
def test_numbers_of_python_come_back_as_they_were(tmp_path, number):
    with Checkpoints(saved(tmp_path, {"a": number, "w": np.ones(2)})) as checkpoints:
        found = checkpoints.restore({"a": type(number)(0), "w": np.zeros(2)})
    assert found["a"] == number and type(found["a"]) is type(number)


@pytest.mark.parametrize("impl", ["threefry2x32", "rbg"])
def test_random_keys_come_back_as_keys(tmp_path, impl):
    state = {"key": jax.random.key(7, impl=impl), "keys": jax.random.split(jax.random.key(1), 3)}
    like = jax.tree.map(jax.random.clone, state)
    with Checkpoints(saved(tmp_path, state)) as checkpoints:
        found = checkpoints.restore(like)
    assert jax.random.key_impl(found["key"]) == jax.random.key_impl(state["key"])
    drawn = [jax.random.normal(s["key"], (3,)) for s in (found, state)]
    chex.assert_trees_all_equal(*drawn)
    chex.assert_trees_all_equal(*(jax.random.key_data(s["keys"]) for s in (found, state)))


def test_a_step_is_saved_once(tmp_path):
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(3, tree())
        with pytest.raises(ValueError, match="step 3 is saved already; save it once"):
            checkpoints.save(3, tree())
        chex.assert_trees_all_equal(checkpoints.restore(tree()), tree())


@pytest.mark.parametrize("keep", [0, -1])
def test_something_must_be_kept(tmp_path, keep):
    with pytest.raises(ValueError, match=f"keep is {keep}, but at least 1"):
        Checkpoints(tmp_path / "checkpoints", keep=keep)
    assert not (tmp_path / "checkpoints").exists()


@pytest.mark.parametrize(
    ("like", "message"),
    [
        (
            {"v": jnp.zeros((2, 3)), "n": jnp.int32(0)},
            r"v is absent there and float32 \(2, 3\) here",
        ),
        ({"w": jnp.zeros((2, 3))}, r"n is int32 \(\) there and absent here"),
        (
            {"w": jnp.zeros((3, 2)), "n": jnp.int32(0)},
            r"w is float32 \(2, 3\) there and float32 \(3, 2\)",
        ),
        (
            {"w": jnp.zeros((2, 3), jnp.bfloat16), "n": jnp.int32(0)},
            r"w is float32 \(2, 3\) there and bfloat16 \(2, 3\)",
        ),
    ],
)
def test_another_state_is_told_by_its_first_leaf(tmp_path, like, message):
    with Checkpoints(saved(tmp_path)) as checkpoints:
        with pytest.raises(CheckpointError, match=message) as error:
            checkpoints.restore(like)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("content", ["{}", "[]", "3", '{"default/none": "0"}', "[" * 100_000])
def test_digests_that_are_none_are_damage(tmp_path, content):
    (saved(tmp_path) / "2" / "sha256.json").write_text(content)
    lines = []
    with Checkpoints(tmp_path, warn=lines.append) as checkpoints:
        assert checkpoints.restore(tree()) is not None
    assert len(lines) == 1 and "step 2 is damaged" in lines[0] and "step 1" in lines[0]


@pytest.mark.parametrize(
    "error", [PermissionError(13, "Permission denied"), OSError(5, "I/O error")]
)
def test_unreadable_is_not_damaged(tmp_path, monkeypatch, error):
    saved(tmp_path)
    plain = type(tmp_path).read_bytes

    def read_bytes(path):
        if "default" in path.parts:
            raise error
        return plain(path)

    monkeypatch.setattr(type(tmp_path), "read_bytes", read_bytes)
    with Checkpoints(tmp_path) as checkpoints:
        with pytest.raises(CheckpointError, match=f"cannot be read .{error.strerror}.; it is not"):
            checkpoints.restore(tree())
    assert sorted(os.listdir(tmp_path)) == ["1", "2"]


def test_reading_changes_nothing(tmp_path):
    """Neither what another process is writing nor what is damaged, nor is a directory made."""
    (saved(tmp_path) / "3.orbax-checkpoint-tmp-1").mkdir()
    (tmp_path / "2" / "sha256.json").write_text(json.dumps({"default/x": "0"}))
    before = sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*"))
    lines = []
    with Checkpoints(tmp_path, warn=lines.append, reading=True) as checkpoints:
        chex.assert_trees_all_equal(checkpoints.restore(tree()), tree())
    assert sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*")) == before
    assert len(lines) == 1 and lines[0].endswith("taking step 1")
    with Checkpoints(tmp_path / "none", reading=True) as checkpoints:
        assert checkpoints.restore(tree()) is None
    assert not (tmp_path / "none").exists()


def test_a_reader_does_not_disturb_the_writer(tmp_path):
    with Checkpoints(tmp_path) as writer:
        for step in range(1, 5):
            writer.save(step, tree())
            with Checkpoints(tmp_path, reading=True) as reader:
                reader.restore(tree())
    assert sorted(os.listdir(tmp_path)) == ["3", "4"]
