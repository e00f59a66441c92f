"""The `course` command: parses, calls one function, prints."""

import io
import json
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from course_lib.backbones import BACKBONES, OFFLINE
from course_lib.data_sets import DATA_SETS, TASKS, TRANSFER
from course_lib.extras import NEEDS, how_to_install
from course_lib.options import TRANSFER_TASKS, Source, Split, check_predict, check_train, config_path
from course_lib.progress import speaking

app = typer.Typer(
    help="A course on convolutional networks, from one kernel to a classifier of chest X-rays. "
    "Add --debug to any command to see where an error comes from.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
data_app = typer.Typer(help="The datasets: what there is, fetching, auditing.", no_args_is_help=True)
app.add_typer(data_app, name="data")


if TYPE_CHECKING:  # which knows no Literal that is made of a table
    What = str
    Task = str
    Preset = str
    Backbone = str
    DataSet = str
else:
    What = Literal[*(data_set.task for data_set in DATA_SETS.values()), TRANSFER]
    Task = Literal[*TRANSFER_TASKS]
    Preset = Literal[*(name for data_set in TASKS.values() for name in data_set.preset_names)]
    Backbone = Literal[*BACKBONES]
    DataSet = Literal[*DATA_SETS]
OF_EACH = "; ".join(f"of {task}, {', '.join(one.preset_names)}" for task, one in TASKS.items() if one.preset_names)
Root = Annotated[Path | None, typer.Option(help="Folder that holds the real images.", show_default=False)]
Data = Annotated[Source | None, typer.Option(help="Where the images come from.", show_default=False)]
OwnTasks = Annotated[Path | None, typer.Option(metavar="DIR", help="Tasks of your own.", show_default=False)]


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def lab(context: typer.Context) -> None:
    """Open JupyterLab on your own copy of the lessons, at lesson 1; JupyterLab's options may follow.

    Example: course lab --no-browser
    """
    from course_lib.lab import open_lab

    open_lab(context.args)


@app.command()
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
            wrong = compare_notebook(path)
            failed += bool(wrong)
            print(f"{path.stem:28} {f'{len(wrong)} cells differ' if wrong else 'as saved'}", flush=True)
            for cell, sentences in wrong.items():
                print(*(f"  code cell {cell}: {sentence}" for sentence in sentences), sep="\n", flush=True)
            continue
        verdict = (record_lesson if record else run_lesson)(path, environment=environment)
        failed += verdict.error is not None
        print(
            f"{path.stem:28} {verdict.cells:3} cells {verdict.seconds:6.1f} s  {verdict.error or 'passed'}", flush=True
        )
    raise SystemExit(1 if failed else 0)


@app.command()
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


@app.command()
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


@app.command()
def site(out: Annotated[Path, typer.Option(help="Folder of the site.")] = Path("site")) -> None:
    """Write all lessons and exercises as web pages that need no server and no network.

    Example: course site
    """
    from course_lib.authoring.site import build_site

    print(f"{len(build_site(out))} pages; open {out / 'index.html'}")


@app.command()
def doctor() -> None:
    """Say what this machine has, what is missing, and how to fix it.

    Example: course doctor
    """
    from course_lib.doctor import examine

    page, healthy = examine()
    print(page)
    raise SystemExit(0 if healthy else 1)


@data_app.command("list")
def data_list() -> None:
    """List the datasets and where they lie.

    Example: course data list
    """
    from course_lib.data.source import loader_of

    rows = [(one.name, loader_of(one).find(None) or "absent", one.license) for one in DATA_SETS.values()]
    for name, found, terms in [*rows, ("simulated", "made when asked for", "simulated, no patient")]:
        print(f"{name:13} {found}\n{'':13} {terms}")


@data_app.command("get")
def data_get(name: DataSet) -> None:
    """Download a dataset and verify it.

    Example: course data get chest_xray
    """
    from course_lib.data.source import loader_of

    loader = loader_of(DATA_SETS[name])
    print((loader.get or loader.fetch)())


@data_app.command("audit")
def data_audit(name: DataSet, data: Data = None, root: Root = None) -> None:
    """Look for duplicates, patients in two splits, and what the files' sizes and shapes give away.

    Example: course data audit chest_xray --root ~/data
    """
    from course_lib.data import audit_splits
    from course_lib.data.source import loader_of

    print(audit_splits(loader_of(DATA_SETS[name]).load(data, root=root)))


@app.command()
def train(
    what: Annotated[What, typer.Argument(help="What to learn from nothing; or transfer, from a pretrained backbone.")],
    task: Annotated[
        Task | None,
        typer.Option(help="Of transfer: what to learn; folder: class folders of your own.", show_default=False),
    ] = None,
    backbone: Annotated[
        Backbone | None,
        typer.Option(help=f"Of transfer: default {OFFLINE}, which needs no network.", show_default=False),
    ] = None,
    data: Data = None,
    root: Root = None,
    out: Annotated[Path | None, typer.Option(help="Run folder; default runs/TASK-SEED.", show_default=False)] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="Passes over the images.", show_default=False)] = None,
    learning_rate: Annotated[
        float | None, typer.Option(min=0, help="Its peak, if not the preset's.", show_default=False)
    ] = None,
    patience: Annotated[
        int | None,
        typer.Option(min=1, help="Stop after so many epochs without a lower validation loss.", show_default=False),
    ] = None,
    image_size: Annotated[int | None, typer.Option(min=32, help="Pixels per side.", show_default=False)] = None,
    seed: Annotated[int, typer.Option(min=0, max=2**31, help="Of the cut, the weights and the order.")] = 0,
    preset: Annotated[
        Preset | None,
        typer.Option(help=f"How it is trained, if not as the task's default: {OF_EACH}.", show_default=False),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a run that was stopped.")] = False,
    classes: Annotated[
        str | None,
        typer.Option(metavar="A,B", help="Of --task folder: the class folders, if not all are.", show_default=False),
    ] = None,
    subfolder: Annotated[
        str | None,
        typer.Option(help="Of --task folder: where a class keeps its images, if beside others.", show_default=False),
    ] = None,
) -> None:
    """Train a network; the run folder then holds weights, history, curves and a model card.

    Example: course train pneumonia --data real --root ~/data --out runs/first

    Your own images, in a folder for each class: course train transfer --task folder --root ~/pets

    With several processes: torchrun --standalone --nproc-per-node 2 -m course_lib train cifar10 --root ~/data
    """
    folder = out or Path("runs") / "-".join(filter(None, (what, task, str(seed))))
    check_train(
        what,
        task,
        backbone=backbone,
        preset=preset,
        data=data,
        root=root,
        out=folder,
        resume=resume,
        classes=classes,
        subfolder=subfolder,
    )
    from course_lib.runs import Recipe, arithmetic, train_run
    from course_lib.runtime import keep_freed_memory

    keep_freed_memory()
    recipe = Recipe.of(
        task or what,
        preset=TRANSFER if task else preset,
        backbone=backbone,
        data=data,
        root=root and str(root.resolve()),
        epochs=epochs,
        learning_rate=learning_rate,
        patience=patience,
        image_size=image_size,
        seed=seed,
        classes=None if classes is None else classes.split(","),
        subfolder=subfolder,
    )
    with _saying_how_to_go_on(folder):
        config = train_run(recipe, folder, resume=resume, speaks=True)
    if int(os.environ.get("RANK", "0")) > 0:  # in a team of processes the first speaks
        return
    print_scores({"data": config["data"]["name"], "split": "val", "classes": config["classes"], **config["validation"]})
    split = "" if config["has_test"] else " --split val"
    spent = ", ".join(filter(None, (f"{config['training']['seconds']:.0f} s", arithmetic(config["training"]))))
    print(f"\n{folder}: trained in {spent}; now: course evaluate {folder}{split}")


