"""Attribution against torch's own gradients, hand-written versions and captum; networks left as they were."""

from collections.abc import Callable
from types import SimpleNamespace

import pytest
import torch
from captum import attr
from scipy.stats import spearmanr
from torch import Tensor, nn
from torch.nn import functional as F

from course_lib import explain
from course_lib.data import simulate_radiographs
from course_lib.models import CompactCNN, FastCNN, SimpleCNN, TransferModel, freeze, transfer_model

Pair = tuple[nn.Module, nn.Module]  # a network and the layer to explain


def _compact() -> Pair:
    model = CompactCNN(widths=(8, 16, 16))
    return model, model.target_layer


def _simple() -> Pair:
    model = SimpleCNN((8, 16), batch_norm=True)
    return model, model.target_layer


def _resnet() -> Pair:
    model = transfer_model("resnet18", 3, weights="random", image_size=64)
    return model, model.target_layer


def _lite() -> Pair:
    model = transfer_model("tf_efficientnet_lite0", 3, weights="random", image_size=64)
    return model, model.target_layer


ARCHITECTURES = pytest.mark.parametrize("build", [_compact, _simple, _resnet, _lite])
METHODS: dict[str, Callable[[nn.Module, Tensor, nn.Module], Tensor]] = {
    "saliency": lambda model, images, _layer: explain.saliency(model, images),
    "integrated_gradients": lambda model, images, _layer: explain.integrated_gradients(model, images, steps=4),
    "occlusion": lambda model, images, _layer: explain.occlusion(model, images, side=16, stride=16),
    "grad_cam": lambda model, images, layer: explain.grad_cam(model, images, layer=layer),
}
EVERY_METHOD = pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)


def _made(build: Callable[[], Pair], count: int = 3) -> tuple[nn.Module, nn.Module, Tensor]:
    torch.manual_seed(0)
    model, layer = build()
    channels = 1 if isinstance(model, CompactCNN) else 3
    return model.eval(), layer, torch.rand(count, channels, 32, 32)


@ARCHITECTURES
def test_grad_cam_is_the_sum_of_maps_weighted_by_their_mean_gradients(build: Callable[[], Pair]) -> None:
    model, layer, images = _made(build)
    kept: list[Tensor] = []
    hook = layer.register_forward_hook(lambda _layer, _inputs, output: kept.append(output))
    logits = model(images.requires_grad_())
    hook.remove()
    (gradients,) = torch.autograd.grad(logits[:, 1].sum(), kept[0])
    weights = gradients.mean(dim=(2, 3), keepdim=True)
    by_hand = F.relu((weights * kept[0]).sum(dim=1, keepdim=True))
    by_hand = F.interpolate(by_hand, images.shape[2:], mode="bilinear")[:, 0]
    torch.testing.assert_close(explain.grad_cam(model, images, 1, layer=layer), by_hand, atol=1e-5, rtol=1e-5)


@ARCHITECTURES
def test_saliency_is_the_size_of_torchs_gradient(build: Callable[[], Pair]) -> None:
    model, _, images = _made(build)
    (gradient,) = torch.autograd.grad(model(images.requires_grad_())[:, 1].sum(), images)
    torch.testing.assert_close(explain.saliency(model, images, 1), gradient.abs().amax(dim=1))


@ARCHITECTURES
def test_integrated_gradients_add_up_to_what_the_image_adds_to_the_logit(build: Callable[[], Pair]) -> None:
    model, _, images = _made(build, count=1)
    model, images, gray = model.double(), images.double(), torch.full_like(images, 0.5).double()
    added = (model(images) - model(gray))[:, 1].float()
    found = explain.integrated_gradients(model, images, 1, baseline=0.5, steps=128).sum(dim=(1, 2))
    torch.testing.assert_close(found, added, atol=2e-2, rtol=2e-2)


