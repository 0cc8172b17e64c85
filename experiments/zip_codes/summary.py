"""From the log of the study on zip codes to its numbers, verdicts, comparison and deviations."""

from collections.abc import Mapping, Sequence

import numpy as np
from ml_collections import ConfigDict

from deepseq.lab.verdicts import above, below, claim, mean_interval
from experiments.zip_codes.nets import NETS

LECUN89, LECUN98 = (
    "LeCun et al. 1989, Neural Computation 1, section 4",
    "LeCun et al. 1998, Proc. IEEE 86",
)
TITLES = {"zip_codes": "the net of 1989", "lenet5": "LeNet-5"}
IMAGES = {"digits": "scikit-learn's digits", "usps": "zip codes", "mnist": "MNIST"}
READERS = ("pixels", "maps before training", "maps")
PRINTED = {"train error": 0.14, "test error": 5.0}  # % of the net of 1989, after 23 passes


class Found:
    """The records of a log by net, in the order of the seeds that are finished."""

    def __init__(self, config: ConfigDict, records: Sequence[Mapping]):
        by = {(record["net"], record["seed"]): record for record in records}
        self.runs = {
            net: [by[net, seed] for seed in config.seeds if (net, seed) in by] for net in NETS
        }
        self.nets = [net for net in NETS if self.runs[net]]

    def curve(self, net: str, what: str) -> np.ndarray:
        """(S, passes + 1), before training and after every pass."""
        return np.array([run["curve"][what] for run in self.runs[net]])

    def last(self, net: str, what: str) -> np.ndarray:
        """(S,) after the last pass."""
        return self.curve(net, what)[:, -1]

    def probe(self, net: str, reader: str) -> np.ndarray:
        """(S,) % of test errors of a linear reader."""
        return np.array([run["probe"][reader] for run in self.runs[net]])


def summarize(config: ConfigDict, records: Sequence[Mapping]) -> dict:
    """The study's metrics, verdicts, comparison and deviations, from its log alone; what is not
    finished is left out.
    """
    found = Found(config, records)
    metrics = {net: _metrics(found, net) for net in found.nets}
    return {
        "metrics": metrics,
        "claims": [row for net in found.nets for row in _claims(config, found, net)],
        "comparison": _comparison(config, found),
        "deviations": _deviations(config),
    }


def _metrics(found: Found, net: str) -> dict:
    curves = {
        what: _over(found.last(net, what))
        for what in ("train error", "test error", "train loss", "test loss")
    }
    return curves | {
        f"linear reader of {reader}": _over(found.probe(net, reader)) for reader in READERS
    }


def _claims(config: ConfigDict, found: Found, net: str) -> list[dict]:
    own, runs, title = config[net], found.runs[net], TITLES[net]
    errors, count = found.last(net, "test error"), runs[0]["images"]["test"]
    pixels, before, after = (found.probe(net, reader) for reader in READERS)
    read, gain, learned = (
        mean_interval(values) for values in (errors, pixels - after, before - after)
    )
    source = LECUN89 if net == "zip_codes" else LECUN98
    probe = "ridge regression, its penalty chosen on the last fifth of the training images"
    return [
        claim(
            f"C-C16 {net}",
            f"A convolutional net reads digits: {title} errs on fewer than {own.threshold:g} % of"
            " new images",
            below(read, own.threshold),
            statistic=f"% of test errors after {own.passes} passes over {IMAGES[own.data]}",
            measured={
                "test errors, %": errors.mean(),
                f"of {count} images": errors.mean() * count / 100,
                "training errors, %": found.last(net, "train error").mean(),
            },
            interval=read,
            n=len(errors),
            expected=f"below {own.threshold:g}",
            source=source,
        ),
        claim(
            f"C-C15 {net}",
            f"Its maps are features: a linear reader of the last maps of {title} errs less than one"
            " of the pixels",
            above(gain),
            statistic=(
                f"% of test errors of a linear reader ({probe}): of the pixels minus of the maps,"
                " paired by seed"
            ),
            measured={"of the pixels, %": pixels.mean(), "of the maps, %": after.mean()},
            interval=gain,
            n=len(after),
            expected="above 0",
            source=source,
        ),
        claim(
            f"C-C15 {net} learned",
            f"The features are learned: {title} before training has maps that are worse to read",
            above(learned),
            statistic=(
                f"% of test errors of a linear reader ({probe}): of the maps before training minus"
                " after, paired by seed"
            ),
            measured={"before training, %": before.mean(), "after, %": after.mean()},
            interval=learned,
            n=len(after),
            expected="above 0",
            source=source,
        ),
    ]


def _comparison(config: ConfigDict, found: Found) -> list[dict]:
    """The paper's errors beside ours, where its images were read."""
    if config.zip_codes.data != "usps" or "zip_codes" not in found.nets:
        return []
    return [
        {
            "quantity": (
                f"{'training' if what.startswith('train') else 'test'} errors of the net of 1989"
            ),
            "unit": "%",
            "paper": printed,
            "source": LECUN89,
            "ours": float(found.last("zip_codes", what).mean()),
            "interval": mean_interval(found.last("zip_codes", what)),
            "n": len(found.runs["zip_codes"]),
            "remark": "the same images and passes, another optimiser",
        }
        for what, printed in PRINTED.items()
    ]


def _deviations(config: ConfigDict) -> list[dict]:
    rows = [
        {
            "paper": "a diagonal approximation to second derivatives sets the rate of each weight",
            "here": (
                "plain gradient descent, its rate falling in a line, for 1989; Adam and a cosine"
                " for LeNet-5"
            ),
            "reason": "the subject is the nets; first derivatives reach the same errors",
        },
        {
            "paper": "which maps of H1 a map of H2 sees is not printed",
            "here": "three groups of four maps, each seeing eight",
            "reason": "it gives the printed numbers of weights and connections",
        },
        {
            "paper": "LeNet-5's targets are bitmaps of all printable characters",
            "here": "ten digits drawn for this study",
            "reason": "only digits are read",
        },
    ]
    if config.zip_codes.data == "digits":
        rows.append(
            {
                "paper": "zip codes of 16x16 pixels, MNIST of 28x28",
                "here": "scikit-learn's digits of 8x8, enlarged",
                "reason": "they come with the package; the paper tier reads the others",
            }
        )
    return rows


def _over(values: np.ndarray) -> dict:
    return {"mean": float(values.mean()), "interval": mean_interval(values)}
