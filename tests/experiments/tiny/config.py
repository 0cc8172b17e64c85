"""The lab record of the tiny study."""

from ml_collections import ConfigDict


def get_config(tier: str = "laptop") -> ConfigDict:
    if tier not in ("smoke", "laptop"):
        raise ValueError(f"no tier {tier!r}; take one of smoke, laptop")
    config = ConfigDict({"name": "softmax", "tier": tier, "seeds": (0, 1), "bug": False})
    config.data = {"validation": 0, "note": "none"}
    config.train = {"steps": 30, "rate": 0.1, "drops": (0.5, 0.75)}
    return config
