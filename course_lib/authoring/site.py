"""The reading edition: all pages with their outputs as a web site that needs no server and no network."""

import base64
import io
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import nbformat
from nbformat import NotebookNode
from PIL import Image

from course_lib.authoring.compare import PICTURES
from course_lib.authoring.editions import editions_of, exercise_sources
from course_lib.authoring.kernel import NOTEBOOKS, lessons
from course_lib.authoring.site_results import results_page
from course_lib.authoring.terms import glossary_page
from course_lib.files import as_path

SETTINGS = {
    "extensions": ["myst_nb", "course_lib.authoring.site_sphinx"],
    "project": "Convolutional networks",
    "html_title": "Convolutional networks",
    "html_theme": "furo",
    "html_theme_options": {"light_css_variables": {"code-font-size": "0.75rem"}},
    "html_static_path": ["_static"],
    "html_css_files": ["site.css"],
    "html_copy_source": False,
    "html_show_copyright": False,
    "html_show_sphinx": False,
    "html_math_renderer": "mathml",  # drawn by the browser itself
    "myst_enable_extensions": ["dollarmath"],
    "myst_heading_anchors": 3,
    "myst_heading_slug_func": "course_lib.authoring.site_sphinx.heading_anchor",
    "nb_execution_mode": "off",
    "nb_code_prompt_show": "Show one solution",
    "nb_code_prompt_hide": "Hide it",
    "nb_ipywidgets_js": {},
}
EXTRA_PAGES: dict[str, tuple[str, Callable[[], NotebookNode | str]]] = {  # what is on it, and what makes it
    "glossary.md": ("glossary", glossary_page),
    "real_results.ipynb": ("all results on real images", results_page),
}
WIDE = 850  # pixels
PLACE_OF_EXTRA_PAGES = "<!-- further pages -->"  # on the front page
BADGE = re.compile(r"\[!\[([^]]*)\]\([^)]*\)\]")
ANCHOR = re.compile(r'^<a id="part-\w"></a>\n+', re.MULTILINE)


def build_site(out: str | Path) -> list[Path]:
    """Write the site: a front page, the lessons, the exercises with their solutions folded away, and `EXTRA_PAGES`.

    Args:
        out: folder of the site; `out`/index.html is where to begin.

    Returns:
        the pages that readers see, in their order.

    Raises:
        RuntimeError: a page has a fault, such as a link that leads nowhere; the message says which.
    """
    out = as_path(out, "out")
    chapters = {
        "Lessons": {lesson.name: nbformat.read(lesson, as_version=4) for lesson in lessons()},
        "Exercises": {f"exercises/{source.stem}.ipynb": _exercises(source) for source in exercise_sources()},
        "To look up": {name: make() for name, (_, make) in EXTRA_PAGES.items()},
    }
    with tempfile.TemporaryDirectory() as folder:
        sources = Path(folder)
        for subfolder in ("exercises", "_static"):
            (sources / subfolder).mkdir()
        for pages in chapters.values():
            for name, page in pages.items():
                text = page if isinstance(page, str) else nbformat.writes(_readable(page))
                (sources / name).write_text(text, encoding="utf-8")
        shutil.copy(NOTEBOOKS / "front.png", sources)
        shutil.copy(Path(__file__).with_name("site.css"), sources / "_static")
        navigation = "".join(_toctree(title, list(pages)) for title, pages in chapters.items())
        (sources / "index.md").write_text(_front() + navigation, encoding="utf-8")
        (sources / "conf.py").write_text(f"globals().update({SETTINGS!r})\n", encoding="utf-8")
        command = [sys.executable, "-m", "sphinx", "--quiet", "--no-color", "--fail-on-warning", "--keep-going"]
        command += ["--doctree-dir", str(sources / "doctrees"), str(sources), str(sources / "made" / "html")]
        process = subprocess.run(command, capture_output=True, text=True, check=False)
        if process.returncode:
            raise RuntimeError(process.stderr)
        shutil.copytree(sources / "made" / "html", out, dirs_exist_ok=True)  # MyST-NB writes beside it as well
    names = ["index.md", *(name for pages in chapters.values() for name in pages)]
    return [(out / name).with_suffix(".html") for name in names]


def _front() -> str:
    """The front page, with links to what only the site has."""
    links = ", ".join(f"[{title}]({name})" for name, (title, _) in EXTRA_PAGES.items())
    front = (NOTEBOOKS / "README.md").read_text(encoding="utf-8")
    return front.replace(PLACE_OF_EXTRA_PAGES, f"**To look up**: {links}.")


def _toctree(title: str, names: Sequence[str]) -> str:
    """A chapter of the navigation."""
    return "\n".join(["\n```{toctree}", ":hidden:", f":caption: {title}", *names, "```", ""])


def _readable(notebook: NotebookNode) -> NotebookNode:
    """A notebook for a page without a network: badges become links, and pictures have their words."""
    notebook.cells[0].source = BADGE.sub(r"[\1]", notebook.cells[0].source).replace(") [Open", "), [Open")
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = ANCHOR.sub("", cell.source)  # the heading below it gets the same anchor
        if "setup" in cell.metadata.get("tags", ()):
            cell.metadata["tags"].append("hide-input")
            cell.metadata["mystnb"] = {"code_prompt_show": "Show the set-up", "code_prompt_hide": "Hide it"}
        elif cell.metadata.get("jupyter", {}).get("outputs_hidden"):
            cell.metadata["tags"] = [*cell.metadata.get("tags", ()), "hide-output"]
            cell.metadata["mystnb"] = {"code_prompt_show": "Show the result", "code_prompt_hide": "Hide it"}
        outputs = cell.get("outputs", [])
        alts = [
            metadata["alt"]
            for output in outputs
            for kind, metadata in output.get("metadata", {}).items()
            if kind in PICTURES
        ]
        if alts:  # one text for all pictures of a cell: MyST-NB knows no other
            cell.metadata.setdefault("mystnb", {})["image"] = {"alt": " ".join(alts)} | _width_class(outputs)
    return notebook


def _width_class(outputs: Sequence[NotebookNode]) -> dict[str, str]:
    """A class for pictures too wide for a phone to show whole and legible."""
    encoded = (data for output in outputs for kind, data in output.get("data", {}).items() if kind in PICTURES)
    widest = max(Image.open(io.BytesIO(base64.b64decode(data))).width for data in encoded)
    return {"classes": "wide"} if widest >= WIDE else {}


def _exercises(source: Path) -> NotebookNode:
    """The learner's page of exercises, and below each task's beginning, folded, its solution."""
    learners, solved = (nbformat.read(edition, as_version=4) for edition in editions_of(source))
    cells = []
    for exercise, solution in zip(learners.cells, solved.cells, strict=True):
        cells.append(exercise)
        if exercise.cell_type == "code" and exercise.source != solution.source:
            solution.id, solution.metadata["tags"] = f"{solution.id}-solved", ["hide-input"]
            cells.append(solution)
    learners.cells = cells
    return learners
