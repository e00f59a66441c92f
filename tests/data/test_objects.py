"""Facts about the simulated objects. The judges are simple measurements, scikit-learn, and small trained networks."""

import functools
from collections.abc import Callable

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn
from torch.nn import functional as F

from course_lib.data.images import ImageSet
from course_lib.data.objects import simulate_objects

LUMA = torch.tensor([0.299, 0.587, 0.114])[:, None, None]  # of red, green, blue: ITU-R BT.601


@functools.cache
def objects(num_images: int, seed: int) -> ImageSet:
    return simulate_objects(num_images, seed=seed)


@pytest.fixture(scope="module")
def easy() -> ImageSet:
    return simulate_objects(400, seed=5, difficulty=0)


def has(image_set: ImageSet, word: str) -> Tensor:
    """Which images are of a class with `word` in its name, (N,)."""
    return torch.tensor([word in name.split() for name in image_set.classes])[image_set.labels]


def test_equal_arguments_give_equal_bytes_and_leave_the_global_generators_alone():
    torch_state, numpy_state = torch.get_rng_state(), np.random.get_state()[1].copy()
    first, second = (simulate_objects(12, image_size=40, seed=3) for _ in range(2))
    assert torch.equal(first.images, second.images)
    assert torch.equal(first.labels, second.labels)
    assert torch.equal(torch.get_rng_state(), torch_state)
    assert np.array_equal(np.random.get_state()[1], numpy_state)


def test_another_seed_gives_other_pictures_in_another_order():
    first, second = simulate_objects(20, seed=1), simulate_objects(20, seed=2)
    assert not torch.equal(first.labels, second.labels)
    assert (first.images != second.images).flatten(1).any(dim=1).all()
    assert not set(first.groups) & set(second.groups)


def test_the_first_images_of_a_larger_set_are_those_of_a_smaller_one():
    few, many = simulate_objects(7, seed=7), simulate_objects(25, seed=7)
    assert torch.equal(few.images, many.images[:7])
    assert torch.equal(few.labels, many.labels[:7])


@pytest.mark.parametrize(("num_images", "least", "most"), [(1, 0, 1), (10, 1, 1), (57, 5, 6), (60, 6, 6)])
def test_classes_are_as_frequent_as_each_other_to_one_image(num_images, least, most):
    counts = simulate_objects(num_images, image_size=16).counts()
    assert len(counts) == 10
    assert sum(counts.values()) == num_images
    assert least == min(counts.values())
    assert most == max(counts.values())


def test_each_image_is_a_group_of_its_own_and_says_that_it_is_simulated():
    images = simulate_objects(13, image_size=16)
    assert len(set(images.groups)) == 13
    assert "simulated" in images.name
    assert "simulated" in images.license
    assert images.images.dtype == torch.uint8
    assert images.labels.dtype == torch.int64
    assert images.images.shape == (13, 3, 16, 16)


def test_no_two_cues_tell_all_classes_apart_and_each_class_has_neighbors_in_two_cues_at_least():
    cues = [tuple(name.split()) for name in simulate_objects(1, image_size=16).classes]
    for dropped, distinct in enumerate((6, 5, 4)):  # texture, color, shape
        assert len({cue[:dropped] + cue[dropped + 1 :] for cue in cues}) == distinct
    for cue in cues:
        differences = [[k for k in range(3) if cue[k] != other[k]] for other in cues]
        assert len({only[0] for only in differences if len(only) == 1}) >= 2


@pytest.mark.parametrize("changed", [{"image_size": 96}, {"difficulty": 1.0}])
def test_a_picture_keeps_its_scene_at_another_size_and_difficulty(changed):
    usual, other = simulate_objects(20, seed=4), simulate_objects(20, seed=4, **changed)
    coarse, shrunk = (F.adaptive_avg_pool2d(s.images.float(), 8).flatten(1) for s in (usual, other))
    agreement = np.array([np.corrcoef(a, b)[0, 1] for a, b in zip(coarse, shrunk, strict=True)])
    assert np.median(agreement) > 0.97
    assert agreement.min() > 0.7
    assert torch.equal(usual.labels, other.labels)