@contextmanager
def _saying_how_to_go_on(folder: Path) -> Iterator[None]:
    """End the command in one sentence where the training into `folder` is stopped."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # torchrun sends it when another process has ended
    try:
        yield
    except (KeyboardInterrupt, ConnectionError) as error:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # once is enough
        kept = (folder / "state.pt").exists()
        how = f"{folder} keeps the last whole epoch, go on with --resume" if kept else "before the first epoch ended"
        print(f"course: {str(error) or 'stopped'}; {how}.", file=sys.stderr)
        raise SystemExit(130) from None


@app.command()
def evaluate(
    run: Annotated[Path, typer.Argument(help="Run folder.")],
    data: Data = None,
    root: Root = None,
    split: Annotated[Split, typer.Option(help="Which images to score.")] = "test",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Score a trained network on a split, with 95% intervals.

    Example: course evaluate runs/first --root ~/data
    """
    config_path(run)
    from course_lib.runs import evaluate_run

    with speaking():
        scores = evaluate_run(run, data=data, root=root, split=split)
    if as_json:
        print(json.dumps(scores))
    else:
        print_scores(scores)


@app.command()
def predict(
    run: Annotated[Path, typer.Argument(help="Run folder.")],
    images: Annotated[list[Path], typer.Argument(help="Image files of any size.", readable=False)],
    explain: Annotated[
        Path | None, typer.Option(metavar="PNG", help="Draw which parts of the one image spoke for the answer.")
    ] = None,
) -> None:
    """Classify images, and say which are unlike those that the network learned from.

    A file that cannot be read is named, and the others are still classified.

    Example: course predict runs/first scan1.png scan2.jpeg
    """
    check_predict(run, images, explain)
    from functools import partial

    from course_lib.files import write_atomically
    from course_lib.runs import draw_explanation, load_run
    from course_lib.runs import predict as predict_one

    trained, failed = load_run(run), 0
    for path in images:
        try:
            found = predict_one(trained, path)
        except Exception as error:  # whatever it is, it is this image's, and the others are still answered
            expected = isinstance(error, OSError | ValueError)
            print(f"course: {error if expected else f'{path}: {type(error).__name__}: {error}'}", file=sys.stderr)
            failed += 1
            continue
        rule = "" if found.threshold is None else f" (threshold {found.threshold:.3f}, chosen on validation)"
        print(f"{path}: {found.predicted}, probability of {found.prob_of} {found.prob:.3f}{rule}")
        if found.notice:
            print(f"  {found.notice}; the answer may mean nothing")
        if explain:
            write_atomically(explain, partial(draw_explanation(trained, found).savefig, format="png", dpi=150))
            print(f"{explain}: what spoke for {found.predicted}, by Grad-CAM")
    if trained.reference is None:
        print("This run is of an older version: it cannot tell images that are unlike those it learned from.")
    if patients := trained.recipe.data_set.kind(trained.recipe.data).patients:
        print(f"Not for diagnosis: a teaching model of {patients}; see model_card.md in the run folder.")
    raise SystemExit(1 if failed else 0)


