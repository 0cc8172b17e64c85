"""The alignment study's numbers, verdicts and deviations."""

from collections.abc import Sequence

from ml_collections import ConfigDict

from deepseq.lab.records import Record
from deepseq.lab.verdicts import deviations, mean_interval
from experiments.alignment.claims import claims
from experiments.alignment.nets import ATTENDING
from experiments.alignment.records import AlignmentRecords

HALF = 0.5  # of the sequences of a length: it counts as reached

DEVIATIONS = deviations(
    (
        "sentences are translated, BLEU is measured",
        "symbols are said backwards and dates rewritten; the share of right tokens is measured",
        "one answer is right, the length is a dial and the place to look at is known",
    ),
    (
        "the Transformer's norms follow its sums, with dropout and label smoothing; Adadelta trains"
        " the RNN",
        "its norms go first, nothing is dropped or smoothed, and Adam trains all",
        "it learns within minutes; data are drawn anew, so that there is nothing to overfit but the"
        " dates",
    ),
    (
        "each net is trained until it no longer gets better",
        "all nets get the same batches, as many as the attentive one needs",
        "minutes: a vector of a fixed size might hold more after a longer training, and nothing"
        " here denies it",
    ),
)


def summarize(config: ConfigDict, records: Sequence[Record]) -> dict:
    """The study's metrics, verdicts and deviations, from its log alone.

    Seeds that are not finished are left out.
    """
    runs = AlignmentRecords(config, records)
    result = {"metrics": {}, "claims": [], "comparison": [], "deviations": DEVIATIONS}
    if not runs.seeds:
        return result
    ends = [end for tag in runs.tags for end in runs.ends(**tag)]
    metrics = {
        "accuracy": {f"{tag['task']}, {tag['net']}": _accuracy(runs, **tag) for tag in runs.tags},
        "mass of each head": {net: runs.mass(net).mean(0).tolist() for net in ATTENDING},
        # with a loss or a gradient that was not finite
        "diverged": sum(end["ended"] is not None for end in ends),
    }
    return result | {"metrics": metrics, "claims": claims(config, runs)}


def _accuracy(runs: AlignmentRecords, task: str, net: str) -> dict:
    lengths, tokens = runs.lengths(task), runs.accuracy(task, net)
    whole = runs.accuracy(task, net, "whole").mean(0)
    by_length = {"tokens": tokens.mean(0), "whole": whole}
    overall = {"mean": float(tokens.mean()), "interval": mean_interval(tokens.mean(1))}
    return {
        "parameters": runs.end(task=task, net=net)["parameters"],
        **{k: dict(zip(map(str, lengths), v.tolist(), strict=True)) for k, v in by_length.items()},
        "over all lengths": overall,
        "longest of which half are whole": int(max(lengths[whole >= HALF], default=0)),
    }
