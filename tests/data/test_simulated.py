"""Facts about the simulated radiographs. The judges are hand arithmetic, anatomy, and scikit-learn."""

import math

import numpy as np
import pytest
import torch
from scipy.ndimage import distance_transform_edt
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch.nn.functional import adaptive_avg_pool2d

from course_lib.data.images import ImageSet
from course_lib.data.simulated import marker_box, simulate_radiographs, transmission, twins


@pytest.fixture(scope="module")
def healthy() -> ImageSet:
    return simulate_radiographs(100, seed=5, prevalence=0.0)


@pytest.fixture(scope="module")
def sick() -> ImageSet:
    """The patients of `healthy`, each with pneumonia."""
    return simulate_radiographs(100, seed=5, prevalence=1.0)


def test_ten_cm_of_soft_tissue_let_through_what_the_tables_say():
    # NIST: 0.2048 cm2/g at 60 keV, 1.06 g/cm3, so exp(-0.2048 * 1.06 * 10).
    through = transmission({"soft": np.array([[10.0]])}, energy=60)
    assert through.item() == pytest.approx(math.exp(-0.2048 * 1.06 * 10), rel=0.01)


def test_slabs_behind_one_another_multiply_their_transmissions():
    soft, bone = np.full((2, 2), 7.0), np.full((2, 2), 1.5)
    together = transmission({"soft": soft, "bone": bone}, energy=52)
    np.testing.assert_allclose(
        together, transmission({"soft": soft}, energy=52) * transmission({"bone": bone}, energy=52)
    )


def test_two_half_value_layers_leave_a_quarter_of_the_beam():
    half_value = math.log(2) / -math.log(transmission({"soft": np.array([1.0])}).item())
    assert transmission({"soft": np.array([2 * half_value])}).item() == pytest.approx(0.25)


def test_a_harder_beam_shows_less_bone():
    bone = {"bone": np.array([1.0])}
    assert transmission(bone, energy=40) < transmission(bone, energy=60) < transmission(bone, energy=80)


def test_equal_arguments_give_equal_bytes_and_leave_the_global_generators_alone():
    torch_state, numpy_state = torch.get_rng_state(), np.random.get_state()[1].copy()
    first, second = (simulate_radiographs(6, image_size=48, seed=3, marker_rates=(0.5, 0.5)) for _ in range(2))
    assert torch.equal(first.images, second.images)
    assert torch.equal(first.labels, second.labels)
    assert torch.equal(first.masks, second.masks)
    assert torch.equal(torch.get_rng_state(), torch_state)
    assert np.array_equal(np.random.get_state()[1], numpy_state)


def test_another_seed_gives_other_patients_in_another_order():
    first, second = simulate_radiographs(20, image_size=32, seed=1), simulate_radiographs(20, image_size=32, seed=2)
    assert not torch.equal(first.labels, second.labels)
    assert (first.images != second.images).flatten(1).any(dim=1).all()
    assert not set(first.groups) & set(second.groups)


def test_the_first_patients_of_a_larger_set_are_those_of_a_smaller_one():
    few, many = (simulate_radiographs(n, image_size=32, seed=7, prevalence=0.0) for n in (3, 6))
    assert torch.equal(few.images, many.images[:3])


def test_no_two_patients_look_alike(healthy):
    pixels = healthy.images.float().flatten(1)
    distances = torch.cdist(pixels, pixels, p=1) / pixels.shape[1]  # mean gray levels between two images
    distances.fill_diagonal_(torch.inf)
    assert distances.min() > 5


def test_a_patient_keeps_the_anatomy_at_another_image_size():
    small, large = (simulate_radiographs(6, image_size=size, seed=4, prevalence=1.0) for size in (32, 96))
    for image, shrunk in zip(small.images.float(), adaptive_avg_pool2d(large.images.float(), 32), strict=True):
        assert np.corrcoef(image.flatten(), shrunk.flatten())[0, 1] > 0.97


@pytest.mark.parametrize(
    ("num_images", "prevalence", "expected"), [(10, 0.5, 5), (11, 0.3, 3), (7, 0.0, 0), (7, 1.0, 7)]
)
def test_prevalence_is_met_to_the_image(num_images, prevalence, expected):
    images = simulate_radiographs(num_images, image_size=16, prevalence=prevalence)
    assert images.counts() == {"NORMAL": num_images - expected, "PNEUMONIA": expected}


