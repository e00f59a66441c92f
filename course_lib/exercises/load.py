"""Finding the tasks: each is a file in `tasks`, or in a teacher's own folder."""

import ast
import inspect
import re
import types
from pathlib import Path
from typing import Any

from course_lib.exercises.task import Answer, Task

LESSONS = range(1, 7)
FOLDER = Path(__file__).parent / "tasks"
LINE = "\n# Answers"  # what is below it does not enter the sandbox
NEEDED = ("number", "title", "name", "points", "statement", "hints", "notice", "given")
_loaded: dict[int, list[Task]] = {}


class TaskFileError(ValueError):
    """A file of a task has a fault, which the message tells."""


def lessons() -> list[int]:
    """The lessons that have tasks: the course's, and those that were offered."""
    return sorted({*LESSONS, *_loaded})


def tasks_of(lesson: int) -> list[Task]:
    """The tasks of a lesson, in their order.

    Raises:
        ValueError: there is no such lesson.
        TaskFileError: a file has a fault.
    """
    if lesson not in lessons():
        raise ValueError(f"lesson {lesson} is not known; the lessons are {', '.join(map(str, lessons()))}.")
    if lesson not in _loaded:
        offer(tasks_in(FOLDER, lesson))
    return _loaded[lesson]


def offer(tasks: list[Task]) -> None:
    """Let the tasks of a lesson be found by their numbers, in this process."""
    _loaded[int(tasks[0].number[:2])] = tasks


def tasks_in(folder: Path, lesson: int, *, answers: bool = True) -> list[Task]:
    """The tasks of a lesson in a folder, in their order.

    Args:
        folder: of the course, or of a teacher's own tasks.
        lesson: its number.
        answers: False to leave solutions and slips alone, where strangers' code will run.

    Raises:
        TaskFileError: a file has a fault, or the number of another.
    """
    tasks: dict[str, Task] = {}
    for path in files_of(lesson, folder):
        task = load(path, answers=answers)
        if task.number in tasks:
            other = tasks[task.number].file.name
            raise TaskFileError(f"{path}: {task.number} is also the number of {other}; give one of them another.")
        tasks[task.number] = task
    return sorted(tasks.values(), key=lambda task: int(task.number[3:]))


def files_of(lesson: int, folder: Path | None = None) -> list[Path]:
    """The files of a lesson's tasks in a folder, by default the course's."""
    return sorted((folder or FOLDER).glob(f"t{lesson:02}_*.py"))


def find_task(number: str) -> Task:
    """The task with a number such as "04.2".

    Raises:
        ValueError: there is none.
    """
    lesson = number.partition(".")[0] if isinstance(number, str) else ""
    tasks = tasks_of(int(lesson)) if lesson.isdigit() and int(lesson) in lessons() else []
    for candidate in tasks:
        if candidate.number == number:
            return candidate
    numbers = ", ".join(t.number for t in tasks) or 'written like "04.2", lesson and task'
    raise ValueError(f"task {number!r} is not known; the tasks are {numbers}.")


def load(path: Path, text: str | None = None, *, answers: bool = True) -> Task:
    """The task in a file, or in the `text` of one; without `answers` only what is above the line `# Answers`.

    Raises:
        TaskFileError: it has a fault.
    """
    text = read_text(path) if text is None else text
    if LINE not in text:
        raise TaskFileError(f"{path}: no line `# Answers`; it stands between the class and its solution.")
    module = _run(path, text if answers else without_answers(text))
    classes = [cls for cls in vars(module).values() if isinstance(cls, type) and issubclass(cls, Task)]
    task_classes = [cls for cls in classes if cls.__module__ == module.__name__]
    if len(task_classes) != 1:
        names = ", ".join(cls.__name__ for cls in task_classes) or "none"
        raise TaskFileError(f"{path}: one class that inherits from Task was expected, found: {names}.")
    task = task_classes[0]()
    _look_over(path, task)
    task.file = path
    if answers:
        _attach_answers(path, text, task, vars(module))
    return task


def without_answers(text: str) -> str:
    """What of a task's file the sandbox may see."""
    return text[: text.index(LINE)] + LINE + "\n"


