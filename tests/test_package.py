"""The package opens at once: its parts are imported when they are first named."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

import deepseq
import deepseq.nets

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def fresh(code):
    """Runs code in a Python that has imported nothing yet; returns what it prints."""
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert not run.returncode, run.stderr
    return run.stdout.split()


@pytest.mark.parametrize("package", [deepseq, deepseq.nets], ids=lambda package: package.__name__)
def test_parts_are_listed_and_imported_when_named(package):
    folder, name = Path(package.__file__).parent, package.__name__
    parts = sorted(path.parent.name for path in folder.glob("*/__init__.py"))
    assert len(parts) >= 4
    listed = fresh(f"import {name}, sys; print(*dir({name})); assert 'jax' not in sys.modules")
    assert set(parts) <= set(listed)
    before = f"assert not any(n.startswith('{name}.' + p) for n in sys.modules)"
    for part in parts:
        named = f"print(*({name}.{part}.__name__ for _ in range(2)))"
        modules = fresh(f"import {name}, sys; p = '{part}'; {before}; {named}")
        assert modules == [f"{name}.{part}"] * 2


def test_import_takes_no_array_library():
    loaded = fresh("import deepseq, sys; print(*sys.modules)")
    assert not {"jax", "flax", "numpy", "matplotlib", "deepseq.nets"} & set(loaded)


def test_from_import_finds_the_same_module():
    assert fresh("from deepseq import nets; import deepseq; print(nets is deepseq.nets)") == [
        "True"
    ]


@pytest.mark.parametrize("package", [deepseq, deepseq.nets], ids=lambda package: package.__name__)
def test_unknown_names_raise_the_usual_error(package):
    with pytest.raises(AttributeError, match=f"module '{package.__name__}' has no attribute 'net'"):
        package.net()
    assert not hasattr(package, "_net")


def test_version_is_that_of_the_installed_package_or_says_that_none_is_installed():
    assert deepseq.__version__ in (PROJECT["version"], "0+unknown")


def test_the_package_is_typed_licensed_and_cited_by_its_version():
    assert (ROOT / "deepseq/py.typed").is_file()
    license = (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert "Apache License" in license and "Copyright 2026 The deepseq authors" in license
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["cff-version"] == "1.2.0" and citation["type"] == "software"
    for key in ("version", "license", "authors"):
        assert citation[key] == PROJECT[key]
