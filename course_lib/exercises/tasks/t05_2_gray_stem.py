import copy

import torch
from torch import nn

from course_lib.exercises.task import Task, Wrong, agrees, refuse, shown


class GrayStem(Task):
    number, title, name, points = "05.2", "A stem for gray images", "gray_stem", 2
    statement = """
Write a function that turns the first convolution of a color network into one for a single channel. For any gray
image, the new layer gives what the old one gives for three copies of it. Stride, padding, dilation and bias are kept,
also where a layer has none or where they differ between rows and columns. The layer that was given in stays as it is,
and training the new one must not change it. So the weights of ImageNet serve X-rays, at a third of the work.
"""
    hints = (
        "`nn.Conv2d` takes `conv.stride`, `conv.padding` and so on as they are; whether there is a bias says `conv.bias`.",
        "$w_r x + w_g x + w_b x$: which axis of the weight (out, in, height, width) has to be added up?",
        "Inside `torch.no_grad()`, `copy_` writes numbers into a parameter of the new layer, and shares nothing.",
    )
    notice = "Exact for gray inputs alone: for anything in color, its filters have lost what told red from blue."
    given = "convolutions with strides, dilation, padding, with and without bias"
    otherwise = {
        "the output without the bias": "The weights are not the sums over color: does the new layer keep its random ones?",
        "the bias of the layer": "The bias is not that of the old layer: copy it, too.",
    }

    def inputs(self, draw):
        a, b = draw.whole(3, 7, 2).tolist()
        for conv in (
            nn.Conv2d(3, 5, 3, stride=2, padding=1),
            nn.Conv2d(3, 4, (3, 5), stride=(2, 1), padding=(0, 2), dilation=(1, 2), bias=False),
            nn.Conv2d(3, 4, 3, padding="same", dilation=2, padding_mode="reflect"),
            nn.Conv2d(3, a, 3, stride=(2, 1), padding=1, bias=False),
            nn.Conv2d(3, b, (3, 5), padding=(0, 2), dilation=(2, 1)),
        ):
            yield draw.filled(conv), draw.normal(2, 1, 12, 14)

    def shown(self, conv, image):
        return f"{self.name}({conv})"

    def use(self, answer, conv, image):
        before = [parameter.detach().clone() for parameter in conv.parameters()]
        gray = answer(conv)
        self.look_at(gray, conv)
        bias = None if gray.bias is None else gray.bias.detach().clone()
        output = gray(image).detach() - (0 if bias is None else bias[:, None, None])
        if asleep := [name for name, parameter in gray.named_parameters() if not parameter.requires_grad]:
            slip = "What `detach` or `no_grad` made asks for no gradient: put it into an `nn.Parameter`, or `copy_` it."
            raise Wrong(f"`requires_grad` is False for {', '.join(asleep)}", "a layer that can be trained", slip)
        with torch.no_grad():
            for parameter in gray.parameters():
                parameter.add_(1)
        shares = not agrees([parameter.detach() for parameter in conv.parameters()], before, 0)
        slip = "Both layers hold the same tensor: copy its numbers instead."
        refuse("two layers that share nothing", (shares, "training the new layer changes the old one", slip))
        return {"the output without the bias": output, "the bias of the layer": bias}

    def look_at(self, gray, conv):
        """Go on if `gray` is another layer, for one channel, with the settings of `conv`."""
        if not isinstance(gray, nn.Conv2d):
            raise Wrong(f"gray_stem() gave {shown(gray)}", "an `nn.Conv2d`", "Return the layer, not its weights.")
        slip, changed = "Build a new `nn.Conv2d`, or change a `copy.deepcopy`.", gray is conv or conv.in_channels != 3
        changed = changed or conv.weight.shape[1] != 3
        refuse("it as it was, and another layer", (changed, "the layer that was given in was changed", slip))
        shape, right = tuple(gray.weight.shape), (conv.out_channels, 1, *conv.kernel_size)
        slip = "`sum(dim=1, keepdim=True)` keeps the axis of the colors, with length 1."
        refuse(f"{right}", (shape != right, f"a weight of the shape {shape}", slip))
        slip = "The weights are for one channel, but the layer says otherwise: set this, too."
        refuse("1", (gray.in_channels != 1, f"gray_stem().in_channels is {gray.in_channels}", slip))
        for name in ("stride", "padding", "dilation", "padding_mode"):
            actual, right = getattr(gray, name), getattr(conv, name)
            slip = f"Hand over `conv.{name}` as it is, rows and columns included."
            refuse(f"{right}", (actual != right, f"gray_stem({conv}).{name} is {actual}", slip))
        found, expected = ("no bias" if layer.bias is None else "a bias" for layer in (gray, conv))
        slip = "`bias=conv.bias is not None` says whether."
        refuse(expected, (found != expected, f"gray_stem({conv}) has {found}", slip))


# Answers


def gray_stem(conv: nn.Conv2d) -> nn.Conv2d:
    """A layer for (N, 3, height, width) to one for (N, 1, height, width), with the same output."""
    gray = nn.Conv2d(
        1,
        conv.out_channels,
        conv.kernel_size,
        stride=conv.stride,
        padding=conv.padding,
        dilation=conv.dilation,
        bias=conv.bias is not None,
        padding_mode=conv.padding_mode,
    )
    with torch.no_grad():
        gray.weight.copy_(conv.weight.sum(dim=1, keepdim=True))
        if conv.bias is not None:
            gray.bias.copy_(conv.bias)
    return gray


def copied(conv):
    gray = copy.deepcopy(conv)
    gray.weight, gray.in_channels = nn.Parameter(sum(conv.weight.detach().split(1, dim=1))), 1
    return gray


SUM, EYE = "conv.weight.sum(dim=1, keepdim=True)", "torch.tensor([0.299, 0.587, 0.114])[:, None, None]"
WEIGHT, BIAS, RETURN = f"gray.weight.copy_({SUM})", "gray.bias.copy_(conv.bias)", "    return gray"
slips = [
    ({".sum(dim": ".mean(dim"}, "The slices were averaged: a third of the strength. Add them up."),
    ({SUM: "conv.weight[:, :1]"}, "One color's slice was taken alone: add up all three."),
    (
        {"conv.weight.sum": f"(conv.weight * {EYE}).sum"},
        "Brightness to the eye is for turning color into gray; here the image is gray, so just add up.",
    ),
]
also_wrong = [
    ({WEIGHT: "pass"}, "keep its random ones"),
    ({BIAS: "pass"}, "bias is not that of the old"),
    ({"stride=conv.stride,": ""}, "Hand over `conv.stride`"),
    ({"padding=conv.padding,": ""}, "Hand over `conv.padding`"),
    ({"dilation=conv.dilation,": ""}, "Hand over `conv.dilation`"),
    ({"padding_mode=conv.padding_mode,": ""}, "Hand over `conv.padding_mode`"),
    ({"bias=conv.bias is not None,": ""}, "says whether"),
    ({RETURN: f"    gray.weight.requires_grad = False\n{RETURN}"}, "asks for no gradient"),
    ({BIAS: "gray.bias = conv.bias"}, "same tensor"),
    ({RETURN: f"    conv.in_channels = 1\n{RETURN}"}, "that was given in was changed"),
    ({"        1,": "        3,", WEIGHT: f"gray.weight = nn.Parameter({SUM})"}, "otherwise: set this"),
    ({WEIGHT: "gray.weight = nn.Parameter(conv.weight.sum(dim=1))"}, "keeps the axis"),
]
also_right = [copied]
