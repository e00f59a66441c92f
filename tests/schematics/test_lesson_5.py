"""What the schematics of lesson 5 say is so: the network has these stages, and the optimizer these rates."""

import re
import xml.etree.ElementTree as ET

import pytest

from course_lib.models import OFFLINE, parameter_groups, transfer_model
from course_lib.plots.colors import BLUE, GRAY, ORANGE
from course_lib.schematics import SCHEMATICS


def parts(name: str, kind: str) -> list[ET.Element]:
    return ET.fromstring(SCHEMATICS[name]().svg()).findall(f"{{http://www.w3.org/2000/svg}}{kind}")


def test_the_bars_are_the_rates_of_the_networks_stages_from_stem_to_head() -> None:
    model = transfer_model(OFFLINE, 10, image_size=32, weights="random")
    rates = [group["lr"] for group in reversed(parameter_groups(model, 1.0, decay=0.7))]
    bars = [float(bar.get("height")) for bar in parts("rates-per-stage", "rect") if bar.get("fill") in (BLUE, ORANGE)]
    assert [bar / bars[-1] for bar in bars] == pytest.approx(rates, abs=1e-3)
    said = [text.text for text in parts("rates-per-stage", "text") if re.fullmatch(r"[01]\.\d\d", text.text or "")]
    assert said == [f"{rate:.2f}" for rate in rates]


def test_all_is_gray_and_locked_but_the_new_head() -> None:
    boxes = [box for box in parts("freeze-and-new-head", "rect") if box.get("height") == "46"]
    assert [box.get("fill") for box in boxes] == [BLUE] * 6 + [GRAY] * 5 + [ORANGE]
    assert len([box for box in parts("freeze-and-new-head", "rect") if box.get("width") == "12"]) == 5


def test_the_arrow_goes_sideways_from_the_lower_curve_to_the_upper_one() -> None:
    def points(path: ET.Element) -> list[tuple[float, float]]:
        return [tuple(map(float, pair.split())) for pair in re.split("[ML]", path.get("d"))[1:]]

    lines = [path for path in parts("read-it-sideways", "path") if path.get("stroke-width") == "3"]
    upper, lower, arrow = map(points, lines)
    assert all(above[1] < below[1] for above, below in zip(upper, lower, strict=True))
    (start, height), (_, end_height) = arrow
    assert height == end_height
    assert (start, height) in lower
