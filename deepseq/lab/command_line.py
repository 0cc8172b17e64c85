"""The command line: a config file, typed overrides of its keys, and for every mistake one line that
says what to do.
"""

import ast
import inspect
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from absl import flags
from ml_collections import FrozenConfigDict

from deepseq.lab.config_files import check, flatten, load
from deepseq.lab.errors import UsageError, nearest, one_line

__all__ = ["Command", "HELP", "KINDS", "USAGE", "options", "parse"]

USAGE = (
    "python -m experiments.run --config=configs/<name>.py[:tier] [--config.key=value ...]"
    " [--workdir=DIR]"
)
HELP = f"""Runs a study, or continues it, and writes its verdicts, figures and report.

  {USAGE} [--report_only]

  --config       the config file, and after a colon its tier; --help with it lists its keys
  --workdir      where everything is written; default runs/<name>-<tier>[-<hash of overrides>]
  --report_only  rebuild result.json, the figures and the report from the log, without training
"""
_SEE = "; --help lists them all"
KINDS = {int: ("an integer", "integers"), float: ("a number", "numbers"), str: ("a text", "texts")}


class Command(NamedTuple):
    """What the user asked for."""

    config: FrozenConfigDict  # with the overrides
    overrides: dict[str, Any]  # dotted key -> value, where it differs from the file's
    workdir: Path | None
    report_only: bool


def parse(argv: Sequence[str]) -> Command | str:
    """Reads ``argv`` (without the program's name); for --help returns the text to print instead.

    Raises:
      UsageError: whatever is wrong with it.
    """
    options = _flags(config=str, workdir=str, report_only=bool, help=bool)
    rest = _read(options, argv, known_only=True)  # what is left may be a config's keys
    if not options.config:
        if options.help:
            return HELP
        _read(_flags(), rest, known=list(options))  # a mistyped --config is told first
        raise UsageError(f"no --config given; write {USAGE}")
    if options["workdir"].present and not options.workdir:
        raise UsageError("--workdir= is empty; give a directory")

    path, _, tier = options.config.partition(":")
    config, module = load(Path(path), tier)
    before = flatten(config)
    if options.help:
        return HELP + _keys(path, before, module.__doc__ or "")
    keys = _flags(
        **{
            f"config.{key}": bool if isinstance(value, bool) else str
            for key, value in before.items()
        }
    )
    _read(keys, rest, known=list(options))
    given = {}
    for key, example in before.items():
        if keys[f"config.{key}"].present:
            text = keys[f"config.{key}"].value
            given[key] = (
                text if isinstance(text, bool) else _value(f"--config.{key}={text}", text, example)
            )
    for key in given.keys() & {"name", "tier"}:
        raise UsageError(
            f"--config.{key} cannot be set; choose both with --config=configs/<name>.py:<tier>"
        )
    config.update_from_flattened_dict(given)
    check(config, path)
    overrides = {key: value for key, value in given.items() if value != before[key]}
    workdir = Path(options.workdir) if options.workdir else None
    return Command(FrozenConfigDict(config), overrides, workdir, bool(options.report_only))


def options(argv: Sequence[str], defaults: dict[str, Any], about: str) -> dict[str, Any] | str:
    """The flags of a program that takes no config, each of its default's type; for --help the text
    to print instead.

    Raises:
      UsageError: an unknown flag, a value of another type, a stray argument.
    """
    given = _flags(
        **{name: bool if isinstance(default, bool) else str for name, default in defaults.items()},
        help=bool,
    )
    _read(given, argv)
    if given.help:
        return about
    values = {
        name: (given[name].value, default)
        for name, default in defaults.items()
        if given[name].present
    }
    return defaults | {
        name: text if isinstance(text, bool) else _value(f"--{name}={text}", text, default)
        for name, (text, default) in values.items()
    }


