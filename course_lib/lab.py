"""`course lab`: JupyterLab on the learner's copy of the notebooks, at lesson 1."""

import os
import secrets
import shutil
import sysconfig
from collections.abc import Sequence
from pathlib import Path

from course_lib.patience import dots

CLONE = Path(__file__).parents[1]
COPY = CLONE / "my-notebooks"
SETTINGS = Path(__file__).with_name("jupyter")  # defaults: the user's own settings win


def open_lab(arguments: Sequence[str] = ()) -> None:
    """Bring the learner's copy up to date and serve it until Ctrl-C; the last words say what is open and how to go on.

    Args:
        arguments: for JupyterLab, such as --no-browser.

    Raises:
        FileNotFoundError: no notebooks; this is not a clone of the course.
    """
    if not (CLONE / "notebooks").is_dir():
        raise FileNotFoundError(f"{CLONE}: no notebooks there; this command works in a clone of the course.")
    how_to_call_course = _how_to_call_course()
    os.environ["JUPYTER_CONFIG_PATH"] = os.pathsep.join(
        filter(None, (os.environ.get("JUPYTER_CONFIG_PATH"), str(SETTINGS)))
    )
    with dots(f"Starting JupyterLab on {COPY.name}/"):
        from jupyterlab.labapp import LabApp

        from course_lib.working_copy import bring_up_to_date

        kept = bring_up_to_date(CLONE / "notebooks", COPY)
        server = LabApp.initialize_server([*_options(), *arguments])
    address = f"{server.connection_url}lab/tree/{_first_lesson()}?token={server.identity_provider.token}"
    words = (*kept, _what_is_open(address, server.open_browser), how_to_call_course)
    server.io_loop.add_callback(lambda: print(*filter(None, words), sep="\n", flush=True))
    server.start()


def _options() -> list[str]:
    import zmq

    options = [f"--ServerApp.root_dir={COPY}", f"--LabApp.default_url=/lab/tree/{_first_lesson()}"]
    options += ["--ServerApp.log_level=ERROR", "--LabApp.log_level=ERROR"]
    if "JUPYTER_TOKEN" not in os.environ:  # with a token of ours Jupyter leaves the last words to us
        options.append(f"--IdentityProvider.token={secrets.token_hex(24)}")
    if zmq.has("curve"):  # without encryption each kernel warns of it, below the last words
        options.append("--KernelManager.transport_encryption=auto")
    if hasattr(os, "geteuid") and os.geteuid() == 0:  # in a container, where Jupyter would refuse
        options.append("--allow-root")
    return options


def _first_lesson() -> str:
    return min((CLONE / "notebooks").glob("[0-9][0-9]_*.ipynb")).name  # in the copy there may be copies of it


def _what_is_open(address: str, in_browser: bool) -> str:
    opening = "Lesson 1 opens in your browser; if it does not, open" if in_browser else "For lesson 1 open"
    return (
        f"{opening} {address}\n"
        f"Your pages are in {COPY.name}/, which git leaves alone. To stop: Ctrl-C in this terminal, then y."
    )


def _how_to_call_course() -> str:
    """How to call `course` in a terminal; in JupyterLab's own it is on the path from now on."""
    if shutil.which("course"):
        return ""
    scripts = Path(sysconfig.get_path("scripts"))
    os.environ["PATH"] = f"{scripts}{os.pathsep}{os.environ.get('PATH', '')}"
    activate = scripts / "activate"
    shown = activate.relative_to(Path.cwd()) if activate.is_relative_to(Path.cwd()) else activate
    return f"For the command `course`, in another terminal: {'' if os.name == 'nt' else 'source '}{shown}"
