"""From the log of the gradient-flow study to its numbers, its table against the paper and its
deviations from it.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from ml_collections import ConfigDict

from deepseq.lab.verdicts import mean_interval
from experiments.gradient_flow.algebra import SCALAR_STEPS, SIGMOID_W
from experiments.gradient_flow.claims import judge
from experiments.gradient_flow.nets import CELLS
from experiments.gradient_flow.records import Runs
from experiments.gradient_flow.training import ARMS


def summarize(config: ConfigDict, records: Sequence[Mapping]) -> dict:
    """The study's metrics, verdicts, comparison with the paper and deviations from it, from its log
    alone.

    Seeds whose three parts have not all finished are left out.
    """
    runs = Runs(config, records)
    return {
        "metrics": _metrics(runs) if runs.seeds else {},
        "claims": judge(config, runs) if runs.seeds else [],
        "comparison": _compare(config, runs),
        "deviations": [
            {"paper": paper, "here": here, "reason": reason}
            for paper, here, reason, differs in _deviations(config)
            if differs
        ],
    }


def _metrics(runs: Runs) -> dict:
    """Per net, decades per step and log10 of what is left at the longest lag (null: nothing); per
    arm, its end.
    """
    nets = {}
    for cell in CELLS:
        for tag in runs.tags(cell):
            left = runs.flow(cell, "largest", **tag)[:, -1]
            slope = runs.slope(cell, "largest", **tag)
            nets[_title(cell, tag)] = {"slope": _over_seeds(slope), "left": _over_seeds(left)}
    arms = {
        arm: {
            "wrong_percent": _over_seeds(runs.error(arm)),
            "omega": _over_seeds(runs.omega(arm)),
            "diverged_at": [runs.diverged(arm, seed) for seed in runs.seeds],
        }
        for arm in ARMS
    }
    return {"at initialisation": nets, "trained": arms}


def _title(cell: str, tag: Mapping) -> str:
    words = [cell, tag["recurrence"]]
    words += (
        [f"radius {tag['radius']:g}"]
        if "radius" in tag
        else [f"keep {tag['keep']:g}"]
        if tag["keep"] is not None
        else []
    )
    return ", ".join(words + ["at rest"] * (not tag["driven"]))


def _over_seeds(values: np.ndarray) -> dict:
    finite = bool(np.isfinite(values).all())
    return {
        "mean": float(values.mean()) if finite else None,
        "interval": mean_interval(values) if finite else None,
        "by_seed": values.tolist(),
    }


def _compare(config: ConfigDict, runs: Runs) -> list[dict]:
    train = config.train
    solved = 100.0 * (runs.error("SGD-CR") < 1) if runs.seeds else np.array([])
    w = SIGMOID_W[1]
    left = runs.found("sigmoid_unit", "at_half")[0][1][-1] if runs.seeds else None
    return [
        {
            "quantity": (
                "sigmoid unit: |W| below which vanishing is certain, from what is left of W ="
                f" {w:g}"
            ),
            "unit": "",
            "paper": 4,
            "source": "Pascanu et al. 2013, section 2.2: 1/gamma with gamma = 1/4",
            "ours": w / left ** (1 / SCALAR_STEPS) if runs.seeds else None,
            "interval": None,
            "n": len(runs.seeds),
            "remark": "",
        },
        {
            "quantity": "temporal order, SGD-CR: runs with less than 1 % of the sequences wrong",
            "unit": "%",
            "paper": 100,
            "source": "Pascanu et al. 2013, section 4.1, lengths up to 200",
            "ours": float(solved.mean()) if runs.seeds else None,
            "interval": None,
            "n": len(runs.seeds),
            "remark": (
                f"at length {train.lag}, after {train.steps} iterations, far fewer than the"
                " paper's: not comparable"
            ),
        },
    ]


def _deviations(config: ConfigDict) -> list[tuple[str, str, str, bool]]:
    """(the paper, here, why, whether it applies)."""
    flow, train = config.flow, config.train
    return [
        (
            "the state is x_t = W tanh(x_(t-1)) + W_in u_t + b, before the activation",
            "the state is h_t = tanh(W h_(t-1) + W_in u_t + b), after it",
            (
                "Elman's form, the notes'; the products of Jacobians differ by their first and last"
                " factor only"
            ),
            True,
        ),
        (
            (
                "equation 9 compares norms; the authors' published program compares squared norms"
                " and averages over the steps"
            ),
            "equation 9 as printed, summed over the steps",
            "the paper's text is the definition; alpha is chosen for the sum",
            True,
        ),
        (
            (
                "sparse Gaussian recurrent weights scaled to a spectral radius of 0.95 (the"
                " published program)"
            ),
            f"an orthogonal recurrent matrix times {train.radius:g}",
            "its singular values are known as well as its spectral radius",
            True,
        ),
        (
            "trained until solved, on lengths of 50 to 200",
            (
                f"{train.steps} iterations on length {train.lag}, {train.hidden} units, batches of"
                f" {train.batch_size}"
            ),
            (
                "a quick check of the machinery"
                if config.tier == "smoke"
                else "time; the question is where gradients explode"
            ),
            True,
        ),
        (
            "bounds, and no measured norms",
            (
                f"norms of {flow.hidden}-unit nets over {flow.steps} steps, from exact Jacobians of"
                " one input sequence per seed"
            ),
            "the point of this study",
            True,
        ),
    ]