@ARCHITECTURES
def test_occlusion_is_what_the_logit_loses_by_each_square(build: Callable[[], Pair]) -> None:
    model, _, images = _made(build, count=1)
    found = explain.occlusion(model, images, 1, side=16, stride=16, fill=0.25)
    for top in (0, 16):
        for left in (0, 16):
            covered = images.clone()
            covered[:, :, top : top + 16, left : left + 16] = 0.25
            with torch.no_grad():
                lost = (model(images) - model(covered))[0, 1]
            expected = lost.expand(16, 16)
            torch.testing.assert_close(found[0, top : top + 16, left : left + 16], expected, atol=1e-5, rtol=1e-4)


@ARCHITECTURES
@EVERY_METHOD
def test_the_network_is_left_as_it_was(
    build: Callable[[], Pair], method: Callable[[nn.Module, Tensor, nn.Module], Tensor]
) -> None:
    model, layer, images = _made(build, count=2)
    model.train()
    if isinstance(model, TransferModel):
        freeze(model, "stage1")
    for index, parameter in enumerate(model.parameters()):
        parameter.grad = torch.full_like(parameter, index) if index % 2 else None
    modes = [module.training for module in model.modules()]
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    given = images.clone()
    method(model, images, layer)
    assert [module.training for module in model.modules()] == modes
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())
    assert not any(module._backward_hooks or module._backward_pre_hooks for module in model.modules())
    for index, parameter in enumerate(model.parameters()):
        assert (parameter.grad == index).all() if index % 2 else parameter.grad is None
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, state[name]), name
    assert torch.equal(images, given)
    assert not images.requires_grad


@EVERY_METHOD
@pytest.mark.parametrize("count", [1, 64])
def test_any_number_of_images_with_and_without_gradients_around(
    method: Callable[[nn.Module, Tensor, nn.Module], Tensor], count: int
) -> None:
    model, layer, images = _made(_compact, count)
    heat = method(model, images, layer)
    assert heat.shape == (count, 32, 32)
    assert heat.dtype == torch.float32
    assert not heat.requires_grad
    with torch.no_grad():
        torch.testing.assert_close(method(model, images, layer), heat)
    torch.testing.assert_close(method(model, images[:1], layer), heat[:1], atol=1e-5, rtol=1e-4)


@EVERY_METHOD
def test_autocast_changes_no_more_than_bfloat16_rounds(
    method: Callable[[nn.Module, Tensor, nn.Module], Tensor],
) -> None:
    model, layer, images = _made(_compact)
    exact = method(model, images, layer)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rounded = method(model, images, layer)
    assert rounded.dtype == torch.float32
    together = torch.stack([exact.flatten(), rounded.flatten()])
    assert torch.corrcoef(together)[0, 1] > 0.9


def test_frozen_networks_are_explained_too() -> None:
    model, layer, images = _made(_lite)
    expected = explain.grad_cam(model, images, layer=layer)
    model.requires_grad_(False)
    torch.testing.assert_close(explain.grad_cam(model, images, layer=layer), expected)


def test_each_image_has_a_class_of_its_own_and_the_most_probable_one_by_default() -> None:
    model, layer, images = _made(_simple)
    called = model(images).argmax(dim=1)
    by_default = explain.grad_cam(model, images, layer=layer)
    torch.testing.assert_close(by_default, explain.grad_cam(model, images, called, layer=layer))
    third = explain.grad_cam(model, images, torch.tensor([0, 1, 2]), layer=layer)[2]
    torch.testing.assert_close(third, explain.grad_cam(model, images, 2, layer=layer)[2])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda images: (images[0], None), r"image\[None\]"),
        (lambda images: ((255 * images).byte(), None), r"\.float\(\) / 255"),
        (lambda images: (images, 10), "there are 10 classes"),
        (lambda images: (images, torch.tensor([0, 1])), r"targets torch.int64 \(2,\) for 3 images"),
    ],
)
def test_wrong_input_is_named(change: Callable[[Tensor], tuple[Tensor, object]], message: str) -> None:
    model, _, images = _made(_simple)
    wrong, targets = change(images)
    with pytest.raises(ValueError, match=message):
        explain.saliency(model, wrong, targets)  # type: ignore[arg-type]


