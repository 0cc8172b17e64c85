"""Trained weights as files that other programs read: safetensors, Flax's msgpack or NumPy's .npz,
never pickle.

Which array of a file is which of a net's is said by a tree of names: ``own_names(tree)``, or for
what torchvision has a mapping of ``deepseq.nets.images.torchvision_names``. From torch:
``safetensors.torch.save_file(model.state_dict(), "model.safetensors")``; from Flax:
``flax.serialization.to_bytes(variables)`` written to ``"model.msgpack"``. To Flax:
``flax.serialization.msgpack_restore(Path("model.msgpack").read_bytes())`` gives dicts nested by the
dots of the names."""

import dataclasses
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import safetensors
import safetensors.numpy
from flax import serialization

__all__ = ["COUNTERS", "ENDINGS", "Name", "load", "own_names", "save"]

ENDINGS = (".safetensors", ".msgpack", ".npz")
COUNTERS = ".num_batches_tracked"  # of torch's batch norm, without a use here


@dataclasses.dataclass(frozen=True)
class Name:
    """An array that a file holds as we do."""

    name: str

    def ours(self, theirs: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        return theirs.reshape(shape)

    def theirs(self, ours: np.ndarray) -> np.ndarray:
        return ours

    def their_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return shape


def own_names(tree: Any) -> Any:
    """Each array under its own path, such as "blocks.3.conv1.w"."""
    return jax.tree_util.tree_map_with_path(
        lambda path, _: Name(jax.tree_util.keystr(path, simple=True, separator=".")), tree
    )


def save(path: str | Path, tree: Any, names: Any) -> None:
    """Writes the arrays of a tree under their names.

    .npz has no bfloat16 and no float8: they are written as float32, which holds each exactly.

    Args:
      path: a file ending in .safetensors, .msgpack or .npz, replaced only once the new one is
        whole.
      tree: arrays, for example (params, moments).
      names: the same tree of names.

    Raises:
      ValueError: another ending, two arrays of one name, or one that is not of finite real numbers.
        OSError.
    """
    path = _known(path)
    arrays = {}
    for entry, array in zip(jax.tree.leaves(names), jax.tree.leaves(tree), strict=True):
        if entry.name in arrays:
            raise ValueError(f"{path}: two arrays are named {entry.name}; give each its own name")
        arrays[entry.name] = np.asarray(entry.theirs(np.asarray(array)), order="C")
        if wrong := _wrong(arrays[entry.name]):
            raise ValueError(f"{path}: {entry.name} {wrong}; nothing is saved")
    half = path.with_name(f".{path.name}.{secrets.token_hex(8)}.half")
    # made anew, or not at all: what lies there by that name, or where it links to, is not ours
    with open(half, "xb") as file:
        try:
            if path.suffix == ".npz":
                np.savez(file, **{name: _native(array) for name, array in arrays.items()})
            elif path.suffix == ".msgpack":
                file.write(serialization.msgpack_serialize(_nested(path, arrays), in_place=True))
            else:
                file.write(safetensors.numpy.save(arrays))
            file.flush()
            half.replace(path)
        finally:
            half.unlink(missing_ok=True)


def load(path: str | Path, shapes: Any, names: Any) -> Any:
    """Reads a tree of arrays.

    Args:
      path: a file of ``save``, or of another program.
      shapes: the tree wanted, of arrays or shapes, for example ``jax.eval_shape(net.init, key)``
        and its moments.
      names: the same tree of names.

    Returns:
      the tree, in the dtypes of ``shapes``. Torch's counters of batches are passed over.

    Raises:
      ValueError: another ending, a file that is damaged or of another kind, arrays that are
        missing, of another shape, of no real numbers, not finite in the dtype wanted, or not the
        net's: all are listed. OSError.
    """
    arrays = _read(_known(path))
    leaves, structure = jax.tree.flatten(shapes)
    entries = jax.tree.leaves(names)
    wrong, loaded = [], []
    for entry, leaf in zip(entries, leaves, strict=True):
        array = arrays.pop(entry.name, None)
        shape = entry.their_shape(leaf.shape)
        if array is None:
            wrong.append(f"{entry.name} is missing")
        elif array.shape != shape:
            wrong.append(f"{entry.name} is {array.shape}, not {shape}")
        elif unusable := _wrong(array):
            wrong.append(f"{entry.name} {unusable}")
        else:
            with np.errstate(over="ignore"):
                ours = np.array(entry.ours(array, leaf.shape), dtype=leaf.dtype, order="C")
            if _wrong(ours):
                wrong.append(f"{entry.name} has numbers too large for {leaf.dtype}")
            loaded.append(ours)
    wrong += [f"{name} is not of this net" for name in arrays if not name.endswith(COUNTERS)]
    if wrong:
        raise ValueError(f"{path}: {len(wrong)} arrays do not fit: {'; '.join(wrong)}")
    return jax.tree.unflatten(structure, loaded)


def _read(path: Path) -> dict[str, np.ndarray]:
    with open(path, "rb") as file:  # here, so that what fails below is the file's content
        try:
            if path.suffix == ".npz":
                with np.load(file, allow_pickle=False) as arrays:
                    return dict(arrays)
            if path.suffix == ".msgpack":
                return dict(_flat(serialization.msgpack_restore(file.read())))
            # not load_file, which does not know bfloat16
            with safetensors.safe_open(path, "np") as arrays:
                return {name: arrays.get_tensor(name) for name in arrays.keys()}
        except Exception as error:  # what is no such file fails in many ways
            why = " ".join(str(error).split()) or type(error).__name__
            raise ValueError(f"{path}: cannot be read as {path.suffix[1:]}: {why}") from None


def _nested(path: Path, arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    """{"a.b": x} as {"a": {"b": x}}."""
    root: dict[str, Any] = {}
    for name, array in arrays.items():
        *outer, last = name.split(".")
        branch = root
        for part in outer:
            branch = branch.setdefault(part, {})
            if not isinstance(branch, dict):
                break
        if not isinstance(branch, dict) or last in branch:
            raise ValueError(
                f"{path}: {name} cannot be nested, as another name goes on where one ends;"
                " rename it or save as .safetensors"
            )
        branch[last] = array
    return root


def _flat(branch: Any, name: str = "") -> Iterator[tuple[str, np.ndarray]]:
    """{"a": {"b": x}} as {"a.b": x}."""
    if not isinstance(branch, dict):
        yield name, np.asarray(branch)
        return
    for key, inner in branch.items():
        yield from _flat(inner, f"{name}.{key}" if name else str(key))


def _native(array: np.ndarray) -> np.ndarray:
    """In a dtype of NumPy's own, without loss."""
    if array.dtype.isbuiltin == 1:
        return array
    return array.astype(np.float32 if jnp.issubdtype(array.dtype, jnp.floating) else np.int32)


def _wrong(array: np.ndarray) -> str | None:
    """Why an array is no weight, or None."""
    if jnp.issubdtype(array.dtype, jnp.floating):
        return None if np.isfinite(array.astype(np.float64)).all() else "is not finite"
    whole = jnp.issubdtype(array.dtype, jnp.integer) or array.dtype == np.bool_
    return None if whole else f"is of {array.dtype}, not of real numbers"


def _known(path: str | Path) -> Path:
    path = Path(path)
    if path.suffix not in ENDINGS:
        raise ValueError(
            f"{path}: weights are kept in .safetensors, .msgpack or .npz, not"
            f" {path.suffix or 'a file without an ending'}"
        )
    return path
