"""The gradient-flow study's numbers, verdicts, table against the paper and deviations."""

from collections.abc import Mapping, Sequence

from ml_collections import ConfigDict

from deepseq.lab.records import Record
from deepseq.lab.verdicts import compare, deviations, over_seeds
from experiments.gradient_flow.algebra import SCALAR_STEPS, SIGMOID_W
from experiments.gradient_flow.claims import claims
from experiments.gradient_flow.nets import CELLS
from experiments.gradient_flow.records import Runs
from experiments.gradient_flow.training import ARMS


def summarize(config: ConfigDict, records: Sequence[Record]) -> dict:
    """The study's metrics, verdicts, comparison with the paper and deviations, from its log alone.

    Seeds whose three parts have not all finished are left out.
    """
    runs = Runs(config, records)
    return {
        "metrics": metrics(runs) if runs.seeds else {},
        "claims": claims(config, runs) if runs.seeds else [],
        "comparison": against_paper(config, runs),
        "deviations": departures(config),
    }


def metrics(runs: Runs) -> dict:
    """Per net, decades per step and log10 of what is left at the longest lag; per arm, its end."""
    nets = {
        _title(cell, net): {
            "slope": over_seeds(runs.slope(cell, "largest", **net)),
            "left": over_seeds(runs.flow(cell, "largest", **net)[:, -1]),
        }
        for cell in CELLS
        for net in runs.variants(cell)
    }
    arms = {
        arm: {
            "wrong_percent": over_seeds(runs.error(arm)),
            "omega": over_seeds(runs.held_out(arm, "omega", float("nan"))),
            "diverged_at": runs.diverged(arm),
        }
        for arm in ARMS
    }
    return {"at initialisation": nets, "trained": arms}


def _title(cell: str, net: Mapping) -> str:
    words = [cell, net["recurrence"]]
    words += [f"{key} {net[key]:g}" for key in ("radius", "keep") if net.get(key) is not None]
    return ", ".join(words + ["at rest"] * (not net["driven"]))


def against_paper(config: ConfigDict, runs: Runs) -> list[dict]:
    """Pascanu's bound on W, and how many runs solve the task."""
    train, w = config.train, SIGMOID_W[1]
    solved, certain = [], []
    if runs.seeds:
        left = runs.identity("sigmoid_unit", "at_half")[0][1][-1]
        solved, certain = 100.0 * (runs.error("SGD-CR") < 1), [w / left ** (1 / SCALAR_STEPS)]
    rows = [
        compare(
            f"sigmoid unit: |W| below which vanishing is certain, from what is left of W = {w:g}",
            certain,
            paper=4,
            source="Pascanu et al. 2013, section 2.2: 1/gamma with gamma = 1/4",
        ),
        compare(
            "temporal order, SGD-CR: runs with less than 1 % of the sequences wrong",
            solved,
            paper=100,
            source="Pascanu et al. 2013, section 4.1, lengths up to 200",
            unit="%",
            remark=f"at length {train.lag}, after {train.steps} iterations, far fewer than the"
            " paper's: not comparable",
        ),
    ]
    return [row | {"interval": None, "n": len(runs.seeds)} for row in rows]


def departures(config: ConfigDict) -> list[dict]:
    """What is done otherwise than in the paper."""
    flow, train = config.flow, config.train
    return deviations(
        (
            "the state is x_t = W tanh(x_(t-1)) + W_in u_t + b, before the activation",
            "the state is h_t = tanh(W h_(t-1) + W_in u_t + b), after it",
            (
                "Elman's form, the notes'; the products of Jacobians differ by their first and last"
                " factor only"
            ),
        ),
        (
            (
                "equation 9 compares norms; the authors' published program compares squared norms"
                " and averages over the steps"
            ),
            "equation 9 as printed, summed over the steps",
            "the paper's text is the definition; alpha is chosen for the sum",
        ),
        (
            (
                "sparse Gaussian recurrent weights scaled to a spectral radius of 0.95 (the"
                " published program)"
            ),
            f"an orthogonal recurrent matrix times {train.radius:g}",
            "its singular values are known as well as its spectral radius",
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
        ),
        (
            "bounds, and no measured norms",
            (
                f"norms of {flow.hidden}-unit nets over {flow.steps} steps, from exact Jacobians of"
                " one input sequence per seed"
            ),
            "the point of this study",
        ),
    )
