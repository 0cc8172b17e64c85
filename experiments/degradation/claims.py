"""The claims of the degradation study: each from the runs to a row of the verdict table.

plain_s, plain_d, res_s and res_d are the shallow and the deep net of either kind.
"""

import math
from collections.abc import Mapping

import numpy as np
from ml_collections import ConfigDict

from deepseq.lab.verdicts import About, Above, Below, Claim, exact, judge
from experiments.degradation.records import (
    Runs,
    generalisation_gap,
    test_error,
    train_error,
    train_loss,
)

# a norm of exactly 0 counts as float32's smallest normal number: its logarithm is a number
LEAST = float(np.finfo(np.float32).tiny)


def claims(config: ConfigDict, runs: Runs) -> list[Claim]:
    """Every row, in the order of the table."""
    return [
        *degradation(runs),
        *other_causes(config, runs),
        *identity_layers(config, runs),
        convergence(config, runs),
        additive(runs),
        *residuals(runs),
    ]


def degradation(runs: Runs) -> list[Claim]:
    """C-R1: that it happens, and to plain nets."""
    plain_s, plain_d, *_ = runs.nets
    error = runs.gap("plain", train_error)
    loss = {kind: runs.gap(kind, train_loss) for kind in ("plain", "resnet")}
    return [
        judge(
            About(
                "C-R1a",
                f"A {runs.deep}-layer plain net ends with a higher training error than a"
                f" {runs.shallow}-layer one.",
                f"training error of {plain_d} minus {plain_s} after the last iteration, points,"
                " paired by seed",
                "He et al. 2015, Figures 1 and 6",
                "holds; the paper shows curves and prints no number",
            ),
            error,
            Above(0),
            measured={
                f"{plain_s}, %": runs.each(plain_s, train_error),
                f"{plain_d}, %": runs.each(plain_d, train_error),
                "difference": error,
                "difference in test error": runs.gap("plain", test_error),
            },
        ),
        judge(
            About(
                "C-R1b",
                "Degradation is a matter of the plain nets: with residual connections, depth does"
                " not raise the training loss so.",
                f"training loss, ({runs.deep} minus {runs.shallow} layers, plain) minus (the same,"
                " residual), after the last iteration, paired by seed",
                "He et al. 2015, Figure 6",
                "holds",
            ),
            loss["plain"] - loss["resnet"],
            Above(0),
            measured={
                "plain, deep minus shallow": loss["plain"],
                "residual, deep minus shallow": loss["resnet"],
                "difference": loss["plain"] - loss["resnet"],
            },
        ),
    ]


def other_causes(config: ConfigDict, runs: Runs) -> list[Claim]:
    """C-R2 and C-R3: what it is not."""
    _, plain_d, *_ = runs.nets
    vanished = math.log10(config.measure.vanished)
    lowest = np.array(
        [min(map(_smallest_over_last, runs.looks(plain_d, seed))) for seed in runs.seeds]
    )
    without_bn = [runs.points(seed, net=plain_d)[0]["without_bn"] for seed in runs.seeds]
    error, gap = runs.gap("plain", train_error), runs.gap("plain", generalisation_gap)
    return [
        judge(
            About(
                "C-R2",
                f"Degradation is vanishing gradient: in {plain_d}, the gradient dies on its way"
                " down.",
                f"log10 of (smallest over last layer's gradient norm) in {plain_d}, the worst look"
                " of the run",
                "He et al. 2015, section 4.1",
                'refuted; with BN the gradients "exhibit healthy norms"',
            ),
            lowest,
            Below(vanished),
            measured={
                "worst look": lowest,
                "first over last layer at the start, log10": runs.look(
                    plain_d, 0, _first_over_last
                ),
                "the same without BN, log10": np.array([_decades(norms) for norms in without_bn]),
            },
        ),
        judge(
            About(
                "C-R3",
                "The deeper plain net fails by overfitting.",
                "of its excess test error: the part in the generalisation gap minus the part in the"
                " training error, points, paired by seed",
                "He et al. 2015, section 1",
                "refuted; the training error rises as well",
            ),
            gap - error,
            Above(0),
            measured={"in the generalisation gap": gap, "in the training error": error},
        ),
    ]


def identity_layers(config: ConfigDict, runs: Runs) -> list[Claim]:
    """C-R4 and C-R6: deeper nets that compute what the shallow ones do, by construction."""
    plain_s, plain_d, *_ = runs.nets
    seeds, measure = len(runs.seeds), config.measure
    deepened = runs.each(plain_s, lambda final: final["deepened"]["loss"])
    largest = float(np.abs(deepened - runs.each(plain_s, train_loss)).max())
    silent = _largest(runs, "silent")
    return [
        exact(
            About(
                "C-R4",
                f"A {plain_d} as good as {plain_s} exists: the trained {plain_s} with identity"
                " layers added.",
                f"training loss of that {plain_d} minus that of {plain_s}, largest absolute value"
                " over seeds",
                "He et al. 2015, section 1",
                "holds by construction",
            ),
            largest <= measure.same_loss,
            seeds,
            criterion=f"at most {measure.same_loss:g}",
            measured={
                "largest difference": largest,
                f"loss of the constructed {plain_d}": deepened,
                f"loss of the trained {plain_d}": runs.each(plain_d, train_loss),
            },
        ),
        exact(
            About(
                "C-R6",
                "A block computes F(x) + x, so with F silenced (last gamma and beta 0) it is the"
                " identity.",
                "max |x_L - x_0| over the first stage of the residual nets",
                "He et al. 2015, equation (1)",
                "holds exactly",
            ),
            bool(silent == 0),
            seeds,
            criterion="exactly 0",
            measured={"largest difference": silent},
        ),
    ]


