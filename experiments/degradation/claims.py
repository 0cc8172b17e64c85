"""The claims of the degradation study: one function each, from the runs to a row of the verdict
table.

In every claim plain_s, plain_d, res_s and res_d are the shallow and the deep net of either kind.
"""

import math
from collections.abc import Mapping

import numpy as np
from ml_collections import ConfigDict

from deepseq.lab.verdicts import above, below, claim, exact, mean_interval
from experiments.degradation.records import (
    Runs,
    generalisation_gap,
    test_error,
    train_error,
    train_loss,
)


def deeper_plain_trains_worse(config: ConfigDict, runs: Runs) -> dict:
    plain_s, plain_d, *_ = _names(runs)
    interval = mean_interval(runs.gap("plain", train_error))
    return claim(
        "C-R1a",
        f"A {runs.deep}-layer plain net ends with a higher training error than a"
        f" {runs.shallow}-layer one.",
        above(interval),
        statistic=(
            f"training error of {plain_d} minus {plain_s} after the last iteration, points, paired"
            " by seed; claimed > 0"
        ),
        measured={
            f"{plain_s}, %": _mean(runs.each(plain_s, train_error)),
            f"{plain_d}, %": _mean(runs.each(plain_d, train_error)),
            "difference": _mean(runs.gap("plain", train_error)),
            "difference in test error": _mean(runs.gap("plain", test_error)),
        },
        interval=interval,
        n=len(runs.seeds),
        expected="holds; the paper shows curves and prints no number",
        source="He et al. 2015, Figures 1 and 6; notes F2:7-15, F0:312, F1:243",
    )


def residual_nets_do_not_degrade(config: ConfigDict, runs: Runs) -> dict:
    difference = runs.gap("plain", train_loss) - runs.gap("resnet", train_loss)
    interval = mean_interval(difference)
    return claim(
        "C-R1b",
        "Degradation is a matter of the plain nets: with residual connections, depth does not raise"
        " the training loss so.",
        above(interval),
        statistic=(
            f"training loss, ({runs.deep} minus {runs.shallow} layers, plain) minus (the same,"
            " residual), after the last iteration, paired by seed; claimed > 0"
        ),
        measured={
            "plain, deep minus shallow": _mean(runs.gap("plain", train_loss)),
            "residual, deep minus shallow": _mean(runs.gap("resnet", train_loss)),
            "difference": _mean(difference),
        },
        interval=interval,
        n=len(runs.seeds),
        expected="holds",
        source="He et al. 2015, Figure 6; notes F2:7-15",
    )


def degradation_is_vanishing_gradient(config: ConfigDict, runs: Runs) -> dict:
    _, plain_d, *_ = _names(runs)
    worst = np.array(
        [
            min(_smallest_over_last(look) for _, look in runs.looks(plain_d, seed))
            for seed in runs.seeds
        ]
    )
    at_start = [runs.looks(plain_d, seed)[0][1]["gradient_norm"] for seed in runs.seeds]
    without_bn = [runs.start(plain_d, seed)["without_bn"] for seed in runs.seeds]
    interval, bound = mean_interval(worst), math.log10(config.measure.vanished)
    return claim(
        "C-R2",
        f"Degradation is vanishing gradient: in {plain_d}, the gradient dies on its way down.",
        below(interval, bound),
        statistic=(
            f"log10 of (smallest over last layer's gradient norm) in {plain_d}, the worst look of"
            f" the run; claimed < {bound:g}"
        ),
        measured={
            "worst look": _mean(worst),
            "first over last layer at the start, log10": _mean(
                [_first_over_last(norms) for norms in at_start]
            ),
            "the same without BN, log10": _mean([_first_over_last(norms) for norms in without_bn]),
        },
        interval=interval,
        n=len(runs.seeds),
        expected='refuted; with BN the gradients "exhibit healthy norms"',
        source="He et al. 2015, section 4.1; notes F0:325, F0:311, F2:4",
    )


