"""Side by side with peers: ratios from interleaved runs, never bare times."""
