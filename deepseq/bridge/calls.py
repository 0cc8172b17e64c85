"""What a linen and an nnx module do alike: call a net's function and keep its running moments.

A function says by its keywords what it takes: ``running`` moments, a ``key`` of its dropout, a
``carry``. Running moments are kept as ``deepseq.train.step.train_step`` keeps them: the first
batch's start them, then running := m running + (1 - m) moments."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from deepseq.bridge.variables import STARTED, names, nested, unnested

__all__ = [
    "Pair",
    "Stats",
    "as_pair",
    "call",
    "check_dropout",
    "drops",
    "initial_stats",
    "main_function",
    "takes",
]

Stats = Mapping[str, Any]  # batch_stats, {} where there are none


class Pair(NamedTuple):
    """A function of parameters, and what draws these."""

    init: Callable  # key -> params
    apply: Callable  # (params, *inputs, ...) -> outputs


def as_pair(net: Any, init: Callable | None) -> Any:
    """A net as it is, a layer with its init; ValueError for neither."""
    if init is not None:
        return Pair(init, net)
    if not hasattr(net, "init") or not (hasattr(net, "apply") or hasattr(net, "teach")):
        raise ValueError(
            f"{getattr(net, '__name__', net)!s} is no net of init and apply, or of init, encode and"
            " teach; give a layer's init too: init=lambda key: lstm_init(key, 8, 16)"
        )
    return net


def main_function(net: Any) -> Callable:
    """What a module of a net computes when it is called: ``apply``, or ``encode`` and ``teach``."""
    if not hasattr(net, "teach"):
        return net.apply

    def taught(params, source: Array, tokens: Array, *, lengths=None, key: Array | None) -> Array:
        read, write = (None, None) if key is None else jax.random.split(key)
        memory = net.encode(params, source, lengths=lengths, key=read)
        return net.teach(params, memory, tokens, key=write)

    return taught


def call(
    function: Callable,
    params: Any,
    stats: Stats,
    args: tuple,
    kwargs: Mapping[str, Any],
    *,
    by_batch: bool,
    key: Array | None,
    momentum: float,
) -> tuple[Any, dict[str, Any]]:
    """The outputs of a net's function, and ``batch_stats`` after it: {} where nothing changes.

    Args:
      function: ``(params, *args, **kwargs)``, with ``running`` and ``key`` if it has these.
      stats: ``batch_stats``.
      by_batch: normalise by the batch and average its moments, not by the running average.
      key: of the dropout; None drops nothing.
      momentum: m of the running moments.
    """
    kwargs = _absences(function) | kwargs
    if takes(function, "key"):
        kwargs["key"] = key
    if not takes(function, "running"):
        return function(params, *args, **kwargs), {}
    if by_batch:
        outputs, moments = function(params, *args, **kwargs | {"running": None})
        return outputs, _averaged(stats, moments, momentum)
    shapes = _moment_shapes(function, params, args)
    running = unnested("batch_stats", stats, shapes)
    return function(params, *args, **kwargs | {"running": running})[0], {}


def initial_stats(function: Callable, params: Any, args: tuple) -> dict[str, Any]:
    """``batch_stats`` before the first batch: means 0, variances 1; {} for a net without norms."""
    if not takes(function, "running"):
        return {}
    shapes = _moment_shapes(function, params, args)
    if not jax.tree.leaves(shapes):
        return {}
    stats = jax.tree_util.tree_map_with_path(
        lambda path, s: jnp.full(s.shape, names(path)[-1] == "var", s.dtype), shapes
    )
    return {**nested(stats), STARTED: jnp.zeros(())}


def check_dropout(function: Callable, params: Any, args: tuple) -> None:
    """ValueError for a net that drops units, of which a module in training has no key."""
    if drops(function, params, args):
        raise ValueError(
            'the net drops units in training and needs a key for it: rngs={"dropout": key} of'
            " linen's apply, rngs=nnx.Rngs(params=0, dropout=1) of as_nnx"
        )


def drops(function: Callable, params: Any, args: tuple) -> bool:
    """Whether the outputs depend on the key; traced once for inputs of one shape."""
    if not takes(function, "key"):
        return False
    shapes = jax.tree.map(
        lambda a: jax.ShapeDtypeStruct(jnp.shape(a), jnp.result_type(a)), (params, *args)
    )
    key = jax.eval_shape(lambda: jax.random.key(0))
    trace = jax.make_jaxpr(function)(*shapes, **_absences(function) | {"key": key}).jaxpr
    return _needed(trace, [True] * len(trace.outvars))[-1]


def takes(function: Callable, keyword: str) -> bool:
    """Whether a function has a parameter of this name."""
    return keyword in inspect.signature(function).parameters


def _absences(function: Callable) -> dict[str, None]:
    """None for each required keyword: no carry, no lengths, no running moments, no key."""
    parameters = inspect.signature(function).parameters.values()
    return {p.name: None for p in parameters if p.kind == p.KEYWORD_ONLY and p.default is p.empty}


def _averaged(stats: Stats, moments: Any, momentum: float) -> dict[str, Any]:
    if not jax.tree.leaves(moments):
        return {}
    running = unnested("batch_stats", stats, moments) if stats else moments
    m = momentum * stats.get(STARTED, 1.0 if stats else 0.0)
    running = jax.tree.map(lambda r, b: (m * r + (1 - m) * b).astype(r.dtype), running, moments)
    return {**nested(running), STARTED: jnp.ones(())}


def _moment_shapes(function: Callable, params: Any, args: tuple) -> Any:
    """Of one batch; traced once for inputs of one shape."""
    return jax.eval_shape(function, params, *args, **_absences(function))[1]


def _needed(trace: Any, outputs: list[bool]) -> list[bool]:
    """Which inputs of a jaxpr these of its outputs depend on, also through jitted functions."""
    needed = {id(v) for v, wanted in zip(trace.outvars, outputs, strict=True) if wanted}
    for equation in reversed(trace.eqns):
        wanted = [id(v) in needed for v in equation.outvars]
        if not any(wanted):
            continue
        inputs = [True] * len(equation.invars)
        if equation.primitive.name in ("jit", "pjit"):
            inputs = _needed(equation.params["jaxpr"].jaxpr, wanted)
        needed |= {id(v) for v, is_input in zip(equation.invars, inputs, strict=True) if is_input}
    return [id(v) in needed for v in trace.invars]
