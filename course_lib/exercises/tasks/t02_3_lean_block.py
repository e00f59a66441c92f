from torch import nn
from torch.nn import functional as F

from course_lib.exercises.draw import Draw
from course_lib.exercises.task import Task, Wrong, call, expect_shape, refuse, shown


class LeanBlock(Task):
    number, title, name, points = "02.3", "A block without the needless bias", "lean_block", 2
    statement = """
Batch norm subtracts the mean of each channel, so a bias that the convolution has added is gone at once. Write the
block of the lesson without it: one `nn.Conv2d` with an odd kernel (`kernel=3` unless it is given) that keeps height
and width, `nn.BatchNorm2d`, ReLU, and max pooling that halves both sides. The block is a module, and its convolution
has a weight and no other parameter.
"""
    hints = (
        "`nn.Conv2d` has an argument `bias`; batch norm keeps its own offset.",
        "The padding that keeps the size depends on the kernel: 1 for 3, 2 for 5.",
        "In the order of the lesson: convolution, batch norm, ReLU, pooling.",
    )
    notice = (
        "The gradient of such a bias is zero in training mode, up to rounding, so training would never move it. "
        "No convolution of torchvision's ResNets has one."
    )
    given = "drawn images and weights"
    drawn = "kernel", (3, 5, 7)
    otherwise = {
        "the output in training mode": "In evaluation mode it was right. What acts in training alone? The block of the "
        "lesson has no dropout."
    }

    def inputs(self, draw):
        a, b, c = draw.number(1, 4), draw.number(5, 8), draw.number(4, 8)
        for sizes in ((3, 6, 3), (2, 4, 5), (1, 5, 1), (a, b, 3), (3, c, 5)):
            yield draw.normal(4, sizes[0], 9, 12), draw.number(0, 10**6), sizes

    def shown(self, images, seed, sizes):
        return f"the module {self.name}{sizes} and images {tuple(images.shape)}"

    def use(self, answer, images, seed, sizes):
        block = answer(*sizes)
        if not isinstance(block, nn.Module):
            raise Wrong(shown(block), "a module", "Does the function end with `return` and an nn.Sequential?")
        self.look_at(block, sizes)
        Draw(seed).filled(block)
        return {
            "the output in evaluation mode": call(block.eval(), images),
            "the output in training mode": block.train()(images),
        }

    def look_at(self, block, sizes):
        name, (inputs, outputs, kernel) = f"{self.name}{sizes}", sizes
        kinds = [[m for m in block.modules() if isinstance(m, kind)] for kind in (nn.Conv2d, nn.BatchNorm2d)]
        counts = tuple(map(len, kinds))
        refuse("one of each", (counts != (1, 1), f"{name} has {counts} nn.Conv2d and nn.BatchNorm2d", ""))
        (conv,), (norm,) = kinds
        if conv.bias is not None:
            slip = "" if conv.bias.any() else "A bias of zeros is still a parameter. "
            slip += "`bias=False` leaves it out."
            raise Wrong(f"a convolution with {conv.bias.numel()} biases", "one with a weight alone", slip)
        swapped = {(inputs, outputs, kernel, kernel): "`nn.Conv2d` takes the number of input channels first."}
        expect_shape(conv.weight, (outputs, inputs, kernel, kernel), f"the convolution's weight in {name}", swapped)
        width, behind = norm.num_features, "It stands behind the convolution, and so sees out_channels."
        affine = "Its offset takes over from the bias of the convolution, so `affine` stays True."
        alone = "Without running statistics the other images of a batch change a prediction: leave the default."
        refuse(f"nn.BatchNorm2d({outputs})", (width != outputs, f"nn.BatchNorm2d({width})", behind))
        refuse("one with both", (norm.bias is None, "a batch norm without scale and offset", affine))
        refuse("one with both", (norm.running_mean is None, "a batch norm without running mean and variance", alone))


# Answers


def lean_block(in_channels: int, out_channels: int, kernel: int = 3) -> nn.Module:
    """A module from (N, in_channels, H, W) to (N, out_channels, H // 2, W // 2)."""
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, kernel, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(),
        nn.MaxPool2d(2),
    )


def zero_bias(*sizes):
    block = lean_block(*sizes)
    block[0].bias = nn.Parameter(0 * block[1].weight.detach())
    return block


class AsClass(nn.Module):
    def __init__(self, in_channels, out_channels, kernel=3):
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, kernel, padding="same")
        self.conv.bias = None
        self.norm = nn.BatchNorm2d(out_channels)

    def forward(self, images):
        return F.relu(F.max_pool2d(self.norm(self.conv(images)), 2))  # ReLU and maximum can change places


NORM, RELU, POOL = "nn.BatchNorm2d(out_channels),", "nn.ReLU(),", "nn.MaxPool2d(2),"
slips = [
    ({RELU: ""}, "ReLU is missing: negative numbers come through."),
    ({"MaxPool2d": "AvgPool2d"}, "That pools by the mean; the largest number of each window is asked for."),
    ({RELU: "", NORM: RELU + NORM}, "ReLU belongs behind batch norm, not before it."),
    ({POOL: "", NORM: POOL + NORM}, "Pooling comes last; before batch norm it chooses others."),
    ({NORM: "", POOL: POOL + NORM}, "Batch norm belongs directly behind the convolution."),
    ({POOL: ""}, "Pooling is missing."),
    (
        {POOL: "", "bias=False": "bias=False, stride=2"},
        "A stride of 2 skips every second position; pooling looks at all of them.",
    ),
    ({"padding=kernel // 2, ": ""}, "Without padding the convolution shrinks the maps."),
    ({"kernel // 2": "1"}, "A padding of 1 fits a kernel of 3; let it grow with the kernel."),
]
also_wrong = [
    ({", bias=False": ""}, "`bias=False`"),
    (zero_bias, "bias of zeros"),
    ({NORM: "nn.BatchNorm2d(out_channels, affine=False),"}, "`affine` stays"),
    ({NORM: "nn.BatchNorm2d(in_channels),"}, "so sees out_channels"),
    ({NORM: "nn.BatchNorm2d(out_channels, track_running_stats=False),"}, "running statistics"),
    ({POOL: POOL + "nn.Dropout2d(0.5),"}, "no dropout"),
    ({"in_channels, out_channels, kernel": "out_channels, in_channels, kernel"}, "number of input channels first"),
    ({"kernel: int = 3": "kernel: int = 9"}, "Leave the page's defaults"),
    (lambda *sizes: list(lean_block(*sizes)), "and an nn.Sequential"),
]
also_right = [AsClass]