def test_each_image_is_a_patient_of_its_own_and_says_that_it_is_simulated():
    images = simulate_radiographs(5, image_size=16)
    assert len(set(images.groups)) == 5
    assert "simulated" in images.name
    assert "simulated" in images.license
    assert images.images.dtype == torch.uint8
    assert images.images.shape == images.masks.shape == (5, 1, 16, 16)


def test_masks_are_empty_in_health_and_mark_a_part_of_the_chest_in_disease(healthy, sick):
    assert not healthy.masks.any()
    share = sick.masks.float().mean(dim=(1, 2, 3))
    assert share.min() > 0
    assert share.max() < 0.2


def test_lesions_lie_where_the_same_patient_in_health_shows_lung(healthy, sick):
    well = healthy.images
    spine = well[:, 0, 20:46, 29:35].float().mean(dim=(1, 2))
    lesion = torch.stack([image[mask].float().mean() for image, mask in zip(well, sick.masks, strict=True)])
    assert (lesion < spine).float().mean() > 0.95


def test_the_lesion_alone_tells_a_sick_patient_from_the_same_one_in_health(healthy, sick):
    difference = sick.images.float() - healthy.images.float()
    inside = torch.stack([d[m].mean() for d, m in zip(difference, sick.masks, strict=True)])
    outside = torch.stack([d[~m].abs().mean() for d, m in zip(difference, sick.masks, strict=True)])
    assert (inside > 5).float().mean() > 0.95
    assert outside.median() < 4


def test_a_lesion_is_brighter_than_the_other_side_in_most_patients(sick):
    # Rotation and position are drawn about the middle of the picture, so the mirrored mask lies on the other lung.
    both = (sick.masks & sick.masks.flip(-1)).flatten(1).any(dim=1)
    brighter = [
        image[mask].float().mean() > image[mask.flip(-1)].float().mean()
        for image, mask in zip(sick.images[~both], sick.masks[~both], strict=True)
    ]
    assert np.mean(brighter) > 0.7


def test_difficulty_makes_lesions_fainter_and_smaller():
    contrast, area = {}, {}
    for difficulty in (0.0, 1.0):
        well, ill = (simulate_radiographs(40, seed=6, prevalence=p, difficulty=difficulty) for p in (0.0, 1.0))
        contrast[difficulty] = (ill.images.float() - well.images.float())[ill.masks].mean()
        area[difficulty] = ill.masks.float().mean()
    assert contrast[1.0] < 0.8 * contrast[0.0]
    assert area[1.0] < area[0.0]


def test_bone_is_white_lung_dark_and_air_black(healthy):
    mean = healthy.images.float().mean(dim=(0, 1))
    spine, right_lung, corner = mean[30:40, 30:34].mean(), mean[24:34, 12:22].mean(), mean[:6, :6].mean()
    assert spine > right_lung + 50
    assert right_lung > corner + 10


def test_the_heart_points_to_the_right_of_the_picture(healthy):
    mean = healthy.images.float().mean(dim=(0, 1))[34:46]
    assert mean[:, 38:46].mean() > mean.flip(-1)[:, 38:46].mean() + 20


@pytest.mark.parametrize("rates", [(0.0, 1.0), (1.0, 0.0)])
def test_the_marker_stands_in_its_box_of_the_class_asked_for_and_changes_nothing_else(rates):
    plain = simulate_radiographs(30, image_size=40, seed=8)
    marked = simulate_radiographs(30, image_size=40, seed=8, marker_rates=rates)
    changed = plain.images != marked.images
    assert torch.equal(changed.flatten(1).any(dim=1), torch.tensor(rates)[plain.labels] == 1)
    rows, columns = marker_box(40)
    assert (marked.images[:, 0, rows, columns].flatten(1).amax(dim=1)[changed.flatten(1).any(dim=1)] >= 250).all()
    changed[:, :, rows, columns] = False
    assert not changed.any()
    assert torch.equal(plain.masks, marked.masks)


