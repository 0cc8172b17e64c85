"""The long-dependencies study's numbers, verdicts, table against the papers and deviations."""

from collections.abc import Sequence

import numpy as np
from ml_collections import ConfigDict

from deepseq.data.tasks import ADDING_BASELINE, copy_baseline
from deepseq.lab.records import Record
from deepseq.lab.verdicts import compare, deviations, over_seeds
from experiments.long_dependencies.claims import claims
from experiments.long_dependencies.records import Place, Runs
from experiments.long_dependencies.tasks import TASKS

SEQUENCES = {
    "adding": (100, 74_000, "Table 7"),
    "order": (100, 31_390, "Table 9, task 6a"),
}  # HS97's LSTM: lag, cost, where


def summarize(config: ConfigDict, records: Sequence[Record]) -> dict:
    """The study's metrics, verdicts, comparison with the papers and deviations, from its log alone.

    Claims whose trainings are not all there are left out.
    """
    runs = Runs(config, records)
    trainings = runs.trainings()
    return {
        "metrics": {
            "trainings": {
                f"{t} {lag}, {arm}": metrics(runs, (t, lag), arm) for t, lag, arm in trainings
            },
            "diverged_runs": {arm: runs.diverged(arm) for _, _, arm in trainings},
        },
        "claims": claims(config, runs),
        "comparison": [*costs(config, runs), *baselines(runs), *success(config, runs)],
        "deviations": departures(config),
    }


def metrics(runs: Runs, place: Place, arm: str) -> dict:
    """What a training came to."""
    record = runs.training(place, arm)
    return {
        "parameters": record["parameters"],
        "baseline": record["baseline"],
        "last_loss_over_baseline": over_seeds(runs.shortfall(place, arm)),
        "solved_share": float(runs.solved(place, arm).mean()),
        "steps_until_solved": over_seeds(runs.cost(place, arm)),
    }


def costs(config: ConfigDict, runs: Runs) -> list[dict]:
    """What the LSTM needed, beside the counts of its first paper."""
    rows = []
    for task, (lag, paper, where) in SEQUENCES.items():
        place = runs.longest(task)
        if place is None or not runs.trained("lstm", places=[place]):
            continue
        share = runs.solved(place, "lstm").mean()
        row = compare(
            f"LSTM on {TASKS[task]}, lag {place[1]}: sequences until solved",
            runs.cost(place, "lstm") * config.train.batch_size,
            paper=paper,
            source=f"Hochreiter, Schmidhuber 1997, {where}, T = {lag}",
            unit="sequences",
            remark=f"solved by {share:.0%} of the runs; net, optimiser, target and criterion"
            " differ: an order of magnitude alone",
        )
        rows.append(row)
    return rows


def baselines(runs: Runs) -> list[dict]:
    """Where a tanh RNN that has learned nothing stays, beside the baseline."""
    rows = []
    for task, name in (("adding", "0.167"), ("copy", "10 ln 8 / (T + 20)")):
        place = runs.longest(task)
        if place is None or not runs.trained("rnn", places=[place]):
            continue
        row = compare(
            f"{task}, lag {place[1]}: loss without memory; ours: last loss of the tanh RNN",
            np.array([run["loss"][-1] for run in runs.runs(place, "rnn")]),
            paper=ADDING_BASELINE if task == "adding" else copy_baseline(place[1]),
            source=f"Arjovsky et al. 2016, section 4: {name}",
            unit="squared error" if task == "adding" else "nats",
        )
        rows.append(row)
    return rows


def success(config: ConfigDict, runs: Runs) -> list[dict]:
    """How many runs of SGD-CR solve the longest temporal order."""
    if not runs.clipping or not runs.trained("sgd-cr", places=runs.clipping):
        return []
    place = runs.clipping[-1]
    row = compare(
        f"SGD-CR on temporal order, length {place[1]}: runs that succeed",
        100 * runs.solved(place, "sgd-cr"),
        paper=100.0,
        source="Pascanu et al. 2013, section 4.1, up to length 200",
        unit="%",
        remark=f"within {config.clipping.steps} steps",
    )
    return [row | {"interval": None}]  # Student's would reach beyond 100 %


def departures(config: ConfigDict) -> list[dict]:
    """What is done otherwise than in the papers."""
    train, clipping, measure = config.train, config.clipping, config.measure
    longest = {name: max(config.lags[task]) for task, name in TASKS.items() if config.lags[task]}
    rates = ", ".join(f"{cell} {rate:g}" for cell, rate in train.rates.items())
    return deviations(
        (
            "adding and copy at lags of 100 to 750 (Arjovsky et al.), temporal order up to 200"
            " (Pascanu et al.)",
            "lags of at most " + ", ".join(f"{lag} ({task})" for task, lag in longest.items()),
            "time: minutes on a laptop",
            longest.get(TASKS["adding"], 0) < 750,
        ),
        (
            "RMSprop at a rate of 0.001, decay 0.9 (Arjovsky et al.)",
            f"{'Adam' if train.optimizer == 'adam' else 'RMSprop'} at {rates}",
            "it needs fewer steps; each cell has the best of those tried, since none suits all"
            " of them",
            train.optimizer != "rmsprop" or set(train.rates.values()) != {0.001},
        ),
        (
            "trained until all sequences are right (Hochreiter, Schmidhuber) or for a fixed"
            " time (Arjovsky et al.)",
            f"until the mean loss of {measure.every} steps is below {measure.solved:g} of the"
            f" baseline, at most {max(train.steps.values())} steps",
            "one criterion for all tasks and cells",
        ),
        (
            "the IRNN's input weights start close to 0 (Le et al.)",
            "uniform within 1/sqrt(H), as every other cell's",
            "with small ones fewer runs learned in this time",
            "irnn" in config.net.cells,
        ),
        (
            "GRU and LSTM with about as many parameters (Chung et al.)",
            f"{config.net.hidden} units in every cell, and a second GRU with the LSTM's number"
            " of parameters",
            "both comparisons are made",
        ),
        (
            "a sparse recurrence scaled to a spectral radius of 0.95 (Pascanu et al., in their"
            " program)",
            f"an orthogonal one of that radius, a rate of {clipping.rate:g}, {clipping.steps}"
            f" steps; as a control, SGD without clipping at a rate of {clipping.slow_rate:g}",
            "every direction starts alike; time",
        ),
        (
            "the sum over steps of the regulariser's terms (Pascanu et al., equation 9)",
            "their mean over steps and sequences",
            "as in the authors' program; its weight is then independent of the length",
        ),
    )