def test_a_layer_that_runs_twice_or_gives_no_maps_is_refused_and_the_network_restored() -> None:
    model, plain = FastCNN((8, 8, 8), flip_tta=True), FastCNN((8, 8, 8))
    with pytest.raises(ValueError, match="groups runs 2 times"):
        explain.grad_cam(model, torch.rand(1, 3, 32, 32), layer=model.groups)
    with pytest.raises(ValueError, match=r"head returns \(1, 10\)"):
        explain.feature_maps(plain, torch.rand(1, 3, 32, 32), plain.head)
    with pytest.raises(ValueError, match="runs 0 times"):
        explain.feature_maps(model, torch.rand(1, 3, 32, 32), nn.Conv2d(3, 3, 1))
    assert model.training
    assert not any(module._forward_hooks for module in model.modules())


def test_the_modes_come_back_after_an_error_inside_the_network() -> None:
    model = CompactCNN().train()
    with pytest.raises(ValueError, match="at least 32x32"):
        explain.feature_maps(model, torch.rand(1, 1, 8, 8), model.blocks[0])
    assert all(module.training for module in model.modules())
    assert not model.blocks[0]._forward_hooks


def test_captum_agrees_where_it_is_asked_directly() -> None:
    model, layer, images = _made(_simple)
    expected = attr.LayerGradCam(model, layer).attribute(images, target=1, relu_attributions=True)
    small = explain.grad_cam(model, images, 1, layer=layer, enlarge=False)
    torch.testing.assert_close(small, expected[:, 0].detach())
    expected = F.interpolate(expected, (32, 32), mode="bilinear")[:, 0]
    torch.testing.assert_close(explain.grad_cam(model, images, 1, layer=layer), expected.detach())


def test_a_channel_that_is_not_there_is_named() -> None:
    model, layer, images = _made(_simple)
    for ask in (
        lambda: explain.top_patches(model, images, layer, [0, 999], side=4, count=1),
        lambda: explain.feature_visualization(model, layer, [999], image_shape=tuple(images.shape[1:])),
    ):
        with pytest.raises(ValueError, match=r"there is no channel 999; the layer has \d+, numbered from 0"):
            ask()


def test_a_network_that_standardizes_is_explained_from_a_blurred_image() -> None:
    model, _, images = _made(_compact)
    blurred = F.avg_pool2d(F.pad(images, [2] * 4, mode="replicate"), 5, stride=1)
    found = explain.integrated_gradients(model, images, 1, baseline=blurred, steps=64).sum(dim=(1, 2))
    with torch.no_grad():
        expected = (model(images) - model(blurred))[:, 1]
    torch.testing.assert_close(found, expected, atol=2e-3, rtol=0.02)


def test_weights_that_cannot_forget_are_named() -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.PReLU())
    model.register_parameter("scale", nn.Parameter(torch.ones(1)))
    with pytest.raises(ValueError, match="layer Sequential cannot forget"):
        explain.randomize(model, 1)


def test_the_pointing_game_and_the_energy_of_hand_made_maps() -> None:
    heat = torch.tensor([[[0.0, 3.0], [1.0, 0.0]], [[1.0, -9.0], [2.0, 1.0]], [[-1.0, -1.0], [-1.0, -2.0]]])
    masks = torch.tensor([[[0, 1], [0, 0]], [[1, 1], [0, 0]], [[1, 0], [0, 0]]]).bool()
    assert explain.pointing_hits(heat, masks).tolist() == [1, 0, pytest.approx(1 / 3)]  # the last has three peaks
    assert explain.pointing_hits(heat, masks[:, None]).tolist() == explain.pointing_hits(heat, masks).tolist()
    assert explain.pointing_hits(heat, masks, tolerance=1).tolist() == [1, 1, 1]
    assert explain.pointing_hits(torch.zeros(3, 2, 2), masks).tolist() == [0, 0, 0]  # points nowhere
    torch.testing.assert_close(explain.energy_inside(heat, masks), torch.tensor([0.75, 0.25, 0.0]))
    with pytest.raises(ValueError, match="does not fit"):
        explain.pointing_hits(heat, masks[:2])


class _Sum(nn.Module):
    """Class 1 is as probable as the pixels are bright."""

    def forward(self, images: Tensor) -> Tensor:
        bright = images.sum(dim=(1, 2, 3))
        return torch.stack([torch.zeros_like(bright), bright], dim=1)


