"""The question of a page that is answered in prose and graded by hand: NN-question.md beside the page's tasks.

    # Would you convolve it? (3 points)

    In six sentences: what does a convolution take for granted?

    # Answers

    - 1 point: that neighbors belong together

Students get what stands above `# Answers`; what is below is for the person who grades.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from course_lib.exercises.load import read_text

HEADING = re.compile(r"# (?P<title>.+) \((?P<points>[1-9]\d*) points?\)")
ANSWERS = "# Answers"
FORM = f"it begins `# Title (3 points)`, then comes the question, and below a line `{ANSWERS}` what a good answer says"


@dataclass(frozen=True)
class Question:
    """A question; `number` is like a task's, such as "04.text", and `expected` is what a good answer says."""

    number: str
    title: str
    points: int
    text: str
    expected: str

    @property
    def statement(self) -> str:
        """The cell that asks it."""
        count = f"{self.points} point{'s' if self.points > 1 else ''}"
        return f"## {self.number} {self.title}\n\n**{count}**, graded by hand\n\n{self.text}"


def question_file(folder: Path, lesson: str) -> Path:
    """Where the question of a lesson, such as "04", is."""
    return folder / f"{lesson}-question.md"


def read_question(folder: Path, lesson: str) -> Question:
    """The question of a lesson in the folder of its tasks.

    Raises:
        FileNotFoundError: there is none.
        TaskFileError, ValueError: it is not written as a question is.
    """
    path = question_file(folder, lesson)
    if not path.is_file():
        raise FileNotFoundError(f"--question: there is no {path}; write it: {FORM}.")
    whole = read_text(path).removeprefix("\ufeff").strip()
    first, _, rest = whole.partition("\n")
    text, line, expected = f"\n{rest}".partition(f"\n{ANSWERS}\n")
    heading = HEADING.fullmatch(first.strip())
    if not (heading and text.strip() and line and expected.strip()) or "END SOLUTION" in whole:
        raise ValueError(f"{path}: not written as a question is: {FORM}.")
    points = int(heading["points"])
    return Question(f"{lesson}.text", heading["title"], points, text.strip(), expected.strip())
