"""The claims of the gradient-flow study that are judged by an interval over seeds: from the log to
a verdict row.
"""

import math

import numpy as np
from ml_collections import ConfigDict

from deepseq.lab.verdicts import above, below, claim, exact, mean_interval, within
from experiments.gradient_flow.identities import IDENTITIES
from experiments.gradient_flow.nets import GATED, SLOPES
from experiments.gradient_flow.records import Runs

ROUNDED = 2e-3  # decades; the log holds three decimals


def slope_is_log_radius_at_rest(config: ConfigDict, runs: Runs) -> dict:
    return _slope_claim(
        config,
        runs,
        "C-S9 at rest",
        "at rest, without inputs",
        False,
        "holds: near 0, tanh is linear",
    )


def slope_is_log_radius_driven(config: ConfigDict, runs: Runs) -> dict:
    expected = (
        "refuted: units that saturate pass on less, so that the slope falls behind, most of all at"
        " large radii"
    )
    return _slope_claim(config, runs, "C-S9 driven", "driven by inputs", True, expected)


def nothing_exceeds_the_bound(config: ConfigDict, runs: Runs) -> dict:
    excess = {}
    for cell in SLOPES:
        for tag in runs.tags(cell, driven=True):
            if "radius" in tag:
                ceiling = runs.flow(cell, "bound", **tag)[:, None] * runs.lags
                gap = runs.flow(cell, "largest", **tag) - ceiling
                excess[cell] = max(excess.get(cell, -math.inf), float(gap[:, 1:].max()))
    return claim(
        "C-S9 bound",
        "No gradient exceeds the theory's bound (gamma |W|)^lag.",
        exact(max(excess.values()) <= ROUNDED),
        statistic=(
            "log10 of (largest singular value of the Jacobian / bound), the largest over RNNs,"
            f" radii, lags and seeds; claimed at most 0 up to the log's rounding, {ROUNDED:g}"
        ),
        measured={f"{cell}, closest to the bound": value for cell, value in excess.items()},
        interval=None,
        n=len(runs.seeds),
        expected=(
            "holds; the bound is on |W|, the largest singular value: a Gaussian W has about twice"
            " its spectral radius"
        ),
        source="Pascanu et al. 2013, section 2.2",
    )


def gates_beat_the_rnn(config: ConfigDict, runs: Runs) -> dict:
    keep = config.flow.keeps[0]
    rnn = _left(runs, "tanh", None)
    gap = np.min([_left(runs, cell, keep) for cell in GATED], axis=0) - rnn
    interval = mean_interval(gap)
    return claim(
        "C-S15 relative",
        "Skip and gated paths carry more gradient than an RNN.",
        above(interval),
        statistic=(
            f"log10 |ds_T/ds_0| at T = {config.flow.steps}, the smallest of leaky RNN, GRU and LSTM"
            f" with gate biases of {keep:g}, minus the RNN, paired by seed, all from torch's"
            " initialisation; claimed > 0"
        ),
        measured={
            "RNN": _mean(rnn),
            **{cell: _mean(_left(runs, cell, keep)) for cell in GATED},
            "difference": _mean(gap),
        },
        interval=interval,
        n=len(runs.seeds),
        expected="holds",
        source="notes F4:173-176",
    )


def usual_gates_carry(config: ConfigDict, runs: Runs) -> dict:
    return _carries(
        config,
        runs,
        "C-S15 usual",
        config.flow.keeps[0],
        "refuted: a gate half open halves it each step",
    )


def open_gates_carry(config: ConfigDict, runs: Runs) -> dict:
    return _carries(
        config,
        runs,
        "C-S15 open",
        config.flow.keeps[-1],
        "holds: it is the open gate that is the remedy",
    )


def cell_state_is_a_conveyor(config: ConfigDict, runs: Runs) -> dict:
    words = "The cell state is a conveyor belt: with f near 1, what lies on it stays."
    path = "along the belt alone, the product of the forget gates"
    return _flat(
        config,
        runs,
        "C-G9 belt",
        words,
        "direct",
        path,
        "holds; a constant f gives log10 f per step",
    )


