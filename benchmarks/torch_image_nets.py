"""torchvision's image nets, written again in torch with its names, to compare with: not their code,
but their architecture.
"""

import torch
from torch import nn


def alexnet(classes, side):
    def conv(*args, **how):
        return [nn.Conv2d(*args, **how), nn.ReLU()]

    features = nn.Sequential(
        *conv(3, 64, 11, stride=4, padding=2),
        nn.MaxPool2d(3, 2),
        *conv(64, 192, 5, padding=2),
        nn.MaxPool2d(3, 2),
        *conv(192, 384, 3, padding=1),
        *conv(384, 256, 3, padding=1),
        *conv(256, 256, 3, padding=1),
        nn.MaxPool2d(3, 2),
    )
    classifier = nn.Sequential(
        nn.Dropout(),
        nn.Linear(256 * side**2, 4096),
        nn.ReLU(),
        nn.Dropout(),
        nn.Linear(4096, 4096),
        nn.ReLU(),
        nn.Linear(4096, classes),
    )
    return Two(features, classifier)


class Two(nn.Module):
    def __init__(self, features, classifier):
        super().__init__()
        self.features, self.classifier = features, classifier

    def forward(self, x):
        return self.classifier(self.features(x).flatten(1))


def vgg(stages, classes, side):
    layers, c_in = [], 3
    for count, c_out in zip(stages, (64, 128, 256, 512, 512), strict=True):
        for _ in range(count):
            layers += [nn.Conv2d(c_in, c_out, 3, padding=1), nn.ReLU()]
            c_in = c_out
        layers.append(nn.MaxPool2d(2))
    dense = [
        nn.Linear(512 * side**2, 4096),
        nn.ReLU(),
        nn.Dropout(),
        nn.Linear(4096, 4096),
        nn.ReLU(),
        nn.Dropout(),
    ]
    return Two(nn.Sequential(*layers), nn.Sequential(*dense, nn.Linear(4096, classes)))


