"""From the log of the study of convolutions to its numbers, verdicts, the papers' numbers and
deviations.
"""

from collections.abc import Mapping, Sequence

from ml_collections import ConfigDict

from experiments.conv_arithmetic.claims import convolutions
from experiments.conv_arithmetic.claims_blocks import blocks
from experiments.conv_arithmetic.claims_nets import nets
from experiments.conv_arithmetic.records import Found

DEVIATIONS = (
    (
        "C-C12, C-C13: fewer parameters at no loss of accuracy",
        "the receptive fields and the counts are judged, the accuracy is not",
        "that takes training; these are numbers that follow from the shapes",
    ),
    (
        "the notes' exercises on sizes, whose drawings are lost",
        (
            "the four of Dumoulin and Visin 2016 (arXiv 1603.07285) with the same sizes: 3x3 on 4,"
            " 5, 5 and 5 pixels"
        ),
        "sizes alone do not say which kernel, stride and padding were drawn",
    ),
    (
        "ResNet strides in a bottleneck's first 1x1 (He et al. 2015)",
        "in its 3x3",
        "so that torchvision's weights fit, at somewhat more work: see the comparison",
    ),
    (
        "GoogLeNet has 15.5 % of its parameters in the dense layer (torchvision's)",
        "the net of 2014: 5x5 kernels, biases, no batch norm",
        "the notes speak of the paper's net",
    ),
)


def summarize(config: ConfigDict, records: Sequence[Mapping]) -> dict:
    """The study's metrics, verdicts, comparison and deviations, from its log alone; half a log is
    not judged.
    """
    found = Found(config, records)
    deviations = [dict(zip(("paper", "here", "reason"), row, strict=True)) for row in DEVIATIONS]
    if not found.finished:
        return {"metrics": {}, "claims": [], "comparison": [], "deviations": deviations}
    return {
        "metrics": {
            "nets": {
                row["net"]: {k: v for k, v in row.items() if k != "net"}
                for row in found.table("nets")
            },
            "alexnet": {
                row["layer"]: {k: row[k] for k in ("weights", "notes")}
                for row in found.table("alexnet")
            },
        },
        "claims": convolutions(config, found) + nets(found) + blocks(found),
        "comparison": compare(found),
        "deviations": deviations,
    }


def compare(found: Found) -> list[dict]:
    """What the papers print of the same nets."""
    millions = {
        name: found.net(name)["parameters"] / 1e6 for name in ("AlexNet", "VGG-16", "VGG-19")
    }
    dense = {
        name: found.table("growth")[name]["parameters"] / 1e6
        for name in ("DenseNet(100, 12)", "DenseNet-BC(100, 12)")
    }
    work = {name: found.net(name)["multiply-adds"] / 1e9 for name in ("ResNet-34", "ResNet-50")}
    striding = (
        f"{work['ResNet-50'] - found.table('bottlenecks')['saved by striding first'] / 1e9:.2f} if"
        " it strides as theirs"
    )
    rows = [
        (
            "AlexNet, parameters",
            "million",
            60,
            millions["AlexNet"],
            "Krizhevsky et al. 2012, abstract",
            "",
        ),
        (
            "VGG-16, parameters",
            "million",
            138,
            millions["VGG-16"],
            "Simonyan, Zisserman 2014, table 2",
            "",
        ),
        (
            "VGG-19, parameters",
            "million",
            144,
            millions["VGG-19"],
            "Simonyan, Zisserman 2014, table 2",
            "",
        ),
        (
            "DenseNet(100, 12), parameters",
            "million",
            7.0,
            dense["DenseNet(100, 12)"],
            "Huang et al. 2016, table 2",
            "",
        ),
        (
            "DenseNet-BC(100, 12), parameters",
            "million",
            0.8,
            dense["DenseNet-BC(100, 12)"],
            "Huang et al. 2016, table 2",
            "",
        ),
        (
            "ResNet-34, multiply-adds",
            "× 10⁹",
            3.6,
            work["ResNet-34"],
            "He et al. 2015, table 1",
            "",
        ),
        (
            "ResNet-50, multiply-adds",
            "× 10⁹",
            3.8,
            work["ResNet-50"],
            "He et al. 2015, table 1",
            striding,
        ),
    ]
    keys = ("quantity", "unit", "paper", "ours", "source", "remark")
    return [dict(zip(keys, row, strict=True)) | {"interval": None, "n": 1} for row in rows]
