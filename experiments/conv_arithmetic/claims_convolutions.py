"""The claims on single convolutions: sizes, counts, filters, 1x1, receptive fields, towers."""

import math
from collections.abc import Iterator

from deepseq.lab.verdicts import Claim
from experiments.conv_arithmetic.claims import verdict
from experiments.conv_arithmetic.records import Measured
from experiments.conv_arithmetic.sizes import EXERCISE, STACK


def counts(log: Measured) -> Iterator[Claim]:
    """C-C1 and C-C2."""
    table = log.table("counts")
    _, _, sides, kernel, behind = map(set, zip(*table["rows"], strict=True))
    measured = {
        "parameters, least": min(kernel),
        "parameters, most": max(kernel),
        "output, least side": min(sides),
        "output, largest side": max(sides),
    }
    yield verdict("C-C1", kernel == {math.prod(EXERCISE)}, measured)
    measured = {"parameters, least": min(behind), "parameters, most": max(behind)}
    yield verdict("C-C1 behind", len(behind) == 1, measured)

    stack, shapes = table["stack"], ((28, 28, 4), (24, 24, 10))
    expected = [[*shape, math.prod(w)] for shape, w in zip(shapes, STACK, strict=True)]
    measured = {
        "3 to 4 by 5x5, weights": stack[0][-1],
        "4 to 10 by 5x5, weights": stack[1][-1],
        "128 to 64 by 3x3, weights": max(kernel),
    }
    yield verdict("C-C2", stack == expected and table["another depth is refused"] == 1, measured)


def filters(log: Measured) -> Iterator[Claim]:
    """C-C2 on the filters that everybody knows."""
    rows = {row["filter"]: row for row in log.table("filters")["rows"]}
    tolerance, sobel = log.config.picture.tolerance, rows["Sobel, left to right"]
    correlated, convolved = (
        max(row[f"from {kind}"] for row in rows.values()) for kind in ("correlation", "convolution")
    )
    copy, flat = rows["identity"]["from the picture"], "of a flat picture"
    measured = {
        "largest difference from SciPy": correlated,
        "identity, from the picture": copy,
        "Sobel on a flat picture": sobel[flat],
        "box blur on a flat picture": rows["box blur"][flat],
    }
    true = correlated <= tolerance and copy == sobel[flat] == rows["Laplacian"][flat] == 0
    yield verdict("C-C2 filters", true, measured, tolerance=tolerance)
    measured = {
        "Sobel, left to right, from scipy.ndimage.convolve": sobel["from convolution"],
        "from scipy.ndimage.correlate": sobel["from correlation"],
    }
    yield verdict("C-C2 convolution", convolved <= tolerance, measured, tolerance=tolerance)


def sizes(log: Measured) -> Iterator[Claim]:
    """C-C3."""
    table = log.table("sizes")
    cases, formula, identity = (
        table[name] for name in ("cases", "as the formula", "as the notes' identity")
    )
    measured = {"combinations": cases, "of that size": formula}
    yield verdict("C-C3", formula == cases, measured)
    measured = {
        f"{n} pixels, {k}x{k}, stride {s}, padding {p}, become": out
        for n, k, s, p, _, out in table["exercises"]
    }
    yield verdict("C-C3 exercises", all(row[4] == row[5] for row in table["exercises"]), measured)
    measured = {
        "combinations": cases,
        "where it is so": identity,
        "where s divides n + 2p - k": table["without a remainder"],
    }
    yield verdict("C-C3 identity", identity == cases, measured)

    taken = table["taken away"]  # [pixels, taken at stride 1, taken at stride 2]
    first, last, ones = taken[0], taken[-1], {one for _, one, _ in taken}
    measured = {
        "stride 1, always": first[1] if len(ones) == 1 else "not one number",
        f"stride 2, of {first[0]} pixels": first[2],
        f"stride 2, of {last[0]} pixels": last[2],
        "stride 2 takes 4 of": " and ".join(str(n) for n, _, two in taken if two == 4),
    }
    yield verdict("C-C3 stride", all(row[1:] == [2, 4] for row in taken), measured)


def weights(log: Measured) -> Iterator[Claim]:
    """C-C11 to C-C13, of which accuracy is not judged."""
    n = len(log.seeds)
    conv2 = next(row for row in log.table("alexnet") if row["layer"] == "conv2")
    measured = {"weights in two groups": conv2["weights"], "in one": conv2["ungrouped"]}
    yield verdict("C-C11", 2 * conv2["weights"] == conv2["ungrouped"], measured)
    mixed = log.worst("towers", "from two convolutions", "between towers")
    within = log.worst("towers", "within a tower", of=min)
    true = not any(mixed.values()) and min(within.values()) > 0
    yield verdict("C-C11 apart", true, mixed | within, n)

    fields, kinds = log.each("fields"), ("two 3x3", "one 5x5")
    true = all(values[kind] == [5, 5, 25] for values in fields for kind in kinds)
    yield verdict("C-C12", true, {f"{kind}, pixels": fields[0][kind][2] for kind in kinds}, n)
    widths, *counts = (fields[0][name] for name in ("widths", *(f"weights of {k}" for k in kinds)))
    measured = {
        f"C = {widths[i]}: {kind}": count[i]
        for i in (1, 2)
        for kind, count in zip(kinds, counts, strict=True)
    }
    true = all(25 * two == 18 * one for two, one in zip(*counts, strict=True))
    yield verdict("C-C12 count", true, measured)

    first = log.each("pixels")[0]
    measured = {name: first[name] for name in ("weights", "weights, reduced", "saves up to")}
    true = first["weights, reduced"] < first["weights"] and first["channels"] == 32
    yield verdict("C-C13", true, measured)
    same = log.worst("pixels", "from a dense layer")
    yield verdict("C-C13 dense", not any(same.values()), same, n)
    linear = log.worst("pixels", "pair from one 3x3")
    rectified = log.worst("pixels", "pair with ReLU from one 3x3", of=min)
    true = not any(linear.values()) and min(rectified.values()) > 0
    yield verdict("C-C13 ReLU", true, linear | rectified, n)


JUDGES = (counts, filters, sizes, weights)  # in the order of the table
