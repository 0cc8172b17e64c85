"""Nets as modules of flax.nnx."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
from flax import nnx
from jax import Array

from deepseq.bridge import calls
from deepseq.bridge.variables import nested, unnested

__all__ = ["Net", "Seq2Seq", "as_nnx"]


def as_nnx(
    net: Any, *inputs: Any, rngs: nnx.Rngs, init: Callable | None = None, momentum: float = 0.9
) -> nnx.Module:
    """A net, or a recurrent layer, as an nnx Module.

    ``model.params`` holds its parameters as ``nnx.Param``, ``model.batch_stats`` the running
    average of its moments as ``nnx.BatchStat``, both in the dicts of ``to_variables``.
    ``nnx.update(model, to_variables(params, moments))`` sets them.

    In training, as after ``model.train()`` and at first, it normalises by the batch, averages its
    moments into ``batch_stats`` and drops units by ``rngs.dropout``. After ``model.eval()`` it
    normalises by the running average and drops nothing. ``nnx.view`` sets ``deterministic`` and
    ``use_running_average`` apart.

    Args:
      net: a net of deepseq, or with ``init`` a layer ``(params, xs, ...) -> (carry, ys)``.
      inputs: what the model will be called with, arrays or ``jax.ShapeDtypeStruct``. From these
        follow the shapes of ``batch_stats`` and whether the net drops units, so whether the model
        keeps an rng. Without inputs it always keeps one, and ``batch_stats`` appear with the first
        batch.
      rngs: ``rngs.params`` draws the parameters.
      init: key -> the layer's parameters.
      momentum: m of the running moments, running := m running + (1 - m) moments; the first batch's
        start them.

    Returns:
      Module, called as that of ``as_linen``, without ``train``. Called, it raises ValueError for
      variables that are not the net's, and for a net with dropout in training without an rng.

    >>> import jax.numpy as jnp
    >>> from flax import nnx
    >>> from deepseq.bridge import as_nnx
    >>> from deepseq.nets.images import resnet
    >>> x = jnp.ones((2, 8, 8, 3))
    >>> model = as_nnx(resnet.cifar(8, width=4), x, rngs=nnx.Rngs(0))
    >>> model(x).shape, float(model.batch_stats["started"][...])
    ((2, 10), 1.0)
    >>> model.eval()
    >>> graph, params, stats = nnx.split(model, nnx.Param, nnx.BatchStat)

    >>> from deepseq.nets.recurrent import lstm, lstm_init
    >>> layer = as_nnx(lstm, init=lambda key: lstm_init(key, 3, 5), rngs=nnx.Rngs(0))
    >>> carry, ys = layer(jnp.ones((7, 2, 3)))  # time-major
    >>> ys.shape
    (7, 2, 5)
    """
    net = calls.as_pair(net, init)
    kind = Seq2Seq if hasattr(net, "teach") else Net
    return kind(net, inputs, rngs, momentum)


class Net(nnx.Module):
    """A net as an nnx Module; made by ``as_nnx``."""

    def __init__(self, net: Any, inputs: tuple, rngs: nnx.Rngs, momentum: float):
        self.net, self.momentum = net, momentum
        self.deterministic = self.use_running_average = False
        params, function = net.init(rngs.params()), calls.main_function(net)
        self.params = nnx.data(jax.tree.map(nnx.Param, nested(params)))
        self.batch_stats = nnx.data({})
        if inputs:
            self._store(calls.initial_stats(function, params, inputs))
        keeps = calls.drops(function, params, inputs) if inputs else calls.takes(function, "key")
        has_rng = "dropout" in rngs or "default" in rngs
        self.rngs = nnx.data(rngs["dropout"].fork() if keeps and has_rng else None)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._run(calls.main_function(self.net), args, kwargs)

    def set_view(
        self, deterministic: bool | None = None, use_running_average: bool | None = None
    ) -> None:
        """What ``nnx.view`` sets.

        Args:
          deterministic: drop nothing.
          use_running_average: normalise by the running average.
        """
        if deterministic is not None:
            self.deterministic = deterministic
        if use_running_average is not None:
            self.use_running_average = use_running_average

    def _run(self, function: Callable, args: tuple, kwargs: Mapping[str, Any]) -> Any:
        params = self._params()
        stats = _values(self.batch_stats)
        if not stats and self.use_running_average:
            stats = calls.initial_stats(function, params, args)
        key = None
        if not self.deterministic and self.rngs is not None:
            key = self.rngs()
        elif not self.deterministic:
            calls.check_dropout(function, params, args)
        outputs, stats = calls.call(
            function,
            params,
            stats,
            args,
            kwargs,
            by_batch=not self.use_running_average,
            key=key,
            momentum=self.momentum,
        )
        self._store(stats)
        return outputs

    def _params(self) -> Any:
        shapes = jax.eval_shape(self.net.init, jax.random.key(0))
        return unnested("params", _values(self.params), shapes)

    def _store(self, stats: dict[str, Any]) -> None:
        if not self.batch_stats:
            self.batch_stats = nnx.data(jax.tree.map(nnx.BatchStat, stats))
            return
        for variable, value in zip(
            jax.tree.leaves(self.batch_stats, is_leaf=_is_variable),
            jax.tree.leaves(stats),
            strict=bool(stats),
        ):
            variable[...] = value


class Seq2Seq(Net):
    """An encoder-decoder as an nnx Module; made by ``as_nnx``."""

    def encode(self, source: Array, *, lengths: Array | None = None) -> Any:
        """The memory of sources (B, S)."""
        return self._run(self.net.encode, (source,), {"lengths": lengths})

    def teach(self, memory: Any, tokens: Array) -> Array:
        """Logits (B, T, V) of what follows each of the tokens (B, T)."""
        return self._run(self.net.teach, (memory, tokens), {})

    def start(self, memory: Any, steps: int) -> Any:
        """The carry before the first token, with room for ``steps`` tokens."""
        return self.net.start(self._params(), memory, steps)

    def decode(self, memory: Any, carry: Any, token: Array) -> tuple[Any, Array]:
        """One token (B,) after the carry: (carry, logits (B, V))."""
        return self.net.decode(self._params(), memory, carry, token)


def _is_variable(node: Any) -> bool:
    return isinstance(node, nnx.Variable)


def _values(variables: Any) -> Any:
    return jax.tree.map(lambda variable: variable[...], variables, is_leaf=_is_variable)