def test_deletion_takes_the_hottest_pixels_first_and_insertion_brings_them_first() -> None:
    images = torch.tensor([[4.0, 3.0], [2.0, 1.0]]).view(1, 1, 2, 2)
    heat, targets, black = images[:, 0], torch.tensor([1]), torch.zeros_like(images)
    left = explain.deletion_curve(_Sum(), images, heat, targets, fill=black, steps=4)
    brought = explain.insertion_curve(_Sum(), images, heat, targets, fill=black, steps=4)
    torch.testing.assert_close(left[:, 0], torch.tensor([10.0, 6.0, 3.0, 1.0, 0.0]).sigmoid())
    torch.testing.assert_close(brought[:, 0], torch.tensor([0.0, 4.0, 7.0, 9.0, 10.0]).sigmoid())


def test_randomizing_forgets_the_last_layers_only_and_in_a_copy() -> None:
    model = CompactCNN(widths=(4, 8))
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    forgetful = explain.randomize(model, 1).state_dict()
    assert [name for name in before if not torch.equal(before[name], forgetful[name])] == ["head.weight", "head.bias"]
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    with pytest.raises(ValueError, match="has 5 with weights"):
        explain.randomize(model, 6)


def test_filters_are_those_of_the_first_convolution() -> None:
    model = CompactCNN()
    found = explain.filters(model)
    assert torch.equal(found, model.blocks[0][0].weight)
    found.zero_()
    assert model.blocks[0][0].weight.abs().sum() > 0
    with pytest.raises(ValueError, match="no Conv2d"):
        explain.filters(nn.Linear(2, 2))


def test_feature_maps_are_what_the_layers_compute() -> None:
    model, _, images = _made(_compact)
    first, second = explain.feature_maps(model, images, model.blocks[0], model.blocks[1])
    with torch.no_grad():
        expected = model.blocks[0](model.standardize(images))
        torch.testing.assert_close(first, expected)
        torch.testing.assert_close(second, model.blocks[1](expected))


def test_top_patches_show_the_place_that_a_channel_answers_to() -> None:
    images = 0.1 * torch.rand(5, 1, 32, 32)
    brightness = (0.5, 0.9, 0.3, 0.7, 0.0)
    for image, bright in zip(images, brightness, strict=True):
        image[0, 8:12, 20:24] += bright
    model = nn.Sequential(nn.AvgPool2d(4), nn.Conv2d(1, 2, 1, bias=False))
    nn.init.constant_(model[1].weight, 1.0)
    found = explain.top_patches(model, images, model[1], [1], side=8, count=2)
    assert found.shape == (1, 2, 1, 8, 8)
    torch.testing.assert_close(found[0, 0, 0], images[1, 0, 6:14, 18:26])
    torch.testing.assert_close(found[0, 1, 0], images[3, 0, 6:14, 18:26])
    (odd,) = explain.top_patches(model, F.pad(images, [16, 0, 0, 4]), model[1], [0], side=7, count=1)
    torch.testing.assert_close(odd[0, 0], images[1, 0, 7:14, 19:26])  # around the pixel where the answer's middle is


def test_visualization_of_a_layer_that_does_not_run_is_refused() -> None:
    model, _, _ = _made(_compact)
    with pytest.raises(ValueError, match="layer Conv2d runs 0 times for an image, not once"):
        explain.feature_visualization(model, nn.Conv2d(1, 1, 3), [0], image_shape=(1, 32, 32))


def test_visualization_climbs_and_stays_an_image() -> None:
    model, layer, _ = _made(_compact)
    images = explain.feature_visualization(model, layer, [0, 3], image_shape=(1, 32, 32), steps=40)
    (reached,) = explain.feature_maps(model, images, layer)
    noise = (0.5 + 0.05 * torch.randn(64, 1, 32, 32)).clamp(0, 1)
    (usual,) = explain.feature_maps(model, noise, layer)
    assert images.min() >= 0
    assert images.max() <= 1
    for row, channel in enumerate((0, 3)):
        assert reached[row, channel].mean() > 1.5 * usual[:, channel].mean()
    again = explain.feature_visualization(model, layer, [0, 3], image_shape=(1, 32, 32), steps=40, seed=0)
    assert torch.equal(images, again)


