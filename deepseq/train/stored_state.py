"""The leaves of a state as a checkpoint stores them: arrays, whatever they were before."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

__all__ = ["difference", "place", "stored", "target"]


def _is_key(x: Any) -> bool:
    return isinstance(x, jax.Array) and jnp.issubdtype(x.dtype, jax.dtypes.prng_key)


def stored(x: Any) -> Any:
    """The array that is written for a leaf: of a random key, its data."""
    return jax.random.key_data(x) if _is_key(x) else x


def target(like: Any) -> np.ndarray:
    """An array as one leaf of the state is stored."""
    if isinstance(like, bool | int | float | complex):
        return np.array(like)
    data = jax.eval_shape(stored, like) if _is_key(like) else like
    return np.empty(data.shape, data.dtype)


def difference(metadata: Any, wanted: Any) -> str | None:
    """The first leaf in which a checkpoint's metadata differ from the state wanted, or None."""
    leaves = jax.tree.leaves(metadata, is_leaf=lambda x: hasattr(x, "shape"))
    there = {leaf.name: (tuple(leaf.shape), np.dtype(leaf.dtype)) for leaf in leaves}
    asked = {
        jax.tree_util.keystr(path, simple=True, separator="."): (leaf.shape, leaf.dtype)
        for path, leaf in jax.tree_util.tree_leaves_with_path(wanted)
    }
    for name in sorted(there.keys() | asked.keys()):
        if there.get(name) != asked.get(name):
            sides = there.get(name), asked.get(name)
            old, new = (f"{side[1]} {side[0]}" if side else "absent" for side in sides)
            return f"{name} is {old} there and {new} here"
    return None


def place(value: np.ndarray, like: Any) -> Any:
    """As ``like``: a number of Python, a key, or an array on the same devices in a buffer of its
    own; uncommitted if it is, or jit would compile a second time.
    """
    if isinstance(like, bool | int | float | complex):
        return type(like)(value.item())
    own = jnp.array(value, copy=True)
    if _is_key(like):
        own = jax.random.wrap_key_data(own, impl=jax.random.key_impl(like))
    return jax.device_put(own, like.sharding) if getattr(like, "committed", False) else own