def deep_plain_nets_overfit(config: ConfigDict, runs: Runs) -> dict:
    excess = runs.gap("plain", generalisation_gap) - runs.gap("plain", train_error)
    interval = mean_interval(excess)
    return claim(
        "C-R3",
        "The deeper plain net fails by overfitting.",
        above(interval),
        statistic=(
            "of its excess test error: the part in the generalisation gap minus the part in the"
            " training error, points, paired by seed; claimed > 0"
        ),
        measured={
            "in the generalisation gap": _mean(runs.gap("plain", generalisation_gap)),
            "in the training error": _mean(runs.gap("plain", train_error)),
        },
        interval=interval,
        n=len(runs.seeds),
        expected="refuted; the training error rises as well",
        source="He et al. 2015, section 1; notes F3:50, F1:240 against F2:11-13",
    )


def a_good_deep_plain_net_exists(config: ConfigDict, runs: Runs) -> dict:
    plain_s, plain_d, *_ = _names(runs)
    constructed = runs.each(plain_s, lambda record: record["deepened"]["loss"])
    largest = float(np.abs(constructed - runs.each(plain_s, train_loss)).max())
    return claim(
        "C-R4",
        f"A {plain_d} as good as {plain_s} exists: the trained {plain_s} with identity layers"
        " added.",
        exact(largest <= config.measure.same_loss),
        statistic=(
            f"training loss of that {plain_d} minus that of {plain_s}, largest absolute value over"
            f" seeds; claimed at most {config.measure.same_loss:g}"
        ),
        measured={
            "largest difference": largest,
            f"loss of the constructed {plain_d}": _mean(constructed),
            f"loss of the trained {plain_d}": _mean(runs.each(plain_d, train_loss)),
        },
        interval=None,
        n=len(runs.seeds),
        expected="holds by construction",
        source="He et al. 2015, section 1; notes F2:14",
    )


def silent_block_is_identity(config: ConfigDict, runs: Runs) -> dict:
    silent = _largest_identity(runs, "silent")
    return claim(
        "C-R6",
        "A block computes F(x) + x, so with F silenced (last gamma and beta 0) it is the identity.",
        exact(silent == 0),
        statistic=(
            "max |x_L - x_0| over the first stage of the trained residual nets; claimed exactly 0"
        ),
        measured={"largest difference": silent},
        interval=None,
        n=len(runs.seeds),
        expected="holds exactly",
        source="He et al. 2015, equation (1); notes F2:32-35, F1:250",
    )


def skips_ease_convergence(config: ConfigDict, runs: Runs) -> dict:
    _, plain_d, _, res_d = _names(runs)
    threshold = config.measure.loss_threshold
    reached = {
        net: np.array([_reached(runs.curve(net, s), threshold) for s in runs.seeds])
        for net in (plain_d, res_d)
    }
    interval = mean_interval(reached[plain_d] - reached[res_d])
    last = {
        net: [runs.looks(net, seed)[-1][1]["gradient_norm"] for seed in runs.seeds]
        for net in (plain_d, res_d)
    }
    return claim(
        "C-R7",
        "Skip connections ease convergence.",
        above(interval),
        statistic=(
            f"iterations until the training loss is below {threshold:g}, {plain_d} minus {res_d},"
            " paired by seed; a run that never gets there counts its last iteration; claimed > 0"
        ),
        measured={net: _mean(steps) for net, steps in reached.items()}
        | {
            f"{net}: first over last layer's gradient, log10": _mean(
                [_first_over_last(g) for g in last[net]]
            )
            for net in last
        },
        interval=interval,
        n=len(runs.seeds),
        expected="holds; the residual net converges faster early on",
        source="He et al. 2015, section 4.1; notes F2:38-40, F2:95",
    )


def output_is_sum_of_residuals(config: ConfigDict, runs: Runs) -> dict:
    after_relu, preactivation = (
        _largest_identity(runs, "after_relu"),
        _largest_identity(runs, "preactivation"),
    )
    return claim(
        "C-R8",
        "x_L = x_1 + the sum of F(x_i).",
        exact(after_relu <= 1e-5),
        statistic=(
            "|x_L - (x_1 + sum of F)| / |x_L| over the first stage of the trained residual nets;"
            " claimed 0 up to rounding, 1e-5"
        ),
        measured={
            "as of 2015, ReLU after the addition": after_relu,
            "pre-activation, as of 2016": preactivation,
        },
        interval=None,
        n=len(runs.seeds),
        expected="refuted for the block of 2015, exact for pre-activation",
        source="He et al. 2016, equation (4); notes F2:44",
    )