@pytest.mark.parametrize(("weight", "reached"), [(-1.0, 0.0), (0.0, 0.5), (1.0, 1.0)])
def test_visualization_follows_a_weight_known_beforehand(weight: float, reached: float) -> None:
    layer = nn.Conv2d(1, 1, 1, bias=False)
    nn.init.constant_(layer.weight, weight)
    climbed = explain.feature_visualization(layer, layer, [0], image_shape=(1, 32, 32), steps=60)
    torch.testing.assert_close(climbed, torch.full_like(climbed, reached), atol=0.1, rtol=0)  # at the border too
    noise = explain.feature_visualization(layer, layer, [0], image_shape=(1, 64, 64), steps=0)
    assert (noise.mean().item(), noise.std().item()) == (pytest.approx(0.5, abs=0.01), pytest.approx(0.05, abs=0.005))


class Permute(nn.Module):
    def __init__(self, *axes: int) -> None:
        super().__init__()
        self.axes = axes

    def forward(self, maps: Tensor) -> Tensor:
        return maps.permute(self.axes)


class ChannelsLast(nn.Module):
    """Blocks that hand on (N, H, W, C), as those of Swin and ConvNeXt do."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, channels, 3, stride=4, padding=1)
        self.block = nn.Sequential(Permute(0, 2, 3, 1), nn.Linear(channels, channels), nn.GELU())
        self.back = Permute(0, 3, 1, 2)
        self.head = nn.Linear(channels, 3)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.back(self.block(self.first(images))).mean(dim=(2, 3)))


@pytest.mark.parametrize("channels", [4, 8, 24])  # fewer, as many, and more than rows and columns
@pytest.mark.parametrize("shape", [(32, 32), (32, 48), (48, 32)])
def test_maps_with_the_channels_last_are_refused_and_others_are_not(channels: int, shape: tuple[int, int]) -> None:
    torch.manual_seed(0)
    model, images = ChannelsLast(channels), torch.rand(2, 1, *shape)
    with pytest.raises(ValueError, match=r"layer block returns .*: its channels come last"):
        explain.grad_cam(model, images, layer=model.block)
    with pytest.raises(ValueError, match=r"layer block\.2 returns .*: its channels come last"):
        explain.grad_cam(model, images, layer=model.block[2])
    heat = explain.grad_cam(model, images, 1, layer=model.back)
    torch.testing.assert_close(explain.grad_cam(model, images, 1, layer=model.first).shape, heat.shape)
    expected = attr.LayerGradCam(model, model.back).attribute(images, target=1, relu_attributions=True)
    torch.testing.assert_close(heat, F.interpolate(expected, shape, mode="bilinear")[:, 0].detach())


def test_maps_that_are_pooled_to_a_strip_are_no_channels() -> None:
    model = nn.Sequential(nn.Conv2d(1, 16, 3), nn.AdaptiveAvgPool2d((8, 1)), nn.Flatten(), nn.Linear(128, 2))
    assert explain.grad_cam(model, torch.rand(2, 1, 32, 32), layer=model[0]).shape == (2, 32, 32)


def test_grad_cam_takes_one_forward_pass() -> None:
    model, layer, images = _made(_compact)
    passes: list[object] = []
    model.register_forward_pre_hook(lambda *_: passes.append(None))
    explain.grad_cam(model, images, layer=layer)
    assert len(passes) == 1


@EVERY_METHOD
def test_inference_mode_around_changes_nothing(method: Callable[[nn.Module, Tensor, nn.Module], Tensor]) -> None:
    model, layer, images = _made(_compact)
    expected = method(model, images, layer)
    with torch.inference_mode():
        torch.testing.assert_close(method(model, images.clone(), layer), expected)


def test_a_network_made_under_inference_mode_says_so() -> None:
    with torch.inference_mode():
        model = CompactCNN()
    with pytest.raises(ValueError, match=r"built or loaded under torch\.inference_mode"):
        explain.grad_cam(model, torch.rand(1, 1, 32, 32), layer=model.target_layer)


class Answering(nn.Module):
    def __init__(self, answer: Callable[[Tensor], object]) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.maps, self.answer = nn.Conv2d(1, 3, 3, padding=1), answer

    def forward(self, images: Tensor) -> object:
        return self.answer(self.maps(images).square().mean(dim=(2, 3)) - 0.3)


def test_one_logit_speaks_for_class_1_and_its_negative_for_class_0() -> None:
    images = torch.rand(4, 1, 16, 16)
    pair = Answering(lambda found: torch.stack([-found[:, 0], found[:, 0]], dim=1))
    for answer in (lambda found: found[:, 0], lambda found: found[:, :1]):
        single = Answering(answer)
        for targets in (None, 0, 1, [0, 1, 1, 0], torch.tensor([[True], [False], [True], [False]])):
            for method in (explain.saliency, explain.occlusion, explain.integrated_gradients):
                torch.testing.assert_close(method(single, images, targets), method(pair, images, targets))
            heat = explain.grad_cam(single, images, targets, layer=single.maps)
            torch.testing.assert_close(heat, explain.grad_cam(pair, images, targets, layer=pair.maps))


def test_logits_are_taken_out_of_what_holds_them_and_anything_else_is_named() -> None:
    images, plain = torch.rand(2, 1, 16, 16), Answering(lambda found: found)
    expected = explain.grad_cam(plain, images, layer=plain.maps)
    for holder in (lambda found: SimpleNamespace(logits=found), lambda found: {"logits": found}):
        model = Answering(holder)
        torch.testing.assert_close(explain.grad_cam(model, images, layer=model.maps), expected)
    for answer, said in (
        (lambda found: [found], "a list without logits"),
        (lambda found: found.sum(), r"it returns \(\)"),
    ):
        with pytest.raises(ValueError, match=f"the network must return logits .*{said}"):
            explain.saliency(Answering(answer), images)


def test_a_layer_that_puts_out_no_tensor_or_that_the_answer_does_not_use_is_named() -> None:
    class Odd(Answering):
        def __init__(self) -> None:
            super().__init__(lambda found: found[:, :2])
            self.aside, self.both = nn.Conv2d(1, 2, 3), Twice()

        def forward(self, images: Tensor) -> object:
            self.aside(images)
            return super().forward(self.both(images)[0])

    model, images = Odd(), torch.rand(2, 1, 16, 16)
    with pytest.raises(ValueError, match="layer both returns a tuple, not maps"):
        explain.grad_cam(model, images, layer=model.both)
    for method in (explain.grad_cam, explain.activation_times_gradient):
        with pytest.raises(ValueError, match="no gradient of the classes reaches layer aside"):
            method(model, images, layer=model.aside)


class Twice(nn.Module):
    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        return images, images


class Straight(nn.Module):
    """A linear network: a convolution without an activation, the mean, a dense layer."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.maps, self.head = nn.Conv2d(1, 4, 4, stride=4), nn.Linear(4, 2)
        nn.init.normal_(self.head.weight, std=20)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.maps(images).mean(dim=(2, 3)))


