"""Notebooks: built from their sources, run, and compared with what they ought to say."""

from course_lib.authoring.compare import Tolerance, differences, faults, refusals
from course_lib.authoring.editions import (
    build,
    editions_of,
    exercise_sources,
    pull,
    refresh_scripts,
    relink,
    sources,
    stale,
)
from course_lib.authoring.kernel import (
    CI_ENVIRONMENT,
    CellError,
    Verdict,
    compare_notebook,
    execute,
    lessons,
    record_lesson,
    run_lesson,
)

__all__ = [
    "CI_ENVIRONMENT",
    "CellError",
    "Tolerance",
    "Verdict",
    "build",
    "compare_notebook",
    "differences",
    "editions_of",
    "execute",
    "exercise_sources",
    "faults",
    "lessons",
    "pull",
    "record_lesson",
    "refresh_scripts",
    "refusals",
    "relink",
    "run_lesson",
    "sources",
    "stale",
]
