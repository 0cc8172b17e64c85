"""From the log of the long-dependencies study to its numbers, its table against the papers and its
deviations from them.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from ml_collections import ConfigDict

from deepseq.data.tasks import ADDING_BASELINE, copy_baseline
from deepseq.lab.verdicts import mean_interval
from experiments.long_dependencies.claims import CLAIMS
from experiments.long_dependencies.records import Runs
from experiments.long_dependencies.tasks import TASKS

SEQUENCES = {
    "adding": (100, 74_000, "Table 7"),
    "order": (100, 31_390, "Table 9, task 6a"),
}  # HS97's LSTM: lag, cost, where


def summarize(config: ConfigDict, records: Sequence[Mapping]) -> dict:
    """The study's metrics, verdicts, comparison with the papers and deviations from them, from its
    log alone.

    Claims whose trainings are not all there are left out.
    """
    runs = Runs(config, records)
    claims = [claim(config, runs) for claim in CLAIMS]
    return {
        "metrics": {
            "trainings": {
                f"{task} {lag}, {arm}": _metrics(runs, (task, lag), arm)
                for task, lag, arm in runs.all()
            },
            "diverged_runs": {
                arm: runs.diverged(arm) for arm in dict.fromkeys(arm for *_, arm in runs.all())
            },
        },
        "claims": [claim for claim in claims if claim is not None],
        "comparison": [*_costs(config, runs), *_baselines(config, runs), *_success(config, runs)],
        "deviations": [
            {"paper": paper, "here": here, "reason": reason}
            for paper, here, reason, differs in _deviations(config)
            if differs
        ],
    }


def _metrics(runs: Runs, place: tuple[str, int], arm: str) -> dict:
    record = runs.training(place, arm)
    return {
        "parameters": record["parameters"],
        "baseline": record["baseline"],
        "last_loss_over_baseline": _over_seeds(runs.shortfall(place, arm)),
        "solved_share": float(runs.solved(place, arm).mean()),
        "steps_until_solved": _over_seeds(runs.cost(place, arm)),
    }


def _over_seeds(values: np.ndarray) -> dict:
    return {
        "mean": float(values.mean()),
        "interval": mean_interval(values),
        "by_seed": values.tolist(),
    }


def _row(
    quantity: str, unit: str, paper: float | None, source: str, values: np.ndarray, remark: str
) -> dict:
    ours = _over_seeds(values) if len(values) else {"mean": None, "interval": None}
    ours = {"ours": ours["mean"], "interval": ours["interval"], "n": len(values)}
    return {
        "quantity": quantity,
        "unit": unit,
        "paper": paper,
        "source": source,
        **ours,
        "remark": remark,
    }


def _costs(config: ConfigDict, runs: Runs) -> list[dict]:
    """What the LSTM needed, beside the counts of its first paper."""
    rows = []
    for task, (lag, paper, where) in SEQUENCES.items():
        place = runs.longest(task)
        if place is None or not runs.has("lstm", places=[place]):
            continue
        share = runs.solved(place, "lstm").mean()
        quantity = f"LSTM on {TASKS[task]}, lag {place[1]}: sequences until solved"
        source = f"Hochreiter, Schmidhuber 1997, {where}, T = {lag}"
        remark = (
            f"solved by {share:.0%} of the runs; net, optimiser, target and criterion differ: an"
            " order of magnitude alone"
        )
        rows.append(
            _row(
                quantity,
                "sequences",
                paper,
                source,
                runs.cost(place, "lstm") * config.train.batch_size,
                remark,
            )
        )
    return rows


def _baselines(config: ConfigDict, runs: Runs) -> list[dict]:
    """Where a tanh RNN that has learned nothing stays, beside the baseline."""
    rows = []
    for task, name in (("adding", "0.167"), ("copy", "10 ln 8 / (T + 20)")):
        place = runs.longest(task)
        if place is None or not runs.has("rnn", places=[place]):
            continue
        paper = ADDING_BASELINE if task == "adding" else copy_baseline(place[1])
        last = np.array([run["loss"][-1] for run in runs.runs(place, "rnn")])
        quantity = f"{task}, lag {place[1]}: loss without memory; ours: last loss of the tanh RNN"
        unit = "squared error" if task == "adding" else "nats"
        rows.append(
            _row(quantity, unit, paper, f"Arjovsky et al. 2016, section 4: {name}", last, "")
        )
    return rows


def _success(config: ConfigDict, runs: Runs) -> list[dict]:
    if not runs.clipping or not runs.has("sgd-cr", places=runs.clipping):
        return []
    place = runs.clipping[-1]
    quantity = f"SGD-CR on temporal order, length {place[1]}: runs that succeed"
    source = "Pascanu et al. 2013, section 4.1, up to length 200"
    row = _row(
        quantity,
        "%",
        100.0,
        source,
        100 * runs.solved(place, "sgd-cr"),
        f"within {config.clipping.steps} steps",
    )
    return [row | {"interval": None}]  # Student's would reach beyond 100 %


def _deviations(config: ConfigDict) -> list[tuple[str, str, str, bool]]:
    """(the papers, here, why, whether it applies)."""
    train, clipping, measure = config.train, config.clipping, config.measure
    longest = {name: max(config.lags[task]) for task, name in TASKS.items() if config.lags[task]}
    rates = ", ".join(f"{cell} {rate:g}" for cell, rate in train.rates.items())
    return [
        (
            (
                "adding and copy at lags of 100 to 750 (Arjovsky et al.), temporal order up to 200"
                " (Pascanu et al.)"
            ),
            "lags of at most " + ", ".join(f"{lag} ({task})" for task, lag in longest.items()),
            "time: minutes on a laptop",
            longest.get(TASKS["adding"], 0) < 750,
        ),
        (
            "RMSprop at a rate of 0.001, decay 0.9 (Arjovsky et al.)",
            f"{'Adam' if train.optimizer == 'adam' else 'RMSprop'} at {rates}",
            (
                "it needs fewer steps; each cell has the best of those tried, since none suits all"
                " of them"
            ),
            train.optimizer != "rmsprop" or set(train.rates.values()) != {0.001},
        ),
        (
            (
                "trained until all sequences are right (Hochreiter, Schmidhuber) or for a fixed"
                " time (Arjovsky et al.)"
            ),
            (
                f"until the mean loss of {measure.every} steps is below {measure.solved:g} of the"
                f" baseline, at most {max(train.steps.values())} steps"
            ),
            "one criterion for all tasks and cells",
            True,
        ),
        (
            "the IRNN's input weights start close to 0 (Le et al.)",
            "uniform within 1/sqrt(H), as every other cell's",
            "with small ones fewer runs learned in this time",
            "irnn" in config.net.cells,
        ),
        (
            "GRU and LSTM with about as many parameters (Chung et al.)",
            (
                f"{config.net.hidden} units in every cell, and a second GRU with the LSTM's number"
                " of parameters"
            ),
            "both comparisons are made",
            True,
        ),
        (
            (
                "a sparse recurrence scaled to a spectral radius of 0.95 (Pascanu et al., in their"
                " program)"
            ),
            (
                f"an orthogonal one of that radius, a rate of {clipping.rate:g}, {clipping.steps}"
                f" steps; as a control, SGD without clipping at a rate of {clipping.slow_rate:g}"
            ),
            "every direction starts alike; time",
            True,
        ),
        (
            "the sum over steps of the regulariser's terms (Pascanu et al., equation 9)",
            "their mean over steps and sequences",
            "as in the authors' program; its weight is then independent of the length",
            True,
        ),
    ]
