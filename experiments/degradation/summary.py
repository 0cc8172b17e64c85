"""From the log of the degradation study to its numbers, its table against the paper and its
deviations from it.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from ml_collections import ConfigDict

from deepseq.lab.verdicts import mean_interval
from experiments.degradation.claims import CLAIMS
from experiments.degradation.records import Runs, test_error, train_error, train_loss

TABLE_6 = {
    "resnet-20": 8.75,
    "resnet-32": 7.51,
    "resnet-44": 7.17,
    "resnet-56": 6.97,
    "resnet-110": 6.43,
}  # test error, %


def summarize(config: ConfigDict, records: Sequence[Mapping]) -> dict:
    """The study's metrics, verdicts, comparison with the paper and deviations from it, from its log
    alone.

    Seeds whose four nets have not all finished are left out.
    """
    runs = Runs(config, records)
    return {
        "metrics": {net: _metrics(runs, net) for net in runs.nets},
        "claims": [claim(config, runs) for claim in CLAIMS] if runs.seeds else [],
        "comparison": [_compare(config, runs, net) for net in runs.nets],
        "deviations": [
            {"paper": paper, "here": here, "reason": reason}
            for paper, here, reason, differs in _deviations(config)
            if differs
        ],
    }


def _metrics(runs: Runs, net: str) -> dict:
    measures: dict[str, Callable] = {
        "train_error_percent": train_error,
        "test_error_percent": test_error,
        "train_loss": train_loss,
    }
    return {name: _over_seeds(runs.each(net, measure)) for name, measure in measures.items()}


def _over_seeds(values: np.ndarray) -> dict:
    mean = float(values.mean()) if len(values) else None
    return {"mean": mean, "interval": mean_interval(values), "by_seed": values.tolist()}


def _compare(config: ConfigDict, runs: Runs, net: str) -> dict:
    """A row of the table against the paper: its number only where it was measured on the same data
    set.
    """
    ours = _over_seeds(runs.each(net, test_error))
    cifar = config.data.name == "cifar10"
    printed = TABLE_6.get(net) if cifar and config.net.width == 16 else None
    return {
        "quantity": f"{net}, test error",
        "unit": "%",
        "paper": printed,
        "source": (
            "He et al. 2015, Table 6" if printed else "He et al. 2015, Figure 6 (curves only)"
        ),
        "ours": ours["mean"],
        "interval": ours["interval"],
        "n": len(runs.seeds),
        "remark": _remark(config, net, cifar),
    }


def _remark(config: ConfigDict, net: str, cifar: bool) -> str:
    if not cifar:
        return "another data set than the paper's: not comparable"
    if config.train.steps < 64_000:
        return f"after {config.train.steps} of the paper's 64 000 iterations: not comparable yet"
    return "" if net.startswith("resnet") else "the paper prints no number for plain nets"


def _deviations(config: ConfigDict) -> list[tuple[str, str, str, bool]]:
    """(the paper, here, why, whether it applies)."""
    data, train, net = config.data, config.train, config.net
    digits = data.name == "digits"
    drops = " and ".join(str(round(fraction * train.steps)) for fraction in train.drops)
    sizes = (net.shallow, net.deep, net.width, train.batch_size)
    return [
        (
            "CIFAR-10: 50 000 training images of 32x32 pixels in colour",
            "scikit-learn's digits: 1437 training images of 8x8 pixels in grey",
            "they come with the package, so that the study runs offline within minutes",
            digits,
        ),
        (
            "4 pixels of padding, random crops and flips",
            "no augmentation",
            "a mirrored digit is another sign" if digits else "switched off in the config",
            digits or not data.augment,
        ),
        (
            "64 000 iterations, the rate divided by 10 at 32 000 and 48 000",
            f"{train.steps} iterations, the rate divided by 10 at {drops}",
            "time; the default drops stay at one half and three quarters of the training",
            train.steps != 64_000,
        ),
        (
            "no warm-up, except at depth 110",
            (
                f"all four nets start with {train.warmup_steps} iterations at a rate of"
                f" {train.warmup_rate:g}"
            ),
            (
                "on so few images ResNet-56 is unstable at 0.1 from the start; all nets warm up"
                " alike, so that they differ in depth and shortcuts alone"
            ),
            train.warmup_steps > 0,
        ),
        (
            "45 000 of the training images to determine the schedule",
            f"the last {data.validation} training images are held out throughout",
            "one protocol for every run; the test images choose nothing",
            not digits and data.validation > 0,
        ),
        (
            "depths 20 and 56, 16 channels, batches of 128",
            f"depths {sizes[0]} and {sizes[1]}, {sizes[2]} channels, batches of {sizes[3]}",
            "a quick check of the machinery" if config.tier == "smoke" else "set in the config",
            sizes != (20, 56, 16, 128),
        ),
        (
            'zero-padded shortcuts, option "A"',
            f'option "{net.shortcut}"',
            "set in the config",
            net.shortcut != "A",
        ),
        (
            "does not say how an epoch is cut into batches",
            "the remainder that fills no batch is dropped, another one each epoch",
            "a batch is a function of (seed, iteration) alone",
            True,
        ),
        (
            "does not say how the moments for testing are gathered",
            f"a running average of the batches' moments with momentum {train.bn_momentum:g}",
            "common practice",
            True,
        ),
        (
            "does not say which parameters decay",
            f"weight decay of {train.decay:g} on all of them, those of BN too",
            "Caffe's default",
            True,
        ),
    ]
