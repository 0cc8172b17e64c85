"""The house rules that a machine can check: who imports whom, and that every config builds."""

import ast
import importlib
import importlib.util
import json
import re
import sys
from pathlib import Path

import pytest
from ml_collections import ConfigDict

from deepseq.lab import workdir
from deepseq.train import log

ROOT = Path(__file__).resolve().parents[1]
BLOCKS, RECURRENT = "deepseq.nets.blocks", "deepseq.nets.recurrent"
MAY_IMPORT = {
    "deepseq/nets/blocks": {"jax", "chex", BLOCKS},
    "deepseq/nets/recurrent": {"jax", "chex", BLOCKS, RECURRENT},
    "deepseq/nets/images": {"jax", "chex", BLOCKS, "deepseq.nets.images"},
    "deepseq/nets/sequences": {"jax", "chex", BLOCKS, RECURRENT, "deepseq.nets.sequences"},
    "deepseq/data": {"sklearn", "pooch", "tokenizers", "deepseq.data"},
    "deepseq/train": {"jax", "optax", "flax", "orbax", "chex", "safetensors", "deepseq.train"},
    "deepseq/lab": {"deepseq.lab", "deepseq.train", "deepseq.data.source", "jax", "absl", "rich"}
    | {"matplotlib", "jinja2", "scipy", "ml_collections"},
    "deepseq/bridge": {"deepseq.nets", "deepseq.bridge", "jax", "flax"},
    "configs": {"ml_collections"},
    "experiments": {"deepseq", "experiments", "jax", "jaxlib", "optax", "matplotlib", "jinja2"}
    | {"ml_collections", "sacrebleu", "flax", "scipy"},
}
# inside a folder a variant may import its parent, and nothing else of it
PARENTS = {
    "deepseq/nets/images": {"googlenet_batch_norm": {"googlenet"}, "torchvision_names": None},
    "deepseq/nets/sequences": {
        "seq2seq": set(),
        "attentive": {"seq2seq"},
        "transformer": {"seq2seq"},
        "decoding": set(),
    },
}
STUDIES = sorted(path.stem for path in (ROOT / "configs").glob("[!_]*.py"))
EVERYWHERE = set(sys.stdlib_module_names) | {"numpy"}


def imports(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def allowed(name, may):
    return any(name == given or name.startswith(given + ".") for given in may | EVERYWHERE)


@pytest.mark.parametrize("folder", MAY_IMPORT)
def test_import_rule(folder):
    files = sorted((ROOT / folder).rglob("*.py"))
    assert files
    wrong = [
        f"{p.relative_to(ROOT)}: {name}"
        for p in files
        for name in imports(p)
        if not allowed(name, MAY_IMPORT[folder])
    ]
    assert not wrong


@pytest.mark.parametrize("folder", PARENTS)
def test_nets_stand_on_blocks_and_on_their_parents(folder):
    package = folder.replace("/", ".") + "."
    for path in sorted((ROOT / folder).glob("[!_]*.py")):
        parents = PARENTS[folder].get(path.stem, set())
        siblings = {n.removeprefix(package).split(".")[0] for n in imports(path) if package in n}
        assert parents is None or siblings <= parents, path


@pytest.mark.parametrize("study", STUDIES)
def test_a_study_imports_no_other(study):
    for path in sorted((ROOT / "experiments" / study).glob("*.py")):
        others = [n for n in imports(path) if n.startswith("experiments.")]
        assert all(n.startswith(f"experiments.{study}.") for n in others), path


def functions(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef):
            yield node.name, node.end_lineno - node.lineno + 1


def test_no_function_of_a_study_is_long():
    files = sorted((ROOT / "experiments").rglob("*.py"))
    long = [(p.parent.name, p.stem, f, n) for p in files for f, n in functions(p) if n >= 60]
    assert not long


def test_nothing_cites_lines_that_are_not_here():
    """The notes are no part of the repository: a claim is cited by its id."""
    folders = ("deepseq", "experiments", "configs", "tests", "benchmarks", "docs")
    files = [p for folder in folders for p in (ROOT / folder).rglob("*.py")]
    cited = re.compile(r"\bF[0-4]:\d+-\d+|notes F\d")
    assert not [str(p) for p in files if cited.search(p.read_text(encoding="utf-8"))]


def test_import_rule_notices_a_stranger():
    assert not allowed("torch", MAY_IMPORT["deepseq/nets/images"])
    assert not allowed("deepseq.train.loop", MAY_IMPORT["deepseq/nets/blocks"])
    assert not allowed("numpyro", MAY_IMPORT["deepseq/data"])


@pytest.mark.parametrize(
    "path", sorted((ROOT / "configs").glob("[!_]*.py")), ids=lambda path: path.stem
)
def test_every_config_builds(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert {"smoke", "laptop", "paper"} <= set(module.TIERS)
    for tier in module.TIERS:
        config = module.get_config(tier)
        assert (config.name, config.tier) == (path.stem, tier)
        assert importlib.util.find_spec(f"experiments.{config.name}")
        assert all(isinstance(seed, int) for seed in config.seeds)
    assert module.get_config().tier == "laptop"
    with pytest.raises(ValueError, match="smoke, laptop, paper"):
        module.get_config("laptpo")


def public(path):
    """The names that a module defines and that begin with no underscore."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names = [node.name]
        elif isinstance(node, ast.Assign):
            names = [
                name.id for t in node.targets for name in ast.walk(t) if isinstance(name, ast.Name)
            ]
        else:
            names = []
        yield from (name for name in names if not name.startswith("_"))


@pytest.mark.parametrize(
    "folder", [f"deepseq/{part}" for part in ("data", "train", "lab", "bridge")]
)
def test_all_names_what_is_public(folder):
    for path in sorted((ROOT / folder).glob("[!_]*.py")):
        module = importlib.import_module(f"{folder.replace('/', '.')}.{path.stem}")
        assert module.__all__ == sorted(set(public(path))), path


@pytest.mark.parametrize("folder", [folder for folder in MAY_IMPORT if "/nets/" in folder])
def test_all_of_a_net_is_there(folder):
    for path in sorted((ROOT / folder).glob("[!_]*.py")):
        module = importlib.import_module(f"{folder.replace('/', '.')}.{path.stem}")
        assert module.__all__ == sorted(set(module.__all__)), path
        assert all(hasattr(module, name) for name in module.__all__), path


def test_no_file_is_long():
    files = [p for folder in (*MAY_IMPORT, "benchmarks") for p in (ROOT / folder).rglob("*.py")]
    long = {
        str(p.relative_to(ROOT)): n
        for p in files
        if (n := len(p.read_text(encoding="utf-8").splitlines())) > 300
    }
    assert not long


def test_readme_shows_the_committed_results():
    from deepseq.lab.report import verdict_markdown

    result = json.loads(
        (ROOT / "results/degradation/laptop/result.json").read_text(encoding="utf-8")
    )
    assert verdict_markdown(result) in (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "path", sorted((ROOT / "results").rglob("result.json")), ids=lambda path: str(path.parent.name)
)
def test_committed_results_follow_from_their_logs(path):
    """Numbers and verdicts are those that today's code draws from the committed log."""
    result = json.loads(path.read_text(encoding="utf-8"))
    study = importlib.import_module(f"experiments.{result['experiment']}")
    config = ConfigDict(result["config"])
    summary = workdir.plain(study.summarize(config, log.read(path.parent / "metrics.jsonl")))
    assert {name: result[name] for name in summary} == summary
    assert config.name == result["experiment"] and len(result["seeds"]) == len(config.seeds)
