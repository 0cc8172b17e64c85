"""Attention: every output is a mean of values, weighted by how well its query fits their keys.
Batch-major.

A mask is True where a query may look. A query that may look nowhere gets zeros, in values and
gradients alike: the softmax of nothing has no other meaning, and padding must not leak (JAX's own
call gives the mean of all values there)."""

import math
from collections.abc import Callable, Hashable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from deepseq.nets.blocks.embedding import learned, sinusoidal
from deepseq.nets.blocks.initialise import glorot, uniform_within
from deepseq.nets.blocks.inside import Probes, probe
from deepseq.nets.blocks.masks import causal_mask, check_bool, masked_softmax, padding_mask

__all__ = [
    "Additive",
    "MultiHead",
    "additive_attention",
    "additive_init",
    "additive_keys",
    "additive_scores",
    "attention_weights",
    "causal_mask",
    "dot_product_attention",
    "fused_attention",
    "keys_and_values",
    "learned",
    "look",
    "masked_softmax",
    "multi_head",
    "multi_head_init",
    "multiplicative_scores",
    "padding_mask",
    "probed_attention",
    "sinusoidal",
]


class MultiHead(NamedTuple):
    """Parameters of multi-head attention; a bias may be None."""

    wq: Array  # (D, H, Dk)
    wk: Array  # (Dm, H, Dk), Dm the size of what is looked at
    wv: Array  # (Dm, H, Dv)
    wo: Array  # (H, Dv, D)
    bq: Array | None = None  # (H, Dk)
    bk: Array | None = None  # (H, Dk)
    bv: Array | None = None  # (H, Dv)
    bo: Array | None = None  # (D,)


class Additive(NamedTuple):
    """Parameters of additive scores."""

    wq: Array  # (Dq, A)
    wk: Array  # (Dk, A)
    v: Array  # (A,)


def dot_product_attention(q: Array, k: Array, v: Array, *, mask: Array | None = None) -> Array:
    """softmax(Q K^T / sqrt(Dk)) V for every head (Vaswani et al. 2017, equation 1).

    Args:
      q, k, v: (B, T, H, Dk), (B, S, H, Dk), (B, S, H, Dv).
      mask: bool, broadcast to (B, H, T, S), True where a query may look; None lets it look
        everywhere. A key at which no query may look, even one of NaN, reaches neither outputs nor
        gradients.

    Returns:
      (B, T, H, Dv), scores and softmax taken at least in float32. ValueError for shapes that do not
      fit, or a mask that is not bool.
    """
    return probed_attention(None, "", q, k, v, mask=mask)


def probed_attention(
    probes: Probes | None, name: Hashable, q: Array, k: Array, v: Array, *, mask: Array | None
) -> Array:
    """``dot_product_attention`` whose weights (B, H, T, S) ``probes`` sees under ``name``."""
    if v.ndim != 4 or v.shape[:3] != k.shape[:3]:
        raise ValueError(
            f"attention: one value for each key is needed, not k {k.shape} and v {v.shape}"
        )
    _check(q, k, mask)
    if mask is not None:
        visible = mask.reshape((1,) * (4 - mask.ndim) + mask.shape).any(-2)
        visible = visible.swapaxes(1, 2)[..., None]  # (B, S, H, 1)
        k, v = (jnp.where(visible, a, jnp.zeros((), a.dtype)) for a in (k, v))
    weights = probe(probes, name, attention_weights(q, k, mask=mask))
    return jnp.einsum("bhts,bshd->bthd", weights.astype(v.dtype), v)


def attention_weights(q: Array, k: Array, *, mask: Array | None = None) -> Array:
    """softmax(Q K^T / sqrt(Dk)) over the keys: (B, T, H, Dk), (B, S, H, Dk) -> (B, H, T, S)
    float32; mask as above.
    """
    _check(q, k, mask)
    wide = jnp.promote_types(jnp.result_type(q, k), jnp.float32)
    scores = jnp.einsum("bthd,bshd->bhts", q, k, preferred_element_type=wide)
    return masked_softmax(scores / math.sqrt(q.shape[-1]), mask)


