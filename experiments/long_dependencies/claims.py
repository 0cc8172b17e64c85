"""The claims of the long-dependencies study, from the runs to rows of the table.

A loss is measured as its share of the baseline, at most 1 (``Runs.shortfall``), a cost in steps
until the task is solved. A row is left out where its trainings are not all there.
"""

import numpy as np
from ml_collections import ConfigDict

from deepseq.lab.verdicts import About, Above, Below, Claim, Within, exact, judge
from experiments.long_dependencies.records import Runs

COST = (
    "mean over tasks and lags of log2(steps until solved; a run that never gets there counts all"
    " its steps)"
)
NAMES = {"sgd": "SGD", "sgd-slow": "slower SGD", "sgd-c": "SGD-C", "sgd-cr": "SGD-CR"}


def claims(config: ConfigDict, runs: Runs) -> list[Claim]:
    """Every row whose trainings are there, in the order of the table."""
    return [
        *rnn_loses_long_dependencies(runs),
        *relu_is_to_be_avoided(runs),
        *clipping_helps(runs),
        *lstm_solves_long_dependency(config, runs),
        *gates_are_merged(config, runs),
        *gru_is_better(runs),
        *open_forget_gates_help(config, runs),
    ]


def rnn_loses_long_dependencies(runs: Runs) -> list[Claim]:
    """C-S11: how the tanh RNN's loss rises with the lag, by itself and beside the LSTM's."""
    if not runs.trained("rnn") or not runs.tasks():
        return []
    rise = {task: runs.rise("rnn", task) for task in runs.tasks()}
    loses = About(
        "C-S11",
        "A tanh RNN keeps short dependencies and loses long ones.",
        "last loss over baseline of the tanh RNN, longest minus shortest lag, mean over the tasks",
        "Arjovsky et al. 2016, section 4",
        "holds",
    )
    first = About(
        "C-S11 first",
        "It loses them before an LSTM does.",
        "the same for the tanh RNN minus that for the LSTM, paired by seed",
        "Arjovsky et al. 2016, section 4",
        "holds on adding and temporal order; an echo suits the RNN, whose state is a shift register"
        " from the start",
    )
    rows = [_mean_over_tasks(loses, rise)]
    if runs.trained("lstm"):
        rows.append(_mean_over_tasks(first, {t: rise[t] - runs.rise("lstm", t) for t in rise}))
    return rows


def _mean_over_tasks(about: About, by_task: dict[str, np.ndarray]) -> Claim:
    mean = np.mean(list(by_task.values()), axis=0)
    return judge(about, mean, Above(0), measured={"mean": mean, **by_task})


def relu_is_to_be_avoided(runs: Runs) -> list[Claim]:
    place = runs.longest("adding")
    if place is None or not runs.trained("irnn", "rnn", places=[place]):
        return []
    irnn, rnn = (runs.shortfall(place, arm) for arm in ("irnn", "rnn"))
    about = About(
        "C-S13 trained",
        "ReLU makes a recurrent net explode, so it is to be avoided: an IRNN learns adding worse"
        " than a tanh RNN.",
        f"last loss over baseline on adding at lag {place[1]}, IRNN minus tanh RNN, paired by seed",
        "Le et al. 2015, sections 3 and 4",
        "refuted; an identity recurrence neither explodes nor vanishes at the start",
    )
    measured = {
        "IRNN": irnn,
        "tanh RNN": rnn,
        "IRNN solved, share of seeds": runs.solved(place, "irnn"),
        "IRNN runs that diverged, all tasks": runs.diverged("irnn"),
    }
    return [judge(about, irnn - rnn, Above(0), measured=measured)]


def clipping_helps(runs: Runs) -> list[Claim]:
    """C-S16: SGD on temporal order without and with clipping, and with the regulariser."""
    rows, places = [], runs.clipping
    for id, text, without, *others in (
        (
            "C-S16 clipping",
            "Clipping the gradient's norm makes SGD learn a long dependency sooner.",
            "sgd",
            "sgd-c",
            "sgd-slow",
        ),
        (
            "C-S16 regulariser",
            "Pascanu's regulariser, which keeps the gradient from vanishing, makes it sooner"
            " still.",
            "sgd-c",
            "sgd-cr",
        ),
    ):
        if not places or not runs.trained(without, *others, places=places):
            continue
        gain = runs.mean_log_cost(without, places) - runs.mean_log_cost(others[0], places)
        about = About(
            id,
            text,
            f"temporal order, mean over lengths {', '.join(str(lag) for _, lag in places)} of"
            " log2(steps until solved; a run that never gets there counts all its steps),"
            f" {NAMES[without]} minus {NAMES[others[0]]}, paired by seed",
            "Pascanu et al. 2013, section 4.1",
            "holds",
        )
        shares = {
            f"{NAMES[arm]} solved, share of runs": np.array([runs.solved(p, arm) for p in places])
            for arm in (without, *others)
        }
        measured = shares | {"times as many steps without": 2 ** float(np.mean(gain))}
        rows.append(judge(about, gain, Above(0), measured=measured))
    return rows


