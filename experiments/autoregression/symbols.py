"""The discrete part of the autoregression study: tables, nets of a window and recurrent nets on
sources of symbols.
"""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from deepseq.data import processes
from deepseq.nets.sequences import ar
from experiments.autoregression.training import CELLS, Program, columns, program, train

COPY, EVEN, HIDDEN = "copy", "even", "hidden"
BOUNDED = 12  # symbols from which the entropy rate of the hidden source is bounded
DECODED = 4  # lags up to which symbols are read out of the state
EXACT = 2e-5  # of a probability of a word in float32, relative


def names(config: ConfigDict) -> list[str]:
    """The sources in the order of the log."""
    return [f"order {order}" for order in config.chain.orders] + [COPY, EVEN, HIDDEN]


@functools.cache
def source(config: ConfigDict, name: str, seed: int) -> processes.Source:
    """A source; the table of a chain is a function of (order, seed)."""
    bits = config.bits
    if name in (COPY, EVEN, HIDDEN):
        return {
            COPY: lambda: processes.delayed_copy(bits.lag, bits.flip),
            EVEN: lambda: processes.even(bits.stop),
            HIDDEN: lambda: processes.hidden(bits.stay, bits.clear),
        }[name]()
    order, rng = int(name.split()[1]), np.random.default_rng((seed, int(name.split()[1])))
    return processes.markov(
        processes.random_table(rng, config.chain.symbols, order, config.chain.concentration)
    )


def alphabet(config: ConfigDict, name: str) -> tuple[int, int]:
    """(number of symbols, longest tau) of a source."""
    bits = name in (COPY, EVEN, HIDDEN)
    return (2, config.bits.longest) if bits else (config.chain.symbols, config.chain.longest)


def series(config: ConfigDict, name: str, part: int) -> np.ndarray:
    """Training (part 0) or test series (part 1) of every seed: (S, T, N) int32."""
    size, number = config.series, names(config).index(name)
    return np.stack(
        [
            processes.sample(
                source(config, name, seed),
                np.random.default_rng((seed, number, part)),
                size.steps,
                size.count,
            )
            for seed in config.seeds
        ]
    )


def rates(config: ConfigDict, name: str) -> np.ndarray:
    """Bounds of the entropy rate of every seed's source, equal but for the hidden one: (S, 2)."""
    length = BOUNDED if name == HIDDEN else 1
    bounds = [processes.entropy_bounds(source(config, name, seed), length) for seed in config.seeds]
    return np.array([(low, high if name == HIDDEN else low) for low, high in bounds])


def tables(config: ConfigDict, name: str) -> dict:
    """Exact floors and exact expected losses of AR(tau) by counting, (S, tau) each, and the entropy
    rate.
    """
    symbols, longest = alphabet(config, name)
    fitted = _tables(config, name)
    floors, losses = [], []
    for row, seed in enumerate(config.seeds):
        own = source(config, name, seed)
        floors.append([processes.conditional_entropy(own, tau) for tau in range(longest + 1)])
        losses.append([processes.cross_entropy(own, np.float64(t[row])) for t in fitted])
    return {"floors": floors, "loss": losses, "rate": rates(config, name)}


def window_program(config: ConfigDict, symbols: int, longest: int) -> Program:
    """The net of a window, trained on all windows weighted by how often they occur: the likelihood
    of the whole series.
    """
    own, every = config.window, config.measure.every
    net = ar.window(symbols, longest, own.hidden)

    def loss(params, data):
        past, weights = data
        return -jnp.sum(weights * jax.nn.log_softmax(net.apply(params, past)))

    return program(
        net.init, loss, lambda key, data: data, rate=own.rate, updates=own.updates, every=every
    )


def windows(config: ConfigDict, name: str, own: Program, stopping: Callable[[], bool]) -> dict:
    """Exact expected losses of AR(tau) as a net of the window, (S, tau); all tau and seeds train
    side by side.
    """
    symbols, longest = alphabet(config, name)
    seeds, taus = config.seeds, range(longest + 1)
    counted = _counts(config, name).reshape(len(seeds), -1, symbols)
    # every window of the longest tau, the latest symbol first; a smaller model is shown the latest
    # tau of it
    words = np.stack(np.unravel_index(np.arange(symbols**longest), (symbols,) * longest)[::-1], -1)
    shown = np.stack([np.where(np.arange(longest) < tau, words, ar.ABSENT) for tau in taus])
    weights = np.float32(counted / counted.sum((1, 2), keepdims=True))
    data = (np.int32(np.repeat(shown, len(seeds), 0)), np.tile(weights, (len(taus), 1, 1)))
    params, seen = train(own, np.tile(seeds, len(taus)), data, stopping, {"source": name})
    net = ar.window(symbols, longest, config.window.hidden)
    logs = np.float64(
        jax.jit(jax.vmap(lambda p, w: jax.nn.log_softmax(net.apply(p, w))))(params, data[0])
    )
    logs = logs.reshape(len(taus), len(seeds), *(symbols,) * (longest + 1))
    losses = [
        [processes.cross_entropy(source(config, name, seed), logs[tau, row]) for tau in taus]
        for row, seed in enumerate(seeds)
    ]
    return {"loss": losses, "finite": seen["finite"].reshape(len(taus), -1).T}


