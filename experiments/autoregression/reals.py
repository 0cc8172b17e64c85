"""The real-valued part of the autoregression study: linear and recurrent models of a Gaussian
AR(p), and the delayed echo.
"""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from deepseq.data import processes, tasks
from deepseq.nets.blocks.layers import Dense, dense
from deepseq.nets.recurrent import unroll, with_carries
from deepseq.nets.sequences import ar
from experiments.autoregression.training import CELLS, columns, program, train


def process(config: ConfigDict) -> processes.Gaussian:
    """The Gaussian AR(p), the same for every seed."""
    return processes.from_reflections(config.real.reflections)


def series(config: ConfigDict, part: int) -> np.ndarray:
    """Training (part 0) or test series (part 1) of every seed: (S, T, N) float32."""
    own, size = process(config), config.series
    rngs = [np.random.default_rng((seed, 50, part)) for seed in config.seeds]
    return np.stack([processes.sample_gaussian(own, rng, size.steps, size.count) for rng in rngs])


def linear(config: ConfigDict) -> dict:
    """Exact floors, exact expected losses of the fitted AR(tau), (S, tau), and their exact errors
    on feeding back, (S, K).
    """
    own, real, xs = process(config), config.real, series(config, 0)
    floors = [
        processes.normal_entropy(processes.best_linear(own, tau)[1])
        for tau in range(real.longest + 1)
    ]
    losses, errors = [], {}
    every = jax.jit(jax.vmap(lambda x: [ar.fit_linear(x, tau) for tau in range(real.longest + 1)]))(
        xs
    )
    for tau, fitted in enumerate(jax.tree.map(np.float64, every)):
        rows = list(zip(*fitted, strict=True))
        errors[tau] = np.stack(
            [processes.forecast_errors(own, w, b, real.horizon) for w, b, _ in rows]
        )
        losses.append(
            [
                0.5 * (np.log(2 * np.pi * v) + e[0] / v)
                for (*_, v), e in zip(rows, errors[tau], strict=True)
            ]
        )
    kept = {str(tau): errors[tau] for tau in (1, len(real.reflections))}
    return {
        "floors": floors,
        "loss": np.array(losses).T,
        "errors": kept,
        "error_floor": processes.forecast_floor(own, real.horizon),
    }


def latent(config: ConfigDict, stopping: Callable[[], bool]) -> dict:
    """A recurrent net with normal noise: its loss beyond the true model's, and its error when
    predictions are fed back.
    """
    own, longest = config.latent, config.real.longest
    cell = CELLS[own.cell]
    net = ar.latent(lambda key: cell.init(key, 1, own.hidden), cell.layer, own.hidden, 1)

    def predict(params, xs):
        return net.apply(params, xs[..., None], carry=None)[0][..., 0]

    def loss(params, xs):
        return jnp.mean((predict(params, xs) - xs) ** 2)

    settings = {"rate": own.rate, "updates": own.updates, "every": config.measure.every}
    trained = program(net.init, loss, columns(own.batch_size), **settings)
    known, test = series(config, 0), series(config, 1)
    params, seen = train(trained, config.seeds, known, stopping, {"source": "Gaussian"})

    @jax.jit
    @jax.vmap
    def judge(params, known, test):
        variance = jnp.mean((known - predict(params, known))[longest:] ** 2)
        return ar.log_normal(test, predict(params, test), variance)

    logs = np.float64(judge(params, known, test))
    true = np.stack([processes.log_densities(process(config), xs) for xs in test])
    excess = (true - logs)[:, longest:].mean((1, 2))
    return {"excess": excess, "error_excess": _fed_back(config, params, test), **seen}


def _fed_back(config: ConfigDict, params, test: np.ndarray) -> np.ndarray:
    """(S, K) squared error of a recurrent net that feeds itself, minus that of the best forecast on
    the same series.
    """
    cell, (longest, horizon) = CELLS[config.latent.cell], (config.real.longest, config.real.horizon)
    origins = test.shape[1] - horizon - longest

    def step(params, carry, x):
        carry, h = cell.step(params.cell, carry, x[:, None])
        return carry, dense(params.readout, h)[:, 0]

    @jax.jit
    @jax.vmap
    def run(params, xs):
        zero = jax.tree.map(jnp.zeros_like, cell.layer(params.cell, xs[:1, :, None])[0])
        carries = unroll(with_carries(cell.step), params.cell, zero, xs[..., None])[1][0]
        last = jax.tree.map(lambda c: c[longest - 1 :][:origins], carries)
        flat = jax.tree.map(lambda c: c.reshape(-1, c.shape[-1]), last)
        hidden = flat.h if hasattr(flat, "h") else flat
        first = dense(params.readout, hidden)[:, 0]
        ahead = ar.free_run(functools.partial(step, params), flat, first, horizon)
        return ahead.reshape(horizon, origins, xs.shape[1])

    said, own, found = np.asarray(run(params, test)), process(config), []
    rows, _ = processes.forecasts(own.weights, 0.0, horizon)
    for series_, ahead in zip(test, said, strict=True):
        past = np.asarray(ar.windows(series_, len(own.weights)))[longest:][:origins]
        best = np.einsum("kp,tbp->ktb", rows, past)
        true = np.stack([series_[longest + k :][:origins] for k in range(horizon)])
        found.append(((true - ahead) ** 2 - (true - best) ** 2).mean((1, 2)))
    return np.stack(found)


def echo(config: ConfigDict, stopping: Callable[[], bool]) -> dict:
    """The delayed echo by a net of the current bit, its expected loss exact, and by a recurrent net
    on fresh series: (S,) each.

    Both have the same width, batches and updates.
    """
    own, size, lag = config.latent, config.series, config.echo.lag
    cell = CELLS[own.cell]
    drawn = [
        [
            tasks.echo(np.random.default_rng((seed, 60, part)), size.count, size.steps, lag)[:2]
            for seed in config.seeds
        ]
        for part in (0, 1)
    ]
    known, test = (jax.tree.map(lambda *a: np.stack(a), *part) for part in drawn)
    mlp = ar.window(2, 1, own.hidden)

    def init(key):
        inside, out = jax.random.split(key)
        w = jax.random.normal(out, (own.hidden, 2)) * own.hidden**-0.5
        return ar.Latent(cell.init(inside, 1, own.hidden), Dense(w, jnp.zeros(2)))

    def recurrent(params, xs):
        return dense(params.readout, cell.layer(params.cell, xs)[1])

    def feed_forward(params, xs):
        return mlp.apply(params, xs.astype(jnp.int32))

    def loss(net, params, batch):
        xs, targets = batch
        return -ar.log_likelihood(net(params, xs), targets)[lag:].mean()

    settings = {"rate": own.rate, "updates": own.updates, "every": config.measure.every}
    record = {"lag": lag, "baseline": tasks.ECHO_BASELINE}
    for name, start, net in (("MLP", mlp.init, feed_forward), ("RNN", init, recurrent)):
        trained = program(start, functools.partial(loss, net), columns(own.batch_size), **settings)
        params, seen = train(trained, config.seeds, known, stopping, {"task": "echo"})
        if name == "MLP":  # both bits, each answer as likely as the other
            record[name] = -jax.vmap(
                lambda p: jax.nn.log_softmax(mlp.apply(p, jnp.array([[0], [1]]))).mean()
            )(params)
        else:
            record[name] = jax.jit(jax.vmap(functools.partial(loss, recurrent)))(params, test)
        record[f"{name} curve"], record[f"{name} finite"] = seen["curve"], seen["finite"]
    return record
