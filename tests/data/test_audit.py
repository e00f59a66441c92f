from course_lib.data import SplitAudit
from course_lib.data.cifar10 import CLASSES


def test_the_page_stays_narrow_with_the_ten_classes_of_cifar10() -> None:
    audit = SplitAudit(
        "CIFAR-10",
        counts={"train": dict.fromkeys(CLASSES, 5000)},
        groups={"train": 50_000},
        duplicates_within={"train": 12},
        duplicates_across={"train and test": 4},
        shared_groups={"train and test": 3},
        size_auc={"train": None},
        shape_auc={"train": 0.81},
    )
    assert str(audit).splitlines() == [
        "CIFAR-10",
        "train: 50000 images of 50000 groups",
        "    5000 airplane (10.0%), 5000 automobile (10.0%), 5000 bird (10.0%)",
        "    5000 cat (10.0%), 5000 deer (10.0%), 5000 dog (10.0%)",
        "    5000 frog (10.0%), 5000 horse (10.0%), 5000 ship (10.0%)",
        "    5000 truck (10.0%)",
        "    12 duplicates",
        "    AUC of file size alone: not known",
        "    AUC of width over height alone: 0.810",
        "train and test: 3 groups in both, 4 duplicates across",
    ]
