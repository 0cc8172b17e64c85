"""Sizes and counts of single convolutions: what conv2d gives beside what the notes say."""

import itertools
import math

import jax
from ml_collections import ConfigDict

from deepseq.nets.blocks import arithmetic
from deepseq.nets.blocks.conv import conv2d
from deepseq.nets.blocks.layers import Dense, dense
from experiments.conv_arithmetic.nets import floats, refused

# The notes' four exercises: image, kernel, stride, padding, and what comes out. Their drawings are
# lost; kernels as Dumoulin and Visin 2016 (arXiv 1603.07285) draw them give the sizes.
EXERCISES = ((4, 3, 1, 0, 2), (5, 3, 1, 1, 5), (5, 3, 2, 0, 2), (5, 3, 2, 1, 3))
STACK = ((5, 5, 3, 4), (5, 5, 4, 10))  # the notes' two kernels on an image of 32 x 32 x 3
EXERCISE = (3, 3, 128, 64)  # and the kernel whose parameters they ask for


def output(n: int, kernel: int, stride: int, padding: int) -> int:
    """Pixels on a side of what conv2d makes of n x n pixels."""

    def convolve(x, w):
        return conv2d(x, w, stride=stride, padding=((padding, padding),) * 2)

    return jax.eval_shape(convolve, floats(1, n, n, 1), floats(kernel, kernel, 1, 1)).shape[1]


def formula(n: int, kernel: int, stride: int, padding: int) -> int:
    """floor((n + 2 padding - kernel) / stride) + 1."""
    return (n + 2 * padding - kernel) // stride + 1


def sizes(config: ConfigDict) -> dict[str, int | list]:
    """How often the rule and the notes' identity give conv2d's size, of all that fits."""
    largest, *others = (config.sizes[key] for key in ("largest", "kernels", "strides", "paddings"))
    outs = {
        (n, k, s, p): output(n, k, s, p)
        for n, k, s, p in itertools.product(range(1, largest + 1), *others)
        if n + 2 * p >= k
    }
    identity = {(n, k, s, p): n + 2 * p == k + s * (out - 1) for (n, k, s, p), out in outs.items()}
    divides = {(n, k, s, p): (n + 2 * p - k) % s == 0 for n, k, s, p in outs}
    return {
        "cases": len(outs),
        "as the formula": sum(out == formula(*case) for case, out in outs.items()),
        "as the notes' identity": sum(identity.values()),
        "without a remainder": sum(divides.values()),
        "identity exactly where there is no remainder": int(identity == divides),
        "exercises": [[*row, output(*row[:4])] for row in EXERCISES],
        "taken away": [
            [n, n - outs[n, 3, 1, 0], n - outs[n, 3, 2, 0]] for n in range(3, largest + 1)
        ],
    }


def counts(config: ConfigDict) -> dict[str, list | int]:
    """Parameters of a convolution and of a dense layer behind it, and those of the notes' stack.

    The first two for every stride and padding, as [stride, padding, side, convolution, dense].
    """
    rows = []
    for stride, padding in itertools.product(config.sizes.strides, config.sizes.paddings):
        side = output(32, EXERCISE[0], stride, padding)
        params = {
            "conv": {"w": floats(*EXERCISE)},
            "dense": Dense(floats(side * side * EXERCISE[3], 10), floats(10)),
        }

        def forward(params, x, stride=stride, padding=padding):
            x = conv2d(x, params["conv"]["w"], stride=stride, padding=((padding, padding),) * 2)
            return dense(params["dense"], x.reshape(1, math.prod(x.shape)))

        layers = arithmetic.layers(forward, params, floats(1, 32, 32, EXERCISE[2]))
        count = {layer.name: layer.parameters for layer in layers}
        rows.append([stride, padding, side, count["conv"], count["dense"]])

    def two(params, x):
        for layer in params.values():
            x = jax.nn.relu(conv2d(x, layer["w"], padding="VALID"))
        return x

    stack = {str(i): {"w": floats(*kernel)} for i, kernel in enumerate(STACK)}
    layers = arithmetic.layers(two, stack, floats(1, 32, 32, 3))
    return {
        "rows": rows,
        "stack": [[*layer.shape[1:], layer.parameters] for layer in layers],
        "another depth is refused": int(
            refused(jax.eval_shape, conv2d, floats(1, 9, 9, 3), floats(5, 5, 1, 4))
        ),
    }
