"""The command line: a config file, typed overrides of its keys, and for every mistake one line that says what to do."""

import ast
import difflib
import importlib.machinery
import importlib.util
import inspect
import math
import types
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from absl import flags
from ml_collections import ConfigDict, FrozenConfigDict

USAGE = "python -m experiments.run --config=configs/<name>.py[:tier] [--config.key=value ...] [--workdir=DIR]"
NEED = {"name": str, "tier": str, "seeds": tuple}
KINDS = {bool: "true or false", int: "an integer", float: "a number", str: "text"}


class UsageError(Exception):
    """A command, config or directory that cannot be used; the message is one line that names it and says what to do."""


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
    options = _flags()
    flags.DEFINE_string("config", None, "", flag_values=options)
    flags.DEFINE_string("workdir", None, "", flag_values=options)
    flags.DEFINE_bool("report_only", False, "", flag_values=options)
    flags.DEFINE_bool("help", False, "", flag_values=options)
    rest = _read(options, argv, known_only=True)
    if not options.config:
        if options.help:
            return _help()
        _read(_flags(), rest, known=("config", "workdir", "report_only", "help"))  # a mistyped --config is told first
        raise UsageError(f"no --config given; write {USAGE}")
    if options["workdir"].present and not options.workdir:
        raise UsageError("--workdir= is empty; give a directory")

    path, _, tier = options.config.partition(":")
    config, module = load(Path(path), tier)
    before = flatten(config)
    keys = _flags()
    for key, value in before.items():
        kind = (
            flags.BooleanFlag(f"config.{key}", None, "") if isinstance(value, bool) else _like(f"config.{key}", value)
        )
        flags.DEFINE_flag(kind, keys)
    if options.help:
        return _help(path, before, module.__doc__)
    _read(keys, rest, known=("workdir", "report_only", "help", "config"), groups=_groups(before))
    given = {key: keys[f"config.{key}"].value for key in before if keys[f"config.{key}"].present}
    for key in given.keys() & {"name", "tier"}:
        raise UsageError(
            f"--config.{key} cannot be set; choose the study and the tier with --config=configs/<name>.py:<tier>"
        )
    config.update_from_flattened_dict(given)
    _check(config, path)
    overrides = {key: value for key, value in given.items() if value != before[key]}
    return Command(
        FrozenConfigDict(config), overrides, Path(options.workdir) if options.workdir else None, options.report_only
    )


def load(path: Path, tier: str = "") -> tuple[ConfigDict, types.ModuleType]:
    """Executes a config file and returns get_config(tier), and the file as a module; no tier means its default.

    Raises:
      UsageError: there is no such file or tier, or the file does not define a config.
    """
    if not path.is_file():
        near = nearest(str(path), (str(p) for d in {path.parent, Path("configs")} for p in d.glob("[!_]*.py")))
        raise UsageError(f"no config file {path}{near or '; configs are Python files such as configs/degradation.py'}")
    module = types.ModuleType("config_file")
    try:
        importlib.machinery.SourceFileLoader(module.__name__, str(path)).exec_module(module)
    except Exception as error:
        raise UsageError(f"{path} cannot be loaded: {type(error).__name__}: {one_line(error)}") from error
    get_config = getattr(module, "get_config", None)
    if not callable(get_config):
        raise UsageError(f"{path} does not define get_config(tier); it must, and return an ml_collections.ConfigDict")
    arguments = (tier,) if tier else ()
    try:
        inspect.signature(get_config).bind(*arguments)
    except TypeError as error:
        raise UsageError(
            f"{path}: get_config does not take {'a' if tier else 'the place of a'} tier; define it as "
            "get_config(tier='laptop')"
        ) from error
    try:
        config = get_config(*arguments)
    except ValueError as error:
        raise UsageError(f"{path}: {one_line(error)}") from error
    if not isinstance(config, ConfigDict):
        raise UsageError(f"{path}: get_config must return an ml_collections.ConfigDict, not {type(config).__name__}")
    _check(config, path)
    return config, module


def flatten(config: ConfigDict, prefix: str = "") -> dict[str, Any]:
    """Every key of a config by its dotted path, groups left out."""
    flat = {}
    for key, value in config.items():
        flat |= flatten(value, f"{prefix}{key}.") if isinstance(value, ConfigDict) else {f"{prefix}{key}": value}
    return flat


def nearest(name: str, options: Iterable[str]) -> str:
    """The end of an error message, "; did you mean ...?", or nothing when no option is near."""
    close = difflib.get_close_matches(name, sorted(set(options)), n=1, cutoff=0.6)
    return f"; did you mean {close[0]}?" if close else ""


