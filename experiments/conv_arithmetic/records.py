"""The log of the study of convolutions, read back."""

from collections.abc import Mapping, Sequence
from typing import Any

from ml_collections import ConfigDict

TABLES = (
    "sizes",
    "counts",
    "filters",
    "nets",
    "alexnet",
    "inception",
    "bottlenecks",
    "stages",
    "growth",
    "order",
)
WEIGHTS = ("pixels", "fields", "towers", "additions", "slices")


class Found:
    """The records of a log by part, and the seeds that have all parts that need one."""

    def __init__(self, config: ConfigDict, records: Sequence[Mapping]):
        self._parts = {(r["part"], r["seed"]): r["found"] for r in records}
        self.seeds = [
            seed for seed in config.seeds if all((part, seed) in self._parts for part in WEIGHTS)
        ]
        self.finished = bool(self.seeds) and all((part, None) in self._parts for part in TABLES)

    def table(self, part: str) -> Any:
        """What a part found that needs no seed."""
        return self._parts[part, None]

    def each(self, part: str) -> list[Mapping]:
        """What a part found, one entry per seed."""
        return [self._parts[part, seed] for seed in self.seeds]

    def worst(self, part: str, name: str, join=max) -> dict[str, float]:
        """A measurement over the seeds, by its name."""
        return {name: join(found[name] for found in self.each(part))}

    def net(self, name: str) -> Mapping:
        """A row of the table of nets."""
        return next(row for row in self.table("nets") if row["net"] == name)
