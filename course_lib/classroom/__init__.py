"""Exercises as graded work: release a page, grade what comes back, export the grades. nbgrader's files throughout.

The `course` command calls `release.release`, `grade.grade` and `export.export_grades`. This file imports none of them,
so that `worker`, the process for submissions, loads what it needs and no more.
"""
