import importlib.metadata
import os
import subprocess
import sys
from pathlib import Path

import pytest
from ml_collections import ConfigDict

import experiments
from deepseq.lab.command_line import parse
from deepseq.lab.config_files import flatten
from deepseq.lab.errors import UsageError, nearest
from deepseq.lab.workdir import default_path

TINY = Path(__file__).parents[1] / "experiments" / "tiny"
CONFIG = f"--config={TINY / 'config.py'}"


@pytest.fixture(autouse=True)
def tiny_study(monkeypatch):
    monkeypatch.setattr(experiments, "__path__", [*experiments.__path__, str(TINY)])


def refused(*argv):
    with pytest.raises(UsageError) as caught:
        parse(argv)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_the_default_tier_and_nothing_else():
    config, overrides, workdir, report_only = parse([CONFIG])
    assert config.tier == "laptop" and config.train.steps == 30
    assert overrides == {} and workdir is None and report_only is False


def test_every_kind_of_value():
    command = parse(
        [
            f"{CONFIG}:smoke",
            "--config.train.steps=7",
            "--config.train.rate",
            "1",
            "--config.data.note=a b=c",
            "--config.bug",
            "--config.train.drops=1,2",
            "--workdir=there",
            "--report_only",
        ]
    )
    config = command.config
    assert (
        config.tier == "smoke"
        and config.train.steps == 7
        and config.data.note == "a b=c"
        and config.bug is True
    )
    assert config.train.rate == 1.0 and type(config.train.rate) is float
    assert config.train.drops == (1.0, 2.0) and type(config.train.drops[0]) is float
    assert command.workdir == Path("there") and command.report_only
    assert parse([CONFIG, "--noconfig.bug"]).config.bug is False
    assert parse([CONFIG, "--config.bug=true"]).config.bug is True


@pytest.mark.parametrize("text", ["3", "3,", "(3,)", "[3]", "(3)"])
def test_a_list_of_one(text):
    assert parse([CONFIG, f"--config.seeds={text}"]).config.seeds == (3,)


@pytest.mark.parametrize("text", ["0,1,2", "(0, 1, 2)", "[0,1,2]", "0, 1, 2"])
def test_a_list_of_several(text):
    seeds = parse([CONFIG, f"--config.seeds={text}"]).config.seeds
    assert seeds == (0, 1, 2) and all(type(seed) is int for seed in seeds)


def test_an_empty_list():
    assert parse([CONFIG, "--config.train.drops=()"]).config.train.drops == ()


def test_a_list_of_words(tmp_path):
    (tmp_path / "c.py").write_text(
        "from ml_collections import ConfigDict\ndef get_config(tier='x'):\n    return"
        " ConfigDict({'name': 'softmax', 'tier': tier, 'seeds': (0,), 'words': ('a',), 'free':"
        " None})\n"
    )
    arguments = [f"--config={tmp_path / 'c.py'}", "--config.words=ab,c d", "--config.free=[1, 2]"]
    assert parse(arguments).config.words == ("ab", "c d")
    assert "takes a list of texts" in refused(arguments[0], "--config.words=1,2")


def test_setting_what_is_already_so_is_no_override():
    command = parse([CONFIG, "--config.seeds=0,1", "--config.train.steps=8"])
    assert command.overrides == {"train.steps": 8}


def test_the_default_directory_follows_the_overrides_not_their_order():
    def path(*argv):
        command = parse([CONFIG, *argv])
        return default_path(command.config, command.overrides)

    one = path("--config.train.steps=8", "--config.train.rate=1")
    assert path() == Path("runs/softmax-laptop") == path("--config.train.steps=30")
    assert (
        one
        == path("--config.train.rate=1.0", "--config.train.steps=8")
        != path("--config.train.steps=8")
    )
    assert one.name.startswith("softmax-laptop-") and len(one.name) == len("softmax-laptop-") + 8


