"""Images: loading them, cutting them into splits, making batches of them, and looking for faults in them."""

from course_lib.data.audit import SplitAudit, audit_splits
from course_lib.data.augment import Augmentation, PhotoAugmentation
from course_lib.data.batches import Batches
from course_lib.data.chest_xray import load_chest_xray
from course_lib.data.cifar10 import load_cifar10
from course_lib.data.fashion_mnist import load_fashion_mnist
from course_lib.data.folder import load_folder
from course_lib.data.images import ImageSet, Splits
from course_lib.data.simulated import marker_box, simulate_radiographs, twins
from course_lib.data_sets import DATA_SETS

__all__ = [
    "DATA_SETS",
    "Augmentation",
    "Batches",
    "ImageSet",
    "PhotoAugmentation",
    "SplitAudit",
    "Splits",
    "audit_splits",
    "load_chest_xray",
    "load_cifar10",
    "load_fashion_mnist",
    "load_folder",
    "marker_box",
    "simulate_radiographs",
    "twins",
]
