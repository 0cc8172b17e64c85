"""Sizes and counts of single convolutions: what conv2d gives beside what the rules and the notes
say.
"""

import itertools

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from deepseq.nets.blocks import arithmetic
from deepseq.nets.blocks.conv import conv2d
from deepseq.nets.blocks.layers import Dense, dense

# The notes' four exercises; their drawings are lost, but kernels as Dumoulin and Visin 2016 (arXiv
# 1603.07285) draw them give the sizes: image, kernel, stride, padding, and what the notes say comes
# out.
EXERCISES = ((4, 3, 1, 0, 2), (5, 3, 1, 1, 5), (5, 3, 2, 0, 2), (5, 3, 2, 1, 3))
STACK = ((5, 5, 3, 4), (5, 5, 4, 10))  # the notes' two kernels on an image of 32 x 32 x 3
EXERCISE = (3, 3, 128, 64)  # and the kernel whose parameters they ask for


def output(n: int, kernel: int, stride: int, padding: int) -> int:
    """Pixels on a side of what conv2d makes of n x n pixels."""
    x, w = (
        jax.ShapeDtypeStruct(shape, jnp.float32) for shape in ((1, n, n, 1), (kernel, kernel, 1, 1))
    )
    made = jax.eval_shape(
        lambda x, w: conv2d(x, w, stride=stride, padding=((padding, padding),) * 2), x, w
    )
    return made.shape[1]


def formula(n: int, kernel: int, stride: int, padding: int) -> int:
    """floor((n + 2 padding - kernel) / stride) + 1."""
    return (n + 2 * padding - kernel) // stride + 1


def sizes(config: ConfigDict) -> dict[str, int | list]:
    """Every combination that fits, through conv2d: how often the rule and the notes' identity give
    its size.
    """
    own = config.sizes
    cases = [
        case
        for case in itertools.product(
            range(1, own.largest + 1), own.kernels, own.strides, own.paddings
        )
        if case[0] + 2 * case[3] >= case[1]
    ]
    outs = {case: output(*case) for case in cases}
    identity = {(n, k, s, p): n + 2 * p == k + s * (out - 1) for (n, k, s, p), out in outs.items()}
    divides = {(n, k, s, p): (n + 2 * p - k) % s == 0 for n, k, s, p in cases}
    return {
        "cases": len(cases),
        "as the formula": sum(outs[case] == formula(*case) for case in cases),
        "as the notes' identity": sum(identity.values()),
        "without a remainder": sum(divides.values()),
        "identity exactly where there is no remainder": int(identity == divides),
        "exercises": [[*given, output(*given[:4])] for given in EXERCISES],
        "taken away": [
            [n, n - outs[n, 3, 1, 0], n - outs[n, 3, 2, 0]] for n in range(3, own.largest + 1)
        ],
    }


def counts(config: ConfigDict) -> dict[str, list | int]:
    """Parameters of a convolution, and of a dense layer behind it, for every stride and padding;
    those of the notes' stack.
    """
    rows = []
    for stride, padding in itertools.product(config.sizes.strides, config.sizes.paddings):

        def convolve(w, x, stride=stride, padding=padding):
            return conv2d(x, w, stride=stride, padding=((padding, padding),) * 2)

        x, w = (
            jax.ShapeDtypeStruct(shape, jnp.float32)
            for shape in ((1, 32, 32, EXERCISE[2]), EXERCISE)
        )
        side = jax.eval_shape(convolve, w, x).shape[1]
        behind = jax.eval_shape(
            lambda n=side * side * EXERCISE[3]: Dense(jnp.zeros((n, 10)), jnp.zeros(10))
        )

        def forward(params, x, convolve=convolve):
            return dense(params["dense"], convolve(params["conv"]["w"], x).reshape(1, -1))

        table = {
            row.name: row
            for row in arithmetic.layers(forward, {"conv": {"w": w}, "dense": behind}, x)
        }
        rows.append([stride, padding, side, table["conv"].parameters, table["dense"].parameters])
    stack = {
        str(i): {"w": jax.ShapeDtypeStruct(shape, jnp.float32)} for i, shape in enumerate(STACK)
    }

    def two(params, x):
        for i in range(len(STACK)):
            x = jax.nn.relu(conv2d(x, params[str(i)]["w"], padding="VALID"))
        return x

    layers = arithmetic.layers(two, stack, jax.ShapeDtypeStruct((1, 32, 32, 3), jnp.float32))
    return {
        "rows": rows,
        "stack": [[*layer.shape[1:], layer.parameters] for layer in layers],
        "another depth is refused": _refused(),
    }


def _refused() -> int:
    """1 if a kernel of depth 1 does not fit an image of 3 channels."""
    try:
        jax.eval_shape(
            conv2d,
            *(jax.ShapeDtypeStruct(shape, jnp.float32) for shape in ((1, 9, 9, 3), (5, 5, 1, 4))),
        )
    except ValueError:
        return 1
    return 0
