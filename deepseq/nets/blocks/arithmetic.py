"""What a forward pass computes, layer by layer, read off its jaxpr: so it is the same code for
every net.

A layer is named by the path of its parameters; pooling and its like, which have none, by their
function."""

import math
import re
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
from jax.extend import core

__all__ = ["Field", "LAYERS_WITHOUT_PARAMETERS", "Layer", "Value", "layers"]

LAYERS_WITHOUT_PARAMETERS = (
    "max_pool",
    "average_pool",
    "global_average_pool",
    "local_response_norm",
)
# names of the arrays that together are one layer
_ONE_OF_A_LAYER = re.compile(r"[wb][a-z0-9]?|gamma|beta|gain|bias")
_SAME_ARRAY = (
    "broadcast_in_dim",
    "convert_element_type",
    "copy",
    "reshape",
    "rev",
    "squeeze",
    "transpose",
)
_CALLS = ("jaxpr", "call_jaxpr", "fun_jaxpr")


class Layer(NamedTuple):
    """One line of a net's table; None where a column has no meaning."""

    name: str
    shape: tuple[int, ...]  # of its output; inside a loop with the number of turns in front
    parameters: int
    multiply_adds: int  # of matrix products and convolutions
    bytes: int  # its output takes
    receptive_field: int | None  # rows of the image that one output may depend on
    jump: int | None  # rows of the image between neighbouring outputs


class Field(NamedTuple):
    """Which rows of the image the first row of an array sees, lo..hi, and how far the next row is
    moved on.
    """

    lo: int
    hi: int
    jump: int


class Value(NamedTuple):
    """What is known of an array: the parameter that it is, or what it sees of the image."""

    parameter: int | None = None
    field: Field | None = None


def layers(forward: Callable, params: Any, *inputs: Any) -> list[Layer]:
    """The layers of ``forward(params, *inputs)`` in the order in which they are first met.

    Args:
      forward: a function of JAX.
      params: its parameters, or their shapes (``jax.eval_shape(net.init, key)``): nothing is
        computed or allocated.
      inputs: arrays or shapes; one of four axes is taken for images (B, H, W, C), whose H receptive
        fields are about.

    Returns:
      one Layer each. A multiply-add is counted for every product that is summed in a convolution or
      matrix product; a product of two activations (attention's scores) counts for the layer before
      it. Of what depends on the platform, what GPUs do is counted; a ``while`` loop, whose turns
      are unknown, once. Parameters that are nowhere used are in a last row.
    """
    closed = jax.make_jaxpr(forward)(params, *inputs)
    leaves = jax.tree_util.tree_flatten_with_path(params)[0]
    table = _Table([(_layer_name(path), math.prod(leaf.shape)) for path, leaf in leaves])
    images = (
        Value(field=Field(0, 0, 1)) if len(x.shape) == 4 else Value()
        for x in jax.tree.leaves(inputs)
    )
    _walk(closed.jaxpr, [*(Value(parameter=i) for i in range(len(leaves))), *images], table, ())
    return table.finished()


class _Table:
    """The rows as they grow."""

    def __init__(self, parameters: list[tuple[str, int]]):
        self.parameters, self.unused = parameters, dict(enumerate(parameters))
        self.rows: dict[str, Layer] = {}

    def meet(
        self,
        name: str,
        aval: Any,
        turns: tuple[int, ...],
        field: Field | None,
        *,
        work: int = 0,
        parameters: int = 0,
    ):
        """Something of the layer ``name`` gave this output."""
        shape = (*turns, *aval.shape)
        seen = field and field.hi - field.lo + 1, field and field.jump
        before = self.rows.get(name, Layer(name, shape, 0, 0, 0, None, None))
        size = math.prod(shape) * aval.dtype.itemsize
        self.rows[name] = Layer(
            name, shape, before.parameters + parameters, before.multiply_adds + work, size, *seen
        )

    def use(
        self, parameter: int, aval: Any, turns: tuple[int, ...], field: Field | None, work: int = 0
    ):
        name, size = self.parameters[parameter]
        first = self.unused.pop(parameter, None) is not None
        self.meet(name, aval, turns, field, work=work, parameters=size if first else 0)

    def without_parameters(self, kind: str, aval: Any, turns: tuple[int, ...], field: Field | None):
        number = 1 + sum(re.fullmatch(rf"{kind}( \d+)?", name) is not None for name in self.rows)
        self.meet(kind if number == 1 else f"{kind} {number}", aval, turns, field)

    def more_work(self, aval: Any, turns: tuple[int, ...], work: int):
        """A product of activations: of the layer before it, or one of its own."""
        last = next(reversed(self.rows), None)
        if last is None:
            self.meet("product", aval, turns, None, work=work)
        else:
            row = self.rows[last]
            self.rows[last] = row._replace(multiply_adds=row.multiply_adds + work)

    def finished(self) -> list[Layer]:
        left = sum(size for _, size in self.unused.values())
        return [
            *self.rows.values(),
            *([Layer("unused", (), left, 0, 0, None, None)] if left else []),
        ]