def latent_net(config: ConfigDict, symbols: int):
    """The recurrent net as a latent autoregressive model of symbols."""
    cell, hidden = CELLS[config.latent.cell], config.latent.hidden
    return ar.latent(lambda key: cell.init(key, symbols, hidden), cell.layer, hidden, symbols)


def latent_log_likelihood(config: ConfigDict, symbols: int, params, xs):
    """log p(x_t | all before) of a latent model: (T, B) -> (T, B)."""
    logits, _ = latent_net(config, symbols).apply(params, jax.nn.one_hot(xs, symbols), carry=None)
    return ar.log_likelihood(logits, xs)


def latent_program(config: ConfigDict, symbols: int) -> Program:
    """The recurrent net, trained on batches of whole series."""
    own = config.latent

    def loss(params, xs):
        return -latent_log_likelihood(config, symbols, params, xs).mean()

    settings = {"rate": own.rate, "updates": own.updates, "every": config.measure.every}
    return program(latent_net(config, symbols).init, loss, columns(own.batch_size), **settings)


def latent(config: ConfigDict, name: str, own: Program, stopping: Callable[[], bool]) -> dict:
    """What a recurrent net loses beyond the true model on the same test series, steps before
    ``longest`` left out.

    On a chain, it and the table of the chain's order also meet test series that were trimmed,
    omitted from and permuted; on the copy, its state is read by a linear map for the symbols it has
    seen."""
    symbols, longest = alphabet(config, name)
    params, seen = train(own, config.seeds, series(config, name, 0), stopping, {"source": name})
    test = series(config, name, 1)
    logs = _evaluate(config, symbols)(params, test)
    true = np.stack(
        [
            processes.log_conditionals(source(config, name, seed), xs)
            for seed, xs in zip(config.seeds, test, strict=True)
        ]
    )
    record = {
        "excess": (true - logs)[:, longest:].mean((1, 2)),
        "rate": rates(config, name),
        **seen,
    }
    if name == COPY:
        first = own.begin(jnp.asarray(config.seeds, jnp.uint32)).params
        record["decoded"] = {
            when: decoded(config, p, test)
            for when, p in (("trained", params), ("untrained", first))
        }
    if name.startswith("order"):
        order = int(name.split()[1])
        fitted = tuple(_tables(config, name)[: order + 1])
        models = {
            "AR": lambda xs: _evaluate_tables()(fitted, xs),
            "RNN": lambda xs: _evaluate(config, symbols)(params, xs),
        }
        record["disturbed"] = {
            model: {
                how: -np.asarray(log_p(xs)).mean((1, 2))
                for how, xs in disturbed(config, test).items()
            }
            for model, log_p in models.items()
        }
        record["piece_floor"] = [
            _entropy_of_piece(config, source(config, name, seed), order) for seed in config.seeds
        ]
    return record


