"""What a study asks of its config: each rule names keys and what their values must be.

check(config, at_least(1, "train.steps", "measure.every"),
      multiple("measure.save_every", of="measure.every"))
"""

import functools
import operator
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from ml_collections import ConfigDict

from deepseq.lab.errors import UsageError, nearest

__all__ = [
    "Rule",
    "Rules",
    "above",
    "at_least",
    "between",
    "check",
    "choose",
    "distinct",
    "divides",
    "get",
    "increasing",
    "less",
    "multiple",
    "one_of",
    "rate",
    "share",
    "that",
]


class Rule(NamedTuple):
    """Something that the value of a config key must be."""

    key: str  # dotted
    met: Callable[[Any, ConfigDict], bool]  # (its value, config)
    wanted: Callable[[ConfigDict], str]  # ends "--config.key=value must be ..."


Rules = list[Rule]


def check(config: ConfigDict, *rules: Iterable[Rule]) -> None:
    """UsageError in one line for the first rule that is not met."""
    for rule in (rule for group in rules for rule in group):
        value = get(config, rule.key)
        if not rule.met(value, config):
            raise UsageError(f"--config.{rule.key}={_shown(value)} must be {rule.wanted(config)}")


def choose(config: ConfigDict, options: Sequence[str], *keys: str) -> None:
    """UsageError where a key's value, or one of its values, is no option; it names the nearest."""
    for key in keys:
        value = get(config, key)
        for one in value if isinstance(value, tuple) else (value,):
            if one not in options:
                near = nearest(str(one), options) or f"; take one of {', '.join(options)}"
                raise UsageError(f"--config.{key}={one} does not exist{near}")


def that(key: str, met: bool, wanted: str) -> Rules:
    """A rule that is worked out already."""
    return [Rule(key, lambda value, config: met, lambda config: wanted)]


def at_least(least: float, *keys: str) -> Rules:
    """Numbers from ``least`` on."""
    return _each(keys, lambda value: value >= least, f"at least {least}")


def above(bound: float, *keys: str) -> Rules:
    """Numbers above ``bound``."""
    return _each(keys, lambda value: value > bound, f"above {bound}")


def between(low: float, high: float, *keys: str) -> Rules:
    """Numbers from ``low`` to ``high``, both included."""
    return _each(keys, lambda value: low <= value <= high, f"from {low} to {high}")


def rate(*keys: str) -> Rules:
    """From 0 to below 1, as a dropout or a momentum."""
    return _each(keys, lambda value: 0 <= value < 1, "from 0 to below 1")


def share(*keys: str) -> Rules:
    """Between 0 and 1, neither included."""
    return _each(keys, lambda value: 0 < value < 1, "between 0 and 1")


def distinct(*keys: str, least: float | None = None) -> Rules:
    """One or more values, all different, and numbers of at least ``least``."""

    def met(values: Sequence) -> bool:
        return 0 < len(values) == len(set(values)) and (least is None or min(values) >= least)

    numbers = "values" if least is None else f"numbers of at least {least}"
    return _each(keys, met, f"one or more different {numbers}")


def increasing(*keys: str, least: float, empty: bool = False) -> Rules:
    """Numbers that grow, from ``least`` on; none at all only where ``empty``."""

    def met(values: Sequence) -> bool:
        return list(values) == sorted(set(values)) and min(values, default=least) >= least

    return _each(
        keys, lambda values: met(values) and bool(values or empty), f"increasing, from {least} on"
    )


def multiple(*keys: str, of: str) -> Rules:
    """Positive multiples of another key's value."""

    def met(value: int, config: ConfigDict) -> bool:
        unit = get(config, of)
        return unit >= 1 and value >= 1 and value % unit == 0

    def wanted(config: ConfigDict) -> str:
        return f"a positive multiple of {of}={get(config, of)}"

    return [Rule(key, met, wanted) for key in keys]


def less(*keys: str, than: str) -> Rules:
    """Numbers, or lists of them, below another key's value."""

    def met(value: Any, config: ConfigDict) -> bool:
        return max(value if isinstance(value, tuple) else (value,), default=0) < get(config, than)

    return [Rule(key, met, lambda config: f"below {than}={get(config, than)}") for key in keys]


def one_of(options: Sequence, *keys: str) -> Rules:
    """One of a few numbers; of names, ``choose`` tells the nearest."""
    return _each(keys, lambda value: value in options, f"one of {', '.join(map(str, options))}")


def divides(key: str, whole: str) -> Rules:
    """A divisor of another key's value, as the heads of a width."""

    def met(value: int, config: ConfigDict) -> bool:
        return value >= 1 and get(config, whole) % value == 0

    return [Rule(key, met, lambda config: f"a divisor of {whole}={get(config, whole)}")]


def get(config: ConfigDict, key: str) -> Any:
    """The value of a dotted key."""
    return functools.reduce(operator.getitem, key.split("."), config)


def _each(keys: Sequence[str], met: Callable[[Any], bool], wanted: str) -> Rules:
    return [Rule(key, lambda value, config: met(value), lambda config: wanted) for key in keys]


def _shown(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
