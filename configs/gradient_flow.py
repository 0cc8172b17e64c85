"""Gradient flow: what happens to the gradient between the last step of a recurrent net and its
first?

Paper     Pascanu, Mikolov, Bengio 2013, arXiv 1211.5063: the bound of section 2, Algorithm 1,
          equation 9. Hochreiter, Schmidhuber 1997 (the cell state); Le, Jaitly, Hinton 2015 (the
          identity ReLU net).
Command   python -m experiments.run --config=configs/gradient_flow.py[:smoke|:laptop|:paper]

    tier     nets at initialisation  training on temporal order          seeds  time on two cores
    smoke    8 units,   24 steps      8 units, T = 10,      30 iterations    2  12 s
    laptop   50 units,  200 steps    32 units, T = 50,   1 500 iterations    3  1 to 2 minutes
    paper    100 units, 500 steps    50 units, T = 100, 20 000 iterations    5  an hour (estimated),
                                                                                4 GB

Expected  (1) Without training: a straight line on the log scale, of slope log rho where the units
          are near rest and below it where they saturate; nothing above the bound (gamma |W|)^lag. A
          sigmoid unit vanishes for certain only for |W| < 4; ReLU explodes only above a radius of 1
          (identity) or later still (weights of either sign); skip and gated paths keep the gradient
          where they are open, and only there. (2) In training: plain SGD learns nothing, SGD with a
          clipped gradient does, and the regulariser keeps the gradient's norm from step to step.
          The paper prints no norms; its success rates on temporal order need longer training than
          the laptop tier's.

Every value can be set from the command line, for example --config.seeds=0,1,2,3,4 or
--config.flow.radii=0.8,1.2
"""

from ml_collections import ConfigDict

TIERS = ("smoke", "laptop", "paper")


def get_config(tier: str = "laptop") -> ConfigDict:
    """The record of one tier; ValueError for a tier that does not exist."""
    if tier not in TIERS:
        raise ValueError(f"no tier {tier!r}; take one of {', '.join(TIERS)}")
    config = ConfigDict()
    config.name = "gradient_flow"
    config.tier = tier
    config.seeds = (0, 1, 2)

    config.flow = ConfigDict()  # nets at initialisation
    config.flow.hidden = 50
    config.flow.inputs = 8
    config.flow.steps = 200
    # spectral radii of the recurrent matrix, or of each gate's
    config.flow.radii = (0.5, 0.9, 1.0, 1.1, 1.5)
    config.flow.drive = 0.1  # standard deviation of what the inputs add to a pre-activation
    # biases of the gates that keep the old state: 0.5, 0.73 and 0.993 of it
    config.flow.keeps = (0.0, 1.0, 5.0)
    config.flow.points = 41  # lags at which the gradient is recorded

    config.train = ConfigDict()  # a tanh RNN on the temporal order task
    config.train.lag = 50
    config.train.hidden = 32
    # spectral radius of the recurrent matrix at the start, as Pascanu's "smart tanh"
    config.train.radius = 0.95
    config.train.steps = 1500
    config.train.batch_size = 20
    config.train.learning_rate = 0.1
    config.train.clip = 1.0  # threshold of the gradient's norm, Algorithm 1
    config.train.alpha = 0.04  # weight of the regulariser, a sum over the steps (equation 9)

    config.measure = ConfigDict()
    config.measure.every = 5  # iterations between two points of the curves
    config.measure.look_every = 250  # iterations between two looks at the gradient by lag
    config.measure.save_every = 500  # iterations between two checkpoints
    config.measure.sequences = 256  # held out, for these looks
    # share of a gradient that counts as carried over the whole sequence
    config.measure.carried = 1e-3
    config.measure.same = 1e-5  # relative difference up to which two computations count as equal
    config.measure.same_slope = 0.01  # decades per step within which two slopes count as equal
    # decades per step up to which a line counts as flat: half is left after 60 steps
    config.measure.flat = 0.005

    if tier == "smoke":
        config.seeds = (0, 1)
        config.flow.update(
            {"hidden": 8, "inputs": 3, "steps": 24, "radii": (0.9, 1.1), "points": 9}
        )
        config.train.update({"lag": 10, "hidden": 8, "steps": 30, "batch_size": 10, "alpha": 0.2})
        config.measure.update({"every": 5, "look_every": 15, "save_every": 15, "sequences": 32})
    if tier == "paper":
        config.seeds = (0, 1, 2, 3, 4)
        config.flow.update({"hidden": 100, "steps": 500})
        config.train.update(
            {"lag": 100, "hidden": 50, "steps": 20_000, "learning_rate": 0.01, "alpha": 0.02}
        )
        config.measure.update({"every": 20, "look_every": 1000, "save_every": 2000})
    return config
