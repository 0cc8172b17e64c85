"""Submodules that are imported when they are first named, so that a package opens at once."""

import importlib
import pkgutil
import sys
from collections.abc import Callable
from types import ModuleType


def submodules(package: str) -> tuple[Callable[[str], ModuleType], Callable[[], list[str]]]:
    """``__getattr__`` and ``__dir__`` of a package (PEP 562) that find its submodules on disk.

    The import system makes an imported submodule an attribute, so each is looked for once.
    """

    def names() -> list[str]:
        modules = pkgutil.iter_modules(sys.modules[package].__path__)
        return [module.name for module in modules if not module.name.startswith("_")]

    def __getattr__(name: str) -> ModuleType:
        if name in names():
            return importlib.import_module(f"{package}.{name}")
        raise AttributeError(f"module {package!r} has no attribute {name!r}")

    def __dir__() -> list[str]:
        return sorted({*vars(sys.modules[package]), *names()})

    return __getattr__, __dir__
