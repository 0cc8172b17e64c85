"""Random processes whose best possible prediction is known exactly: the floor of every
autoregressive model, in nats.

A ``Source`` emits symbols; a Markov chain of any order, a delayed copy and a hidden Markov source
are all of this form. A ``Gaussian`` is a stationary linear autoregression of real numbers. For
both, the floor of a model that sees the last tau values is enumerated or solved for, never
estimated. Series are time-major (T, B)."""

import math
from typing import NamedTuple

import numpy as np

__all__ = [
    "Gaussian",
    "Rng",
    "Source",
    "autocovariance",
    "best_linear",
    "conditional_entropy",
    "covariance",
    "cross_entropy",
    "delayed_copy",
    "entropy_bounds",
    "even",
    "forecast_errors",
    "forecast_floor",
    "forecasts",
    "from_reflections",
    "hidden",
    "joint",
    "log_conditionals",
    "log_densities",
    "markov",
    "normal_entropy",
    "random_table",
    "sample",
    "sample_gaussian",
    "stationary",
]

Rng = np.random.Generator


class Source(NamedTuple):
    """A source of K symbols with S hidden states; of a state s, ``moves[:, s]`` sums to 1."""

    moves: np.ndarray  # (K, S, S) float64, moves[x, s, s'] = p(emit x and go to s' | s)


class Gaussian(NamedTuple):
    """x_t = sum_k weights[k - 1] x_(t-k) + noise, AR(p), of mean 0."""

    weights: np.ndarray  # (p,) float64, of x_(t-1) first
    variance: float  # of the noise


def markov(table: np.ndarray) -> Source:
    """The chain of order p with p(x_t | x_(t-p), ..., x_(t-1)) = table[x_(t-p), ..., x_(t-1), x_t],
    p + 1 axes of length K.
    """
    symbols, order = table.shape[-1], table.ndim - 1
    if set(table.shape) != {symbols} or not np.allclose(table.sum(-1), 1) or (table < 0).any():
        raise ValueError(
            f"markov: a table of shape {table.shape} must have equal axes and sum to 1 over the"
            " last"
        )
    states = symbols**order
    moves = np.zeros((symbols, states, states))
    state = np.arange(states)
    for x in range(symbols):
        moves[x, state, (state * symbols + x) % states] = table[..., x].reshape(-1)
    return Source(moves)


def random_table(rng: Rng, symbols: int, order: int, concentration: float) -> np.ndarray:
    """Dirichlet draws for every past, (K,) * (order + 1); less random at a low concentration."""
    rows = rng.dirichlet(np.full(symbols, concentration), symbols**order)
    return rows.reshape((symbols,) * (order + 1))


def delayed_copy(lag: int, flip: float) -> Source:
    """Bits that repeat the bit ``lag`` steps before, each flipped with probability ``flip``: a
    chain of that order.

    The last tau < lag bits say nothing of the next, so H(x_t | last tau) is ln 2, and from tau =
    lag on it is that of ``flip``."""
    oldest = np.arange(2**lag) >> (lag - 1)
    ones = np.where(oldest == 1, 1 - flip, flip)
    return markov(np.stack([1 - ones, ones], -1).reshape((2,) * (lag + 1)))


def even(stop: float) -> Source:
    """Runs of ones of even length, a run beginning with probability ``stop``: a chain of no finite
    order, of two states.
    """
    moves = np.zeros((2, 2, 2))
    moves[0, 0, 0], moves[1, 0, 1], moves[1, 1, 0] = 1 - stop, stop, 1
    return Source(moves)


def hidden(stay: float, clear: float) -> Source:
    """Two states that persist with probability ``stay``, shown rightly with ``clear``."""
    change = np.array([[stay, 1 - stay], [1 - stay, stay]])
    shows = np.array([[clear, 1 - clear], [1 - clear, clear]])  # (S, K)
    return Source(np.einsum("sx,st->xst", shows, change))


def stationary(source: Source) -> np.ndarray:
    """The distribution of the state that every step leaves as it is: (S,)."""
    moves = source.moves.sum(0)
    equations = np.vstack([moves.T - np.eye(len(moves)), np.ones(len(moves))])
    return np.linalg.lstsq(equations, np.append(np.zeros(len(moves)), 1.0), rcond=None)[0].clip(0)


