"""A teacher's own tasks inside the notebook that students get: it checks answers, and holds none.

Of each task there is what stands above `# Answers` in its file, and what comes of the solution and of each slip with
the inputs of the page. That is all that a check looks at; the inputs of the hidden check are drawn in grading.
"""

import base64
import inspect
import json
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from course_lib.classroom.plain import from_json, to_json
from course_lib.exercises.load import load, offer, without_answers
from course_lib.exercises.task import Observation, Recorded, Task, observation


def pack(tasks: Iterable[Task]) -> str:
    """Tasks as a text of letters and digits."""
    text = json.dumps([_record(task) for task in tasks])
    return base64.b64encode(zlib.compress(text.encode(), 9)).decode()


def unpack(text: str) -> list[Task]:
    """The tasks that `pack` wrote, with records in place of answers."""
    return [_task(**record) for record in json.loads(zlib.decompress(base64.b64decode(text)))]


def bring(text: str) -> None:
    """Let the tasks that `pack` wrote be checked in this process."""
    offer(unpack(text))


def _record(task: Task) -> dict[str, Any]:
    right = observation(task, task.solution)
    return {
        "file": task.file.name,
        "text": without_answers(task.file.read_text(encoding="utf-8")),
        "parameters": [*inspect.signature(task.solution).parameters],
        "solution": to_json([right.rounds, right.default]),
        "slips": [[to_json(observation(task, slip).rounds), words] for slip, words in task.slips],
    }


def _task(file: str, text: str, parameters: list[str], solution: Any, slips: list[tuple[Any, str]]) -> Task:
    task = load(Path(file), text, answers=False)
    rounds, default = from_json(solution)
    task.solution = Recorded(Observation(rounds, None, default), parameters)
    task.slips = [(Recorded(Observation(from_json(observed))), words) for observed, words in slips]
    return task