def test_difficulty_weakens_what_the_eye_sees_of_the_texture():
    strength = {}
    for difficulty in (0.0, 1.0):
        gray = (simulate_objects(100, seed=6, difficulty=difficulty).images.float() * LUMA).sum(dim=1)
        neighbors = (gray[:, 10:22, 10:21] - gray[:, 10:22, 11:22]).abs()
        strength[difficulty] = neighbors.mean()
    assert strength[1.0] < 0.8 * strength[0.0]


def test_warm_objects_are_redder_in_the_middle_than_cool_ones(easy):
    red, _, blue = easy.images[:, :, 12:20, 12:20].float().mean(dim=(2, 3)).T
    assert roc_auc_score(has(easy, "warm"), red - blue) > 0.9


def test_edges_of_striped_objects_have_one_direction_and_those_of_dotted_ones_two(easy):
    gray = (easy.images[:, :, 9:23, 9:23].float() * LUMA).sum(dim=1)
    down, across = torch.gradient(gray, dim=(1, 2))
    dd, aa, da = (product.sum(dim=(1, 2)) for product in (down**2, across**2, down * across))
    # The structure tensor's coherence: 1 when all edges are parallel, 0 when they have no direction in common.
    coherence = ((dd - aa) ** 2 + 4 * da**2).sqrt() / (dd + aa)
    assert roc_auc_score(has(easy, "striped"), coherence) > 0.95


def test_triangles_are_wider_below_and_squares_have_corners_that_discs_lack(easy):
    gray = (easy.images.float() * LUMA).sum(dim=1)
    edges = (gray[:, 1:, 1:] - gray[:, :-1, :-1]).abs() + (gray[:, 1:, :-1] - gray[:, :-1, 1:]).abs() > 60
    widening, corners = [], []
    for picture in edges:
        y, x = picture.nonzero().T.float()
        below = y > y.mean()
        widening.append(x[below].std() / x[~below].std())
        corners.append(
            ((((y - y.mean()) / y.std()).abs() > 1.1) & (((x - x.mean()) / x.std()).abs() > 1.1)).float().mean()
        )
    disc, square, triangle = (has(easy, shape) for shape in ("disc", "square", "triangle"))
    widening, corners = torch.tensor(widening), torch.tensor(corners)
    assert widening[triangle].median() > 1.3
    assert 0.9 < widening[disc].median() < 1.1
    assert 0.9 < widening[square].median() < 1.1
    assert corners[square].mean() > 1.5 * corners[disc].mean()


def test_the_mean_color_of_a_picture_rarely_gives_its_object_away():
    train, test = objects(1200, 1), objects(1000, 2)
    linear = make_pipeline(StandardScaler(), LogisticRegression())
    linear.fit(train.images.float().mean(dim=(2, 3)), has(train, "warm"))
    assert 0.5 < linear.score(test.images.float().mean(dim=(2, 3)), has(test, "warm")) < 0.72


def test_neither_color_counts_nor_a_linear_model_on_pixels_solves_the_task():
    train, test = objects(1200, 1), objects(1000, 2)

    def color_counts(images: ImageSet) -> np.ndarray:
        level = images.images.long() // 64  # four levels of each of three colors
        return F.one_hot(level[:, 0] * 16 + level[:, 1] * 4 + level[:, 2], 64).sum(dim=(1, 2)).numpy()

    def pixels(images: ImageSet) -> np.ndarray:
        return F.avg_pool2d(images.images.float(), 2).flatten(1).numpy()

    for features, strength in ((color_counts, 1.0), (pixels, 0.001)):
        linear = make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=200))
        linear.fit(features(train), train.labels)
        assert 0.1 < linear.score(features(test), test.labels) < 0.3


def network(*, batch_norm: bool) -> nn.Sequential:
    layers: list[nn.Module] = []
    for before, after in ((3, 16), (16, 32), (32, 64)):
        norm = [nn.BatchNorm2d(after)] if batch_norm else []
        layers += [nn.Conv2d(before, after, 3, padding=1), nn.MaxPool2d(2), *norm, nn.ReLU()]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(64 * 4 * 4, 64), nn.ReLU(), nn.Linear(64, 10))