@pytest.fixture(scope="module")
def taken_away() -> tuple[Tensor, Tensor, Tensor]:
    """Radiographs of sick patients, the same without their opacities, and where the two differ."""
    with_, without = (
        simulate_radiographs(6, image_size=32, seed=3, prevalence=1, difficulty=0, leave_out=part)
        for part in (None, "opacities")
    )
    return with_.images.float() / 255, without.images.float() / 255, (with_.images != without.images)


def weight_of_each_pixel() -> Tensor:
    """What a pixel adds to the log-odds of `Straight`, by hand: the dense weights through the kernel of its square."""
    model = Straight()
    dense = model.head.weight[1] - model.head.weight[0]
    kernel = torch.einsum("k,khw->hw", dense, model.maps.weight[:, 0]) / 64  # 8 times 8 positions
    return kernel.repeat(8, 8).detach()


def test_in_a_linear_network_each_method_says_the_truth_about_what_was_taken_away(
    taken_away: tuple[Tensor, Tensor, Tensor],
) -> None:
    images, without, where = taken_away
    model, exact = Straight(), {"atol": 1e-4, "rtol": 0}
    truth = explain.effect(model, images, without)
    by_hand = (weight_of_each_pixel() * (images - without)).sum(dim=(1, 2, 3))
    torch.testing.assert_close(truth, by_hand, **exact)
    assert truth.abs().min() > 0.01  # there is something to get wrong
    change = explain.gradient_times_change(model, images, without)
    path = explain.integrated_gradients(explain.LogOdds(model), images, 1, baseline=without, steps=8)
    for said in (change, path):
        torch.testing.assert_close(explain.inside(said, where), truth, **exact)