class Block(nn.Module):
    def __init__(self, c_in, inner, stride, bottleneck):
        super().__init__()
        c_out = inner * (4 if bottleneck else 1)
        plan = [(c_in, inner, 1, 1), (inner, inner, 3, stride), (inner, c_out, 1, 1)]
        plan = plan if bottleneck else [(c_in, inner, 3, stride), (inner, inner, 3, 1)]
        self.count = len(plan)
        for i, (n, m, k, s) in enumerate(plan, start=1):
            setattr(self, f"conv{i}", nn.Conv2d(n, m, k, s, k // 2, bias=False))
            setattr(self, f"bn{i}", nn.BatchNorm2d(m))
        projection = nn.Conv2d(c_in, c_out, 1, stride, bias=False), nn.BatchNorm2d(c_out)
        self.downsample = nn.Sequential(*projection) if stride > 1 or c_in != c_out else None

    def forward(self, x):
        y = x
        for i in range(1, self.count + 1):
            y = getattr(self, f"bn{i}")(getattr(self, f"conv{i}")(y if i == 1 else torch.relu(y)))
        return torch.relu(y + (x if self.downsample is None else self.downsample(x)))


class ResNet(nn.Module):
    def __init__(self, stages, bottleneck, classes):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64)
        c_in = 64
        for stage, count in enumerate(stages):
            blocks = []
            for i in range(count):
                blocks.append(Block(c_in, 64 * 2**stage, 2 if stage and not i else 1, bottleneck))
                c_in = 64 * 2**stage * (4 if bottleneck else 1)
            setattr(self, f"layer{stage + 1}", nn.Sequential(*blocks))
        self.fc = nn.Linear(c_in, classes)

    def forward(self, x):
        x = nn.functional.max_pool2d(torch.relu(self.bn1(self.conv1(x))), 3, 2, 1)
        for stage in range(1, 5):
            x = getattr(self, f"layer{stage}")(x)
        return self.fc(x.mean((2, 3)))


class DenseLayer(nn.Module):
    def __init__(self, c_in, growth):
        super().__init__()
        self.norm1, self.conv1 = nn.BatchNorm2d(c_in), nn.Conv2d(c_in, 4 * growth, 1, bias=False)
        self.norm2, self.conv2 = (
            nn.BatchNorm2d(4 * growth),
            nn.Conv2d(4 * growth, growth, 3, padding=1, bias=False),
        )

    def forward(self, x):
        y = self.conv2(torch.relu(self.norm2(self.conv1(torch.relu(self.norm1(x))))))
        return torch.cat([x, y], 1)


def densenet(blocks, growth, classes):
    channels = 2 * growth
    features = nn.Sequential()
    features.add_module("conv0", nn.Conv2d(3, channels, 7, 2, 3, bias=False))
    features.add_module("norm0", nn.BatchNorm2d(channels))
    features.add_module("relu0", nn.ReLU())
    features.add_module("pool0", nn.MaxPool2d(3, 2, 1))
    for b, count in enumerate(blocks, start=1):
        block = nn.Sequential()
        for i in range(1, count + 1):
            block.add_module(f"denselayer{i}", DenseLayer(channels, growth))
            channels += growth
        features.add_module(f"denseblock{b}", block)
        if b < len(blocks):
            between = nn.Sequential()
            between.add_module("norm", nn.BatchNorm2d(channels))
            between.add_module("relu", nn.ReLU())
            between.add_module("conv", nn.Conv2d(channels, channels // 2, 1, bias=False))
            between.add_module("pool", nn.AvgPool2d(2))
            features.add_module(f"transition{b}", between)
            channels //= 2
    features.add_module("norm5", nn.BatchNorm2d(channels))
    features.add_module("relu5", nn.ReLU())
    features.add_module("mean", nn.AdaptiveAvgPool2d(1))
    return Two(features, nn.Linear(channels, classes))


class Conv(nn.Module):
    def __init__(self, *args, **how):
        super().__init__()
        self.conv = nn.Conv2d(*args, **how)

    def forward(self, x):
        return torch.relu(self.conv(x))


class ConvBN(nn.Module):
    def __init__(self, *args, **how):
        super().__init__()
        self.conv = nn.Conv2d(*args, bias=False, **how)
        self.bn = nn.BatchNorm2d(self.conv.out_channels, eps=1e-3)

    def forward(self, x):
        return torch.relu(self.bn(self.conv(x)))


class Inception(nn.Module):
    def __init__(self, unit, size, c_in, one, three_reduce, three, five_reduce, five, pool):
        super().__init__()
        self.branch1 = unit(c_in, one, 1)
        self.branch2 = nn.Sequential(
            unit(c_in, three_reduce, 1), unit(three_reduce, three, 3, padding=1)
        )
        self.branch3 = nn.Sequential(
            unit(c_in, five_reduce, 1), unit(five_reduce, five, size, padding=size // 2)
        )
        self.branch4 = nn.Sequential(nn.MaxPool2d(3, 1, 1), unit(c_in, pool, 1))

    def forward(self, x):
        return torch.cat([self.branch1(x), self.branch2(x), self.branch3(x), self.branch4(x)], 1)


class Auxiliary(nn.Module):
    def __init__(self, unit, pool, c_in, side, classes):
        super().__init__()
        self.conv, self.fc1, self.fc2 = (
            unit(c_in, 128, 1),
            nn.Linear(128 * side**2, 1024),
            nn.Linear(1024, classes),
        )
        self.pool = pool

    def forward(self, x):
        x = self.conv(self.pool(x)).flatten(1)
        return self.fc2(torch.relu(self.fc1(x)))


class _GoogLeNet(nn.Module):
    def __init__(self, table, unit, size, pool, classes, side):
        super().__init__()
        self.conv1, self.conv2, self.conv3 = (
            unit(3, 64, 7, stride=2, padding=3),
            unit(64, 64, 1),
            unit(64, 192, 3, padding=1),
        )
        c_in = 192
        for name, row in table.items():
            setattr(self, f"inception{name}", Inception(unit, size, c_in, *row))
            c_in = row[0] + row[2] + row[4] + row[5]
        self.names, self.fc = tuple(table), nn.Linear(c_in, classes)
        self.aux1, self.aux2 = (
            (Auxiliary(unit, pool, c, side, classes) for c in (512, 528)) if side else (None, None)
        )

    def _blocks(self, x, last):
        half_way = {}
        for name in self.names:
            if name in ("4a", "5a"):
                x = nn.functional.max_pool2d(x, last if name == "5a" else 3, 2, ceil_mode=True)
            x = half_way[name] = getattr(self, f"inception{name}")(x)
        main = self.fc(x.mean((2, 3)))
        return (
            main
            if self.aux1 is None
            else (main, self.aux1(half_way["4a"]), self.aux2(half_way["4d"]))
        )


class GoogLeNet(_GoogLeNet):
    """With the paper's 5x5 kernels and biases, and without batch norm, other than torchvision's."""

    def __init__(self, table, classes, side):
        super().__init__(table, Conv, 5, nn.AvgPool2d(5, 3), classes, side)
        self.norm = nn.LocalResponseNorm(5, alpha=1e-4, beta=0.75, k=1.0)

    def forward(self, x):
        x = self.norm(nn.functional.max_pool2d(self.conv1(x), 3, 2, ceil_mode=True))
        x = self.norm(self.conv3(self.conv2(x)))
        return self._blocks(nn.functional.max_pool2d(x, 3, 2, ceil_mode=True), 3)


class GoogLeNetBatchNorm(_GoogLeNet):
    """torchvision's."""

    def __init__(self, table, classes, side):
        super().__init__(table, ConvBN, 3, nn.AdaptiveAvgPool2d(4), classes, side)

    def forward(self, x):
        x = self.conv3(self.conv2(nn.functional.max_pool2d(self.conv1(x), 3, 2, ceil_mode=True)))
        return self._blocks(nn.functional.max_pool2d(x, 3, 2, ceil_mode=True), 2)
