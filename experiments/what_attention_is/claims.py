"""The claims of the attention study: by id a sentence, a statistic and what decides it."""

import numpy as np
from ml_collections import ConfigDict

from deepseq.lab.verdicts import HOLDS, About, Above, Below, Claim, Within, exact, judge
from experiments.what_attention_is.order import DISTURBED, GUESS
from experiments.what_attention_is.records import Runs

VASWANI = "Vaswani et al. 2017 (arXiv 1706.03762)"
ZERO = Within(0)
SLACK = {1: 0.05, 2: 0.15}  # how far from a power of n a fitted one may be


def claims(config: ConfigDict, runs: Runs) -> list[Claim]:
    """Every row, in the order of the table."""
    return [
        *contexts(runs),
        *shapes(runs),
        *order_and_masks(runs, config.algebra.tolerance),
        *scores(config, runs),
        *positions(config, runs),
        *growth(runs),
        *times(runs),
    ]


def contexts(runs: Runs) -> list[Claim]:
    """C-T2 and C-T3: which inputs an output depends on."""
    reach = "least influence between steps", "change of a word in another context"
    rows = {
        "C-T2": (
            "Every output depends on every input, so the same word is encoded differently in"
            " another context",
            "least block of the Jacobian of self-attention; change of the first output when the"
            " last input changes",
            dict.fromkeys(reach, Above(0)),
        ),
        "C-T3": (
            "The feed-forward net is shared by all steps and mixes none",
            "largest block of its Jacobian off the diagonal; least block on it",
            {
                "feed-forward influence between steps": ZERO,
                "feed-forward influence within a step": Above(0),
            },
        ),
    }
    return [_bounded(runs, id, *row) for id, row in rows.items()]


def shapes(runs: Runs) -> list[Claim]:
    """C-T5 and C-T7: sizes of queries, keys, values and heads."""
    heads, size = runs.exact("heads")[0], runs.exact("value size of the output")
    split, whole = (runs.exact(f"parameters, {kind}") for kind in ("size split", "10 each"))
    names = [f"{count} heads" for count in heads]
    rows = {
        "C-T5": (
            "Queries and keys must be of one size, values may be of any",
            "shape of the output for d_k = 4 and d_v = 9; whether keys of size 5 are refused",
            "9 of 9; another key size is refused",
            (runs.exact("another key size is refused") == 1).all() and (size == 9).all(),
            {"value size of the output": size[0]},
        ),
        "C-T7": (
            "Dividing the size among the heads makes the count independent of their number",
            "parameters of multi-head attention, D = 80, D / h per head",
            "equal",
            (split == split[:, :1]).all(),
            dict(zip(names, split[0], strict=True)),
        ),
        "C-T7 whole": (
            "Eight heads of 10 are joined by a map of 80 x 10 per output: the count grows with the"
            " heads",
            "parameters of multi-head attention, D = 80, 10 per head",
            "4 x 80 x 10 h",
            (whole == 4 * 80 * 10 * heads).all(),
            dict(zip(names, whole[0], strict=True)),
        ),
    }
    return [_exact(runs, id, *row) for id, row in rows.items()]


def order_and_masks(runs: Runs, tolerance: float) -> list[Claim]:
    """C-T8 and C-T9: what becomes of permuted steps, and what a decoder looks at."""
    same = Below(tolerance)
    rows = {
        "C-T8": (
            "Without positions order is lost: permuted inputs give permuted outputs; with positions"
            " they do not",
            "|f(Px) - Pf(x)| / |f(x)| for a permutation P",
            {"permuted without positions": same, "permuted with positions": Above(tolerance)},
        ),
        "C-T9 mask": (
            "A mask is a zero Jacobian: nothing flows where it forbids to look",
            "largest block of the Jacobian where a mask forbids, least where it allows",
            {
                f"{mask} mask, {side}": bound
                for mask in ("causal", "padding", "arbitrary")
                for side, bound in (("forbidden", ZERO), ("allowed", Above(0)))
            },
        ),
        "C-T9 memory": (
            "The decoder takes keys and values from the encoder: they decide all that it reads",
            "least block of the Jacobian to the encoder's outputs; spread of the outputs where"
            " these are all alike",
            {
                "least influence of the encoder": Above(0),
                "difference of outputs where all keys are alike": same,
            },
        ),
        "C-T9 steps": (
            "Token by token from its cache, the decoder gives what it gives for the whole target at"
            " once",
            "largest difference of logits, relative to the largest",
            {"step by step against the whole target": same},
        ),
    }
    return [_bounded(runs, id, *row) for id, row in rows.items()]


def scores(config: ConfigDict, runs: Runs) -> list[Claim]:
    """C-T4: the square root of the key size."""
    sizes = np.array(config.scores.key_sizes)
    last = f"at d_k = {sizes[-1]}"
    entropy, derivative = (
        (runs.scores(f"divided {name}") - runs.scores(f"plain {name}"))[:, -1]
        for name in ("entropy", "derivative")
    )
    rows = {
        "C-T4 unit": (
            "Divided by the square root of d_k, scores have variance 1 at every size",
            "largest |variance - 1| over the key sizes",
            np.abs(runs.scores("divided variance") - 1).max(1),
            Within(0.3),
        ),
        "C-T4 grows": (
            "Undivided, their variance is d_k",
            f"variance / d_k - 1 {last}",
            (runs.scores("plain variance") / sizes - 1)[:, -1],
            Within(0.3),
        ),
        "C-T4 entropy": (
            "Undivided, the softmax collapses",
            f"entropy / log n, divided minus undivided, {last}",
            entropy,
            Above(0),
        ),
        "C-T4 gradient": (
            "Undivided, the softmax passes less gradient",
            f"norm of the softmax's Jacobian, divided minus undivided, {last}",
            derivative,
            Above(0),
        ),
    }
    return [_judged(id, *row, VASWANI + ", section 3.2.1") for id, row in rows.items()]


