"""The sources of symbols in the autoregression study, and the series that are drawn from them."""

import functools

import numpy as np
from ml_collections import ConfigDict, FrozenConfigDict

from deepseq.data import processes

COPY, EVEN, HIDDEN = BITS = ("copy", "even", "hidden")
ENDLESS = (EVEN, HIDDEN)  # chains of no finite order
TITLES = {COPY: "delayed copy", EVEN: "runs of even length", HIDDEN: "hidden Markov"}
BOUNDED = 12  # symbols from which the entropy rate of the hidden source is bounded


def names(config: ConfigDict) -> list[str]:
    """The sources in the order of the log."""
    return [f"order {order}" for order in config.chain.orders] + list(BITS)


def alphabet(config: ConfigDict, name: str) -> tuple[int, int]:
    """(number of symbols, longest tau) of a source."""
    chain, bits = config.chain, config.bits
    return (2, bits.longest) if name in BITS else (chain.symbols, chain.longest)


@functools.cache
def source(config: FrozenConfigDict, name: str, seed: int) -> processes.Source:
    """A source; the table of a chain is a function of (order, seed)."""
    bits, chain = config.bits, config.chain
    if name == COPY:
        return processes.delayed_copy(bits.lag, bits.flip)
    if name == EVEN:
        return processes.even(bits.stop)
    if name == HIDDEN:
        return processes.hidden(bits.stay, bits.clear)
    order = int(name.split()[1])
    rng = np.random.default_rng((seed, order))
    table = processes.random_table(rng, chain.symbols, order, chain.concentration)
    return processes.markov(table)


def series(config: FrozenConfigDict, name: str, part: int) -> np.ndarray:
    """Training (part 0) or test series (part 1) of every seed: (S, T, N) int32."""
    size, number, rows = config.series, names(config).index(name), []
    for seed in config.seeds:
        rng = np.random.default_rng((seed, number, part))
        rows.append(processes.sample(source(config, name, seed), rng, size.steps, size.count))
    return np.stack(rows)


def rates(config: FrozenConfigDict, name: str) -> np.ndarray:
    """Bounds of the entropy rate of every seed's source, equal but for the hidden one: (S, 2)."""
    length = BOUNDED if name == HIDDEN else 1
    bounds = [processes.entropy_bounds(source(config, name, seed), length) for seed in config.seeds]
    return np.array([(low, high if name == HIDDEN else low) for low, high in bounds])


def disturbed(config: FrozenConfigDict, test: np.ndarray) -> dict[str, np.ndarray]:
    """(S, T, N) series intact, cut into short ones, with symbols left out, and out of order."""
    measure, steps = config.measure, test.shape[1]
    pieces, kept = steps // measure.piece, steps - round(measure.omit * steps)
    rngs = [np.random.default_rng((seed, 99)) for seed in config.seeds]
    both = list(zip(rngs, test, strict=True))
    return {
        "intact": test,
        "trimmed": np.concatenate(np.split(test[:, : pieces * measure.piece], pieces, 1), 2),
        "omitted": np.stack([omit(rng, xs, kept) for rng, xs in both]),
        "permuted": np.stack([rng.permuted(xs, axis=0) for rng, xs in both]),
    }


def omit(rng: np.random.Generator, xs: np.ndarray, kept: int) -> np.ndarray:
    """``kept`` symbols of every series, drawn at random and in their order: (T, N) -> (kept, N)."""
    places = np.tile(np.arange(len(xs))[:, None], (1, xs.shape[1]))
    return np.take_along_axis(xs, np.sort(rng.permuted(places, axis=0)[:kept], axis=0), 0)
