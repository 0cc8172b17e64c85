"""The claims of the long-dependencies study: one function each, from the runs to a row of the
table, or None without them.

A loss is measured as its share of the baseline, at most 1 (``Runs.shortfall``), a cost in steps
until the task is solved."""

import numpy as np
from ml_collections import ConfigDict

from deepseq.lab.verdicts import above, below, claim, exact, mean_interval, within
from experiments.long_dependencies.records import Runs

COST = (
    "mean over tasks and lags of log2(steps until solved; a run that never gets there counts all"
    " its steps)"
)


def rnn_loses_long_dependencies(config: ConfigDict, runs: Runs) -> dict | None:
    if not runs.has("rnn") or not runs.tasks():
        return None
    rise = np.mean([runs.rise("rnn", task) for task in runs.tasks()], axis=0)
    interval = mean_interval(rise)
    return claim(
        "C-S11",
        "A tanh RNN keeps short dependencies and loses long ones.",
        above(interval),
        statistic=(
            "last loss over baseline of the tanh RNN, longest minus shortest lag, mean over the"
            " tasks; claimed > 0"
        ),
        measured={"mean": _mean(rise)}
        | {task: _mean(runs.rise("rnn", task)) for task in runs.tasks()},
        interval=interval,
        n=len(rise),
        expected="holds",
        source="Arjovsky et al. 2016, section 4; notes F0:83, F1:477, F3:141",
    )


def rnn_loses_them_first(config: ConfigDict, runs: Runs) -> dict | None:
    if not runs.has("rnn", "lstm") or not runs.tasks():
        return None
    by_task = {task: runs.rise("rnn", task) - runs.rise("lstm", task) for task in runs.tasks()}
    difference = np.mean(list(by_task.values()), axis=0)
    interval = mean_interval(difference)
    return claim(
        "C-S11 first",
        "It loses them before an LSTM does.",
        above(interval),
        statistic="the same for the tanh RNN minus that for the LSTM, paired by seed; claimed > 0",
        measured={"mean": _mean(difference)}
        | {task: _mean(values) for task, values in by_task.items()},
        interval=interval,
        n=len(difference),
        expected=(
            "holds on adding and temporal order; an echo suits the RNN, whose state is a shift"
            " register from the start"
        ),
        source="Arjovsky et al. 2016, section 4; notes F0:83, F4:97",
    )


def relu_is_to_be_avoided(config: ConfigDict, runs: Runs) -> dict | None:
    place = runs.longest("adding")
    if place is None or not runs.has("irnn", "rnn", places=[place]):
        return None
    difference = runs.shortfall(place, "irnn") - runs.shortfall(place, "rnn")
    interval = mean_interval(difference)
    return claim(
        "C-S13 trained",
        "ReLU makes a recurrent net explode, so it is to be avoided: an IRNN learns adding worse"
        " than a tanh RNN.",
        above(interval),
        statistic=(
            f"last loss over baseline on adding at lag {place[1]}, IRNN minus tanh RNN, paired by"
            " seed; claimed > 0"
        ),
        measured={
            "IRNN": _mean(runs.shortfall(place, "irnn")),
            "tanh RNN": _mean(runs.shortfall(place, "rnn")),
            "IRNN solved, share of seeds": _mean(runs.solved(place, "irnn")),
            "IRNN runs that diverged, all tasks": runs.diverged("irnn"),
        },
        interval=interval,
        n=len(difference),
        expected="refuted; an identity recurrence neither explodes nor vanishes at the start",
        source="Le et al. 2015, sections 3 and 4; notes F0:91, F1:498, F3:144",
    )


def clipping_helps(config: ConfigDict, runs: Runs) -> dict | None:
    text = "Clipping the gradient's norm makes SGD learn a long dependency sooner."
    return _sgd(runs, "C-S16 clipping", text, "sgd", "sgd-c", "sgd-slow")


def the_regulariser_helps(config: ConfigDict, runs: Runs) -> dict | None:
    text = "Pascanu's regulariser, which keeps the gradient from vanishing, makes it sooner still."
    return _sgd(runs, "C-S16 regulariser", text, "sgd-c", "sgd-cr")


