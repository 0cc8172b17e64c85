"""What the degradation study measures inside a net, and the nets it constructs by hand to test an
identity.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from deepseq.nets.blocks.conv import conv2d
from deepseq.nets.blocks.inside import Probes, Seen, look
from deepseq.nets.blocks.layers import EPSILON, BatchNorm, Moments, batch_norm
from deepseq.nets.blocks.net import Net
from deepseq.nets.images.resnet import Block, ConvBN, ResNet
from deepseq.train.losses import cross_entropy


def see(
    net: Net, params: ResNet, images: Array, labels: Array, running: ResNet | None = None
) -> Probes:
    """Every layer response and block output of one batch with its gradient; ``running=None``
    normalises by the batch.
    """

    def loss(probes):
        logits, _ = net.apply(params, images, running=running, key=None, probes=probes)
        return cross_entropy(logits, labels).mean()

    return look(loss)


def inside(net: Net, params: ResNet, images: Array, labels: Array) -> dict[str, Array]:
    """What one batch shows inside a net.

    Returns:
      gradient_norm: (depth - 1,) norm of dL/dy_l, y_l the response of the l-th 3x3 layer after BN,
        before ReLU or addition.
      response_std: (depth - 1,) standard deviation of y_l (He et al. 2015, Figure 7).
      branch_ratio: (blocks,) root mean square of F(x) over that of the block's input x, where y =
        F(x) + x.
    """
    seen = see(net, params, images, labels)
    return {
        "gradient_norm": _gradient_norms(seen),
        "response_std": jnp.stack([jnp.std(y.value) for y in _layers(seen)]),
        "branch_ratio": jnp.stack([_rms(f) / _rms(x) for x, f in _branches(seen)]),
    }


def gradients_without_bn(
    net: Net, params: ResNet, running: ResNet, images: Array, labels: Array
) -> Array:
    """(depth - 1,) norm of dL/dy_l in the same net without normalisation, at gamma = 1 and beta =
    0.

    Running moments of mean 0 and variance 1 make every batch normalisation the identity.
    """

    def still(moments: Moments) -> Moments:
        return Moments(
            mean=jnp.zeros_like(moments.mean), var=jnp.full_like(moments.var, 1 - EPSILON)
        )

    identity = jax.tree.map(still, running, is_leaf=lambda node: isinstance(node, Moments))
    return _gradient_norms(see(net, params, images, labels, identity))


def identities(net: Net, params: ResNet, images: Array, labels: Array) -> dict[str, Array]:
    """The algebra of the residual block, over the blocks of the first stage, whose shortcuts are
    all the identity.

    Returns:
      after_relu: |x_L - (x_0 + sum of F)| / |x_L| in the net as it is, with a ReLU after each
        addition.
      preactivation: the same for blocks in the order BN, ReLU, convolution (He et al. 2016, Figure
        1b) of the same weights.
    """
    stage = len(params.blocks) // 3
    seen = see(net, params, images, labels)
    x0 = seen["block", 0].value
    total = sum(f for _, f in _branches(seen)[:stage])
    return {
        "after_relu": _relative_error(seen["block", stage].value, x0 + total),
        "preactivation": _relative_error(*_preactivation(params.blocks[:stage], x0)),
    }


def silenced(net: Net, params: ResNet, images: Array, labels: Array) -> Array:
    """max |x_L - x_0| over the first stage once the last BN of every block has gamma = beta = 0, so
    that F = 0.

    Not to be compiled as one program, in which XLA may compute x_0 once for either side, rounded
    differently."""
    mute = [
        b._replace(conv2=b.conv2._replace(bn=jax.tree.map(jnp.zeros_like, b.conv2.bn)))
        for b in params.blocks
    ]
    seen = see(net, params._replace(blocks=tuple(mute)), images, labels)
    return jnp.abs(seen["block", len(params.blocks) // 3].value - seen["block", 0].value).max()


def _preactivation(blocks: tuple[Block, ...], x: Array) -> tuple[Array, Array]:
    """x_L of pre-activation blocks by the recursion x_{l+1} = x_l + F(x_l), and x_0 plus the sum of
    all F.
    """
    x0, total = x, jnp.zeros_like(x)
    for block in blocks:
        f = conv2d(jax.nn.relu(batch_norm(block.conv1.bn, x, None)[0]), block.conv1.w)
        f = conv2d(jax.nn.relu(batch_norm(block.conv2.bn, f, None)[0]), block.conv2.w)
        x, total = x + f, total + f
    return x, x0 + total


def deepen(params: ResNet, running: ResNet, blocks_per_stage: int) -> tuple[ResNet, ResNet]:
    """A plain net with identity blocks appended to each stage: the solution "by construction" of He
    et al. 2015, section 1.

    An identity layer is a Dirac kernel under a batch normalisation whose running moments and affine
    cancel; the ReLU that follows leaves the non-negative output of the stage alone.

    Args:
      params, running: a trained plain net of 3n blocks and its running moments.
      blocks_per_stage: blocks of each stage of the result, at least n.

    Returns:
      (params, running) of the deeper net, which computes the same function with these running
      moments.
    """
    n = len(params.blocks) // 3
    deeper, moments = [], []
    for stage in range(3):
        own = slice(stage * n, (stage + 1) * n)
        channels = params.blocks[own][-1].conv2.w.shape[-1]
        w = np.pad(np.eye(channels, dtype=np.float32)[None, None], ((1, 1), (1, 1), (0, 0), (0, 0)))
        layer = ConvBN(
            w=w,
            bn=BatchNorm(gamma=np.ones(channels, np.float32), beta=np.zeros(channels, np.float32)),
        )
        still = Moments(
            mean=np.zeros(channels, np.float32), var=np.full(channels, 1 - EPSILON, np.float32)
        )
        extra = blocks_per_stage - n
        deeper += [*params.blocks[own], *[Block(layer, layer, ())] * extra]
        moments += [*running.blocks[own], *[Block(still, still, ())] * extra]
    return params._replace(blocks=tuple(deeper)), running._replace(blocks=tuple(moments))


def _layers(seen: Probes) -> list[Seen]:
    return [seen[name] for name in sorted(seen) if name[0] == "layer"]


def _branches(seen: Probes) -> list[tuple[Array, Array]]:
    """(x, F(x)) of every block; F ends with the block's second layer, before the addition."""
    blocks = sum(name[0] == "block" for name in seen)
    return [(seen["block", b - 1].value, seen["layer", 2 * b + 1].value) for b in range(1, blocks)]


def _gradient_norms(seen: Probes) -> Array:
    return jnp.stack([jnp.linalg.norm(y.gradient) for y in _layers(seen)])


def _relative_error(x: Array, y: Array) -> Array:
    return jnp.linalg.norm(x - y) / jnp.linalg.norm(x)


def _rms(x: Array) -> Array:
    return jnp.sqrt(jnp.mean(jnp.square(x)))
