"""Exercises as graded work: release a page, grade what comes back, export the grades. nbgrader's files throughout."""

from course_lib.classroom.export import export_grades
from course_lib.classroom.grade import grade
from course_lib.classroom.hidden import demand
from course_lib.classroom.release import release

__all__ = ["demand", "export_grades", "grade", "release"]