@pytest.mark.parametrize(
    "arguments, said",
    [
        ([], "no --config given; write python -m experiments.run --config="),
        (["--confg=x"], "unknown flag --confg; did you mean --config?"),
        (["--config"], "--config"),
        (["--config="], "no --config given"),
        ([CONFIG, "--workdri=x"], "unknown flag --workdri; did you mean --workdir?"),
        ([CONFIG, "--workdir="], "--workdir= is empty"),
        ([CONFIG, "--report-only"], "unknown flag --report-only; did you mean --report_only?"),
        ([CONFIG, "--report_only=maybe"], "--report_only=maybe takes true or false"),
        ([CONFIG, "--qqqqqq"], "unknown flag --qqqqqq; --help lists them all"),
        ([CONFIG, "stray"], "stray argument 'stray'"),
        ([CONFIG, "--config.bug", "true"], "stray argument 'true'"),
        ([CONFIG, CONFIG], "--config is given 2 times"),
        ([CONFIG, "--config.seeds=0", "--config.seeds=1"], "--config.seeds is given 2 times"),
        (
            [CONFIG, "--config.train.stpes=1"],
            "unknown config key --config.train.stpes; did you mean --config.train.steps?",
        ),
        (
            [CONFIG, "--config.steps=1"],
            "unknown config key --config.steps; did you mean --config.train.steps?",
        ),
        (
            [CONFIG, "--noconfig.bgu"],
            "unknown config key --noconfig.bgu; did you mean --config.bug?",
        ),
        (
            [CONFIG, "--noconfig.seeds"],
            "config.seeds is not true or false; write --config.seeds=value",
        ),
        (
            [CONFIG, "--config.train=1"],
            "--config.train is a group of keys; set one of --config.train.drops, --config.train.r",
        ),
        (
            [CONFIG, "--config.train.steps=ten"],
            "--config.train.steps=ten takes an integer, not 'ten'",
        ),
        (
            [CONFIG, "--config.train.steps=1.5"],
            "--config.train.steps=1.5 takes an integer, not 1.5",
        ),
        ([CONFIG, "--config.train.steps="], "--config.train.steps= takes an integer, not ''"),
        (
            [CONFIG, "--config.train.steps=True"],
            "--config.train.steps=True takes an integer, not True",
        ),
        (
            [CONFIG, "--config.train.rate=fast"],
            "--config.train.rate=fast takes a number, not 'fast'",
        ),
        ([CONFIG, "--config.train.rate=nan"], "--config.train.rate=nan takes a number"),
        (
            [CONFIG, "--config.train.rate=1e999"],
            "--config.train.rate=1e999 takes a number, not inf",
        ),
        (
            [CONFIG, "--config.train.drops=0.5,x"],
            "--config.train.drops=0.5,x takes a list of numbers, as 0,1,2, not 'x'",
        ),
        ([CONFIG, "--config.bug=perhaps"], "--config.bug=perhaps takes true or false"),
        ([CONFIG, "--config.seeds=0,0.5"], "takes a list of integers"),
        ([CONFIG, "--config.seeds=()"], "config.seeds is (); give different integers"),
        ([CONFIG, "--config.seeds=1,1"], "config.seeds is (1, 1); give different integers"),
        ([CONFIG, "--config.seeds=-1"], "config.seeds is (-1,); give different integers from 0 on"),
        ([CONFIG, "--config.tier=smoke"], "--config.tier cannot be set"),
        ([CONFIG, "--config.name=other"], "--config.name cannot be set"),
        ([f"{CONFIG}:smokey"], "config.py: no tier 'smokey'; take one of smoke, laptop"),
        (
            ["--config=configs/degradatoin.py"],
            "no config file configs/degradatoin.py; did you mean configs/degradation.py?",
        ),
        (
            ["--config=degradation"],
            "no config file degradation; did you mean configs/degradation.py?",
        ),
        (["--config=tests"], "no config file tests; a config is a Python file"),
    ],
)
def test_a_wrong_command_line_is_told_in_one_line(arguments, said):
    assert said in refused(*arguments)


@pytest.mark.parametrize(
    "text, said",
    [
        ("x = 1\n", "does not define get_config(tier)"),
        ("get_config = 3\n", "does not define get_config(tier)"),
        (
            "def get_config(tier='a'): return {}\n",
            "must return an ml_collections.ConfigDict, not dict",
        ),
        ("def get_config(): return {}\n", "get_config must take a tier"),
        ("def get_config(:\n", "cannot be loaded: SyntaxError"),
        ("import nothing_of_the_kind\n", "cannot be loaded: ModuleNotFoundError"),
        ("\0", "cannot be loaded"),
        (
            "def get_config(tier='a'): return C({'tier': tier, 'seeds': (0,)})\n",
            "must set config.name to a str",
        ),
        (
            "def get_config(tier='a'): return C({'name': 'softmax', 'tier': tier, 'seeds': 3})\n",
            "config.seeds to a tuple",
        ),
        (
            "def get_config(tier='a'): return C({'name': 'gone', 'tier': tier, 'seeds': (0,)})\n",
            "no study experiments/gone,",
        ),
        (
            "def get_config(tier='a'): return C({'name': '..', 'tier': tier, 'seeds': (0,)})\n",
            "no study experiments/..,",
        ),
    ],
)
def test_a_file_that_is_no_config(tmp_path, text, said):
    file = tmp_path / "mine.py"
    file.write_text(
        text if "import" in text else f"from ml_collections import ConfigDict as C\n{text}"
    )
    assert said in refused(f"--config={file}:a") and str(file) in refused(f"--config={file}:a")


def test_help_without_and_with_a_config():
    text = parse(["--help"])
    assert "--config" in text and "--workdir" in text and "--report_only" in text
    text = parse([f"{CONFIG}:smoke", "--help"])
    assert "--config.train.drops=0.5,0.75\n" in text and "The lab record of the tiny study." in text


def test_nearest():
    assert nearest("cifar", ("digits", "cifar10")) == "; did you mean cifar10?"
    assert nearest("zzz", ("digits",)) == ""


def test_flatten():
    assert flatten(ConfigDict({"a": 1, "b": {"c": {"d": 2}}})) == {"a": 1, "b.c.d": 2}


def test_quick_compilation_is_asked_for_before_jax_is_loaded():
    """XLA reads its flags once; what the user has set stays."""
    script = (
        "import os, sys; from experiments import run; {first}run._quick_emitters();"
        " print(os.environ['XLA_FLAGS'])"
    )
    environment = os.environ | {"XLA_FLAGS": "--xla_cpu_enable_fast_math=false"}
    quick = (
        "--xla_cpu_use_fusion_emitters=false "
        if importlib.metadata.version("jaxlib").startswith("0.10.")
        else ""
    )
    for first, expected in (("", quick), ("import jax; ", "")):
        command = [sys.executable, "-c", script.format(first=first)]
        done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
        assert done.stdout == f"{expected}--xla_cpu_enable_fast_math=false\n"