@app.command()
def release(
    lesson: Annotated[str, typer.Argument(help="Whose exercises, such as 04.")],
    out: Annotated[Path, typer.Option(help="Folder in nbgrader's layout; made if need be.")],
    variant: Annotated[
        int | None, typer.Option(metavar="SEED", help="Draw other numbers, for a section.", show_default=False)
    ] = None,
    tasks: OwnTasks = None,
) -> None:
    """Write the students' notebook of a lesson's exercises: no solutions, no hidden tests, points shown; for teachers.

    Example: course release 04 --out class

    Your own tasks: course release 51 --tasks my-tasks --out class
    """
    from course_lib.classroom.release import release as make

    print(make(lesson, out, variant, tasks, told=lambda gap: print(f"course: {gap}", file=sys.stderr)))


@app.command()
def grade(
    lesson: Annotated[str, typer.Argument(help="Whose exercises, such as 04.")],
    submissions: Annotated[Path, typer.Argument(help="What Canvas or Moodle hands out, or a folder for each student.")],
    out: Annotated[Path, typer.Option(help="Folder for grades, feedback and summary; goes on where it stopped.")],
    roster: Annotated[
        Path | None,
        typer.Option(metavar="CSV", help="The class: student,name, or Canvas's or Moodle's file.", show_default=False),
    ] = None,
    variant: Annotated[int | None, typer.Option(metavar="SEED", help="Of the release.", show_default=False)] = None,
    task: Annotated[
        str | None, typer.Option(help="Grade this one again, such as 04.2, and keep the others.", show_default=False)
    ] = None,
    tasks: OwnTasks = None,
    seconds: Annotated[float, typer.Option(min=0.1, help="The longest that a cell or a task may run.")] = 20,
    sandbox: Annotated[
        bool, typer.Option("--sandbox/--no-sandbox", help="Without, submissions can do what you can do.")
    ] = True,
) -> None:
    """Grade submissions, each in a sandbox: grades.csv, summary.md and a page of feedback for each; for teachers.

    Example: course grade 04 submissions.zip --out grades --roster class.csv
    """
    from course_lib.classroom.grade import grade as grade_all

    def told(record: dict[str, Any]) -> None:
        score = "-" if record["score"] is None else f"{record['score']:g}"
        print(f"{record['student']:24} {score:>3} of {record['max_score']}  {record['status']}", flush=True)

    records = grade_all(
        lesson,
        submissions,
        out,
        roster=roster,
        variant=variant,
        task=task,
        own=tasks,
        seconds=seconds,
        sandboxed=sandbox,
        told=told,
    )
    print(f"{len(records)} students: {out / 'grades.csv'}, {out / 'summary.md'}, {out / 'feedback'}")
    if ungraded := sum(record["score"] is None for record in records):
        print(f"{ungraded} not graded; {out / 'summary.md'} says why", file=sys.stderr)
    if strangers := [record["student"] for record in records if "not in the roster" in record["reasons"]]:
        print(f"not in the roster: {', '.join(strangers)}", file=sys.stderr)


