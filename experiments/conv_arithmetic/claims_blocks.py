"""The verdicts on the blocks of GoogLeNet, ResNet and DenseNet."""

from experiments.conv_arithmetic.claims import judged
from experiments.conv_arithmetic.graph import ADDITION, CONVOLUTION, NORM, RELU
from experiments.conv_arithmetic.records import Found

SZEGEDY = "Szegedy et al. 2014 (arXiv 1409.4842)"
HE, HE_2016 = "He et al. 2015 (arXiv 1512.03385)", "He et al. 2016 (arXiv 1603.05027)"
HUANG = "Huang et al. 2016 (arXiv 1608.06993)"
ABOUT = 0.15  # by which the work of two nets may differ and still be about the same
POST = [CONVOLUTION, NORM, RELU, *3 * [CONVOLUTION, NORM, RELU, CONVOLUTION, NORM, ADDITION, RELU]]
PRE = [CONVOLUTION, *3 * [NORM, RELU, CONVOLUTION, NORM, RELU, CONVOLUTION, ADDITION], NORM, RELU]


def blocks(found: Found) -> list[dict]:
    """All rows on blocks."""
    return inceptions(found) + bottlenecks(found) + residual(found) + dense(found)


def inceptions(found: Found) -> list[dict]:
    """C-C14."""
    rows = found.table("inception")
    ratios = {row["block"]: row["parameters, unreduced"] / row["parameters"] for row in rows}
    total, direct = (
        sum(row[column] for row in rows) for column in ("parameters", "parameters, unreduced")
    )
    return [
        judged(
            "C-C14",
            "An inception sets several receptive fields side by side: its channels are the sum of"
            " its branches'",
            all(
                row["channels out"] == sum(row["branches"]) and row["fields"] == [1, 3, 5, 3]
                for row in rows
            ),
            {f"{row['block']}, channels": row["channels out"] for row in rows},
            "sums of the branches; fields 1, 3, 5 and 3",
            "channels of the output and of the branches, receptive fields of the branches, all nine"
            " blocks",
            SZEGEDY,
        ),
        judged(
            "C-C14 reducers",
            "With 1x1 before its 3x3 and 5x5, it has several times fewer parameters",
            min(ratios.values()) >= 2,
            {
                "with": total,
                "without": direct,
                "least ratio": min(ratios.values()),
                "largest ratio": max(ratios.values()),
            },
            "at least twice, in every block",
            "parameters of the nine blocks without the reducers over those with them",
            SZEGEDY,
        ),
    ]


def bottlenecks(found: Found) -> list[dict]:
    """C-R15."""
    own = found.table("bottlenecks")
    fifty, thirty = found.net("ResNet-50"), found.net("ResNet-34")
    work = fifty["multiply-adds"] / thirty["multiply-adds"]
    first = (fifty["multiply-adds"] - own["saved by striding first"]) / thirty["multiply-adds"]
    return [
        judged(
            "C-R15",
            "A bottleneck saves weights: 256 channels, 64 inside, against two 3x3 at 256",
            (own["bottleneck"], own["two 3x3"]) == (69_632, 1_179_648)
            and own["widths"] == [64, 64, 256],
            {"bottleneck": own["bottleneck"], "two 3x3": own["two 3x3"]},
            "69 632 against 1 179 648",
            "weights of a block of ResNet-50 and of one of ResNet-34",
            HE,
        ),
        judged(
            "C-R15 depth",
            "So 50 layers of bottlenecks take about the work of 34 layers of plain blocks",
            abs(work - 1) <= ABOUT,
            {
                "ResNet-50, multiply-adds × 10⁹": fifty["multiply-adds"] / 1e9,
                "ResNet-34, multiply-adds × 10⁹": thirty["multiply-adds"] / 1e9,
                "ratio": work,
                "ratio if it strides first": first,
            },
            f"a ratio within {ABOUT} of 1; the paper's is 3.8 / 3.6",
            "multiply-adds of ResNet-50 over ResNet-34's",
            HE,
        ),
        judged(
            "C-R15 names",
            "Plain blocks are those of 13 and 18 layers, all deeper nets have bottlenecks",
            not own["refused"]
            and [d for d, kind in own["kinds"].items() if kind == "Block"] == ["13", "18"],
            {
                f"{depth} layers": "two 3x3" if kind == "Block" else "bottleneck"
                for depth, kind in own["kinds"].items()
            },
            "13 and 18",
            "kinds of the blocks by depth: there is no net of 13 layers, and 34 has plain ones",
            "the notes on residual networks",
        ),
    ]


