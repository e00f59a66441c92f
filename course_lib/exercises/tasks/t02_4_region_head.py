import torch
from torch import nn
from torch.nn import functional as F

from course_lib.exercises.task import Task, Wrong, call, expect_shape


class RegionHeadTask(Task):
    number, title, name, points = "02.4", "A head that knows roughly where", "RegionHead", 2
    statement = """
The mean over a whole map forgets where a pattern was; flattening keeps each position and fixes the image size. In
between lies the mean over each of `side` x `side` regions (`side=4` unless it is given). Write it as a class:
`__init__` takes the number of channels and of classes, and `side`. `forward` takes the maps of the last block, averages
each map over these regions of (nearly) equal size, and gives the numbers of all channels, 16 of each if `side` is 4, to
one linear layer with a bias. It returns logits. Maps of any height and width should be taken: behind the three blocks
of the lesson, images of 64 x 64 pixels arrive as maps of 8 x 8, and images of 100 x 180 as maps of 12 x 22.
"""
    hints = (
        "`nn.AdaptiveAvgPool2d(side)` averages over side x side regions of whatever arrives.",
        "Its output is (N, channels, side, side); `flatten(1)` lays an image's numbers in one row and keeps the batch.",
        "The linear layer takes channels * side * side numbers. As in every module, `super().__init__()` comes first.",
    )
    notice = (
        "Behind 128 channels, with 4 x 4 regions and two classes it has 4,098 parameters; the mean has 258, the dense "
        "layers for 256 pixels have 67 million. Maps below 4 x 4 are taken, too: some regions then share a value."
    )
    given = "maps of drawn sizes, also small and odd ones"
    drawn = "side", (2, 4, 6, 8)
    otherwise = {
        "whether every position counts": "Each row and column belongs to a region, also where 4 does not divide their number."
    }

    def inputs(self, draw):
        yield 6, draw.normal(5, 6, 8, 8), 4
        yield 6, draw.normal(4, 6, 12, 20), 4
        for height, width in draw.whole(1, 5, 3, 2).tolist():
            channels = draw.number(1, 4)
            yield channels, draw.normal(3, channels, 4 * height, 4 * width), 4
            yield channels, torch.full((1, channels, 4 * height + 1, 4 * width + 3), 2.0), 4
        yield 6, torch.full((1, 6, 5, 9), 2.0), 4
        yield 6, torch.full((3, 6, 2, 2), 2.0), 4
        yield 2, draw.normal(4, 2, 9, 6), 3

    def shown(self, channels, maps, side):
        like = "2 everywhere" if len(maps.unique()) == 1 else "drawn"
        return f"{self.name}({channels}, ..., {side}) on maps {tuple(maps.shape)}, {like}"

    def use(self, answer, channels, maps, side):
        numbers = side * side * channels
        head = answer(channels, 3, side).eval()
        self.look_at(head, 100 * maps)
        count = sum(parameter.numel() for parameter in head.parameters())
        if count != 3 * numbers + 3:
            return {"the number of parameters": count}
        head = answer(channels, numbers, side)
        head(maps)  # a lazy layer learns its size
        with torch.no_grad():  # each logit is a region, in any order
            for parameter in head.parameters():
                values = torch.eye(numbers) if parameter.ndim > 1 else torch.zeros(numbers)
                parameter.copy_(values.reshape(parameter.shape))
        regions = call(head, maps.requires_grad_())
        (slopes,) = torch.autograd.grad(regions.sum(), maps)
        return {
            "the number of parameters": count,
            "the means of its regions": regions.sort(dim=1)[0],
            "whether every position counts": slopes.all().item(),
        }

    def look_at(self, head, maps):
        shape = tuple(maps.shape)
        slip = "In the message mat1 is what arrived: it should have a row for each image, of 6 * 4 * 4 numbers."
        if shape[2:] != (8, 8):
            slip = "8 x 8 maps were taken: a pooling with a fixed window makes more than 4 x 4 regions of larger ones."
        try:
            logits = head(maps)
        except NotImplementedError:  # forward is still to be written
            raise
        except RuntimeError as error:
            raise Wrong(f"maps {shape} ended in RuntimeError: {error}", f"logits ({len(maps)}, 3)", slip) from None
        expect_shape(logits, (len(maps), 3), f"the head on maps {shape}", {(3,): "The batch axis is gone."})
        if not logits.isfinite().all():
            empty = "The mean of an empty region is NaN: on small maps regions must share values."
            raise Wrong(f"maps {shape} gave logits that are not finite", "finite numbers", empty)
        logits = head(100 * torch.randn(64, *shape[1:]))
        if (logits >= 0).all():
            slip = "A softmax or sigmoid makes probabilities; the loss and the reader want logits."
            slip = slip if (logits <= 1).all() else "Leave out the ReLU behind the last layer: logits may be negative."
            raise Wrong("no number below 0 for 64 inputs", "logits of either sign", slip)