def whole_gradient_is_flat(config: ConfigDict, runs: Runs) -> dict:
    words = "So the whole gradient with respect to the cell state stays as well."
    expected = (
        "open: c also reaches itself through h and the gates, a path that the belt does not tame"
    )
    return _flat(
        config,
        runs,
        "C-G9 whole",
        words,
        "whole",
        "by every path, through h and the gates too",
        expected,
    )


def forget_bias_keeps(config: ConfigDict, runs: Runs) -> dict:
    ends = [runs.flow("lstm", "whole", keep=keep)[:, -1] for keep in sorted(config.flow.keeps)]
    gap = np.min(np.diff(ends, axis=0), axis=0)
    interval = mean_interval(gap)
    return claim(
        "C-G9 bias",
        "The larger the forget bias, the more of the cell state's gradient survives.",
        above(interval),
        statistic=(
            f"log10 |dc_T/dc_0| at T = {config.flow.steps}, the smallest step from one forget bias"
            " to the next larger, paired by seed; claimed > 0"
        ),
        measured={"smallest step": _mean(gap)} | _by_bias(config, runs, "whole"),
        interval=interval,
        n=len(runs.seeds),
        expected="holds",
        source="Gers et al. 2000; Jozefowicz et al. 2015; notes F0:104-105",
    )


def clipping_tames_explosion(config: ConfigDict, runs: Runs) -> dict:
    gap = runs.error("SGD") - runs.error("SGD-C")
    interval = mean_interval(gap)
    largest = {arm: [_largest(runs, arm, seed) for seed in runs.seeds] for arm in ("SGD", "SGD-C")}
    return claim(
        "C-S16 clipping",
        "Clipping the gradient's norm tames explosion, so that the task can be learned.",
        above(interval),
        statistic=(
            f"wrong answers on held-out temporal order, T = {config.train.lag}, SGD minus SGD-C"
            f" after {config.train.steps} iterations, points, paired by seed; a diverged run counts"
            " as guessing; claimed > 0"
        ),
        measured={f"{arm}, wrong, %": _mean(runs.error(arm)) for arm in largest}
        | {
            f"{arm}, runs that diverged": sum(
                runs.diverged(arm, seed) is not None for seed in runs.seeds
            )
            for arm in largest
        }
        | {
            f"{arm}, largest finite gradient norm, log10": _mean(np.log10(values))
            for arm, values in largest.items()
        },
        interval=interval,
        n=len(runs.seeds),
        expected="holds",
        source="Pascanu et al. 2013, Algorithm 1",
    )


def regulariser_keeps_the_norm(config: ConfigDict, runs: Runs) -> dict:
    omega = {arm: runs.omega(arm) for arm in ("SGD-C", "SGD-CR")}
    gap = omega["SGD-CR"] - omega["SGD-C"]
    interval = mean_interval(gap)
    return claim(
        "C-S16 regulariser",
        "Pascanu's regulariser keeps the gradient's norm from step to step.",
        below(interval),
        statistic=(
            "Omega (equation 9) on held-out sequences at the end, SGD-CR minus SGD-C, paired by"
            " seed; claimed < 0"
        ),
        measured={f"{arm}, Omega": _mean(values) for arm, values in omega.items()}
        | {f"{arm}, wrong, %": _mean(runs.error(arm)) for arm in omega},
        interval=interval,
        n=len(runs.seeds),
        expected="holds",
        source="Pascanu et al. 2013, section 3.3",
    )


CLAIMS = (
    slope_is_log_radius_at_rest,
    slope_is_log_radius_driven,
    nothing_exceeds_the_bound,
    gates_beat_the_rnn,
    usual_gates_carry,
    open_gates_carry,
    clipping_tames_explosion,
    regulariser_keeps_the_norm,
    cell_state_is_a_conveyor,
    whole_gradient_is_flat,
    forget_bias_keeps,
)


def judge(config: ConfigDict, runs: Runs) -> list[dict]:
    """Every row of the verdict table, in the order of the notes' claims."""
    rows = [make(config, runs) for make in (*IDENTITIES, *CLAIMS)]
    return sorted(rows, key=lambda row: (row["id"][:3] == "C-G", int(row["id"].split()[0][3:])))


