"""What the study claims, in words. All claims are exact: true or not, without an interval."""

from deepseq.lab.verdicts import About, Claim, Measured, exact

# id | claim | statistic | criterion | source, where there is more than the notes | prediction
TABLE = """
- C-C1 | Neither padding nor stride changes the parameters of a convolution
  | parameters of 3x3, 128 to 64, on 32x32, for every stride and padding | always 73 728
- C-C1 behind | Nor do they change those of a dense layer behind it
  | parameters of a dense layer of 10 units behind it, for every stride and padding | one number
- C-C2 | A kernel is as deep as its input, so a layer has k x k x C_in x C_out weights
  | shapes and parameters of the notes' two layers on 32x32x3
  | 300, 1000, 73 728; outputs 28x28x4 and 24x24x10; a kernel of another depth is refused
- C-C2 filters | What comes out depends on the kernel: one copies, one blurs, others find edges
  | difference from scipy.ndimage.correlate on a photograph, in ranges of a pixel; response to a
    flat picture | at most {tolerance:g}, 0, 0, 1
- C-C2 convolution | What nets call convolution is the convolution of mathematics
  | difference from SciPy's convolution, in ranges of a pixel: it turns kernels round, nets do not
  | at most {tolerance:g}
- C-C3 | Of n pixels, floor((n + 2p - k) / s) + 1 are left
  | sizes that conv2d gives for every image, kernel, stride and padding that fit | all
- C-C3 exercises | 4x4 becomes 2x2, 5x5 stays or becomes 2x2 or 3x3
  | sizes that conv2d gives, kernel and stride after Dumoulin and Visin 2016 | 2, 5, 2, 3
- C-C3 identity | n + 2p = k + s (output - 1), the notes' rule
  | combinations whose size satisfies it: those without a remainder, no others | all
- C-C3 stride | A kernel of 3 takes 2 pixels away at stride 1, and 4 at stride 2
  | pixels taken away, unpadded: at stride 2 about half are left | 2 and 4 for every size
- C-C11 | Two towers halve the connections: conv2 has half the weights
  | weights of AlexNet's conv2 | 307 200, half of 614 400 | Krizhevsky et al. 2012, Figure 2
- C-C11 apart | A tower sees nothing of the other: two groups are two convolutions side by side
  | conv2's shapes: difference from two convolutions; gradient to the other tower's channels, and to
    its own | exactly 0, exactly 0, above 0 | Krizhevsky et al. 2012, Figure 2
- C-C12 | Two convolutions of 3x3 see as much as one of 5x5
  | pixels whose gradient is not 0, with ReLU after each layer; accuracy is not judged here
  | 5 x 5 pixels each | Simonyan, Zisserman 2014, section 2.3
- C-C12 count | Two 3x3 have fewer weights than one 5x5: 18 C^2 against 25 C^2
  | weights at four widths | a ratio of 0.72 | Simonyan, Zisserman 2014, section 2.3
- C-C13 | A 1x1 before a 3x3 takes channels and weights away and keeps height and width
  | weights of 3x3 at 128 channels, and with 1x1 to 32 before it; the most channels that save;
    accuracy not judged | 147 456 to 40 960, 128 channels to 32
- C-C13 dense | A convolution of 1x1 is a dense layer at every pixel
  | largest difference, on whole numbers, whose sums are exact | exactly 0
  | Lin et al. 2013, section 3.1
- C-C13 ReLU | A 1x1 adds a nonlinearity, but only with a ReLU behind it: without, the pair is one
  3x3
  | largest difference from the one 3x3 whose kernel is the product, without and with ReLU between
  | exactly 0, above 0 | Lin et al. 2013, section 3.1
- C-C4 | AlexNet's layers have the weights of the notes' table: rows 1 to 5, 7 and 8
  | weights of the net's layers without biases, beside the notes' products
  | 34 848, 307 200, 884 736, 663 552, 442 368, 16 777 216, 4 096 000
  | Krizhevsky et al. 2012, Figure 2
- C-C4 row 6 | Its fc6 has those of row 6: 13 x 13 x 128 x 2 x 2048 x 2
  | weights of fc6: it reads 6 x 6 x 256, the pooled map, where the row has the map before
  | 177 209 344 | Krizhevsky et al. 2012, Figure 2
- C-C4 sum | The rows of the notes' table add up to the 60 million of the notes' heading
  | sum of the rows' weights | within 5 % of 60 million | Krizhevsky et al. 2012, abstract
- C-C5 | Most parameters of AlexNet and VGG are in the dense layers
  | share of the parameters in dense layers | more than half | claim C-C5 | about 96 and 89 %
- C-C5 all | Most parameters of a convolutional net are in its dense layers
  | share of the parameters in dense layers | more than half in each
- C-C5 trend | From GoogLeNet on, where a mean of the pixels stands before the last layer, less than
  a sixth is
  | share of the parameters in dense layers | below 16.7 %
- C-C5 why | Dense layers are large because the same kernel is applied at all positions
  | multiply-adds per weight: convolutions share and are small, dense layers do not
  | weights of dense layers used more often
- C-C7 depth | Every one of the nets that made the history is deeper than the one before
  | convolutions and dense layers on the longest way through the net's program | 8, 19, 22, 152, 201
- C-C7 | Every one of these nets has fewer parameters than the one before
  | parameters of each net and of the one before | fewer at each of the four steps
- C-C7 ends | The deepest of these nets has fewer parameters than the first
  | parameters of DenseNet-201 over AlexNet's | a ratio below 1
- C-C7 headings | AlexNet: 8 layers, 60 million; VGG: 19 layers, 110 million; GoogLeNet: 22 layers,
  4 million
  | depth and parameters of the nets beside the notes' headings: the depths are right, and AlexNet's
    60 million | within 5 %
- C-C14 | An inception sets several receptive fields side by side: its channels are the sum of its
  branches'
  | channels of the output and of the branches, receptive fields of the branches, all nine blocks
  | sums of the branches; fields 1, 3, 5 and 3 | Szegedy et al. 2014, Figure 2
- C-C14 reducers | With 1x1 before its 3x3 and 5x5, it has several times fewer parameters
  | parameters of the nine blocks without the reducers over those with them
  | at least twice, in every block | Szegedy et al. 2014, Figure 2
- C-R15 | A bottleneck saves weights: 256 channels, 64 inside, against two 3x3 at 256
  | weights of a block of ResNet-50 and of one of ResNet-34 | 69 632 against 1 179 648
  | He et al. 2015, Figure 5
- C-R15 depth | So 50 layers of bottlenecks take about the work of 34 layers of plain blocks
  | multiply-adds of ResNet-50 over ResNet-34's | a ratio within 0.15 of 1 | He et al. 2015, Table 1
  | 3.8 / 3.6
- C-R15 names | Plain blocks are those of 13 and 18 layers, all deeper nets have bottlenecks
  | kinds of the blocks by depth: there is no net of 13 layers, and 34 has plain ones | 13 and 18
- C-R14 | Shortcut A pads with zeros: new channels are F alone, the old ones F + x at every other
  pixel, no parameters
  | largest difference of the outputs of ResNet-8's blocks that change shape, after ReLU
  | exactly 0 each | He et al. 2015, section 3.3
- C-R16 | Stages 2 to 4 of a ResNet halve height and width and double the channels; a mean and a
  dense layer end it
  | sides and channels after the first convolution, the pooling and each stage
  | 112-56-56-28-14-7; 64-256-512-1024-2048 after the stages of ResNet-50 | He et al. 2015, Table 1
- C-R16 first | The first stage halves and doubles, too
  | sides and channels before and after stage 1: it keeps the side, for the pooling has just halved
    it | half the side, twice the channels | He et al. 2015, Table 1
- C-R17 order | Convolution, norm, ReLU, the last ReLU after the addition; with pre-activation norm,
  ReLU, convolution
  | operations of ResNet-8 and its twin in the order of their programs; shown, the first block
  | as the papers' figures 2 and 4 | He et al. 2016, Figures 1 and 4
- C-R17 | After a block of 2015 nothing is negative; after one of 2016 both signs appear
  | least number after any block; the largest of the blocks' least numbers | at least 0; below 0
  | He et al. 2016, section 4.1
- C-D1 | Layer l of a dense block sees k0 + k (l - 1) channels
  | inputs of all layers of four DenseNets | 64, 96, 128, 160 | Huang et al. 2016, section 3
- C-D1 doubling | Concatenation multiplies the channels: 1, 2, 4, 8 times
  | inputs of the first layers of DenseNet-121 over the first's | 1, 2, 4, 8
- C-D2 | A transition (norm, 1x1, mean of 2x2) halves channels, height and width
  | channels into and out of the transitions, sides of the blocks, of DenseNet-121 and
    DenseNet-BC(100, 12) | 256 to 128, 512 to 256, 1024 to 512; 56-28-14-7
  | Huang et al. 2016, section 3
- C-D2 count | With halving transitions and bottlenecks a DenseNet has several times fewer
  parameters
  | parameters without and with bottlenecks and compression, same depth and growth | at least twice
  | Huang et al. 2016, Table 2 | 6 979 642 and 769 162
- C-D3 | Concatenation keeps earlier features, a slice gives them back; addition mixes them
  | change of a block's channels when its last layer gets other weights; of every channel of a
    residual block's sum | exactly 0, exactly 0; above 0, above 0 | Huang et al. 2016, equation (2)
"""
CLAIMS = {
    row[0]: row for row in (" ".join(text.split()).split(" | ") for text in TABLE.split("\n- ")[1:])
}


def verdict(id: str, true: bool, measured: Measured, n: int = 1, **numbers: float) -> Claim:
    """A row of the verdict table: whether the claim's criterion was met, and what was measured.

    ``n`` counts the seeds whose weights it was tried on; ``numbers`` are those of the config that
    the criterion names.
    """
    _, text, statistic, criterion, source, prediction = (*CLAIMS[id], "", "")[:6]
    about = About(id, text, statistic, source or f"claim {id.split()[0]}", prediction)
    return exact(about, true, n, criterion=criterion.format(**numbers), measured=measured)
