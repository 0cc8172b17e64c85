"""Deep-learning study notes made executable: networks as pure functions, claims as experiments."""
