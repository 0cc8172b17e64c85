"""Autoregression: how much of the past does a prediction need, and who can keep it?

Sources   Cover, Thomas 2006, chapter 4 (entropy rates); Rabiner 1989 (the forward algorithm); Box,
          Jenkins 1970 (linear autoregression and its forecasts); Elman 1990 (the RNN as a latent
          autoregressive model); Graves, Fernandez, Schmidhuber 2007, arXiv 0705.2011 (recurrence in
          two dimensions)
Command   python -m experiments.run --config=configs/autoregression.py[:smoke|:laptop|:paper]

    tier     orders of chains; lag of copy  symbols a seed  parameters of a model of pixels
    smoke    1, 2; 3                                  4096      1500
    laptop   1, 2, 3; 6                             65 536      8000
    paper    1, 2, 3, 4; 8                       1 048 576   100 000

    tier     updates: net, RNN, pixels  seeds  time
    smoke    60, 60, 20                     2  20 s on two cores
    laptop   300, 1500, 800                 3  4 minutes on two cores
    paper    2000, 20 000, 10 000           5  an accelerator

Expected  the loss of AR(tau) falls to the entropy rate at tau = the order of the chain and stays
          there; the Markov model is as good only on a Markov chain. A recurrent net comes near the
          floor of every source, those of no finite order included. What a linear model feeds back
          to itself follows the closed form of the error at every horizon. Whether, on images, a
          state from the left and from above says more than one that comes along the raster is open.

Every seed draws its own chains, training series, first weights and batches. The loss of a model of
a window is its expected loss, enumerated; that of a recurrent net is measured on a test series
beside the true model's on the same one.

The rate of the models of pixels was chosen in trials (seeds 0 to 2) at 0.005, 0.01 and 0.02. Two
claims were added after such trials, to explain what they showed: C-S5 untrained, and F4:137 ahead.
"""

from ml_collections import ConfigDict

TIERS = ("smoke", "laptop", "paper")


def get_config(tier: str = "laptop") -> ConfigDict:
    """The record of one tier; ValueError for a tier that does not exist."""
    if tier not in TIERS:
        raise ValueError(f"no tier {tier!r}; take one of {', '.join(TIERS)}")
    config = ConfigDict()
    config.name = "autoregression"
    config.tier = tier
    config.seeds = (0, 1, 2)

    config.chain = ConfigDict()  # Markov chains with random tables
    config.chain.symbols = 3
    config.chain.orders = (1, 2, 3)
    config.chain.concentration = 0.5  # of the Dirichlet distribution a row is drawn from
    config.chain.longest = 5  # tau up to which models are fitted

    config.bits = ConfigDict()  # delayed copy, runs of even length, hidden Markov
    config.bits.lag = 6
    config.bits.flip = 0.1
    config.bits.stop = 0.5
    config.bits.stay = 0.95
    config.bits.clear = 0.85
    config.bits.longest = 8

    config.real = ConfigDict()  # a linear autoregression, by its partial autocorrelations
    config.real.reflections = (0.6, -0.5, 0.3, 0.6)
    config.real.longest = 6
    config.real.horizon = 20  # steps for which predictions are fed back

    config.echo = ConfigDict()  # of fair bits
    config.echo.lag = 5

    config.series = ConfigDict()  # training and test series of a seed
    config.series.steps = 64
    config.series.count = 1024

    config.table = ConfigDict()
    config.table.prior = 0.5  # added to every count; 0 is plain maximum likelihood

    config.window = ConfigDict()  # the net of the last tau symbols, trained on all windows at once
    config.window.hidden = 32
    config.window.rate = 0.02
    config.window.updates = 300

    config.latent = ConfigDict()
    config.latent.cell = "rnn"  # or "gru", "lstm"; tanh, its first recurrence orthogonal
    config.latent.hidden = 32
    config.latent.rate = 0.005
    config.latent.batch_size = 32
    config.latent.updates = 1500

    config.pixels = ConfigDict()  # models of scikit-learn's digits, pixel by pixel
    config.pixels.arms = ("place", "left", "above", "both", "four")  # windows
    config.pixels.arms += ("raster rnn", "raster lstm", "grid rnn", "grid rnn ahead", "grid lstm")
    config.pixels.parameters = 8000  # of every model, at most
    config.pixels.validation = 200  # images that choose when to stop
    config.pixels.rate = 0.01
    config.pixels.batch_size = 32
    config.pixels.updates = 800
    config.pixels.samples = 8  # images drawn from the models

    config.measure = ConfigDict()
    config.measure.every = 50  # updates between two points of the curves
    config.measure.piece = 8  # steps of a trimmed series
    config.measure.omit = 0.1  # share of the symbols omitted
    config.measure.margin = 0.01  # nats within which two losses count as equal
    config.measure.share = 0.05  # of the floor within which an error counts as the floor
    # of the least loss without memory, below which the echo counts as solved
    config.measure.solved = 0.1
    config.measure.decoded = 0.9  # accuracy from which a past symbol counts as decoded

    if tier == "smoke":
        config.seeds = (0, 1)
        config.chain.update({"symbols": 2, "orders": (1, 2), "longest": 4})
        config.bits.update({"lag": 3, "longest": 4})
        config.real.update({"longest": 5, "horizon": 6})
        config.echo.lag = 2
        config.series.update({"steps": 32, "count": 128})
        config.window.update({"hidden": 8, "updates": 60})
        config.latent.update({"hidden": 8, "batch_size": 8, "updates": 60})
        config.pixels.arms = ("raster rnn", "grid rnn")
        config.pixels.update({"parameters": 1500, "batch_size": 8, "updates": 20, "samples": 2})
        config.measure.update({"every": 20})
    if tier == "paper":
        config.seeds = (0, 1, 2, 3, 4)
        config.chain.update({"orders": (1, 2, 3, 4), "longest": 7})
        config.bits.update({"lag": 8, "longest": 10})
        config.series.update({"steps": 256, "count": 4096})
        config.echo.lag = 20
        config.window.update({"hidden": 128, "updates": 2000})
        config.latent.update({"hidden": 128, "rate": 0.001, "batch_size": 128, "updates": 20_000})
        config.pixels.update({"parameters": 100_000, "rate": 0.001, "updates": 10_000})
        config.measure.every = 500
    return config
