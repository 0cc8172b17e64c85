"""Where examples come from: readers of standard formats, in NumPy."""
