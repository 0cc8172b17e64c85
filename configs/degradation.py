"""Degradation: does a deeper plain net train worse, and do residual connections cure it?

Paper     He, Zhang, Ren, Sun 2015, arXiv 1512.03385, section 4.2, Figures 6 and 7, Table 6.
Command   python -m experiments.run --config=configs/degradation.py[:smoke|:laptop|:paper]

    tier     data            nets                     iterations  seeds  time
    smoke    digits, 8x8     8 and 14, width 4                24      2  20 s on two CPU cores
    laptop   digits, 8x8     20 and 56, width 16             132      3  4 minutes on two CPU cores
    paper    CIFAR-10        20 and 56, width 16          64 000      5  hours on an accelerator

Expected  plain-56 ends with a higher training error than plain-20; ResNet-56 does not end above
          ResNet-20. On CIFAR-10 Table 6 prints test errors of 8.75 % (ResNet-20) and 6.97 %
          (ResNet-56), and none for plain nets.

Every value can be set from the command line, for example --config.seeds=0,1,2,3,4 or, for a short
run on real images, --config=configs/degradation.py:paper --config.train.steps=500 --config.seeds=0
"""

from ml_collections import ConfigDict

TIERS = ("smoke", "laptop", "paper")


def get_config(tier: str = "laptop") -> ConfigDict:
    """The record of one tier; ValueError for a tier that does not exist."""
    if tier not in TIERS:
        raise ValueError(f"no tier {tier!r}; take one of {', '.join(TIERS)}")
    config = ConfigDict()
    config.name = "degradation"
    config.tier = tier
    config.seeds = (0, 1, 2)

    config.data = ConfigDict()
    config.data.name = "digits"  # or "cifar10"
    config.data.validation = 0  # training images held out for choosing hyper-parameters
    # the data set's own: pad by 4, crop and flip for CIFAR-10; none for digits
    config.data.augment = True

    config.net = ConfigDict()
    config.net.shallow = 20
    config.net.deep = 56
    config.net.width = 16
    config.net.shortcut = "A"

    config.train = ConfigDict()
    config.train.steps = 132  # 12 epochs
    config.train.batch_size = 128
    config.train.learning_rate = 0.1
    config.train.drops = (0.5, 0.75)  # where the rate falls tenfold: 32k and 48k of 64k iterations
    config.train.momentum = 0.9
    config.train.decay = 1e-4  # on every parameter, as Caffe does
    config.train.bn_momentum = 0.9
    config.train.warmup_rate = 0.01
    # for both nets of depth net.deep, so that they differ in the shortcuts alone
    config.train.warmup_steps = 22

    config.measure = ConfigDict()
    config.measure.every = 11  # iterations between two points of the curves
    config.measure.inside_every = 44  # iterations between two looks inside
    config.measure.save_every = 44  # iterations between two checkpoints
    # "trained": the training loss, averaged over measure.every, falls below this
    config.measure.loss_threshold = 1.0
    # first-layer gradient norm over last-layer gradient norm that counts as vanished
    config.measure.vanished = 1e-3
    config.measure.same_loss = 1e-4  # margin within which two losses count as equal

    if tier == "smoke":
        config.seeds = (0, 1)
        config.net.update({"shallow": 8, "deep": 14, "width": 4})
        config.train.update({"steps": 24, "batch_size": 64, "warmup_steps": 0})
        config.measure.update({"every": 4, "inside_every": 12, "save_every": 12})
    if tier == "paper":
        config.seeds = (0, 1, 2, 3, 4)
        config.data.update({"name": "cifar10", "validation": 5000})
        config.train.update({"steps": 64_000, "warmup_steps": 0})
        config.measure.update({"every": 500, "inside_every": 8000, "save_every": 4000})
    return config