def fused_attention(q: Array, k: Array, v: Array, *, mask: Array | None = None) -> Array:
    """``dot_product_attention`` by JAX's own call, which on an accelerator may keep no (T, S) array
    in memory.
    """
    _check(q, k, mask)
    # that call wants both sizes to be equal: zeros change neither scores nor values
    dk, dv = k.shape[-1], v.shape[-1]
    q, k, v = (jnp.pad(a, [(0, 0)] * 3 + [(0, max(dk, dv) - a.shape[-1])]) for a in (q, k, v))
    full = None if mask is None else mask.reshape((1,) * (4 - mask.ndim) + mask.shape)
    out = jax.nn.dot_product_attention(q, k, v, mask=full, scale=dk**-0.5)[..., :dv]
    if mask is None:
        return out
    sees = jnp.broadcast_to(mask, (q.shape[0], q.shape[2], q.shape[1], k.shape[1])).any(-1)
    return jnp.where(sees.transpose(0, 2, 1)[..., None], out, 0)


def additive_scores(params: Additive, query: Array, keys: Array) -> Array:
    """v^T tanh(W_q q + W_k k): queries (..., Dq), keys (..., S, Dk) -> (..., S) (Bahdanau et al.
    2015, appendix A.1.2).
    """
    return _additive(params, query, additive_keys(params, keys))


def additive_keys(params: Additive, keys: Array) -> Array:
    """W_k k, which all queries share: (..., S, Dk) -> (..., S, A)."""
    return keys @ params.wk


def additive_attention(
    params: Additive, query: Array, projected: Array, values: Array, mask: Array | None = None
) -> tuple[Array, Array]:
    """The mean of the values by additive scores, and its weights.

    Args:
      query: (B, Dq).
      projected: (B, S, A), what ``additive_keys`` makes of the keys, once for all queries.
      values: (B, S, Dv).
      mask: bool (B, S).

    Returns:
      context (B, Dv) and weights (B, S), alpha of the paper's equation 6.
    """
    alpha = masked_softmax(_additive(params, query, projected), mask)
    return jnp.einsum("bs,bsd->bd", alpha.astype(values.dtype), values), alpha


def multiplicative_scores(w: Array, query: Array, keys: Array) -> Array:
    """q^T W k: (Dq, Dk), queries (..., Dq), keys (..., S, Dk) -> (..., S) (Luong et al. 2015, arXiv
    1508.04025, "general").
    """
    return jnp.einsum("...k,...sk->...s", query @ w, keys)


def additive_init(key: Array, query_size: int, key_size: int, size: int) -> Additive:
    """Parameters of additive scores with A = ``size`` units, U(-1/sqrt(n), 1/sqrt(n)) for n inputs
    of each map.
    """
    shapes, keys = ((query_size, size), (key_size, size), (size,)), jax.random.split(key, 3)
    return Additive(
        *(uniform_within(k, s, s[0] ** -0.5) for k, s in zip(keys, shapes, strict=True))
    )


def multi_head(
    params: MultiHead,
    x: Array,
    memory: Array | None = None,
    *,
    mask: Array | None = None,
    attend: Callable[..., Array] = dot_product_attention,
) -> Array:
    """Multi-head attention: Concat(head_1, ..., head_h) W_o (Vaswani et al. 2017, section 3.2.2).

    Args:
      params: MultiHead.
      x: (B, T, D), whose queries look.
      memory: (B, S, Dm), where keys and values are from; None is x itself.
      mask: as for ``dot_product_attention``.
      attend: ``dot_product_attention`` or ``fused_attention``.

    Returns:
      (B, T, D).
    """
    k, v = keys_and_values(params, x if memory is None else memory)
    return look(params, x, k, v, mask=mask, attend=attend)


