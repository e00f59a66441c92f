"""What readers of the course see, text by text, with the file that each stands in."""

import ast
import io
import re
import tokenize
import tomllib
from collections.abc import Iterator
from pathlib import Path

import jupytext

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "course_lib"
SOURCES = ROOT / "notebooks" / "source"
FENCED = re.compile(r"^```.*?^```", re.M | re.S)
SCRIPT_NOTE = re.compile(r"/\*.*?\*/|(?<![:\"'`])//[^\n]*", re.S)
SCRIPT_TEXT = re.compile(r'"(?:[^"\\\n]|\\.)*"|`(?:[^`\\]|\\.)*`')

Text = tuple[str, str]


def notebook_texts() -> Iterator[Text]:
    """Lessons and exercises: markdown, and of code the comments and the strings."""
    for source in sorted(SOURCES.rglob("*.py")):
        name = str(source.relative_to(ROOT))
        for cell in jupytext.read(source, fmt="py:percent").cells:
            if cell.cell_type == "markdown":
                yield name, cell.source
            else:
                yield name, comments(cell.source)
                yield from ((name, text) for text in strings(cell.source))


def package_texts() -> Iterator[Text]:
    """Messages, hints, labels and reports of the package: its strings of several words; docstrings where they help."""
    for module in sorted(PACKAGE.rglob("*.py")):
        name = str(module.relative_to(ROOT))
        found = strings(module.read_text(encoding="utf-8"), docstrings=module.name == "cli.py")
        yield from ((name, text) for text in found if " " in text.strip())


def toml_texts() -> Iterator[Text]:
    """Questions, predictions, captions, alt texts, and what stands beside recorded results or is graded by hand."""
    for path in sorted((PACKAGE / "exercises" / "tasks").glob("*-question.md")):
        yield str(path.relative_to(ROOT)), path.read_text("utf-8")
    folders = ("widgets/texts", "plots/texts", "real_results")
    for path in sorted(path for folder in folders for path in (PACKAGE / folder).glob("*.toml")):
        yield from ((str(path.relative_to(ROOT)), text) for text in values(tomllib.loads(path.read_text("utf-8"))))


def script_texts() -> Iterator[Text]:
    """The explorers' strings."""
    for path in sorted((PACKAGE / "widgets" / "js").glob("*.js")):
        code = SCRIPT_NOTE.sub("", path.read_text("utf-8"))
        yield from ((str(path.relative_to(ROOT)), text[1:-1]) for text in SCRIPT_TEXT.findall(code))


def readme_texts() -> Iterator[Text]:
    """Every README and CONTRIBUTING.md, without their commands."""
    for path in sorted([*ROOT.rglob("README.md"), ROOT / "CONTRIBUTING.md"]):
        if not any(part.startswith(".") for part in path.relative_to(ROOT).parts):
            yield str(path.relative_to(ROOT)), FENCED.sub("", path.read_text("utf-8"))


def comments(code: str) -> str:
    """The comments of a program, one below the other."""
    tokens = tokenize.generate_tokens(io.StringIO(code).readline)
    return "\n".join(token.string.lstrip("# ") for token in tokens if token.type == tokenize.COMMENT)


def strings(code: str, *, docstrings: bool = True) -> Iterator[str]:
    """The strings of a program; a value that is put into one reads {}."""
    tree = ast.parse(code)
    skipped: set[ast.AST] = set()
    for node in ast.walk(tree):  # parents come before their children
        if not docstrings and isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            skipped.add(node.value)
        if node in skipped:
            skipped.update(ast.iter_child_nodes(node))
        elif isinstance(node, ast.JoinedStr):
            skipped.update(part for part in node.values if isinstance(part, ast.Constant))
            yield "".join(part.value if isinstance(part, ast.Constant) else "{}" for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def values(data: object) -> Iterator[str]:
    """The texts in a structure of dictionaries and lists."""
    if isinstance(data, str):
        yield data
    elif isinstance(data, dict | list):
        for value in data.values() if isinstance(data, dict) else data:
            yield from values(value)
