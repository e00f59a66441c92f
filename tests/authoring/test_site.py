"""The reading edition is whole: every page and link is there, small, and fetches nothing from a network."""

from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import nbformat
import pytest

from course_lib.authoring import lessons
from course_lib.authoring.site import build_site

MOST = 3_000_000  # bytes of a page with all that it loads


class Page(HTMLParser):
    """What a page links to, loads and can be linked at."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self.links: list[str] = []
        self.loads: list[str] = []
        self.ids: set[str] = set()
        self.tags: Counter[str] = Counter()
        self.without_alt: list[str] = []
        self.feed(path.read_text())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        said = dict(attrs)
        self.tags[tag] += 1
        self.ids |= {said["id"]} if "id" in said else set()
        if tag == "a" and "href" in said:
            self.links.append(said["href"])
        if "src" in said or tag == "link":
            self.loads.append(said.get("src") or said["href"])
        if tag == "img" and len(said.get("alt") or "") < 40:
            self.without_alt.append(said["src"])


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Page]:
    out = tmp_path_factory.mktemp("site") / "out"
    paths = build_site(out)
    assert list(out.parent.iterdir()) == [out]  # nothing is written beside it
    return {path.relative_to(out).as_posix(): Page(path) for path in paths}


def test_every_lesson_and_every_page_of_exercises_is_there(pages: dict[str, Page]) -> None:
    names = [path.stem for path in lessons()]
    assert list(pages) == ["index.html", *(f"{n}.html" for n in names), *(f"exercises/{n}.html" for n in names)]


def test_the_front_page_welcomes_with_a_picture_and_says_where_to_start(pages: dict[str, Page]) -> None:
    front = pages["index.html"]
    assert front.tags["img"] == 1
    assert "01_cnn_anatomy.html" in front.links
    text = front.path.read_text()
    assert "Welcome" in text
    assert "course run" not in text  # there is no command in a web page


def test_no_link_is_dead(pages: dict[str, Page]) -> None:
    known = {page.path.resolve(): page.ids for page in pages.values()}
    checked = 0
    for page in pages.values():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme in ("http", "https"):
                continue
            target = (page.path.parent / unquote(parts.path)).resolve() if parts.path else page.path.resolve()
            assert target.is_file(), f"{page.path.name} links to {link}"
            if parts.fragment and target in known:
                assert unquote(parts.fragment) in known[target], f"{page.path.name} links to {link}"
            checked += 1
    assert checked > 500


def test_a_page_loads_nothing_from_a_network_and_little_from_the_disk(pages: dict[str, Page]) -> None:
    for name, page in pages.items():
        loaded = {(page.path.parent / urlsplit(place).path).resolve() for place in page.loads if ":" not in place}
        fetched = [place for place in page.loads if ":" in place or place.startswith("//")]
        assert not [place for place in fetched if not place.startswith("data:")], name
        assert page.path.stat().st_size + sum(path.stat().st_size for path in loaded if path.is_file()) < MOST, name


def test_pictures_of_outputs_come_with_their_words(pages: dict[str, Page]) -> None:
    for lesson in lessons():
        outputs = [output for cell in nbformat.read(lesson, as_version=4).cells for output in cell.get("outputs", [])]
        pictures = sum(not {"image/png", "image/jpeg"}.isdisjoint(output.get("data", {})) for output in outputs)
        page = pages[f"{lesson.stem}.html"]
        assert page.tags["img"] >= pictures > 2
        assert page.without_alt == []


def test_formulas_are_drawn_and_solutions_are_folded(pages: dict[str, Page]) -> None:
    assert pages["01_cnn_anatomy.html"].tags["math"] > 20
    assert pages["exercises/01_cnn_anatomy.html"].tags["details"] == 8  # with the set-up


def test_the_set_up_is_folded_on_every_page_under_a_name_of_its_own(pages: dict[str, Page]) -> None:
    for name, page in pages.items():
        assert page.path.read_text().count("Show the set-up") == (name != "index.html"), name


def test_a_page_with_a_fault_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lesson = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("# One\n\n[gone](nowhere.ipynb)")])
    nbformat.write(lesson, tmp_path / "01_one.ipynb")
    (tmp_path / "README.md").write_text("# Lessons\n")
    (tmp_path / "front.jpg").touch()
    monkeypatch.setattr("course_lib.authoring.site.NOTEBOOKS", tmp_path)
    monkeypatch.setattr("course_lib.authoring.site.lessons", lambda: [tmp_path / "01_one.ipynb"])
    monkeypatch.setattr("course_lib.authoring.site.exercise_sources", list)
    with pytest.raises(RuntimeError, match=r"01_one.*nowhere\.ipynb"):
        build_site(tmp_path / "site")


def test_the_result_below_a_prediction_opens_on_a_click(pages: dict[str, Page]) -> None:
    for lesson in lessons():
        text = pages[f"{lesson.stem}.html"].path.read_text()
        assert text.count("Show the result") == text.count('data-explorer="predict"') > 1
