"""A teacher's own tasks: a folder of files like the course's, and the page that is made of them."""

import ast
from pathlib import Path

from course_lib.exercises.load import LESSONS, TaskFileError, read_text, tasks_in, without_answers
from course_lib.exercises.task import Task

FRAME = """\
# %% [markdown]
{heading}

# %% tags=["setup"]
from course_lib.exercises import check, hint, progress

# %%
{imports}

# %% tasks

# %% [markdown]
# ## How far you are

# %%
progress({lesson})
"""
DEFAULT_IMPORTS = ("import torch", "from torch import Tensor", "from torch import nn")


def own_tasks(folder: Path, lesson: str) -> list[Task]:
    """The tasks of a lesson, such as "51", in a teacher's folder.

    Raises:
        FileNotFoundError: there is no such folder.
        ValueError: it has no tasks of this lesson, or some with a number of the course's.
        TaskFileError: a file has a fault.
    """
    if not folder.is_dir():
        raise FileNotFoundError(
            f"--tasks {folder}: a folder with files of tasks was expected, and there is none; name yours."
        )
    files = sorted(folder.glob("t[0-9][0-9]_*.py"))
    for path in files:
        if int(path.name[1:3]) in LESSONS:
            raise TaskFileError(f"{path}: lesson {path.name[1:3]} is the course's; number your own from 51 to 99.")
    lessons = sorted({path.name[1:3] for path in files})
    if lesson not in lessons:
        detail = (
            f"its tasks are of lesson {', '.join(lessons)}" if lessons else "a task is a file such as t51_1_name.py"
        )
        raise ValueError(f"--tasks {folder}: no tasks of lesson {lesson} in there; {detail}.")
    return tasks_in(folder, int(lesson))


def own_frame(folder: Path, lesson: str, tasks: list[Task]) -> str:
    """The frame of a page of own tasks: LESSON.md in the folder, if it is there, is its title and introduction."""
    introduction = folder / f"{lesson}.md"
    text = read_text(introduction).strip() if introduction.is_file() else f"# Exercises {lesson}"
    heading = "\n".join(f"# {line}".rstrip() for line in text.splitlines())
    return FRAME.format(heading=heading, imports="\n".join(_imports(tasks)), lesson=int(lesson))


def _imports(tasks: list[Task]) -> list[str]:
    """What the page imports: PyTorch, and all that stands at the top of a task's file but the tools of tasks."""
    imports = dict.fromkeys(DEFAULT_IMPORTS)
    for task in tasks:
        for part in ast.parse(without_answers(task.file.read_text(encoding="utf-8"))).body:
            if isinstance(part, ast.Import):
                imports |= dict.fromkeys(ast.unparse(ast.Import([name])) for name in part.names)
            elif isinstance(part, ast.ImportFrom) and not (part.module or "").startswith("course_lib.exercises"):
                imports |= dict.fromkeys(ast.unparse(ast.ImportFrom(part.module, [name], 0)) for name in part.names)
    return sorted(imports, key=lambda line: "__future__" not in line)
