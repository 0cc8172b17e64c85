"""The claims on whole nets: AlexNet's layers, the dense layers' share, depth and parameters."""

from collections.abc import Iterator
from itertools import pairwise

from deepseq.lab.verdicts import Claim
from experiments.conv_arithmetic.claims import verdict
from experiments.conv_arithmetic.records import Measured

YEARS = ("AlexNet", "VGG-19", "GoogLeNet", "ResNet-152", "DenseNet-201")
# the notes' layers and parameters
HEADINGS = {"AlexNet": (8, 60e6), "VGG-19": (19, 110e6), "GoogLeNet": (22, 4e6)}
CLOSE = 0.05  # of the net's number, within which a heading is right


def alexnet(log: Measured) -> Iterator[Claim]:
    """C-C4."""
    rows = {row["layer"]: row for row in log.table("alexnet")}
    total, noted = (sum(row[column] for row in rows.values()) for column in ("weights", "notes"))
    fc6, (height, width, channels) = rows.pop("fc6"), rows["conv5"]["output"]
    true = all(row["weights"] == row["notes"] for row in rows.values())
    yield verdict("C-C4", true, {name: row["weights"] for name, row in rows.items()})
    measured = {
        "the net's fc6": fc6["weights"],
        "the notes'": fc6["notes"],
        "fc6 without the last pooling": height * width * channels * fc6["output"][0],
    }
    yield verdict("C-C4 row 6", fc6["weights"] == fc6["notes"], measured)
    measured = {"the notes' rows": noted, "the net": total}
    yield verdict("C-C4 sum", abs(noted - HEADINGS["AlexNet"][1]) < CLOSE * total, measured)


def shares(log: Measured) -> Iterator[Claim]:
    """C-C5."""
    share = {
        row["net"]: 100 * (row["dense parameters"] / row["parameters"]) for row in log.table("nets")
    }
    old, new = ("AlexNet", "VGG-16"), ("GoogLeNet", "ResNet-50", "ResNet-152", "DenseNet-201")
    measured = {f"{name}, %": share[name] for name in old}
    yield verdict("C-C5", all(share[name] > 50 for name in old), measured)
    measured = {f"{name}, %": share[name] for name in new}
    yield verdict("C-C5 all", all(value > 50 for value in share.values()), measured)
    largest = max(share[name] for name in new)
    yield verdict("C-C5 trend", largest < 100 / 6, {"largest, %": largest})

    rows = {row["layer"]: row for row in log.table("alexnet")}
    uses = {name: row["multiply-adds"] / row["weights"] for name, row in rows.items()}
    convs, denses = ([uses[name] for name in uses if name[:2] == kind] for kind in ("co", "fc"))
    fc6, conv3, channels = rows["fc6"], rows["conv3"], rows["conv5"]["output"][2]
    positions = fc6["kernel"][0] // channels
    measured = {
        "uses of a weight in conv3": uses["conv3"],
        "in fc6": uses["fc6"],
        "weights of fc6": fc6["weights"],
        f"were one kernel used at all its {positions} positions": channels * fc6["output"][0],
        "weights of conv3": conv3["weights"],
        "were each position given its own": conv3["unshared"],
    }
    yield verdict("C-C5 why", min(denses) > max(convs), measured)


def years(log: Measured) -> Iterator[Claim]:
    """C-C7."""
    depths, counts = (
        {name: log.net(name)[key] for name in YEARS} for key in ("depth", "parameters")
    )
    (first, *_, last), layers = counts.values(), list(depths.values())
    yield verdict("C-C7 depth", all(a < b for a, b in pairwise(layers)), depths)
    measured = {f"{name}, million": count / 1e6 for name, count in counts.items()}
    yield verdict("C-C7", all(a > b for a, b in pairwise(counts.values())), measured)
    ratios = {"ratio": last / first, "ratio of the depths": layers[-1] / layers[0]}
    yield verdict("C-C7 ends", last < first, ratios)
    right = all(
        depths[name] == depth and abs(count - counts[name]) < CLOSE * counts[name]
        for name, (depth, count) in HEADINGS.items()
    )
    yield verdict("C-C7 headings", right, {key: measured[key] for key in list(measured)[:3]})


JUDGES = (alexnet, shares, years)  # in the order of the table
