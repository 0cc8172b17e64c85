"""Image classifiers, each named by its paper."""