def test_the_marker_moves_inside_its_box_and_keeps_its_rate():
    plain = simulate_radiographs(100, image_size=32, seed=9, prevalence=1.0)
    marked = simulate_radiographs(100, image_size=32, seed=9, prevalence=1.0, marker_rates=(0.0, 0.6))
    changed = (plain.images != marked.images).flatten(1)
    assert 45 <= changed.any(dim=1).sum() <= 75  # three standard deviations about 60
    assert len({tuple(c.nonzero().flatten().tolist()) for c in changed[changed.any(dim=1)]}) > 1


def test_neither_brightness_nor_a_linear_model_solves_the_task():
    train, test = simulate_radiographs(600, seed=10), simulate_radiographs(400, seed=11)
    brightness = roc_auc_score(test.labels, test.images.float().mean(dim=(1, 2, 3)))
    assert 0.4 < brightness < 0.62
    features, judged = (adaptive_avg_pool2d(s.images.float(), 16).flatten(1).numpy() for s in (train, test))
    linear = make_pipeline(StandardScaler(), LogisticRegression(max_iter=300))
    search = GridSearchCV(linear, {"logisticregression__C": [1e-4, 1e-3, 1e-2]}, scoring="roc_auc", cv=3)
    search.fit(features, train.labels.numpy())
    assert roc_auc_score(test.labels, search.decision_function(judged)) < 0.85


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        ({"num_images": 0}, "num_images must be 1 or more, got 0"),
        ({"image_size": 8}, "image_size must be 16 or more, got 8"),
        ({"seed": -1}, "seed must be 0 or more, got -1"),
        ({"prevalence": 30}, "prevalence must lie between 0 and 1, got 30; write 30 percent as 0.3"),
        ({"difficulty": -0.1}, "difficulty must lie between 0 and 1, got -0.1"),
        ({"marker_rates": (0.0, 1.5)}, "marker_rates must lie between 0 and 1, got 1.5"),
        ({"marker_rates": (0.5,)}, "marker_rates must be two fractions"),
        ({"prevalence": float("nan")}, "prevalence must lie between 0 and 1, got nan"),
    ],
)
def test_an_argument_out_of_range_is_named_with_what_arrived_and_what_to_do(arguments, found):
    with pytest.raises(ValueError, match=found.replace(".", r"\.")) as error:
        simulate_radiographs(**{"num_images": 2, **arguments})
    assert "; " in str(error.value)


@pytest.fixture(scope="module", params=[48, 96])
def pairs(request) -> list[ImageSet]:
    return [twins(seed, request.param) for seed in range(50, 70)]


def test_twins_are_one_patient_in_health_and_in_disease(pairs):
    size = pairs[0].images.shape[-1]
    for seed, pair in enumerate(pairs, start=50):
        well, ill = (simulate_radiographs(1, image_size=size, seed=seed, prevalence=p) for p in (0.0, 1.0))
        assert pair.labels.tolist() == [0, 1]
        assert pair.groups == (*well.groups, *ill.groups)
        assert torch.equal(pair.images[:1], well.images)
        assert torch.equal(pair.masks, torch.cat([well.masks, ill.masks]))


def test_an_opacity_brightens_its_twin_and_darkens_it_nowhere(pairs):
    for pair in pairs:
        difference = pair.images[1].int() - pair.images[0].int()
        assert difference.min() >= 0  # a window of the sick image's own would darken what lies beside
        assert difference[pair.masks[1]].float().mean() > 15
        assert difference[~pair.masks[1]].float().mean() < 3


def test_far_from_an_opacity_twins_are_alike_to_one_gray_level(pairs):
    # What lies between is scatter, a Gaussian of a tenth of the frame, which is gone at a quarter of it.
    for pair in pairs:
        far = distance_transform_edt(~pair.masks[1, 0].numpy()) > pair.images.shape[-1] / 4
        assert far.any()
        assert np.abs(np.diff(pair.images[:, 0].int().numpy(), axis=0))[0, far].max() <= 1


