"""What the lessons find on real images: kept as numbers, one small file a lesson, and shown on every page.

`lesson_3.json` is written by `course run 03 --data real --root DIR --record`, never by hand. `lesson_3.toml` beside it
is written by hand: it gives each result its title, its kind and its axes.
"""

from course_lib.real_results.page import on_real
from course_lib.real_results.records import FOUND, Record, keep, read, record, texts

__all__ = ["FOUND", "Record", "keep", "on_real", "read", "record", "texts"]
