import torch
from torch import Tensor

from course_lib import explain
from course_lib.exercises.task import Task


class PointingScore(Task):
    number, title, name, points = "06.2", "The pointing game", "pointing_score", 2
    statement = """
Does the hottest pixel of a map lie inside the disease? A map scores 1 for a hit and 0 for a miss. If several pixels
share the hottest value, the map scores the fraction of *them* that lies in the mask. A flat map points nowhere and
scores 0. Return one score for each map. How ties are settled matters: coarse maps and maps that were cut off at 0
have many of them, and if you let the first one win, you measure the upper left corner.
"""
    hints = (
        "Compare each map with its own highest value: that marks all hottest pixels at once.",
        "Of these pixels, count those in the mask and divide by how many there are. Then see to maps that are all hottest.",
    )
    notice = (
        "Noise hits a mask that covers a fifth of the image once in five images: a score needs its chance beside it."
    )
    given = "maps with ties, and masks of which one may be empty"

    def inputs(self, draw):
        heat = torch.cat([draw.whole(0, 3, 5, 4, 5).float(), draw.normal(2, 4, 5) - 9])
        masks, flat = draw.uniform(7, 4, 5) < 0.4, heat.clone()
        flat[2], flat[5] = 0, 0.7
        yield heat, masks
        yield heat[3:], ~masks[3:]
        yield flat, masks
        drawn = draw.whole(0, 3, 12, 4, 5).float()
        drawn[draw.number(0, 11)] = 2
        yield drawn, draw.uniform(12, 4, 5) < 0.4


# Answers


def pointing_score(heat: Tensor, masks: Tensor) -> Tensor:
    """Heat (N, height, width) and masks of the same shape, bool, to float scores (N,)."""
    flat, inside = heat.flatten(start_dim=1), masks.flatten(start_dim=1)
    hottest = flat == flat.amax(dim=1, keepdim=True)
    score = (hottest & inside).sum(dim=1) / hottest.sum(dim=1)
    return score * ~hottest.all(dim=1)


def hottest(heat):
    return heat == heat.amax((1, 2), keepdim=True)


def share(inside, of):
    return inside.sum((1, 2)) / of.sum((1, 2))


def first_of_all(heat, masks):
    flat = heat.flatten(1)
    return masks.flatten(1).gather(1, flat.argmax(dim=1, keepdim=True))[:, 0].float() * (flat.amax(1) > flat.amin(1))


def one_by_one(heat, masks):
    scores = torch.zeros(len(heat))
    for place, (one, mask) in enumerate(zip(heat, masks, strict=True)):
        if one.max() > one.min():
            scores[place] = mask[one == one.max()].float().mean()
    return scores


slips = [
    (first_of_all, "`argmax` sees only the first of several."),
    (lambda h, m: (hottest(h) & m).sum((1, 2)).clamp(max=1.0), "One hottest pixel inside gave a full score: share it."),
    (lambda h, m: share((h == h.max()) & m, h == h.max()), "One peak was sought in all maps: each has its own."),
    (lambda h, m: share(hottest(h) & m, m), "Divide by the number of hottest pixels, not of those in the mask."),
    (lambda h, m: share(h * m, h), "That is the fraction of heat inside; here only the hottest pixels count."),
    (lambda h, m: pointing_score(h, m).mean(), "That is the mean of the scores: return one for each map."),
    (lambda h, m: share(hottest(h) & m, hottest(h)), "Flat maps, here the third and the sixth, score 0."),
]
also_right = [one_by_one, explain.pointing_hits]
