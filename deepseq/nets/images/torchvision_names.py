"""Where torchvision keeps each parameter of a net that it has too: one mapping per net, for
``deepseq.train.weights``.

Each takes a net's parameters and batch moments, or their shapes, and returns the same two trees
with an ``Entry`` for each array."""

import dataclasses
from typing import Any

import jax
import numpy as np

from deepseq.nets.blocks.layers import BatchNorm, Conv, Dense, Moments
from deepseq.nets.images import alexnet, densenet, googlenet, resnet, vgg

__all__ = [
    "BRANCHES",
    "Entry",
    "Names",
    "names_of_densenet",
    "names_of_googlenet",
    "names_of_googlenet_batch_norm",
    "names_of_resnet",
    "names_of_single_tower",
    "names_of_vgg",
]

Names = tuple[Any, Any]  # of the parameters and of the moments
# of an inception
BRANCHES = ("branch1", "branch2.0", "branch2.1", "branch3.0", "branch3.1", "branch4.1")


@dataclasses.dataclass(frozen=True)
class Entry:
    """Name and layout of an array in torch's files; a leaf of a tree."""

    name: str
    # Axes of torch's array in our order; OIHW -> HWIO, (out, in) -> (in, out).
    axes: tuple[int, ...]
    # What torch's array is before its axes are ordered, where a dense layer reads maps: (out, C, H,
    # W).
    maps: tuple[int, ...] | None = None

    def ours(self, theirs: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        """Torch's array, of ``their_shape(shape)``, as we have it."""
        cut = theirs if self.maps is None else theirs.reshape(self.maps)
        return cut.transpose(self.axes).reshape(shape)

    def theirs(self, ours: np.ndarray) -> np.ndarray:
        """Our array as torch has it."""
        cut = ours if self.maps is None else ours.reshape([self.maps[axis] for axis in self.axes])
        back = cut.transpose(np.argsort(self.axes))
        return back if self.maps is None else back.reshape(self.maps[0], -1)

    def their_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape of torch's array for ours of this shape."""
        if self.maps is not None:
            return self.maps[0], int(np.prod(self.maps[1:]))
        return tuple(shape[i] for i in np.argsort(self.axes))


def names_of_single_tower(params: alexnet.AlexNet, moments: tuple = ()) -> Names:
    """torchvision's alexnet, ``alexnet.single_tower``."""
    convs = (_conv(f"features.{i}") for i in (0, 3, 6, 8, 10))
    fc6 = _dense_of_maps("classifier.1", params.fc6.w, params.conv5.w.shape[-1])
    return alexnet.AlexNet(*convs, fc6, _dense("classifier.4"), _dense("classifier.6")), moments


def names_of_vgg(params: vgg.VGG, moments: tuple = ()) -> Names:
    """torchvision's vgg11, 13, 16 and 19, those without batch norm."""
    stages, at = [], 0
    for stage in params.stages:
        stages.append(tuple(_conv(f"features.{at + 2 * i}") for i in range(len(stage))))
        at += 2 * len(stage) + 1  # each with its ReLU, and the pooling
    fc6 = _dense_of_maps("classifier.0", params.fc6.w, params.stages[-1][-1].w.shape[-1])
    return vgg.VGG(tuple(stages), fc6, _dense("classifier.3"), _dense("classifier.6")), moments


def names_of_googlenet(params: googlenet.GoogLeNet, moments: tuple = ()) -> Names:
    """torchvision's places in the paper's net; its own net is ``googlenet_batch_norm``."""
    blocks = (
        googlenet.Inception(*(_conv(f"inception{name}.{place}.conv") for place in BRANCHES))
        for name in googlenet.TABLE
    )
    auxiliary = []
    for i, classifier in enumerate(params.auxiliary, start=1):
        fc1 = _dense_of_maps(f"aux{i}.fc1", classifier.fc1.w, classifier.conv.w.shape[-1])
        auxiliary.append(
            googlenet.Auxiliary(_conv(f"aux{i}.conv.conv"), fc1, _dense(f"aux{i}.fc2"))
        )
    first = (_conv(f"conv{i}.conv") for i in (1, 2, 3))
    return googlenet.GoogLeNet(*first, tuple(blocks), _dense("fc"), tuple(auxiliary)), moments


def names_of_googlenet_batch_norm(
    params: googlenet.GoogLeNet, moments: googlenet.GoogLeNet
) -> Names:
    """torchvision's googlenet, ``googlenet_batch_norm``."""

    def names(which: int) -> googlenet.GoogLeNet:
        """0: of the parameters, 1: of the moments, which dense layers have none of."""

        def unit(place: str) -> Any:
            return _conv_bn(f"{place}.conv", f"{place}.bn")[which]

        def head(number: int, own: googlenet.Auxiliary) -> googlenet.Auxiliary:
            fc1 = _dense_of_maps(f"aux{number}.fc1", own.fc1.w, own.conv.w.shape[-1])
            dense = ((), ()) if which else (fc1, _dense(f"aux{number}.fc2"))
            return googlenet.Auxiliary(unit(f"aux{number}.conv"), *dense)

        blocks = (
            googlenet.Inception(*(unit(f"inception{name}.{place}") for place in BRANCHES))
            for name in googlenet.TABLE
        )
        heads = (head(number, own) for number, own in enumerate(params.auxiliary, start=1))
        fc = () if which else _dense("fc")
        return googlenet.GoogLeNet(
            *(unit(f"conv{i}") for i in (1, 2, 3)), tuple(blocks), fc, tuple(heads)
        )

    return names(0), names(1)


def names_of_resnet(params: resnet.ResNet, moments: resnet.ResNet) -> Names:
    """torchvision's resnet18, 34, 50, 101 and 152, ``resnet.imagenet`` with shortcuts B."""
    stages = next(
        blocks for depth, blocks in resnet.BLOCKS.items() if _is(params, depth, sum(blocks))
    )
    places = [
        f"layer{stage}.{i}" for stage, count in enumerate(stages, start=1) for i in range(count)
    ]

    def block(params: resnet.Block | resnet.Bottleneck, place: str) -> Any:
        convs = (_conv_bn(f"{place}.conv{i}", f"{place}.bn{i}") for i in range(1, len(params)))
        short = (
            _conv_bn(f"{place}.downsample.0", f"{place}.downsample.1")
            if params.shortcut
            else ((), ())
        )
        pairs = (*convs, short)
        return tuple(type(params)(*(pair[i] for pair in pairs)) for i in range(2))

    blocks = [block(p, place) for p, place in zip(params.blocks, places, strict=True)]
    stem = _conv_bn("conv1", "bn1")
    return (
        resnet.ResNet(stem[0], tuple(b[0] for b in blocks), _dense("fc")),
        resnet.ResNet(stem[1], tuple(b[1] for b in blocks), ()),
    )


def names_of_densenet(params: densenet.DenseNet, moments: densenet.DenseNet) -> Names:
    """torchvision's densenet121, 161, 169 and 201."""

    def bn_conv(norm: str, conv: str) -> tuple[Any, Any]:
        return densenet.BNConv(_bn(norm), _kernel(conv)), densenet.BNConv(_moments(norm), ())

    def layer(block: int, i: int) -> tuple[Any, Any]:
        place = f"features.denseblock{block}.denselayer{i}"
        pairs = [bn_conv(f"{place}.norm{j}", f"{place}.conv{j}") for j in (1, 2)]
        return tuple(p for p, _ in pairs), tuple(m for _, m in pairs)

    blocks = [
        [layer(b, i) for i in range(1, len(block) + 1)]
        for b, block in enumerate(params.blocks, start=1)
    ]
    places = (f"features.transition{b}" for b in range(1, len(params.transitions) + 1))
    between = [bn_conv(f"{place}.norm", f"{place}.conv") for place in places]
    return (
        densenet.DenseNet(
            densenet.Stem(_kernel("features.conv0"), _bn("features.norm0")),
            tuple(tuple(p for p, _ in block) for block in blocks),
            tuple(p for p, _ in between),
            _bn("features.norm5"),
            _dense("classifier"),
        ),
        densenet.DenseNet(
            densenet.Stem((), _moments("features.norm0")),
            tuple(tuple(m for _, m in block) for block in blocks),
            tuple(m for _, m in between),
            _moments("features.norm5"),
            (),
        ),
    )


def _is(params: resnet.ResNet, depth: int, blocks: int) -> bool:
    return len(params.blocks) == blocks and isinstance(params.blocks[0], resnet.Bottleneck) == (
        depth >= 50
    )


def _kernel(name: str) -> Entry:
    return Entry(f"{name}.weight", (2, 3, 1, 0))


def _conv(name: str) -> Conv:
    return Conv(_kernel(name), Entry(f"{name}.bias", (0,)))


def _dense(name: str) -> Dense:
    return Dense(Entry(f"{name}.weight", (1, 0)), Entry(f"{name}.bias", (0,)))


def _dense_of_maps(name: str, w: jax.ShapeDtypeStruct, channels: int) -> Dense:
    """A dense layer on (H, W, C) of ours, flattened, where torch flattens (C, H, W)."""
    side = int(np.sqrt(w.shape[0] // channels))
    return Dense(
        Entry(f"{name}.weight", (2, 3, 1, 0), (w.shape[1], channels, side, side)),
        Entry(f"{name}.bias", (0,)),
    )


def _bn(name: str) -> BatchNorm:
    return BatchNorm(Entry(f"{name}.weight", (0,)), Entry(f"{name}.bias", (0,)))


def _moments(name: str) -> Moments:
    return Moments(Entry(f"{name}.running_mean", (0,)), Entry(f"{name}.running_var", (0,)))


def _conv_bn(conv: str, bn: str) -> tuple[resnet.ConvBN, Any]:
    return resnet.ConvBN(_kernel(conv), _bn(bn)), _moments(bn)
