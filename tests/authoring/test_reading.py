"""How a lesson reads: parts with their minutes, short cells, and no answer in sight of an open question."""

import re
import statistics
from itertools import groupby
from typing import NamedTuple

import nbformat
import pytest
from nbformat import NotebookNode

from course_lib.authoring import lessons
from course_lib.data import simulate_radiographs, twins
from course_lib.widgets.questions import predictions

WORDS_PER_MINUTE = 150
HEADING = re.compile(r"^## Part ([A-F])\. (.+) \((\d+) min, (core|optional)\)$", re.MULTILINE)
FOLD = re.compile(r"(?s)<details>.*?</details>")


class Part(NamedTuple):
    letter: str
    title: str
    minutes: int
    kind: str
    cells: list[NotebookNode]  # its markdown cells cut at the headings

    def text(self) -> str:
        return "\n\n".join(cell.source for cell in self.cells if cell.cell_type == "markdown")


def read(number: int) -> NotebookNode:
    return nbformat.read(lessons()[number - 1], as_version=4)


def parts_of(notebook: NotebookNode) -> list[Part]:
    parts: list[Part] = []
    inside = False
    for cell in notebook.cells:
        pieces = re.split(r"(?m)^(?=## )", cell.source) if cell.cell_type == "markdown" else [cell.source]
        for piece in pieces:
            if heading := HEADING.match(piece):
                letter, title, minutes, kind = heading.groups()
                parts.append(Part(letter, title, int(minutes), kind, []))
            if cell.cell_type == "markdown" and piece.startswith("## "):
                inside = heading is not None
            if inside:
                parts[-1].cells.append(nbformat.from_dict({**cell, "source": piece}))
    return parts


def is_set_up(cell: NotebookNode) -> bool:
    return "setup" in cell.metadata.get("tags", ())


def words(markdown: str) -> int:
    """Words of prose: neither tables nor addresses are read aloud."""
    prose = "\n".join(line for line in markdown.splitlines() if not line.startswith("|"))
    prose = re.sub(r"<[^>]+>", " ", re.sub(r"\]\([^)]*\)", "]", prose))
    return len(re.findall(r"[\w'.-]*\w[\w'.-]*", prose))


def reading_minutes(cells: list[NotebookNode]) -> float:
    """150 words a minute, one minute a code cell, two a prediction, three an explorer; the set-up is folded."""
    total = 0.0
    for cell in cells:
        if cell.cell_type == "markdown":
            total += words(cell.source) / WORDS_PER_MINUTE
        elif not is_set_up(cell):
            total += 2 if "Predict(" in cell.source else 3 if "_explorer()" in cell.source else 1
    return total


@pytest.mark.parametrize("number", range(1, 7))
def test_the_minutes_of_each_part_are_those_of_reading_it(number: int) -> None:
    parts = parts_of(read(number))
    assert 3 <= len(parts) <= 6
    for part in parts:
        assert part.minutes == pytest.approx(reading_minutes(part.cells), rel=0.2), part.title
        assert part.minutes <= 40


@pytest.mark.parametrize("number", range(1, 7))
def test_the_table_of_parts_says_what_the_headings_say(number: int) -> None:
    notebook = read(number)
    row = r"(?m)^\| \[([A-F])\. (.+?)\]\((#[\w-]+)\) \| (\d+) min, (\w+) \| .+ \|$"
    rows = re.findall(row, notebook.cells[0].source)
    for part, (letter, title, link, minutes, kind) in zip(parts_of(notebook), rows, strict=True):
        assert (letter, title, int(minutes), kind) == part[:4]
        assert f'<a id="{link[1:]}"></a>' in "".join(cell.source for cell in notebook.cells)


@pytest.mark.parametrize("number", range(1, 7))
def test_each_part_has_objectives_and_a_place_to_stop_with_a_question_and_its_answer(number: int) -> None:
    for part in parts_of(read(number)):
        objectives = part.text().split("\n### ")[0].splitlines()
        assert 2 <= sum(line.startswith("- ") for line in objectives) <= 3, part.title
        stop = part.text().split("\n### Stop here\n")[1]
        assert "**To discuss:** " in " ".join(stop.split())
        assert FOLD.search(stop)


