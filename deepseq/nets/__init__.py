"""How a network computes: pure functions over NamedTuples of arrays, one file per paper."""