def keys_and_values(params: MultiHead, memory: Array) -> tuple[Array, Array]:
    """k (B, S, H, Dk) and v (B, S, H, Dv) of (B, S, Dm): what a decoder keeps."""
    if memory.ndim != 3 or memory.shape[-1] != params.wk.shape[0]:
        raise ValueError(
            f"multi_head: the memory {memory.shape} must be (B, S, {params.wk.shape[0]})"
        )
    return _project(memory, params.wk, params.bk), _project(memory, params.wv, params.bv)


def look(
    params: MultiHead,
    x: Array,
    k: Array,
    v: Array,
    *,
    mask: Array | None = None,
    attend=dot_product_attention,
) -> Array:
    """``multi_head`` over keys and values that are already there."""
    if x.ndim != 3 or x.shape[-1] != params.wq.shape[0]:
        raise ValueError(f"multi_head: x {x.shape} must be (B, T, {params.wq.shape[0]})")
    heads = attend(_project(x, params.wq, params.bq), k, v, mask=mask)
    out = jnp.einsum("bthd,hdm->btm", heads, params.wo)
    return out if params.bo is None else out + params.bo


def multi_head_init(
    key: Array,
    size: int,
    heads: int,
    *,
    key_size: int | None = None,
    value_size: int | None = None,
    memory_size: int | None = None,
    bias: bool = True,
) -> MultiHead:
    """Parameters of multi-head attention as torch's: Glorot and Bengio's uniform (2010), biases 0.

    Args:
      size, heads: D and H.
      key_size, value_size: Dk and Dv of every head; None divides D among the heads.
      memory_size: Dm; None is D.
      bias: whether there are biases.

    Raises:
      ValueError: a size below 1, or D is to be divided among heads and cannot be.
    """
    if min(size, heads, *(n for n in (key_size, value_size, memory_size) if n is not None)) < 1:
        raise ValueError(
            f"multi_head_init: size {size}, heads {heads} and the other sizes must be at least 1"
        )
    if size % heads and (key_size is None or value_size is None):
        raise ValueError(
            f"multi_head_init: {heads} heads do not divide {size}; give key_size and value_size"
        )
    dk, dv, dm = key_size or size // heads, value_size or size // heads, memory_size or size
    shapes = (size, heads, dk), (dm, heads, dk), (dm, heads, dv), (heads, dv, size)
    maps = (size, heads * dk), (dm, heads * dk), (dm, heads * dv), (heads * dv, size)
    keys = jax.random.split(key, 4)
    weights = (uniform_within(k, s, glorot(m)) for k, s, m in zip(keys, shapes, maps, strict=True))
    biases = ((heads, dk), (heads, dk), (heads, dv), (size,)) if bias else ()
    return MultiHead(*weights, *map(jnp.zeros, biases))


def _additive(params: Additive, query: Array, projected: Array) -> Array:
    return jnp.tanh((query @ params.wq)[..., None, :] + projected) @ params.v


def _project(x: Array, w: Array, b: Array | None) -> Array:
    y = jnp.einsum("btm,mhd->bthd", x, w)
    return y if b is None else y + b


def _check(q: Array, k: Array, mask: Array | None) -> None:
    if q.ndim != 4 or k.ndim != 4 or (q.shape[0], *q.shape[2:]) != (k.shape[0], *k.shape[2:]):
        raise ValueError(
            f"attention: q {q.shape} and k {k.shape} must be (B, T, H, Dk) and (B, S, H, Dk)"
        )
    full = (q.shape[0], q.shape[2], q.shape[1], k.shape[1])
    if mask is None:
        return
    check_bool(mask)
    if mask.ndim > 4 or any(
        m not in (1, n) for m, n in zip(mask.shape[::-1], full[::-1], strict=False)
    ):
        raise ValueError(
            f"attention: the mask {mask.shape} does not broadcast to (B, H, T, S) = {full}"
        )
