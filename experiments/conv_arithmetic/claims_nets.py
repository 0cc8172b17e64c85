"""The verdicts on whole nets: AlexNet's layers, the dense layers' share, depth and parameters over
the years.
"""

from experiments.conv_arithmetic.claims import KRIZHEVSKY, judged
from experiments.conv_arithmetic.records import Found

YEARS = ("AlexNet", "VGG-19", "GoogLeNet", "ResNet-152", "DenseNet-201")
HEADINGS = {
    "AlexNet": (8, 60e6),
    "VGG-19": (19, 110e6),
    "GoogLeNet": (22, 4e6),
}  # the notes' layers and parameters
CLOSE = 0.05  # of the net's number, within which a heading is right
OURS = "the nets, built by their constructors"


def nets(found: Found) -> list[dict]:
    """All rows on whole nets."""
    return alexnet(found) + shares(found) + years(found)


def alexnet(found: Found) -> list[dict]:
    """C-C4."""
    rows = {row["layer"]: row for row in found.table("alexnet")}
    others = {name: row for name, row in rows.items() if name != "fc6"}
    fc6, conv5 = rows["fc6"], rows["conv5"]
    height, width, channels = conv5["output"]
    total, noted = (sum(row[column] for row in rows.values()) for column in ("weights", "notes"))
    return [
        judged(
            "C-C4",
            "AlexNet's layers have the weights of the notes' table: rows 1 to 5, 7 and 8",
            all(row["weights"] == row["notes"] for row in others.values()),
            {name: row["weights"] for name, row in others.items()},
            ", ".join(f"{row['notes']:,}".replace(",", " ") for row in others.values()),
            "weights of the net's layers without biases, beside the notes' products",
            KRIZHEVSKY,
        ),
        judged(
            "C-C4 row 6",
            "Its fc6 has those of row 6: 13 x 13 x 128 x 2 x 2048 x 2",
            fc6["weights"] == fc6["notes"],
            {
                "the net's fc6": fc6["weights"],
                "the notes'": fc6["notes"],
                "fc6 without the last pooling": height * width * channels * fc6["output"][0],
            },
            "177 209 344",
            "weights of fc6: it reads 6 x 6 x 256, the pooled map, where the row has the map"
            " before",
            KRIZHEVSKY,
        ),
        judged(
            "C-C4 sum",
            "The rows of the notes' table add up to the 60 million of the notes' heading",
            abs(noted - HEADINGS["AlexNet"][1]) < CLOSE * total,
            {"the notes' rows": noted, "the net": total},
            f"within {CLOSE:.0%} of 60 million",
            "sum of the rows' weights",
            KRIZHEVSKY,
        ),
    ]


def shares(found: Found) -> list[dict]:
    """C-C5."""
    share = {row["net"]: row["dense parameters"] / row["parameters"] for row in found.table("nets")}
    old, new = ("AlexNet", "VGG-16"), ("GoogLeNet", "ResNet-50", "ResNet-152", "DenseNet-201")
    rows = found.table("alexnet")
    uses = {row["layer"]: row["multiply-adds"] / row["weights"] for row in rows}
    convs, denses = (
        [row for row in rows if row["layer"].startswith(kind)] for kind in ("conv", "fc")
    )
    fc6, channels = denses[0], convs[-1]["output"][2]
    measured = {f"{name}, %": 100 * share[name] for name in (*old, *new)}
    return [
        judged(
            "C-C5",
            "Most parameters of AlexNet and VGG are in the dense layers",
            all(share[name] > 0.5 for name in old),
            {f"{name}, %": 100 * share[name] for name in old},
            "more than half: about 96 and 89 %",
            "share of the parameters in dense layers",
            OURS,
        ),
        judged(
            "C-C5 all",
            "Most parameters of a convolutional net are in its dense layers",
            all(value > 0.5 for value in share.values()),
            {name: value for name, value in measured.items() if not name.startswith(old)},
            "more than half in each",
            "share of the parameters in dense layers",
            OURS,
        ),
        judged(
            "C-C5 trend",
            "From GoogLeNet on, where a mean of the pixels stands before the last layer, less than"
            " a sixth is",
            all(share[name] < 1 / 6 for name in new),
            {"largest, %": 100 * max(share[name] for name in new)},
            "below 16.7 %",
            "share of the parameters in dense layers",
            OURS,
        ),
        judged(
            "C-C5 why",
            "Dense layers are large because the same kernel is applied at all positions",
            min(uses[row["layer"]] for row in denses) > max(uses[row["layer"]] for row in convs),
            {
                "uses of a weight in conv3": uses["conv3"],
                "in fc6": uses["fc6"],
                "weights of fc6": fc6["weights"],
                f"were one kernel used at all its {fc6['kernel'][0] // channels} positions": (
                    channels * fc6["output"][0]
                ),
                "weights of conv3": convs[2]["weights"],
                "were each position given its own": convs[2]["unshared"],
            },
            "weights of dense layers used more often",
            "multiply-adds per weight: convolutions share and are small, dense layers do not",
            OURS,
        ),
    ]


def years(found: Found) -> list[dict]:
    """C-C7."""
    rows = [found.net(name) for name in YEARS]
    depths, counts = ([row[column] for row in rows] for column in ("depth", "parameters"))
    headings = {name: found.net(name) for name in HEADINGS}
    right = all(
        row["depth"] == HEADINGS[name][0]
        and abs(HEADINGS[name][1] - row["parameters"]) < CLOSE * row["parameters"]
        for name, row in headings.items()
    )
    return [
        judged(
            "C-C7 depth",
            "Every one of the nets that made the history is deeper than the one before",
            all(a < b for a, b in zip(depths[:-1], depths[1:], strict=True)),
            dict(zip(YEARS, depths, strict=True)),
            "8, 19, 22, 152, 201",
            "convolutions and dense layers on the longest way through the net's program",
            OURS,
        ),
        judged(
            "C-C7",
            "Every one of these nets has fewer parameters than the one before",
            all(a > b for a, b in zip(counts[:-1], counts[1:], strict=True)),
            {f"{name}, million": count / 1e6 for name, count in zip(YEARS, counts, strict=True)},
            "fewer at each of the four steps",
            "parameters of each net and of the one before",
            OURS,
        ),
        judged(
            "C-C7 ends",
            "The deepest of these nets has fewer parameters than the first",
            counts[-1] < counts[0],
            {"ratio": counts[-1] / counts[0], "ratio of the depths": depths[-1] / depths[0]},
            "a ratio below 1",
            "parameters of DenseNet-201 over AlexNet's",
            OURS,
        ),
        judged(
            "C-C7 headings",
            "AlexNet: 8 layers, 60 million; VGG: 19 layers, 110 million; GoogLeNet: 22 layers, 4"
            " million",
            right,
            {f"{name}, million": row["parameters"] / 1e6 for name, row in headings.items()},
            f"within {CLOSE:.0%}",
            "depth and parameters of the nets beside the notes' headings: the depths are right, and"
            " AlexNet's 60 million",
            "the notes on modern nets",
        ),
    ]