def residual(found: Found) -> list[dict]:
    """C-R14, C-R16, C-R17."""
    n, seeds = len(found.seeds), found.each("additions")
    copied = "old channels from F + x"
    post, pre = "least, post-activation", "least, pre-activation"
    maps, orders = found.table("stages"), found.table("order")
    later = all(
        a == 2 * b
        for own in maps.values()
        for a, b in zip(own["sides"][2:-1], own["sides"][3:], strict=True)
    ) and all(
        2 * a == b
        for own in maps.values()
        for a, b in zip(own["channels"][2:-1], own["channels"][3:], strict=True)
    )
    first = all(
        own["sides"][1] == 2 * own["sides"][2] and 2 * own["channels"][1] == own["channels"][2]
        for own in maps.values()
    )
    ends = [own["last"] for own in maps.values()]
    return [
        judged(
            "C-R14",
            "Shortcut A pads with zeros: new channels are F alone, the old ones F + x at every"
            " other pixel, no parameters",
            all(
                f["new channels from F"] == f[copied] == f["parameters of the shortcuts"] == 0
                for f in seeds
            ),
            found.worst("additions", "new channels from F")
            | found.worst("additions", copied)
            | found.worst("additions", "parameters of the shortcuts"),
            "exactly 0 each",
            "largest difference of the outputs of ResNet-8's blocks that change shape, after ReLU",
            HE,
            n,
        ),
        judged(
            "C-R16",
            "Stages 2 to 4 of a ResNet halve height and width and double the channels; a mean and a"
            " dense layer end it",
            later
            and all([row[0] for row in last] == ["global_average_pool", "head"] for last in ends),
            {
                f"ResNet-{depth}, sides": "-".join(map(str, own["sides"]))
                for depth, own in maps.items()
            }
            | {
                f"ResNet-{depth}, channels": "-".join(map(str, own["channels"]))
                for depth, own in maps.items()
            },
            "112-56-56-28-14-7; 64-256-512-1024-2048 after the stages of ResNet-50",
            "sides and channels after the first convolution, the pooling and each stage",
            HE,
        ),
        judged(
            "C-R16 first",
            "The first stage halves and doubles, too",
            first,
            {
                f"ResNet-{d}, channels in and out": f"{own['channels'][1]}, {own['channels'][2]}"
                for d, own in maps.items()
            }
            | {"sides": f"{maps['50']['sides'][1]}, {maps['50']['sides'][2]}"},
            "half the side, twice the channels",
            "sides and channels before and after stage 1: it keeps the side, for the pooling has"
            " just halved it",
            HE,
        ),
        judged(
            "C-R17 order",
            "Convolution, norm, ReLU, the last ReLU after the addition; with pre-activation norm,"
            " ReLU, convolution",
            orders["post-activation"] == POST and orders["pre-activation"] == PRE,
            {
                name: ", ".join(own[3:10] if name.startswith("post") else own[1:8])
                for name, own in orders.items()
            },
            "as the papers' figures 2 and 4",
            "operations of ResNet-8 and its twin in the order of their programs; shown, the first"
            " block",
            HE_2016,
        ),
        judged(
            "C-R17",
            "After a block of 2015 nothing is negative; after one of 2016 both signs appear",
            all(
                f[post] >= 0 > f[pre]
                and min(f["largest, pre-activation"], f["largest, post-activation"]) > 0
                for f in seeds
            ),
            found.worst("additions", post, min) | found.worst("additions", pre),
            "at least 0; below 0",
            "least number after any block; the largest of the blocks' least numbers",
            HE_2016,
            n,
        ),
    ]


