"""The degradation study's numbers, verdicts, table against the paper and deviations."""

from collections.abc import Sequence

from ml_collections import ConfigDict

from deepseq.lab.records import Record
from deepseq.lab.verdicts import compare, deviations, over_seeds
from experiments.degradation.claims import claims
from experiments.degradation.records import Runs, test_error, train_error, train_loss

# test error, %
TABLE_6 = {
    "resnet-20": 8.75,
    "resnet-32": 7.51,
    "resnet-44": 7.17,
    "resnet-56": 6.97,
    "resnet-110": 6.43,
}
MEASURES = {
    "train_error_percent": train_error,
    "test_error_percent": test_error,
    "train_loss": train_loss,
}


def summarize(config: ConfigDict, records: Sequence[Record]) -> dict:
    """The study's metrics, verdicts, comparison with the paper and deviations, from its log alone.

    Seeds whose four nets have not all finished are left out.
    """
    runs = Runs(config, records)
    return {
        "metrics": {
            net: {name: over_seeds(runs.each(net, f)) for name, f in MEASURES.items()}
            for net in runs.nets
        },
        "claims": claims(config, runs) if runs.seeds else [],
        "comparison": [against_paper(config, runs, net) for net in runs.nets],
        "deviations": departures(config),
    }


def against_paper(config: ConfigDict, runs: Runs, net: str) -> dict:
    """The paper's number only where it was measured on the same data set."""
    cifar = config.data.name == "cifar10"
    printed = TABLE_6.get(net) if cifar and config.net.width == 16 else None
    if not cifar:
        remark = "another data set than the paper's: not comparable"
    elif config.train.steps < 64_000:
        remark = f"after {config.train.steps} of the paper's 64 000 iterations: not comparable yet"
    else:
        remark = "" if net.startswith("resnet") else "the paper prints no number for plain nets"
    return compare(
        f"{net}, test error",
        runs.each(net, test_error),
        paper=printed,
        source="He et al. 2015, Table 6" if printed else "He et al. 2015, Figure 6 (curves only)",
        unit="%",
        remark=remark,
    )


def departures(config: ConfigDict) -> list[dict]:
    """What is done otherwise than in the paper."""
    data, train, net = config.data, config.train, config.net
    digits = data.name == "digits"
    drops = " and ".join(str(round(fraction * train.steps)) for fraction in train.drops)
    sizes = (net.shallow, net.deep, net.width, train.batch_size)
    return deviations(
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
            f"all four nets start with {train.warmup_steps} iterations at a rate of"
            f" {train.warmup_rate:g}",
            "on so few images ResNet-56 is unstable at 0.1 from the start; all nets warm up alike,"
            " so that they differ in depth and shortcuts alone",
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
        *_unsaid(train),
    )


def _unsaid(train: ConfigDict) -> list[tuple[str, str, str]]:
    """What the paper leaves open."""
    return [
        (
            "does not say how an epoch is cut into batches",
            "the remainder that fills no batch is dropped, another one each epoch",
            "a batch is a function of (seed, iteration) alone",
        ),
        (
            "does not say how the moments for testing are gathered",
            f"a running average of the batches' moments with momentum {train.bn_momentum:g}",
            "common practice",
        ),
        (
            "does not say which parameters decay",
            f"weight decay of {train.decay:g} on all of them, those of BN too",
            "Caffe's default",
        ),
    ]
