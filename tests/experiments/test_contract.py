"""What every study owes: its smoke tier by the command, killed and continued, one-line errors."""

import importlib
import inspect
import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from deepseq.lab.verdicts import VERDICTS, About, Above, judge
from deepseq.train import log
from experiments.run import main

ROOT = Path(__file__).resolve().parents[2]
STUDIES = sorted(path.stem for path in (ROOT / "configs").glob("[!_]*.py"))
FILES = {"config.json", "metrics.jsonl", "sessions.jsonl", "result.json", "report.html"}
RESULT = (
    "experiment tier config seeds metrics claims comparison deviations environment wall_seconds"
)
CLAIM = set(judge(About("", "", "", ""), [1, 2], Above()))
MOST_SECONDS = 90  # of all cores together, so that what else they do is not counted


@pytest.fixture(scope="module", params=STUDIES)
def study(request):
    return request.param


def start(name, workdir, *flags):
    command = [sys.executable, "-m", "experiments.run", f"--config=configs/{name}.py:smoke"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen([*command, f"--workdir={workdir}", *flags], cwd=ROOT, **pipes)


def finish(process):
    """(exit code, stdout, stderr) of a process."""
    out, err = process.communicate(timeout=300)
    return process.returncode, out, err


@pytest.fixture(scope="module")
def smoke(study, tmp_path_factory):
    """A smoke run, whole, and the seconds it computed."""
    directory = tmp_path_factory.mktemp(study) / "run"
    began = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    code, out, err = finish(start(study, directory))
    assert (code, err) == (0, ""), err
    return directory, out, resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - began


def without_timings(value):
    if isinstance(value, dict):
        return {k: without_timings(v) for k, v in value.items() if "seconds" not in k}
    return [without_timings(v) for v in value] if isinstance(value, list) else value


def test_a_package_says_its_question_and_exports_three_functions(study):
    package = importlib.import_module(f"experiments.{study}")
    assert inspect.cleandoc(package.__doc__).split("\n\n")[0].rstrip().endswith("?")
    assert list(inspect.signature(package.plan).parameters) == ["config", "workdir"]
    for name in ("summarize", "draw"):
        assert list(inspect.signature(getattr(package, name)).parameters) == ["config", "records"]


def test_the_smoke_tier_through_the_command(study, smoke):
    directory, out, seconds = smoke
    names = {path.name for path in directory.iterdir()}
    assert names >= FILES and any(name.endswith(".png") for name in names)
    assert {name[:-4] for name in names if name.endswith(".png")} == {
        name[:-4] for name in names if name.endswith(".svg")
    }
    result = json.loads((directory / "result.json").read_text())
    assert list(result) == RESULT.split()
    assert (result["experiment"], result["tier"]) == (study, "smoke") and result["seeds"]
    assert all(set(claim) == CLAIM and claim["verdict"] in VERDICTS for claim in result["claims"])
    for claim in result["claims"]:
        assert claim["statistic"] and claim["source"] and claim["criterion"] and claim["n"] >= 1
        assert claim["id"].split()[0] in out.replace("\n", " ")
    html = (directory / "report.html").read_text()
    assert html.count("<figcaption>") == html.count("<img") >= 1
    assert out.endswith(f"report  {directory / 'report.html'}\n")
    assert seconds < MOST_SECONDS


def test_killed_and_continued_it_ends_with_the_same_log(study, smoke, tmp_path):
    directory = tmp_path / "run"
    process = start(study, directory)
    while process.poll() is None and len(lines(directory)) < 2:
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    code, out, err = finish(process)
    assert "Traceback" not in out + err
    if code:  # else it had ended before the signal came
        assert code == 1 and err.count("\n") == 1 and "run the same command" in err, err
    with open(directory / "metrics.jsonl", "ab") as file:
        file.write(b'{"torn": ')  # as a kill in the middle of writing leaves it
    code, out, err = finish(start(study, directory))
    assert (code, err) == (0, ""), err
    # as text, in which what is not a number equals itself
    whole, again = (
        [json.dumps(without_timings(record)) for record in log.read(path / "metrics.jsonl")]
        for path in (smoke[0], directory)
    )
    assert again == whole


def lines(directory):
    path = directory / "metrics.jsonl"
    return path.read_bytes().splitlines() if path.exists() else []


def test_a_finished_run_only_redraws(study, smoke, monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    directory = smoke[0]
    before = {name: (directory / name).read_bytes() for name in ("metrics.jsonl", "result.json")}
    for flag in ([], ["--report_only"]):
        arguments = [f"--config=configs/{study}.py:smoke", f"--workdir={directory}", *flag]
        assert main(arguments) == 0
        assert capsys.readouterr().err == ""
        assert {name: (directory / name).read_bytes() for name in before} == before


@pytest.mark.parametrize("flag", ["--config.zzz=1", "--config.seeds=1,1", "--config.seeds=x"])
def test_a_wrong_value_is_told_in_one_line(study, flag, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    path = tmp_path / "run"
    assert main([f"--config=configs/{study}.py:smoke", flag, f"--workdir={path}"]) == 2
    err = capsys.readouterr().err
    assert err.startswith("error: ") and err.count("\n") == 1 and flag.split("=")[0] in err
    assert not path.exists()


def test_a_log_of_half_a_run_is_summarised_and_drawn(study, smoke):
    """Whatever is there: nothing, the first record, all but the last."""
    package = importlib.import_module(f"experiments.{study}")
    get_config = importlib.import_module(f"configs.{study}").get_config
    records = log.read(smoke[0] / "metrics.jsonl")
    for some in ([], records[:1], records[:-1]):
        summary = package.summarize(get_config("smoke"), some)
        assert set(summary) == {"metrics", "claims", "comparison", "deviations"}
        for drawing in package.draw(get_config("smoke"), some).values():
            assert drawing.caption and drawing.figure.axes


def test_environments_are_recorded(smoke):
    environment = json.loads((smoke[0] / "result.json").read_text())["environment"]
    assert {"python", "jax", "device", "commit"} <= set(environment)
    assert environment["cores"] <= (os.cpu_count() or 1)
