"""What is wrong with a data set before any network sees it."""

import hashlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations

from torch import Tensor

from course_lib.data.images import ImageSet, Splits
from course_lib.metrics import binary_auc


@dataclass(frozen=True)
class SplitAudit:
    """What `audit_splits` found; as text, a page as narrow as a notebook's.

    Attributes:
        name: of the data set.
        counts: for each split, the number of images of each class.
        groups: for each split, the number of groups (patients).
        duplicates_within: for each split, images whose pixels another image of the split has too.
        duplicates_across: for each pair of splits, images of the second whose pixels the first has too.
        shared_groups: for each pair of splits, the groups in both.
        size_auc: for each split, the AUC of a classifier that knows only the area of the file's image; None where the
            files' sizes are not known or there are more than two classes. 0.5 is harmless, 0 and 1 give all away.
        shape_auc: the same of one that knows only the image's width over its height. Squeezed into a square, an image
            still shows that ratio, in the proportions of what it shows.
    """

    name: str
    counts: dict[str, dict[str, int]]
    groups: dict[str, int]
    duplicates_within: dict[str, int]
    duplicates_across: dict[str, int]
    shared_groups: dict[str, int]
    size_auc: dict[str, float | None]
    shape_auc: dict[str, float | None]

    def __str__(self) -> str:
        lines = [self.name]
        for split, of_class in self.counts.items():
            total = sum(of_class.values())
            shares = [f"{count} {name} ({count / total:.1%})" for name, count in of_class.items()]
            lines.append(f"{split}: {total} images of {self.groups[split]} groups")
            lines += ["    " + ", ".join(shares[first : first + 3]) for first in range(0, len(shares), 3)]
            lines.append(f"    {self.duplicates_within[split]} duplicates")
            for feature, auc in (("file size", self.size_auc[split]), ("width over height", self.shape_auc[split])):
                lines.append(f"    AUC of {feature} alone: {'not known' if auc is None else f'{auc:.3f}'}")
        for pair, count in self.shared_groups.items():
            lines.append(f"{pair}: {count} groups in both, {self.duplicates_across[pair]} duplicates across")
        return "\n".join(lines)


def audit_splits(splits: Splits) -> SplitAudit:
    """Count classes, duplicates and groups shared between splits, and ask what the files' sizes alone predict.

    Reads all three splits. Duplicates are images that are equal pixel by pixel after resizing.
    """
    sets = {"train": splits.train, "val": splits.val, "test": splits.test}
    fingerprints = {split: [_fingerprint(image) for image in image_set.images] for split, image_set in sets.items()}
    pairs = {f"{first} and {second}": (first, second) for first, second in combinations(sets, 2)}
    return SplitAudit(
        name=splits.train.name,
        counts={split: image_set.counts() for split, image_set in sets.items()},
        groups={split: len(set(image_set.groups)) for split, image_set in sets.items()},
        duplicates_within={
            split: sum(count for count in Counter(prints).values() if count > 1)
            for split, prints in fingerprints.items()
        },
        duplicates_across={
            pair: sum(fingerprint in set_of_first for fingerprint in fingerprints[second])
            for pair, (first, second) in pairs.items()
            for set_of_first in [set(fingerprints[first])]
        },
        shared_groups={
            pair: len(set(sets[first].groups) & set(sets[second].groups)) for pair, (first, second) in pairs.items()
        },
        size_auc={split: _auc(image_set, lambda height, width: height * width) for split, image_set in sets.items()},
        shape_auc={split: _auc(image_set, lambda height, width: width / height) for split, image_set in sets.items()},
    )


def _fingerprint(image: Tensor) -> bytes:
    return hashlib.sha256(image.numpy().tobytes()).digest()


def _auc(image_set: ImageSet, score: Callable[[Tensor, Tensor], Tensor]) -> float | None:
    """The AUC of a score made of the files' heights and widths."""
    if image_set.file_sizes is None or len(image_set.classes) != 2:
        return None
    scores = score(*image_set.file_sizes.double().unbind(dim=1))
    return binary_auc(scores / scores.max(), image_set.labels)
