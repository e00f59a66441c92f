"""The `course` command: each of its commands parses, calls one function, prints."""

import io
import os
import sys

import typer

from course_lib.cli import classroom, data, lessons, runs
from course_lib.extras import NEEDS, how_to_install

app = typer.Typer(
    help="A course on convolutional networks, from one kernel to a classifier of chest X-rays. "
    "Add --debug to any command to see where an error comes from.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})(lessons.lab)
for command in (
    lessons.run,
    lessons.build,
    lessons.links,
    lessons.site,
    lessons.doctor,
    runs.train,
    runs.evaluate,
    runs.predict,
    classroom.release,
    classroom.grade,
    classroom.export,
    classroom.certificate,
):
    app.command()(command)
app.add_typer(data.app, name="data")


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
        summary = f"{type(error).__name__}: {error}".splitlines()[0]
        print(f"course: unexpected {summary}; add --debug to see where, and please report it.", file=sys.stderr)
        sys.exit(1)
