"""Nets as modules of flax.linen."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
from flax import linen as nn
from jax import Array

from deepseq.bridge import calls
from deepseq.bridge.variables import STARTED, nested, unnested

__all__ = ["Net", "Seq2Seq", "as_linen"]


def as_linen(
    net: Any, *, init: Callable | None = None, momentum: float = 0.9, name: str | None = None
) -> nn.Module:
    """A net, or a recurrent layer, as a linen Module.

    Collections: ``params`` are the net's parameters; ``batch_stats`` the running average of its
    moments, if it normalises by them, and ``started``, 0 before the first batch and 1 after. Names
    are those of ``to_variables``.

    With ``train=True`` the module normalises by the batch, averages its moments into
    ``batch_stats``, which must be mutable, and drops units by the "dropout" rng, which a net
    without dropout needs not. With ``train=False``, the default, it normalises by the running
    average and drops nothing.

    Args:
      net: a net of deepseq, or with ``init`` a layer ``(params, xs, ...) -> (carry, ys)``.
      init: key -> the layer's parameters.
      momentum: m of the running moments, running := m running + (1 - m) moments; the first batch's
        start them.
      name: of a submodule, as of any linen Module.

    Returns:
      Module, which is called as the net's ``apply`` is, but for ``params``, ``running`` and
      ``key``: ``module(images)`` gives logits, ``module(tokens, carry=None)`` of a language model
      (logits, carry), ``module(xs, carry=None, lengths=None)`` of a layer (carry, ys). That of an
      encoder-decoder, ``module(source, tokens, lengths=None)``, gives the logits (B, T, V) of
      ``teach`` and has the net's ``encode``, ``start``, ``decode`` and ``teach`` as methods.
      Called, it raises ValueError for variables that are not the net's, and for a net with dropout
      in training without an rng.

    >>> import jax, jax.numpy as jnp
    >>> from deepseq.bridge import as_linen
    >>> from deepseq.nets.images import resnet
    >>> module = as_linen(resnet.cifar(8, width=4))
    >>> x = jnp.ones((2, 8, 8, 3))
    >>> variables = module.init(jax.random.key(0), x)
    >>> logits, changed = module.apply(variables, x, train=True, mutable=["batch_stats"])
    >>> logits.shape, float(changed["batch_stats"]["started"])
    ((2, 10), 1.0)

    >>> from deepseq.nets.recurrent import lstm, lstm_init
    >>> module = as_linen(lstm, init=lambda key: lstm_init(key, 3, 5))
    >>> xs = jnp.ones((7, 2, 3))  # time-major
    >>> (carry, ys), variables = module.init_with_output(jax.random.key(0), xs)
    >>> ys.shape
    (7, 2, 5)
    """
    net = calls.as_pair(net, init)
    return (Seq2Seq if hasattr(net, "teach") else Net)(net, momentum, name=name)


class Net(nn.Module):
    """A net as a linen Module; made by ``as_linen``."""

    net: Any
    momentum: float

    def __call__(self, *args: Any, train: bool = False, **kwargs: Any) -> Any:
        return self._run(calls.main_function(self.net), args, kwargs, train)

    def _run(self, function: Callable, args: tuple, kwargs: Mapping, train: bool) -> Any:
        params = self._params()
        if self.is_initializing() and not self.has_variable("batch_stats", STARTED):
            self._put("batch_stats", calls.initial_stats(function, params, args))
        outputs, stats = calls.call(
            function,
            params,
            self.variables.get("batch_stats", {}),
            args,
            kwargs,
            by_batch=train,
            key=self._dropout_key(function, params, args) if train else None,
            momentum=self.momentum,
        )
        if not self.is_initializing():
            self._put("batch_stats", stats)
        return outputs

    def _params(self) -> Any:
        if self.is_initializing() and not self.variables.get("params"):
            self._put("params", nested(self.net.init(self.make_rng("params"))))
        shapes = jax.eval_shape(self.net.init, jax.random.key(0))
        return unnested("params", self.variables.get("params", {}), shapes)

    def _dropout_key(self, function: Callable, params: Any, args: tuple) -> Array | None:
        if self.has_rng("dropout"):
            return self.make_rng("dropout")
        calls.check_dropout(function, params, args)
        return None

    def _put(self, collection: str, variables: Mapping[str, Any]) -> None:
        for name, value in variables.items():
            self.put_variable(collection, name, value)


class Seq2Seq(Net):
    """An encoder-decoder as a linen Module; made by ``as_linen``.

    ``module.apply(variables, source, method="encode")``, and so on."""

    def encode(self, source: Array, *, lengths: Array | None = None, train: bool = False) -> Any:
        """The memory of sources (B, S)."""
        return self._run(self.net.encode, (source,), {"lengths": lengths}, train)

    def teach(self, memory: Any, tokens: Array, *, train: bool = False) -> Array:
        """Logits (B, T, V) of what follows each of the tokens (B, T)."""
        return self._run(self.net.teach, (memory, tokens), {}, train)

    def start(self, memory: Any, steps: int) -> Any:
        """The carry before the first token, with room for ``steps`` tokens."""
        return self.net.start(self._params(), memory, steps)

    def decode(self, memory: Any, carry: Any, token: Array) -> tuple[Any, Array]:
        """One token (B,) after the carry: (carry, logits (B, V))."""
        return self.net.decode(self._params(), memory, carry, token)
