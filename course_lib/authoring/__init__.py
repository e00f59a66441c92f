"""Notebooks: built from their sources, run, and compared with what they ought to say."""

from course_lib.authoring.compare import Tolerance, differences
from course_lib.authoring.editions import build, edition_of, pull, sources, stale
from course_lib.authoring.kernel import CI_ENVIRONMENT, CellError, Verdict, execute, lessons, run_lesson

__all__ = [
    "CI_ENVIRONMENT",
    "CellError",
    "Tolerance",
    "Verdict",
    "build",
    "differences",
    "edition_of",
    "execute",
    "lessons",
    "pull",
    "run_lesson",
    "sources",
    "stale",
]
