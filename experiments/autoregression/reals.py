"""Real numbers in the autoregression study: models of a Gaussian AR(p), and the delayed echo."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import FrozenConfigDict

from deepseq.data import processes, tasks
from deepseq.lab.jobs import Session
from deepseq.nets.blocks.layers import Dense, dense
from deepseq.nets.recurrent import unroll, with_carries
from deepseq.nets.sequences import ar
from experiments.autoregression.training import CELLS, columns, program, train


def process(config: FrozenConfigDict) -> processes.Gaussian:
    """The Gaussian AR(p), the same for every seed."""
    return processes.from_reflections(config.real.reflections)


def series(config: FrozenConfigDict, part: int) -> np.ndarray:
    """Training (part 0) or test series (part 1) of every seed: (S, T, N) float32."""
    true, size = process(config), config.series
    rngs = [np.random.default_rng((seed, 50, part)) for seed in config.seeds]
    return np.stack([processes.sample_gaussian(true, rng, size.steps, size.count) for rng in rngs])


def linear(config: FrozenConfigDict) -> dict:
    """Floors, losses of the fitted AR(tau), (S, tau), and errors fed back, (S, K), all exact."""
    true, horizon, taus = process(config), config.real.horizon, range(config.real.longest + 1)
    fit = jax.jit(jax.vmap(lambda xs: [ar.fit_linear(xs, tau) for tau in taus]))
    losses, errors = [], []
    for fitted in jax.tree.map(np.float64, fit(series(config, 0))):
        rows = list(zip(*fitted, strict=True))
        errors.append([processes.forecast_errors(true, w, b, horizon) for w, b, _ in rows])
        pairs = [(v, error[0]) for (*_, v), error in zip(rows, errors[-1], strict=True)]
        losses.append([0.5 * (np.log(2 * np.pi * v) + error / v) for v, error in pairs])
    return {
        "floors": [processes.normal_entropy(processes.best_linear(true, tau)[1]) for tau in taus],
        "loss": np.array(losses).T,
        "errors": {str(tau): np.stack(errors[tau]) for tau in (1, len(config.real.reflections))},
        "error_floor": processes.forecast_floor(true, horizon),
    }


def latent(config: FrozenConfigDict, session: Session) -> dict:
    """A recurrent net with normal noise: its loss beyond the true model's, its error fed back."""
    settings, longest = config.latent, config.real.longest
    cell, hidden = CELLS[settings.cell], settings.hidden
    net = ar.latent(lambda key: cell.init(key, 1, hidden), cell.layer, hidden, 1)

    def predict(params, xs):
        return net.apply(params, xs[..., None], carry=None)[0][..., 0]

    def loss(params, xs):
        return jnp.mean((predict(params, xs) - xs) ** 2)

    draw = columns(settings.batch_size)
    trained = program(net.init, loss, draw, settings, config.measure.every)
    known, test = series(config, 0), series(config, 1)
    params, record = train(trained, config.seeds, known, session)

    @jax.jit
    @jax.vmap
    def log_densities(params, known, test):
        variance = jnp.mean((known - predict(params, known))[longest:] ** 2)
        return ar.log_normal(test, predict(params, test), variance)

    logs = np.float64(log_densities(params, known, test))
    true = np.stack([processes.log_densities(process(config), xs) for xs in test])
    excess = (true - logs)[:, longest:].mean((1, 2))
    return record | {"excess": excess, "error_excess": fed_back(config, params, test)}


def fed_back(config: FrozenConfigDict, params, test: np.ndarray) -> np.ndarray:
    """(S, K) squared error of a net that feeds itself, minus that of the best forecast."""
    cell, longest, horizon = CELLS[config.latent.cell], config.real.longest, config.real.horizon
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
        first = dense(params.readout, getattr(flat, "h", flat))[:, 0]
        ahead = ar.free_run(functools.partial(step, params), flat, first, horizon)
        return ahead.reshape(horizon, origins, xs.shape[1])

    weights = process(config).weights
    rows, _ = processes.forecasts(weights, 0.0, horizon)
    excess = []
    for xs, ahead in zip(test, np.asarray(run(params, test)), strict=True):
        past = np.asarray(ar.windows(xs, len(weights)))[longest:][:origins]
        best = np.einsum("kp,tbp->ktb", rows, past)
        true = np.stack([xs[longest + k :][:origins] for k in range(horizon)])
        excess.append(((true - ahead) ** 2 - (true - best) ** 2).mean((1, 2)))
    return np.stack(excess)


def echoes(config: FrozenConfigDict, part: int) -> tuple[np.ndarray, np.ndarray]:
    """Bits and what is to be said of them, of every seed: (S, T, N) each."""
    size, lag = config.series, config.echo.lag
    rngs = [np.random.default_rng((seed, 60, part)) for seed in config.seeds]
    drawn = [tasks.echo(rng, size.count, size.steps, lag)[:2] for rng in rngs]
    return tuple(map(np.stack, zip(*drawn, strict=True)))


def echo(config: FrozenConfigDict, session: Session) -> dict:
    """The delayed echo by nets of the same width, batches and updates: (S,) losses.

    That of the net of the current bit is exact, that of the recurrent net is on fresh series.
    """
    settings, lag = config.latent, config.echo.lag
    cell, hidden = CELLS[settings.cell], settings.hidden
    known, test = echoes(config, 0), echoes(config, 1)
    mlp = ar.window(2, 1, hidden)

    def init(key):
        inside, out = jax.random.split(key)
        w = jax.random.normal(out, (hidden, 2)) * hidden**-0.5
        return ar.Latent(cell.init(inside, 1, hidden), Dense(w, jnp.zeros(2)))

    def recurrent(params, xs):
        return dense(params.readout, cell.layer(params.cell, xs)[1])

    def feed_forward(params, xs):
        return mlp.apply(params, xs.astype(jnp.int32))

    def loss(net, params, batch):
        xs, targets = batch
        return -ar.log_likelihood(net(params, xs), targets)[lag:].mean()

    record, draw = {"lag": lag, "baseline": tasks.ECHO_BASELINE}, columns(settings.batch_size)
    for name, net_init, net in (("MLP", mlp.init, feed_forward), ("RNN", init, recurrent)):
        net_loss = functools.partial(loss, net)
        trained = program(net_init, net_loss, draw, settings, config.measure.every)
        params, trace = train(trained, config.seeds, known, session)
        if name == "MLP":  # both bits, each answer as likely as the other
            record[name] = -jax.vmap(
                lambda p: jax.nn.log_softmax(mlp.apply(p, jnp.array([[0], [1]]))).mean()
            )(params)
        else:
            record[name] = jax.jit(jax.vmap(net_loss))(params, test)
        record |= {f"{name} {key}": value for key, value in trace.items()}
    return record
