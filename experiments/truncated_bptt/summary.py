"""From the log of the truncation study to its numbers, verdicts and deviations."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from ml_collections import ConfigDict

from deepseq.lab.verdicts import above, claim, exact, mean_interval, within
from experiments.truncated_bptt.training import KEPT, RESET

LN2 = math.log(2)
SOURCE = "Williams and Peng 1990; the notes on truncated BPTT"
ROUNDING = 1e-5  # of a gradient in float32, relative to its largest entry


class Runs:
    """The records of a log by task, lag, k and carry."""

    def __init__(self, config: ConfigDict, records: Sequence[Mapping]):
        self.ks, self.steps, self.seeds = (
            tuple(config.truncations),
            config.train.steps,
            list(config.seeds),
        )
        self.lags = list(config.echo.lags)
        self.tasks = [("echo", lag) for lag in self.lags] + [("text", 0)]
        self._trained = {
            ((r["task"], r["lag"]), r["k"], r["carry"]): r for r in records if "k" in r
        }
        self._measured = {(r["task"], r["lag"]): r["measured"] for r in records if "measured" in r}

    def done(self, task: tuple[str, int]) -> bool:
        """Whether a task has all of its trainings and measurements."""
        all_there = all(
            (task, k, carry) in self._trained for k in self.ks for carry in (KEPT, RESET)
        )
        return all_there and task in self._measured

    def final(self, task: tuple[str, int], k: int, carry: str) -> np.ndarray:
        """(S,) final losses, nats; a run that diverged counts as infinite."""
        ends = {run["seed"]: run["final"] for run in self._trained[task, k, carry]["runs"]}
        return np.array(
            [ends[seed] if ends[seed] is not None else math.inf for seed in self.seeds], float
        )

    def curve(self, task: tuple[str, int], k: int, carry: str) -> tuple[np.ndarray, np.ndarray]:
        """Updates (N,) and losses (S, N)."""
        record = self._trained[task, k, carry]
        losses = np.array(
            [[math.nan if v is None else v for v in run["loss"]] for run in record["runs"]], float
        )
        return record["every"] * np.arange(1, losses.shape[1] + 1), losses

    def measured(self, task: tuple[str, int]) -> Mapping:
        """What was measured beside the trainings of a task."""
        return self._measured[task]


def guess(lag: int, k: int) -> float:
    """The exact least loss of an echo without a carry: ln 2 for each step whose bit came before its
    chunk, nats.
    """
    return LN2 * min(1, lag / k)


def summarize(config: ConfigDict, records: Sequence[Mapping]) -> dict:
    """The study's metrics, verdicts and deviations, from its log alone; tasks that are not finished
    are left out.
    """
    runs = Runs(config, records)
    tasks = [task for task in runs.tasks if runs.done(task)]
    text = [task for task in tasks if task[0] == "text"]
    claims = [row for task in text for row in _of_gradient(runs, task)]
    claims += [
        row for lag in runs.lags if runs.done(("echo", lag)) for row in _of_echo(config, runs, lag)
    ]
    claims += [row for task in text for row in _of_text(config, runs, task)]
    metrics = {
        " ".join(map(str, task)) if task[1] else task[0]: {
            f"k={k}, carry {carry}": _over_seeds(runs.final(task, k, carry))
            for carry in (KEPT, RESET)
            for k in runs.ks
        }
        for task in tasks
    }
    return {
        "metrics": metrics,
        "claims": claims,
        "comparison": [],
        "deviations": _deviations(config),
    }


def _over_seeds(values: np.ndarray) -> dict:
    return {
        "mean": float(values.mean()),
        "interval": mean_interval(values),
        "by_seed": values.tolist(),
    }


def _of_gradient(runs: Runs, task) -> list[dict]:
    reach = runs.measured(task)["reach"]
    beyond = [norm for k, norms in zip(runs.ks, reach["norms"], strict=True) for norm in norms[k:]]
    inside = min(norms[k - 1] for k, norms in zip(runs.ks, reach["norms"], strict=True))
    return [
        claim(
            "C-S10 zero",
            "Truncation cuts the gradient: nothing comes back from more than k steps.",
            exact(max(beyond, default=0.0) == 0 and inside > 0),
            statistic=(
                "largest |dL/dh_t| more than k steps before the loss, over all k; claimed exactly 0"
            ),
            measured={"beyond k": max(beyond, default=0.0), "at k, smallest": inside},
            interval=None,
            n=1,
            expected="0",
            source=SOURCE,
        ),
        claim(
            "C-S10 full",
            "With k = T, truncated backpropagation is backpropagation.",
            exact(reach["whole"] <= ROUNDING),
            statistic=(
                "largest difference of the two gradients over the largest entry; claimed below"
                f" {ROUNDING:g}"
            ),
            measured={"relative difference": reach["whole"]},
            interval=None,
            n=1,
            expected="0 up to rounding",
            source=SOURCE,
        ),
    ]


def _of_echo(config: ConfigDict, runs: Runs, lag: int) -> list[dict]:
    task, rows = ("echo", lag), []
    short, long = [k for k in runs.ks if k <= lag], [k for k in runs.ks if k > lag]
    common = {"n": len(runs.seeds), "source": SOURCE}
    if short:
        over = np.mean([runs.final(task, k, RESET) - LN2 for k in short], axis=0)
        interval = mean_interval(over)
        rows.append(
            claim(
                f"C-S10 lag {lag}",
                f"With k <= {lag} and no carry, an echo of lag {lag} cannot be learned.",
                within(interval, config.measure.margin),
                statistic=(
                    f"final loss minus ln 2, mean over k <= {lag}; claimed 0 up to"
                    f" {config.measure.margin:g} nats"
                ),
                measured={"loss, nats": float(over.mean() + LN2), "ln 2": LN2},
                interval=interval,
                expected="ln 2",
                **common,
            )
        )
        helps = np.mean(
            [runs.final(task, k, RESET) - runs.final(task, k, KEPT) for k in short], axis=0
        )
        interval = mean_interval(helps)
        by_k = {f"k = {k}, carry kept": float(runs.final(task, k, KEPT).mean()) for k in short}
        rows.append(
            claim(
                f"C-S10 carry {lag}",
                f"Handing the carry on helps where the gradient does not reach (lag {lag}).",
                above(interval),
                statistic=(
                    f"final loss without minus with the carry, mean over k <= {lag}, paired by"
                    " seed; claimed > 0"
                ),
                measured=by_k,
                interval=interval,
                expected="> 0",
                **common,
            )
        )
    if long:
        learned = LN2 / 2 - runs.final(task, long[0], KEPT)
        rows.append(
            claim(
                f"C-S10 learned {lag}",
                f"With k > {lag}, the echo of lag {lag} is learned.",
                above(mean_interval(learned)),
                statistic=(
                    f"half of ln 2 minus the final loss at k = {long[0]}, the carry kept;"
                    " claimed > 0"
                ),
                measured={
                    f"loss at k = {long[0]}, nats": float(runs.final(task, long[0], KEPT).mean())
                },
                interval=mean_interval(learned),
                expected="> 0",
                **common,
            )
        )
    if short and long:
        cosine = dict(
            zip(runs.ks, map(np.array, runs.measured(task)["start"]["cosine"]), strict=True)
        )
        turn = cosine[long[0]] - cosine[short[-1]]
        rows.append(
            claim(
                f"C-S10 angle {lag}",
                f"The truncated gradient points another way where k <= {lag}.",
                above(mean_interval(turn)),
                statistic=(
                    f"cosine with the full gradient at k = {long[0]} minus at k = {short[-1]},"
                    " before training; claimed > 0"
                ),
                measured={
                    f"cosine at k = {k}": float(cosine[k].mean()) for k in (short[-1], long[0])
                },
                interval=mean_interval(turn),
                expected="> 0",
                **common,
            )
        )
    return rows


def _of_text(config: ConfigDict, runs: Runs, task) -> list[dict]:
    common = {"n": len(runs.seeds), "source": SOURCE}
    margin, full = config.measure.margin, runs.final(task, runs.steps, KEPT)
    costs = runs.final(task, runs.ks[0], KEPT) - full
    quarter = max(k for k in runs.ks if k <= max(runs.steps // 4, runs.ks[0]))
    near = runs.final(task, quarter, KEPT) - full
    carry = np.mean(
        [runs.final(task, k, RESET) - runs.final(task, k, KEPT) for k in runs.ks], axis=0
    )
    memory = runs.measured(task)["cost"]
    long, long_k = memory["long"], memory["long_k"]
    grows = [long[form][-1] / long[form][0] for form in ("truncated", "full")]
    span = f"{config.measure.lengths[0]} to {config.measure.lengths[-1]} steps"
    times = {f"k = {long_k}, times": grows[0], "full, times": grows[1]}
    return [
        claim(
            "C-S10 text",
            f"On text, the shortest truncation, k = {runs.ks[0]}, costs loss.",
            above(mean_interval(costs)),
            statistic=(
                f"held-out loss at k = {runs.ks[0]} minus at k = {runs.steps}, the carry kept,"
                " paired; claimed > 0"
            ),
            measured={
                f"k = {k}, nats": float(runs.final(task, k, KEPT).mean())
                for k in (runs.ks[0], runs.steps)
            },
            interval=mean_interval(costs),
            expected="> 0",
            **common,
        ),
        claim(
            "C-S10 enough",
            f"On text, k = {quarter} is as good as k = {runs.steps} within this training.",
            within(mean_interval(near), margin),
            statistic=(
                f"held-out loss at k = {quarter} minus at k = {runs.steps}, carry kept; claimed 0"
                f" up to {margin:g} nats"
            ),
            measured={"difference, nats": float(near.mean())},
            interval=mean_interval(near),
            expected="0",
            **common,
        ),
        claim(
            "C-S10 text carry",
            "On text, handing the carry on lowers the loss at every k.",
            above(mean_interval(carry)),
            statistic=(
                "held-out loss without minus with the carry, mean over k, paired by seed;"
                " claimed > 0"
            ),
            measured={"difference, nats": float(carry.mean())},
            interval=mean_interval(carry),
            expected="> 0",
            **common,
        ),
        claim(
            "C-S10 memory",
            "Truncation bounds the memory, whatever the length.",
            exact(grows[0] == 1 and grows[1] > 1),
            statistic=(
                f"temporary memory of the gradient, growth from {span}; claimed 1 at k = {long_k},"
                " more in full"
            ),
            measured=times,
            interval=None,
            n=1,
            expected="1",
            source=SOURCE,
        ),
    ]


def _deviations(config: ConfigDict) -> list[dict]:
    return [
        {
            "paper": "BPTT(h; h') with h > h' is Williams and Peng's choice",
            "here": "the trainings take k1 = k2 = k",
            "reason": (
                "what practice runs: chunk after chunk; the gradients against the full one take"
                " k1 = 1"
            ),
        },
        {
            "paper": "practice updates after every chunk",
            "here": f"one update after {config.train.steps} steps, whatever k",
            "reason": (
                "all k see as many updates of as many steps, so that they differ in the gradient"
                " alone"
            ),
        },
        {
            "paper": "language models learn Penn Treebank or books",
            "here": "the help topics of Python",
            "reason": (
                "they come with every Python, so that the study runs offline; the text differs"
                " between versions"
            ),
        },
    ]
