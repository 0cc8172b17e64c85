"""Symbols in the autoregression study: tables, nets of a window, recurrent nets."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import FrozenConfigDict

from deepseq.data import processes
from deepseq.lab.jobs import Session
from deepseq.nets.sequences import ar
from experiments.autoregression.sources import COPY, alphabet, disturbed, rates, series, source
from experiments.autoregression.training import CELLS, Program, columns, program, train

DECODED = 4  # lags up to which symbols are read out of the state
EXACT = 2e-5  # of a probability of a word in float32, relative


def tables(config: FrozenConfigDict, name: str) -> dict:
    """Exact floors and expected losses of AR(tau) by counting, (S, tau) each, and entropy rates."""
    sources = [source(config, name, seed) for seed in config.seeds]
    taus, fitted = range(alphabet(config, name)[1] + 1), _tables(config, name)
    return {
        "floors": [[processes.conditional_entropy(s, tau) for tau in taus] for s in sources],
        "loss": [
            [processes.cross_entropy(s, np.float64(table[row])) for table in fitted]
            for row, s in enumerate(sources)
        ],
        "rate": rates(config, name),
    }


@functools.cache
def window_program(config: FrozenConfigDict, symbols: int, longest: int) -> Program:
    """The net of a window, trained on all windows, weighted by how often they occur."""
    net = ar.window(symbols, longest, config.window.hidden)

    def loss(params, data):
        past, weights = data
        return -jnp.sum(weights * jax.nn.log_softmax(net.apply(params, past)))

    return program(net.init, loss, lambda key, data: data, config.window, config.measure.every)


def windows(config: FrozenConfigDict, name: str, session: Session) -> dict:
    """Exact expected losses of AR(tau) as a net of the window, (S, tau), trained side by side."""
    symbols, longest = alphabet(config, name)
    seeds, taus = config.seeds, range(longest + 1)
    counted = _counts(config, name).reshape(len(seeds), -1, symbols)
    # every window of the longest tau, the latest symbol first; a smaller model is shown the latest
    # tau of it
    words = np.stack(np.unravel_index(np.arange(symbols**longest), (symbols,) * longest)[::-1], -1)
    shown = np.stack([np.where(np.arange(longest) < tau, words, ar.ABSENT) for tau in taus])
    weights = np.float32(counted / counted.sum((1, 2), keepdims=True))
    data = (np.int32(np.repeat(shown, len(seeds), 0)), np.tile(weights, (len(taus), 1, 1)))
    trained = window_program(config, symbols, longest)
    params, record = train(trained, np.tile(seeds, len(taus)), data, session)
    net = ar.window(symbols, longest, config.window.hidden)
    logs = jax.jit(jax.vmap(lambda p, w: jax.nn.log_softmax(net.apply(p, w))))(params, data[0])
    logs = np.float64(logs).reshape(len(taus), len(seeds), *(symbols,) * (longest + 1))
    losses = [
        [processes.cross_entropy(source(config, name, seed), logs[tau, row]) for tau in taus]
        for row, seed in enumerate(seeds)
    ]
    return {"loss": losses, "finite": record["finite"].reshape(len(taus), -1).T}


def latent_net(config: FrozenConfigDict, symbols: int):
    """The recurrent net as a latent autoregressive model of symbols."""
    cell, hidden = CELLS[config.latent.cell], config.latent.hidden
    return ar.latent(lambda key: cell.init(key, symbols, hidden), cell.layer, hidden, symbols)


def latent_log_likelihood(config: FrozenConfigDict, symbols: int, params, xs):
    """log p(x_t | all before) of a latent model: (T, B) -> (T, B)."""
    logits, _ = latent_net(config, symbols).apply(params, jax.nn.one_hot(xs, symbols), carry=None)
    return ar.log_likelihood(logits, xs)


@functools.cache
def latent_program(config: FrozenConfigDict, symbols: int) -> Program:
    """The recurrent net, trained on batches of whole series."""

    def loss(params, xs):
        return -latent_log_likelihood(config, symbols, params, xs).mean()

    init, draw = latent_net(config, symbols).init, columns(config.latent.batch_size)
    return program(init, loss, draw, config.latent, config.measure.every)


def latent(config: FrozenConfigDict, name: str, session: Session) -> dict:
    """What a recurrent net loses beyond the true model on the same test series, steps before
    ``longest`` left out.

    On a chain, it and the table of the chain's order also meet test series that were trimmed,
    omitted from and permuted; on the copy, its state is read by a linear map for the symbols it has
    seen.
    """
    symbols, longest = alphabet(config, name)
    trained = latent_program(config, symbols)
    params, record = train(trained, config.seeds, series(config, name, 0), session)
    test = series(config, name, 1)
    logs = _evaluate(config, symbols)(params, test)
    sources = [source(config, name, seed) for seed in config.seeds]
    true = np.stack(list(map(processes.log_conditionals, sources, test)))
    record |= {"excess": (true - logs)[:, longest:].mean((1, 2)), "rate": rates(config, name)}
    if name == COPY:
        first = trained.init(jnp.asarray(config.seeds, jnp.uint32)).params
        both = {"trained": params, "untrained": first}
        record["decoded"] = {when: decoded(config, p, test) for when, p in both.items()}
    if name.startswith("order"):
        order = int(name.split()[1])
        fitted = tuple(_tables(config, name)[: order + 1])
        models = {
            "AR": functools.partial(_evaluate_tables, fitted),
            "RNN": functools.partial(_evaluate(config, symbols), params),
        }
        kinds = disturbed(config, test).items()
        record["disturbed"] = {
            model: {kind: -np.asarray(log_p(xs)).mean((1, 2)) for kind, xs in kinds}
            for model, log_p in models.items()
        }
        steps = range(config.measure.piece)
        record["piece_floor"] = [
            float(np.mean([processes.conditional_entropy(s, min(t, order)) for t in steps]))
            for s in sources
        ]
    return record


def decoded(config: FrozenConfigDict, params, test: np.ndarray) -> np.ndarray:
    """Share of x_(t-k) that least squares reads rightly out of h_t on other series: (S, k)."""
    longest, half = DECODED * config.bits.lag, test.shape[2] // 2
    layer, shares = CELLS[config.latent.cell].layer, []

    @jax.jit
    @jax.vmap
    def states(params, xs):
        return ar.states(layer, params, jax.nn.one_hot(xs, 2), carry=None)[0]

    for h, xs in zip(np.asarray(states(params, test))[:, longest:], test, strict=True):
        past = np.asarray(ar.windows(xs, longest))[longest:] * 2.0 - 1.0
        a = np.concatenate([h, np.ones_like(h[..., :1])], -1)
        inputs, targets = a[:, :half].reshape(-1, a.shape[-1]), past[:, :half].reshape(-1, longest)
        weights = np.linalg.lstsq(inputs, targets, rcond=None)[0]
        shares.append(((a[:, half:] @ weights > 0) == (past[:, half:] > 0)).mean((0, 1)))
    return np.stack(shares)


def chain_rule(config: FrozenConfigDict, length: int = 6) -> dict:
    """The product of conditionals against the joint distribution: (S,) relative differences."""
    symbols, order = config.chain.symbols, 2
    words = np.unravel_index(np.arange(symbols**length), (symbols,) * length)
    words, net = np.int32(np.stack(words)), latent_net(config, symbols)

    @jax.jit
    def models(seed, tables, words, shorter):
        params = net.init(jax.random.key(seed))
        log_p = functools.partial(latent_log_likelihood, config, symbols, params)
        by_table = ar.table_log_likelihood(tables, words)
        return by_table.sum(0), log_p(words).sum(0), log_p(shorter).sum(0)

    rows = []
    for seed in config.seeds:
        true = source(config, f"order {order}", seed)
        joint = processes.joint(true, length).reshape(-1)
        joints = [jnp.float32(processes.joint(true, tau + 1)) for tau in range(order + 1)]
        logs = models(seed, tuple(map(ar.table, joints)), words, words[:-1, ::symbols])
        by_table, by_net, shorter = (np.exp(np.float64(log_p)) for log_p in logs)
        by_filter = np.exp(processes.log_conditionals(true, words).sum(0))
        rows.append(
            {
                "forward": np.max(np.abs(by_filter / joint - 1)),
                "table": np.max(np.abs(by_table / joint - 1)),
                "total": abs(by_net.sum() - 1),
                "marginal": np.max(np.abs(by_net.reshape(-1, symbols).sum(1) / shorter - 1)),
            }
        )
    return {"words": symbols**length} | {key: [row[key] for row in rows] for key in rows[0]}


@functools.cache
def _counts(config: FrozenConfigDict, name: str) -> np.ndarray:
    symbols, longest = alphabet(config, name)
    count = jax.jit(jax.vmap(lambda xs: ar.counts(xs, longest, symbols)))
    return np.asarray(count(series(config, name, 0)))


def _tables(config: FrozenConfigDict, name: str) -> list[np.ndarray]:
    """Of tau = 0, 1, ..., fitted to the same steps: (S, K, ..., K) log-probabilities."""
    counted = _counts(config, name)
    last = counted.ndim - 1
    of_each = [counted.sum(tuple(range(1, last - tau))) for tau in range(last)]
    return jax.device_get(_fit_tables(of_each, config.table.prior))


@jax.jit
def _fit_tables(counted: list, prior: float) -> list:
    return [jax.vmap(ar.table, (0, None))(one, prior) for one in counted]


_evaluate_tables = jax.jit(jax.vmap(ar.table_log_likelihood))


@functools.cache
def _evaluate(config: FrozenConfigDict, symbols: int):
    return jax.jit(jax.vmap(functools.partial(latent_log_likelihood, config, symbols)))
