"""Every rule on both sides of its bound, and the one line that is told."""

import pytest
from ml_collections import ConfigDict

from deepseq.lab import rules
from deepseq.lab.errors import UsageError

CASES = [
    (rules.at_least(1, "a.x"), [1, 7], [0, -1], "at least 1"),
    (rules.above(0, "a.x"), [0.1, 3], [0, -1], "above 0"),
    (rules.between(1, 4, "a.x"), [1, 4], [0, 5], "from 1 to 4"),
    (rules.rate("a.x"), [0, 0.99], [1, -0.1], "from 0 to below 1"),
    (rules.share("a.x"), [0.01, 0.99], [0, 1], "between 0 and 1"),
    (rules.distinct("a.x"), [(1,), ("b", "a")], [(), (1, 1)], "one or more different values"),
    (rules.distinct("a.x", least=2), [(3, 2)], [(1, 2), ()], "different numbers of at least 2"),
    (rules.increasing("a.x", least=2), [(2, 5), (9,)], [(5, 2), (1, 3), (2, 2), ()], "from 2 on"),
    (rules.increasing("a.x", least=1, empty=True), [(), (1, 2)], [(0,)], "increasing, from 1 on"),
    (rules.multiple("a.x", of="every"), [5, 15], [0, 7, -5], "a positive multiple of every=5"),
    (rules.less("a.x", than="every"), [4, (1, 4), ()], [5, (1, 6)], "below every=5"),
    (rules.one_of((3, 5), "a.x"), [3, 5], [4], "one of 3, 5"),
    (rules.divides("a.x", "every"), [1, 5], [2, 0], "a divisor of every=5"),
]


@pytest.mark.parametrize("rule, good, bad, words", CASES, ids=[case[3] for case in CASES])
def test_both_sides(rule, good, bad, words):
    for value in good:
        rules.check(ConfigDict({"a": {"x": value}, "every": 5}), rule)
    for value in bad:
        with pytest.raises(UsageError) as error:
            rules.check(ConfigDict({"a": {"x": value}, "every": 5}), rule)
        line = str(error.value)
        shown = ",".join(map(str, value)) if isinstance(value, tuple) else value
        assert line.startswith(f"--config.a.x={shown} must be ") and words in line
        assert "\n" not in line


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_no_number_of_nowhere_is_a_share(value):
    with pytest.raises(UsageError):
        rules.check(ConfigDict({"x": value}), rules.share("x"))


def test_the_first_rule_that_is_not_met_is_told():
    config = ConfigDict({"x": 0, "y": 0})
    with pytest.raises(UsageError, match="config.y"):
        rules.check(config, rules.at_least(0, "x"), rules.at_least(1, "y", "x"))
    rules.check(config)


def test_a_multiple_of_nothing_is_refused():
    with pytest.raises(UsageError, match="multiple of every=0"):
        rules.check(ConfigDict({"x": 4, "every": 0}), rules.multiple("x", of="every"))


def test_a_rule_that_is_worked_out():
    rules.check(ConfigDict({"x": 3}), rules.that("x", True, "odd"))
    with pytest.raises(UsageError, match="--config.x=4 must be odd"):
        rules.check(ConfigDict({"x": 4}), rules.that("x", False, "odd"))


def test_options_and_the_nearest():
    config = ConfigDict({"net": {"cell": "lstn", "cells": ("gru", "rnm")}})
    with pytest.raises(
        UsageError, match="--config.net.cell=lstn does not exist; did you mean lstm"
    ):
        rules.choose(config, ("lstm", "gru", "rnn"), "net.cell")
    with pytest.raises(UsageError, match="--config.net.cells=rnm does not exist; did you mean rnn"):
        rules.choose(config, ("lstm", "gru", "rnn"), "net.cells")
    with pytest.raises(UsageError, match="take one of x, y"):
        rules.choose(config, ("x", "y"), "net.cell")
    rules.choose(config, ("gru", "rnm"), "net.cells")
