"""Checks of lesson 4: of networks, augmentation and averages."""

from collections import Counter
from collections.abc import Callable
from copy import deepcopy
from functools import partial
from itertools import product

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from course_lib.exercises.legacy import Wrong, agrees, expect, refuse, shown, task
from course_lib.models import SimpleCNN

State = dict[str, Tensor]


@task(
    "04.2",
    "The tutorials' network with batch normalization",
    "`SimpleCNN` in section 2 of the lesson builds its blocks in a loop; one line of it is about batch norm.",
    "Three poolings leave 4 of 32 pixels: the first dense layer has 128 * 4 * 4 inputs.",
    "`nn.Dropout` knows when the network is in eval mode; `F.dropout` must be told: `training=self.training`.",
)
def network_with_batch_norm(answer: Callable[[], nn.Module]) -> str:
    model, images = answer(), torch.rand(4, 3, 32, 32)
    _expect_parameters(model)
    convs = sorted((m for m in model.modules() if isinstance(m, nn.Conv2d)), key=lambda conv: conv.out_channels)
    norms = sorted((m for m in model.modules() if isinstance(m, nn.BatchNorm2d)), key=lambda norm: norm.num_features)
    fc1, fc2 = sorted((m for m in model.modules() if isinstance(m, nn.Linear)), key=lambda dense: -dense.in_features)
    given: list[Tensor] = []  # what reaches the first convolution, centerd or not
    convs[0].register_forward_pre_hook(lambda _, inputs: given.append(inputs[0].clone()))
    first, second = model.train()(images), model(images)
    for tensor in (tensor for norm in norms for tensor in (*norm.parameters(), *norm.buffers())):
        nn.init.uniform_(tensor, 0.3, 2.0) if tensor.is_floating_point() else None
    nn.init.constant_(norms[0].weight, -1.0)  # so that it matters on which side of the pooling it is
    model.eval()
    alone, again, among = model(images[:1]), model(images[:1]), model(images)[:1]
    expect(tuple(first.shape), (4, 10), of="the shape of the logits of 4 images")
    of = "in eval mode, an image's logits"
    refuse(
        "in training, half of the hidden units are silenced at random",
        (agrees(first, second, 1e-6), "in training, two calls give the same logits", "Dropout is missing."),
        (bool((first == 0).any()), "in training, some logits are 0", "Dropout belongs before the last layer."),
    )
    refuse(
        "logits that depend on the image alone",
        (not agrees(alone, again, 1e-5), f"{of} change from call to call", "Tell `F.dropout` `self.training`."),
        (not agrees(alone, among, 1e-4), f"{of} depend on its batch", "Let batch norm track running statistics."),
    )

    def run(block: Callable[..., Tensor], between: Callable[[Tensor], Tensor] = F.relu) -> Tensor:
        maps = given[-1]
        for conv, norm in zip(convs, norms, strict=True):
            maps = block(conv, norm, maps)
        return fc2(between(fc1(maps.flatten(start_dim=1))))

    pool = partial(F.max_pool2d, kernel_size=2)
    right = run(lambda c, n, maps: pool(F.relu(n(c(maps)))))
    slips = [
        (run(lambda c, n, maps: pool(n(F.relu(c(maps))))), "Here ReLU comes first; batch norm goes before it."),
        (run(lambda c, n, maps: pool(n(c(maps)))), "No ReLU follows batch norm, which does not replace it."),
        (run(lambda c, n, maps: F.relu(n(pool(c(maps))))), "You pool before you normalize."),
        (run(lambda c, n, maps: pool(F.relu(c(maps)))), "The batch norms are made, but never called."),
        (
            run(lambda c, n, maps: F.avg_pool2d(F.relu(n(c(maps))), 2)),
            "That is the mean of each window, not its maximum.",
        ),
        (run(lambda c, n, maps: pool(F.relu(n(c(maps)))), nn.Identity()), "ReLU between the dense layers is missing."),
        (right.softmax(dim=1), "Leave softmax out: `cross_entropy` wants logits and does it itself."),
    ]
    expect(model(images), right, of="the network in eval mode", slips=slips)
    _expect_dropout(model, norms, fc1, fc2, images)
    return (
        "In training, the first batch norm takes out the scale and the shift of the images (except at the padded "
        "border), so centering them hardly matters. There are 224 more parameters: 448 new ones, 224 biases less."
    )


