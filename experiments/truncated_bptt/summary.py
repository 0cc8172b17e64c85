"""The truncation study's numbers, verdicts and deviations."""

from collections.abc import Sequence

from ml_collections import ConfigDict

from deepseq.lab.records import Record
from deepseq.lab.verdicts import deviations, over_seeds
from experiments.truncated_bptt.claims import claims
from experiments.truncated_bptt.records import Runs
from experiments.truncated_bptt.training import KEPT, RESET


def summarize(config: ConfigDict, records: Sequence[Record]) -> dict:
    """The study's metrics, verdicts and deviations, from its log alone.

    Tasks that are not finished are left out.
    """
    runs = Runs(config, records)
    metrics = {
        " ".join(map(str, task)) if task[1] else task[0]: {
            f"k={k}, carry {carry}": over_seeds(runs.final(task, k, carry))
            for carry in (KEPT, RESET)
            for k in runs.ks
        }
        for task in runs.finished
    }
    return {
        "metrics": metrics,
        "claims": claims(config, runs),
        "comparison": [],
        "deviations": departures(config),
    }


def departures(config: ConfigDict) -> list[dict]:
    """What is done otherwise than in the literature."""
    return deviations(
        (
            "BPTT(h; h') with h > h' is Williams and Peng's choice",
            "the trainings take k1 = k2 = k",
            "what practice runs: chunk after chunk; the gradients against the full one take k1 = 1",
        ),
        (
            "practice updates after every chunk",
            f"one update after {config.train.steps} steps, whatever k",
            "all k see as many updates of as many steps, so that they differ in the gradient alone",
        ),
        (
            "language models learn Penn Treebank or books",
            "the help topics of Python",
            "they come with every Python, so that the study runs offline; the text differs"
            " between versions",
        ),
    )