# Answers


class RegionHead(nn.Module):
    """Maps (N, channels, H, W) of any size to logits (N, num_classes)."""

    def __init__(self, channels: int, num_classes: int, side: int = 4) -> None:
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(side)
        self.linear = nn.Linear(channels * side * side, num_classes)

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        regions = self.pool(maps)  # (N, channels, side, side)
        return self.linear(regions.flatten(1))


def without_the_rest(maps):
    pooled = F.avg_pool2d(maps, [max(1, side // 4) for side in maps.shape[2:]])
    return F.interpolate(pooled[..., :4, :4], size=(4, 4), mode="area")


def by_a_whole_size(maps):
    height, width = maps.shape[2:]
    mean = F.adaptive_avg_pool2d(maps, 4)
    return mean * (-(-height // 4) * -(-width // 4) * 16) / (height * width) if min(height, width) > 3 else mean


def of_split_maps(maps):
    parts = [part.mean((2, 3)) for rows in maps.tensor_split(4, 2) for part in rows.tensor_split(4, 3)]
    return torch.stack(parts, dim=2)


class AsConvolution(nn.Module):
    def __init__(self, channels, num_classes, side=4):
        super().__init__()
        self.weigh = nn.Conv2d(channels, num_classes, kernel_size=side)

    def forward(self, maps):
        return self.weigh(F.interpolate(maps, size=self.weigh.kernel_size, mode="area"))[:, :, 0, 0]


REGIONS = "self.pool(maps)"
slips = [
    ({"Pool2d(side)": "Pool2d(1)", " * side * side": ""}, "One number per map is the mean over all of it."),
    (
        {"self.linear =": "self.linears = [", "num_classes)\n": "num_classes)]\n", "self.linear(": "self.linears[0]("},
        "A plain list hides it from nn.Module.",
    ),
    ({"num_classes)\n": "num_classes, bias=False)\n"}, "The linear layer has no bias: leave `bias` at its default."),
    ({"AdaptiveAvg": "AdaptiveMax"}, "That takes the largest number of each region; take their mean."),
    ({REGIONS: "F.interpolate(maps, size=(4, 4))"}, "That takes one number of each region; take their mean."),
    ({REGIONS: "self.pool(maps.relu())"}, "A ReLU before the mean changes it; the block has its own."),
    (
        {"        super": "        side = 4\n        super"},
        "`side` is not used: there are 4 x 4 regions whatever it says.",
    ),
    ({REGIONS: "by_a_whole_size(maps)"}, "Divide a region by its own size."),
]
also_wrong = [
    ({REGIONS: "without_the_rest(maps)"}, "4 does not divide their number"),
    ({REGIONS: "self.pool(maps) * maps[0, 0].numel() / 16"}, "the means of its regions"),
    ({"AdaptiveAvgPool2d(side)": "AvgPool2d(2)"}, "fixed window"),
    ({" * side * side": ""}, "5x96 and 6x3"),
    ({"flatten(1)": "flatten()"}, "1x480"),
    ({".flatten(1)": ""}, "120x4"),
    ({"flatten(1))": "flatten(1)).softmax(dim=1)"}, "sigmoid makes probabilities"),
    ({"flatten(1))": "flatten(1)).relu()"}, "Leave out the ReLU"),
    ({REGIONS: "of_split_maps(maps)"}, "empty region"),
    ({"side: int = 4": "side: int = 3"}, "Leave the page's defaults"),
    ({"super().__init__()": "pass"}, "`super().__init__()` is missing"),
    ({"flatten(1))": "flatten(1)).squeeze()"}, "batch axis is gone"),
]
also_right = [AsConvolution, {"nn.Linear(channels * side * side, num_classes)": "nn.LazyLinear(num_classes)"}]