def lstm_solves_long_dependency(config: ConfigDict, runs: Runs) -> dict | None:
    place = runs.longest("adding")
    if place is None or not runs.has("lstm", "rnn", places=[place]):
        return None
    difference = runs.shortfall(place, "rnn") - runs.shortfall(place, "lstm")
    interval, apart = mean_interval(difference), config.measure.apart
    return claim(
        "C-G1",
        f"An LSTM learns a dependency over {place[1]} steps that a tanh RNN does not.",
        above(interval, apart),
        statistic=(
            f"last loss over baseline on adding at lag {place[1]}, tanh RNN minus LSTM, paired by"
            f" seed; claimed > {apart:g}"
        ),
        measured={
            "tanh RNN": _mean(runs.shortfall(place, "rnn")),
            "LSTM": _mean(runs.shortfall(place, "lstm")),
            "difference": _mean(difference),
            "LSTM solved, share of seeds": _mean(runs.solved(place, "lstm")),
            "LSTM, steps": _mean(runs.cost(place, "lstm")),
        },
        interval=interval,
        n=len(difference),
        expected="holds",
        source="Hochreiter, Schmidhuber 1997, Table 7; notes F0:96, F1:515, F4:97",
    )


def gru_has_three_quarters(config: ConfigDict, runs: Runs) -> dict | None:
    if not runs.has("gru", "lstm") or not runs.places:
        return None
    counts = {
        arm: [runs.training(place, arm)["cell_parameters"] for place in runs.places]
        for arm in ("gru", "lstm")
    }
    ratios = {gru / lstm for gru, lstm in zip(counts["gru"], counts["lstm"], strict=True)}
    same = all(4 * gru == 3 * lstm for gru, lstm in zip(counts["gru"], counts["lstm"], strict=True))
    return claim(
        "C-G6 count",
        "The GRU has one gate less: three quarters of the LSTM's parameters.",
        exact(same),
        statistic=(
            "parameters of the GRU cell over those of the LSTM cell of the same width, two biases"
            " per gate in both, as torch counts; claimed exactly 3/4 at every task's input size"
        ),
        measured={"smallest ratio": min(ratios), "largest ratio": max(ratios)},
        interval=None,
        n=len(counts["gru"]),
        expected="holds exactly",
        source="Cho et al. 2014, section 2.3; notes F4:71-72, F0:137, F1:583",
    )


def tied_gates_lose_nothing(config: ConfigDict, runs: Runs) -> dict | None:
    if not runs.has("tied", "gru") or not runs.places:
        return None
    difference = runs.mean_shortfall("tied") - runs.mean_shortfall("gru")
    interval, margin = mean_interval(difference), config.measure.same_loss
    return claim(
        "C-G6 loss",
        "The GRU is an LSTM with input and forget gate merged and no output gate: such an LSTM"
        " learns as well as the GRU.",
        within(interval, margin),
        statistic=(
            "last loss over baseline, LSTM with f = 1 - i and o = 1 minus GRU, mean over tasks and"
            f" lags, paired by seed; claimed within {margin:g} of 0"
        ),
        measured={
            "tied LSTM": _mean(runs.mean_shortfall("tied")),
            "GRU": _mean(runs.mean_shortfall("gru")),
            "difference": _mean(difference),
            "steps until solved, tied over GRU": (
                2 ** _mean(runs.mean_log_cost("tied") - runs.mean_log_cost("gru"))
            ),
        },
        interval=interval,
        n=len(difference),
        expected="holds",
        source="Greff et al. 2017; notes F4:71-72, F0:137, F1:583",
    )


def gru_is_better_at_its_width(config: ConfigDict, runs: Runs) -> dict | None:
    return _gru_against_lstm(
        runs, "C-G8 width", "gru", "of the same width, and so with fewer parameters,"
    )


def gru_is_better_at_its_size(config: ConfigDict, runs: Runs) -> dict | None:
    return _gru_against_lstm(runs, "C-G8 parameters", "gru-wide", "with as many parameters")


