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
is compared with one along the raster and with windows, at equal parameters."""

import functools
from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np
from ml_collections import ConfigDict, FrozenConfigDict

from deepseq.data.source import DataError
from deepseq.lab import progress
from deepseq.lab.command_line import UsageError, choose, require
from deepseq.train import log
from deepseq.train.loop import interruption
from experiments.autoregression import pixels, reals, symbols
from experiments.autoregression.figures import draw as draw
from experiments.autoregression.summary import summarize as summarize
from experiments.autoregression.training import CELLS

COSTS = {
    "table": 1,
    "window": 2,
    "latent": 6,
    "linear": 1,
    "real latent": 6,
    "echo": 8,
    "chain rule": 2,
    "pixels": 12,
}
MOST_WORDS = 2**21  # that are enumerated
Part = tuple[str, str]  # what is done, and with which source or model


def run(config: ConfigDict, workdir: Path) -> None:
    """Fits every model to every source and logs to ``workdir``/metrics.jsonl; continues where an
    earlier run stopped.

    A part is logged when it has ended, in the order of ``plan``; one cut off begins again, so the
    log ends the same.

    Raises:
      UsageError: the config names a cell or model that does not exist, or numbers that do not fit
        together.
      Interrupted, OSError: as for ``deepseq.train.loop.fit``. What diverges is recorded, nothing
        more.
    """
    parts = plan(config)
    config = FrozenConfigDict(config)
    metrics = workdir / "metrics.jsonl"
    logged = {(record["part"], record["of"]) for record in log.read(metrics)}
    done, total = 0, sum(COSTS[part] for part, _ in parts)
    get_program = functools.cache(lambda kind, *sizes: kind(config, *sizes))
    with interruption() as stopping, progress.bar(total) as tick:
        for part, of in parts:
            tick(done, f"{part} {of}".strip())
            if (part, of) not in logged:
                log.write(
                    metrics,
                    {
                        "part": part,
                        "of": of,
                        **_rounded(_do(config, part, of, get_program, stopping)),
                    },
                )
            done += COSTS[part]
            tick(done, f"{part} {of}".strip())


def plan(config: ConfigDict) -> list[Part]:
    """Every part in the order of the log; UsageError for a config that cannot be."""
    _check(config)
    names = symbols.names(config)
    parts = [("chain rule", "")] + [
        (part, name) for part in ("table", "window", "latent") for name in names
    ]
    parts += [("linear", ""), ("real latent", ""), ("echo", "")]
    return parts + [("pixels", arm) for arm in config.pixels.arms]


def _do(
    config: FrozenConfigDict,
    part: str,
    of: str,
    get_program: Callable,
    stopping: Callable[[], bool],
) -> dict:
    if part == "chain rule":
        return symbols.chain_rule(config)
    if part == "table":
        return symbols.tables(config, of)
    if part == "window":
        return symbols.windows(
            config, of, get_program(symbols.window_program, *symbols.alphabet(config, of)), stopping
        )
    if part == "latent":
        return symbols.latent(
            config,
            of,
            get_program(symbols.latent_program, symbols.alphabet(config, of)[0]),
            stopping,
        )
    if part == "pixels":
        return pixels.train(config, of, stopping)
    return {
        "linear": lambda: reals.linear(config),
        "real latent": lambda: reals.latent(config, stopping),
        "echo": lambda: reals.echo(config, stopping),
    }[part]()


def _rounded(record: dict) -> dict:
    """Arrays of floats to seven digits, which is what float32 holds."""
    return jax.tree.map(
        lambda a: _seven(np.asarray(a)) if np.asarray(a).dtype.kind == "f" else a, record
    )


def _seven(a: np.ndarray) -> list | float:
    if a.ndim:
        return [_seven(part) for part in a]
    return float(f"{a:.7g}")


def _check(config: ConfigDict) -> None:
    choose("latent.cell", config.latent.cell, tuple(CELLS))
    for arm in config.pixels.arms:
        choose("pixels.arms", arm, tuple(pixels.ARMS))
    chain, bits, real, size, measure = (
        config.chain,
        config.bits,
        config.real,
        config.series,
        config.measure,
    )
    longest = max(chain.longest, bits.longest, real.longest)
    highest = max(chain.orders, default=0)
    least = max(longest + real.horizon, config.echo.lag, measure.piece, symbols.DECODED * bits.lag)
    rules = [
        ("chain.symbols", chain.symbols >= 2, "at least 2"),
        ("chain.orders", _increasing(chain.orders, 1), "increasing, from 1 on"),
        ("chain.concentration", chain.concentration > 0, "above 0"),
        ("chain.longest", chain.longest > highest, f"above the highest of chain.orders, {highest}"),
        (
            "chain.longest",
            chain.symbols ** (chain.longest + highest + 1) <= MOST_WORDS,
            "less; too many words to enumerate",
        ),
        ("bits.lag", 1 <= bits.lag <= 10, "from 1 to 10"),
        ("bits.flip", 0 < bits.flip < 0.5, "between 0 and 0.5"),
        ("bits.stop", 0 < bits.stop < 1, "between 0 and 1"),
        ("bits.stay", 0 < bits.stay < 1, "between 0 and 1"),
        ("bits.clear", 0 < bits.clear < 1, "between 0 and 1"),
        (
            "bits.longest",
            bits.lag < bits.longest <= 12,
            f"above bits.lag={bits.lag}, and at most 12",
        ),
        (
            "real.reflections",
            _inside(real.reflections),
            "one or more numbers between -1 and 1, the last of them not 0",
        ),
        (
            "real.longest",
            real.longest > len(real.reflections),
            f"above the order, {len(real.reflections)}",
        ),
        ("real.horizon", real.horizon >= 2, "at least 2"),
        ("echo.lag", config.echo.lag >= 1, "at least 1"),
        (
            "series.steps",
            size.steps > least,
            f"above {least}, for all lags, horizons and pieces to fit in",
        ),
        ("series.count", size.count >= 2, "at least 2"),
        (
            "table.prior",
            config.table.prior > 0,
            "above 0, or what was never seen would cost an infinite loss",
        ),
        ("measure.every", measure.every >= 1, "at least 1"),
        ("measure.piece", measure.piece >= 1, "at least 1"),
        (
            "measure.omit",
            0 < measure.omit < 1 and 0 < round(measure.omit * size.steps) < size.steps,
            f"between 0 and 1, and so that one of {size.steps} symbols is omitted and one kept",
        ),
        ("measure.margin", measure.margin > 0, "above 0"),
        ("measure.share", measure.share > 0, "above 0"),
        ("measure.solved", 0 < measure.solved < 1, "between 0 and 1"),
        ("measure.decoded", 0.5 < measure.decoded <= 1, "above 0.5, at most 1"),
        (
            "pixels.arms",
            len(set(config.pixels.arms)) == len(config.pixels.arms),
            "different models",
        ),
        ("pixels.validation", config.pixels.validation >= 1, "at least 1"),
        ("pixels.samples", config.pixels.samples >= 1, "at least 1"),
    ]
    for group in ("window", "latent", "pixels"):
        own = config[group]
        fits = measure.every >= 1 and own.updates >= 1 and own.updates % measure.every == 0
        rules += [
            (f"{group}.rate", own.rate > 0, "above 0"),
            (f"{group}.updates", fits, f"a positive multiple of measure.every={measure.every}"),
            (f"{group}.batch_size", own.get("batch_size", 1) >= 1, "at least 1"),
            (f"{group}.hidden", own.get("hidden", 1) >= 1, "at least 1"),
        ]
    require(config, rules)
    for arm in config.pixels.arms:
        if pixels.width(arm, config.pixels.parameters) < 1:
            raise UsageError(
                f"--config.pixels.parameters={config.pixels.parameters} is less than one unit of"
                f" the model {arm!r} has; give at least {pixels.count(arm, 1)}"
            )
    try:
        pixels.images(config)
    except DataError as error:
        raise UsageError(
            f"--config.pixels.validation={config.pixels.validation}: {error}"
        ) from error


def _increasing(values: tuple[int, ...], least: int) -> bool:
    return bool(values) and list(values) == sorted(set(values)) and min(values) >= least


def _inside(values: tuple[float, ...]) -> bool:
    return bool(values) and all(-1 < value < 1 for value in values) and values[-1] != 0