def disturbed(config: ConfigDict, test: np.ndarray) -> dict[str, np.ndarray]:
    """(S, T, N) series intact, cut into short ones, with symbols left out, and out of order."""
    measure, steps = config.measure, test.shape[1]
    rngs = [np.random.default_rng((seed, 99)) for seed in config.seeds]
    kept = steps - round(measure.omit * steps)
    return {
        "intact": test,
        "trimmed": np.concatenate(
            np.split(test[:, : steps // measure.piece * measure.piece], steps // measure.piece, 1),
            2,
        ),
        "omitted": np.stack([omit(rng, xs, kept) for rng, xs in zip(rngs, test, strict=True)]),
        "permuted": np.stack(
            [rng.permuted(xs, axis=0) for rng, xs in zip(rngs, test, strict=True)]
        ),
    }


def omit(rng: np.random.Generator, xs: np.ndarray, kept: int) -> np.ndarray:
    """``kept`` symbols of every series, drawn at random and in their order: (T, N) -> (kept, N)."""
    chosen = np.sort(
        rng.permuted(np.tile(np.arange(len(xs))[:, None], (1, xs.shape[1])), axis=0)[:kept], axis=0
    )
    return np.take_along_axis(xs, chosen, 0)


def decoded(config: ConfigDict, params, test: np.ndarray) -> np.ndarray:
    """Share of x_(t-k) that least squares reads rightly out of h_t, on series it was not fitted to:
    (S, k from 1 to 4 lags).
    """
    longest = DECODED * config.bits.lag
    hs = jax.jit(
        jax.vmap(
            lambda p, xs: ar.states(
                CELLS[config.latent.cell].layer, p, jax.nn.one_hot(xs, 2), carry=None
            )[0]
        )
    )(params, test)
    hs, half, found = np.asarray(hs)[:, longest:], test.shape[2] // 2, []
    for h, xs in zip(hs, test, strict=True):
        past = np.asarray(ar.windows(xs, longest))[longest:] * 2.0 - 1.0
        a = np.concatenate([h, np.ones_like(h[..., :1])], -1)
        fit, held = (np.s_[:, :half], np.s_[:, half:])
        weights = np.linalg.lstsq(
            a[fit].reshape(-1, a.shape[-1]), past[fit].reshape(-1, longest), rcond=None
        )[0]
        found.append(((a[held] @ weights > 0) == (past[held] > 0)).mean((0, 1)))
    return np.stack(found)


def chain_rule(config: ConfigDict, length: int = 6) -> dict:
    """The product of conditionals against the enumerated joint distribution of all words: (S,)
    largest relative difference.
    """
    symbols, order = config.chain.symbols, 2
    words = np.stack(np.unravel_index(np.arange(symbols**length), (symbols,) * length)).astype(
        np.int32
    )
    net = latent_net(config, symbols)

    @jax.jit
    def models(seed, tables, words, shorter):
        params = net.init(jax.random.key(seed))
        log_p = functools.partial(latent_log_likelihood, config, symbols, params)
        return (
            ar.table_log_likelihood(tables, words).sum(0),
            log_p(words).sum(0),
            log_p(shorter).sum(0),
        )

    found = {"forward": [], "table": [], "total": [], "marginal": []}
    for seed in config.seeds:
        rng = np.random.default_rng((seed, order))
        own = processes.markov(
            processes.random_table(rng, symbols, order, config.chain.concentration)
        )
        joint = processes.joint(own, length).reshape(-1)
        exact = tuple(
            ar.table(jnp.float32(processes.joint(own, tau + 1))) for tau in range(order + 1)
        )
        by_table, by_net, shorter = (
            np.exp(np.float64(a)) for a in models(seed, exact, words, words[:-1, ::symbols])
        )
        by_filter = np.exp(processes.log_conditionals(own, words).sum(0))
        found["forward"].append(np.max(np.abs(by_filter / joint - 1)))
        found["table"].append(np.max(np.abs(by_table / joint - 1)))
        found["total"].append(abs(by_net.sum() - 1))
        found["marginal"].append(np.max(np.abs(by_net.reshape(-1, symbols).sum(1) / shorter - 1)))
    return {"words": symbols**length, **found}


def _entropy_of_piece(config, own, order):
    each = [processes.conditional_entropy(own, min(t, order)) for t in range(config.measure.piece)]
    return float(np.mean(each))


@functools.cache
def _counts(config: ConfigDict, name: str) -> np.ndarray:
    symbols, longest = alphabet(config, name)
    count = jax.jit(jax.vmap(lambda xs: ar.counts(xs, longest, symbols)))
    return np.asarray(count(series(config, name, 0)))


def _tables(config: ConfigDict, name: str) -> list[np.ndarray]:
    """Of tau = 0, 1, ..., fitted to the same steps: (S, K, ..., K) log-probabilities."""
    counted = _counts(config, name)
    of_each = [
        counted.sum(tuple(range(1, counted.ndim - 1 - tau))) for tau in range(counted.ndim - 1)
    ]
    return jax.device_get(_table()(of_each, config.table.prior))


@functools.cache
def _table() -> Callable:
    return jax.jit(
        lambda counted, prior: [jax.vmap(ar.table, (0, None))(one, prior) for one in counted]
    )


@functools.cache
def _evaluate(config: ConfigDict, symbols: int) -> Callable:
    return jax.jit(jax.vmap(functools.partial(latent_log_likelihood, config, symbols)))


@functools.cache
def _evaluate_tables() -> Callable:
    return jax.jit(jax.vmap(ar.table_log_likelihood))