def convergence(config: ConfigDict, runs: Runs) -> Claim:
    """C-R7: what skip connections are worth in training."""
    _, plain_d, _, res_d = runs.nets
    threshold = config.measure.loss_threshold
    steps = {net: _steps_to(runs, net, threshold) for net in (plain_d, res_d)}
    return judge(
        About(
            "C-R7",
            "Skip connections ease convergence.",
            f"iterations until the training loss is below {threshold:g},"
            f" {plain_d} minus {res_d}, paired by seed; a run that never gets there counts its"
            " last iteration",
            "He et al. 2015, section 4.1",
            "holds; the residual net converges faster early on",
        ),
        steps[plain_d] - steps[res_d],
        Above(0),
        measured=steps
        | {
            f"{net}: first over last layer's gradient, log10": runs.look(net, -1, _first_over_last)
            for net in steps
        },
    )


def additive(runs: Runs) -> Claim:
    """C-R8: what holds of the sum of the branches, by construction."""
    after_relu, preactivation = (_largest(runs, name) for name in ("after_relu", "preactivation"))
    return exact(
        About(
            "C-R8",
            "x_L = x_1 + the sum of F(x_i).",
            "|x_L - (x_1 + sum of F)| / |x_L| over the first stage of the residual nets",
            "He et al. 2016, equation (4)",
            "refuted for the block of 2015, exact for pre-activation",
        ),
        bool(after_relu <= 1e-5),
        len(runs.seeds),
        criterion="0 up to rounding, 1e-5",
        measured={
            "as of 2015, ReLU after the addition": after_relu,
            "pre-activation, as of 2016": preactivation,
        },
    )


def residuals(runs: Runs) -> list[Claim]:
    """C-R11 and C-R12: how large the residuals are, and what the shortcuts cost."""
    _, _, res_s, res_d = runs.nets
    before, after = (runs.look(res_d, n, _log_branch_ratio) for n in (0, -1))
    response = {net: runs.look(net, -1, _mean_response) for net in runs.nets}
    count = {net: int(runs.end(net=net)["parameters"]) for net in runs.nets}
    plain, residual = list(count.values())[:2], list(count.values())[2:]
    return [
        judge(
            About(
                "C-R11 time",
                "Residuals tend to zero as training proceeds.",
                f"mean over the blocks of {res_d} of ln(rms F(x) / rms x), after the last iteration"
                " minus before the first, paired by seed",
                "claim C-R11",
                "not tested in the paper, which shows depth alone",
            ),
            after - before,
            Below(0),
            measured={"rms F / rms x before": np.exp(before), "rms F / rms x after": np.exp(after)},
        ),
        judge(
            About(
                "C-R11 depth",
                "The deeper the residual net, the smaller the responses of its layers.",
                f"mean over layers of the response's standard deviation, {res_d} minus {res_s},"
                " after the last iteration, paired by seed",
                "He et al. 2015, Figure 7",
                "holds, after the whole schedule",
            ),
            response[res_d] - response[res_s],
            Below(0),
            measured=response,
        ),
        exact(
            About(
                "C-R12",
                "The shortcuts add no parameters.",
                "parameters of each residual net and its plain twin",
                "He et al. 2015, section 3.2",
                "holds with zero-padded shortcuts, option A",
            ),
            plain == residual,
            len(runs.seeds),
            criterion="equal",
            measured=count,
        ),
    ]


def _steps_to(runs: Runs, net: str, threshold: float) -> np.ndarray:
    """(S,) the first recorded iteration with a training loss below the threshold, or the last."""
    steps, losses = runs.curve("loss", net=net)
    return np.array([(*steps[row < threshold], steps[-1])[0] for row in losses])


def _largest(runs: Runs, identity: str) -> float:
    """By how much it fails in the residual nets, over nets and seeds."""
    return max(runs.values("identities", identity, net=net).max() for net in runs.nets[2:])


def _smallest_over_last(look: Mapping) -> float:
    norms = np.maximum(look["gradient_norm"], LEAST)
    return float(np.log10(norms.min() / norms[-1]))


def _first_over_last(look: Mapping) -> float:
    return _decades(look["gradient_norm"])


def _decades(norms) -> float:
    norms = np.maximum(norms, LEAST)
    return float(np.log10(norms[0] / norms[-1]))


def _log_branch_ratio(look: Mapping) -> float:
    return float(np.mean(np.log(np.maximum(look["branch_ratio"], LEAST))))


def _mean_response(look: Mapping) -> float:
    return float(np.mean(look["response_std"]))
