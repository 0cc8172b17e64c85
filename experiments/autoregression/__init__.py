"""How much of the past does a prediction need, and who can keep it?

The probability of a series is the product of p(x_t | x_1, ..., x_(t-1)) over t. An AR(tau) model
keeps the last tau values of the past, the Markov model one of them, a latent autoregressive model a
state h_t = g(h_(t-1), x_(t-1)) that is learned. What each loses is measured on processes whose
entropy is known exactly for every tau, so each curve has a floor that no model of that tau can
pass: Markov chains of several orders, a delayed copy, runs of even length and a hidden Markov
source, which are chains of no finite order, and a Gaussian autoregression.

The same models then meet series that were trimmed, omitted from and permuted; a net of the current
step alone meets a delayed echo; and predictions are fed back in place of values, whose error has a
closed form. Last, the past of a pixel is to its left and above it: a recurrence in two dimensions
is compared with one along the raster and with windows, at equal parameters.
"""

from pathlib import Path

import jax
import numpy as np
from ml_collections import ConfigDict, FrozenConfigDict

from deepseq.data.source import DataError
from deepseq.lab import rules
from deepseq.lab.errors import UsageError
from deepseq.lab.jobs import Job, Session
from deepseq.nets.blocks.net import parameters
from experiments.autoregression import pixels, reals, symbols
from experiments.autoregression.figures import draw
from experiments.autoregression.records import tags
from experiments.autoregression.summary import summarize
from experiments.autoregression.training import CELLS

__all__ = ["draw", "plan", "summarize"]

MOST_WORDS = 2**21  # that are enumerated
PARTS = {  # cost, and what is done with the source or by the model that the tag names
    "chain rule": (2, lambda config, of, session: symbols.chain_rule(config)),
    "table": (1, lambda config, of, session: symbols.tables(config, of)),
    "window": (2, symbols.windows),
    "latent": (6, symbols.latent),
    "linear": (1, lambda config, of, session: reals.linear(config)),
    "real latent": (6, lambda config, of, session: reals.latent(config, session)),
    "echo": (8, lambda config, of, session: reals.echo(config, session)),
    "pixels": (12, pixels.fit),
}


def plan(config: ConfigDict, workdir: Path) -> list[Job]:
    """Every part, for all seeds at once; UsageError for a config that cannot be.

    The jobs raise Interrupted and OSError. What diverges is recorded, nothing more.
    """
    del workdir
    check(config)
    frozen = FrozenConfigDict(config)  # programs and sources are kept by it

    def work(session: Session) -> dict:
        _, measure = PARTS[session.tag["part"]]
        return rounded(measure(frozen, session.tag["of"], session))

    return [Job(tag, work, PARTS[tag["part"]][0]) for tag in tags(config)]


def rounded(record: dict) -> dict:
    """Floats to seven digits, which is what float32 holds."""

    def seven(a: np.ndarray) -> list | float:
        return [seven(part) for part in a] if a.ndim else float(f"{a:.7g}")

    return jax.tree.map(
        lambda a: seven(np.asarray(a)) if np.asarray(a).dtype.kind == "f" else a, record
    )


def check(config: ConfigDict) -> None:
    """UsageError for the first key of the config that cannot be used."""
    rules.choose(config, tuple(CELLS), "latent.cell")
    rules.choose(config, tuple(pixels.ARMS), "pixels.arms")
    rules.check(
        config,
        rules.at_least(2, "chain.symbols", "real.horizon", "series.count"),
        rules.increasing("chain.orders", least=1),
        rules.above(0, "chain.concentration", "measure.margin", "measure.share"),
        rules.between(1, 10, "bits.lag"),
        rules.between(config.bits.lag + 1, 12, "bits.longest"),
        rules.share("bits.stop", "bits.stay", "bits.clear", "measure.solved"),
        rules.at_least(1, "echo.lag", "measure.every", "measure.piece"),
        rules.at_least(1, "window.hidden", "latent.hidden", "latent.batch_size"),
        rules.at_least(1, "pixels.batch_size", "pixels.validation", "pixels.samples"),
        rules.above(0, "window.rate", "latent.rate", "pixels.rate"),
        rules.multiple("window.updates", "latent.updates", "pixels.updates", of="measure.every"),
        *(rules.that(*row) for row in _conditions(config)),
    )
    try:
        pixels.images(config)
    except DataError as error:
        held = config.pixels.validation
        raise UsageError(f"--config.pixels.validation={held}: {error}") from error


def _conditions(config: ConfigDict) -> list[tuple[str, bool, str]]:
    """What is asked of one key alone, or beside others: (key, whether it is met, in words)."""
    chain, bits, real, measure = config.chain, config.bits, config.real, config.measure
    highest, order = max(chain.orders, default=0), len(real.reflections)
    words = chain.symbols ** (chain.longest + highest + 1)
    inside = all(-1 < value < 1 for value in real.reflections)
    steps, longest = config.series.steps, max(chain.longest, bits.longest, real.longest)
    least = max(longest + real.horizon, config.echo.lag, measure.piece, symbols.DECODED * bits.lag)
    some = 0 < measure.omit < 1 and 0 < round(measure.omit * steps) < steps
    arms, size = config.pixels.arms, config.pixels.parameters
    units = {arm: parameters(pixels.model(arm, 1)) for arm in arms}
    return [
        ("chain.longest", chain.longest > highest, f"above the highest of chain.orders, {highest}"),
        ("chain.longest", words <= MOST_WORDS, "less; too many words to enumerate"),
        ("bits.flip", 0 < bits.flip < 0.5, "between 0 and 0.5"),
        ("real.reflections", inside and order > 0, "one or more numbers between -1 and 1"),
        ("real.reflections", real.reflections[-1:] != (0,), "such that the last is not 0"),
        ("real.longest", real.longest > order, f"above the order, {order}"),
        ("series.steps", steps > least, f"above {least}, for all lags, horizons and pieces to fit"),
        ("table.prior", config.table.prior > 0, "above 0, or the unseen has an infinite loss"),
        ("measure.omit", some, f"such that of {steps} symbols one is omitted and one kept"),
        ("measure.decoded", 0.5 < measure.decoded <= 1, "above 0.5, at most 1"),
        ("pixels.arms", len(set(arms)) == len(arms), "different models"),
        *(
            ("pixels.parameters", size >= unit, f"at least {unit}, one unit of the model {arm!r}")
            for arm, unit in units.items()
        ),
    ]
