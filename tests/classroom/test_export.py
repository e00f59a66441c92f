"""What is exported, as the platform that imports it would read it."""

import csv
import json
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest
from classroom.importers import canvas_comments, canvas_grades, moodle_feedback, moodle_grades
from classroom.records import Record, record

from course_lib.classroom.assignment import Assignment
from course_lib.classroom.export import export_grades
from course_lib.classroom.results import Results
from course_lib.classroom.rosters import read_roster, students_of
from course_lib.classroom.tables import read_table, write_table


def graded(out: Path, page: Assignment, records: Sequence[Record], table: list[list[str]]) -> Path:
    """A folder as `grade` leaves it."""
    out.mkdir(parents=True, exist_ok=True)
    grading = {"lesson": "04", "variant": None, "roster": table, "points": page.points}
    (out / "grading.json").write_text(json.dumps(grading))
    Results(out, page, {row["student"] for row in records}).write(list(records))
    return out


WORKSHEETS = {  # header between name and grade, two rows of status, maximum, a date in that language
    "en": (
        ["Identifier", "Full name", "Email address", "Status", "Grade", "Maximum grade", "Grade can be changed"],
        ["Last modified (submission)", "Last modified (grade)", "Feedback comments"],
        ("Submitted for grading - 2 days 3 hours late", "No submission - Assignment is overdue by: 2 days"),
        ("100.00", "Yes", "Friday, 27 November 2026, 9:12 AM"),
    ),
    "de": (
        ["ID", "Vollständiger Name", "E-Mail-Adresse", "Status", "Bewertung", "Bestwertung", "Änderbar"],
        ["Zuletzt geändert (Abgabe)", "Zuletzt geändert (Bewertung)", "Feedback als Kommentar"],
        ("Zur Bewertung abgegeben - 2 Tage 3 Stunden später", "Keine Abgabe"),
        ("100,00", "Ja", "Freitag, 27. November 2026, 09:12"),
    ),
    "es": (
        ["Identificador", "Nombre completo", "Correo", "Estado", "Calificación", "Calificación máxima", "Cambiable"],
        ["Última modificación (entrega)", "Última modificación (calificación)", "Comentarios"],
        ("Enviado para calificar - 2 días 3 horas después", "Sin entrega"),
        ("10,00", "Sí", "viernes, 27 de noviembre de 2026, 09:12"),
    ),
    "ru": (
        ["Идентификатор", "Полное имя", "Адрес", "Состояние", "Оценка", "Максимум", "Можно изменить"],
        ["Последнее изменение работы", "Последнее изменение оценки", "Отзыв в виде комментария"],
        ("Отправлено - 2 дня 3 часа назад", "Нет ответа"),
        ("20,00", "Да", "пятница, 27 ноября 2026, 09:12"),
    ),
    "zh": (
        ["识别号", "全名", "电子邮件地址", "状态", "成绩", "最高分", "成绩可以更改"],
        ["最后修改\uff08提交\uff09", "最后修改\uff08成绩\uff09", "反馈评语"],
        ("已经提交等待评分 - 2天 3小时之后", "没有提交"),
        ("13.00", "是", "2026年11月27日 星期五 09:12"),
    ),
}
HIDDEN = {"en": "Participant ", "de": "Teilnehmer/in", "es": "Participante", "ru": "Участник", "zh": "参与人"}


def moodle_table(language: str) -> list[list[str]]:
    left, right, (late, missing), (maximum, yes, date) = WORKSHEETS[language]
    word = HIDDEN[language]
    return [
        [*left, *right],
        [f"{word}77", "Anna_Maria Lee", "ann@x.org", late, "", maximum, yes, date, "-", ""],
        [f"{word}78", "Bo Ek", "bo@x.org", missing, "", maximum, yes, "-", "-", ""],
        [f"{word}79", "Cy Day", "cy@x.org", missing.split(" - ")[0], "", maximum, yes, date, "-", "Your own words"],
    ]


