"""Looking inside a network: every hidden activation h and its gradient dL/dh, by one mechanism for
all nets.

A net marks the activations worth seeing with ``h = probe(probes, name, h)``. In training ``probes``
is None and the mark costs nothing. For a figure, ``look`` hands the net one ``Seen`` of zeros per
mark: the gradient of the loss with respect to that Seen is defined to be (h, dL/dh). Nothing is
stored on the side, so jit, vmap, remat and scan work as usual."""

from collections.abc import Callable, Hashable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

__all__ = ["Probes", "Seen", "look", "probe"]


class Seen(NamedTuple):
    """What a probe brings back."""

    value: Array  # h, as the forward pass computed it
    gradient: Array  # dL/dh, of h's shape


Probes = dict[Hashable, Seen]


@jax.custom_vjp
def _pass_on(h: Array, seen: Seen) -> Array:
    del seen
    return h


def _pass_on_fwd(h, seen):
    del seen
    return h, h


def _pass_on_bwd(h, dh):
    return dh, Seen(value=h, gradient=dh)


_pass_on.defvjp(_pass_on_fwd, _pass_on_bwd)


def probe(probes: Probes | None, name: Hashable, h: Array) -> Array:
    """Returns h unchanged, and lets ``look`` see it under ``name``; names of one net are unique and
    sort among themselves.
    """
    if probes is None:
        return h
    if name not in probes:
        # the first, abstract pass of look: take down which activations there are
        shape = jax.ShapeDtypeStruct(h.shape, h.dtype)
        probes[name] = Seen(shape, shape)
        return h
    return _pass_on(h, probes[name])


def look(loss: Callable[[Probes], Array]) -> Probes:
    """Every probed activation of one forward and backward pass.

    Args:
      loss: probes -> scalar; passes its argument on to ``net.apply(..., probes=probes)``. A jit or
        remat inside it closes over the probes rather than taking them as an argument: the first
        pass is told of the marks through them.

    Returns:
      {name: Seen(h, dL/dh)}, each of its activation's shape.

    Raises:
      ValueError: nothing was probed, so there is nothing to see.
    """
    names: Probes = {}

    def discover():
        names.clear()
        return loss(names)

    jax.eval_shape(discover)
    if not names:
        raise ValueError(
            "look: the loss passed its probes to no net; call net.apply(..., probes=probes)"
            " inside it"
        )
    zeros = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), names)
    return jax.grad(loss)(zeros)