def dense(found: Found) -> list[dict]:
    """C-D1 to C-D3."""
    nets, n = found.table("growth"), len(found.seeds)
    linear = all(
        row == [row[0] + own["growth"] * layer for layer in range(len(row))]
        for own in nets.values()
        for row in own["inputs"]
    )
    doubling = all(
        row == [row[0] * 2**layer for layer in range(len(row))]
        for own in nets.values()
        for row in own["inputs"]
    )
    first = nets["DenseNet-121"]["inputs"][0]
    halved = nets["DenseNet-121"], nets["DenseNet-BC(100, 12)"]
    shrinks = all(
        c_in == 2 * c_out
        and own["maps"][b][0] == 2 * own["maps"][b + 1][0]
        and own["maps"][b][1] == c_in
        for own in halved
        for b, (c_in, c_out) in enumerate(own["transitions"])
    )
    plain, bc = (nets[name]["parameters"] for name in ("DenseNet(100, 12)", "DenseNet-BC(100, 12)"))
    kept = ("their change", "first channels from the block's input")
    changed = ("the new ones' change", "least change of a channel of a sum")
    return [
        judged(
            "C-D1",
            "Layer l of a dense block sees k0 + k (l - 1) channels",
            linear,
            {
                f"DenseNet-121, block 1, layer {layer + 1}": channels
                for layer, channels in enumerate(first[:4])
            },
            "64, 96, 128, 160",
            "inputs of all layers of four DenseNets",
            HUANG,
        ),
        judged(
            "C-D1 doubling",
            "Concatenation multiplies the channels: 1, 2, 4, 8 times",
            doubling,
            {
                f"layer {layer + 1}, times the first": channels / first[0]
                for layer, channels in enumerate(first[:4])
            },
            "1, 2, 4, 8",
            "inputs of the first layers of DenseNet-121 over the first's",
            "the notes on modern nets",
        ),
        judged(
            "C-D2",
            "A transition (norm, 1x1, mean of 2x2) halves channels, height and width",
            shrinks,
            {
                f"DenseNet-121, transition {b + 1}": f"{i} to {o}"
                for b, (i, o) in enumerate(halved[0]["transitions"])
            }
            | {"sides": "-".join(str(side) for side, _ in halved[0]["maps"])},
            "256 to 128, 512 to 256, 1024 to 512; 56-28-14-7",
            "channels into and out of the transitions, sides of the blocks, of DenseNet-121 and"
            " DenseNet-BC(100, 12)",
            HUANG,
        ),
        judged(
            "C-D2 count",
            "With halving transitions and bottlenecks a DenseNet has several times fewer"
            " parameters",
            bc * 2 <= plain,
            {"DenseNet(100, 12)": plain, "DenseNet-BC(100, 12)": bc, "ratio": plain / bc},
            "6 979 642 and 769 162",
            "parameters without and with bottlenecks and compression, same depth and growth",
            HUANG,
        ),
        judged(
            "C-D3",
            "Concatenation keeps earlier features, a slice gives them back; addition mixes them",
            all(
                all(f[name] == 0 for name in kept) and all(f[name] > 0 for name in changed)
                for f in found.each("slices")
            ),
            {name: found.worst("slices", name)[name] for name in kept}
            | {name: found.worst("slices", name, min)[name] for name in changed},
            "exactly 0, exactly 0; above 0, above 0",
            "change of a block's channels when its last layer gets other weights; of every channel"
            " of a residual block's sum",
            HUANG,
            n,
        ),
    ]
