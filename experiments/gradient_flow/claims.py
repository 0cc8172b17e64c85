"""The claims of the gradient-flow study that are judged by an interval over seeds."""

import math

import numpy as np
from ml_collections import ConfigDict

from deepseq.lab.verdicts import About, Above, Below, Claim, Within, exact, judge
from experiments.gradient_flow.identities import identities
from experiments.gradient_flow.nets import GATED, SLOPES
from experiments.gradient_flow.records import Runs

ROUNDED = 2e-3  # decades; the log holds three decimals


def claims(config: ConfigDict, runs: Runs) -> list[Claim]:
    """Every row of the verdict table, in the order of the claims' ids."""
    rows = [
        *identities(config, runs),
        *slope_is_log_radius(config, runs),
        nothing_exceeds_the_bound(runs),
        gates_beat_the_rnn(config, runs),
        *gates_carry(config, runs),
        *clipping(config, runs),
        *cell_state_is_a_conveyor(config, runs),
        forget_bias_keeps(config, runs),
    ]
    return sorted(rows, key=lambda row: (row["id"][:3] == "C-G", int(row["id"].split()[0][3:])))


def slope_is_log_radius(config: ConfigDict, runs: Runs) -> list[Claim]:
    """C-S9: the fitted slope of the Jacobian's norm against log10 of the radius, in tanh nets."""
    rows = []
    for id, when, driven, prediction in (
        ("C-S9 at rest", "at rest, without inputs", False, "holds: near 0, tanh is linear"),
        (
            "C-S9 driven",
            "driven by inputs",
            True,
            "refuted: units that saturate pass on less, so that the slope falls behind, most of all"
            " at large radii",
        ),
    ):
        gaps = {
            f"{net['recurrence']}, {net['radius']:g}": runs.slope("tanh", "largest", **net)
            - math.log10(net["radius"])
            for net in runs.variants("tanh", driven=driven)
            if "radius" in net
        }
        about = About(
            id,
            "|dh_T/dh_t| follows a straight line on the log scale, of slope log rho: tanh nets"
            f" {when}.",
            "|fitted slope of log10 |dh_T/dh_t| against the lag - log10 rho|, decades per step,"
            " the largest over the radii, W orthogonal and Gaussian (measured: signed, by W and"
            " radius)",
            "Pascanu et al. 2013, section 2.1",
            prediction,
        )
        worst = np.max(np.abs(list(gaps.values())), axis=0)
        rows.append(judge(about, worst, Within(config.measure.same_slope), measured=gaps))
    return rows


def nothing_exceeds_the_bound(runs: Runs) -> Claim:
    excess = {}
    for cell in SLOPES:
        for net in runs.variants(cell, driven=True):
            if "radius" in net:
                ceiling = runs.flow(cell, "bound", **net)[:, None] * runs.lags
                gap = runs.flow(cell, "largest", **net) - ceiling
                excess[cell] = max(excess.get(cell, -math.inf), float(gap[:, 1:].max()))
    about = About(
        "C-S9 bound",
        "No gradient exceeds the theory's bound (gamma |W|)^lag.",
        "log10 of (largest singular value of the Jacobian / bound), the largest over RNNs, radii,"
        " lags and seeds",
        "Pascanu et al. 2013, section 2.2",
        "holds; the bound is on |W|, the largest singular value: a Gaussian W has about twice its"
        " spectral radius",
    )
    return exact(
        about,
        max(excess.values()) <= ROUNDED,
        len(runs.seeds),
        criterion=f"at most 0 up to the log's rounding, {ROUNDED:g}",
        measured={f"{cell}, closest to the bound": value for cell, value in excess.items()},
    )


def gates_beat_the_rnn(config: ConfigDict, runs: Runs) -> Claim:
    keep = config.flow.keeps[0]
    rnn, gated = _left(runs, "tanh", None), {cell: _left(runs, cell, keep) for cell in GATED}
    gap = np.min(list(gated.values()), axis=0) - rnn
    about = About(
        "C-S15 relative",
        "Skip and gated paths carry more gradient than an RNN.",
        f"log10 |ds_T/ds_0| at T = {config.flow.steps}, the smallest of leaky RNN, GRU and LSTM"
        f" with gate biases of {keep:g}, minus the RNN, paired by seed, all from torch's"
        " initialisation",
        "claim C-S15",
        "holds",
    )
    return judge(about, gap, Above(0), measured={"RNN": rnn, **gated, "difference": gap})


def gates_carry(config: ConfigDict, runs: Runs) -> list[Claim]:
    """C-S15: what reaches the first step through gates half open, and through open ones."""
    rows = []
    for id, keep, prediction in (
        ("C-S15 usual", config.flow.keeps[0], "refuted: a gate half open halves it each step"),
        ("C-S15 open", config.flow.keeps[-1], "holds: it is the open gate that is the remedy"),
    ):
        about = About(
            id,
            f"Skip and gated paths let the gradient through over {config.flow.steps} steps: gate"
            f" biases of {keep:g}, which keep {1 / (1 + math.exp(-keep)):.3g} of the old state.",
            f"log10 |ds_T/ds_0| at T = {config.flow.steps}, the smallest of leaky RNN, GRU and"
            " LSTM",
            "claim C-S15",
            prediction,
        )
        left = {cell: _left(runs, cell, keep) for cell in GATED}
        smallest = np.min(list(left.values()), axis=0)
        rows.append(
            judge(about, smallest, Above(math.log10(config.measure.carried)), measured=left)
        )
    return rows


