from collections.abc import Callable

import pytest
import torch
from torch.utils.data import DataLoader

from course_lib.data import ImageSet, Splits

MakeSet = Callable[..., ImageSet]


def test_a_set_is_a_torch_data_set_of_floats_in_0_to_1(make_set: MakeSet) -> None:
    data = make_set(5)
    images, labels = next(iter(DataLoader(data, batch_size=5)))
    torch.testing.assert_close(images, data.images.float() / 255)
    assert labels.tolist() == data.labels.tolist()


def test_a_subset_keeps_what_belongs_together(make_set: MakeSet) -> None:
    part = make_set(6).subset([4, 1])
    assert part.groups == ("4", "1")
    assert part.labels.tolist() == [0, 1]
    assert torch.equal(part.images, make_set(6).images[[4, 1]])


def test_a_mask_in_place_of_indices_is_refused(make_set: MakeSet) -> None:
    data = make_set(6)
    mask = data.labels == 0
    for given in (mask, mask.tolist(), mask.numpy()):
        with pytest.raises(ValueError, match=r"got a Boolean mask; give `mask\.nonzero\(\)\.flatten\(\)`"):
            data.subset(given)
    assert data.subset(mask.nonzero().flatten()).groups == ("0", "2", "4")
    assert len(data.subset([])) == 0


def test_counts_name_a_class_without_images(make_set: MakeSet) -> None:
    assert make_set(4).subset([0, 2]).counts() == {"class 0": 2, "class 1": 0}


@pytest.mark.parametrize(
    ("images", "labels", "groups", "message"),
    [
        (torch.zeros(2, 1, 4, 4), [0, 1], "ab", "images must be uint8"),
        (
            torch.zeros(2, 4, 4).byte(),
            [0, 1],
            "ab",
            r"images must be uint8 \(N, C, H, W\), got torch.uint8 \(2, 4, 4\)",
        ),
        (torch.zeros(2, 1, 4, 4).byte(), [0, 1], "abc", "2 images, 2 labels and 3 groups"),
        (torch.zeros(2, 1, 4, 4).byte(), [1, 2], "ab", "labels run from 1 to 2, but there are 2 classes"),
    ],
)
def test_parts_that_do_not_fit_are_named(images: torch.Tensor, labels: list[int], groups: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ImageSet(images, torch.tensor(labels), ("no", "yes"), tuple(groups), "test", "none")


def test_a_split_is_read_when_it_is_asked_for_and_only_once(make_set: MakeSet) -> None:
    read: list[str] = []

    def train_and_val() -> tuple[ImageSet, ImageSet]:
        read.append("train and val")
        return make_set(4), make_set(2)

    def test() -> ImageSet:
        read.append("test")
        return make_set(3)

    splits = Splits(train_and_val=train_and_val, test=test)
    assert (len(splits.test), len(splits.test), read) == (3, 3, ["test"])
    assert (len(splits.train), len(splits.val), read) == (4, 2, ["test", "train and val"])


def test_a_helper_that_begins_anew_can_fetch_from_it(make_set: MakeSet) -> None:
    data = make_set(8)
    loader = DataLoader(data, batch_size=4, num_workers=1, multiprocessing_context="spawn")  # Windows and macOS
    assert torch.equal(torch.cat([images for images, _ in loader]), torch.stack([image for image, _ in data]))
