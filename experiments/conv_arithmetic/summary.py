"""The study's numbers, verdicts, table against the papers and deviations."""

from collections.abc import Sequence

from ml_collections import ConfigDict

from deepseq.lab.records import Record
from deepseq.lab.verdicts import compare, deviations
from experiments.conv_arithmetic import claims_blocks, claims_convolutions, claims_nets
from experiments.conv_arithmetic.records import Measured

UNITS = {"parameters": ("million", 1e6), "multiply-adds": ("× 10⁹", 1e9)}
PRINTED = (
    ("AlexNet", "parameters", 60, "Krizhevsky et al. 2012, abstract"),
    ("VGG-16", "parameters", 138, "Simonyan, Zisserman 2014, table 2"),
    ("VGG-19", "parameters", 144, "Simonyan, Zisserman 2014, table 2"),
    ("DenseNet(100, 12)", "parameters", 7.0, "Huang et al. 2016, table 2"),
    ("DenseNet-BC(100, 12)", "parameters", 0.8, "Huang et al. 2016, table 2"),
    ("ResNet-34", "multiply-adds", 3.6, "He et al. 2015, table 1"),
    ("ResNet-50", "multiply-adds", 3.8, "He et al. 2015, table 1"),
)
DEVIATIONS = deviations(
    (
        "C-C12, C-C13: fewer parameters at no loss of accuracy",
        "the receptive fields and the counts are judged, the accuracy is not",
        "that takes training; these are numbers that follow from the shapes",
    ),
    (
        "the notes' exercises on sizes, whose drawings are lost",
        "the four of Dumoulin and Visin 2016 (arXiv 1603.07285) with the same sizes: 3x3 on 4, 5,"
        " 5 and 5 pixels",
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


def summarize(config: ConfigDict, records: Sequence[Record]) -> dict:
    """The study's metrics, verdicts, comparison and deviations, from its log alone.

    Half a log is not judged.
    """
    log = Measured(config, records)
    if not log.finished:
        return {"metrics": {}, "claims": [], "comparison": [], "deviations": DEVIATIONS}
    metrics = {
        "nets": {row["net"]: {k: row[k] for k in row if k != "net"} for row in log.table("nets")},
        "alexnet": {
            row["layer"]: {k: row[k] for k in ("weights", "notes")} for row in log.table("alexnet")
        },
    }
    judges = claims_convolutions.JUDGES + claims_nets.JUDGES + claims_blocks.JUDGES
    return {
        "metrics": metrics,
        "claims": [row for judge in judges for row in judge(log)],
        "comparison": against_papers(log),
        "deviations": DEVIATIONS,
    }


def against_papers(log: Measured) -> list[dict]:
    """What the papers print of the same nets."""
    counts = {row["net"]: row for row in log.table("nets")} | log.table("growth")
    rows = []
    for net, what, printed, source in PRINTED:
        (unit, scale), count, remark = UNITS[what], counts[net][what], ""
        if net == "ResNet-50":
            saved = log.table("bottlenecks")["saved by striding first"]
            remark = f"{count / scale - saved / scale:.2f} if it strides as theirs"
        quantity, ours = f"{net}, {what}", [count / scale]
        rows.append(compare(quantity, ours, paper=printed, source=source, unit=unit, remark=remark))
    return rows