def cell_state_is_a_conveyor(config: ConfigDict, runs: Runs) -> list[Claim]:
    """C-G9: the slope of dc_T/dc_0 of the LSTM whose forget gates are the most open."""
    keep, rows = config.flow.keeps[-1], []
    for id, words, quantity, path, prediction in (
        (
            "C-G9 belt",
            "The cell state is a conveyor belt: with f near 1, what lies on it stays.",
            "direct",
            "along the belt alone, the product of the forget gates",
            "holds; a constant f gives log10 f per step",
        ),
        (
            "C-G9 whole",
            "So the whole gradient with respect to the cell state stays as well.",
            "whole",
            "by every path, through h and the gates too",
            "open: c also reaches itself through h and the gates, a path that the belt does not"
            " tame",
        ),
    ):
        about = About(
            id,
            words,
            f"slope of log10 |dc_T/dc_0| against the lag, decades per step, forget bias {keep:g},"
            f" {path}",
            "Hochreiter, Schmidhuber 1997; Gers et al. 2000",
            prediction,
        )
        slope = runs.slope("lstm", quantity, keep=keep)
        measured = {"slope": slope} | _by_bias(config, runs, quantity)
        rows.append(judge(about, slope, Within(config.measure.flat), measured=measured))
    return rows


def forget_bias_keeps(config: ConfigDict, runs: Runs) -> Claim:
    ends = [runs.flow("lstm", "whole", keep=keep)[:, -1] for keep in sorted(config.flow.keeps)]
    gap = np.min(np.diff(ends, axis=0), axis=0)
    about = About(
        "C-G9 bias",
        "The larger the forget bias, the more of the cell state's gradient survives.",
        f"log10 |dc_T/dc_0| at T = {config.flow.steps}, the smallest step from one forget bias to"
        " the next larger, paired by seed",
        "Gers et al. 2000; Jozefowicz et al. 2015",
        "holds",
    )
    measured = {"smallest step": gap} | _by_bias(config, runs, "whole")
    return judge(about, gap, Above(0), measured=measured)


def clipping(config: ConfigDict, runs: Runs) -> list[Claim]:
    """C-S16: what clipping and Pascanu's regulariser are worth in training."""
    arms = ("SGD", "SGD-C")
    largest = {arm: np.array([_largest(runs, arm, seed) for seed in runs.seeds]) for arm in arms}
    omega = {arm: runs.held_out(arm, "omega", np.nan) for arm in ("SGD-C", "SGD-CR")}
    tames = About(
        "C-S16 clipping",
        "Clipping the gradient's norm tames explosion, so that the task can be learned.",
        f"wrong answers on held-out temporal order, T = {config.train.lag}, SGD minus SGD-C after"
        f" {config.train.steps} iterations, points, paired by seed; a diverged run counts as"
        " guessing",
        "Pascanu et al. 2013, Algorithm 1",
        "holds",
    )
    keeps = About(
        "C-S16 regulariser",
        "Pascanu's regulariser keeps the gradient's norm from step to step.",
        "Omega (equation 9) on held-out sequences at the end, SGD-CR minus SGD-C, paired by seed",
        "Pascanu et al. 2013, section 3.3",
        "holds",
    )
    lost = {arm: sum(at is not None for at in runs.diverged(arm)) for arm in arms}
    return [
        judge(
            tames,
            runs.error("SGD") - runs.error("SGD-C"),
            Above(0),
            measured={f"{arm}, wrong, %": runs.error(arm) for arm in arms}
            | {f"{arm}, runs that diverged": count for arm, count in lost.items()}
            | {
                f"{arm}, largest finite gradient norm, log10": np.log10(norms)
                for arm, norms in largest.items()
            },
        ),
        judge(
            keeps,
            omega["SGD-CR"] - omega["SGD-C"],
            Below(0),
            measured={f"{arm}, Omega": values for arm, values in omega.items()}
            | {f"{arm}, wrong, %": runs.error(arm) for arm in omega},
        ),
    ]


def _left(runs: Runs, cell: str, keep: float | None) -> np.ndarray:
    """log10 |ds_T/ds_0| of the net as usually initialised, for every seed."""
    return runs.flow(cell, "largest", recurrence="uniform", keep=keep)[:, -1]


def _by_bias(config: ConfigDict, runs: Runs, quantity: str) -> dict[str, np.ndarray]:
    return {
        f"forget bias {keep:g}, log10 |dc_T/dc_0|": runs.flow("lstm", quantity, keep=keep)[:, -1]
        for keep in config.flow.keeps
    }


def _largest(runs: Runs, arm: str, seed: int) -> float:
    norms = [point["gradient_norm"] for point in runs.training(arm, seed)]
    return max(filter(math.isfinite, norms), default=math.nan)
