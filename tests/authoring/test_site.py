"""The reading edition is whole: every page and link is there, small, and fetches nothing from a network."""

import re
from collections import Counter
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import nbformat
import pytest
from nbformat import NotebookNode

from course_lib.authoring import exercise_sources, lessons, sources
from course_lib.authoring.site import PLACE_OF_EXTRA_PAGES, build_site
from course_lib.lessons import LESSONS
from course_lib.real_results import read

MOST = 3_000_000  # bytes of a page with all that it loads
ROOT = Path(__file__).parents[2]
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNoAAAAggCBd81ytgAAAABJRU5ErkJggg=="
FRONT = ROOT / "notebooks" / "README.md"


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
def pages(site: list[Path]) -> dict[str, Page]:
    out = site[0].parent
    assert list(out.parent.iterdir()) == [out]  # nothing is written beside it
    return {path.relative_to(out).as_posix(): Page(path) for path in site}


def test_every_lesson_and_every_page_of_exercises_is_there(pages: dict[str, Page]) -> None:
    names = [path.stem for path in lessons()]
    expected = ["index.html", *(f"{n}.html" for n in names), *(f"exercises/{n}.html" for n in names)]
    assert list(pages) == [*expected, "glossary.html", "real_results.html"]


def test_the_front_page_has_a_picture_and_says_where_to_start(pages: dict[str, Page]) -> None:
    front = pages["index.html"]
    assert front.tags["img"] == 1
    assert {"01_cnn_anatomy.html", "glossary.html", "real_results.html"} <= set(front.links)
    text = front.path.read_text()
    assert "Start here" in text
    assert "Not for diagnosis" in text
    assert "course run" not in text  # there is no command in a web page


def test_the_front_page_has_no_score_that_the_readme_has_not() -> None:
    scores, readme = re.findall(r"(?<!\d)\.\d{3}\b", FRONT.read_text()), (ROOT / "README.md").read_text()
    assert len(scores) == 12
    assert [score for score in scores if score not in readme] == []


@pytest.mark.parametrize("number", LESSONS)
def test_a_lesson_has_one_title_on_the_front_page_and_on_its_own(number: int) -> None:
    title = f"{number}. {LESSONS[number].title}"
    assert f"\n| [{title}]({sources([str(number)])[0].stem}.ipynb) |" in FRONT.read_text()
    assert f"\n# # {title}\n" in sources([str(number)])[0].read_text()


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
    without = ("index.html", "glossary.html", "real_results.html")
    for name, page in pages.items():
        assert page.path.read_text().count("Show the set-up") == (name not in without), name


@pytest.fixture
def build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, Page]]:
    """Builds the site of a course of one-cell notebooks."""

    def built(**cells: NotebookNode) -> dict[str, Page]:
        (tmp_path / "README.md").write_text("# A course\n")
        (tmp_path / "front.png").touch()
        for name, cell in cells.items():
            title = nbformat.v4.new_markdown_cell(f"# {name}")
            python = {"language_info": {"name": "python"}}
            nbformat.write(nbformat.v4.new_notebook(cells=[title, cell], metadata=python), tmp_path / f"{name}.ipynb")
        monkeypatch.setattr("course_lib.authoring.site.NOTEBOOKS", tmp_path)
        monkeypatch.setattr("course_lib.authoring.site.lessons", lambda: [tmp_path / f"{name}.ipynb" for name in cells])
        monkeypatch.setattr("course_lib.authoring.site.exercise_sources", list)
        monkeypatch.setattr("course_lib.authoring.site.EXTRA_PAGES", {})
        return {path.name: Page(path) for path in build_site(tmp_path / "site")}

    return built


def test_a_page_with_a_fault_is_refused(build: Callable[..., dict[str, Page]]) -> None:
    with pytest.raises(RuntimeError, match=r"one.*nowhere\.ipynb"):
        build(one=nbformat.v4.new_markdown_cell("[gone](nowhere.ipynb)"))


PARTS = """[below](#part-b)

<a id="part-a"></a>

## Part A. Edges (28 min, core)

### A section

<a id="part-b"></a>

## Part B. Channels (25 min, optional)
"""


def test_a_part_is_in_the_navigation_under_an_address_that_lasts(build: Callable[..., dict[str, Page]]) -> None:
    link = nbformat.v4.new_markdown_cell("[a part](one.ipynb#part-b), after a change of its minutes too")
    pages = build(one=nbformat.v4.new_markdown_cell(PARTS), two=link)
    one, text = pages["one.html"], pages["one.html"].path.read_text()
    assert text.count('id="part-a"') == text.count('id="part-b"') == 1
    assert one.links.count("#part-b") == 3  # in the navigation, beside the heading, in the page's contents
    assert {"one.html#part-a", "one.html#part-b"} <= set(pages["two.html"].links)  # in the navigation
    assert {"#part-a", "#part-b"} <= set(one.links)
    for page, words in ((one, "below"), (pages["two.html"], "a part")):
        (target,) = re.findall(rf'href="(?:one\.html)?#([^"]*)">(?:<span[^>]*>)?{words}<', page.path.read_text())
        assert target in one.ids


@pytest.mark.parametrize("source", [*sources(), *exercise_sources()], ids=lambda source: source.stem)
def test_every_part_has_its_anchor_above_it(source: Path) -> None:
    text = source.read_text()
    anchors = re.findall(r'^# <a id="part-(\w)"></a>\n#\n# ## Part \w\. ', text, re.MULTILINE)
    assert [letter.upper() for letter in anchors] == re.findall(r"^# ## Part (\w)\b", text, re.MULTILINE)


def test_a_caption_is_folded_together_with_its_picture(build: Callable[..., dict[str, Page]]) -> None:
    picture = nbformat.v4.new_output("display_data", {"image/png": PIXEL}, metadata={"image/png": {"alt": "a pixel"}})
    caption = nbformat.v4.new_output("display_data", {"text/html": "<p><small>what to notice</small></p>"})
    hidden = {"jupyter": {"outputs_hidden": True}}
    text = build(one=nbformat.v4.new_code_cell("show()", outputs=[picture, caption], metadata=hidden))["one.html"]
    (folded,) = re.findall(r"<details.*?</details>", text.path.read_text(), re.DOTALL)
    assert re.search(r"Show the result.*a pixel.*what to notice", folded, re.DOTALL)


def test_the_result_below_a_prediction_opens_on_a_click(pages: dict[str, Page]) -> None:
    for lesson in lessons():
        text = pages[f"{lesson.stem}.html"].path.read_text()
        assert text.count("Show the result") == text.count('data-explorer="predict"') > 1


def test_every_recorded_result_is_on_the_page_of_results(pages: dict[str, Page]) -> None:
    page = pages["real_results.html"]
    text = page.path.read_text()
    records = [record for lesson in LESSONS for record in read(lesson).values()]
    assert len(records) > 10
    assert text.count("Recorded: ") == text.count("Discussed in lesson ") == len(records)
    for record in records:
        assert f"{record.n:,} {record.split} images" in text, record.key
    drawn = {"curves": "img", "draws": "img", "roc": "img", "confusion": "img"}
    shown = Counter(drawn.get(record.kind, "table") for record in records)
    assert page.tags["img"] == shown["img"]
    assert page.tags["table"] == shown["table"] + sum(record.kind == "confusion" for record in records)


def test_the_place_of_the_further_pages_is_on_the_front_page() -> None:
    assert FRONT.read_text().count(PLACE_OF_EXTRA_PAGES) == 1