def positions(config: ConfigDict, runs: Runs) -> list[Claim]:
    """C-T8 blind to C-T8 solved, and C-S1: the order task."""
    tolerance, margin = config.algebra.tolerance, Within(config.order.margin)
    change = runs.values("found", part="blindness").max()
    intact, *disturbed = (runs.accuracy("with positions", name) for name in DISTURBED)
    blind = (
        "Without positions, a classifier of the mean output is blind to order: permuted inputs, the"
        " same logits",
        "largest change of its logits, relative to the largest",
        str(Below(tolerance)),
        change < tolerance,
        {"change": change},
    )
    rows = {
        "C-T8 chance": (
            "Trained without positions, it can only guess which of two symbols comes first",
            "accuracy on new sequences minus 1/2",
            runs.accuracy("without positions") - GUESS,
            margin,
        ),
        "C-T8 solved": (
            "Trained with positions, it solves that",
            "accuracy on new sequences",
            intact,
            Above(0.95),
        ),
        "C-S1 attention": (
            "It notices sequences that are permuted, trimmed or omitted from",
            "accuracy on intact sequences minus the best on disturbed ones",
            intact - np.max(disturbed, axis=0),
            Above(0),
            "claim C-S1 attention",
        ),
        "C-S1 permuted": (
            "On permuted sequences nothing is left",
            "accuracy with positions, permuted inputs, minus 1/2",
            disturbed[0] - GUESS,
            margin,
            "claim C-S1 permuted",
        ),
    }
    return [_exact(runs, "C-T8 blind", *blind), *(_judged(id, *row) for id, row in rows.items())]


def growth(runs: Runs) -> list[Claim]:
    """C-T6, but for the time, and C-T1: how what n steps cost grows with n."""
    rows = {}
    for name, text, layer, measure, power in (
        ("memory", "Attention's temporary memory grows", "attention", "bytes", 2),
        ("operations", "Its operations grow", "attention", "operations", 2),
        ("feed-forward", "The feed-forward net's operations grow", "feed-forward", "operations", 1),
        ("RNN", "A recurrent net's temporary memory grows", "RNN", "bytes", 1),
    ):
        slopes = runs.slopes(layer, measure)
        rows[f"C-T6 {name}"] = (
            f"{text} with n{'' if power == 1 else f'^{power}'}",
            "slope of log cost against log n, upper half of the lengths",
            f"{power} within {SLACK[power]:g}",
            (np.abs(slopes - power) <= SLACK[power]).all(),
            {f"{layer}, slope of {measure}": slopes},
        )
    flat, steep = (runs.slopes(layer, "depth") for layer in ("attention", "RNN"))
    rows["C-T1"] = (
        "Attention takes n steps at once, a recurrent net one after the other",
        "operations that must wait for one another: slope of their logarithm against log n",
        "0 and 1",
        (flat == 0).all() and (np.abs(steep - 1) <= SLACK[1]).all(),
        {
            f"{layer}, depth at n = {runs.lengths[-1]}": runs.cost(layer, "depth")[0, -1]
            for layer in ("attention", "RNN")
        },
    )
    return [_exact(runs, id, *row, VASWANI + ", table 1") for id, row in rows.items()]


def times(runs: Runs) -> list[Claim]:
    """C-T6 time and C-T1 time: on this machine."""
    attention, rnn = (runs.cost(layer, "seconds")[:, 0] for layer in ("attention", "RNN"))
    rows = {
        "C-T6 time": (
            "On this machine, attention's time grows faster in n than a recurrent net's",
            "difference of the slopes of log seconds against log n",
            runs.slopes("attention", "seconds") - runs.slopes("RNN", "seconds"),
            Above(0),
        ),
        "C-T1 time": (
            f"At n = {runs.lengths[0]}, attention is faster than a recurrent net of the same size",
            "log of attention's seconds over the recurrent net's",
            np.log(attention / rnn),
            Below(0),
        ),
    }
    return [_judged(id, *row) for id, row in rows.items()]


def _bounded(runs, id, text, statistic, bounds) -> Claim:
    """An exact row: measurements of the algebra part, and what the worst of each must be."""
    worst = {
        name: runs.exact(name).min() if isinstance(bound, Above) else runs.exact(name).max()
        for name, bound in bounds.items()
    }
    true = all(bounds[name].verdict((value, value)) == HOLDS for name, value in worst.items())
    criterion = " and ".join(dict.fromkeys(map(str, bounds.values())))
    return _exact(runs, id, text, statistic, criterion.replace(str(ZERO), "exactly 0"), true, worst)


def _exact(runs, id, text, statistic, criterion, true, measured, source=VASWANI) -> Claim:
    about, n = About(id, text, statistic, source), len(runs.seeds)
    return exact(about, true, n, criterion=criterion, measured=measured)


def _judged(id, text, statistic, values, criterion, source=VASWANI) -> Claim:
    return judge(About(id, text, statistic, source), values, criterion, measured={"mean": values})
