"""The questions: one file per study, all run by ``python -m experiments.run``."""
