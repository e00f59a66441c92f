"""What the schematics of lesson 3 say is so: torch knows the schedule and the formats, and arithmetic the children."""

import re
import xml.etree.ElementTree as ET
from fractions import Fraction
from itertools import pairwise
from statistics import NormalDist

import pytest
import torch
from torch import nn

from course_lib.plots.colors import BLUE, GRAY, ORANGE
from course_lib.schematics import SCHEMATICS


def parts(name: str, kind: str) -> list[ET.Element]:
    return ET.fromstring(SCHEMATICS[name]().svg()).findall(f"{{http://www.w3.org/2000/svg}}{kind}")


def words(name: str) -> list[str]:
    return [(text.text or "").replace("−", "-") for text in parts(name, "text")]


def test_the_cycle_begins_at_a_25th_peaks_after_a_quarter_and_moves_momentum_the_other_way() -> None:
    schedule_of = torch.optim.lr_scheduler.OneCycleLR
    optimizer = torch.optim.AdamW([nn.Parameter(torch.zeros(1))])
    schedule_of(optimizer, max_lr=1, total_steps=60, pct_start=0.25)
    assert optimizer.param_groups[0]["lr"] == pytest.approx(1 / 25)
    alt = SCHEMATICS["one-cycle"]().alt
    rises, high, low = re.search(r"first (\d+)%.*: (0\.\d+), down to (0\.\d+)", alt).groups()
    assert 22 <= int(rises) <= 26
    assert [float(high), float(low)] == [optimizer.param_groups[0]["betas"][0], 0.85]


def test_each_format_has_the_bits_and_the_largest_number_that_torch_knows() -> None:
    fills = [box.get("fill") for box in parts("number-formats", "rect")]
    said = words("number-formats")
    rows = "".join({GRAY: "s", ORANGE: "e", BLUE: "f"}.get(fill, " ") for fill in fills).split()[0]
    found = [(len(e), len(f)) for e, f in re.findall(r"s(e+)(f+)", rows)][:4]
    formats = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
    for name, (exponent, fraction) in zip(("float32", "TF32", "bfloat16", "float16"), found, strict=True):
        if name in formats:
            info = torch.finfo(formats[name])
            assert 1 + exponent + fraction == info.bits
            assert 2.0**-fraction == info.eps
            limit = f"{info.max:,.0f}" if info.max < 1e6 else f"{info.max:.0e}".replace("e+", "e")
            assert f"up to {limit}" in said
        else:
            assert (exponent, fraction) == (8, 10)  # NVIDIA A100 whitepaper: range of float32, digits of float16


def test_the_points_are_on_the_curve_of_two_normal_hills() -> None:
    shown = re.findall(r"(\d+)% found and (\d+)% false alarms", SCHEMATICS["roc-and-threshold"]().alt)
    healthy, sick = NormalDist(-1.1), NormalDist(1.1)
    for (found, alarms), cut in zip(shown, (1.4, 0.0, -1.4), strict=True):
        assert int(found) == round(100 * (1 - sick.cdf(cut)))
        assert int(alarms) == round(100 * (1 - healthy.cdf(cut)))
    assert [int(found) for found, _ in shown] == sorted(int(found) for found, _ in shown)


def test_the_children_are_counted_and_the_cells_are_as_many() -> None:
    counts = {word.split(" ", 1)[1]: int(word.split()[0]) for word in words("thousand-children") if word[0].isdigit()}
    assert sum(counts.values()) == 1000
    assert counts["sick, predicted sick"] + counts["sick, missed"] == 50
    assert counts["sick, predicted sick"] == pytest.approx(0.93 * 50, abs=1)
    assert counts["healthy, predicted sick"] == pytest.approx(0.09 * 950, abs=1)
    cells = [box for box in parts("thousand-children", "rect") if box.get("width") == "9"]
    assert sum(float(box.get("height")) / 9 for box in cells) == 1000
    sick, healthy = Fraction(93, 100) * 50, Fraction(9, 100) * 950
    assert f"{float(sick / (sick + healthy)):.2f}" in words("thousand-children")[-1]


def test_copies_hold_everything_and_slices_half_of_it() -> None:
    boxes = [box for box in parts("copies-or-slices", "rect") if box.get("width") == "26"]
    held = [not box.get("stroke-dasharray") for box in boxes]
    assert sum(held[: len(held) // 2]) == len(held) // 2
    assert sum(held[len(held) // 2 :]) == len(held) // 4


def test_checkpointing_keeps_one_of_four_pieces_of_each_block() -> None:
    held = [not box.get("stroke-dasharray") for box in parts("checkpointing", "rect") if box.get("width") == "14"]
    assert [sum(held[:20]), sum(held[20:])] == [20, 5]


def test_the_boxes_of_an_epoch_are_the_steps_of_the_loops() -> None:
    steps = [word for word in words("one-epoch") if word in ("clear", "predict", "measure", "gradients", "step")]
    assert steps == ["clear", "predict", "measure", "gradients", "step", "predict", "measure"]


def test_without_item_the_gpu_has_no_gap_and_with_it_there_are_gaps() -> None:
    works = [
        (float(b.get("x")), float(b.get("width"))) for b in parts("cpu-and-gpu", "rect") if b.get("fill") == ORANGE
    ]
    gaps = [after[0] - before[0] - before[1] for before, after in pairwise(works)]
    assert max(gaps[:2]) < 5 < 20 < min(gaps[3:])