def joint(source: Source, length: int) -> np.ndarray:
    """p(x_1, ..., x_length) of the stationary source, enumerated: (K,) * length."""
    words = _forward(source, stationary(source)[None], length).sum(-1)
    return words.reshape((len(source.moves),) * length)


def conditional_entropy(source: Source, tau: int) -> float:
    """H(x_t | x_(t-tau), ..., x_(t-1)), the least loss of a model that sees tau symbols, exact."""
    return _entropy(joint(source, tau + 1)) - _entropy(joint(source, tau))


def entropy_bounds(source: Source, length: int) -> tuple[float, float]:
    """Bounds of the entropy rate that close in on it (Cover, Thomas 2006, theorem 4.5.1), exact.

        H(x_n | s_1, x_1, ..., x_(n-1)) <= H <= H(x_n | x_1, ..., x_(n-1)),   n = length

    Where the state follows from the past and the first state, as in a chain, the lower bound is the
    rate itself."""
    weights = stationary(source)
    each = [
        _forward(source, np.eye(len(weights))[[s]], n).sum(-1)
        for s in range(len(weights))
        for n in (length - 1, length)
    ]
    known = [
        _entropy(later) - _entropy(before)
        for before, later in zip(each[::2], each[1::2], strict=True)
    ]
    return float(weights @ known), conditional_entropy(source, length - 1)


def cross_entropy(source: Source, log_table: np.ndarray) -> float:
    """The expected loss of a model of tau symbols, -E log q(x_t | last tau), exact: log q, (K,) *
    (tau + 1).
    """
    p = joint(source, log_table.ndim)
    return float(-np.sum(np.where(p > 0, p * np.where(p > 0, log_table, 0), 0)))


def sample(source: Source, rng: Rng, steps: int, batch: int) -> np.ndarray:
    """Independent series from the stationary source: (T, B) int32."""
    emit, moves = source.moves.sum(2).T.cumsum(1), source.moves.cumsum(2)
    states = rng.choice(len(emit), batch, p=stationary(source) / stationary(source).sum())
    drawn, xs = rng.random((steps, 2, batch)), np.empty((steps, batch), np.int32)
    for t in range(steps):
        xs[t] = (drawn[t, 0, :, None] * emit[states, -1:] >= emit[states]).sum(1)
        reach = moves[xs[t], states]
        states = (drawn[t, 1, :, None] * reach[:, -1:] >= reach).sum(1)
    return xs


def log_conditionals(source: Source, xs: np.ndarray) -> np.ndarray:
    """log p(x_t | x_1, ..., x_(t-1)) by the forward algorithm, exact: (T, B) -> (T, B) (Rabiner
    1989, section III A).
    """
    belief, logs = np.tile(stationary(source), (xs.shape[1], 1)), np.empty(xs.shape)
    for t, x in enumerate(xs):
        reached = np.empty_like(belief)
        for symbol, move in enumerate(source.moves):
            reached[x == symbol] = belief[x == symbol] @ move
        seen = reached.sum(1)
        logs[t], belief = np.log(seen), reached / seen[:, None]
    return logs


def from_reflections(reflections, variance: float = 1.0) -> Gaussian:
    """The AR(p) of partial autocorrelations in (-1, 1), which is stationary (Durbin 1960)."""
    if not all(-1 < kappa < 1 for kappa in reflections):
        raise ValueError(f"from_reflections: {tuple(reflections)} must lie between -1 and 1")
    weights = np.zeros(0)
    for kappa in reflections:
        weights = np.append(weights - kappa * weights[::-1], kappa)
    return Gaussian(weights, variance)


def autocovariance(process: Gaussian, count: int) -> np.ndarray:
    """E x_t x_(t-k) for k = 0, ..., count - 1 from the Yule-Walker equations: (count,)."""
    weights, order = process.weights, len(process.weights)
    equations = np.eye(order + 1)
    for k in range(order + 1):
        for j in range(1, order + 1):
            equations[k, abs(k - j)] -= weights[j - 1]
    gamma = list(np.linalg.solve(equations, np.append(process.variance, np.zeros(order))))
    while len(gamma) < count:
        gamma.append(weights @ gamma[: -order - 1 : -1] if order else 0.0)
    return np.array(gamma[:count])


