"""The claims of the truncation study, from the runs to rows of the table."""

import numpy as np
from ml_collections import ConfigDict

from deepseq.lab.verdicts import About, Above, Claim, Within, exact, judge
from experiments.truncated_bptt.records import LN2, TEXT, Runs
from experiments.truncated_bptt.training import KEPT, RESET

SOURCE = "Williams and Peng 1990"
ROUNDING = 1e-5  # of a gradient in float32, relative to its largest entry


def claims(config: ConfigDict, runs: Runs) -> list[Claim]:
    """Every row of the tasks that are finished."""
    echoes = [lag for task, lag in runs.finished if task == "echo"]
    rows = gradient_is_cut(runs) if TEXT in runs.finished else []
    for lag in echoes:
        rows += echo(config, runs, lag)
    return rows + ([*text(config, runs), memory(config, runs)] if TEXT in runs.finished else [])


def gradient_is_cut(runs: Runs) -> list[Claim]:
    """C-S10: what comes back from beyond k, and from k = T."""
    reach = runs.measured(TEXT)["reach"]
    by_k = list(zip(runs.ks, reach["norms"], strict=True))
    beyond = max((norm for k, norms in by_k for norm in norms[k:]), default=0.0)
    inside = min(norms[k - 1] for k, norms in by_k)
    zero = About(
        "C-S10 zero",
        "Truncation cuts the gradient: nothing comes back from more than k steps.",
        "largest |dL/dh_t| more than k steps before the loss, over all k",
        SOURCE,
        "0",
    )
    full = About(
        "C-S10 full",
        "With k = T, truncated backpropagation is backpropagation.",
        "largest difference of the two gradients over the largest entry",
        SOURCE,
        "0 up to rounding",
    )
    measured = {"beyond k": beyond, "at k, smallest": inside}
    whole = reach["whole"]
    return [
        exact(zero, beyond == 0 and inside > 0, 1, criterion="exactly 0", measured=measured),
        exact(
            full,
            whole <= ROUNDING,
            1,
            criterion=f"below {ROUNDING:g}",
            measured={"relative difference": whole},
        ),
    ]


def echo(config: ConfigDict, runs: Runs, lag: int) -> list[Claim]:
    """C-S10 on one echo: on either side of its lag."""
    task, rows = ("echo", lag), []
    short, long = [k for k in runs.ks if k <= lag], [k for k in runs.ks if k > lag]
    if short:
        over = np.mean([runs.final(task, k, RESET) - LN2 for k in short], axis=0)
        fails = About(
            f"C-S10 lag {lag}",
            f"With k <= {lag} and no carry, an echo of lag {lag} cannot be learned.",
            f"final loss minus ln 2, mean over k <= {lag}, nats",
            SOURCE,
            "ln 2",
        )
        loss = {"loss, nats": float(over.mean() + LN2), "ln 2": LN2}
        rows.append(judge(fails, over, Within(config.measure.margin), measured=loss))
        helps = About(
            f"C-S10 carry {lag}",
            f"Handing the carry on helps where the gradient does not reach (lag {lag}).",
            f"final loss without minus with the carry, mean over k <= {lag}, paired by seed",
            SOURCE,
            "> 0",
        )
        gain = np.mean([_gain(runs, task, k) for k in short], axis=0)
        kept = {f"k = {k}, carry kept": runs.final(task, k, KEPT) for k in short}
        rows.append(judge(helps, gain, Above(0), measured=kept))
    if long:
        learned = About(
            f"C-S10 learned {lag}",
            f"With k > {lag}, the echo of lag {lag} is learned.",
            f"half of ln 2 minus the final loss at k = {long[0]}, the carry kept",
            SOURCE,
            "> 0",
        )
        loss = runs.final(task, long[0], KEPT)
        measured = {f"loss at k = {long[0]}, nats": loss}
        rows.append(judge(learned, LN2 / 2 - loss, Above(0), measured=measured))
    if short and long:
        angle = About(
            f"C-S10 angle {lag}",
            f"The truncated gradient points another way where k <= {lag}.",
            f"cosine with the full gradient at k = {long[0]} minus at k = {short[-1]}, before"
            " training",
            SOURCE,
            "> 0",
        )
        by_k = zip(runs.ks, runs.measured(task)["start"]["cosine"], strict=True)
        cosine = {k: np.array(values) for k, values in by_k}
        measured = {f"cosine at k = {k}": cosine[k] for k in (short[-1], long[0])}
        turn = cosine[long[0]] - cosine[short[-1]]
        rows.append(judge(angle, turn, Above(0), measured=measured))
    return rows


def text(config: ConfigDict, runs: Runs) -> list[Claim]:
    """C-S10 on text, where dependencies have no single length."""
    first, last = runs.ks[0], runs.steps
    full = runs.final(TEXT, last, KEPT)
    quarter = max(k for k in runs.ks if k <= max(last // 4, first))
    near = runs.final(TEXT, quarter, KEPT) - full
    carry = np.mean([_gain(runs, TEXT, k) for k in runs.ks], axis=0)
    costs = About(
        "C-S10 text",
        f"On text, the shortest truncation, k = {first}, costs loss.",
        f"held-out loss at k = {first} minus at k = {last}, the carry kept, paired",
        SOURCE,
        "> 0",
    )
    enough = About(
        "C-S10 enough",
        f"On text, k = {quarter} is as good as k = {last} within this training.",
        f"held-out loss at k = {quarter} minus at k = {last}, carry kept, nats",
        SOURCE,
        "0",
    )
    lowers = About(
        "C-S10 text carry",
        "On text, handing the carry on lowers the loss at every k.",
        "held-out loss without minus with the carry, mean over k, paired by seed",
        SOURCE,
        "> 0",
    )
    ends = {f"k = {k}, nats": runs.final(TEXT, k, KEPT) for k in (first, last)}
    difference = "difference, nats"
    margin = Within(config.measure.margin)
    return [
        judge(costs, runs.final(TEXT, first, KEPT) - full, Above(0), measured=ends),
        judge(enough, near, margin, measured={difference: near}),
        judge(lowers, carry, Above(0), measured={difference: carry}),
    ]


def memory(config: ConfigDict, runs: Runs) -> Claim:
    cost = runs.measured(TEXT)["cost"]
    truncated, full = (
        cost["long"][form][-1] / cost["long"][form][0] for form in ("truncated", "full")
    )
    lengths, k = config.measure.lengths, cost["long_k"]
    about = About(
        "C-S10 memory",
        "Truncation bounds the memory, whatever the length.",
        f"temporary memory of the gradient, growth from {lengths[0]} to {lengths[-1]} steps",
        SOURCE,
        "1",
    )
    return exact(
        about,
        truncated == 1 and full > 1,
        1,
        criterion=f"1 at k = {k}, more in full",
        measured={f"k = {k}, times": truncated, "full, times": full},
    )


def _gain(runs: Runs, task: tuple[str, int], k: int) -> np.ndarray:
    """(S,) final loss without minus with the carry."""
    return runs.final(task, k, RESET) - runs.final(task, k, KEPT)
