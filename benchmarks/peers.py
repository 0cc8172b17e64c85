"""The same CIFAR ResNet (He et al. 2015, section 4.2, shortcut A) and train step in flax.linen and
PyTorch channels-last.
"""

from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax

RATE, MOMENTUM, DECAY, KEEP = 0.1, 0.9, 1e-4, 0.9  # KEEP: of the running averages


class LinenBlock(nn.Module):
    """Two 3x3 convolutions and the shortcut."""

    channels: int
    stride: int

    @nn.compact
    def __call__(self, x):
        def norm():
            return nn.BatchNorm(use_running_average=False, momentum=KEEP)

        y = nn.Conv(self.channels, (3, 3), self.stride, padding=1, use_bias=False)(x)
        y = nn.relu(norm()(y))
        y = norm()(nn.Conv(self.channels, (3, 3), padding=1, use_bias=False)(y))
        x = x[:, :: self.stride, :: self.stride]
        return nn.relu(y + jnp.pad(x, ((0, 0), (0, 0), (0, 0), (0, self.channels - x.shape[-1]))))


class LinenResNet(nn.Module):
    """The net as its users write it: a Python loop over blocks."""

    depth: int

    @nn.compact
    def __call__(self, x):
        x = nn.Conv(16, (3, 3), padding=1, use_bias=False)(x)
        x = nn.relu(nn.BatchNorm(use_running_average=False, momentum=KEEP)(x))
        for stage, channels in enumerate((16, 32, 64)):
            for block in range((self.depth - 2) // 6):
                x = LinenBlock(channels, 2 if stage and not block else 1)(x)
        return nn.Dense(10)(x.mean(axis=(1, 2)))


def optimizer() -> optax.GradientTransformation:
    """Decay, momentum, rate."""
    return optax.chain(optax.add_decayed_weights(DECAY), optax.trace(MOMENTUM), optax.scale(-RATE))


def linen(depth: int) -> tuple[Callable, Callable]:
    """(init, step) of the linen net: init(key, x) -> state, step(state, x, labels) -> (state,
    loss).
    """
    return linen_training(LinenResNet(depth))


def ours(depth: int) -> tuple[Callable, Callable]:
    """The same pair around ``deepseq.nets.images.resnet.cifar``."""
    from deepseq.nets.images import resnet

    return our_training(resnet.cifar(depth))


def linen_training(net: nn.Module) -> tuple[Callable, Callable]:
    """``linen`` for any image net, with or without batch norm."""
    sgd = optimizer()

    def init(key, x):
        variables = net.init(key, x)
        return variables["params"], variables.get("batch_stats", {}), sgd.init(variables["params"])

    def step(state, x, labels):
        params, stats, momentum = state

        def loss(params):
            logits, new = net.apply(
                {"params": params, "batch_stats": stats}, x, mutable=["batch_stats"]
            )
            value = optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()
            return value, new.get("batch_stats", {})

        (value, stats), grads = jax.value_and_grad(loss, has_aux=True)(params)
        updates, momentum = sgd.update(grads, momentum, params)
        return (optax.apply_updates(params, updates), stats, momentum), value

    return init, step


def our_training(net) -> tuple[Callable, Callable]:
    """``ours`` for any image net."""
    sgd = optimizer()

    def init(key, x):
        params = net.init(key)
        moments = jax.eval_shape(lambda: net.apply(params, x, running=None, key=None))[1]
        return (
            params,
            jax.tree.map(lambda m: jnp.zeros(m.shape, m.dtype), moments),
            sgd.init(params),
        )

    def step(state, x, labels):
        params, running, momentum = state

        def loss(params):
            logits, moments = net.apply(params, x, running=None, key=None)
            return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean(), moments

        (value, moments), grads = jax.value_and_grad(loss, has_aux=True)(params)
        running = jax.tree.map(lambda r, m: KEEP * r + (1 - KEEP) * m, running, moments)
        updates, momentum = sgd.update(grads, momentum, params)
        return (optax.apply_updates(params, updates), running, momentum), value

    return init, step


def torch_step(depth: int, x: np.ndarray, labels: np.ndarray) -> Callable[[], float] | None:
    """A call that makes one PyTorch step on two threads in channels-last layout, or None without
    PyTorch.

    Args:
      depth: 6n + 2.
      x: (B, H, W, 3) float32.
      labels: (B,) integers.
    """
    try:
        import torch
        from torch import nn as tnn
        from torch.nn import functional as F
    except ImportError:
        return None
    torch.manual_seed(0)

    def conv_bn(c_in, c_out, stride=1):
        return tnn.Sequential(
            tnn.Conv2d(c_in, c_out, 3, stride, 1, bias=False), tnn.BatchNorm2d(c_out)
        )

    class Block(tnn.Module):
        def __init__(self, c_in, c_out):
            super().__init__()
            self.stride, self.extra = c_out // c_in, c_out - c_in
            self.first, self.second = conv_bn(c_in, c_out, self.stride), conv_bn(c_out, c_out)

        def forward(self, x):
            y = self.second(F.relu(self.first(x), inplace=True))
            if self.extra:
                x = F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, 0, self.extra))
            return F.relu(y + x, inplace=True)

    widths = [16, *(c for c in (16, 32, 64) for _ in range((depth - 2) // 6))]
    blocks = [Block(c_in, c_out) for c_in, c_out in zip(widths, widths[1:], strict=False)]
    pool = (tnn.AdaptiveAvgPool2d(1), tnn.Flatten(), tnn.Linear(64, 10))
    net = tnn.Sequential(conv_bn(3, 16), tnn.ReLU(inplace=True), *blocks, *pool)
    return torch_training(net, x, labels)


def torch_training(net, x: np.ndarray, labels: np.ndarray) -> Callable[[], float]:
    """``torch_step`` for any image net of torch's."""
    import torch
    from torch.nn import functional as F

    net = net.to(memory_format=torch.channels_last).train()
    sgd = torch.optim.SGD(net.parameters(), lr=RATE, momentum=MOMENTUM, weight_decay=DECAY)
    images = torch.from_numpy(x).permute(0, 3, 1, 2)  # NHWC in memory is channels-last
    targets = torch.from_numpy(labels).long()

    def step() -> float:
        sgd.zero_grad(set_to_none=True)
        loss = F.cross_entropy(net(images), targets)
        loss.backward()
        sgd.step()
        return loss.item()

    return step
