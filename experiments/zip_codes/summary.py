"""The study's numbers, verdicts, table against the paper and deviations."""

from collections.abc import Iterator, Sequence

import numpy as np
from ml_collections import ConfigDict

from deepseq.lab.records import Record, Records
from deepseq.lab.verdicts import About, Above, Below, compare, deviations, judge, mean_interval
from experiments.zip_codes.nets import NETS
from experiments.zip_codes.readers import READERS

LECUN89 = "LeCun et al. 1989, Neural Computation 1, section 4"
SOURCES = {"zip_codes": LECUN89, "lenet5": "LeCun et al. 1998, Proc. IEEE 86"}
TITLES = {"zip_codes": "the net of 1989", "lenet5": "LeNet-5"}
NAMES = {"digits": "scikit-learn's digits", "usps": "zip codes", "mnist": "MNIST"}
PRINTED = {"train error": 0.14, "test error": 5.0}  # % of the net of 1989, after 23 passes
CURVES = ("train error", "test error", "train loss", "test loss")


def trained(config: ConfigDict, records: Sequence[Record]) -> dict[str, Records]:
    """The records of each net, of which a seed has been trained."""
    logs = {net: Records(records, [{"net": net}], config.seeds) for net in NETS}
    return {net: log for net, log in logs.items() if log.seeds}


def last(log: Records, name: str) -> np.ndarray:
    """(S,) of a curve, after the last pass."""
    return log.values("curve", name)[:, -1]


def summarize(config: ConfigDict, records: Sequence[Record]) -> dict:
    """The study's metrics, verdicts, comparison and deviations, from its log alone.

    What is not finished is left out.
    """
    logs = trained(config, records)
    return {
        "metrics": {net: metrics(log) for net, log in logs.items()},
        "claims": [row for net, log in logs.items() for row in claims(config[net], log, net)],
        "comparison": against_paper(config, logs),
        "deviations": departures(config),
    }


def metrics(log: Records) -> dict[str, dict]:
    """What is reported of a net."""
    values = {name: last(log, name) for name in CURVES}
    values |= {f"linear reader of {reader}": log.values("probe", reader) for reader in READERS}
    return {name: {"mean": v.mean(), "interval": mean_interval(v)} for name, v in values.items()}


def claims(config: ConfigDict, log: Records, net: str) -> Iterator[dict]:
    """C-C16 and C-C15 of a net, with its part of the config."""
    title, source, count = TITLES[net], SOURCES[net], log.end()["images"]["test"]
    errors = last(log, "test error")
    yield judge(
        About(
            f"C-C16 {net}",
            f"A convolutional net reads digits: {title} errs on fewer than {config.threshold:g} %"
            " of new images",
            f"% of test errors after {config.passes} passes over {NAMES[config.data]}",
            source,
            "holds",
        ),
        errors,
        Below(config.threshold),
        measured={
            "test errors, %": errors,
            f"of {count} images": errors.mean() * count / 100,
            "training errors, %": last(log, "train error"),
        },
    )
    pixels, before, after = (log.values("probe", reader) for reader in READERS)
    for more, text, difference, measured in (
        (
            "",
            f"Its maps are features: a linear reader of the last maps of {title} errs less than one"
            " of the pixels",
            "pixels minus of the maps",
            {"of the pixels, %": pixels, "of the maps, %": after},
        ),
        (
            " learned",
            f"The features are learned: {title} before training has maps that are worse to read",
            "maps before training minus after",
            {"before training, %": before, "after, %": after},
        ),
    ):
        statistic = (
            "% of test errors of a linear reader (ridge regression, its penalty chosen on the last"
            f" fifth of the training images): of the {difference}, paired by seed"
        )
        worse, better = measured.values()
        about = About(f"C-C15 {net}{more}", text, statistic, source, "holds")
        yield judge(about, worse - better, Above(0), measured=measured)


def against_paper(config: ConfigDict, logs: dict[str, Records]) -> list[dict]:
    """The paper's errors beside ours, where its images were read."""
    shown = PRINTED if config.zip_codes.data == "usps" and "zip_codes" in logs else {}
    return [
        compare(
            f"{'training' if name.startswith('train') else 'test'} errors of the net of 1989",
            last(logs["zip_codes"], name),
            paper=printed,
            source=LECUN89,
            unit="%",
            remark="the same images and passes, another optimiser",
        )
        for name, printed in shown.items()
    ]


def departures(config: ConfigDict) -> list[dict]:
    """What is done otherwise than in the papers."""
    return deviations(
        (
            "a diagonal approximation to second derivatives sets the rate of each weight",
            "plain gradient descent, its rate falling in a line, for 1989; Adam and a cosine for"
            " LeNet-5",
            "the subject is the nets; first derivatives reach the same errors",
        ),
        (
            "which maps of H1 a map of H2 sees is not printed",
            "three groups of four maps, each seeing eight",
            "it gives the printed numbers of weights and connections",
        ),
        (
            "LeNet-5's targets are bitmaps of all printable characters",
            "ten digits drawn for this study",
            "only digits are read",
        ),
        (
            "zip codes of 16x16 pixels, MNIST of 28x28",
            "scikit-learn's digits of 8x8, enlarged",
            "they come with the package; the paper tier reads the others",
            config.zip_codes.data == "digits",
        ),
    )