@pytest.mark.parametrize("language", WORKSHEETS)
def test_moodle_takes_its_worksheet_back_in_every_language(language: str, tmp_path: Path, page: Assignment) -> None:
    table = moodle_table(language)
    maximum = float(table[1][5].replace(",", "."))
    ann, bo, cy = students_of(table)
    assert (ann.id, ann.late != "", bo.late, cy.late) == ("ann@x.org", True, "", "")
    records = [
        record(page, ann.id, ann.name, 12, file="x", late=ann.late, reasons=['cell 3 failed: <b>"C:\\"']),
        record(page, bo.id, bo.name, None, status="missing"),
        record(page, cy.id, cy.name, 13, file="x"),
    ]
    out = graded(tmp_path, page, records, table)
    exported = export_grades(out, "moodle")
    got = moodle_grades(exported.files[0], language, maximum, "," if "," in table[1][5] else ".")
    assert got[77][0] == pytest.approx(12 / 13 * maximum, abs=0.005)
    assert "12 of 13 points" in got[77][1]
    assert "&lt;b&gt;" in got[77][1]
    assert got[78] == (None, "")
    assert got[79] == (maximum, "Your own words")  # what the teacher wrote stays
    assert exported.notes == [
        "left blank: 1 missing: bo@x.org",
        "your own comment stays in the worksheet, and ours is not beside it: cy@x.org",
    ]
    assert moodle_feedback(exported.files[1], {77, 78, 79}) == {77: "feedback.html", 79: "feedback.html"}
    unchanged = [row[:4] + row[5:9] for row in read_table(exported.files[0])]
    assert unchanged == [row[:4] + row[5:9] for row in table]


def test_moodle_sheets_of_other_settings_are_known_too(tmp_path: Path, page: Assignment) -> None:
    """Blind marking, an ID number, groups, a workflow, online text, and grades that are there already."""
    date = "Friday, 27 November 2026, 9:12 AM"
    rich = [
        "Identifier|Full name|ID number|Email address|Status|Group|Grade|Maximum grade|Marking workflow state|"
        "Grade can be changed|Last modified (submission)|Online text|Last modified (grade)|Feedback comments|Outcomes",
        "Participant 7|Al Ok|4711|a@x|Submitted for grading - 5 mins late - Graded|G - 2|40.00|50.00|Not marked|Yes|"
        f"{date}|<p>5</p>|{date}|Exercises 4: old|Tidy: yes",
        f"Participant 8|Bo Ok|4712|b@x|Draft - Extension granted until: {date}|G - 2||50.00|Not marked|Yes|{date}|"
        "<p>5</p>|-||Tidy: no",
    ]
    blind = [
        "Identifier|Status|Grade|Maximum grade|Grade can be changed|Last modified (submission)|Last modified (grade)",
        f"Participant 7|Submitted for grading||13.00|Yes|{date}|-",
    ]
    rich, blind = ([row.split("|") for row in sheet] for sheet in (rich, blind))
    al, bo = students_of(rich)
    assert (al.id, al.late, bo.late) == ("a@x", "5 mins late", "")
    records = [record(page, "a@x", "Al Ok", 13), record(page, "b@x", "Bo Ok", 0)]
    got = moodle_grades(export_grades(graded(tmp_path / "1", page, records, rich), "moodle").files[0], "en", 50)
    assert {key: grade for key, (grade, _) in got.items()} == {7: 50, 8: 0}
    assert got[7][1].startswith("Exercises 4: 13 of 13")
    records = [record(page, "7", "Participant 7", 13)]
    assert students_of(blind)[0].id == "7"
    got = moodle_grades(export_grades(graded(tmp_path / "2", page, records, blind), "moodle").files[0], "en", 13)
    assert got == {7: (13, "")}


def test_a_moodle_scale_of_words_is_refused_with_what_to_do(tmp_path: Path) -> None:
    table = moodle_table("en")
    for row in table[1:]:
        row[5] = "Poor\nGood"
    with pytest.raises(ValueError, match="choose Grade, Type: Point"):
        students_of(table)


CANVAS = ["Student", "ID", "SIS User ID", "SIS Login ID", "Section"]
PEOPLE = {501: "Doe, Jane", 502: "Roe, Max", 503: "Zoe, Al"}


def canvas_table(*assignments: str, points: str = "", grade: str = "") -> list[list[str]]:
    rows = [[name, str(key), f"u{key}", f"login{key}", "A"] for key, name in PEOPLE.items()]
    rest = ["Homework (1)", *assignments, "Current Score"]
    return [
        [*CANVAS, *rest],
        ["", "", "", "", "", *["Manual Posting"] * len(rest)],
        ["Points Possible", "", "", "", "", "5", *[points] * len(assignments), "(read only)"],
        *([*row, "3", *[grade] * len(assignments), "60"] for row in rows),
    ]


