"""What can be counted of a convolution and of the nets built from it: sizes, parameters,
multiply-adds, receptive fields.

Papers    Krizhevsky et al. 2012; Simonyan, Zisserman 2014 (arXiv 1409.1556); Szegedy et al. 2014
          (1409.4842); He et al. 2015 (1512.03385) and 2016 (1603.05027); Huang et al. 2016
          (1608.06993).
Command   python -m experiments.run --config=configs/conv_arithmetic.py[:smoke|:laptop|:paper]

    tier     sizes tried               seeds  time
    smoke    images up to 7 pixels     2      15 s on two CPU cores
    laptop   images up to 16 pixels    3      20 s on two CPU cores
    paper    images up to 32 pixels    5      half a minute

Expected  The rules of size and count hold with their floors and exceptions. The notes' AlexNet has
          200 million parameters for want of one pooling. Deeper with fewer parameters is a
          direction, not a law: VGG and ResNet go the other way.
"""

from ml_collections import ConfigDict

TIERS = ("smoke", "laptop", "paper")


def get_config(tier: str = "laptop") -> ConfigDict:
    """The record of one tier; ValueError for a tier that does not exist."""
    if tier not in TIERS:
        raise ValueError(f"no tier {tier!r}; take one of {', '.join(TIERS)}")
    config = ConfigDict()
    config.name = "conv_arithmetic"
    config.tier = tier
    config.seeds = (0, 1, 2)

    config.sizes = ConfigDict()  # every combination that fits
    config.sizes.largest = 16  # image, from 1 pixel on
    config.sizes.kernels = (1, 2, 3, 4, 5, 7)
    config.sizes.strides = (1, 2, 3, 4)
    config.sizes.paddings = (0, 1, 2, 3)

    config.picture = ConfigDict()
    config.picture.every = 3  # pixel that is kept, both ways
    # of the pixels' range, float32, within which two pictures are the same
    config.picture.tolerance = 1e-6

    config.weights = ConfigDict()  # nets and images that random weights are drawn for
    config.weights.pixels = 8
    config.weights.width = 8
    config.weights.batch = 4

    if tier == "smoke":
        config.seeds = (0, 1)
        config.sizes.update(
            {"largest": 7, "kernels": (1, 2, 3, 5), "strides": (1, 2, 3), "paddings": (0, 1)}
        )
        config.picture.every = 8
    if tier == "paper":
        config.seeds = (0, 1, 2, 3, 4)
        config.sizes.update({"largest": 32, "kernels": (1, 2, 3, 4, 5, 7, 11)})
        config.picture.every = 1
        config.weights.update({"pixels": 32, "width": 16})
    return config