def covariance(process: Gaussian, count: int) -> np.ndarray:
    """Of ``count`` successive values, in either order: (count, count), Toeplitz."""
    index = np.arange(count)
    return autocovariance(process, count)[np.abs(index[:, None] - index)]


def best_linear(process: Gaussian, tau: int) -> tuple[np.ndarray, float]:
    """The best prediction of x_t from the last tau values, and the variance of its error: (tau,)
    weights, x_(t-1) first.
    """
    gamma = autocovariance(process, tau + 1)
    weights = np.linalg.solve(covariance(process, tau), gamma[1:]) if tau else np.zeros(0)
    return weights, float(gamma[0] - weights @ gamma[1:])


def normal_entropy(variance: float) -> float:
    """Entropy of a normal distribution, (1 + ln 2 pi variance) / 2."""
    return 0.5 * (1 + math.log(2 * math.pi * variance))


def forecasts(weights: np.ndarray, bias: float, horizon: int) -> tuple[np.ndarray, np.ndarray]:
    """What a linear model says of x_(t+k) when its predictions are fed back is linear in x_t,
    x_(t-1), ..., too.

    Returns:
      (weights (horizon, tau), biases (horizon,)), k = 1 first.
    """
    companion, rows, offset = np.zeros((len(weights), len(weights))), [], np.zeros(len(weights))
    companion[:1], companion[1:, :-1] = weights, np.eye(max(len(weights) - 1, 0))
    power, biases = np.eye(len(weights)), []
    for _ in range(horizon):
        power, offset = companion @ power, companion @ offset
        offset[:1] += bias
        rows.append(power[:1].reshape(-1))
        biases.append(offset[0] if len(weights) else bias)
    return np.stack(rows), np.array(biases)


def forecast_errors(
    process: Gaussian, weights: np.ndarray, bias: float, horizon: int
) -> np.ndarray:
    """Exact mean squared error of a linear model that feeds its predictions back, 1 to ``horizon``
    steps ahead: (horizon,).
    """
    tau, (rows, biases) = len(weights), forecasts(weights, bias, horizon)
    gamma, known = autocovariance(process, horizon + tau), covariance(process, tau)
    errors = [
        gamma[0] - 2 * row @ gamma[k : k + tau] + row @ known @ row for k, row in enumerate(rows, 1)
    ]
    return np.array(errors) + biases**2


def forecast_floor(process: Gaussian, horizon: int) -> np.ndarray:
    """The least error so many steps ahead, variance * sum of psi_j^2 (Box, Jenkins 1970, section
    5.1): (horizon,).
    """
    psi = [1.0]
    while len(psi) < horizon:
        psi.append(float(process.weights[: len(psi)] @ psi[: -len(process.weights) - 1 : -1]))
    return process.variance * np.cumsum(np.square(psi))


def sample_gaussian(process: Gaussian, rng: Rng, steps: int, batch: int) -> np.ndarray:
    """Independent series from the stationary process: (T, B) float32."""
    order = len(process.weights)
    first = np.linalg.cholesky(covariance(process, order)) @ rng.standard_normal((order, batch))
    noise = math.sqrt(process.variance) * rng.standard_normal((steps, batch))
    xs = np.concatenate([first, noise])
    for t in range(order, order + steps):
        xs[t] += process.weights @ xs[t - order : t][::-1]
    return xs[order:].astype(np.float32)


def log_densities(process: Gaussian, xs: np.ndarray) -> np.ndarray:
    """log p(x_t | x_1, ..., x_(t-1)), exact from the first value on: (T, B) -> (T, B)."""
    logs = np.empty(xs.shape)
    for t in range(len(xs)):
        tau = min(t, len(process.weights))
        weights, variance = best_linear(process, tau)
        error = xs[t] - np.tensordot(weights, xs[t - tau : t][::-1], 1)
        logs[t] = -0.5 * (np.log(2 * math.pi * variance) + error**2 / variance)
    return logs


def _forward(source: Source, first: np.ndarray, length: int) -> np.ndarray:
    """p(x_1, ..., x_n, state after) for every word: (N, S) -> (N * K^length, S)."""
    for _ in range(length):
        first = np.einsum("ws,xst->wxt", first, source.moves, optimize=True).reshape(
            -1, first.shape[1]
        )
    return first


def _entropy(p: np.ndarray) -> float:
    p = p[p > 0]
    return float(-np.sum(p * np.log(p)))