def canvas_records(page: Assignment) -> list[Record]:
    return [
        record(page, "login501", "Doe, Jane", 12, file="doejane_LATE_501_9001_04_cifar10-1.ipynb", late="late"),
        record(page, "login502", "Roe, Max", None, status="unreadable", file="roemax_502_link.html"),
        record(page, "login503", "Zoe, Al", 13, file="zoe_al_503_9003_hw"),
        record(page, "guest", "guest", 5, reasons=["not in the roster"], file="guest_9_9_x.ipynb"),
    ]


def test_canvas_puts_grades_into_the_assignment_that_is_there(tmp_path: Path, page: Assignment) -> None:
    table = canvas_table("Exercises 4 (5555)", points="100", grade="7")
    exported = export_grades(graded(tmp_path, page, canvas_records(page), table), "canvas")
    got = canvas_grades(exported.files[0], {1: "Homework", 5555: "Exercises 4"}, PEOPLE)
    assert (got["assignment"], got["new"], got["points"]) == (5555, None, "100")
    assert got["grades"] == {501: "92.31", 502: "7", 503: "100"}  # what 502 has stays: an empty cell would delete it
    assert exported.notes == [
        "left blank: 1 unreadable: login502",
        "not in the roster, so not exported: guest",
        "no file on Canvas to which this feedback belongs: login502",
    ]


def test_canvas_makes_a_new_assignment_only_if_there_is_none(tmp_path: Path, page: Assignment) -> None:
    exported = export_grades(graded(tmp_path, page, canvas_records(page), canvas_table()), "canvas")
    assert 'no "Exercises 4" in the gradebook, so Canvas will make a new assignment' in " ".join(exported.notes)
    got = canvas_grades(exported.files[0], {1: "Homework"}, PEOPLE)
    assert (got["new"], got["points"], got["grades"]) == ("Exercises 4", "13", {501: "12", 502: "", 503: "13"})


def test_canvas_columns_of_other_names_are_chosen_by_hand(tmp_path: Path, page: Assignment) -> None:
    table = canvas_table("CNN week 4 (77)", "Exercises 4 (5)", "exercises 4 (6)", points="13.0")
    out = graded(tmp_path, page, canvas_records(page), table)
    with pytest.raises(ValueError, match=r"2 columns .* name one with --column"):
        export_grades(out, "canvas")
    with pytest.raises(ValueError, match="not in the gradebook"):
        export_grades(out, "canvas", column="Week 4")
    path = export_grades(out, "canvas", column="CNN week 4").files[0]
    assert canvas_grades(path, {77: "CNN week 4"}, PEOPLE)["assignment"] == 77


def test_canvas_test_student_is_nobody() -> None:
    table = [*canvas_table(), ["Student, Test", "599", "", "6f1a0c" * 6, "A", "", ""]]
    assert [student.name for student in students_of(table)] == list(PEOPLE.values())


def test_canvas_with_first_and_last_names(tmp_path: Path, page: Assignment) -> None:
    table = [["LastName", "FirstName", "ID", "SIS Login ID", "Section"], ["Doe", "Jane", "501", "login501", "A"]]
    assert students_of(table)[0].name == "Doe, Jane"
    path = export_grades(graded(tmp_path, page, [record(page, "login501", "Doe, Jane", 13)], table), "canvas").files[0]
    assert canvas_grades(path, {}, PEOPLE)["grades"] == {501: "13"}


def test_canvas_finds_whose_feedback_each_file_is(tmp_path: Path, page: Assignment) -> None:
    records = [*canvas_records(page), record(page, "anon_aB3x9", "anon_aB3x9", 3, file="LATE_anon_aB3x9_9009_04.ipynb")]
    archive = export_grades(graded(tmp_path, page, records, canvas_table()), "canvas").files[1]
    attached, ignored = canvas_comments(archive, {"501": {"9001"}, "503": {"9003"}, "aB3x9": {"9009"}})
    assert attached.keys() == {"501", "503", "aB3x9"}
    assert ignored == ["guest_9_9_feedback.html"]  # no student of this course


