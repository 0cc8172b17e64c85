"""Runs a study: command line -> config -> run directory -> log -> numbers and verdicts -> figures
and report.

    python -m experiments.run --config=configs/<name>.py[:tier] [--config.key=value ...]
    [--workdir=DIR] [--report_only]

Exit code 0 when the run finished, whatever its verdicts; 1 when it failed; 2 for a wrong command
line, config or data."""

import contextlib
import importlib
import importlib.metadata
import io
import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from deepseq.data.source import DISK_FULL, DataError
from deepseq.lab import command_line, environment, progress, workdir
from deepseq.lab.errors import UsageError, one_line
from deepseq.train import allocator

QUICK_COMPILE = "jax_disable_most_optimizations"


def main(argv: Sequence[str]) -> int:
    """Does what ``argv`` (without the program's name) asks for and returns the exit code."""
    try:
        command = command_line.parse(argv)
        if isinstance(command, str):
            print(command)
            return 0
        return _reproduce(command)
    except (UsageError, DataError) as error:
        return _fail(f"error: {one_line(error)}", 2)
    except KeyboardInterrupt:
        return _fail("interrupted; run the same command to continue", 1)
    except OSError as error:
        full = error.errno in DISK_FULL and "; free some space and run the same command to continue"
        where = f"{error.filename}: " if error.filename else ""
        return _fail(f"error: {where}{one_line(error.strerror or error)}{full or ''}", 1)


def _reproduce(command: command_line.Command) -> int:
    config = command.config
    path = command.workdir or workdir.default_path(config, command.overrides)
    if command.report_only and not (path / workdir.LOG).is_file():
        raise UsageError(
            f"--report_only: there is no log in {path}; run without it first, or give the run's"
            " --workdir"
        )
    allocator.keep_freed_memory()  # before JAX allocates
    if config.tier == "smoke":
        _quick_emitters()
    with workdir.claimed(path, config.to_dict()):
        workdir.read_log(path)  # a damaged log is told before anything is added to it
        # JAX is loaded here, after all that can go wrong without it
        from deepseq.train.loop import Diverged, Interrupted

        study = importlib.import_module(f"experiments.{config.name}")
        try:
            if not command.report_only:
                _train(study, config, path)
        except Diverged as error:
            return _fail(f"error: {one_line(error)}", 1)
        except Interrupted as error:
            return _fail(one_line(error), 1)
        result, figures = _write(study, config, path)
    progress.verdicts(result, figures, path / "report.html")
    return 0


def _quick_emitters() -> None:
    """Has XLA:CPU of jax 0.10 write kernels the old way, three times as fast without optimisations.

    Later ones have no other way. XLA reads its flags once, so nothing is changed where JAX is in
    use already.
    """
    if "jax" not in sys.modules and importlib.metadata.version("jaxlib").startswith("0.10."):
        os.environ["XLA_FLAGS"] = (
            f"--xla_cpu_use_fusion_emitters=false {os.environ.get('XLA_FLAGS', '')}".strip()
        )


def _train(study, config, path: Path) -> None:
    import jax

    from deepseq.lab import jobs
    from deepseq.train.checkpoints import quiet_orbax

    quiet_orbax()
    began = time.monotonic()
    before = jax.config.read(QUICK_COMPILE)
    # in runs this short, optimising the programs takes longer than it saves
    jax.config.update(QUICK_COMPILE, config.tier == "smoke")
    workdir.begin_session(path, environment.describe())
    try:
        jobs.run(study.plan(config, path), path, config.get("together", 1))
    finally:
        jax.config.update(QUICK_COMPILE, before)
        # on a full disk the study's own error is the one to tell
        with contextlib.suppress(OSError):
            workdir.end_session(path, time.monotonic() - began)


def _write(study, config, path: Path) -> tuple[dict[str, Any], dict[str, Path]]:
    """Makes result.json, the figures and the report from the log alone."""
    import matplotlib

    from deepseq.lab import report

    workdir.settle_session(path)
    where, seconds = workdir.sessions(path)
    records = workdir.read_log(path)
    summary = study.summarize(config, records)
    result = workdir.plain(
        {
            "experiment": config.name,
            "tier": config.tier,
            "config": config.to_dict(),
            "seeds": config.seeds,
            "metrics": summary["metrics"],
            "claims": summary["claims"],
            "comparison": summary["comparison"],
            "deviations": summary["deviations"],
            "environment": where,
            "wall_seconds": seconds,
        }
    )
    workdir.write_json(path / "result.json", result)
    matplotlib.use("Agg")
    with matplotlib.rc_context({"svg.hashsalt": "deepseq", "savefig.dpi": 150}):
        drawings = study.draw(config, records)
        saved = _save({name: drawing.figure for name, drawing in drawings.items()}, path)
    shown = {name: (path / f"{name}.svg", drawing.caption) for name, drawing in drawings.items()}
    report.write(path / "report.html", result, shown, study.__doc__)
    return result, saved


def _save(figures: Mapping[str, Any], path: Path) -> dict[str, Path]:
    saved = {}
    for name, figure in figures.items():
        for kind, metadata in (
            ("svg", {"Date": None, "Creator": None}),
            ("png", {"Software": None}),
        ):
            content = io.BytesIO()
            figure.savefig(content, format=kind, metadata=metadata)
            saved[name] = path / f"{name}.{kind}"
            workdir.write(saved[name], content.getvalue())
    return saved


def _fail(line: str, code: int) -> int:
    print(line, file=sys.stderr)
    return code


def program() -> int:
    """``main`` as a process of its own."""
    # outside the training loop too, say how to go on
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    return main(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(program())
