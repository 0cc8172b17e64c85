"""The verdicts on single convolutions: sizes, counts, filters, 1x1, receptive fields, towers. All
are exact.
"""

import math
from collections.abc import Mapping

from ml_collections import ConfigDict

from deepseq.lab.verdicts import claim, exact
from experiments.conv_arithmetic.records import Found
from experiments.conv_arithmetic.sizes import EXERCISE, EXERCISES, STACK

NOTES = "the notes on convolution"
VGG, KRIZHEVSKY = "Simonyan, Zisserman 2014 (arXiv 1409.1556)", "Krizhevsky et al. 2012"


def judged(
    id: str,
    text: str,
    true: bool,
    measured: Mapping,
    expected: str,
    statistic: str,
    source: str = NOTES,
    n: int = 1,
) -> dict:
    """A row of the verdict table that is true or not; ``n`` counts the seeds whose weights it was
    tried on.
    """
    return claim(
        id,
        text,
        exact(true),
        statistic=statistic,
        measured=measured,
        interval=None,
        n=n,
        expected=expected,
        source=source,
    )


def convolutions(config: ConfigDict, found: Found) -> list[dict]:
    """All rows on single convolutions."""
    return (
        counts(found)
        + filters(config, found)
        + sizes(found)
        + towers(found)
        + fields(found)
        + pixels(found)
    )


def counts(found: Found) -> list[dict]:
    """C-C1 and C-C2."""
    own = found.table("counts")
    kernel, behind = ({row[column] for row in own["rows"]} for column in (3, 4))
    stack = own["stack"]
    expected = [[28, 28, 4, math.prod(STACK[0])], [24, 24, 10, math.prod(STACK[1])]]
    return [
        judged(
            "C-C1",
            "Neither padding nor stride changes the parameters of a convolution",
            kernel == {math.prod(EXERCISE)},
            {
                "parameters, least": min(kernel),
                "parameters, most": max(kernel),
                "output, least side": min(row[2] for row in own["rows"]),
                "output, largest side": max(row[2] for row in own["rows"]),
            },
            "always 73 728",
            "parameters of 3x3, 128 to 64, on 32x32, for every stride and padding",
        ),
        judged(
            "C-C1 behind",
            "Nor do they change those of a dense layer behind it",
            len(behind) == 1,
            {"parameters, least": min(behind), "parameters, most": max(behind)},
            "one number",
            "parameters of a dense layer of 10 units behind it, for every stride and padding",
        ),
        judged(
            "C-C2",
            "A kernel is as deep as its input, so a layer has k x k x C_in x C_out weights",
            stack == expected and own["another depth is refused"] == 1,
            {
                "3 to 4 by 5x5, weights": stack[0][-1],
                "4 to 10 by 5x5, weights": stack[1][-1],
                "128 to 64 by 3x3, weights": max(kernel),
            },
            "300, 1000, 73 728; outputs 28x28x4 and 24x24x10; a kernel of another depth is refused",
            "shapes and parameters of the notes' two layers on 32x32x3",
        ),
    ]


def filters(config: ConfigDict, found: Found) -> list[dict]:
    """C-C2 on the filters that everybody knows."""
    rows = {row["filter"]: row for row in found.table("filters")["rows"]}
    tolerance, sobel = config.picture.tolerance, "Sobel, left to right"
    correlated = max(row["from correlation"] for row in rows.values())
    flat = [rows[name]["of a flat picture"] for name in (sobel, "Laplacian")]
    return [
        judged(
            "C-C2 filters",
            "What comes out depends on the kernel: one copies, one blurs, others find edges",
            correlated <= tolerance
            and rows["identity"]["from the picture"] == 0
            and flat == [0, 0],
            {
                "largest difference from SciPy": correlated,
                "identity, from the picture": rows["identity"]["from the picture"],
                "Sobel on a flat picture": flat[0],
                "box blur on a flat picture": rows["box blur"]["of a flat picture"],
            },
            f"at most {tolerance:g}, 0, 0, 1",
            "difference from scipy.ndimage.correlate on a photograph, in ranges of a pixel;"
            " response to a flat picture",
        ),
        judged(
            "C-C2 convolution",
            "What nets call convolution is the convolution of mathematics",
            max(row["from convolution"] for row in rows.values()) <= tolerance,
            {
                f"{name}, from scipy.ndimage.convolve": row["from convolution"]
                for name, row in rows.items()
                if name == sobel
            }
            | {"from scipy.ndimage.correlate": rows[sobel]["from correlation"]},
            f"at most {tolerance:g}",
            "difference from SciPy's convolution, in ranges of a pixel: it turns kernels round,"
            " nets do not",
        ),
    ]


