"""The log of a study, read back by the tags of its jobs."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from deepseq.lab.jobs import carries

__all__ = ["Record", "Records"]

Record = Mapping[str, Any]


class Records:
    """The records of a log; ``seeds`` are those for which every job has ended.

    A job is selected by its tag without the seed, as ``records.values("error", net="LSTM")``, and
    gives one row for each of ``seeds``. Where the jobs have no seed, because each holds all seeds
    itself (``seeds=None``), it gives what its one record holds.
    """

    def __init__(
        self,
        records: Sequence[Record],
        tags: Sequence[Mapping[str, Any]],
        seeds: Sequence[int] | None = None,
    ):
        """Reads the log.

        Args:
          records: of ``deepseq.train.log.read``.
          tags: of the jobs that a complete seed has, without the seed.
          seeds: those of the config; None where tags have none.
        """
        self.all, self.tags = list(records), [dict(tag) for tag in tags]
        self._by_tag: dict[tuple, list[Record]] = {}
        asked = range(1) if seeds is None else seeds
        self._seeded = seeds is not None
        for n, tag in enumerate(self.tags):
            for record in self.all:
                if carries(record, tag) and (not self._seeded or "seed" in record):
                    seed = record["seed"] if self._seeded else 0
                    self._by_tag.setdefault((n, seed), []).append(record)
        self.seeds = [s for s in asked if all(self._end(n, s) for n in range(len(self.tags)))]

    def has(self, **tag: Any) -> bool:
        """Whether the job has ended, for all seeds that are there."""
        found = self._find(tag)
        return found is not None and all(self._end(found, seed) for seed in self._rows())

    def ends(self, **tag: Any) -> list[Record]:
        """The last record of a job for each seed; KeyError where there is no such job."""
        return [self._end(self._index(tag), seed) for seed in self._rows()]

    def end(self, **tag: Any) -> Record:
        """The last record of a job of the first seed, for what is the same for all."""
        return self.ends(**tag)[0]

    def values(self, *path: str, **tag: Any) -> np.ndarray:
        """What the last records hold under ``path``, the seeds first: (S, ...)."""
        if not self._seeded:
            return np.asarray(_inside(self.end(**tag), path))
        return np.array([_inside(record, path) for record in self.ends(**tag)])

    def points(self, seed: int, **tag: Any) -> list[Record]:
        """The records on the way to a job's end, in order; step 0 among them where it was seen."""
        found = self._by_tag.get((self._index(tag), seed), [])
        return [record for record in found if "step" in record and "final" not in record]

    def curve(self, *path: str, **tag: Any) -> tuple[np.ndarray, np.ndarray]:
        """Steps (N,) and what their records hold under ``path``, (S, N); without step 0."""
        runs = [[r for r in self.points(seed, **tag) if r["step"]] for seed in self.seeds]
        steps = np.array([record["step"] for record in runs[0]])
        return steps, np.array([[_inside(r, path) for r in run] for run in runs], float)

    def _rows(self) -> list[int]:
        return self.seeds if self._seeded else [0]

    def _end(self, n: int, seed: int) -> Record | None:
        for record in self._by_tag.get((n, seed), []):
            if "final" in record or "step" not in record:
                return record
        return None

    def _find(self, tag: Mapping[str, Any]) -> int | None:
        return next((n for n, own in enumerate(self.tags) if carries(own, tag)), None)

    def _index(self, tag: Mapping[str, Any]) -> int:
        found = self._find(tag)
        if found is None:
            raise KeyError(f"no job is tagged {tag}; there are {self.tags}")
        return found


def _inside(record: Any, path: Sequence[str]) -> Any:
    for key in path:
        record = record[key]
    return record
