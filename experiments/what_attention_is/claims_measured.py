"""The verdicts of the attention study that are measured: scores, the order task, and cost."""

import numpy as np
from ml_collections import ConfigDict

from deepseq.lab.verdicts import above, below, claim, exact, mean_interval, within
from experiments.what_attention_is.claims import VASWANI
from experiments.what_attention_is.order import GUESS
from experiments.what_attention_is.records import Found

QUADRATIC, LINEAR = (
    (2.0, 0.15),
    (1.0, 0.05),
)  # slopes, and the margin within which a fitted one counts as them


def scores(config: ConfigDict, found: Found) -> list[dict]:
    """The rows on the square root of the key size."""
    sizes = list(config.scores.key_sizes)
    divided = np.abs(found.scores("divided variance") - 1).max(1)
    ratio = (found.scores("plain variance") / np.array(sizes) - 1)[:, -1]
    entropy = found.scores("divided entropy")[:, -1] - found.scores("plain entropy")[:, -1]
    slopes = found.scores("divided derivative")[:, -1] - found.scores("plain derivative")[:, -1]
    last = f"at d_k = {sizes[-1]}"
    rows = [
        (
            "C-T4 unit",
            "Divided by the square root of d_k, scores have variance 1 at every size",
            divided,
            within(mean_interval(divided), 0.3),
            "largest |variance - 1| over the key sizes",
            "within 0.3 of 0",
        ),
        (
            "C-T4 grows",
            "Undivided, their variance is d_k",
            ratio,
            within(mean_interval(ratio), 0.3),
            f"variance / d_k - 1 {last}",
            "within 0.3 of 0",
        ),
        (
            "C-T4 entropy",
            "Undivided, the softmax collapses",
            entropy,
            above(mean_interval(entropy)),
            f"entropy / log n, divided minus undivided, {last}",
            "above 0",
        ),
        (
            "C-T4 gradient",
            "Undivided, the softmax passes less gradient",
            slopes,
            above(mean_interval(slopes)),
            f"norm of the softmax's Jacobian, divided minus undivided, {last}",
            "above 0",
        ),
    ]
    return [_row(found, *row, VASWANI + ", section 3.2.1") for row in rows]


def order(config: ConfigDict, found: Found) -> list[dict]:
    """The rows on positions."""
    blind, seen = found.accuracy("without positions") - GUESS, found.accuracy("with positions")
    worst = seen - np.max(
        [found.accuracy("with positions", d) for d in ("permuted", "trimmed", "omitted")], axis=0
    )
    permuted = found.accuracy("with positions", "permuted") - GUESS
    margin = config.order.margin
    unmoved = max(found.part("blindness"))
    return [
        claim(
            "C-T8 blind",
            "Without positions, a classifier of the mean output is blind to order: permuted inputs,"
            " the same logits",
            exact(unmoved < config.algebra.tolerance),
            statistic="largest change of its logits, relative to the largest",
            measured={"change": unmoved},
            interval=None,
            n=len(found.seeds),
            expected=f"below {config.algebra.tolerance:g}",
            source=VASWANI,
        ),
        _row(
            found,
            "C-T8 chance",
            "Trained without positions, it can only guess which of two symbols comes first",
            blind,
            within(mean_interval(blind), margin),
            "accuracy on new sequences minus 1/2",
            f"within {margin} of 0",
            VASWANI,
        ),
        _row(
            found,
            "C-T8 solved",
            "Trained with positions, it solves that",
            seen,
            above(mean_interval(seen), 0.95),
            "accuracy on new sequences",
            "above 0.95",
            VASWANI,
        ),
        _row(
            found,
            "C-S1 attention",
            "It notices sequences that are permuted, trimmed or omitted from",
            worst,
            above(mean_interval(worst)),
            "accuracy on intact sequences minus the best on disturbed ones",
            "above 0",
            "the notes on sequences",
        ),
        _row(
            found,
            "C-S1 permuted",
            "On permuted sequences nothing is left",
            permuted,
            within(mean_interval(permuted), margin),
            "accuracy with positions, permuted inputs, minus 1/2",
            f"within {margin} of 0",
            "the notes on sequences",
        ),
    ]


def costs(found: Found) -> list[dict]:
    """The rows on what n steps cost."""

    def exactly(kind: str, measure: str, target: tuple[float, float]) -> tuple[str, dict]:
        values = found.slopes(kind, measure)
        return exact(bool(np.all(np.abs(values - target[0]) <= target[1]))), {
            f"{kind}, slope of {measure}": float(values.mean())
        }

    rows = []
    for id, text, kind, measure, target in (
        (
            "C-T6 memory",
            "Attention's temporary memory grows with n^2",
            "attention",
            "bytes",
            QUADRATIC,
        ),
        ("C-T6 operations", "Its operations grow with n^2", "attention", "operations", QUADRATIC),
        (
            "C-T6 feed-forward",
            "The feed-forward net's operations grow with n",
            "feed-forward",
            "operations",
            LINEAR,
        ),
        ("C-T6 RNN", "A recurrent net's temporary memory grows with n", "RNN", "bytes", LINEAR),
    ):
        verdict, measured = exactly(kind, measure, target)
        rows.append(
            claim(
                id,
                text,
                verdict,
                statistic="slope of log cost against log n, upper half of the lengths",
                measured=measured,
                interval=None,
                n=len(found.seeds),
                expected=f"{target[0]:g} within {target[1]:g}",
                source=VASWANI + ", table 1",
            )
        )
    deep = {
        f"{kind}, depth at n = {found.lengths[-1]}": int(found.cost(kind, "depth")[0, -1])
        for kind in ("attention", "RNN")
    }
    flat = bool((found.slopes("attention", "depth") == 0).all())
    verdict, _ = exactly("RNN", "depth", LINEAR)
    rows.append(
        claim(
            "C-T1",
            "Attention takes n steps at once, a recurrent net one after the other",
            exact(flat and verdict == "holds"),
            statistic=(
                "operations that must wait for one another: slope of their logarithm against log n"
            ),
            measured=deep,
            interval=None,
            n=len(found.seeds),
            expected="0 and 1",
            source=VASWANI + ", table 1",
        )
    )
    gap = found.slopes("attention", "seconds") - found.slopes("RNN", "seconds")
    rows.append(
        _row(
            found,
            "C-T6 time",
            "On this machine, attention's time grows faster in n than a recurrent net's",
            gap,
            above(mean_interval(gap)),
            "difference of the slopes of log seconds against log n",
            "above 0",
            VASWANI,
        )
    )
    slower = np.log(found.cost("attention", "seconds")[:, 0] / found.cost("RNN", "seconds")[:, 0])
    rows.append(
        _row(
            found,
            "C-T1 time",
            f"At n = {found.lengths[0]}, attention is faster than a recurrent net of the same size",
            slower,
            below(mean_interval(slower)),
            "log of attention's seconds over the recurrent net's",
            "below 0",
            VASWANI,
        )
    )
    return rows


def _row(
    found: Found,
    id: str,
    text: str,
    values: np.ndarray,
    verdict: str,
    statistic: str,
    expected: str,
    source: str,
) -> dict:
    return claim(
        id,
        text,
        verdict,
        statistic=statistic,
        measured={"mean": float(values.mean())},
        interval=mean_interval(values),
        n=len(found.seeds),
        expected=expected,
        source=source,
    )
