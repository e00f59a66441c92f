"""Of several notebooks that a student handed in, the one to grade."""

import re
from collections.abc import Callable

from course_lib.classroom.archives import File

SAME_S = 60  # files this close together were written by one copying


def newest(notebooks: list[File], stem: str, answered: Callable[[bytes], int]) -> File:
    """The newest notebook in which something is answered: by its time, then by the numbers in its name.

    Args:
        notebooks: at least one.
        stem: of the assignment's file name; where times say nothing, notebooks with it in their names come first.
        answered: how many tasks a notebook answers; below 0 if it is none.
    """
    counts = {index: answered(file.content) if file.content is not None else -2 for index, file in enumerate(notebooks)}
    worked = [index for index, count in counts.items() if count > 0]
    candidates = worked or [index for index, count in counts.items() if count == max(counts.values())]
    latest = max(notebooks[index].time for index in candidates)

    def rank(index: int) -> tuple[bool, list[int], int, str]:
        name = notebooks[index].parts[-1]
        numbers = [int(digits[-18:]) for digits in re.findall(r"\d+", name.replace(stem, " "))]
        return stem in name, numbers, counts[index], name

    return notebooks[max((index for index in candidates if notebooks[index].time > latest - SAME_S), key=rank)]
