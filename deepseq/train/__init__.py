"""How parameters move: order, augmentation, step, loop, losses, checkpoints and the log."""
