"""Grading by an ordinary user, which a teacher is, where the tests themselves run as root, as in a container."""

import csv
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import nbformat
import pytest
from classroom.attacks import ATTACKS
from nbformat import NotebookNode

from course_lib.classroom.sandbox import PACKAGE

USER = "1000"
# What lies in a folder of root's alone, as an interpreter in /root, is shown in a mount namespace made for this.
AS_USER = """
ordinary="setpriv --reuid {user} --regid {user} --clear-groups"
aside=$(mktemp -d) number=0
mount -t tmpfs none "$aside"
for place in "$PREFIX" "$BASE" "$CLONE"; do
    $ordinary test -x "$place" && continue
    number=$((number + 1))
    mkdir "$aside/$number" && mount --bind "$place" "$aside/$number" && echo "$place" > "$aside/$number.place" || exit 9
done
for file in "$aside"/*.place; do
    test -e "$file" || continue
    place=$(cat "$file") top=/$(cut -d/ -f2 "$file")
    grep -q " $top tmpfs " /proc/self/mounts || mount -t tmpfs -o mode=755 none "$top" || exit 9
    mkdir -p "$place" && mount --bind "${{file%.place}}" "$place" || exit 9
done
umount -l "$aside" && rmdir "$aside"
exec $ordinary "$@"
"""


def as_user(command: list[str], home: Path) -> subprocess.CompletedProcess[str]:
    folders = {"PREFIX": sys.prefix, "BASE": sys.base_prefix, "CLONE": str(PACKAGE.parent)}
    env = {**os.environ, **folders, "HOME": str(home), "PYTHONPATH": str(PACKAGE.parent)}
    script = AS_USER.format(user=USER)
    whole = ["unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh", *command]
    return subprocess.run(whole, capture_output=True, text=True, env=env, cwd=home)


@pytest.fixture
def home(sandboxed: None) -> Iterator[Path]:
    """A folder of the user's own; those of pytest are for the user who runs it."""
    if os.geteuid():
        pytest.skip("all tests of grading run as an ordinary user here")
    if not shutil.which("unshare") or not shutil.which("setpriv"):
        pytest.skip("no unshare or setpriv here to become an ordinary user with: apt-get install util-linux")
    with tempfile.TemporaryDirectory(prefix="home-") as folder:
        os.chown(folder, int(USER), int(USER))
        probe = as_user([sys.executable, "-c", "import os; print(os.getuid())"], Path(folder))
        if probe.stdout.strip() != USER:
            pytest.skip(f"no ordinary user can run Python here: {probe.stderr.strip()[-200:]}")
        yield Path(folder)


def test_an_ordinary_user_grades_honest_and_hostile_submissions_in_the_sandbox(
    home: Path, solved: Callable[..., NotebookNode]
) -> None:
    names = ("early exit of a task", "fork bomb", "stubborn timeout", "tests from disk", "writes outside")
    for student, notebook in {"right": solved(), **{name: solved(ATTACKS[name][0]) for name in names}}.items():
        (home / "in" / student).mkdir(parents=True)
        (home / "in" / student / "04_cifar10.ipynb").write_text(nbformat.writes(notebook))
    for entry in (home, *home.rglob("*")):
        os.chown(entry, int(USER), int(USER))
    command = [sys.executable, "-m", "course_lib"]
    ran = as_user([*command, "grade", "04", "in", "--out", "class", "--seconds", "5"], home)
    assert ran.returncode == 0, ran.stderr
    with (home / "class" / "grades.csv").open(newline="") as file:
        got = {row["student"]: (row["score"], row["status"]) for row in csv.DictReader(file)}
    expected = {name.replace(" ", "_"): (str(ATTACKS[name][1]), ATTACKS[name][2]) for name in names}
    assert got == {"right": ("13", "graded"), **expected}
    assert {path.stat().st_uid for path in (home / "class").rglob("*")} == {int(USER)}
    ran = as_user([*command, "export", "class", "--format", "csv"], home)
    assert (ran.returncode, (home / "class" / "csv.csv").exists()) == (0, True), ran.stderr
