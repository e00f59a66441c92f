"""How long each lesson computes, as lines to paste: into LESSONS of course_lib/lessons.py, README.md and the openings.

Each lesson is run as by `course run`, with an empty data folder, so that making its simulated images is included; on
two quiet cores 8 minutes. Where COURSE_REAL_DATA names the folder of the real images, on these too, 28 minutes.

    python tests/benchmarks/lesson_times.py
"""

import os
import tempfile
from pathlib import Path

from course_lib.authoring import lessons, run_lesson
from course_lib.lessons import LESSONS, computing_time, format_seconds, lesson_environment


def seconds(path: Path, source: dict[str, str]) -> float:
    with tempfile.TemporaryDirectory() as folder:
        verdict = run_lesson(path, environment={**source, "COURSE_DATA_DIR": folder})
    if verdict.error:
        raise SystemExit(f"{path}: {verdict.error}")
    return verdict.seconds


def main() -> None:
    root = os.environ.get("COURSE_REAL_DATA")
    for (number, lesson), path in zip(LESSONS.items(), lessons(), strict=True):
        simulated = seconds(path, lesson_environment("simulated"))
        real = seconds(path, lesson_environment("real", Path(root))) if root and number > 1 else lesson.real_seconds
        measured = lesson._replace(seconds=round(simulated), real_seconds=round(real if number > 1 else simulated))
        on_real = "" if number == 1 else format_seconds(measured.real_seconds)
        print(f"LESSONS   {number}: {lesson.title!r}, {measured.seconds}, {measured.real_seconds}")
        print(f"README.md | {format_seconds(measured.seconds)} | {on_real} |")
        print(f"{path.name} {computing_time(measured)}", flush=True)


if __name__ == "__main__":
    main()
