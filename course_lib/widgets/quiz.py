"""The quiz at the end of a lesson: pick an answer, read why, and see your score."""

from course_lib.markup import with_code
from course_lib.widgets.page import Page
from course_lib.widgets.questions import choices_html, folded_choices_html, memory_key, questions


class Quiz(Page):
    """The questions of a lesson; every choice has its reason, and first tries are counted.

    Raises:
        ValueError: there is no such lesson.
    """

    def __init__(self, lesson: int) -> None:
        quiz_questions = questions(lesson)
        still = "".join(
            f"<p><b>{number}.</b> {with_code(question['text'])}</p>"
            f"{choices_html(question)}{folded_choices_html(question)}"
            for number, question in enumerate(quiz_questions, start=1)
        )
        state = {
            "questions": [{"key": memory_key(f"quiz {lesson}", question), **question} for question in quiz_questions]
        }
        super().__init__("quiz", f"Quiz of lesson {lesson}", state, still, f"{len(quiz_questions)} questions.")