def read_text(path: Path) -> str:
    """What stands in a file that a teacher wrote.

    Raises:
        TaskFileError: not in UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise TaskFileError(f"{path}: UTF-8 was expected, and {error}; save it as UTF-8 in your editor.") from None


def _run(path: Path, text: str) -> types.ModuleType:
    module = types.ModuleType(f"course_lib.exercises.tasks.{path.stem}")
    module.__file__ = str(path)
    try:
        exec(compile(text, str(path), "exec"), vars(module))
    except Exception as error:
        line = getattr(error, "lineno", None) or _line(error, path)
        raise TaskFileError(f"{path}, line {line}: {type(error).__name__}: {error}") from error
    return module


def _line(error: Exception, path: Path) -> int:
    trace, line = error.__traceback__, 0
    while trace is not None:
        line = trace.tb_lineno if trace.tb_frame.f_code.co_filename == str(path) else line
        trace = trace.tb_next
    return line


def _look_over(path: Path, task: Task) -> None:
    """Refuse what is missing, or of another kind, above the line."""
    kind = type(task).__name__
    if missing := [name for name in NEEDED if not hasattr(task, name)]:
        raise TaskFileError(f"{path}: {kind} has no {', '.join(missing)}; `Task` says what each is for.")
    stem = f"t{task.number.replace('.', '_')}_"
    if (
        not re.fullmatch(r"\d\d\.\d+", task.number)
        or path.stem.replace("_", "") != (stem + task.name).replace("_", "").lower()
    ):
        name = f"{stem}{re.sub(r'(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])', '_', task.name).lower()}.py"
        raise TaskFileError(f"{path}: the file of task {task.number}, {task.name}, is called {name}.")
    if not isinstance(task.hints, tuple) or len(task.hints) < 2 or not all(isinstance(h, str) for h in task.hints):
        raise TaskFileError(f"{path}: hints = {task.hints!r}; two texts or more were expected, each a step further.")
    if not isinstance(task.points, int) or task.points < 1:
        raise TaskFileError(f"{path}: points = {task.points!r}; a whole number from 1 on was expected.")
    if type(task).inputs is Task.inputs:
        raise TaskFileError(f"{path}: {kind} has no `inputs`; it draws the arguments that the answer is called with.")


def _attach_answers(path: Path, text: str, task: Task, space: dict[str, Any]) -> None:
    """Give the task its solution, slips and further answers."""
    definitions = [part for part in ast.parse(text).body if isinstance(part, ast.FunctionDef | ast.ClassDef)]
    solutions = [part for part in definitions if part.name == task.name]
    if len(solutions) != 1 or solutions[0].lineno < text[: text.index(LINE)].count("\n"):
        raise TaskFileError(f"{path}: one function or class {task.name}, the solution, was expected below `# Answers`.")
    first = min([solutions[0].lineno, *(part.lineno for part in solutions[0].decorator_list)])
    task.source = "\n".join(text.splitlines()[first - 1 : solutions[0].end_lineno])
    task.solution = space[task.name]
    if task.drawn:
        _look_at_drawn(path, task, *task.drawn)
    wrong: dict[str, list[tuple[Answer, str]]] = {"slips": [], "also_wrong": []}
    for name, answers in wrong.items():
        for slip in space.get(name, []):
            if not (isinstance(slip, tuple) and len(slip) == 2 and isinstance(slip[1], str)):
                raise TaskFileError(f"{path}: {slip!r} in {name}; a pair was expected: (wrong answer, its words).")
            answers.append((_answer(path, task, space, slip[0]), slip[1]))
    task.slips, task.also_wrong = wrong.values()
    task.also_right = [_answer(path, task, space, answer) for answer in space.get("also_right", [])]


def _look_at_drawn(path: Path, task: Task, name: str, choices: tuple[Any, ...]) -> None:
    """Refuse a drawn default that the solution has not, or that the statement does not name."""
    parameter = inspect.signature(task.solution).parameters.get(name)
    default = parameter.default if parameter else None
    if default not in choices:
        raise TaskFileError(
            f"{path}: the default of {name} is drawn among {choices}, but the solution has {default!r}."
        )
    if f"`{name}={default!r}`" not in task.statement:
        raise TaskFileError(
            f"{path}: no `{name}={default!r}` in the statement; where it is drawn, another stands there."
        )


def _answer(path: Path, task: Task, space: dict[str, Any], answer: object) -> Answer:
    """An answer itself, or the solution with all that a dictionary `{"old": "new"}` changes in its source."""
    if callable(answer):
        return answer
    if not isinstance(answer, dict):
        raise TaskFileError(f'{path}: {answer!r} is no answer; a function, a class or {{"old": "new"}} was expected.')
    source = task.source
    for old, new in answer.items():
        if source.count(old) != 1:
            raise TaskFileError(f"{path}: {old!r} stands {source.count(old)} times in the solution, not once.")
        source = source.replace(old, new)
    changed = dict(space)
    exec(compile(source, f"{path} with {answer}", "exec"), changed)
    result: Answer = changed[task.name]
    return result
