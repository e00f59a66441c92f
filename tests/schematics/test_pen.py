"""Every schematic is a file that any page may show, and legible there."""

import base64
import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from pathlib import Path

import pytest

from course_lib.plots import colors
from course_lib.schematics import SCHEMATICS, WIDTH, schematic
from course_lib.schematics.pen import CARD, INK

NAMESPACE = "{http://www.w3.org/2000/svg}"
PALETTE = {value for name, value in vars(colors).items() if name.isupper()} | {INK, CARD, "none"}
PLACE = {"x", "y", "width", "height", "rx", "cx", "cy", "r", "d"}
LOOK = {"fill", "fill-opacity", "stroke", "stroke-opacity", "stroke-width", "stroke-dasharray"}
WORDS = {"fill", "font-size", "font-weight", "text-anchor", "x", "y"}
ALLOWED = {
    "svg": {"viewBox", "width", "height", "role", "font-family", "font-size", "fill", "text-anchor"},
    "title": set(),
    "desc": set(),
    "rect": PLACE | LOOK,
    "circle": PLACE | LOOK,
    "path": PLACE | LOOK,
    "text": WORDS,
}
PHONE = 350  # pixels that the site leaves for the page on a screen of 390
each = pytest.mark.parametrize("name", SCHEMATICS)


def drawn(name: str) -> ET.Element:
    return ET.fromstring(SCHEMATICS[name]().svg())


@each
def test_a_schematic_holds_nothing_but_shapes_and_words(name: str) -> None:
    # no script, no style, no link and no file from elsewhere: neither element nor attribute is there for one
    root = drawn(name)
    for element in root.iter():
        assert element.attrib.keys() <= ALLOWED[element.tag.removeprefix(NAMESPACE)]
        assert not {value for value in element.attrib.values() if re.search(r"url\(|:", value)}
    assert root.get("viewBox") == f"0 0 {WIDTH} {root.get('height')}"


@each
def test_a_schematic_says_what_it_is_and_what_is_seen(name: str) -> None:
    title, desc = (drawn(name).findtext(f"{NAMESPACE}{part}") for part in ("title", "desc"))
    assert 10 <= len(title) <= 50
    assert 100 <= len(desc) <= 600
    assert desc.endswith(".")


@each
def test_a_schematic_has_only_the_colors_of_the_course(name: str) -> None:
    used = {element.get(part) for element in drawn(name).iter() for part in ("fill", "stroke")}
    assert used - {None} <= PALETTE


@each
def test_a_schematic_is_a_small_file(name: str) -> None:
    assert len(SCHEMATICS[name]().svg().encode()) < 12_000


@each
def test_the_smallest_letters_have_nine_pixels_on_a_phone(name: str) -> None:
    root = drawn(name)
    sizes = {float(text.get("font-size", root.get("font-size"))) for text in root.iter(f"{NAMESPACE}text")}
    assert min(sizes) * PHONE / WIDTH >= 9


@each
def test_words_stand_out_from_the_card_and_from_every_filled_cell(name: str) -> None:
    # WCAG 2.2, success criterion 1.4.3: contrast of at least 4.5 for text of this size
    under: list[tuple[float, ...]] = []
    for element in drawn(name).iter():
        kind = element.tag.removeprefix(NAMESPACE)
        if kind == "rect" and element.get("fill") != "none":
            under.append((*(float(element.get(part)) for part in ("x", "y", "width", "height")), element))
        elif kind == "text":
            ground, x, y = (1.0, 1.0, 1.0), float(element.get("x")), float(element.get("y")) - 5
            for left, top, width, height, box in under:
                if left <= x <= left + width and top <= y <= top + height:
                    ground = mixed(box.get("fill"), float(box.get("fill-opacity", 1)), ground)
            assert contrast(mixed(element.get("fill", INK), 1, ground), ground) >= 4.5, element.text


def mixed(color: str, opacity: float, ground: tuple[float, ...]) -> tuple[float, ...]:
    over = (int(color[i : i + 2], 16) / 255 for i in (1, 3, 5))
    return tuple(opacity * one + (1 - opacity) * other for one, other in zip(over, ground, strict=True))


def contrast(one: tuple[float, ...], other: tuple[float, ...]) -> float:
    def luminance(color: tuple[float, ...]) -> float:
        red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in color)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def test_another_process_writes_the_same_bytes() -> None:
    program = (
        "import sys; from course_lib.schematics import *\nfor d in SCHEMATICS.values(): sys.stdout.write(d().svg())"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "7", "PYTHONUTF8": "1"}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, env=environment)
    assert done.stdout.decode() == "".join(draw().svg() for draw in SCHEMATICS.values())


class Image(HTMLParser):
    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag == "img"
        self.said = dict(attrs)


@each
def test_the_cell_shows_the_file_in_an_img_with_the_words_of_the_file(name: str) -> None:
    shown, sketch, image = schematic(name)._repr_mimebundle_(), SCHEMATICS[name](), Image()
    image.feed(shown["text/html"])
    assert image.said["alt"] == sketch.alt
    assert base64.b64decode(image.said["src"].removeprefix("data:image/svg+xml;base64,")).decode() == sketch.svg()
    assert " ".join(shown["text/plain"].split()) == f"[Schematic: {sketch.title}. {sketch.alt}]"


def test_a_name_that_is_not_there_is_refused_with_those_that_are() -> None:
    with pytest.raises(ValueError, match=r'\("pixel-to-tensor", "one-window", .*\), got \'one_window\'; take one'):
        schematic("one_window")


def test_every_schematic_that_a_page_asks_for_is_there() -> None:
    sources = Path(__file__).parents[2] / "notebooks" / "source"
    asked = {name for path in sources.rglob("*.py") for name in re.findall(r'\bschematic\("([^"]*)', path.read_text())}
    assert asked <= SCHEMATICS.keys()