@app.command()
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


@app.command()
def certificate(
    notebooks: Annotated[
        list[Path] | None, typer.Argument(help="Notebooks or folders; default my-notebooks/exercises.")
    ] = None,
    name: Annotated[str, typer.Option(help="Of the learner; with --verify, whose it should be.")] = "",
    out: Annotated[Path, typer.Option(help="The file to write.")] = Path("certificate.json"),
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
        with dots("Running your answers"):
            claims = make_certificate(name, notebooks or [COPY / "exercises"], out, seconds=seconds, sandboxed=sandbox)
        print(*claims, f"{out}: {sum(claim.claimed for claim in claims)} of {len(claims)} tasks claimed", sep="\n")
        return
    if notebooks:
        raise ValueError(f"--verify runs what is in {verify}, and {notebooks[0]} was given too; leave one of them out.")
    held = read_certificate(verify, name)
    with dots(readable(f"Running the answers of {held.get('name')}, {held.get('date')}")):
        claims = verify_certificate(held, seconds=seconds, sandboxed=sandbox)
    claimed = [claim for claim in claims if claim.claimed]
    proven = sum(claim.holds is True for claim in claimed)
    print(*claims, f"{proven} of {len(claimed)} claimed tasks hold, on new inputs", sep="\n")
    print("This says what the code does, not who wrote it: course_lib/classroom/README.md has questions for that.")
    raise SystemExit(0 if proven == len(claimed) else 1)


def print_scores(scores: dict[str, Any]) -> None:
    """A report as a table: each score with its 95% interval, the fraction of unlike images, the confusion matrix."""
    print(f"{scores['data']}, {scores['split']}: {scores['n']} images")
    for name in ("auc", "balanced_accuracy", "accuracy", "sensitivity", "specificity", "ece", "threshold", "unlike"):
        if scores.get(name) is not None:
            low, high = scores["ci95"].get(name, (None, None))
            print(f"  {name:18} {scores[name]:.3f}" + (f"   [{low:.3f}, {high:.3f}]" if low is not None else ""))
    for name, row in zip(scores["classes"], scores["confusion"], strict=True):
        print(f"  true {name:13} {' '.join(f'{count:5}' for count in row)}")


def main() -> None:
    """Run the command; an error is one sentence on stderr, or a traceback with --debug."""
    # Threads that wait by spinning lose most of their time on a machine that does something else too: with one other
    # busy process on two cores, training was five times slower. Read when torch is first imported; kernels inherit it.
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")
    for stream in (sys.stdout, sys.stderr):  # a file's name may hold letters that the console does not know
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    debug = "--debug" in sys.argv
    arguments = [argument for argument in sys.argv[1:] if argument != "--debug"]
    try:
        app(arguments)
    except BrokenPipeError:  # the reader of our output has gone, as in `course data list | head -1`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except (OSError, ValueError, ArithmeticError, MemoryError) as error:
        if debug:
            raise
        print(f"course: {error}", file=sys.stderr)
        sys.exit(1)
    except ModuleNotFoundError as error:
        if debug:
            raise
        call = how_to_install(NEEDS.get(arguments[0], "lessons"))
        print(f"course: `course {arguments[0]}` needs {error.name}, which is not here; run: {call}", file=sys.stderr)
        sys.exit(1)
    except Exception as error:
        if debug:
            raise
        what = f"{type(error).__name__}: {error}".splitlines()[0]
        print(f"course: unexpected {what}; add --debug to see where, and please report it.", file=sys.stderr)
        sys.exit(1)
