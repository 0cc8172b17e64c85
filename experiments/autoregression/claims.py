"""The verdict table of the autoregression study.

The claims are in files by subject, as rows by id: a sentence, a statistic, its value of every seed,
the criterion, what else was measured, and, where it is not "holds", the prediction and the source.
A criterion in words is that of an exact claim, whose value is whether it is true.
"""

from ml_collections import ConfigDict

from deepseq.lab.verdicts import About, Claim, exact, judge
from experiments.autoregression.claims_pixels import pixels
from experiments.autoregression.claims_reals import reals
from experiments.autoregression.claims_states import states
from experiments.autoregression.claims_windows import windows
from experiments.autoregression.records import Runs


def claims(config: ConfigDict, runs: Runs) -> list[Claim]:
    """Every row whose parts are all there, in the order of the table."""
    rows = windows(config, runs) | states(config, runs) | reals(config, runs) | pixels(runs)
    return [claim(id, *row, n=len(config.seeds)) for id, row in rows.items()]


def claim(id, text, statistic, value, criterion, measured, source="", prediction="holds", *, n):
    """A row of the table; without a source it is the claim itself."""
    about = About(id, text, statistic, source or f"claim {id}", prediction)
    if isinstance(criterion, str):
        return exact(about, value, n, criterion=criterion, measured=measured)
    return judge(about, value, criterion, measured=measured)