def _flags(**kinds: type) -> flags.FlagValues:
    values = flags.FlagValues()
    values.set_gnu_getopt(True)  # a stray argument does not hide the flags after it
    for (
        name,
        kind,
    ) in kinds.items():  # text becomes a number or a tuple later, with an error message of our own
        (flags.DEFINE_bool if kind is bool else flags.DEFINE_string)(
            name, None, "", flag_values=values
        )
    return values


def _read(
    values: flags.FlagValues,
    argv: Sequence[str],
    known_only: bool = False,
    known: Sequence[str] = (),
) -> list[str]:
    """Parses into ``values``; with ``known_only`` returns what is left, otherwise nothing may be
    left.
    """
    try:
        left = values(["run", *argv], known_only=known_only)[1:]
    except flags.UnrecognizedFlagError as error:
        raise UsageError(_unknown(error.flagname, list(values), known)) from error
    except flags.IllegalFlagValueError as error:  # of a true-or-false flag: text is never refused
        raise UsageError(
            f"{str(error).split(':')[0].removeprefix('flag ')} takes true or false"
        ) from error
    except flags.Error as error:
        raise UsageError(one_line(error)) from error
    for name in values:
        if values[name].present > 1:
            raise UsageError(f"--{name} is given {values[name].present} times; give it once")
    if left and not known_only:
        raise UsageError(f"stray argument {left[0]!r}; flags are written --flag=value")
    return left


def _unknown(name: str, keys: Sequence[str], known: Sequence[str]) -> str:
    bare = name.removeprefix("no") if name.startswith("noconfig.") else name
    inside = [f"--{key}" for key in keys if key.startswith(f"{bare}.")]
    if inside:
        return f"--{name} is a group of keys; set one of {', '.join(inside)}"
    if bare in keys:
        return f"--{name}: {bare} is not true or false; write --{bare}=value"
    if not bare.startswith("config."):
        return f"unknown flag --{name}{nearest(bare, [*keys, *known], prefix='--') or _SEE}"
    names = [key.removeprefix("config.") for key in keys]
    path = bare.removeprefix("config.")
    moved = [
        key for key in names if key.split(".")[-1] == path.split(".")[-1]
    ]  # the right name in the wrong group
    near = nearest(path, moved, 0.0, "--config.") or nearest(path, names, prefix="--config.")
    return f"unknown config key --{name}{near or _SEE}"


def _value(flag: str, text: str, example: Any) -> Any:
    """What ``text`` says, as a value of the example's type; ``flag`` begins the error message."""
    if isinstance(example, str):
        return text
    value = _literal(text)
    if example is None:
        return value
    if not isinstance(example, tuple):
        return _typed(flag, value, type(example))
    if isinstance(value, str):  # a,b and (a,b) are words that a shell's user does not quote twice
        words = [word.strip() for word in value.strip("()[]").split(",")]
        value = tuple(
            _literal(word) if example and not isinstance(example[0], str) else word
            for word in words
        )
    items = tuple(value) if isinstance(value, tuple | list) else (value,)
    return (
        tuple(_typed(flag, item, type(example[0]), many=True) for item in items)
        if example
        else items
    )


def _literal(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return text


def _typed(flag: str, value: Any, kind: type, many: bool = False) -> Any:
    if kind is float and type(value) is int:
        value = float(value)
    if type(value) is not kind or (kind is float and not math.isfinite(value)):
        takes = KINDS.get(kind, (kind.__name__,) * 2)
        raise UsageError(
            f"{flag} takes {f'a list of {takes[1]}, as 0,1,2' if many else takes[0]}, not {value!r}"
        )
    return value


def _keys(path: str, keys: dict[str, Any], about: str) -> str:
    lines = [
        f"  --config.{key}={','.join(map(str, value)) if isinstance(value, tuple) else value}"
        for key, value in keys.items()
        if key not in ("name", "tier")
    ]
    return "\n".join(["", *lines, "", f"{path}: {inspect.cleandoc(about)}"])