def _walk(
    jaxpr: core.Jaxpr, given: list[Value], table: _Table, turns: tuple[int, ...]
) -> list[Value]:
    known: dict[Any, Value] = dict(zip(jaxpr.invars, given, strict=True))

    def value(atom: Any) -> Value:
        return Value() if isinstance(atom, core.Literal) else known.get(atom, Value())

    for eqn in jaxpr.eqns:
        ins = [value(atom) for atom in eqn.invars]
        outs = _equation(eqn, ins, table, turns)
        known |= dict(zip(eqn.outvars, outs, strict=True))
    return [value(atom) for atom in jaxpr.outvars]


def _equation(eqn: Any, ins: list[Value], table: _Table, turns: tuple[int, ...]) -> list[Value]:
    """What is known of an equation's outputs; what it computed is in the table."""
    name, out = eqn.primitive.name, eqn.outvars[0].aval
    if name == "cond":  # by platform: the last is the default, which is what GPUs do
        return _walk(eqn.params["branches"][-1].jaxpr, ins[1:], table, turns)
    if name == "scan":
        inner, length = eqn.params["jaxpr"].jaxpr, eqn.params["length"]
        return _walk(inner, ins, table, (*turns, length))
    if name == "while":
        skipped, body = eqn.params["cond_nconsts"], eqn.params["body_jaxpr"].jaxpr
        return _walk(body, ins[skipped:], table, turns)
    inner = next((eqn.params[key] for key in _CALLS if key in eqn.params), None)
    if inner is not None:
        outs = _walk(getattr(inner, "jaxpr", inner), ins, table, turns)
        if eqn.params.get("name") in LAYERS_WITHOUT_PARAMETERS:
            table.without_parameters(eqn.params["name"], out, turns, outs[0].field)
        return outs
    field = _field(eqn, ins)
    parameters = [value.parameter for value in ins if value.parameter is not None]
    if name in _SAME_ARRAY and parameters:
        return [Value(parameter=parameters[0])]
    work = math.prod(turns) * _multiply_adds(eqn)
    for parameter in parameters:
        table.use(parameter, out, turns, field, work)
        work = 0
    if work:
        table.more_work(out, turns, work)
    return [Value(field=field) for _ in eqn.outvars]


def _multiply_adds(eqn: Any) -> int:
    out = math.prod(eqn.outvars[0].aval.shape)
    if eqn.primitive.name == "dot_general":
        (contracted, _), _ = eqn.params["dimension_numbers"]
        return out * math.prod(eqn.invars[0].aval.shape[axis] for axis in contracted)
    if eqn.primitive.name == "conv_general_dilated":
        kernel, channels_out = eqn.invars[1].aval.shape, eqn.params["dimension_numbers"].rhs_spec[0]
        return out * math.prod(kernel) // kernel[channels_out]
    return 0


def _field(eqn: Any, ins: list[Value]) -> Field | None:
    """What the output sees: the union of what the inputs see, moved and widened along the rows."""
    fields = [value.field for value in ins if value.field is not None]
    out = eqn.outvars[0].aval
    if not fields or len(out.shape) != 4:
        return None
    field = Field(min(f.lo for f in fields), max(f.hi for f in fields), fields[0].jump)
    lo, hi, jump = field
    p = eqn.params
    match eqn.primitive.name:
        case "conv_general_dilated":
            rows = p["dimension_numbers"].rhs_spec[2]
            span = (eqn.invars[1].aval.shape[rows] - 1) * p["rhs_dilation"][0]
            start = lo - int(p["padding"][0][0]) * jump
            return Field(start, hi - lo + start + span * jump, jump * p["window_strides"][0])
        case "slice":
            first, step = p["start_indices"][1], (p["strides"] or (1,) * 4)[1]
            return Field(lo + first * jump, hi + first * jump, jump * step)
        case "pad":
            before = p["padding_config"][1][0] * jump
            return Field(lo - before, hi - before, jump)
        case "reshape" | "transpose" | "dot_general" | "gather":
            return None
    return field


def _layer_name(path: tuple) -> str:
    names = jax.tree_util.keystr(path, simple=True, separator=".").split(".")
    return ".".join(
        names[:-1] if len(names) > 1 and _ONE_OF_A_LAYER.fullmatch(names[-1]) else names
    )
