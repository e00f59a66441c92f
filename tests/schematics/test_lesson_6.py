"""What the schematics of lesson 6 say is so: their sums are done again, and the walk from a baseline is measured."""

import re
import xml.etree.ElementTree as ET

import torch

from course_lib.schematics import SCHEMATICS
from course_lib.schematics.lesson_6 import MAPS, WEIGHTS


def words(name: str) -> list[str]:
    texts = ET.fromstring(SCHEMATICS[name]().svg()).findall("{http://www.w3.org/2000/svg}text")
    return [(text.text or "").replace("−", "-") for text in texts]


def test_what_the_opacity_is_worth_is_the_difference_of_the_two_answers() -> None:
    said = " ".join(words("twin-patients"))
    with_, without = (float(number) for number in re.findall(r"log.odds (-?[\d.]+)", said))
    assert f"{with_:g} - ({without:g}) = {with_ - without:g}" in said
    assert without < 0 < with_  # sick with it, healthy without


def test_the_maps_and_their_weights_give_the_sum_and_what_is_left_of_it() -> None:
    total = torch.einsum("k,khw->hw", torch.tensor(WEIGHTS), torch.tensor(MAPS))
    numbers = [int(word) for word in words("weighted-sum") if re.fullmatch(r"-?\d+", word)]
    assert numbers == [*torch.tensor(MAPS).flatten().tolist(), *total.flatten().tolist(), *total.relu().flatten()]
    assert total.min() < 0 < total.max()  # so that the cut does something
    assert [word for word in words("weighted-sum") if "·" in word] == ["1 ·", "+ 2 ·", "- 3 ·"]


def test_hospital_and_disease_reach_the_network_by_the_film_alone() -> None:
    assert {"hospital", "disease", "letter", "fluid", "film", "network"} <= set(words("shortcut"))


def test_the_holes_of_the_loop_are_as_large_as_the_page_cuts_them() -> None:
    assert "hottest 30%" in words("roar")
