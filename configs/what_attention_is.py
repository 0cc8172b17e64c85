"""What attention is: what it can tell apart, what a mask hides, what the square root is for, and
what it all costs.

Paper     Vaswani et al. 2017 (arXiv 1706.03762), sections 3.2 to 3.5 and table 1.
Command   python -m experiments.run --config=configs/what_attention_is.py[:smoke|:laptop|:paper]

    tier     sequences up to  order task            seeds  time
    smoke    128 steps        60 updates            2      20 s on two CPU cores
    laptop   2048 steps       400 updates           3      1 minute on two CPU cores
    paper    8192 steps       4000 updates          5      an accelerator

Expected  Without positions, attention is blind to order: permuted inputs give permuted outputs, the
          order task stays at chance. Masks are exact zeros of the Jacobian. Scores grow with the
          square root of the key size unless divided by it. Time and memory grow with n^2, those of
          a recurrent net with n, but its steps cannot be taken at once.
"""

from ml_collections import ConfigDict

TIERS = ("smoke", "laptop", "paper")


def get_config(tier: str = "laptop") -> ConfigDict:
    """The record of one tier; ValueError for a tier that does not exist."""
    if tier not in TIERS:
        raise ValueError(f"no tier {tier!r}; take one of {', '.join(TIERS)}")
    config = ConfigDict()
    config.name = "what_attention_is"
    config.tier = tier
    config.seeds = (0, 1, 2)

    config.algebra = ConfigDict()
    config.algebra.steps = 7  # of the sequences whose Jacobians are taken
    config.algebra.size = 24  # D
    config.algebra.heads = 3
    config.algebra.tolerance = 1e-5  # relative, of float32, within which two results are the same

    config.scores = ConfigDict()
    config.scores.key_sizes = (4, 16, 64, 256, 1024)
    config.scores.choices = 64  # that a query chooses among
    config.scores.queries = 512

    config.cost = ConfigDict()
    config.cost.lengths = (128, 256, 512, 1024, 2048)
    config.cost.size = 64
    config.cost.timings = 5  # repetitions of each timed call, interleaved

    config.order = ConfigDict()  # which of two symbols comes first?
    config.order.steps = 16
    config.order.symbols = 12
    config.order.size = 32
    config.order.heads = 4
    config.order.updates = 400
    config.order.batch_size = 64
    config.order.rate = 3e-3
    config.order.test = 4096
    config.order.margin = 0.03  # of accuracy, within which a net counts as guessing

    if tier == "smoke":
        config.seeds = (0, 1)
        config.scores.update({"key_sizes": (4, 64), "queries": 32})
        config.cost.update({"lengths": (32, 64, 128), "timings": 1})
        config.order.update({"updates": 60, "test": 256})
    if tier == "paper":
        config.seeds = (0, 1, 2, 3, 4)
        config.cost.update({"lengths": (512, 1024, 2048, 4096, 8192), "size": 512})
        config.order.update({"updates": 4000, "steps": 64, "size": 128, "heads": 8})
    return config