@pytest.mark.parametrize("number", range(1, 7))
def test_cells_are_short(number: int) -> None:
    cells = read(number).cells
    code = [cell for cell in cells if cell.cell_type == "code" and not is_set_up(cell)]
    lengths = [len([line for line in cell.source.splitlines() if line.strip()]) for cell in code]
    assert statistics.median(lengths) <= 9
    assert max(lengths) <= 25
    kinds = [(kind, len(list(run))) for kind, run in groupby(cell.cell_type for cell in cells if not is_set_up(cell))]
    assert max(length for kind, length in kinds if kind == "code") <= 2
    text = "\n\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    assert text.count("\n- ") > 20
    assert text.count("](https://") >= 10
    assert "alt=" not in "".join(cell.source for cell in code)


@pytest.mark.parametrize("number", range(1, 7))
def test_no_paragraph_is_longer_than_110_words(number: int) -> None:
    text = "\n\n".join(cell.source for cell in read(number).cells if cell.cell_type == "markdown")
    assert max(words(paragraph) for paragraph in re.split(r"\n\s*\n|\n(?=- |\d+\. )", text)) <= 110


@pytest.mark.parametrize("number", range(1, 7))
def test_three_to_six_predictions_are_asked_in_their_order(number: int) -> None:
    asked = re.findall(r'^Predict\("([\d.]+)"\)', "\n".join(cell.source for cell in read(number).cells), re.MULTILINE)
    assert asked == [one for one in predictions() if one.startswith(f"{number}.")]
    assert 3 <= len(asked) <= 6


@pytest.mark.parametrize("number", range(1, 7))
def test_nothing_in_sight_of_a_prediction_tells_its_answer(number: int) -> None:
    """In sight: its section up to the next prediction or heading, but what is folded, and what a click shows."""
    cells, known = read(number).cells, predictions()
    for index, cell in enumerate(cells):
        if not (asked := re.search(r'^Predict\("([\d.]+)"\)', cell.source, re.MULTILINE)):
            continue
        question = known[asked[1]]
        shows = cells[index + 1 + (cells[index + 1].cell_type == "markdown")]
        assert shows.metadata["jupyter"]["outputs_hidden"], asked[1]
        assert "assert" not in shows.source, asked[1]
        answer = question.get("answer")
        if not isinstance(answer, int | float):
            continue
        before = cells[index - 1].source.split("\n### ")[-1]
        after = FOLD.sub("", cells[index + 2].source).split("\n\n")[0]
        output = "".join(str(one.get("data", one.get("text", ""))) for one in cells[index + 2].get("outputs", ()))
        sight = "\n".join([before, shows.source, after, output])
        assert not re.search(rf"(?<![\w.-]){answer}(?![\w.])", sight), (asked[1], sight)


def test_the_first_learned_filter_is_fifteen_minutes_away() -> None:
    cells = read(1).cells
    index = next(i for i, cell in enumerate(cells) if "training_explorer()" in cell.source)
    assert reading_minutes(cells[: index + 1]) <= 15


def test_minutes_count_words_cells_predictions_and_explorers() -> None:
    text = nbformat.v4.new_markdown_cell("word " * 300 + "\n| a | table |")
    code = [nbformat.v4.new_code_cell(source) for source in ("1 + 1", 'Predict("1.1")', "shape_explorer()")]
    folded = nbformat.v4.new_code_cell("start_lesson(1)", metadata={"tags": ["setup"]})
    assert reading_minutes([text, *code, folded]) == 2 + 1 + 2 + 3


def test_the_pneumonias_lie_where_lesson_1_says() -> None:
    xrays = simulate_radiographs(16, image_size=128, seed=1)
    outlines = [one.masks[one.labels == 1][0, 0] for one in (*map(twins, (3, 4, 5)), xrays) if one.masks is not None]
    rows, columns = zip(*(outline.nonzero().float().mean(dim=0).tolist() for outline in outlines[:3]), strict=True)
    assert min(columns) > 32  # of 64: the patient's left is on the right
    assert rows[2] < rows[0] < rows[1]  # C above A, and A above B
    left, right = outlines[3][:, :64], outlines[3][:, 64:]
    assert left.sum() > 1.5 * right.sum() > 0
    assert left.nonzero()[:, 0].min() > 50  # of 128, where the lungs end at about 95
