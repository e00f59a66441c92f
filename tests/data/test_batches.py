from collections.abc import Callable

import pytest
import torch
from torch.nn import functional as F

from course_lib.data import Augmentation, Batches, ImageSet, PhotoAugmentation

MakeSet = Callable[..., ImageSet]


def test_batches_hold_every_image_once_with_its_label(make_set: MakeSet) -> None:
    data = make_set(10)
    pairs = list(Batches(data, 4, shuffle=True))
    assert [len(labels) for _, labels in pairs] == [4, 4, 2]
    assert len(Batches(data, 4)) == 3
    images, labels = torch.cat([i for i, _ in pairs]), torch.cat([y for _, y in pairs])
    for image, label in zip(data.images.float() / 255, data.labels, strict=True):
        matches = (images == image).flatten(1).all(dim=1)
        assert labels[matches].tolist() == [label]


def test_each_pass_is_shuffled_anew_and_a_seed_repeats_it(make_set: MakeSet) -> None:
    batches = Batches(make_set(64), 64, shuffle=True)

    def order() -> list[float]:
        return next(iter(batches))[0].mean(dim=(1, 2, 3)).tolist()

    torch.manual_seed(0)
    first, second = order(), order()
    torch.manual_seed(0)
    assert first == order() != second


def test_an_empty_batch_size_is_refused(make_set: MakeSet) -> None:
    with pytest.raises(ValueError, match="batch_size=0 must be at least 1"):
        Batches(make_set(4), 0)


def test_augmentation_with_all_limits_at_zero_changes_nothing() -> None:
    none = Augmentation(**dict.fromkeys(Augmentation().__dict__, 0))
    images = torch.rand(3, 1, 16, 16)
    torch.testing.assert_close(none(images), images, atol=1e-5, rtol=0)


def test_augmentation_changes_each_image_differently_but_not_its_shape() -> None:
    torch.manual_seed(0)
    images = torch.rand(1, 1, 32, 48).expand(8, -1, -1, -1)
    changed = Augmentation()(images)
    assert changed.shape == images.shape
    assert len({tuple(image.flatten().tolist()) for image in changed}) == 8


def test_a_shift_moves_by_at_most_its_share_of_the_side() -> None:
    torch.manual_seed(0)
    shift = Augmentation(**{**dict.fromkeys(Augmentation().__dict__, 0), "shift": 0.25})
    dot = torch.zeros(200, 1, 40, 40)
    dot[:, :, 19:21, 19:21] = 1
    moved = shift(dot)
    grid = torch.arange(40.0)
    rows = (moved.sum(dim=(1, 3)) * grid).sum(dim=1) / moved.sum(dim=(1, 2, 3)) - 19.5
    assert 9 < float(rows.abs().max()) <= 10.01
    assert abs(float(rows.mean())) < 1.5


def test_a_stretch_changes_width_and_height_each_by_itself_up_to_its_limit() -> None:
    torch.manual_seed(0)
    stretch = Augmentation(**{**dict.fromkeys(Augmentation().__dict__, 0), "stretch": 0.3})
    square = torch.zeros(500, 1, 80, 80)
    square[:, :, 20:60, 20:60] = 1
    stretched = stretch(square)
    high, wide = stretched[:, 0, :, 40].sum(dim=1) / 40, stretched[:, 0, 40].sum(dim=1) / 40
    for side in (high.log(), wide.log()):
        assert 0.28 < float(side.max()) < 0.31
        assert -0.31 < float(side.min()) < -0.28
    assert abs(float(torch.corrcoef(torch.stack([high, wide]))[0, 1])) < 0.15  # of a change of size it would be 1
    assert abs(float((high.log() - wide.log()).abs().max()) - 0.6) < 0.06


@pytest.mark.parametrize("name", ["brightness", "contrast", "gamma", "shade", "blur", "noise"])
def test_each_change_of_light_can_be_had_alone_and_moves_nothing(name: str) -> None:
    torch.manual_seed(0)
    change = Augmentation(**{**dict.fromkeys(Augmentation().__dict__, 0), name: 0.3})
    image = torch.zeros(32, 1, 16, 16)
    image[:, :, 4:12, 4:12] = 0.5
    changed = change(image)
    assert not torch.allclose(changed, image, atol=0.01)
    inside, outside = changed[:, :, 6:10, 6:10].mean(dim=(1, 2, 3)), changed[:, :, :3].mean(dim=(1, 2, 3))
    assert bool((inside > outside).all())