def _expect_dropout(
    model: nn.Module, norms: list[nn.BatchNorm2d], fc1: nn.Linear, fc2: nn.Linear, images: Tensor
) -> None:
    """In training, half of what reaches the last layer is 0, and nothing else is."""
    reached: list[Tensor] = []  # fc1 and fc2, in evaluation mode and then in training mode
    for layer in (fc1, fc2):
        layer.register_forward_pre_hook(lambda _, inputs: reached.append(inputs[0]))
    nn.init.constant_(fc1.bias, 1000.0)  # so that ReLU silences no unit
    model(images)
    model.train()
    for norm in norms:
        norm.eval()
    model(images)
    early = not agrees(reached[0], reached[2], 1e-5)
    silenced = (reached[3] == 0).double().mean().item()
    refuse(
        "dropout of one half, between the two dense layers",
        (early, "numbers are silenced before the first dense layer", "Dropout goes after its ReLU."),
        (abs(silenced - 0.5) > 0.07, f"{silenced:.0%} of the hidden units are silenced", "It is `nn.Dropout(0.5)`."),
    )


def _expect_parameters(model: nn.Module) -> None:
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


@task(
    "04.3",
    "Shift and mirror, a whole batch at once",
    "Pad by `shift` on all sides; then each image is a window of the padded one, at a position of its own.",
    "Draw the windows' first rows with `torch.randint(2 * shift + 1, (N, 1))`; adding `torch.arange(H)` gives (N, H).",
    "Mirroring reverses an image's columns: `torch.where` with a condition (N, 1) chooses for each image.",
)
def shift_and_mirror(answer: Callable[[Tensor, int], Tensor]) -> str:
    images, calls = torch.rand(120, 3, 7, 9), []
    for _ in range(6):
        given = images.clone()
        found = answer(given, 2)
        shape, padded = found if found is None else tuple(found.shape), "Cut windows of the old size out of the padded."
        expect(shape, (120, 3, 7, 9), of="the shape of shift_and_mirror(images, 2)", slips=[((120, 3, 11, 13), padded)])
        changed = not torch.equal(given, images)
        refuse("an input that stays as it was", (changed, "the input was changed", "Write into a copy."))
        calls.append(_places(found, images, 2))
    places = torch.stack(calls)  # (calls, images, 3): down, right, mirrored
    shares = places[:, :, 2].mean(dim=1)
    values = min((places[..., axis].unique() for axis in (0, 1)), key=len).tolist()
    alike = bool((places[:, :1, :2] == places[:, :, :2]).all())
    tied, whole = torch.equal(places[..., 0], places[..., 1]), set(shares.tolist()) <= {0, 1}
    share = shares.mean().item()
    fixed = bool((places[:, :, 2] == places[0, :, 2]).all())
    repeated = []
    for _ in range(2):
        torch.manual_seed(1)
        repeated.append(answer(images.clone(), 2))
    refuse(
        "for each image its own shifts from -2 to 2, along height and width, and its own mirror",
        (torch.equal(places[0], places[1]), "two calls drew the same numbers", "Set no seed inside of the function."),
        (alike, "all images of a batch were shifted alike", "Draw N shifts, not one: `(N, 1)`."),
        (share == 0, "no image was mirrored", "Reverse half of the images along their last axis."),
        (whole, "each batch was mirrored whole or not at all", "One draw decides for all images: draw N."),
        (fixed, "the same images were mirrored in each call", "Draw which to mirror, too."),
        (tied, "images move as far down as to the right", "Height and width need a draw each."),
        (len(values) == 1, "images move along one axis only", "Shift the other axis, too."),
        (len(values) == 3, f"all shifts are in {values}", "Images move one way only; draw on both sides of 0."),
        (len(values) == 4, f"all shifts are in {values}", "`randint` leaves out its upper end."),
        (abs(share - 0.5) > 0.1, f"{share:.0%} of the images were mirrored", "Half of them should be."),
        (
            not torch.equal(*repeated),
            "after the same `torch.manual_seed`, two calls drew other numbers",
            "Draw from torch: `torch.randint` and `torch.rand`.",
        ),
    )
    return "With shift=4 an image comes in 9 * 9 * 2 = 162 versions, and Python does the same few steps for any batch."


