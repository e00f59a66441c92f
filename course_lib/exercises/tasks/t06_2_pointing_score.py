import torch
from torch import Tensor

from course_lib import explain
from course_lib.exercises.task import Task


class PointingScore(Task):
    number, title, name, points = "06.2", "The pointing game", "pointing_score", 2
    statement = """
Does the hottest pixel of a map lie inside the disease? A map scores 1 for a hit and 0 for a miss. If several pixels
share the hottest value, the map scores the fraction of *them* that lies in the mask. A flat map points nowhere and
scores `chance`, `chance=0.0` unless it is given. Return one score for each map. How ties are settled matters: coarse
maps and maps that were cut off at 0 have many of them, and if you let the first one win, you measure the upper left
corner.
"""
    hints = (
        "Compare each map with its own highest value: that marks all hottest pixels at once.",
        "Of these pixels, count those in the mask and divide by how many there are. Then see to maps that are all hottest.",
    )
    notice = (
        "Noise hits a mask that covers a fifth of the image once in five images: a score needs its chance beside it."
    )
    given = "maps with ties, and masks of which one may be empty"
    drawn = "chance", (0.0, 0.05, 0.1, 0.2)

    def inputs(self, draw):
        heat = torch.cat([draw.whole(0, 3, 5, 4, 5).float(), draw.normal(2, 4, 5) - 9])
        masks, flat = draw.uniform(7, 4, 5) < 0.4, heat.clone()
        flat[2], flat[5] = 0, 0.7
        yield heat, masks, 0.0
        yield heat[3:], ~masks[3:], 0.0
        yield flat, masks, 0.25
        drawn = draw.whole(0, 3, 12, 4, 5).float()
        drawn[draw.number(0, 11)] = 2
        yield drawn, draw.uniform(12, 4, 5) < 0.4, draw.number(1, 9) / 10


# Answers


def pointing_score(heat: Tensor, masks: Tensor, chance: float = 0.0) -> Tensor:
    """Heat (N, height, width) and masks of the same shape, bool, to float scores (N,)."""
    flat, inside = heat.flatten(start_dim=1), masks.flatten(start_dim=1)
    hottest = flat == flat.amax(dim=1, keepdim=True)
    score = (hottest & inside).sum(dim=1) / hottest.sum(dim=1)
    return torch.where(hottest.all(dim=1), chance, score)


def hottest(heat):
    return heat == heat.amax((1, 2), keepdim=True)


def share(inside, of):
    return inside.sum((1, 2)) / of.sum((1, 2))


def settled(heat, scores, chance):
    return torch.where(hottest(heat).flatten(1).all(1), chance, scores)


def first_of_all(heat, masks):
    return masks.flatten(1).gather(1, heat.flatten(1).argmax(dim=1, keepdim=True))[:, 0].float()


def one_by_one(heat, masks, chance=0.0):
    scores = torch.full((len(heat),), chance)
    for place, (one, mask) in enumerate(zip(heat, masks, strict=True)):
        if one.max() > one.min():
            scores[place] = mask[one == one.max()].float().mean()
    return scores


slips = [
    (lambda h, m, c: settled(h, first_of_all(h, m), c), "`argmax` sees only the first of several."),
    (
        lambda h, m, c: settled(h, (hottest(h) & m).sum((1, 2)).clamp(max=1.0), c),
        "One hottest pixel inside gave a full score: share it.",
    ),
    (lambda h, m, c: share((h == h.max()) & m, h == h.max()), "One peak was sought in all maps: each has its own."),
    (lambda h, m, c: share(hottest(h) & m, m), "Divide by the number of hottest pixels, not of those in the mask."),
    (lambda h, m, c: share(h * m, h), "That is the fraction of heat inside; here only the hottest pixels count."),
    (lambda h, m, c: pointing_score(h, m, c).mean(), "That is the mean of the scores: return one for each map."),
    (lambda h, m, c: share(hottest(h) & m, hottest(h)), "Flat maps, here the third and the sixth, score `chance`."),
    (lambda h, m, c: pointing_score(h, m, 0.0), "`chance` is not used: flat maps always score 0."),
]
also_wrong = [({"chance: float = 0.0": "chance: float = 0.5"}, "Leave the page's defaults")]
also_right = [one_by_one, lambda heat, masks, chance=0.0: settled(heat, explain.pointing_hits(heat, masks), chance)]
