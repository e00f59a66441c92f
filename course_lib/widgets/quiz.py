"""The quiz at the end of a lesson: pick an answer, read why, and see your score."""

from course_lib.markup import with_code
from course_lib.widgets.asked import choices_html, folded_choices_html, memory_key, questions
from course_lib.widgets.page import Page


class Quiz(Page):
    """The questions of a lesson; every choice has its reason, and first tries are counted.

    Raises:
        ValueError: there is no such lesson.
    """

    def __init__(self, lesson: int) -> None:
        asked = questions(lesson)
        still = "".join(
            f"<p><b>{number}.</b> {with_code(one['text'])}</p>{choices_html(one)}{folded_choices_html(one)}"
            for number, one in enumerate(asked, start=1)
        )
        state = {"questions": [{"key": memory_key(f"quiz {lesson}", one), **one} for one in asked]}
        super().__init__("quiz", f"Quiz of lesson {lesson}", state, still, f"{len(asked)} questions.")
