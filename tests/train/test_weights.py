"""Weights in files: what was saved is loaded, whatever does not fit is listed, and nothing whole is
lost.
"""

import zipfile
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import serialization
from jax import Array

from deepseq.nets.sequences import ar
from deepseq.train import weights

ENDINGS = "npz", "safetensors", "msgpack"


class Head(NamedTuple):
    w: Array
    b: Array


def tree():
    return Head(jnp.arange(6.0).reshape(2, 3), jnp.ones(3)), Head(
        jnp.full((3, 2), 0.5), jnp.arange(2, dtype=jnp.int32)
    )


SHAPES = jax.eval_shape(tree)


def round_trip(path, saved):
    names = weights.own_names(saved)
    weights.save(path, saved, names)
    loaded = weights.load(path, jax.eval_shape(lambda: saved), names)
    assert jax.tree.structure(loaded) == jax.tree.structure(saved)
    for array, expected in zip(jax.tree.leaves(loaded), jax.tree.leaves(saved), strict=True):
        assert (array.shape, array.dtype) == (expected.shape, expected.dtype)
        np.testing.assert_array_equal(array, expected)
    assert [p.name for p in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("ending", ENDINGS)
def test_saved_and_loaded(tmp_path, ending):
    round_trip(tmp_path / f"w.{ending}", tree())


@pytest.mark.parametrize("ending", ENDINGS)
def test_scalars_empty_trees_and_empty_arrays_come_back_as_they_were(tmp_path, ending):
    xs = jnp.asarray(np.random.default_rng(0).normal(size=(20, 3)), jnp.float32)
    round_trip(tmp_path / f"w.{ending}", (ar.fit_linear(xs, 2), ()))
    round_trip(tmp_path / f"w.{ending}", ())
    round_trip(tmp_path / f"w.{ending}", jnp.float32(2.5))  # a tree of one array, without a name
    round_trip(
        tmp_path / f"w.{ending}", {"a": jnp.zeros((0, 3)), "b": jnp.arange(6).reshape(2, 3).T}
    )


@pytest.mark.parametrize("ending", ENDINGS)
def test_bfloat16(tmp_path, ending):
    numbers = jnp.array([0.1, -3e38, 1e-40, 0.0], jnp.bfloat16)
    round_trip(tmp_path / f"w.{ending}", Head(numbers, jnp.bfloat16(1.5)))


def test_npz_of_narrow_floats_is_read_by_numpy_alone(tmp_path):
    path = tmp_path / "w.npz"
    numbers = {"a": jnp.array([0.1, 448.0], jnp.float8_e4m3fn), "b": jnp.array([-8, 7], jnp.int4)}
    round_trip(path, numbers)
    with np.load(path) as arrays:
        assert arrays["a"].dtype == np.float32 and arrays["b"].dtype == np.int32
        np.testing.assert_array_equal(arrays["a"], numbers["a"].astype(jnp.float32))


def test_msgpack_as_flax_reads_and_writes_it(tmp_path):
    path, saved = tmp_path / "w.msgpack", {"params": tree(), "batch_stats": jnp.bfloat16(0.5)}
    weights.save(path, saved, weights.own_names(saved))
    restored = serialization.msgpack_restore(path.read_bytes())
    assert restored["params"].keys() == {"0", "1"} and restored["batch_stats"].dtype == jnp.bfloat16
    np.testing.assert_array_equal(restored["params"]["0"]["w"], saved["params"][0].w)
    again = serialization.from_bytes(saved, path.read_bytes())
    jax.tree.map(np.testing.assert_array_equal, again, saved)
    path.write_bytes(serialization.to_bytes(jax.tree.map(lambda a: 2 * a, saved)))
    loaded = weights.load(path, jax.eval_shape(lambda: saved), weights.own_names(saved))
    jax.tree.map(lambda a, b: np.testing.assert_array_equal(a, 2 * b), loaded, saved)


def test_msgpack_of_arrays_that_flax_cuts_in_pieces(tmp_path, monkeypatch):
    monkeypatch.setattr(serialization, "MAX_CHUNK_SIZE", 8)
    round_trip(tmp_path / "w.msgpack", tree())


def test_names_that_cannot_be_kept_apart(tmp_path):
    twice = {"a.b": jnp.ones(2), "a": {"b": jnp.zeros(2)}}
    with pytest.raises(ValueError, match="two arrays are named a.b"):
        weights.save(tmp_path / "w.npz", twice, weights.own_names(twice))
    for inside in ({"a": jnp.ones(2), "a.b": jnp.ones(2)}, {"a": {"b": jnp.ones(2)}, "a.b.c": 1.0}):
        with pytest.raises(ValueError, match="w.msgpack: a.* cannot be nested"):
            weights.save(tmp_path / "w.msgpack", inside, weights.own_names(inside))
    assert not list(tmp_path.iterdir())


def test_own_names_are_paths():
    assert [entry.name for entry in jax.tree.leaves(weights.own_names(tree()))] == [
        "0.w",
        "0.b",
        "1.w",
        "1.b",
    ]


@pytest.mark.parametrize("ending", ENDINGS)
def test_all_that_does_not_fit_is_listed(tmp_path, ending):
    path = tmp_path / f"w.{ending}"
    arrays = {
        "0.w": np.zeros((3, 2)),
        "1.b": np.zeros(4),
        "2.b": np.zeros(1),
        "0.bn.num_batches_tracked": np.array(3),
    }
    weights.save(path, arrays, {name: weights.Name(name) for name in arrays})
    with pytest.raises(ValueError) as error:
        weights.load(path, SHAPES, weights.own_names(SHAPES))
    text = str(error.value)
    for part in (
        f"w.{ending}: 5 arrays",
        "0.w is (3, 2), not (2, 3)",
        "0.b is missing",
        "1.w is missing",
        "1.b is (4,), not (2,)",
        "2.b is not of this net",
    ):
        assert part in text
    assert "num_batches" not in text and "\n" not in text


@pytest.mark.parametrize("ending", ENDINGS)
def test_files_that_are_none(tmp_path, ending):
    names, path = weights.own_names(SHAPES), tmp_path / f"w.{ending}"
    weights.save(path, tree(), weights.own_names(tree()))
    whole = path.read_bytes()
    for damaged in (
        b"nothing of the kind, but long enough",
        whole[:-9],
        whole[9:],
        b"",
        b"\x80\x04",
    ):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=f"w.{ending}: cannot be read as {ending}") as error:
            weights.load(path, SHAPES, names)
        assert "\n" not in str(error.value)
    with pytest.raises(FileNotFoundError):
        weights.load(tmp_path / f"none.{ending}", SHAPES, names)
    with pytest.raises(ValueError, match="kept in .safetensors, .msgpack or .npz, not .pth"):
        weights.load(tmp_path / "w.pth", SHAPES, names)


