"""The claims on the blocks of GoogLeNet, ResNet and DenseNet."""

from collections.abc import Iterator
from itertools import pairwise

from deepseq.lab.verdicts import Claim
from experiments.conv_arithmetic import graph
from experiments.conv_arithmetic.claims import verdict
from experiments.conv_arithmetic.records import Measured

ABOUT = 0.15  # by which the work of two nets may differ and still be about the same
C, N, A, R = graph.CONVOLUTION, graph.NORM, graph.ADDITION, graph.RELU
ORDERS = {
    "post-activation": [C, N, R, *3 * [C, N, R, C, N, A, R]],
    "pre-activation": [C, *3 * [N, R, C, N, R, C, A], N, R],
}


def inceptions(log: Measured) -> Iterator[Claim]:
    """C-C14."""
    rows = log.table("inception")
    true = all(
        row["channels out"] == sum(row["branches"]) and row["fields"] == [1, 3, 5, 3]
        for row in rows
    )
    measured = {f"{row['block']}, channels": row["channels out"] for row in rows}
    yield verdict("C-C14", true, measured)
    reduced, direct = (
        [row[column] for row in rows] for column in ("parameters", "parameters, unreduced")
    )
    ratios = [b / a for a, b in zip(reduced, direct, strict=True)]
    measured = {
        "with": sum(reduced),
        "without": sum(direct),
        "least ratio": min(ratios),
        "largest ratio": max(ratios),
    }
    yield verdict("C-C14 reducers", min(ratios) >= 2, measured)


def bottlenecks(log: Measured) -> Iterator[Claim]:
    """C-R15."""
    table = log.table("bottlenecks")
    measured = {name: table[name] for name in ("bottleneck", "two 3x3")}
    true = [*measured.values()] == [69_632, 1_179_648] and table["widths"] == [64, 64, 256]
    yield verdict("C-R15", true, measured)

    fifty, thirty = (log.net(name)["multiply-adds"] for name in ("ResNet-50", "ResNet-34"))
    measured = {
        "ResNet-50, multiply-adds × 10⁹": fifty / 1e9,
        "ResNet-34, multiply-adds × 10⁹": thirty / 1e9,
        "ratio": fifty / thirty,
        "ratio if it strides first": (fifty - table["saved by striding first"]) / thirty,
    }
    yield verdict("C-R15 depth", abs(measured["ratio"] - 1) <= ABOUT, measured)

    plain = [depth for depth, kind in table["kinds"].items() if kind == "Block"]
    measured = {
        f"{depth} layers": "two 3x3" if depth in plain else "bottleneck" for depth in table["kinds"]
    }
    yield verdict("C-R15 names", not table["refused"] and plain == ["13", "18"], measured)


def residual(log: Measured) -> Iterator[Claim]:
    """C-R14, C-R16, C-R17."""
    n, seeds, nets = len(log.seeds), log.each("additions"), log.table("stages")
    shortcut = ("new channels from F", "old channels from F + x", "parameters of the shortcuts")
    measured = log.worst("additions", *shortcut)
    yield verdict("C-R14", not any(measured.values()), measured, n)

    later, first, ended = [], [], []
    for net in nets.values():
        maps = list(zip(net["sides"], net["channels"], strict=True))
        halved = [(a, 2 * c) == (2 * b, d) for (a, c), (b, d) in pairwise(maps)]
        later += halved[2:]
        first.append(halved[1])
        ended.append([name for name, *_ in net["last"]] == ["global_average_pool", "head"])
    measured = {
        f"ResNet-{depth}, {what}": "-".join(map(str, net[what]))
        for what in ("sides", "channels")
        for depth, net in nets.items()
    }
    yield verdict("C-R16", all(later) and all(ended), measured)
    measured = {
        f"ResNet-{depth}, channels in and out": "{1}, {2}".format(*net["channels"])
        for depth, net in nets.items()
    }
    measured["sides"] = "{1}, {2}".format(*nets["50"]["sides"])
    yield verdict("C-R16 first", all(first), measured)

    orders = log.table("order")
    first_block = {"post-activation": slice(3, 10), "pre-activation": slice(1, 8)}
    measured = {name: ", ".join(orders[name][block]) for name, block in first_block.items()}
    yield verdict("C-R17 order", orders == ORDERS, measured)
    post, pre = "least, post-activation", "least, pre-activation"
    both = all(
        values[post] >= 0 > values[pre]
        and min(values["largest, pre-activation"], values["largest, post-activation"]) > 0
        for values in seeds
    )
    measured = log.worst("additions", post, of=min) | log.worst("additions", pre)
    yield verdict("C-R17", both, measured, n)


def dense(log: Measured) -> Iterator[Claim]:
    """C-D1 to C-D3."""
    nets = log.table("growth")
    blocks = [(row, net["growth"]) for net in nets.values() for row in net["inputs"]]
    first = nets["DenseNet-121"]["inputs"][0]
    linear = all(row == [row[0] + k * layer for layer in range(len(row))] for row, k in blocks)
    measured = {f"DenseNet-121, block 1, layer {i + 1}": c for i, c in enumerate(first[:4])}
    yield verdict("C-D1", linear, measured)
    doubling = all(row == [row[0] * 2**layer for layer in range(len(row))] for row, _ in blocks)
    measured = {f"layer {i + 1}, times the first": c / first[0] for i, c in enumerate(first[:4])}
    yield verdict("C-D1 doubling", doubling, measured)

    halving = [nets[name] for name in ("DenseNet-121", "DenseNet-BC(100, 12)")]
    shrinks = all(
        c_in == 2 * c_out == channels and side == 2 * after
        for net in halving
        for (c_in, c_out), ((side, channels), (after, _)) in zip(
            net["transitions"], pairwise(net["maps"]), strict=True
        )
    )
    measured = {
        f"DenseNet-121, transition {b + 1}": f"{c_in} to {c_out}"
        for b, (c_in, c_out) in enumerate(halving[0]["transitions"])
    }
    measured["sides"] = "-".join(str(side) for side, _ in halving[0]["maps"])
    yield verdict("C-D2", shrinks, measured)
    measured = {
        name: nets[name]["parameters"] for name in ("DenseNet(100, 12)", "DenseNet-BC(100, 12)")
    }
    plain, bc = measured.values()
    yield verdict("C-D2 count", bc * 2 <= plain, measured | {"ratio": plain / bc})

    kept = log.worst("slices", "their change", "first channels from the block's input")
    changes = ("the new ones' change", "least change of a channel of a sum")
    changed = log.worst("slices", *changes, of=min)
    true = not any(kept.values()) and min(changed.values()) > 0
    yield verdict("C-D3", true, kept | changed, len(log.seeds))


JUDGES = (inceptions, bottlenecks, residual, dense)  # in the order of the table
