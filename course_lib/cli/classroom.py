"""The commands for teachers, and the certificate for learners."""

import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

Variant = Annotated[
    str | None,
    typer.Option(metavar="SEED|each", help="Draw other numbers: of a section; of each student.", show_default=False),
]
Question = Annotated[bool, typer.Option("--question", help="With the page's question, graded by hand.")]
OwnTasks = Annotated[Path | None, typer.Option(metavar="DIR", help="Tasks of your own.", show_default=False)]


def release(
    lesson: Annotated[str, typer.Argument(help="Whose exercises, such as 04.")],
    out: Annotated[Path, typer.Option(help="Folder in nbgrader's layout; made if need be.")],
    variant: Variant = None,
    roster: Annotated[
        Path | None,
        typer.Option(metavar="CSV", help="The class, for --variant each; as `grade` takes it.", show_default=False),
    ] = None,
    tasks: OwnTasks = None,
    question: Question = False,
) -> None:
    """Write the students' notebook of a lesson's exercises: no solutions, no hidden tests, points shown; for teachers.

    Example: course release 04 --out class

    A page for each student: course release 04 --variant each --roster gradebook.csv --out class

    Your own tasks: course release 51 --tasks my-tasks --out class
    """
    from course_lib.classroom.release import release as make
    from course_lib.classroom.release import release_each

    def print_gap(gap: str) -> None:
        print(f"course: {gap}", file=sys.stderr)

    seed = _variant(variant)
    if seed != "each" and roster is None:
        print(make(lesson, out, seed, tasks, question, print_gap))
        return
    if seed != "each" or roster is None:
        raise ValueError("--variant each and --roster FILE go together: a page for each student in it; give both.")
    pages, archive = release_each(lesson, out, roster, tasks, question, print_gap)
    print(f"{len(pages)} pages, such as {pages[0]}")
    if archive:
        print(archive)


def _variant(text: str | None) -> int | Literal["each"] | None:
    """What --variant says."""
    try:
        return "each" if text == "each" else None if text is None else int(text)
    except ValueError:
        raise ValueError(f"--variant {text}: expected a whole number, or the word each.") from None


def grade(
    lesson: Annotated[str, typer.Argument(help="Whose exercises, such as 04.")],
    submissions: Annotated[Path, typer.Argument(help="What Canvas or Moodle hands out, or a folder for each student.")],
    out: Annotated[Path, typer.Option(help="Folder for grades, feedback and summary; goes on where it stopped.")],
    roster: Annotated[
        Path | None,
        typer.Option(metavar="CSV", help="The class: student,name, or Canvas's or Moodle's file.", show_default=False),
    ] = None,
    variant: Variant = None,
    task: Annotated[
        str | None, typer.Option(help="Grade this one again, such as 04.2, and keep the others.", show_default=False)
    ] = None,
    tasks: OwnTasks = None,
    question: Question = False,
    seconds: Annotated[float, typer.Option(min=0.1, help="The longest that a cell or a task may run.")] = 20,
    sandbox: Annotated[
        bool, typer.Option("--sandbox/--no-sandbox", help="Without, submissions can do what you can do.")
    ] = True,
) -> None:
    """Grade submissions, each in a sandbox: grades.csv, summary.md and a page of feedback for each; for teachers.

    Example: course grade 04 submissions.zip --out grades --roster class.csv
    """
    from course_lib.classroom.grade import grade as grade_all
    from course_lib.classroom.overrides import BY_HAND

    def show(record: dict[str, Any]) -> None:
        score = "-" if record["score"] is None else f"{record['score']:g}"
        print(f"{record['student']:24} {score:>3} of {record['max_score']}  {record['status']}", flush=True)

    records = grade_all(
        lesson,
        submissions,
        out,
        roster=roster,
        variant=_variant(variant),
        task=task,
        own=tasks,
        question=question,
        seconds=seconds,
        sandboxed=sandbox,
        on_graded=show,
    )
    print(f"{len(records)} students: {out / 'grades.csv'}, {out / 'summary.md'}, {out / 'feedback'}")
    if ungraded := sum(record["score"] is None for record in records):
        print(f"{ungraded} not graded; {out / 'summary.md'} says why", file=sys.stderr)
    if waiting := sum(record["status"] == BY_HAND for record in records):
        print(f"{waiting} to grade by hand; {out / 'answers.html'} has their answers", file=sys.stderr)
    if strangers := [record["student"] for record in records if "not in the roster" in record["reasons"]]:
        print(f"not in the roster: {', '.join(strangers)}", file=sys.stderr)


