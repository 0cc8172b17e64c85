"""The four ways of reading and writing: vector to sequence, sequence to vector, through a vector,
and step by step.

Paper     none of one's own; the nets are those of Cho et al. 2014, Sutskever et al. 2014 and
          Schuster, Paliwal 1997.
Command   python -m experiments.run --config=configs/sequence_modes.py[:smoke|:laptop|:paper]

    tier     bits up to  reversal up to  tagging over  seeds  time
    smoke    8           3               8             2      20 s on two CPU cores
    laptop   40          10              20            3      a minute on two CPU cores
    paper    200         30              100           5      an accelerator

Expected  0.9 of held-out digits are written as words without a mistake; parity is right for 0.99 of
          strings of up to 40 bits; 0.95 of all sequences come back reversed without a mistake, out
          of one vector; tags that need what is still to come are right when read both ways, and
          stay at 1/4, exactly what guessing gives, when read one way.
"""

from ml_collections import ConfigDict

TIERS = ("smoke", "laptop", "paper")


def get_config(tier: str = "laptop") -> ConfigDict:
    """The record of one tier; ValueError for a tier that does not exist."""
    if tier not in TIERS:
        raise ValueError(f"no tier {tier!r}; take one of {', '.join(TIERS)}")
    config = ConfigDict()
    config.name = "sequence_modes"
    config.tier = tier
    config.seeds = (0, 1, 2)
    config.batch_size = 64
    config.clip = 1.0  # largest norm of a gradient
    # new sequences for a point of a learning curve; the digits have 360 held-out images
    config.test = 2000
    config.final = 20_000  # and for the verdicts: other ones, a multiple

    config.image = ConfigDict()  # a digit's image -> its word
    config.image.channels = 16  # of the first convolution, twice as many in the second
    config.image.embedding = 16
    config.image.hidden = 64
    config.image.shift = 1  # pixels by which images move at most, either way, when trained on
    config.image.updates = 600
    config.image.every = 25  # updates between two points of the learning curve
    config.image.rate = 3e-3
    config.image.threshold = 0.9  # of whole words

    config.parity = ConfigDict()  # bits -> whether the number of ones is odd
    config.parity.longest = 40
    # training accuracy at which the strings become half as long again
    config.parity.mastered = 0.97
    config.parity.embedding = 4
    config.parity.hidden = 16
    config.parity.updates = 1000
    config.parity.every = 25
    config.parity.rate = 1e-2
    config.parity.threshold = 0.99

    config.reversal = ConfigDict()  # a sequence -> the same backwards
    config.reversal.longest = 10
    config.reversal.symbols = 8
    config.reversal.embedding = 32
    config.reversal.hidden = 128
    config.reversal.updates = 1000
    config.reversal.every = 50
    config.reversal.rate = 5e-3
    config.reversal.threshold = 0.95  # of whole sequences

    config.tagging = ConfigDict()  # x_t + x_(t + ahead), modulo the symbols, at every step t
    config.tagging.steps = 20
    config.tagging.ahead = 2
    config.tagging.symbols = 4
    config.tagging.embedding = 8
    # of the net that reads one way; the other has half in each direction
    config.tagging.hidden = 64
    config.tagging.updates = 600
    config.tagging.every = 25
    config.tagging.rate = 1e-2
    config.tagging.threshold = 0.99  # of tags
    config.tagging.whole = 0.95  # of sequences without a wrong tag
    config.tagging.margin = 0.02  # of accuracy, within which a net counts as guessing

    if tier == "smoke":
        config.seeds = (0, 1)
        config.test, config.final = 500, 2000
        config.image.update(
            {"channels": 8, "hidden": 32, "updates": 200, "every": 20, "rate": 1e-2}
        )
        config.parity.update({"longest": 8, "updates": 240, "every": 20})
        config.reversal.update(
            {"longest": 3, "hidden": 32, "updates": 200, "every": 40, "rate": 1e-2}
        )
        config.tagging.update({"steps": 8, "hidden": 32, "updates": 320, "every": 40})
    if tier == "paper":
        config.seeds = (0, 1, 2, 3, 4)
        config.final = 100_000
        config.image.update(
            {
                "channels": 64,
                "hidden": 256,
                "embedding": 64,
                "updates": 5000,
                "every": 100,
                "rate": 1e-3,
            }
        )
        config.parity.update(
            {"longest": 200, "hidden": 64, "updates": 20_000, "every": 200, "rate": 3e-3}
        )
        config.reversal.update(
            {
                "longest": 30,
                "hidden": 1024,
                "embedding": 256,
                "updates": 50_000,
                "every": 500,
                "rate": 1e-3,
            }
        )
        config.tagging.update(
            {
                "steps": 100,
                "ahead": 10,
                "hidden": 512,
                "updates": 20_000,
                "every": 200,
                "rate": 1e-3,
            }
        )
    return config
