"""How a study runs: a plan of jobs, of which those that the log holds already are not done again.

A job is known by its tag, which all its records carry; a value of ``...`` in it stands for whatever
the record will have there. Its last record ends it: one without a "step", or with "final". Whatever
is killed in between begins again, or from its last checkpoint.
"""

import contextlib
import functools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from deepseq.lab import processes, progress
from deepseq.lab.workdir import LOG
from deepseq.train import log, loop
from deepseq.train.checkpoints import Checkpoints

__all__ = ["Job", "Record", "Session", "carries", "checkpoint_path", "finished", "run"]

Record = Mapping[str, Any]


class Job(NamedTuple):
    """One thing that must run."""

    tag: dict[str, Any]  # names its records; no two jobs of a plan have the same
    work: Callable[["Session"], Record]  # returns the record that ends the job, without the tag
    cost: float = 1.0  # its share of the progress bar


class Session:
    """What the work of a job is given: its tag, its records, the loop, and whether to stop."""

    def __init__(
        self,
        tag: Mapping[str, Any],
        workdir: Path,
        *,
        stopping: Callable[[], bool] = lambda: False,
        tick: Callable[[float], None] = lambda share: None,
        alone: bool = True,
    ):
        """``tick`` is told the share of the job that is done; not ``alone``, nothing is logged."""
        self.tag, self.workdir, self.stopping, self.tick = dict(tag), workdir, stopping, tick
        self.steps: int | None = None  # of ``fit``
        self._alone = alone

    @property
    def seed(self) -> int:
        """The tag's."""
        return self.tag["seed"]

    def check(self, step: int = 0) -> None:
        """Interrupted where the run is to stop; call it between the parts of a job."""
        if self.stopping():
            raise loop.Interrupted(step, self.tag)

    def records(self) -> list[dict[str, Any]]:
        """What has been logged of this job."""
        return [r for r in log.read(self.workdir / LOG) if carries(r, self.tag)]

    def log(self, record: Record) -> None:
        """Appends a record that does not end the job; it must have a "step"."""
        if not self._alone:
            raise RuntimeError("a job that runs beside others returns its record and logs nothing")
        log.write(self.workdir / LOG, {**self.tag, **record})

    def checkpoints(self) -> Checkpoints:
        """Those of this job, to be closed."""
        return Checkpoints(checkpoint_path(self.workdir, self.tag))

    def fit(
        self,
        step: Callable,
        state: Any,
        batches: Callable[[int], Any],
        *,
        steps: int,
        every: int,
        save_every: int,
        observe: Callable[[Any], dict[str, Any]] = lambda state: {},
        look_first: bool = False,
    ) -> Any:
        """``deepseq.train.loop.fit`` with this job's log, tag, checkpoints and progress.

        ``look_first`` records ``observe(state)`` at step 0 too. The record that the work returns
        is then the "final" one of these steps. Errors are those of ``fit``.
        """
        if look_first and not any(record["step"] == 0 for record in self.records()):
            self.log({"step": 0, **observe(state)})
        with self.checkpoints() as checkpoints:
            state = loop.fit(
                step,
                state,
                batches,
                steps=steps,
                every=every,
                save_every=save_every,
                log=self.workdir / LOG,
                tag=self.tag,
                checkpoints=checkpoints,
                observe=observe,
                tick=lambda done: self.tick(done / steps),
                stopping=self.stopping,
            )
        self.steps = steps
        return state


def run(jobs: Sequence[Job], workdir: Path, together: int = 1) -> None:
    """Does every job whose end is not in ``workdir``/metrics.jsonl, and logs it, in their order.

    Args:
      jobs: of ``plan``.
      workdir: of the run.
      together: jobs that run side by side, each in a process of its own; then their work can be
        pickled, and logs nothing but the record that it returns.

    Raises:
      ValueError: two jobs have the same tag. Interrupted, OSError and whatever a job raises.
    """
    for n, job in enumerate(jobs):
        if any(carries(other.tag, job.tag) for other in jobs[:n]):
            raise ValueError(f"jobs.run: two jobs are tagged {_label(job.tag)}")
    records = log.read(workdir / LOG)
    pending = [job for job in jobs if not finished(records, job.tag)]
    if not pending:
        return
    done = 0.0
    with contextlib.ExitStack() as stack:
        stopping = stack.enter_context(loop.interruption())
        tick = stack.enter_context(progress.bar(sum(job.cost for job in jobs)))
        beside = together > 1 and processes.results(
            _work_beside, [(job, workdir) for job in pending], together, stopping
        )
        if beside:
            stack.enter_context(contextlib.closing(beside))
        for job in jobs:
            label = _label(job.tag)
            tick(done, label)
            if not finished(records, job.tag):
                share = functools.partial(_tick_share, tick, label, done, job.cost)
                session = Session(job.tag, workdir, stopping=stopping, tick=share)
                log.write(workdir / LOG, next(beside) if beside else _work(job, session))
            done += job.cost
            tick(done, label)


def _work(job: Job, session: Session) -> Record:
    session.check()
    record = job.work(session)
    steps = {} if session.steps is None else {"step": session.steps, "final": True}
    named = {key for key, value in job.tag.items() if value is not ...} | steps.keys()
    if twice := sorted(named & record.keys()):
        raise ValueError(
            f"{_label(job.tag)}: the work returned {', '.join(twice)}, which the record has"
            " already; rename it"
        )
    return {**job.tag, **steps, **record}


def _work_beside(job: Job, workdir: Path, stopping: Callable[[], bool]) -> Record:
    return _work(job, Session(job.tag, workdir, stopping=stopping, alone=False))


def _tick_share(tick: progress.Tick, label: str, before: float, cost: float, share: float) -> None:
    tick(before + cost * share, label)


def _label(tag: Mapping[str, Any]) -> str:
    """A tag for people: "plain-20, seed 0"."""
    tag = {key: key if value is ... else value for key, value in tag.items()}
    named = (
        f"{key} {value}" if isinstance(value, int) else str(value)
        for key, value in tag.items()
        if value not in (None, "")
    )
    return ", ".join(named)


def finished(records: Sequence[Record], tag: Mapping[str, Any]) -> bool:
    """Whether a job has ended."""
    return any(carries(r, tag) and ("final" in r or "step" not in r) for r in records)


def carries(record: Record, tag: Mapping[str, Any]) -> bool:
    """Whether a record is of the job with this tag."""
    return all(
        key in record and (value is ... or record[key] == value) for key, value in tag.items()
    )


def checkpoint_path(workdir: Path, tag: Mapping[str, Any]) -> Path:
    """Where the checkpoints of a job are."""
    name = "-".join(str(value) for value in tag.values() if value != "")
    return workdir / "checkpoints" / name.replace(", ", "-").replace(" ", "-")
