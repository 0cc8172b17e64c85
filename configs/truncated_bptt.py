"""Truncated backpropagation: what is lost when the gradient is followed back k steps only, and what
is saved?

Paper     Williams, Peng 1990 (Neural Computation 2), BPTT(h; h'); practice: Mikolov et al. 2010,
          Zaremba et al. 2014.
Command   python -m experiments.run --config=configs/truncated_bptt.py[:smoke|:laptop|:paper]

    tier     tasks                                          updates   seeds  time
    smoke    echo 3; text, 16 units                         20        2      20 s on two CPU cores
    laptop   echo 3 and 10, 48 units; text, 96 units        600, 300  3      8 minutes on two cores
    paper    echo 3, 10 and 30, 128 units; text, 512 units  20 000    5      an accelerator

Expected  A gradient cut after k steps knows nothing of dependencies longer than k: a net that
          starts from zero in every chunk stays at ln 2 on the echo where k <= lag. A carry handed
          from chunk to chunk helps. On text, most is to be had from short truncation already, at a
          fraction of the memory.
"""

from ml_collections import ConfigDict

TIERS = ("smoke", "laptop", "paper")


def get_config(tier: str = "laptop") -> ConfigDict:
    """The record of one tier; ValueError for a tier that does not exist."""
    if tier not in TIERS:
        raise ValueError(f"no tier {tier!r}; take one of {', '.join(TIERS)}")
    config = ConfigDict()
    config.name = "truncated_bptt"
    config.tier = tier
    config.seeds = (0, 1, 2)

    config.train = ConfigDict()
    config.train.steps = 64  # T of an update; every k divides it
    config.train.batch_size = 16
    config.train.threshold = 1.0  # norm to which gradients are clipped
    config.truncations = (1, 2, 4, 8, 16, 32, 64)

    config.echo = ConfigDict()
    config.echo.cell = "rnn"  # or "gru", "lstm"; tanh, its first recurrence orthogonal
    config.echo.hidden = 48
    config.echo.lags = (3, 10)
    config.echo.updates = 600
    config.echo.rate = 2e-3

    config.text = ConfigDict()
    config.text.cell = "gru"
    config.text.hidden = 96
    config.text.updates = 300
    config.text.rate = 4e-3
    config.text.validation = 40_000  # characters at the end that are held out

    config.measure = ConfigDict()
    config.measure.every = 20  # updates between two points of the curves
    config.measure.margin = 0.01  # nats within which a loss counts as that of guessing
    config.measure.lengths = (100, 1000, 10_000)  # steps of the sequences whose memory is compared
    config.measure.timings = 5  # repetitions of each timed update

    if tier == "smoke":
        config.seeds = (0, 1)
        config.train.update({"steps": 8, "batch_size": 4})
        config.truncations = (2, 8)
        config.echo.update({"hidden": 8, "lags": (3,), "updates": 20})
        config.text.update({"cell": "rnn", "hidden": 16, "updates": 20})
        config.measure.update({"every": 10, "lengths": (100, 1000), "timings": 1})
    if tier == "paper":
        config.seeds = (0, 1, 2, 3, 4)
        config.train.update({"steps": 128, "batch_size": 64})
        config.truncations = (1, 2, 4, 8, 16, 32, 64, 128)
        config.echo.update({"hidden": 128, "lags": (3, 10, 30), "updates": 20_000, "rate": 1e-3})
        config.text.update({"hidden": 512, "updates": 20_000, "rate": 1e-3})
        config.measure.update({"every": 500})
    return config