def test_no_pickle_and_no_text(tmp_path):
    np.savez(tmp_path / "w.npz", **{"0.w": np.array([{"a": 1}], dtype=object)})
    with pytest.raises(ValueError, match="cannot be read"):
        weights.load(tmp_path / "w.npz", SHAPES, weights.own_names(SHAPES))
    (tmp_path / "w.msgpack").write_bytes(serialization.msgpack_serialize({"a": "text", "b": None}))
    texts = {"a": jax.ShapeDtypeStruct((), jnp.float32), "b": jax.ShapeDtypeStruct((), jnp.float32)}
    with pytest.raises(ValueError, match="a is of <U4, not of real numbers; b is of object, not"):
        weights.load(tmp_path / "w.msgpack", texts, weights.own_names(texts))


def test_a_flipped_bit_in_npz_is_told(tmp_path):
    path = tmp_path / "w.npz"
    weights.save(path, tree(), weights.own_names(tree()))
    damaged = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as file:
        damaged[file.infolist()[1].header_offset - 1] ^= 1  # the last byte of the first array
    path.write_bytes(damaged)
    with pytest.raises(ValueError, match="w.npz: cannot be read as npz: Bad CRC-32"):
        weights.load(path, SHAPES, weights.own_names(SHAPES))


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_failed_save_keeps_the_old_file(tmp_path, ending, monkeypatch):
    path = tmp_path / f"w.{ending}"
    names = weights.own_names(tree())
    weights.save(path, tree(), names)
    before = path.read_bytes()
    with pytest.raises(ValueError):
        weights.save(path, [Head(jnp.ones((2, 3)), jnp.zeros(3))], names)
    assert path.read_bytes() == before and [p.name for p in tmp_path.iterdir()] == [path.name]

    def fail(self, target):
        raise OSError("no space left")

    monkeypatch.setattr("pathlib.Path.replace", fail)
    with pytest.raises(OSError, match="no space left"):
        weights.save(path, jax.tree.map(jnp.zeros_like, tree()), names)
    assert path.read_bytes() == before and [p.name for p in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_neither_saved_nor_loaded(tmp_path, ending, number):
    path, tree = tmp_path / f"w.{ending}", {"w": np.array([1.0, number], np.float32)}
    with pytest.raises(ValueError, match="w is not finite; nothing is saved"):
        weights.save(path, tree, weights.own_names(tree))
    assert not list(tmp_path.iterdir())
    np.savez(tmp_path / "w.npz", **tree)
    with pytest.raises(ValueError, match="w is not finite"):
        weights.load(tmp_path / "w.npz", tree, weights.own_names(tree))


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.array([1e300, 1.0]), "w has numbers too large for float32"),
        (np.array([1 + 2j, 1.0]), "w is of complex128, not of real numbers"),
        (np.array(["2020-01-01", "2020-01-02"], "M8[D]"), r"w is of datetime64\[D\], not of real"),
        (np.zeros(2, [("a", "f4"), ("b", "f4")]), "w is of .*, not of real numbers"),
    ],
)
def test_other_numbers_are_refused(tmp_path, array, message):
    np.savez(tmp_path / "w.npz", w=array)
    shapes = {"w": jax.ShapeDtypeStruct((2,), jnp.float32)}
    with pytest.raises(ValueError, match=message) as error:
        weights.load(tmp_path / "w.npz", shapes, weights.own_names(shapes))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("ending", ENDINGS)
def test_no_link_is_followed_and_no_foreign_file_overwritten(tmp_path, ending):
    path, precious = tmp_path / f"w.{ending}", tmp_path / "precious"
    precious.write_text("precious")
    (tmp_path / f".w.{ending}.half").symlink_to(precious)
    path.symlink_to(precious)
    weights.save(path, tree(), weights.own_names(tree()))
    assert precious.read_text() == "precious" and not path.is_symlink()
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(
        (f".w.{ending}.half", path.name, "precious")
    )
