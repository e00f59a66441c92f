"""How the network that opens lesson 1 does on real X-rays of the published test folder, into lesson 1's results.

It is the one trained on real X-rays, at the threshold that its validation chose. Seconds.

    COURSE_REAL_DATA=~/data python tests/benchmarks/opening_on_real.py
"""

import json
import os
from pathlib import Path

import torch

from course_lib.data import load_chest_xray
from course_lib.metrics import binary_report
from course_lib.models import load_trained
from course_lib.models.trained import WEIGHTS
from course_lib.real_results import record
from course_lib.runs.folder import calibrated


def main() -> None:
    about = json.loads((WEIGHTS / "opening-real.json").read_text(encoding="utf-8"))
    network = load_trained("opening", source="real")
    test = load_chest_xray("real", root=Path(os.environ["COURSE_REAL_DATA"]), image_size=network.image_size).test
    with torch.inference_mode():
        logits = torch.cat([network(images.float() / 255) for images in test.images.split(64)])
    probs = calibrated(logits, about["temperature"], about["bias"])[:, 1]
    report = binary_report(probs, test.labels, threshold=about["threshold"])
    print(report)
    record("01.opening", report, test, command="python tests/benchmarks/opening_on_real.py")


if __name__ == "__main__":
    main()
