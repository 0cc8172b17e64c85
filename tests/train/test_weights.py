"""Weights in files: what was saved is loaded, whatever does not fit is listed, and nothing whole is
lost.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from deepseq.train import weights


class Head(NamedTuple):
    w: jax.Array
    b: jax.Array


def tree():
    return Head(jnp.arange(6.0).reshape(2, 3), jnp.ones(3)), Head(
        jnp.full((3, 2), 0.5), jnp.arange(2, dtype=jnp.int32)
    )


SHAPES = jax.eval_shape(tree)


@pytest.mark.parametrize("ending", ["npz", "safetensors"])
def test_saved_and_loaded(tmp_path, ending):
    path, given = tmp_path / f"w.{ending}", tree()
    weights.save(path, given, weights.own_names(given))
    found = weights.load(path, SHAPES, weights.own_names(SHAPES))
    assert jax.tree.structure(found) == jax.tree.structure(given)
    jax.tree.map(np.testing.assert_array_equal, found, given)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_own_names_are_paths():
    assert [entry.name for entry in jax.tree.leaves(weights.own_names(tree()))] == [
        "0.w",
        "0.b",
        "1.w",
        "1.b",
    ]


def test_all_that_does_not_fit_is_listed(tmp_path):
    path = tmp_path / "w.npz"
    np.savez(
        path,
        **{
            "0.w": np.zeros((3, 2)),
            "1.b": np.zeros(4),
            "2.b": np.zeros(1),
            "0.bn.num_batches_tracked": np.array(3),
        },
    )
    with pytest.raises(ValueError) as error:
        weights.load(path, SHAPES, weights.own_names(SHAPES))
    text = str(error.value)
    for part in (
        "w.npz: 5 arrays",
        "0.w is (3, 2), not (2, 3)",
        "0.b is missing",
        "1.w is missing",
        "1.b is (4,), not (2,)",
        "2.b is not of this net",
    ):
        assert part in text
    assert "num_batches" not in text and "\n" not in text


def test_files_that_are_none(tmp_path):
    names = weights.own_names(SHAPES)
    for ending in ("npz", "safetensors"):
        (tmp_path / f"w.{ending}").write_bytes(b"nothing of the kind, but long enough")
        with pytest.raises(ValueError, match=f"w.{ending}: cannot be read as {ending}"):
            weights.load(tmp_path / f"w.{ending}", SHAPES, names)
        with pytest.raises(FileNotFoundError):
            weights.load(tmp_path / f"none.{ending}", SHAPES, names)
    with pytest.raises(ValueError, match="kept in .safetensors or .npz, not .pth"):
        weights.load(tmp_path / "w.pth", SHAPES, names)


def test_no_pickle(tmp_path):
    np.savez(tmp_path / "w.npz", **{"0.w": np.array([{"a": 1}], dtype=object)})
    with pytest.raises(ValueError, match="cannot be read"):
        weights.load(tmp_path / "w.npz", SHAPES, weights.own_names(SHAPES))


def test_a_failed_save_keeps_the_old_file(tmp_path):
    path, given = tmp_path / "w.npz", tree()
    names = weights.own_names(given)
    weights.save(path, given, names)
    before = path.read_bytes()
    with pytest.raises(ValueError):
        weights.save(path, [Head(jnp.ones((2, 3)), jnp.zeros(3))], names)
    assert path.read_bytes() == before and [p.name for p in tmp_path.iterdir()] == [path.name]
