"""What a user meets when something is wrong: one line, the exit code, and everything written before
still there.
"""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
TINY = Path(__file__).resolve().parent / "tiny"
CONFIG = f"--config={TINY / 'config.py'}"
QUICK = ("--config.seeds=0", "--config.train.steps=20")


def start(*arguments, program=(str(TINY / "run.py"),), before="", **environment):
    settings = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "JAX_PLATFORMS": "cpu",
        "PYTHONDONTWRITEBYTECODE": "1",
        **environment,
    }
    command = [sys.executable, *program, *map(str, arguments)]
    if before:
        command = ["sh", "-c", f'{before}; exec "$@"', "sh", *command]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, cwd=ROOT, env=settings)


def run(*arguments, **more):
    process = start(*arguments, **more)
    out, err = process.communicate(timeout=240)
    return process.returncode, out, err


def told(result, code, *parts):
    """Checks the exit code, and that stderr is one line which has the parts."""
    got, out, err = result
    assert got == code and err.count("\n") == 1 and "Traceback" not in out + err, (got, out, err)
    for part in parts:
        assert part in err, err
    return err


def files(path):
    names = [p for p in path.rglob("*") if p.is_file() and not p.name.startswith(".")]
    return {str(p.relative_to(path)): p.read_bytes() for p in names if "checkpoints" not in p.parts}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    path = tmp_path_factory.mktemp("finished") / "run"
    code, out, err = run(CONFIG, *QUICK, f"--workdir={path}")
    assert (code, err) == (0, "") and "C-1" in out and "holds" in out, (out, err)
    assert f"figure  {path / 'figure.png'}\n" in out and out.endswith(
        f"report  {path / 'report.html'}\n"
    )
    return path


def copy(path, to):
    subprocess.run(["cp", "-r", str(path), str(to)], check=True)
    return to


@pytest.mark.parametrize(
    "arguments, parts",
    [
        ((), ["error: no --config given"]),
        (
            ("--confg=configs/degradation.py",),
            ["error: unknown flag --confg; did you mean --config?"],
        ),
        (
            ("--config=configs/degradation.py:labtop",),
            ["error: configs/degradation.py: no tier 'labtop'", "laptop"],
        ),
        (
            ("--config=configs/degradation.py", "--config.net.widht=8"),
            ["did you mean --config.net.width?"],
        ),
        (
            ("--config=configs/degradation.py", "--config.net.width=x"),
            ["--config.net.width=x takes an integer"],
        ),
        (("--config=configs/degradation.py", "now"), ["error: stray argument 'now'"]),
        (
            ("--config=configs/degredation.py",),
            ["no config file", "did you mean configs/degradation.py?"],
        ),
        (("--config=configs/__init__.py",), ["does not define get_config"]),
        (
            ("--config=configs/degradation.py", "--report_only", "--workdir=nowhere"),
            ["there is no log in nowhere"],
        ),
    ],
)
def test_a_wrong_command_line(arguments, parts):
    told(run(*arguments, program=("-m", "experiments.run")), 2, *parts)


def test_a_wrong_command_line_is_told_before_jax_is_loaded():
    code = (
        "import sys; from experiments.run import main; sys.exit(main(sys.argv[1:]) + 7 * ('jax' in"
        " sys.modules))"
    )
    told(run("--config=configs/degradation.py", "--config.zzz=1", program=("-c", code)), 2, "zzz")


def test_help():
    code, out, err = run("--help", program=("-m", "experiments.run"))
    assert code == 0 and err == "" and "--report_only" in out


@pytest.mark.parametrize(
    "key, parts",
    [
        ("net.deep=57", ["57", "56"]),
        ("net.shortcut=D", ["D", "A", "B", "C"]),
        ("data.name=cifar", ["cifar", "cifar10"]),
        ("data.validation=2000", ["data.validation=2000", "1437 training images", "0 to 1436"]),
        ("data.name=cifar10", ["data_batch_1.bin", "has 3 bytes, expected 30730000", "delete it"]),
    ],
)
def test_a_config_that_cannot_be(tmp_path, monkeypatch, capfd, key, parts):
    from experiments.run import main

    folder = tmp_path / "cifar-10-batches-bin"
    folder.mkdir()
    (folder / "data_batch_1.bin").write_bytes(b"cut")
    monkeypatch.setenv("DEEPSEQ_DATA", str(tmp_path))
    monkeypatch.chdir(ROOT)
    code = main(
        [
            "--config=configs/degradation.py:smoke",
            f"--config.{key}",
            f"--workdir={tmp_path / 'run'}",
        ]
    )
    told((code, *capfd.readouterr()), 2, "error: ", *parts)
    assert not (tmp_path / "run").exists() and (folder / "data_batch_1.bin").read_bytes() == b"cut"


def test_missing_data_when_offline(tmp_path):
    arguments = (
        "--config=configs/degradation.py:smoke",
        "--config.data.name=cifar10",
        f"--workdir={tmp_path / 'run'}",
    )
    offline = {
        "DEEPSEQ_DATA": str(tmp_path),
        "HTTPS_PROXY": "http://127.0.0.1:9",
        "https_proxy": "http://127.0.0.1:9",
    }
    result = run(*arguments, program=("-m", "experiments.run"), **offline)
    told(
        result,
        2,
        "error: cifar-10-binary.tar.gz is missing",
        f"into {tmp_path / 'cifar-10-batches-bin'}",
        "DEEPSEQ_DATA",
    )


