from collections import Counter

import torch
from torch import nn
from torch.nn import functional as F

from course_lib.exercises.draw import Draw
from course_lib.exercises.task import Task, agrees, refuse
from course_lib.models import SimpleCNN


def of_kind(model, kind, key):
    return sorted((module for module in model.modules() if isinstance(module, kind)), key=key)


def alike(channel, other):
    """Whether one is the other, shifted and scaled."""
    return torch.stack([channel, other]).flatten(start_dim=1).corrcoef()[0, 1].item() > 0.9999


class SimpleCNNWithBatchNormTask(Task):
    number, title, name, points = "04.2", "The tutorials' network with batch normalization", "SimpleCNNWithBatchNorm", 2
    statement = """
Adding batch normalization to `SimpleCNN` is a classic exercise of the tutorials. Write the network for images
(N, 3, 32, 32): three blocks, each a 3x3 convolution with padding 1 and without bias, batch norm, ReLU, and max
pooling over 2x2, with 32, 64 and 128 channels; then flatten, a dense layer of 512, ReLU, dropout of one half, and a
dense layer of 10 logits. Whether you center the images first, as the lesson does, is up to you.
"""
    hints = (
        "`SimpleCNN` in section 2 of the lesson builds its blocks in a loop; one line of it is about batch norm.",
        "Three poolings leave 4 of 32 pixels: the first dense layer has 128 * 4 * 4 inputs.",
        "`nn.Dropout` knows when the network is in eval mode; `F.dropout` must be told: `training=self.training`.",
    )
    notice = (
        "In training, the first batch norm takes out the scale and the shift of the images (except at the padded "
        "border), so centering them hardly matters. There are 224 more parameters: 448 new ones, 224 biases less."
    )
    given = "drawn images and weights"
    tolerance = 1e-3

    def inputs(self, draw):
        for _ in range(2):
            yield draw.normal(4, 3, 32, 32), draw.number(0, 10**6)

    def shown(self, images, seed):
        return "4 images"

    def use(self, answer, images, seed):
        model = answer()
        self.look_at_parameters(model)
        convs = of_kind(model, nn.Conv2d, lambda conv: conv.out_channels)
        norms = of_kind(model, nn.BatchNorm2d, lambda norm: norm.num_features)
        substitute, reached = [images], []  # the first layer gets the images themselves, also where they were centered

        def replaced(_, inputs):
            reached.append(inputs[0].detach().clone())
            return (substitute[0],)

        hook = convs[0].register_forward_pre_hook(replaced)
        first, second = model.train()(images), model(images)
        shape = tuple(first.shape)
        refuse("logits (4, 10)", (shape != (4, 10), f"the shape of the logits of 4 images is {shape}", ""))
        refuse(
            "in training, half of the hidden units are silenced at random",
            (agrees(first, second, 1e-6), "in training, two calls give the same logits", "Dropout is missing."),
            (bool((first == 0).any()), "in training, some logits are 0", "Dropout belongs before the last layer."),
        )
        Draw(seed).filled(model).eval()
        logits = model(images)
        substitute[0] = images[:1]
        alone, again, subject = model(images[:1]), model(images[:1]), "in eval mode, an image's logits"
        substitute[0] = images
        refuse(
            "logits that depend on the image alone",
            (
                not agrees(alone, again, 1e-5),
                f"{subject} change from call to call",
                "Tell `F.dropout` `self.training`.",
            ),
            (not agrees(alone, logits[:1], 1e-3), f"{subject} depend on its batch", "Let batch norm track statistics."),
        )
        model.train()(images)
        averages = [buffer.clone() for norm in norms for buffer in (norm.running_mean, norm.running_var)]
        self.look_at_dropout(model, norms, images)
        hook.remove()
        channels = zip(images.movedim(1, 0), reached[0].movedim(1, 0), strict=True)
        return {
            "what reaches the first layer": all(alike(*channel) for channel in channels),
            "the logits in eval mode": logits,
            "the running statistics": averages,
        }

    def look_at_parameters(self, model):
        actual, expected = (
            Counter(tuple(p.shape) for p in m.parameters()) for m in (model, SimpleCNN(batch_norm=True))
        )
        more, fewer = sorted((actual - expected).elements()), sorted((expected - actual).elements())
        channels = [(32,), (64,), (128,)]
        layers = "Go through the layers one by one: kernels of 3x3, padding 1, and maps of 4x4 in the end."
        no_norm, bias = not more and set(fewer) == set(channels), more == channels
        refuse(
            "the parameters of three convolutions, three batch norms and two dense layers",
            (not actual, "the network has no parameters", "Layers in a plain list are not found: use `nn.ModuleList`."),
            (no_norm, f"without these shapes: {fewer}", "Each convolution needs an `nn.BatchNorm2d` of its own."),
            (bias, f"also of these shapes: {more}", "Batch norm subtracts any bias with the mean: `bias=False`."),
            (bool(more or fewer), f"without these shapes: {fewer}, but with these: {more}", layers),
        )

    def look_at_dropout(self, model, norms, images):
        """In training, half of what reaches the last layer is 0, and nothing else is."""
        reached = []  # fc1 and fc2, in evaluation mode and then in training mode
        fc1, fc2 = of_kind(model, nn.Linear, lambda dense: -dense.in_features)
        hooks = [part.register_forward_pre_hook(lambda _, inputs: reached.append(inputs[0])) for part in (fc1, fc2)]
        nn.init.constant_(fc1.bias, 1000.0)  # so that ReLU silences no unit
        model.eval()(images)
        model.train()
        for norm in norms:
            norm.eval()
        model(images)
        for hook in hooks:
            hook.remove()
        early, silenced = not agrees(reached[0], reached[2], 1e-5), (reached[3] == 0).double().mean().item()
        refuse(
            "dropout of one half, between the two dense layers",
            (early, "numbers are silenced before the first dense layer", "Dropout goes after its ReLU."),
            (abs(silenced - 0.5) > 0.07, f"{silenced:.0%} of the units are silenced", "It is `nn.Dropout(0.5)`."),
        )


