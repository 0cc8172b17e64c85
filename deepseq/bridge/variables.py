"""Trees of NamedTuples as the nested dicts of a Flax program, and back."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

__all__ = ["ALONE", "STARTED", "from_variables", "names", "nested", "to_variables", "unnested"]

STARTED = "started"  # in batch_stats: 1 once a batch is averaged, 0 before
ALONE = "value"  # the name of a tree that is one array


def to_variables(params: Any, moments: Any = ()) -> dict[str, Any]:
    """Parameters and running moments as the variables of ``as_linen(net)``.

    Args:
      params: of a net: NamedTuples, tuples or dicts of arrays.
      moments: their running average; () for none.

    Returns:
      ``{"params": ..., "batch_stats": ...}``: dicts named by the fields, and "0", "1", ... where a
      tuple stands; without ``batch_stats`` where there are no moments.

    >>> import jax
    >>> from deepseq.bridge import to_variables
    >>> from deepseq.nets.images import resnet
    >>> net = resnet.cifar(8, width=4)
    >>> variables = to_variables(net.init(jax.random.key(0)))
    >>> variables["params"]["blocks"]["0"]["conv1"]["w"].shape
    (3, 3, 4, 4)
    """
    variables = {"params": nested(params)}
    if jax.tree.leaves(moments):
        variables["batch_stats"] = {**nested(moments), STARTED: jnp.ones(())}
    return variables


def from_variables(variables: Mapping[str, Any], like: tuple[Any, Any]) -> tuple[Any, Any]:
    """Parameters and running moments out of the variables of a Flax program.

    Args:
      variables: of ``as_linen(net)``, or ``nnx.to_pure_dict(nnx.state(model))`` of ``as_nnx``;
        other collections than ``params`` and ``batch_stats`` are passed over.
      like: (params, moments) of the net, arrays or shapes; () for no moments.

    Returns:
      (params, moments), trees of the types of ``like``.

    Raises:
      ValueError: arrays that are missing, of another shape, or not the net's: all are listed.

    >>> import jax
    >>> from deepseq.bridge import from_variables, to_variables
    >>> from deepseq.nets.images import resnet
    >>> net = resnet.cifar(8, width=4)
    >>> variables = to_variables(net.init(jax.random.key(0)))
    >>> shapes = jax.eval_shape(net.init, jax.random.key(0))
    >>> params, moments = from_variables(variables, (shapes, ()))
    >>> params.blocks[0].conv1.w.shape
    (3, 3, 4, 4)
    """
    collections = ("params", "batch_stats")
    trees = [_fit(c, variables.get(c, {}), tree) for c, tree in zip(collections, like, strict=True)]
    _check([problem for _, problems in trees for problem in problems])
    return trees[0][0], trees[1][0]


def nested(tree: Any) -> dict[str, Any]:
    """A tree as nested dicts; an array alone is ``{"value": array}``."""
    root: dict[str, Any] = {}
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
        *outer, last = names(path) or [ALONE]
        branch = root
        for name in outer:
            branch = branch.setdefault(name, {})
        branch[last] = leaf
    return root


def unnested(collection: str, branch: Mapping[str, Any], like: Any) -> Any:
    """The tree of the types of ``like`` out of nested dicts; ValueError as ``from_variables``."""
    tree, problems = _fit(collection, branch, like)
    _check(problems)
    return tree


def names(path: tuple) -> list[str]:
    """The name of each part of a path in a tree."""
    return [jax.tree_util.keystr((part,), simple=True) for part in path]


def _fit(collection: str, branch: Mapping[str, Any], like: Any) -> tuple[Any, list[str]]:
    """The tree, and what keeps the arrays from fitting it."""
    leaves, structure = jax.tree_util.tree_flatten_with_path(like)
    arrays, problems, fitting = _flat(branch), [], []
    arrays.pop((STARTED,), None)
    for path, leaf in leaves:
        place = tuple(names(path) or [ALONE])
        name, array = ".".join((collection, *place)), arrays.pop(place, None)
        if array is None:
            problems.append(f"{name} is missing")
        elif jnp.shape(array) != leaf.shape:
            problems.append(f"{name} is {jnp.shape(array)}, not {leaf.shape}")
        fitting.append(array)
    problems += [f"{'.'.join((collection, *place))} is not of this net" for place in arrays]
    return jax.tree.unflatten(structure, fitting), problems


def _check(problems: list[str]) -> None:
    if problems:
        raise ValueError(f"{len(problems)} variables do not fit: {'; '.join(problems)}")


def _flat(branch: Any, place: tuple[str, ...] = ()) -> dict[tuple[str, ...], Any]:
    if not isinstance(branch, Mapping):
        return {place: branch}
    parts = [_flat(inner, (*place, str(name))) for name, inner in branch.items()]
    return {place: array for part in parts for place, array in part.items()}