def residuals_shrink_with_time(config: ConfigDict, runs: Runs) -> dict:
    *_, res_d = _names(runs)
    first, last = (
        np.array([_log_branch_ratio(runs.looks(res_d, s)[k]) for s in runs.seeds]) for k in (0, -1)
    )
    interval = mean_interval(last - first)
    return claim(
        "C-R11 time",
        "Residuals tend to zero as training proceeds.",
        below(interval),
        statistic=(
            f"mean over the blocks of {res_d} of ln(rms F(x) / rms x), after the last iteration"
            " minus before the first, paired by seed; claimed < 0"
        ),
        measured={
            "rms F / rms x before": _mean(np.exp(first)),
            "rms F / rms x after": _mean(np.exp(last)),
        },
        interval=interval,
        n=len(runs.seeds),
        expected="not tested in the paper, which shows depth alone",
        source="notes F2:97, F0:324",
    )


def residuals_shrink_with_depth(config: ConfigDict, runs: Runs) -> dict:
    _, _, res_s, res_d = _names(runs)
    response = {
        net: np.array([_mean_response(runs.looks(net, s)[-1]) for s in runs.seeds])
        for net in runs.nets
    }
    interval = mean_interval(response[res_d] - response[res_s])
    return claim(
        "C-R11 depth",
        "The deeper the residual net, the smaller the responses of its layers.",
        below(interval),
        statistic=(
            f"mean over layers of the response's standard deviation, {res_d} minus {res_s}, after"
            " the last iteration, paired by seed; claimed < 0"
        ),
        measured={net: _mean(values) for net, values in response.items()},
        interval=interval,
        n=len(runs.seeds),
        expected="holds, after the whole schedule",
        source="He et al. 2015, Figure 7",
    )


def shortcuts_are_free(config: ConfigDict, runs: Runs) -> dict:
    count = {net: int(runs.final(net, runs.seeds[0])["parameters"]) for net in runs.nets}
    plain_s, plain_d, res_s, res_d = (count[net] for net in _names(runs))
    return claim(
        "C-R12",
        "The shortcuts add no parameters.",
        exact((plain_s, plain_d) == (res_s, res_d)),
        statistic="parameters of each residual net and its plain twin; claimed equal",
        measured=count,
        interval=None,
        n=len(runs.seeds),
        expected="holds with zero-padded shortcuts, option A",
        source="He et al. 2015, section 3.2; notes F2:102-103",
    )


CLAIMS = (
    deeper_plain_trains_worse,
    residual_nets_do_not_degrade,
    degradation_is_vanishing_gradient,
    deep_plain_nets_overfit,
    a_good_deep_plain_net_exists,
    silent_block_is_identity,
    skips_ease_convergence,
    output_is_sum_of_residuals,
    residuals_shrink_with_time,
    residuals_shrink_with_depth,
    shortcuts_are_free,
)


def _names(runs: Runs) -> tuple[str, ...]:
    return tuple(runs.nets)  # plain_s, plain_d, res_s, res_d


def _smallest_over_last(look: Mapping) -> float:
    norms = np.array(look["gradient_norm"])
    return float(np.log10(norms.min() / norms[-1]))


def _first_over_last(norms) -> float:
    return float(np.log10(norms[0] / norms[-1]))


def _reached(curve: list[Mapping], threshold: float) -> int:
    """The first recorded iteration with a training loss below the threshold, or the last one."""
    return next((point["step"] for point in curve if point["loss"] < threshold), curve[-1]["step"])


def _largest_identity(runs: Runs, name: str) -> float:
    return max(
        runs.final(net, seed)["identities"][name] for net in runs.nets[2:] for seed in runs.seeds
    )


def _log_branch_ratio(look: tuple[int, Mapping]) -> float:
    return float(np.mean(np.log(look[1]["branch_ratio"])))


def _mean_response(look: tuple[int, Mapping]) -> float:
    return float(np.mean(look[1]["response_std"]))


def _mean(values) -> float:
    return float(np.mean(values))