def _slope_claim(
    config: ConfigDict, runs: Runs, id: str, when: str, driven: bool, expected: str
) -> dict:
    """The fitted slope of the Jacobian's norm against log10 of the spectral radius, in tanh nets."""
    margin = config.measure.same_slope
    gaps = {
        (tag["recurrence"], tag["radius"]): (
            runs.slope("tanh", "largest", **tag) - math.log10(tag["radius"])
        )
        for tag in runs.tags("tanh", driven=driven)
        if "radius" in tag
    }
    worst = np.max(np.abs(list(gaps.values())), axis=0)
    interval = mean_interval(worst)
    return claim(
        id,
        "|dh_T/dh_t| follows a straight line on the log scale, of slope log rho: tanh nets"
        f" {when}.",
        within(interval, margin),
        statistic=(
            "|fitted slope of log10 |dh_T/dh_t| against the lag - log10 rho|, decades per step,"
            " the largest over the radii, W orthogonal and Gaussian (measured: signed, by W and"
            f" radius); claimed at most {margin:g}"
        ),
        measured={f"{kind}, {radius:g}": _mean(gap) for (kind, radius), gap in gaps.items()},
        interval=interval,
        n=len(runs.seeds),
        expected=expected,
        source="Pascanu et al. 2013, section 2.1; notes F0:44-48",
    )


def _carries(config: ConfigDict, runs: Runs, id: str, keep: float, expected: str) -> dict:
    smallest = np.min([_left(runs, cell, keep) for cell in GATED], axis=0)
    interval, bound = mean_interval(smallest), math.log10(config.measure.carried)
    return claim(
        id,
        f"Skip and gated paths let the gradient through over {config.flow.steps} steps: gate biases"
        f" of {keep:g}, which keep {1 / (1 + math.exp(-keep)):.3g} of the old state.",
        above(interval, bound),
        statistic=(
            f"log10 |ds_T/ds_0| at T = {config.flow.steps}, the smallest of leaky RNN, GRU and"
            f" LSTM; claimed > {bound:g}"
        ),
        measured={cell: _mean(_left(runs, cell, keep)) for cell in GATED},
        interval=interval,
        n=len(runs.seeds),
        expected=expected,
        source="notes F4:173-176",
    )


def _left(runs: Runs, cell: str, keep: float | None) -> np.ndarray:
    """log10 |ds_T/ds_0| of the net as usually initialised, for every seed."""
    return runs.flow(cell, "largest", recurrence="uniform", keep=keep)[:, -1]


def _flat(
    config: ConfigDict, runs: Runs, id: str, words: str, quantity: str, path: str, expected: str
) -> dict:
    """The slope of dc_T/dc_0 of the LSTM whose forget gates are the most open."""
    keep, margin = config.flow.keeps[-1], config.measure.flat
    slope = runs.slope("lstm", quantity, keep=keep)
    interval = mean_interval(slope)
    return claim(
        id,
        words,
        within(interval, margin),
        statistic=(
            f"slope of log10 |dc_T/dc_0| against the lag, decades per step, forget bias {keep:g},"
            f" {path}; claimed within {margin:g} of 0"
        ),
        measured={"slope": _mean(slope)} | _by_bias(config, runs, quantity),
        interval=interval,
        n=len(runs.seeds),
        expected=expected,
        source="Hochreiter, Schmidhuber 1997; Gers et al. 2000; notes F0:104-105, F1:534",
    )


def _by_bias(config: ConfigDict, runs: Runs, quantity: str) -> dict[str, float]:
    ends = {keep: runs.flow("lstm", quantity, keep=keep)[:, -1] for keep in config.flow.keeps}
    return {
        f"forget bias {keep:g}, log10 |dc_T/dc_0|": _mean(values) for keep, values in ends.items()
    }


def _largest(runs: Runs, arm: str, seed: int) -> float:
    norms = [point["gradient_norm"] for point in runs.curve(arm, seed)]
    return max(filter(math.isfinite, norms), default=math.nan)


def _mean(values) -> float:
    return float(np.mean(values))