def sizes(found: Found) -> list[dict]:
    """C-C3."""
    own = found.table("sizes")
    taken = own["taken away"]
    four = [n for n, _, two in taken if two == 4]
    return [
        judged(
            "C-C3",
            "Of n pixels, floor((n + 2p - k) / s) + 1 are left",
            own["as the formula"] == own["cases"],
            {"combinations": own["cases"], "of that size": own["as the formula"]},
            "all",
            "sizes that conv2d gives for every image, kernel, stride and padding that fit",
        ),
        judged(
            "C-C3 exercises",
            "4x4 becomes 2x2, 5x5 stays or becomes 2x2 or 3x3",
            all(row[4] == row[5] for row in own["exercises"]),
            {
                f"{n} pixels, {k}x{k}, stride {s}, padding {p}, become": out
                for n, k, s, p, _, out in own["exercises"]
            },
            ", ".join(str(row[4]) for row in EXERCISES),
            "sizes that conv2d gives, kernel and stride after Dumoulin and Visin 2016",
        ),
        judged(
            "C-C3 identity",
            "n + 2p = k + s (output - 1), the notes' rule",
            own["as the notes' identity"] == own["cases"],
            {
                "combinations": own["cases"],
                "where it is so": own["as the notes' identity"],
                "where s divides n + 2p - k": own["without a remainder"],
            },
            "all",
            "combinations whose size satisfies it: those without a remainder, no others",
        ),
        judged(
            "C-C3 stride",
            "A kernel of 3 takes 2 pixels away at stride 1, and 4 at stride 2",
            all((one, two) == (2, 4) for _, one, two in taken),
            {
                "stride 1, always": (
                    taken[0][1] if len({one for _, one, _ in taken}) == 1 else "not one number"
                ),
                f"stride 2, of {taken[0][0]} pixels": taken[0][2],
                f"stride 2, of {taken[-1][0]} pixels": taken[-1][2],
                "stride 2 takes 4 of": " and ".join(map(str, four)),
            },
            "2 and 4 for every size",
            "pixels taken away, unpadded: at stride 2 about half are left",
        ),
    ]


def towers(found: Found) -> list[dict]:
    """C-C11."""
    conv2 = next(row for row in found.table("alexnet") if row["layer"] == "conv2")
    apart, across = (
        found.worst("towers", "from two convolutions"),
        found.worst("towers", "between towers"),
    )
    within = found.worst("towers", "within a tower", min)
    return [
        judged(
            "C-C11",
            "Two towers halve the connections: conv2 has half the weights",
            2 * conv2["weights"] == conv2["ungrouped"],
            {"weights in two groups": conv2["weights"], "in one": conv2["ungrouped"]},
            "307 200, half of 614 400",
            "weights of AlexNet's conv2",
            KRIZHEVSKY,
        ),
        judged(
            "C-C11 apart",
            "A tower sees nothing of the other: two groups are two convolutions side by side",
            apart["from two convolutions"]
            == across["between towers"]
            == 0
            < within["within a tower"],
            apart | across | within,
            "exactly 0, exactly 0, above 0",
            "conv2's shapes: difference from two convolutions; gradient to the other tower's"
            " channels, and to its own",
            KRIZHEVSKY,
            len(found.seeds),
        ),
    ]


def fields(found: Found) -> list[dict]:
    """C-C12, of which accuracy is not judged."""
    own = found.each("fields")
    two, one = own[0]["weights of two 3x3"], own[0]["weights of one 5x5"]
    return [
        judged(
            "C-C12",
            "Two convolutions of 3x3 see as much as one of 5x5",
            all(f["two 3x3"] == f["one 5x5"] == [5, 5, 25] for f in own),
            {f"{kind}, pixels": own[0][kind][2] for kind in ("two 3x3", "one 5x5")},
            "5 x 5 pixels each",
            "pixels whose gradient is not 0, with ReLU after each layer; accuracy is not judged"
            " here",
            VGG,
            len(found.seeds),
        ),
        judged(
            "C-C12 count",
            "Two 3x3 have fewer weights than one 5x5: 18 C^2 against 25 C^2",
            all(25 * a == 18 * b for a, b in zip(two, one, strict=True)),
            {
                f"C = {own[0]['widths'][i]}: {kind}": w[i]
                for i in (1, 2)
                for kind, w in (("two 3x3", two), ("one 5x5", one))
            },
            "a ratio of 0.72",
            "weights at four widths",
            VGG,
        ),
    ]


def pixels(found: Found) -> list[dict]:
    """C-C13, of which accuracy is not judged."""
    own = found.each("pixels")[0]
    n = len(found.seeds)
    one, linear = (
        found.worst("pixels", "from a dense layer"),
        found.worst("pixels", "pair from one 3x3"),
    )
    rectified = found.worst("pixels", "pair with ReLU from one 3x3", min)
    return [
        judged(
            "C-C13",
            "A 1x1 before a 3x3 takes channels and weights away and keeps height and width",
            own["weights, reduced"] < own["weights"] and own["channels"] == 32,
            {name: own[name] for name in ("weights", "weights, reduced", "saves up to")},
            "147 456 to 40 960, 128 channels to 32",
            "weights of 3x3 at 128 channels, and with 1x1 to 32 before it; the most channels that"
            " save; accuracy not judged",
        ),
        judged(
            "C-C13 dense",
            "A convolution of 1x1 is a dense layer at every pixel",
            one["from a dense layer"] == 0,
            one,
            "exactly 0",
            "largest difference, on whole numbers, whose sums are exact",
            "Lin et al. 2013 (arXiv 1312.4400)",
            n,
        ),
        judged(
            "C-C13 ReLU",
            "A 1x1 adds a nonlinearity, but only with a ReLU behind it: without, the pair is"
            " one 3x3",
            linear["pair from one 3x3"] == 0 < rectified["pair with ReLU from one 3x3"],
            linear | rectified,
            "exactly 0, above 0",
            "largest difference from the one 3x3 whose kernel is the product, without and with ReLU"
            " between",
            "Lin et al. 2013 (arXiv 1312.4400)",
            n,
        ),
    ]
