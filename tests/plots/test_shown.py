"""What `show` puts on a page, and that every figure of the lessons has its texts and every text its figure."""

import ast
import io
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import skimage.data
import torch
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import RichOutput, capture_output
from matplotlib.figure import Figure
from PIL import Image
from traitlets.config import Config

from course_lib import plots
from course_lib.authoring import exercise_sources, sources
from course_lib.plots import shown

TEXTS = """\
[plus]
alt = "A white plus sign on black."
caption = "The `2` in two corners is hardly seen."

[patients.simulated]
alt = "Two computed patients."
caption = "They never lived."

[patients.real]
alt = "Two children."
caption = "They did."
"""


ASTRONAUT = torch.from_numpy(skimage.data.astronaut()).movedim(2, 0) / 255


@pytest.fixture
def texts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "lesson_7.toml").write_text(TEXTS)
    monkeypatch.setattr(shown, "TEXTS", tmp_path)


@pytest.fixture
def shell() -> Iterator[None]:
    """IPython's own, as a kernel has one; it keeps no history."""
    config = Config()
    config.HistoryManager.enabled = False
    InteractiveShell.instance(config=config)
    yield
    InteractiveShell.clear_instance()


def displayed(name: str, panel: torch.Tensor, **how: Any) -> list[RichOutput]:
    with capture_output() as captured:
        plots.show(name, plots.plot_panels([panel]), **how)
    return captured.outputs


@pytest.mark.parametrize(("panel", "kind"), [(torch.eye(3), "png"), (ASTRONAUT, "jpeg")], ids=["drawing", "photograph"])
def test_show_gives_a_picture_with_its_alt_text_and_the_caption_below(
    texts: None, shell: None, panel: torch.Tensor, kind: str
) -> None:
    picture, caption = displayed("plus", panel)
    assert Image.open(io.BytesIO(picture.data.pop(f"image/{kind}"))).format == kind.upper()
    assert picture.data == {"text/plain": "[Figure: A white plus sign on black.]"}
    assert picture.metadata == {f"image/{kind}": {"alt": "A white plus sign on black."}}
    assert caption.data == {
        "text/html": "<p><small>The <code>2</code> in two corners is hardly seen.</small></p>",
        "text/plain": "The `2` in two corners is hardly seen.",
    }


def test_a_long_caption_is_wrapped_where_it_is_plain_text_only(shell: None) -> None:
    words = "word " * 50
    with capture_output() as captured:
        plots.publish_caption(words.strip())
    [caption] = captured.outputs
    assert max(map(len, caption.data["text/plain"].splitlines())) <= 100
    assert words.strip() in caption.data["text/html"]


@pytest.mark.parametrize(("source", "said"), [("simulated", "They never lived."), ("real", "They did.")])
def test_texts_may_depend_on_where_the_images_are_from(texts: None, shell: None, source: str, said: str) -> None:
    assert displayed("patients", torch.eye(3), source=source)[1].data["text/plain"] == said


@pytest.mark.parametrize(
    ("name", "source", "message"),
    [
        ("pluss", None, r"near: 'plus'\), got 'pluss'; .* add \[pluss\] .* to course_lib/plots/texts/lesson_N.toml"),
        ("xyz", None, "near: nothing like it is there"),
        ("patients", None, "patients: expected source='simulated' or 'real', got source=None"),
        ("patients", "dreamt", "expected source='simulated' or 'real', got source='dreamt'"),
        ("plus", "real", "plus: expected source=None, got source='real'"),
    ],
)
def test_a_text_that_is_not_there_is_refused_with_what_is(
    texts: None, name: str, source: str | None, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        plots.show(name, Figure(), source=source)


def test_a_picture_without_words_is_refused() -> None:
    with pytest.raises(ValueError, match="alt is empty"):
        plots.publish(Figure(), " ")


def calls(source: Path) -> list[ast.Call]:
    """Each `show(...)` of a page."""
    nodes = ast.walk(ast.parse(source.read_text(encoding="utf-8")))
    return [node for node in nodes if isinstance(node, ast.Call) and ast.unparse(node.func) == "show"]


def strings(call: ast.Call) -> list[str]:
    constants = (node.value for node in ast.walk(call) if isinstance(node, ast.Constant))
    return [value for value in constants if isinstance(value, str)]


def variants(text: dict[str, Any]) -> list[dict[str, str]]:
    """The texts of one figure: one pair, or one for each source."""
    return [text] if "alt" in text else list(text.values())


LESSONS = {int(source.name[:2]): source for source in sources()}
each_lesson = pytest.mark.parametrize("lesson", LESSONS)
ALL = {name: text for one in shown.texts_by_lesson().values() for name, text in one.items()}


@each_lesson
def test_a_lesson_shows_each_figure_of_its_file_once_and_no_other(lesson: int) -> None:
    names = [ast.literal_eval(call.args[0]) for call in calls(LESSONS[lesson])]
    assert Counter(names) == Counter(shown.texts_by_lesson()[lesson].keys())


@each_lesson
def test_a_lesson_says_where_its_images_are_from_where_the_texts_depend_on_it(lesson: int) -> None:
    for call in calls(LESSONS[lesson]):
        text = shown.texts_by_lesson()[lesson][ast.literal_eval(call.args[0])]
        said = {word.arg: ast.unparse(word.value) for word in call.keywords}
        assert said == ({} if "alt" in text else {"source": "profile.source"}), ast.unparse(call)


@pytest.mark.parametrize(
    "source", [*sources(), *exercise_sources()], ids=lambda path: f"{path.parent.name}-{path.stem}"
)
def test_no_alt_text_stands_in_a_cell(source: Path) -> None:
    for call in calls(source):
        assert all(len(string) <= 60 for string in strings(call)), ast.unparse(call)


def test_no_two_lessons_use_one_name() -> None:
    assert len(ALL) == sum(map(len, shown.texts_by_lesson().values()))


@pytest.mark.parametrize("name", ALL)
def test_a_caption_is_a_short_sentence_of_its_own(name: str) -> None:
    assert re.fullmatch(r"[a-z]+(-[a-z]+)*", name)
    assert set(ALL[name]) in ({"alt", "caption"}, {"simulated", "real"})
    for text in variants(ALL[name]):
        assert set(text) == {"alt", "caption"}
        assert len(text["alt"]) >= 40
        assert 3 <= len(text["caption"].split()) <= 25
        assert text["alt"].endswith(".")
        assert text["caption"].endswith(".")
        assert text["caption"] not in text["alt"]