# Answers


class SimpleCNNWithBatchNorm(nn.Module):
    """Images (N, 3, 32, 32) to logits (N, 10)."""

    def __init__(self) -> None:
        super().__init__()
        layers = []
        for before, after in ((3, 32), (32, 64), (64, 128)):
            layers.append(nn.Conv2d(before, after, 3, padding=1, bias=False))
            layers += [nn.BatchNorm2d(after), nn.ReLU(), nn.MaxPool2d(2)]
        self.features = nn.Sequential(*layers)
        self.fc1, self.fc2 = nn.Linear(128 * 4 * 4, 512), nn.Linear(512, 10)
        self.dropout = nn.Dropout(0.5)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        maps = self.features(images)  # (N, 128, 4, 4)
        hidden = F.relu(self.fc1(maps.flatten(start_dim=1)))  # (N, 512)
        return self.fc2(self.dropout(hidden))


BEHIND, DROPPED = "nn.BatchNorm2d(after), nn.ReLU(), nn.MaxPool2d(2)", "self.dropout(hidden)"
slips = [
    ({BEHIND: "nn.ReLU(), nn.BatchNorm2d(after), nn.MaxPool2d(2)"}, "ReLU comes first here; batch norm goes before."),
    ({"nn.ReLU(), ": ""}, "No ReLU follows batch norm, which does not replace it."),
    ({BEHIND: "nn.MaxPool2d(2), nn.BatchNorm2d(after), nn.ReLU()"}, "You pool before you normalize."),
    (
        {"self.features(": "nn.Sequential(*[m for m in self.features if not isinstance(m, nn.BatchNorm2d)])("},
        "The batch norms are made, but never called.",
    ),
    ({"MaxPool2d": "AvgPool2d"}, "That is the mean of each window, not its maximum."),
    ({"F.relu(": "("}, "ReLU between the dense layers is missing."),
    ({"(hidden))": "(hidden)).softmax(dim=1)"}, "Leave softmax out: `cross_entropy` wants logits and does it itself."),
]
also_wrong = [
    ({", bias=False": ""}, "any bias with the mean"),
    ({"nn.BatchNorm2d(after), ": ""}, "of its own"),
    ({"self.dropout = nn.Dropout(0.5)": "self.parts = [*self.children()]; self._modules.clear()"}, "plain list"),
    ({"BatchNorm2d(after": "BatchNorm2d(after, track_running_stats=False"}, "track statistics"),
    ({DROPPED: "F.dropout(hidden)"}, "Tell `F.dropout`"),
    ({DROPPED: "hidden"}, "Dropout is missing"),
    ({"Dropout(0.5)": "Dropout(0.2)"}, "nn.Dropout(0.5)"),
    ({DROPPED: "hidden", "maps.flatten": "self.dropout(maps).flatten"}, "after its ReLU"),
    ({"self.fc2(self.dropout(hidden))": "self.dropout(self.fc2(hidden))"}, "before the last layer"),
    ({"128 * 4 * 4": "128 * 2 * 2"}, "maps of 4x4"),
]
also_right = [
    lambda: SimpleCNN(batch_norm=True),
    {"(images)": "(2 * images - 1)", BEHIND: "nn.BatchNorm2d(after), nn.MaxPool2d(2), nn.ReLU()"},
]