def test_nothing_is_mirrored_unless_asked_for() -> None:
    torch.manual_seed(0)
    still = dict.fromkeys(Augmentation().__dict__, 0)
    left = torch.zeros(100, 1, 8, 8)
    left[..., :2] = 1
    sides = lambda images: images[..., :2].mean(dim=(1, 2, 3)) > 0.5  # noqa: E731
    assert bool(sides(Augmentation(**still)(left)).all())
    mirrored = Augmentation(**{**still, "horizontal_flip": True})(left)
    assert 30 < int((~sides(mirrored)).sum()) < 70


def test_a_team_shares_every_batch_and_sees_what_one_process_would_see(make_set: MakeSet) -> None:
    data = make_set(22, channels=3)

    def passes(**team: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
        torch.manual_seed(0)
        return list(Batches(data, 7, shuffle=True, augment=PhotoAugmentation(cutout=4), **team))

    alone, first, second = passes(), passes(rank=0, world_size=2), passes(rank=1, world_size=2)
    assert [len(labels) for _, labels in first] == [4, 4, 4, 1]
    assert [len(labels) for _, labels in second] == [3, 3, 3, 1]  # one image is too few to share: both take it
    for (images, labels), own, other in zip(alone, first, second, strict=True):
        step = min(2, len(labels))
        torch.testing.assert_close(own[0], images[::step])
        torch.testing.assert_close(other[0], images[step - 1 :: step])
        assert torch.equal(other[1], labels[step - 1 :: step])


def test_a_team_evaluates_every_image_once(make_set: MakeSet) -> None:
    data = make_set(9)
    seen = [i for rank in range(2) for i, _ in Batches(data, 4, rank=rank, world_size=2)]
    assert sum(map(len, seen)) == 9
    assert len({tuple(image.flatten().tolist()) for image in torch.cat(seen)}) == 9


def test_photo_augmentation_shifts_by_whole_pixels_and_mirrors_as_torch_does() -> None:
    torch.manual_seed(0)
    images = torch.rand(1, 3, 12, 10).expand(200, -1, -1, -1)
    padded = F.pad(images[:1], (2, 2, 2, 2), mode="reflect")
    places = [(down, right) for down in range(5) for right in range(5)]
    crops = torch.cat([padded[:, :, down : down + 12, right : right + 10] for down, right in places])
    allowed = torch.cat([crops, crops.flip(3)])
    changed = PhotoAugmentation(shift=2)(images)
    found = {int((allowed == image).all(dim=(1, 2, 3)).nonzero().squeeze()) for image in changed}
    assert len(found) > 40  # of the 50 places, and none besides


def test_cutout_covers_one_square_and_color_changes_each_channel_alike_everywhere() -> None:
    torch.manual_seed(0)
    images = torch.rand(50, 3, 16, 16) * 0.4
    covered = (PhotoAugmentation(shift=0, flip=False, cutout=6)(images) == 0.5).all(dim=1)
    assert covered.any(dim=2).sum(dim=1).max() == covered.any(dim=1).sum(dim=1).max() == 6
    assert torch.equal(covered.sum(dim=(1, 2)), covered.any(dim=2).sum(dim=1) * covered.any(dim=1).sum(dim=1))
    lit = PhotoAugmentation(shift=0, flip=False, color=0.3)(images)
    for before, after in zip(images.flatten(2), lit.flatten(2), strict=True):
        for channel, changed in zip(before, after, strict=True):  # still a straight line of what it was
            assert torch.corrcoef(torch.stack([channel, changed]))[0, 1] > 0.9999


def test_photo_augmentation_with_all_limits_at_zero_changes_nothing() -> None:
    images = torch.rand(3, 3, 16, 16)
    assert torch.equal(PhotoAugmentation(shift=0, flip=False)(images), images)