def test_twins_of_one_seed_are_the_same_bytes_and_of_another_other_patients():
    first, again, other = twins(7, 32), twins(7, 32), twins(8, 32)
    assert torch.equal(first.images, again.images)
    assert torch.equal(first.masks, again.masks)
    assert (first.images != other.images).flatten(1).any(dim=1).all()


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        ({"seed": -1}, "seed must be 0"),
        ({"image_size": 8}, "image_size must be 16"),
        ({"difficulty": 2}, "difficulty must"),
    ],
)
def test_twins_name_an_argument_out_of_range(arguments, found):
    with pytest.raises(ValueError, match=found):
        twins(**{"seed": 0, **arguments})


PARTS = ("opacities", "left opacities", "right opacities", "rib", "marker")


@pytest.fixture(scope="module")
def whole() -> ImageSet:
    """Patients of whom half are sick, most of these marked."""
    return simulate_radiographs(40, image_size=48, seed=9, marker_rates=(0.3, 0.9))


@pytest.fixture(scope="module")
def lacking() -> dict[str, ImageSet]:
    return {
        part: simulate_radiographs(40, image_size=48, seed=9, marker_rates=(0.3, 0.9), leave_out=part) for part in PARTS
    }


@pytest.mark.parametrize("part", ["opacities", "left opacities", "right opacities"])
def test_a_healthy_patient_without_opacities_is_the_same_to_the_last_bit(part, whole, lacking):
    healthy = whole.labels == 0
    assert torch.equal(whole.images[healthy], lacking[part].images[healthy])
    assert not torch.equal(whole.images, lacking[part].images)
    assert torch.equal(whole.labels, lacking[part].labels)


def test_a_patient_without_the_letter_is_the_one_who_never_had_it(whole, lacking):
    unmarked = simulate_radiographs(40, image_size=48, seed=9)
    assert torch.equal(lacking["marker"].images, unmarked.images)
    box = torch.zeros_like(whole.images, dtype=torch.bool)
    box[:, :, *marker_box(48)] = True
    assert not ((whole.images != lacking["marker"].images) & ~box).any()


def test_without_opacities_only_they_change_and_far_from_them_not_one_photon(whole, lacking):
    sick = whole.labels == 1
    change = (whole.images.float() - lacking["opacities"].images.float())[sick]
    far = torch.from_numpy(np.stack([distance_transform_edt(~mask.numpy()) for mask in whole.masks[sick]]))
    assert change[far > 24].abs().max() <= 1  # half of the picture away: scatter, rounded
    assert (change[far > 24] == 0).float().mean() > 0.99
    assert change[whole.masks[sick]].mean() > 10  # fluid is brighter than air
    assert not lacking["opacities"].masks.any()


def test_letters_and_noise_stay_where_opacities_are_left_out(whole, lacking):
    box = (slice(None), 0, *marker_box(48))
    letters = whole.images[box] == 250
    assert letters.any()
    assert torch.equal(letters, lacking["opacities"].images[box] == 250)


def test_left_and_right_opacities_together_are_all_of_them(whole, lacking):
    left, right = lacking["right opacities"].masks, lacking["left opacities"].masks  # those that stay
    assert left.any()
    assert right.any()
    assert not (left & right).any()
    sides = [lacking[f"{side} opacities"].images.float() for side in ("left", "right")]
    untouched = [(image == whole.images).flatten(1).all(dim=1) for image in sides]
    assert not (untouched[0] & untouched[1] & (whole.labels == 1)).any()
    columns = torch.arange(48).expand(48, 48)
    for side, stays in (("left", left), ("right", right)):
        middle = torch.stack([columns[mask[0]].float().mean() for mask in stays if mask.any()])
        assert ((middle > 24) if side == "left" else (middle < 24)).all()  # the patient's left is on the right


def test_without_a_rib_a_band_on_each_side_is_darker_and_the_fluid_stays(whole, lacking):
    change = whole.images.float() - lacking["rib"].images.float()
    changed = (change.abs() > 5).float().mean(dim=(1, 2, 3))
    assert changed.min() > 0.01
    assert changed.max() < 0.2
    assert (change[change.abs() > 5] > 0).all()
    assert torch.equal(whole.masks, lacking["rib"].masks)


def test_what_cannot_be_left_out_is_named():
    with pytest.raises(ValueError, match="leave_out='heart' is no part of a picture; choose one of opacities"):
        simulate_radiographs(2, image_size=16, leave_out="heart")
