"""The parts that are measured, and the log of the study read back by them."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ml_collections import ConfigDict

from deepseq.lab.records import Record, Records
from experiments.conv_arithmetic import blocks, filters, nets, sizes, weights

TABLES = {  # of the config; the same whatever the seed
    "sizes": sizes.sizes,
    "counts": sizes.counts,
    "filters": filters.measure,
    "nets": nets.measure,
    "alexnet": nets.alexnet_rows,
    "inception": blocks.inceptions,
    "bottlenecks": blocks.bottlenecks,
    "stages": blocks.stages,
    "growth": blocks.growth,
    "order": blocks.order,
}
WEIGHTS = {  # of the config and a seed
    "pixels": weights.pixels,
    "fields": weights.fields,
    "towers": weights.towers,
    "additions": weights.additions,
    "slices": weights.slices,
}


class Measured(Records):
    """The records of a log by part; ``seeds`` are those whose weights have all been tried."""

    def __init__(self, config: ConfigDict, records: Sequence[Record]):
        self.config = config
        super().__init__(records, [{"part": part} for part in WEIGHTS], config.seeds)
        self.tables = Records(records, [{"part": part} for part in TABLES])
        self.finished = bool(self.seeds and self.tables.seeds)

    def table(self, part: str) -> Any:
        """What a part without a seed measured."""
        return self.tables.end(part=part)["found"]

    def each(self, part: str) -> list[Mapping]:
        """What a part measured, one entry per seed."""
        return [record["found"] for record in self.ends(part=part)]

    def worst(self, part: str, *names: str, of: Callable = max) -> dict[str, float]:
        """Measurements by name, over the seeds."""
        return {name: of(values[name] for values in self.each(part)) for name in names}

    def net(self, name: str) -> Mapping:
        """A row of the table of nets."""
        return next(row for row in self.table("nets") if row["net"] == name)
