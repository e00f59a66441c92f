"""The commands that open, run and build the lessons, and examine the machine for them."""

from pathlib import Path
from typing import Annotated

import typer

from course_lib.cli.options import Data, Root


def lab(context: typer.Context) -> None:
    """Open JupyterLab on your own copy of the lessons, at lesson 1; JupyterLab's options may follow.

    Example: course lab --no-browser
    """
    from course_lib.lab import open_lab

    open_lab(context.args)


def run(
    numbers: Annotated[list[str] | None, typer.Argument(help="Lessons, such as 01 03; default all.")] = None,
    data: Data = None,
    root: Root = None,
    compare: Annotated[bool, typer.Option("--compare", help="Compare every cell with its saved output.")] = False,
    record: Annotated[bool, typer.Option("--record", help="Keep what it finds on real images; for authors.")] = False,
) -> None:
    """Run lessons without a browser and check what they assert; a line each.

    Example: course run 02 03 --data real --root ~/data
    """
    from course_lib.authoring import compare_notebook, lessons, record_lesson, run_lesson, sources
    from course_lib.lessons import lesson_environment

    environment, failed = lesson_environment(data, root), 0
    if compare and (record or environment.get("COURSE_DATA", "simulated") != "simulated"):
        raise ValueError("the saved outputs are of simulated images; leave out --data, --root, --record, or --compare.")
    for path in (sources if record else lessons)(numbers):
        if compare:
            differences = compare_notebook(path)
            failed += bool(differences)
            print(f"{path.stem:28} {f'{len(differences)} cells differ' if differences else 'as saved'}", flush=True)
            for cell, sentences in differences.items():
                print(*(f"  code cell {cell}: {sentence}" for sentence in sentences), sep="\n", flush=True)
            continue
        verdict = (record_lesson if record else run_lesson)(path, environment=environment)
        failed += verdict.error is not None
        print(
            f"{path.stem:28} {verdict.cells:3} cells {verdict.seconds:6.1f} s  {verdict.error or 'passed'}", flush=True
        )
    raise SystemExit(1 if failed else 0)


def build(
    numbers: Annotated[list[str] | None, typer.Argument(help="Lessons, such as 01 03; default all.")] = None,
    exercises: Annotated[bool, typer.Option("--exercises", help="Their exercises, not the lessons.")] = False,
    pull: Annotated[bool, typer.Option("--pull", help="Take edits made in Jupyter back into the sources.")] = False,
    scripts: Annotated[bool, typer.Option("--scripts", help="Renew the explorers' scripts and run nothing.")] = False,
) -> None:
    """Execute the sources of lessons, or of exercises, and write the notebooks, outputs included; for authors.

    Example: course build 03
    """
    from course_lib import authoring

    for source in (authoring.exercise_sources if exercises else authoring.sources)(numbers):
        if pull:
            changed = authoring.pull(source)
            print(f"{source}: {'taken from its notebook' if changed else 'says the same as its notebook'}")
        elif scripts:
            for edition in authoring.refresh_scripts(source):
                print(f"{edition}: has the explorers of today")
        else:
            print(*authoring.build(source), sep="\n", flush=True)


def links(
    owner: Annotated[str | None, typer.Option(help="The account on GitHub that publishes the course.")] = None,
    name: Annotated[str | None, typer.Option(help="The repository's name, if it is another one.")] = None,
) -> None:
    """Publish the course, or a fork of it: bring its address into every badge, set-up cell and README.

    The address stands under [tool.course] in pyproject.toml, where --owner and --name write it.

    Example: course links --owner ada-lovelace
    """
    from course_lib.authoring import relink
    from course_lib.authoring.links import remaining

    changed = relink(owner, name)
    print(*changed, f"{len(changed)} files changed", remaining(), sep="\n")


def site(out: Annotated[Path, typer.Option(help="Folder of the site.")] = Path("site")) -> None:
    """Write all lessons and exercises as web pages that need no server and no network.

    Example: course site
    """
    from course_lib.authoring.site import build_site

    print(f"{len(build_site(out))} pages; open {out / 'index.html'}")


def doctor() -> None:
    """Say what this machine has, what is missing, and how to fix it.

    Example: course doctor
    """
    from course_lib.doctor import examine

    page, healthy = examine()
    print(page)
    raise SystemExit(0 if healthy else 1)