def test_a_finished_run_only_redraws(finished, tmp_path):
    path = copy(finished, tmp_path / "run")
    before = files(path)
    for more in ((), ("--report_only",)):
        for name in ("result.json", "figure.png", "figure.svg", "report.html"):
            (path / name).unlink()
        assert run(CONFIG, *QUICK, f"--workdir={path}", *more)[0] == 0
        assert files(path) == before
    result = json.loads(before["result.json"])
    assert (
        result["experiment"] == "softmax"
        and result["seeds"] == [0]
        and result["metrics"]["not_computed"] is None
    )
    assert (
        result["wall_seconds"] > 0
        and result["environment"]["jax"]
        and result["config"]["train"]["steps"] == 20
    )


def test_another_config_in_the_same_directory(finished):
    before = files(finished)
    result = run(CONFIG, "--config.seeds=0", "--config.train.steps=25", f"--workdir={finished}")
    told(
        result, 2, f"{finished} holds a run of another config: train.steps is 20 there and 25 here;"
    )
    assert files(finished) == before


@pytest.mark.parametrize(
    "name, line",
    [("config.json", "config.json is damaged"), ("metrics.jsonl", "metrics.jsonl: line 1")],
)
def test_a_damaged_file_of_the_run(finished, tmp_path, name, line):
    path = copy(finished, tmp_path / "run")
    (path / name).write_text('{"torn\n' + (path / name).read_text())
    before = files(path)
    told(run(CONFIG, *QUICK, f"--workdir={path}"), 2, "error: ", line)
    assert files(path) == before


def test_a_file_as_the_directory(tmp_path):
    (tmp_path / "f").write_text("mine")
    told(run(CONFIG, f"--workdir={tmp_path / 'f'}"), 2, "is a file; give another directory")


def test_in_use_then_interrupted_then_continued(finished, tmp_path):
    path = tmp_path / "run"
    process = start(CONFIG, *QUICK, f"--workdir={path}", TINY_PAUSE="60")
    try:
        assert process.stdout.readline() == "training\n"
        told(
            run(CONFIG, *QUICK, f"--workdir={path}"),
            2,
            f"{path} is in use by process {process.pid}; wait for it",
        )
        process.send_signal(signal.SIGTERM)
        told(
            (process.wait(60), "", process.stderr.read()),
            1,
            "seed=0: interrupted at step 15; run the same command",
        )
    finally:
        process.kill()
        process.communicate()
    assert run(CONFIG, *QUICK, f"--workdir={path}")[0] == 0
    assert (path / "metrics.jsonl").read_bytes() == (finished / "metrics.jsonl").read_bytes()
    assert len((path / "sessions.jsonl").read_text().splitlines()) == 2


def test_a_damaged_newest_checkpoint_falls_back_and_says_so(finished, tmp_path):
    path = copy(finished, tmp_path / "run")
    newest = max(
        (p for p in (path / "checkpoints" / "0").iterdir() if p.name.isdigit()),
        key=lambda p: int(p.name),
    )
    largest = max((p for p in newest.rglob("*") if p.is_file()), key=lambda p: p.stat().st_size)
    os.truncate(largest, largest.stat().st_size // 2)
    lines = (finished / "metrics.jsonl").read_text().splitlines(keepends=True)
    (path / "metrics.jsonl").write_text("".join(lines[:-1]))  # as if killed before its end
    told(run(CONFIG, *QUICK, f"--workdir={path}"), 0, "checkpoint", "20", "10")
    assert (path / "metrics.jsonl").read_bytes() == (finished / "metrics.jsonl").read_bytes()


def test_a_loss_that_is_not_finite(tmp_path):
    result = run(CONFIG, *QUICK, "--config.train.rate=3e38", f"--workdir={tmp_path / 'run'}")
    told(result, 1, "error: seed=0: the loss is not finite at step 5; ")
    assert (tmp_path / "run" / "metrics.jsonl").read_text().count("\n") == 1


@pytest.mark.parametrize("blocks, kept", [(0, []), (1, ["config.json"])])
def test_a_full_disk(tmp_path, blocks, kept):
    path = tmp_path / "run"
    limit = (  # 512-byte blocks that a file may have, of the tests' own compiled programs too
        f"ulimit -f {blocks}"
    )
    result = run(
        CONFIG, *QUICK, f"--workdir={path}", before=limit, JAX_ENABLE_COMPILATION_CACHE="false"
    )
    told(result, 1, "error: ", "cannot", "run the same command")
    assert [name for name in kept if name not in files(path)] == []
    if kept:
        json.loads((path / "config.json").read_bytes())
        assert run(CONFIG, *QUICK, f"--workdir={path}")[0] == 0


def test_a_bug_keeps_its_traceback(tmp_path):
    code, _, err = run(CONFIG, "--config.bug", f"--workdir={tmp_path / 'run'}")
    assert code == 1 and "Traceback" in err and "a bug in the study" in err


def test_a_platform_that_is_not_there(tmp_path):
    told(
        run(CONFIG, f"--workdir={tmp_path / 'run'}", JAX_PLATFORMS="nosuch"),
        2,
        "error: JAX cannot start",
        "JAX_PLATFORMS",
    )
