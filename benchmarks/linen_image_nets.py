"""LeNet-5, ResNet and DenseNet as users of flax.linen write them: Python loops over blocks, with
batch norm in training.
"""

import flax.linen as nn
import jax.numpy as jnp

from benchmarks.peers import KEEP


def norm(x):
    return nn.BatchNorm(use_running_average=False, momentum=KEEP)(x)


class LeNet5(nn.Module):
    """``lenet.full_lenet5``."""

    @nn.compact
    def __call__(self, x):
        x = nn.max_pool(nn.relu(nn.Conv(6, (5, 5), padding=2)(x)), (2, 2), (2, 2))
        x = nn.max_pool(nn.relu(nn.Conv(16, (5, 5), padding="VALID")(x)), (2, 2), (2, 2))
        x = x.reshape(len(x), -1)
        return nn.Dense(10)(nn.relu(nn.Dense(84)(nn.relu(nn.Dense(120)(x)))))


class ResNet(nn.Module):
    """``resnet.imagenet`` with shortcuts B."""

    stages: tuple[int, ...]
    bottleneck: bool

    @nn.compact
    def __call__(self, x):
        x = nn.relu(norm(nn.Conv(64, (7, 7), 2, padding=3, use_bias=False)(x)))
        x = nn.max_pool(x, (3, 3), (2, 2), ((1, 1), (1, 1)))
        for stage, count in enumerate(self.stages):
            inner = 64 * 2**stage
            for i in range(count):
                stride = 2 if stage and not i else 1
                plan = [(inner, 3, stride), (inner, 3, 1)]
                plan = (
                    [(inner, 1, 1), (inner, 3, stride), (4 * inner, 1, 1)]
                    if self.bottleneck
                    else plan
                )
                y = x
                for j, (channels, size, s) in enumerate(plan):
                    y = nn.relu(y) if j else y
                    y = norm(
                        nn.Conv(channels, (size, size), s, padding=size // 2, use_bias=False)(y)
                    )
                if x.shape != y.shape:
                    x = norm(nn.Conv(y.shape[-1], (1, 1), stride, use_bias=False)(x))
                x = nn.relu(x + y)
        return nn.Dense(1000)(x.mean((1, 2)))


class DenseNet(nn.Module):
    """``densenet.imagenet``."""

    blocks: tuple[int, ...]
    growth: int = 32

    @nn.compact
    def __call__(self, x):
        x = nn.relu(norm(nn.Conv(2 * self.growth, (7, 7), 2, padding=3, use_bias=False)(x)))
        x = nn.max_pool(x, (3, 3), (2, 2), ((1, 1), (1, 1)))
        for b, count in enumerate(self.blocks):
            for _ in range(count):
                y = nn.Conv(4 * self.growth, (1, 1), use_bias=False)(nn.relu(norm(x)))
                y = nn.Conv(self.growth, (3, 3), padding=1, use_bias=False)(nn.relu(norm(y)))
                x = jnp.concatenate([x, y], -1)
            if b < len(self.blocks) - 1:
                x = nn.Conv(x.shape[-1] // 2, (1, 1), use_bias=False)(nn.relu(norm(x)))
                x = nn.avg_pool(x, (2, 2), (2, 2))
        return nn.Dense(1000)(nn.relu(norm(x)).mean((1, 2)))