def choose(key: str, value: Any, options: Sequence[Any]) -> Any:
    """``value`` if it is one of the options, else a UsageError naming the key, the options and the nearest."""
    if value in options:
        return value
    listed = ", ".join(map(str, options))
    raise UsageError(f"no {key} {value!r}{nearest(str(value), map(str, options))} (it is one of {listed})")


def one_line(error: object) -> str:
    """A message without line breaks."""
    return " ".join(str(error).split())


def _flags() -> flags.FlagValues:
    values = flags.FlagValues()
    values.set_gnu_getopt(True)  # a stray argument does not hide the flags after it
    return values


def _read(values, argv, known_only=False, known=(), groups=()) -> list[str]:
    """Parses into ``values``; with ``known_only`` returns what is left, otherwise nothing may be left."""
    try:
        left = values(["run", *argv], known_only=known_only)[1:]
    except flags.UnrecognizedFlagError as error:
        raise UsageError(_unknown(error.flagname, values, known, groups)) from error
    except flags.Error as error:
        raise UsageError(one_line(error).removeprefix("flag ")) from error
    for name in values:
        if values[name].present > 1:
            raise UsageError(f"--{name} is given {values[name].present} times; give it once")
    if left and not known_only:
        raise UsageError(f"stray argument {left[0]!r}; flags are written --flag=value")
    return left


def _unknown(name: str, values, known, groups) -> str:
    negated = name.startswith("no") and name[2:].startswith("config")
    bare = name[2:] if negated else name
    if bare.removeprefix("config.") in groups:
        inside = ", ".join(key for key in values if key.startswith(f"{bare}."))
        return f"--{bare} is a group of keys; set one of {inside}"
    if negated and bare in values:
        return f"--{name}: {bare} is not true or false; write --{bare}=value"
    thing = "config key" if bare.startswith("config.") else "flag"
    near = nearest(f"--{bare}", (f"--{option}" for option in [*values, *known]))
    return f"unknown {thing} --{name}{near or '; --help lists them'}"


def _groups(keys: Iterable[str]) -> set[str]:
    return {".".join(parts[:i]) for parts in (key.split(".") for key in keys) for i in range(1, len(parts))}


def _like(name: str, example: Any) -> flags.Flag:
    """A flag whose text is read as a value of the example's type."""
    parser = flags.ArgumentParser()
    parser.parse = lambda text: _value(text, example)
    return flags.Flag(parser, flags.ArgumentSerializer(), name, None, "")


def _value(text: str, example: Any) -> Any:
    if isinstance(example, str):
        return text
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        # (a,b) and a,b are words that a shell user does not quote again
        value = tuple(w.strip() for w in text.strip("()").split(",")) if isinstance(example, tuple) else text
    if not isinstance(example, tuple):
        return value if example is None else _typed(value, type(example), text)
    items = tuple(value) if isinstance(value, tuple | list) else (value,)
    return tuple(_typed(item, type(example[0]), text) for item in items) if example else items


def _typed(value: Any, kind: type, text: str) -> Any:
    if kind is float and type(value) is int:
        value = float(value)
    if type(value) is not kind:
        raise ValueError(
            f"takes {KINDS.get(kind, kind.__name__)}, not {value!r}" + (f" in {text}" if str(value) != text else "")
        )
    if kind is float and not math.isfinite(value):
        raise ValueError(f"takes a finite number, not {text}")
    return value


def _check(config: ConfigDict, path: Path | str) -> None:
    """What every config carries: the study's name, the tier and the seeds."""
    for key, kind in NEED.items():
        if not isinstance(config.get(key), kind):
            raise UsageError(f"{path}: get_config must set config.{key} to a {kind.__name__}")
    if importlib.util.find_spec(f"experiments.{config.name}") is None:
        raise UsageError(f"{path}: no study experiments/{config.name}.py for config.name = {config.name!r}")
    seeds = config.seeds
    if not seeds or len(set(seeds)) < len(seeds) or not all(type(s) is int and 0 <= s < 2**32 for s in seeds):
        raise UsageError(
            f"config.seeds is {seeds}; give one or more different integers from 0 on, as --config.seeds=0,1,2"
        )


def _help(path: str = "", keys: dict[str, Any] | None = None, about: str | None = None) -> str:
    text = f"""Runs a study, or continues it, and writes its verdicts, figures and report.

  {USAGE} [--report_only]

  --config       the config file, and after a colon its tier; --help with it lists its keys
  --workdir      where everything is written; default runs/<name>-<tier>[-<hash of overrides>]
  --report_only  rebuild result.json, the figures and the report from the log, without training
"""
    if keys:
        text += (
            f"\n{path}: {(about or '').strip()}\n\n" + "\n".join(f"  --config.{k}={v}" for k, v in keys.items()) + "\n"
        )
    return text
