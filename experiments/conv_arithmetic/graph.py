"""Depth and order, read off a net's program."""

from collections.abc import Iterator
from typing import Any

from jax.extend import core

WEIGHTED = ("conv_general_dilated", "dot_general")
CONVOLUTION, NORM, RELU, ADDITION = "convolution", "norm", "ReLU", "addition"


def depth(jaxpr: Any) -> int:
    """Convolutions and matrix products on the longest way from a program's inputs to its end."""
    return max(_depths(jaxpr, [0] * len(jaxpr.invars)), default=0)


def _depths(jaxpr: Any, inputs: list[int]) -> list[int]:
    reached = dict(zip(jaxpr.invars, inputs, strict=True))

    def at(atom: Any) -> int:
        return 0 if isinstance(atom, core.Literal) else reached.get(atom, 0)

    for equation in jaxpr.eqns:
        before = [at(atom) for atom in equation.invars]
        inner = list(_inner(equation))
        if equation.primitive.name == "cond":  # by platform; the last is what all but CPU do
            outs = _depths(inner[-1], before[1:])
        elif inner:
            outs = _depths(inner[0], before)
        else:
            after = max(before, default=0) + (equation.primitive.name in WEIGHTED)
            outs = [after] * len(equation.outvars)
        reached |= dict(zip(equation.outvars, outs, strict=True))
    return [at(atom) for atom in jaxpr.outvars]


def order(jaxpr: Any) -> list[str]:
    """Convolutions, norms, ReLUs and additions of two maps, as a program calls them."""
    calls = []
    for equation in jaxpr.eqns:
        names, shapes = set(_names(equation)), [atom.aval.shape for atom in equation.invars]
        if {"conv_general_dilated", "rsqrt"} <= names:
            calls += [call for inner in _inner(equation) for call in order(inner)]
        elif "conv_general_dilated" in names:
            calls.append(CONVOLUTION)
        elif "rsqrt" in names:
            calls.append(NORM)
        elif "max" in names:
            calls.append(RELU)
        elif equation.primitive.name == "add" and len(shapes[0]) == 4 and shapes[0] == shapes[1]:
            calls.append(ADDITION)
    return calls


def _names(equation: Any) -> Iterator[str]:
    """Of a primitive and of all it calls."""
    yield equation.primitive.name
    for inner in _inner(equation):
        for other in inner.eqns:
            yield from _names(other)


def _inner(equation: Any) -> Iterator[Any]:
    for value in equation.params.values():
        for part in value if isinstance(value, tuple | list) else (value,):
            inner = getattr(part, "jaxpr", part)
            if hasattr(inner, "eqns"):
                yield inner