def test_the_wrong_roster_is_named(tmp_path: Path, page: Assignment) -> None:
    out = graded(tmp_path, page, [record(page, "ann", "Ann", 13)], [["student", "name"], ["ann", "Ann"]])
    with pytest.raises(ValueError, match="Moodle's grading worksheet"):
        export_grades(out, "moodle")
    with pytest.raises(ValueError, match="Canvas's exported gradebook"):
        export_grades(out, "canvas")
    with pytest.raises(FileNotFoundError, match="course grade"):
        export_grades(tmp_path / "nowhere", "csv")


def test_a_name_that_a_spreadsheet_would_run_comes_back_as_it_was(tmp_path: Path, page: Assignment) -> None:
    out = graded(tmp_path, page, [record(page, "-ann", "=Ann", 13)], [])
    with (out / "grades.csv").open(newline="") as file:
        assert next(csv.DictReader(file))["name"] == "'=Ann"
    assert export_grades(out, "csv").files[0].read_text().splitlines()[1] == "-ann,=Ann,13"


@pytest.mark.parametrize(
    ("encoding", "separator"),
    [("utf-8", ","), ("utf-8-sig", ";"), ("cp1252", ";"), ("utf-16", "\t"), ("utf-8", "\t")],
)
@pytest.mark.parametrize("names_separator", [False, True])
def test_a_roster_that_excel_saved_is_read(
    encoding: str, separator: str, names_separator: bool, tmp_path: Path
) -> None:
    path, rows = tmp_path / "roster.csv", [["student", "name"], ["zoe", "Zoë Müller"], ["ann", "Lee, Ann; MSc"]]
    write_table(path, rows)
    text = "\r\n".join(separator.join(f'"{cell}"' for cell in row) for row in rows)
    text = f"sep={separator}\r\n{text}" if names_separator else text
    path.write_bytes(text.encode(encoding))
    assert [(student.id, student.name) for student in students_of(read_table(path))] == [
        ("zoe", "Zoë Müller"),
        ("ann", rows[2][1]),
    ]


def test_an_excel_workbook_as_roster_is_named(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "class.xlsx", "w") as book:
        book.writestr("xl/workbook.xml", "")
    with pytest.raises(ValueError, match="save it as CSV"):
        read_table(tmp_path / "class.xlsx")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "no students; a roster has the columns student and name"),
        (b"student,name\n", r"below its headings \(student, name\) there is no row"),
        (b"student,name\nann,Lee, Ann\n", "row 2: 3 cells, and the first row has 2; .* double quotes"),
        (bytes(range(256)), "this is no text; in a spreadsheet save the table as CSV"),
        (None, "expected a CSV file, and there is no such file; check its name"),
        ("folder", "expected a CSV file, and this is a folder; name the file"),
    ],
)
def test_what_is_no_roster_is_named_with_the_mend(content: bytes | str | None, words: str, tmp_path: Path) -> None:
    path = tmp_path / "class.csv"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content:
        path.mkdir()
    with pytest.raises((OSError, ValueError), match=f"class.csv.*{words}"):
        read_roster(path)


def test_commas_that_excel_leaves_at_the_end_of_rows_are_no_cells(tmp_path: Path) -> None:
    (tmp_path / "class.csv").write_text("student,name\nann,Ann,,\n,,,\n")
    assert read_table(tmp_path / "class.csv") == [["student", "name"], ["ann", "Ann"]]


def test_grades_that_excel_saved_are_exported_and_broken_files_named(tmp_path: Path, page: Assignment) -> None:
    out = graded(tmp_path, page, [record(page, "ann", "Zoë", 13)], [])
    rows = read_table(out / "grades.csv")
    (out / "grades.csv").write_bytes("\r\n".join(";".join(row) for row in rows).encode("cp1252"))
    assert export_grades(out, "csv").files[0].read_text().splitlines()[1] == "ann,Zoë,13"
    write_table(out / "grades.csv", [row[:4] for row in rows])
    with pytest.raises(ValueError, match=r"grades.csv: no column 'status'; run `course grade` again"):
        export_grades(out, "csv")
    (out / "grading.json").write_text("{")
    with pytest.raises(ValueError, match=r"grading.json: is broken .*grade again"):
        export_grades(out, "csv")
    (out / "grading.json").unlink()
    with pytest.raises(OSError, match=r"grading.json: expected what `course grade` writes there, and there is no such"):
        export_grades(out, "csv")


def test_a_roster_of_ones_own_may_have_a_column_called_id() -> None:
    assert [student.id for student in students_of([["Student", "ID", "Name"], ["ann", "7", "Ann Lee"]])] == ["ann"]