def export(
    grades: Annotated[Path, typer.Argument(help="The folder of `course grade`; for Gradescope, of `course release`.")],
    form: Annotated[
        Literal["canvas", "moodle", "csv", "gradescope"], typer.Option("--format", help="Who is to read it.")
    ],
    column: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Of Canvas's gradebook, if not Exercises 4.", show_default=False),
    ] = None,
) -> None:
    """Write grades and feedback as Canvas or Moodle imports them, or an autograder for Gradescope; for teachers.

    Example: course export grades --format canvas
    """
    if form == "gradescope":
        from course_lib.classroom.gradescope import autograder

        print(autograder(grades))
        return
    from course_lib.classroom.export import export_grades

    exported = export_grades(grades, form, column)
    print(*exported.files, sep="\n")
    print(*exported.notes, sep="\n", end="\n" * bool(exported.notes), file=sys.stderr)


def certificate(
    notebooks: Annotated[
        list[Path] | None, typer.Argument(help="Notebooks or folders; default my-notebooks/exercises.")
    ] = None,
    name: Annotated[str, typer.Option(help="Of the learner; with --verify, whose it should be.")] = "",
    out: Annotated[
        Path | None,
        typer.Option(help="The file to write; default my-notebooks/certificate.json.", show_default=False),
    ] = None,
    verify: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Run the answers in FILE again.", show_default=False)
    ] = None,
    seconds: Annotated[float, typer.Option(min=0.1, help="The longest that a cell or a task may run.")] = 20,
    sandbox: Annotated[
        bool, typer.Option("--sandbox/--no-sandbox", help="Without, answers can do what you can do.")
    ] = True,
) -> None:
    """Collect your answers in one file that proves itself: anyone who has it can run them again, on other inputs.

    Example: course certificate --name "Ada Lovelace"

    Another's: course certificate --verify certificate.json --name "Ada Lovelace"
    """
    from course_lib.classroom.certificate import make_certificate, read_certificate, verify_certificate
    from course_lib.classroom.plain import readable
    from course_lib.lab import COPY
    from course_lib.patience import dots

    if verify is None:
        out = out or (COPY if COPY.is_dir() else Path()) / "certificate.json"  # there is no copy without a clone
        with dots("Running your answers"):
            claims = make_certificate(name, notebooks or [COPY / "exercises"], out, seconds=seconds, sandboxed=sandbox)
        print(*claims, f"{out}: {sum(claim.claimed for claim in claims)} of {len(claims)} tasks claimed", sep="\n")
        return
    if notebooks:
        raise ValueError(f"--verify runs what is in {verify}, and {notebooks[0]} was given too; leave one of them out.")
    record = read_certificate(verify, name)
    with dots(readable(f"Running the answers of {record.get('name')}, {record.get('date')}")):
        claims = verify_certificate(record, seconds=seconds, sandboxed=sandbox)
    claimed = [claim for claim in claims if claim.claimed]
    proven = sum(claim.holds is True for claim in claimed)
    print(*claims, f"{proven} of {len(claimed)} claimed tasks hold, on new inputs", sep="\n")
    print("This says what the code does, not who wrote it: course_lib/classroom/README.md has questions for that.")
    raise SystemExit(0 if proven == len(claimed) else 1)