def _places(found: Tensor, images: Tensor, shift: int) -> Tensor:
    """How far each image was moved down and right, and whether it was mirrored, (N, 3)."""
    padded = {mode: F.pad(images, [shift] * 4, mode=mode) for mode in ("reflect", "constant", "circular", "replicate")}
    places = _matches(found, padded["reflect"], 3)
    if places.isnan().any():
        jumbled = "All rows of an image need one shift, and all its columns; rows are axis 2, columns axis 3."
        channels, of_channels = (part.flatten(0, 1)[:, None] for part in (found, padded["reflect"]))
        slips = [
            (_matches(found, padded["constant"], 3), "What comes into view is black; reflect the image there."),
            (_matches(found, padded["circular"], 3), "The image wraps around, as in `torch.roll`; reflect instead."),
            (_matches(found, padded["replicate"], 3), "What comes into view repeats the last pixel; reflect instead."),
            (_matches(found, padded["reflect"], 2), "They are upside down; left and right belong to the last axis."),
            (_matches(channels, of_channels, 3), "The channels of an image move apart."),
        ]
        slip = next((said for place, said in slips if not place.isnan().any()), jumbled)
        raise Wrong("some images are not the old ones, shifted and mirrored", "all pixels from one window", slip)
    return places


def _matches(found: Tensor, padded: Tensor, axis: int) -> Tensor:
    """Where in the padded image each image lies and whether it is reversed along an axis, (N, 3); nan for nowhere."""
    places = torch.full((len(found), 3), torch.nan)
    height, width = found.shape[2:]
    reach = (padded.shape[2] - height) // 2
    for down, right, mirrored in product(range(2 * reach + 1), range(2 * reach + 1), (0, 1)):
        window = padded[:, :, down : down + height, right : right + width]
        same = torch.isclose(found, window.flip(axis) if mirrored else window).flatten(start_dim=1).all(dim=1)
        places[same] = torch.tensor([down - reach, right - reach, mirrored]).float()
    return places


@task(
    "04.4",
    "A running mean of the weights",
    "`state_dict()` names all parameters and buffers. Its tensors are the network's own, without gradient.",
    "`mean = decay * mean + ...` makes a new tensor; `copy_`, `mul_` and `add_` write into the one that is there.",
    "`is_floating_point()` tells the two kinds of buffers apart.",
)
def running_mean(answer: Callable[[nn.Module, nn.Module, float], None]) -> str:
    model = nn.Sequential(nn.Conv2d(2, 3, 1), nn.BatchNorm2d(3), nn.Flatten(), nn.Linear(3, 2))
    average, decay = deepcopy(model), 0.9
    judge = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(decay), use_buffers=True)
    judge.update_parameters(model)  # the first call copies
    for _ in range(3):
        for tensor in model.state_dict().values():
            tensor.add_(torch.rand_like(tensor) if tensor.is_floating_point() else 50)
        old, new = deepcopy(average.state_dict()), deepcopy(model.state_dict())
        try:
            answer(average, model, decay)
        except RuntimeError as error:
            said = {
                "requires grad": "Change weights under `torch.no_grad()`.",
                "Long": "Copy buffers of whole numbers.",
            }
            slip = next((said[words] for words in said if words in str(error)), "")
            if not slip:  # among them NotImplementedError
                raise
            raise Wrong(f"RuntimeError: {error}", "no error", slip) from error
        judge.update_parameters(model)
        changed = not agrees(model.state_dict(), new, 1e-6)
        refuse(
            "a model as it was", (changed, "the model was changed", "Training goes on with it; write into `average`.")
        )
        _expect_state(average.state_dict(), judge.module.state_dict(), old, new, decay)
    return "The mean forgets its start slowly: with a decay of 0.999, a good third of it is left after 1,000 steps."


def _expect_state(found: State, wanted: State, old: State, new: State, decay: float) -> None:
    counters = [name for name, tensor in new.items() if not tensor.is_floating_point()]
    wanted = wanted | {name: new[name] for name in counters}
    weights = {name: tensor for name, tensor in wanted.items() if name.endswith(("weight", "bias"))}
    swapped = {name: (1 - decay) * old[name] + decay * new[name] for name in wanted if name not in counters}
    slips = [
        (old, "Nothing was written into `average`: a name that is bound to a new tensor leaves it as it was."),
        (new, "That is a copy of the model; of the mean so far nothing is left."),
        (wanted | swapped, "The weights are exchanged: `decay` belongs to the old mean."),
        (old | weights, "Only parameters were averaged; the running statistics of batch norm are buffers."),
        (new | weights, "The running statistics were copied; average them like the weights."),
        (wanted | {name: old[name] for name in counters}, "The buffers of whole numbers were left out: copy them."),
    ]
    slip = next((said for state, said in slips if agrees(found, state, 1e-5)), "")
    for name, tensor in wanted.items():
        said = "Whole numbers are not averaged but copied." if name in counters and not slip else slip
        what = f"average.state_dict()[{name!r}] became {shown(found[name])}"
        refuse(shown(tensor), (not agrees(found[name], tensor, 1e-5), what, said))
