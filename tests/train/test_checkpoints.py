import os
import shutil
import threading
from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp
import pytest
from jax import Array

from deepseq.train.checkpoints import CheckpointError, Checkpoints


class Layer(NamedTuple):
    w: Array
    moments: tuple


def state(seed):
    w = jax.random.normal(jax.random.key(seed), (30, 40))
    return {
        "step": jnp.int32(seed),
        "layers": (Layer(w, ()), Layer(w.astype(jnp.bfloat16), (w[0], w[1] > 0))),
    }


def saved(directory, steps=(10, 20, 30)):
    with Checkpoints(directory) as checkpoints:
        for t in steps:
            checkpoints.save(t, state(t))
    return directory


def restored(directory, like=None):
    lines = []
    with Checkpoints(directory, warn=lines.append) as checkpoints:
        return checkpoints.restore(state(0) if like is None else like), lines


def assert_same(found, expected):
    assert jax.tree.structure(found) == jax.tree.structure(expected)
    chex.assert_trees_all_equal_dtypes(found, expected)
    chex.assert_trees_all_equal(found, expected)


def data_files(directory, step):
    """The files of a checkpoint, the largest (which holds the weights) first."""
    return sorted(
        (p for p in (directory / str(step)).rglob("*") if p.is_file()),
        key=lambda p: -p.stat().st_size,
    )


def test_the_newest_comes_back_with_every_bit_and_the_same_tree(tmp_path):
    found, lines = restored(saved(tmp_path))
    assert_same(found, state(30))
    assert lines == []
    assert sorted(p.name for p in tmp_path.iterdir()) == ["20", "30"]  # the last two are kept


def test_nothing_saved_is_none(tmp_path):
    assert restored(tmp_path / "new") == (None, [])


def test_the_state_may_be_donated_while_it_is_being_written(tmp_path):
    spoil = jax.jit(lambda x: jax.tree.map(jnp.zeros_like, x), donate_argnums=0)
    with Checkpoints(tmp_path) as checkpoints:
        for t in (10, 20):
            current = state(t)
            checkpoints.save(t, current)
            spoil(current)
    assert_same(restored(tmp_path)[0], state(20))


def test_a_restored_state_is_placed_as_the_one_given_and_compiles_nothing_new(tmp_path):
    like = jax.jit(lambda: state(0))()
    step = jax.jit(
        lambda x: jax.tree.map(lambda leaf: leaf + 1 if leaf.dtype != bool else leaf, x),
        donate_argnums=0,
    )
    step(jax.jit(lambda: state(0))())
    found, _ = restored(saved(tmp_path), like)
    step(found)
    assert step._cache_size() == 1
    device = jax.devices()[0]
    found, _ = restored(tmp_path, jax.device_put(state(0), device))
    assert all(x.committed and x.devices() == {device} for x in jax.tree.leaves(found))
    step(found)  # a buffer that cannot be donated would warn


def truncate(path):
    os.truncate(path, path.stat().st_size // 2)


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


DAMAGES = {
    "manifest": lambda d: truncate(d / "default" / "manifest.ocdbt"),
    "metadata": lambda d: truncate(d / "default" / "_METADATA"),
    "data": lambda d: truncate(data_files(d.parent, d.name)[0]),
    "a byte of the data": lambda d: flip(data_files(d.parent, d.name)[0]),
    "no manifest": lambda d: (d / "default" / "manifest.ocdbt").unlink(),
    "half deleted": lambda d: shutil.rmtree(d / "default"),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_newest_falls_back_to_the_one_before_and_says_so(tmp_path, damage, capfd):
    saved(tmp_path)
    damage(tmp_path / "30")
    found, lines = restored(tmp_path)
    assert_same(found, state(20))
    (line,) = lines
    assert (
        "checkpoint of step 30 is damaged" in line
        and "continuing from step 20" in line
        and "\n" not in line
    )
    assert capfd.readouterr() == ("", "")  # orbax does not chatter
    with Checkpoints(
        tmp_path, warn=lines.append
    ) as checkpoints:  # the run goes on and writes step 30 again
        checkpoints.save(30, state(31))
    assert_same(restored(tmp_path)[0], state(31))
    assert len(lines) == 1


def test_whatever_file_is_damaged_the_numbers_are_right(tmp_path):
    saved(tmp_path / "whole", steps=(20, 30))
    for n, path in enumerate(data_files(tmp_path / "whole", 30)):
        for damage in (truncate, flip):
            copy = shutil.copytree(tmp_path / "whole", tmp_path / f"{n}{damage.__name__}")
            damage(copy / path.relative_to(tmp_path / "whole"))
            found, lines = restored(copy)
            assert_same(found, state(20 if lines else 30))


def test_both_damaged_starts_anew_and_says_so(tmp_path):
    saved(tmp_path)
    for t in (20, 30):
        flip(data_files(tmp_path, t)[0])
    found, lines = restored(tmp_path)
    assert found is None
    assert len(lines) == 2 and "starting anew" in lines[1]
    assert_same(restored(saved(tmp_path, steps=(10,)))[0], state(10))


def test_a_state_of_another_net_is_refused_and_nothing_is_set_aside(tmp_path):
    saved(tmp_path)
    for other in (
        {"step": jnp.int32(0)},
        {**state(0), "step": jnp.zeros(3)},
        {**state(0), "more": jnp.zeros(3)},
    ):
        with pytest.raises(CheckpointError, match="does not fit this net") as error:
            restored(tmp_path, other)
        assert "\n" not in str(error.value)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["20", "30"]


def test_saving_a_step_leaves_the_digests_of_others_alone(tmp_path):
    with Checkpoints(tmp_path, keep=3) as checkpoints:
        checkpoints.save(10, state(10))
        checkpoints.wait()
        before = (tmp_path / "10" / "sha256.json").stat().st_mtime_ns
        checkpoints.save(1, state(1))
    assert before == (tmp_path / "10" / "sha256.json").stat().st_mtime_ns
    assert (tmp_path / "1" / "sha256.json").exists()


def test_damage_is_told_on_the_terminal_by_default(tmp_path, capsys):
    flip(data_files(saved(tmp_path), 30)[0])
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.restore(state(0))
    assert "checkpoint of step 30 is damaged" in capsys.readouterr().err


def test_other_files_in_the_directory_survive(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "30").write_text("mine too")
    found, lines = restored(saved(tmp_path, steps=(10, 20, 30, 40)))
    assert_same(found, state(40))
    assert (tmp_path / "notes.txt").read_text() == "mine" and (
        tmp_path / "folder" / "30"
    ).read_text() == "mine too"


def test_a_file_where_the_directory_should_be_is_one_clear_error(tmp_path):
    (tmp_path / "checkpoints").write_text("")
    with pytest.raises(CheckpointError, match="checkpoints: cannot write a checkpoint") as error:
        Checkpoints(tmp_path / "checkpoints")
    assert "\n" not in str(error.value)


def test_closing_leaves_no_threads(tmp_path):
    saved(tmp_path / "first")  # what jax and orbax start once stays
    before = threading.active_count()
    for n in range(3):
        saved(tmp_path / str(n))
    assert threading.active_count() <= before
