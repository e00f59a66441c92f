"""Predictions: the reader commits to an answer, and only then is told what happens, and why."""

import os
import time

from course_lib.markup import with_code
from course_lib.widgets.page import Page
from course_lib.widgets.questions import (
    Question,
    choices_html,
    folded_choices_html,
    folded_html,
    memory_key,
    predictions,
)

AT_ONCE_S = 2
FOLD = """<details class="course-fold"><summary>{}</summary></details>
<style>.jp-OutputArea-child:has(.course-fold:not([open])) ~ .jp-OutputArea-child {{ display: none }}</style>"""


class Predict(Page):
    """The prediction with a number such as "1.2": what is asked before the cell that shows the answer.

    Raises:
        ValueError: there is no such prediction.
    """

    def __init__(self, number: str) -> None:
        known = predictions()
        if number not in known:
            numbers = ", ".join(f'"{known_number}"' for known_number in known)
            raise ValueError(f"expected the number of a prediction ({numbers}), got {number!r}; take one of these.")
        question = known[number]
        state = {"key": memory_key("prediction", question), **question}
        still = f"<p>{with_code(question['text'])}</p>{_answers_html(question)}"
        super().__init__("predict", f"Prediction {number}", state, still, question["text"])

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:
        _label_next_output(f"The result of prediction {self.state['number']}")
        return super()._repr_mimebundle_()


def _label_next_output(label: str) -> None:
    """Put a line above what the next cell shows: JupyterLab shows the first line of an output that is folded away.

    JupyterLab unfolds whatever it runs. If the next cell begins at once, all cells are being run and nobody has read
    the question yet: then the line opens what stands below it. Only kernels that a
    Jupyter server has started are told the name of their page; one that the course builds keeps the line as it is.
    """
    from IPython import get_ipython
    from IPython.display import publish_display_data

    if (shell := get_ipython()) is None:
        return
    started = time.monotonic()

    def publish(*_: object) -> None:
        shell.events.unregister("pre_run_cell", publish)
        at_once = time.monotonic() - started < AT_ONCE_S
        fold = {"text/html": FOLD.format(label)} if at_once and "JPY_SESSION_NAME" in os.environ else {}
        publish_display_data({"text/plain": label} | fold)

    shell.events.register("pre_run_cell", publish)


def _answers_html(question: Question) -> str:
    if "choice" in question:
        return choices_html(question) + folded_choices_html(question)
    slips = (f"{_shown(slip['value'])}: {slip['why']}" for slip in question["slip"])
    return folded_html(_shown(question["answer"]), question["why"], *slips)


def _shown(value: float | list[str]) -> str:
    """A number as people write it, or the first of several spellings."""
    return value[0] if isinstance(value, list) else f"{value:,}"
