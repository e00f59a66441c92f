from collections import Counter

import torch
from torch import nn
from torch.nn import functional as F

from course_lib.exercises.draw import Draw
from course_lib.exercises.task import Task, agrees, refuse
from course_lib.models import SimpleCNN


def of_kind(model, kind, key):
    return sorted((module for module in model.modules() if isinstance(module, kind)), key=key)


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
        convs, norms = (
            of_kind(model, nn.Conv2d, lambda m: m.out_channels),
            of_kind(model, nn.BatchNorm2d, lambda m: m.num_features),
        )
        given, reached = (
            [images],
            [],
        )  # the first layer gets the images themselves, also where they were centered before

        def replaced(_, inputs):
            reached.append(inputs[0].detach().clone())
            return (given[0],)

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
        given[0] = images[:1]
        alone, again, of = model(images[:1]), model(images[:1]), "in eval mode, an image's logits"
        given[0] = images
        refuse(
            "logits that depend on the image alone",
            (not agrees(alone, again, 1e-5), f"{of} change from call to call", "Tell `F.dropout` `self.training`."),
            (
                not agrees(alone, logits[:1], 1e-4),
                f"{of} depend on its batch",
                "Let batch norm track running statistics.",
            ),
        )
        model.train()(images)
        averages = [buffer.clone() for norm in norms for buffer in (norm.running_mean, norm.running_var)]
        self.look_at_dropout(model, norms, images)
        hook.remove()
        channels = [
            torch.stack([a.flatten(), b.flatten()]).corrcoef()[0, 1]
            for a, b in zip(*(x.movedim(1, 0) for x in (images, reached[0])), strict=True)
        ]
        alike = min(channels) > 0.9999
        return {
            "what reaches the first layer": alike,
            "the logits in eval mode": logits,
            "the running statistics": averages,
        }

    def look_at_parameters(self, model):
        found, wanted = (Counter(tuple(p.shape) for p in m.parameters()) for m in (model, SimpleCNN(batch_norm=True)))
        more, fewer = sorted((found - wanted).elements()), sorted((wanted - found).elements())
        channels = [(32,), (64,), (128,)]
        layers = "Go through the layers one by one: kernels of 3x3, padding 1, and maps of 4x4 in the end."
        no_norm, bias = not more and set(fewer) == set(channels), more == channels
        refuse(
            "the parameters of three convolutions, three batch norms and two dense layers",
            (not found, "the network has no parameters", "Layers in a plain list are not found: use `nn.ModuleList`."),
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
            (
                abs(silenced - 0.5) > 0.07,
                f"{silenced:.0%} of the hidden units are silenced",
                "It is `nn.Dropout(0.5)`.",
            ),
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


class Blocks(nn.Module):
    """The network in parts that a mistake may replace."""

    bias = False

    def __init__(self):
        super().__init__()
        self.blocks = nn.ModuleList(self.block(*ends) for ends in ((3, 32), (32, 64), (64, 128)))
        self.fc1, self.fc2 = nn.Linear(2048, 512), nn.Linear(512, 10)
        self.dropout = nn.Dropout(0.5)

    def block(self, before, after):
        return nn.Sequential(nn.Conv2d(before, after, 3, padding=1, bias=self.bias), *self.rest(after))

    def rest(self, after):
        return nn.BatchNorm2d(after), nn.ReLU(), nn.MaxPool2d(2)

    def forward(self, x):
        for block in self.blocks:
            x = block(x)
        return self.head(x.flatten(start_dim=1))

    def head(self, x):
        return self.fc2(self.dropout(F.relu(self.fc1(x))))


def blocks(**methods):
    return type("SimpleCNNWithBatchNorm", (Blocks,), methods)


def without_norms(self, x):
    for block in self.blocks:
        x = F.max_pool2d(F.relu(block[0](x)), 2)
    return self.head(x.flatten(start_dim=1))


class InAList(Blocks):
    def __init__(self):
        nn.Module.__init__(self)
        self.parts = [SimpleCNNWithBatchNorm()]

    def forward(self, x):
        return self.parts[0](x)


class Smaller(Blocks):
    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(128 * 2 * 2, 512)


class Centering(Blocks):
    def forward(self, x):
        return super().forward(2 * x - 1)

    def rest(self, after):
        return nn.BatchNorm2d(after), nn.MaxPool2d(2), nn.ReLU()


class OfTheCourse(SimpleCNN):
    def __init__(self):
        super().__init__(batch_norm=True)


slips = [
    (
        blocks(rest=lambda self, n: (nn.ReLU(), nn.BatchNorm2d(n), nn.MaxPool2d(2))),
        "Here ReLU comes first; batch norm goes before it.",
    ),
    (
        blocks(rest=lambda self, n: (nn.BatchNorm2d(n), nn.MaxPool2d(2))),
        "No ReLU follows batch norm, which does not replace it.",
    ),
    (blocks(rest=lambda self, n: (nn.MaxPool2d(2), nn.BatchNorm2d(n), nn.ReLU())), "You pool before you normalize."),
    (blocks(forward=without_norms), "The batch norms are made, but never called."),
    (
        blocks(rest=lambda self, n: (nn.BatchNorm2d(n), nn.ReLU(), nn.AvgPool2d(2))),
        "That is the mean of each window, not its maximum.",
    ),
    (blocks(head=lambda self, x: self.fc2(self.dropout(self.fc1(x)))), "ReLU between the dense layers is missing."),
    (
        blocks(head=lambda self, x: Blocks.head(self, x).softmax(dim=1)),
        "Leave softmax out: `cross_entropy` wants logits and does it itself.",
    ),
]
also_wrong = [
    (blocks(bias=True), "any bias with the mean"),
    (blocks(rest=lambda self, n: (nn.ReLU(), nn.MaxPool2d(2))), "of its own"),
    (InAList, "plain list"),
    (
        blocks(rest=lambda self, n: (nn.BatchNorm2d(n, track_running_stats=False), nn.ReLU(), nn.MaxPool2d(2))),
        "track running",
    ),
    (blocks(head=lambda self, x: self.fc2(F.dropout(F.relu(self.fc1(x)), 0.5))), "Tell `F.dropout`"),
    (blocks(head=lambda self, x: self.fc2(F.relu(self.fc1(x)))), "Dropout is missing"),
    (blocks(head=lambda self, x: self.fc2(F.dropout(F.relu(self.fc1(x)), 0.2, self.training))), "nn.Dropout(0.5)"),
    (blocks(head=lambda self, x: self.fc2(F.relu(self.fc1(self.dropout(x))))), "after its ReLU"),
    (blocks(head=lambda self, x: self.dropout(self.fc2(F.relu(self.fc1(x))))), "before the last layer"),
    (Smaller, "maps of 4x4"),
]
also_right = [Blocks, Centering, OfTheCourse]
