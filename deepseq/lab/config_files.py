"""Config files: Python that defines get_config(tier), loaded and checked."""

import importlib.machinery
import importlib.util
import inspect
import types
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from deepseq.lab.errors import UsageError, nearest, one_line

__all__ = ["check", "flatten", "load"]

_NEED = {"name": str, "tier": str, "seeds": tuple}


def load(path: Path, tier: str = "") -> tuple[ConfigDict, types.ModuleType]:
    """Executes a config file and returns get_config(tier), and the file as a module; no tier means
    its default.

    Raises:
      UsageError: there is no such file or tier, or the file does not define a config.
    """
    if not path.is_file():
        near = nearest(
            str(path), (str(p) for d in {path.parent, Path("configs")} for p in d.glob("[!_]*.py"))
        )
        raise UsageError(
            "no config file"
            f" {path}{near or '; a config is a Python file such as configs/degradation.py'}"
        )
    module = types.ModuleType("config_file")
    try:
        importlib.machinery.SourceFileLoader(module.__name__, str(path)).exec_module(module)
    except Exception as error:
        raise UsageError(
            f"{path} cannot be loaded: {type(error).__name__}: {one_line(error)}"
        ) from error
    get_config = getattr(module, "get_config", None)
    if not callable(get_config):
        raise UsageError(
            f"{path} does not define get_config(tier); it must, and return an"
            " ml_collections.ConfigDict"
        )
    arguments = (tier,) if tier else ()
    try:
        inspect.signature(get_config).bind(*arguments)
    except TypeError as error:
        raise UsageError(
            f"{path}: get_config must take a tier and have a default for it"
        ) from error
    try:
        config = get_config(*arguments)
    except ValueError as error:
        raise UsageError(f"{path}: {one_line(error)}") from error
    if not isinstance(config, ConfigDict):
        raise UsageError(
            f"{path}: get_config must return an ml_collections.ConfigDict, not"
            f" {type(config).__name__}"
        )
    check(config, path)
    return config, module


def flatten(config: ConfigDict, prefix: str = "") -> dict[str, Any]:
    """Every key of a config by its dotted path, groups left out."""
    flat = {}
    for key, value in config.items():
        flat |= (
            flatten(value, f"{prefix}{key}.")
            if isinstance(value, ConfigDict)
            else {f"{prefix}{key}": value}
        )
    return flat


def check(config: ConfigDict, path: Path | str) -> None:
    """What every config carries: the study's name, the tier and the seeds."""
    for key, kind in _NEED.items():
        if not isinstance(config.get(key), kind):
            raise UsageError(f"{path}: get_config must set config.{key} to a {kind.__name__}")
    if (
        not config.name.isidentifier()
        or importlib.util.find_spec(f"experiments.{config.name}") is None
    ):
        raise UsageError(
            f"{path}: no study experiments/{config.name}, though config.name is {config.name!r}"
        )
    seeds = config.seeds
    if (
        not seeds
        or len(set(seeds)) < len(seeds)
        or not all(type(s) is int and 0 <= s < 2**32 for s in seeds)
    ):
        raise UsageError(
            f"config.seeds is {seeds}; give different integers from 0 on, as --config.seeds=0,1,2"
        )
