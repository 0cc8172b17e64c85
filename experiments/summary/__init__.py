"""A net layer by layer, read off its program: ``python -m experiments.summary``."""