def shift_and_flip(images: Tensor) -> Tensor:
    """Each image moved by up to two pixels along each side, and half of them mirrored."""
    padded = F.pad(images, (2, 2, 2, 2), mode="reflect")
    picture = torch.arange(len(images))[:, None, None]
    rows, columns = (torch.randint(5, (len(images), 1)) + torch.arange(32) for _ in range(2))
    moved = padded.permute(0, 2, 3, 1)[picture, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)
    return torch.where(torch.rand(len(images), 1, 1, 1) < 0.5, moved.flip(3), moved)


def trained_guesses(
    train: ImageSet,
    test: ImageSet,
    *,
    epochs: int,
    batch_norm: bool = True,
    augment: bool = False,
    change: Callable[[Tensor], Tensor] = lambda images: images,
    seed: int = 0,
) -> Tensor:
    """What a small network, trained from scratch on changed images, takes the changed `test` images for."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        images, judged = (change(s.images.float() / 64 - 2) for s in (train, test))
        model = network(batch_norm=batch_norm).to(memory_format=torch.channels_last)
        optimizer = torch.optim.Adam(model.parameters())
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=epochs * -(-len(images) // 32))
        for _ in range(epochs):
            for batch in torch.randperm(len(images)).split(32):
                seen = shift_and_flip(images[batch]) if augment else images[batch]
                loss = F.cross_entropy(model(seen.contiguous(memory_format=torch.channels_last)), train.labels[batch])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                schedule.step()
        model.eval()
        with torch.no_grad():
            return model(judged).argmax(dim=1)


def gray(images: Tensor) -> Tensor:
    return (images * LUMA).sum(dim=1, keepdim=True).expand_as(images)


def blurred(images: Tensor) -> Tensor:
    return F.avg_pool2d(images, 7, stride=1, padding=3, count_include_pad=False)


def scattered(images: Tensor) -> Tensor:
    """The 16 tiles of each image in an order of its own."""
    tiles = images.unfold(2, 8, 8).unfold(3, 8, 8).reshape(-1, 3, 16, 8, 8)
    order = torch.rand(len(images), 1, 16, 1, 1).argsort(dim=2).expand_as(tiles)
    return tiles.gather(2, order).reshape(-1, 3, 4, 4, 8, 8).transpose(3, 4).reshape(images.shape)


@pytest.mark.parametrize(
    ("change", "lost", "kept"),
    [(gray, "warm", "striped"), (blurred, "striped", "warm"), (scattered, "disc", "warm")],
)
def test_without_color_or_texture_or_shape_a_network_loses_that_cue_and_keeps_another(change, lost, kept):
    test = objects(1000, 2)
    guesses = trained_guesses(objects(1200, 1), test, epochs=8, change=change)
    for word, low, high in ((lost, 0.3, 0.65), (kept, 0.8, 1)):  # always answering "striped" is right in 0.6
        named = torch.tensor([word in name.split() for name in test.classes])
        agreement = (named[guesses] == named[test.labels]).float().mean()
        assert low < agreement < high, word


def test_augmentation_and_batch_norm_each_help_a_small_network():
    train, test = objects(1200, 1), objects(1000, 2)

    def accuracy(**arguments: bool) -> float:
        guesses = [trained_guesses(train, test, epochs=12, seed=seed, **arguments) for seed in range(2)]
        return float(np.mean([(guess == test.labels).float().mean() for guess in guesses]))

    both = accuracy(batch_norm=True, augment=True)
    assert 0.5 < both < 0.9
    assert both > accuracy(batch_norm=True, augment=False) + 0.08
    assert both > accuracy(batch_norm=False, augment=True) + 0.08


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        ({"num_images": 0}, "num_images must be 1 or more, got 0"),
        ({"image_size": 8}, "image_size must be 16 or more, got 8"),
        ({"seed": -1}, "seed must be 0 or more, got -1"),
        ({"difficulty": 30}, "difficulty must lie between 0 and 1, got 30"),
        ({"difficulty": float("nan")}, "difficulty must lie between 0 and 1, got nan"),
    ],
)
def test_an_argument_out_of_range_is_named_with_what_arrived_and_what_to_do(arguments, found):
    with pytest.raises(ValueError, match=found) as error:
        simulate_objects(**{"num_images": 2, **arguments})
    assert "; " in str(error.value)