def test_in_a_linear_network_occlusion_and_gradient_times_input_say_what_black_squares_cost() -> None:
    torch.manual_seed(1)
    images, model = torch.rand(3, 1, 32, 32), Straight()
    black = torch.zeros_like(images)
    said = explain.gradient_times_change(model, images, black)
    path = explain.integrated_gradients(explain.LogOdds(model), images, 1, baseline=black, steps=8)
    covered = explain.occlusion(explain.LogOdds(model), images, 1, side=8, stride=8, fill=0.0)
    for row, column in ((0, 0), (8, 16), (24, 24)):
        square = torch.zeros(3, 1, 32, 32, dtype=torch.bool)
        square[:, :, row : row + 8, column : column + 8] = True
        truth = explain.effect(model, images, images.masked_fill(square, 0))
        for found in (explain.inside(said, square), explain.inside(path, square), covered[:, row, column]):
            torch.testing.assert_close(found, truth, atol=1e-4, rtol=0)


def test_activation_times_gradient_sums_to_the_log_odds_less_the_bias() -> None:
    model, layer, images = _made(_compact)
    for asked in (layer, model.blocks[-1]):  # before and after pooling
        parts = explain.activation_times_gradient(model, images, layer=asked)
        with torch.no_grad():
            logits, bias = model(images), model.head.bias
        expected = logits[:, 1] - logits[:, 0] - (bias[1] - bias[0])
        torch.testing.assert_close(parts.sum(dim=(1, 2)), expected, atol=1e-4, rtol=0)
    weights = model.head.weight[1] - model.head.weight[0]
    (maps,) = explain.feature_maps(model, images, model.blocks[-1])  # (3, 16, 4, 4)
    by_hand = torch.einsum("k,nkhw->nhw", weights, maps).detach() / 16
    torch.testing.assert_close(parts[:, 8:16, 16:24].sum(dim=(1, 2)), by_hand[:, 1, 2], atol=1e-5, rtol=0)


def test_integrated_gradients_from_the_counterfactual_sum_to_its_effect(
    taken_away: tuple[Tensor, Tensor, Tensor],
) -> None:
    images, without, where = taken_away
    model, _, _ = _made(_compact)
    path = explain.integrated_gradients(explain.LogOdds(model), images, 1, baseline=without, steps=128)
    truth = explain.effect(model, images, without)
    torch.testing.assert_close(explain.inside(path, where), truth, atol=2e-3, rtol=0.02)
    assert torch.equal(path[~where[:, 0]], torch.zeros_like(path[~where[:, 0]]))


def test_an_effect_needs_the_same_images_twice_and_two_classes() -> None:
    model, _, images = _made(_compact)
    with pytest.raises(ValueError, match=r"without \(2, 1, 32, 32\) must be the images \(3, 1, 32, 32\) again"):
        explain.effect(model, images, images[:2])
    simple, _, colored = _made(_simple)
    with pytest.raises(ValueError, match="two classes, the network returns 10"):
        explain.effect(simple, colored, colored)
    model.train()
    explain.effect(model, images, images)
    assert model.training


def test_rank_correlation_is_scipys_and_a_flat_map_has_none() -> None:
    torch.manual_seed(0)
    first, second = torch.rand(2, 3, 6, 6).sub(0.5).relu()  # with many equal values
    first[2] = 0
    found = explain.rank_correlation(first, second)
    for one, other, said in zip(first[:2], second[:2], found[:2], strict=True):
        assert said == pytest.approx(spearmanr(one.flatten(), other.flatten()).statistic)
    assert found[2].isnan()