def open_forget_gates_help(config: ConfigDict, runs: Runs) -> dict | None:
    biases = sorted({config.net.forget_bias, *config.net.other_forget_biases})
    arms = ["lstm" if bias == config.net.forget_bias else f"lstm, bias {bias:g}" for bias in biases]
    if len(arms) < 2 or not runs.has(*arms) or not runs.places:
        return None
    difference = runs.mean_log_cost(arms[-1]) - runs.mean_log_cost(arms[0])
    interval = mean_interval(difference)
    return claim(
        "C-G9 trained",
        "The cell state carries further the more its forget gate is open at the start.",
        below(interval),
        statistic=(
            f"{COST}, LSTM with forget bias {biases[-1]:g} minus {biases[0]:g}, paired by seed;"
            " claimed < 0"
        ),
        measured={
            f"bias {bias:g}, geometric mean of the steps": 2 ** _mean(runs.mean_log_cost(arm))
            for bias, arm in zip(biases, arms, strict=True)
        },
        interval=interval,
        n=len(difference),
        expected="holds",
        source="Gers et al. 2000; Jozefowicz et al. 2015; notes F0:104-105, F1:534",
    )


def _gru_against_lstm(runs: Runs, id: str, gru: str, how: str) -> dict | None:
    if not runs.has(gru, "lstm") or not runs.places:
        return None
    difference = runs.mean_log_cost(gru) - runs.mean_log_cost("lstm")
    interval = mean_interval(difference)
    return claim(
        id,
        f"A GRU {how} learns faster than an LSTM.",
        below(interval),
        statistic=f"{COST}, GRU minus LSTM, paired by seed; claimed < 0",
        measured={
            "steps until solved, GRU over LSTM": 2 ** _mean(difference),
            "last loss over baseline, GRU": _mean(runs.mean_shortfall(gru)),
            "last loss over baseline, LSTM": _mean(runs.mean_shortfall("lstm")),
            "units of the GRU": _mean(
                [runs.training(place, gru)["units"] for place in runs.places]
            ),
        },
        interval=interval,
        n=len(difference),
        expected="open: Chung et al. find no winner",
        source="Chung et al. 2014; notes F1:585-586",
    )


def _sgd(runs: Runs, id: str, text: str, without: str, with_it: str, *controls: str) -> dict | None:
    places = runs.clipping
    if not places or not runs.has(without, with_it, *controls, places=places):
        return None
    difference = runs.mean_log_cost(without, places) - runs.mean_log_cost(with_it, places)
    interval = mean_interval(difference)
    names = {"sgd": "SGD", "sgd-slow": "slower SGD", "sgd-c": "SGD-C", "sgd-cr": "SGD-CR"}
    share = {
        arm: _mean([runs.solved(place, arm) for place in places])
        for arm in (without, with_it, *controls)
    }
    return claim(
        id,
        text,
        above(interval),
        statistic=(
            f"temporal order, mean over lengths {', '.join(str(lag) for _, lag in places)} of"
            " log2(steps until solved; a run that never gets there counts all its steps),"
            f" {names[without]} minus {names[with_it]}, paired by seed; claimed > 0"
        ),
        measured={f"{names[arm]} solved, share of runs": value for arm, value in share.items()}
        | {"times as many steps without": 2 ** _mean(difference)},
        interval=interval,
        n=len(difference),
        expected="holds",
        source="Pascanu et al. 2013, section 4.1; notes F0:90-91, F4:167-176",
    )


def _mean(values) -> float:
    return float(np.mean(values))


CLAIMS = (
    rnn_loses_long_dependencies,
    rnn_loses_them_first,
    relu_is_to_be_avoided,
    clipping_helps,
    the_regulariser_helps,
    lstm_solves_long_dependency,
    gru_has_three_quarters,
    tied_gates_lose_nothing,
    gru_is_better_at_its_width,
    gru_is_better_at_its_size,
    open_forget_gates_help,
)