def lstm_solves_long_dependency(config: ConfigDict, runs: Runs) -> list[Claim]:
    place = runs.longest("adding")
    if place is None or not runs.trained("lstm", "rnn", places=[place]):
        return []
    rnn, lstm = (runs.shortfall(place, arm) for arm in ("rnn", "lstm"))
    about = About(
        "C-G1",
        f"An LSTM learns a dependency over {place[1]} steps that a tanh RNN does not.",
        f"last loss over baseline on adding at lag {place[1]}, tanh RNN minus LSTM, paired by seed",
        "Hochreiter, Schmidhuber 1997, Table 7",
        "holds",
    )
    measured = {
        "tanh RNN": rnn,
        "LSTM": lstm,
        "difference": rnn - lstm,
        "LSTM solved, share of seeds": runs.solved(place, "lstm"),
        "LSTM, steps": runs.cost(place, "lstm"),
    }
    return [judge(about, rnn - lstm, Above(config.measure.apart), measured=measured)]


def gates_are_merged(config: ConfigDict, runs: Runs) -> list[Claim]:
    """C-G6: the GRU's count, and what an LSTM of its gates learns."""
    rows = []
    if runs.trained("gru", "lstm") and runs.places:
        counts = [
            tuple(runs.training(place, arm)["cell_parameters"] for arm in ("gru", "lstm"))
            for place in runs.places
        ]
        ratios = [gru / lstm for gru, lstm in counts]
        count = About(
            "C-G6 count",
            "The GRU has one gate less: three quarters of the LSTM's parameters.",
            "parameters of the GRU cell over those of the LSTM cell of the same width, two biases"
            " per gate in both, as torch counts, at every task's input size",
            "Cho et al. 2014, section 2.3",
            "holds exactly",
        )
        true = all(4 * gru == 3 * lstm for gru, lstm in counts)
        measured = {"smallest ratio": min(ratios), "largest ratio": max(ratios)}
        rows.append(exact(count, true, len(counts), criterion="exactly 3/4", measured=measured))
    if runs.trained("tied", "gru") and runs.places:
        tied, gru = (runs.mean_shortfall(arm) for arm in ("tied", "gru"))
        costs = runs.mean_log_cost("tied") - runs.mean_log_cost("gru")
        loss = About(
            "C-G6 loss",
            "The GRU is an LSTM with input and forget gate merged and no output gate: such an LSTM"
            " learns as well as the GRU.",
            "last loss over baseline, LSTM with f = 1 - i and o = 1 minus GRU, mean over tasks and"
            " lags, paired by seed",
            "Greff et al. 2017",
            "holds",
        )
        measured = {
            "tied LSTM": tied,
            "GRU": gru,
            "difference": tied - gru,
            "steps until solved, tied over GRU": 2 ** float(np.mean(costs)),
        }
        rows.append(judge(loss, tied - gru, Within(config.measure.same_loss), measured=measured))
    return rows


def gru_is_better(runs: Runs) -> list[Claim]:
    """C-G8: the GRU against the LSTM, of the same width and with as many parameters."""
    rows = []
    for id, gru, size in (
        ("C-G8 width", "gru", "of the same width, and so with fewer parameters,"),
        ("C-G8 parameters", "gru-wide", "with as many parameters"),
    ):
        if not runs.trained(gru, "lstm") or not runs.places:
            continue
        difference = runs.mean_log_cost(gru) - runs.mean_log_cost("lstm")
        about = About(
            id,
            f"A GRU {size} learns faster than an LSTM.",
            f"{COST}, GRU minus LSTM, paired by seed",
            "Chung et al. 2014",
            "open: Chung et al. find no winner",
        )
        measured = {
            "steps until solved, GRU over LSTM": 2 ** float(np.mean(difference)),
            "last loss over baseline, GRU": runs.mean_shortfall(gru),
            "last loss over baseline, LSTM": runs.mean_shortfall("lstm"),
            "units of the GRU": np.array([runs.training(p, gru)["units"] for p in runs.places]),
        }
        rows.append(judge(about, difference, Below(0), measured=measured))
    return rows


def open_forget_gates_help(config: ConfigDict, runs: Runs) -> list[Claim]:
    usual = config.net.forget_bias
    biases = sorted({usual, *config.net.other_forget_biases})
    arms = ["lstm" if bias == usual else f"lstm, bias {bias:g}" for bias in biases]
    if len(arms) < 2 or not runs.trained(*arms) or not runs.places:
        return []
    about = About(
        "C-G9 trained",
        "The cell state carries further the more its forget gate is open at the start.",
        f"{COST}, LSTM with forget bias {biases[-1]:g} minus {biases[0]:g}, paired by seed",
        "Gers et al. 2000; Jozefowicz et al. 2015",
        "holds",
    )
    measured = {
        f"bias {bias:g}, geometric mean of the steps": 2 ** float(np.mean(runs.mean_log_cost(arm)))
        for bias, arm in zip(biases, arms, strict=True)
    }
    difference = runs.mean_log_cost(arms[-1]) - runs.mean_log_cost(arms[0])
    return [judge(about, difference, Below(0), measured=measured)]
