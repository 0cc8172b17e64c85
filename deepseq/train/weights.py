"""Trained weights as files that other programs read: safetensors or NumPy's .npz, never pickle.

Which array of a file is which of a net's is said by a tree of names: ``own_names(tree)``, or for
what torchvision has a mapping of ``deepseq.nets.images.torchvision_names``. From torch:
``safetensors.torch.save_file(model.state_dict(), "model.safetensors")``."""

import dataclasses
from pathlib import Path
from typing import Any

import jax
import numpy as np
import safetensors
import safetensors.numpy

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

    Args:
      path: a file ending in .safetensors or .npz, replaced only once the new one is whole.
      tree: arrays, for example (params, moments).
      names: the same tree of names.

    Raises:
      ValueError: another ending. OSError.
    """
    path = _known(path)
    arrays = {
        entry.name: np.ascontiguousarray(entry.theirs(np.asarray(array)))
        for entry, array in zip(jax.tree.leaves(names), jax.tree.leaves(tree), strict=True)
    }
    half = path.with_name(f".{path.name}.half")
    try:
        if path.suffix == ".npz":
            with open(half, "wb") as file:
                np.savez(file, **arrays)
        else:
            safetensors.numpy.save_file(arrays, half)
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
      ValueError: another ending or no such file's content, arrays that are missing, of another
        shape, or not the net's: all are
      listed. OSError.
    """
    arrays = _read(_known(path))
    leaves, structure = jax.tree.flatten(shapes)
    entries = jax.tree.leaves(names)
    wrong, found = [], []
    for entry, leaf in zip(entries, leaves, strict=True):
        array = arrays.pop(entry.name, None)
        shape = entry.their_shape(leaf.shape)
        if array is None:
            wrong.append(f"{entry.name} is missing")
        elif array.shape != shape:
            wrong.append(f"{entry.name} is {array.shape}, not {shape}")
        else:
            found.append(np.ascontiguousarray(entry.ours(array, leaf.shape)).astype(leaf.dtype))
    wrong += [f"{name} is not of this net" for name in arrays if not name.endswith(COUNTERS)]
    if wrong:
        raise ValueError(f"{path}: {len(wrong)} arrays do not fit: {'; '.join(wrong)}")
    return jax.tree.unflatten(structure, found)


def _read(path: Path) -> dict[str, np.ndarray]:
    try:
        if path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as arrays:
                return dict(arrays)
        return safetensors.numpy.load_file(path)
    except OSError:
        raise
    except Exception as error:  # what is no such file fails in many ways
        raise ValueError(f"{path}: cannot be read as {path.suffix[1:]}: {error}") from None


def _known(path: str | Path) -> Path:
    path = Path(path)
    if path.suffix not in (".npz", ".safetensors"):
        raise ValueError(
            f"{path}: weights are kept in .safetensors or .npz, not"
            f" {path.suffix or 'a file without an ending'}"
        )
    return path
