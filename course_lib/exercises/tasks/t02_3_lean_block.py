from torch import nn
from torch.nn import functional as F

from course_lib.exercises.draw import Draw
from course_lib.exercises.task import Task, Wrong, call, expect_shape, refuse, shown


class LeanBlock(Task):
    number, title, name, points = "02.3", "A block without the needless bias", "lean_block", 2
    statement = """
Batch norm subtracts the mean of each channel, so a bias that the convolution has added is gone at once. Write the
block of the lesson without it: one `nn.Conv2d` with an odd kernel that keeps height and width, `nn.BatchNorm2d`,
ReLU, and max pooling that halves both sides. The block is a module, and its convolution has a weight and no other
parameter.
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
    otherwise = {
        "the output in training mode": "In evaluation mode it was right. What acts in training alone? The block of the "
        "lesson has no dropout."
    }

    def inputs(self, draw):
        for sizes in ((3, 6), (2, 4, 5), (1, 5, 1), (draw.number(1, 4), draw.number(5, 8)), (3, draw.number(4, 8), 5)):
            yield draw.normal(4, sizes[0], 9, 12), draw.number(0, 10**6), *sizes

    def shown(self, images, seed, *sizes):
        return f"the module {self.name}{sizes} and images {tuple(images.shape)}"

    def use(self, answer, images, seed, *sizes):
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
        name, (inputs, outputs, kernel) = f"{self.name}{sizes}", (*sizes, 3)[:3]
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
        width, affine = (
            norm.num_features,
            "Its offset takes over from the bias of the convolution, so `affine` stays True.",
        )
        behind = "It stands behind the convolution, and so sees out_channels."
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


def chain(*behind, **options):
    """A block that ends in other layers, each made for a number of channels, or has another convolution."""

    def answer(in_channels, out_channels, kernel=3):
        told = {"padding": kernel // 2, "bias": False} | options
        return nn.Sequential(nn.Conv2d(in_channels, out_channels, kernel, **told), *(f(out_channels) for f in behind))

    return answer


def norm(channels):
    return nn.BatchNorm2d(channels)


def relu(channels):
    return nn.ReLU()


def pool(channels):
    return nn.MaxPool2d(2)


def zero_bias(*sizes):
    block = chain(norm, relu, pool, bias=True)(*sizes)
    nn.init.zeros_(block[0].bias)
    return block


def exchanged(i, o, kernel=3):
    return chain(lambda _: nn.BatchNorm2d(i), relu, pool)(o, i, kernel)


class AsClass(nn.Module):
    def __init__(self, in_channels, out_channels, kernel=3):
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, kernel, padding="same")
        self.conv.bias = None
        self.norm = nn.BatchNorm2d(out_channels)

    def forward(self, images):
        return F.relu(F.max_pool2d(self.norm(self.conv(images)), 2))  # ReLU and maximum can change places


slips = [
    (chain(norm, pool), "ReLU is missing: negative numbers come through."),
    (
        chain(norm, relu, lambda _: nn.AvgPool2d(2)),
        "That pools by the mean; the largest number of each window is asked for.",
    ),
    (chain(relu, norm, pool), "ReLU belongs behind batch norm, not before it."),
    (chain(pool, norm, relu), "Pooling comes last; before batch norm it chooses others."),
    (chain(relu, pool, norm), "Batch norm belongs directly behind the convolution."),
    (chain(norm, relu), "Pooling is missing."),
    (chain(norm, relu, stride=2), "A stride of 2 skips every second position; pooling looks at all of them."),
    (chain(norm, relu, pool, padding=0), "Without padding the convolution shrinks the maps."),
    (chain(norm, relu, pool, padding=1), "A padding of 1 fits a kernel of 3; let it grow with the kernel."),
]
also_wrong = [
    (chain(norm, relu, pool, bias=True), "`bias=False`"),
    (zero_bias, "bias of zeros"),
    (chain(lambda o: nn.BatchNorm2d(o, affine=False), relu, pool), "`affine` stays"),
    (lambda i, o, k=3: chain(lambda _: nn.BatchNorm2d(i), relu, pool)(i, o, k), "so sees out_channels"),
    (chain(lambda o: nn.BatchNorm2d(o, track_running_stats=False), relu, pool), "running statistics"),
    (chain(norm, relu, pool, lambda _: nn.Dropout2d(0.5)), "no dropout"),
    (exchanged, "number of input channels first"),
    (lambda i, o, k=5: lean_block(i, o, k), "shape of the convolution's weight"),
    (lambda *sizes: list(lean_block(*sizes)), "and an nn.Sequential"),
]
also_right = [AsClass]
