"""A convolutional net reads zip codes, as in 1989; its successor LeNet-5; and what their maps are
worth to a linear reader.

Papers    LeCun et al. 1989, "Backpropagation applied to handwritten zip code recognition", Neural
          Computation 1. LeCun, Bottou, Bengio, Haffner 1998, "Gradient-based learning applied to
          document recognition", Proc. IEEE 86.
Command   python -m experiments.run --config=configs/zip_codes.py[:smoke|:laptop|:paper]

    tier     images                            passes     seeds  time
    smoke    scikit-learn's digits             3 and 2    2      20 s on two CPU cores
    laptop   scikit-learn's digits             60 and 30  3      2 minutes on two CPU cores
    paper    zip codes (7291 and 2007), MNIST  23 and 20  5      half an hour on two CPU cores

Expected  The paper's net makes 5.0 % errors on the test zip codes (102) and 0.14 % on the training
          ones (10), after 23 passes, one image at a time. A linear reader of its last maps makes
          fewer errors than one of the pixels.

The paper used a diagonal approximation to second derivatives; here the rate falls in a line (1989)
or as a cosine (LeNet-5, Adam).
"""

from ml_collections import ConfigDict

TIERS = ("smoke", "laptop", "paper")


def get_config(tier: str = "laptop") -> ConfigDict:
    """The record of one tier; ValueError for a tier that does not exist."""
    if tier not in TIERS:
        raise ValueError(f"no tier {tier!r}; take one of {', '.join(TIERS)}")
    config = ConfigDict()
    config.name = "zip_codes"
    config.tier = tier
    config.seeds = (0, 1, 2)

    config.zip_codes = ConfigDict()  # the net of 1989
    config.zip_codes.data = "digits"  # or "usps"
    config.zip_codes.passes = 60
    config.zip_codes.batch_size = 1
    config.zip_codes.rate = 0.03  # of plain gradient descent, falling to a third
    config.zip_codes.threshold = 10.0  # % of test errors, below which it reads

    config.lenet5 = ConfigDict()
    config.lenet5.data = "digits"  # or "mnist"
    config.lenet5.passes = 30
    config.lenet5.batch_size = 16
    config.lenet5.rate = 1e-3  # of Adam, falling to 0
    config.lenet5.threshold = 10.0

    config.probe = ConfigDict()  # ridge regression to one and minus one
    # chosen among on the last fifth of the training images
    config.probe.penalties = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)

    if tier == "smoke":
        config.seeds = (0, 1)
        config.zip_codes.passes = 3
        config.lenet5.passes = 2
        config.probe.penalties = (1e-3, 1e-1)
        config.zip_codes.threshold = config.lenet5.threshold = 50.0
    if tier == "paper":
        config.seeds = (0, 1, 2, 3, 4)
        config.zip_codes.update({"data": "usps", "passes": 23, "threshold": 6.0})
        config.lenet5.update({"data": "mnist", "passes": 20, "batch_size": 64, "threshold": 1.5})
    return config
