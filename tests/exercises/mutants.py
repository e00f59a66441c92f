"""Mutants of the tasks' solutions, each with one small thing changed, and which of them the page's check accepts.

`python tests/exercises/mutants.py` prints a line for each task, and each mutant that is accepted, with the reason in
`equivalent.toml`. It takes half a minute; with numbers, as in `mutants.py 04.1 05.2`, these tasks alone.
"""

import ast
import difflib
import signal
import sys
import textwrap
import time
import tomllib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType, ModuleType

from course_lib.exercises.engine import fault
from course_lib.exercises.load import LESSONS, find_task, tasks_of
from course_lib.exercises.task import PUBLIC, Answer, Observation, Task, Wrong, observation

ALL = [task for lesson in LESSONS for task in tasks_of(lesson)]

SWAPPED: dict[type, tuple[type, ...]] = {
    ast.Add: (ast.Sub,),
    ast.Sub: (ast.Add,),
    ast.Mult: (ast.Div, ast.Add),
    ast.Div: (ast.Mult,),
    ast.FloorDiv: (ast.Div, ast.Mult),
    ast.Mod: (ast.FloorDiv,),
    ast.Pow: (ast.Mult,),
    ast.MatMult: (ast.Mult,),
    ast.BitAnd: (ast.BitOr,),
    ast.BitOr: (ast.BitAnd,),
    ast.BitXor: (ast.BitOr,),
    ast.And: (ast.Or,),
    ast.Or: (ast.And,),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Lt: (ast.LtE, ast.Gt),
    ast.LtE: (ast.Lt, ast.GtE),
    ast.Gt: (ast.GtE, ast.Lt),
    ast.GtE: (ast.Gt, ast.LtE),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
    ast.Continue: (ast.Break,),
}
EQUIVALENT: dict[str, dict[str, str]] = tomllib.loads((Path(__file__).parent / "equivalent.toml").read_text())
SECONDS = 20  # a mutant may loop for ever
NO_BEHAVIOR = {"annotation", "returns", "ctx"}  # fields of a node that change nothing
Nodes = list[ast.AST]


def mutants(source: str, modules: set[str]) -> dict[str, str]:
    """Sources by what was changed in them, a diff without its head.

    Args:
        source: a function or a class.
        modules: what is no object in it: `F.relu(x)` without the call is `x`, `x.relu()` is `x` too.
    """
    tree, sources = ast.parse(source), {}
    lines = ast.unparse(tree).splitlines()
    for _ in _each_change(tree, modules):
        changed = ast.unparse(tree)
        diff = list(difflib.unified_diff(lines, changed.splitlines(), n=0, lineterm=""))[2:]
        sources["\n".join(line for line in diff if not line.startswith("@@"))] = changed
    return sources


def _each_change(parent: ast.AST, modules: set[str]) -> Iterator[None]:
    """Change one place below a node, and change it back, for each change that is possible."""
    for name, value in ast.iter_fields(parent):
        nodes = value if isinstance(value, list) else [value]
        for index, node in enumerate([] if name in NO_BEHAVIOR else nodes):
            for new in _changes(node, modules):
                if isinstance(parent, ast.Expr) and not isinstance(new[0], ast.Call):
                    continue  # a line without effect, like the line that is dropped
                setattr(parent, name, nodes[:index] + new + nodes[index + 1 :] if nodes is value else new[0])
                yield
                setattr(parent, name, value)
            if isinstance(node, ast.AST):
                yield from _each_change(node, modules)


def _changes(node: object, modules: set[str]) -> Iterator[Nodes]:
    """What stands in place of a node; nothing, where it is dropped."""
    yield from ([kind()] for kind in SWAPPED.get(type(node), ()))
    match node:
        case ast.Constant(bool(value)):
            yield [ast.Constant(not value)]
        case ast.Constant(int(value)):
            yield from ([ast.Constant(value + step)] for step in (1, -1))
        case ast.Constant(float(value)):
            yield [ast.Constant(value * 1.5 or 1.0)]
        case ast.UnaryOp():
            yield [node.operand]
        case ast.AugAssign():
            yield [ast.Assign([node.target], node.value, lineno=0)]
        case ast.Expr(ast.Call()):
            yield [ast.Pass()]
        case ast.Call(ast.Attribute(value)) if _root(value) not in modules:
            yield [value]
        case ast.Call(args=[first, *_]):
            yield [first.value if isinstance(first, ast.Starred) else first]
        case ast.keyword(arg=str()):
            yield []
        case ast.With():
            yield from _without_with(node)
        case ast.Try():
            yield node.body + node.finalbody
        case ast.If():
            yield node.body
        case ast.IfExp():
            yield from ([node.body], [node.orelse])
        case ast.comprehension(ifs=[_, *_]):
            yield [ast.comprehension(node.target, node.iter, [], node.is_async)]


def _without_with(node: ast.With) -> Iterator[Nodes]:
    """A `with` that lacks one of its contexts."""
    for dropped in node.items:
        name = dropped.optional_vars
        named: Nodes = [ast.Assign([name], dropped.context_expr, lineno=0)] if name else []
        items = [item for item in node.items if item is not dropped]
        yield [*named, ast.With(items, node.body, lineno=0)] if items else [*named, *node.body]


def _root(node: ast.AST) -> str:
    """The name that a chain of attributes begins with; "" where it begins with something else."""
    while isinstance(node, ast.Attribute):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""


def mutants_of(task: Task) -> dict[str, Answer | None]:
    """The mutants of a task's solution by what was changed in it; None for one that cannot even be defined."""
    space, answers = type(task).inputs.__globals__, dict[str, Answer | None]()
    modules = {name for name, value in space.items() if isinstance(value, ModuleType | type)}
    for change, source in mutants(task.source, modules).items():
        changed = dict(space)
        try:
            exec(compile(source, f"{task.number}, a mutant", "exec"), changed)
            answers[change] = changed[task.name]
        except Exception:
            answers[change] = None
    return answers


class TooLongError(BaseException):
    """A mutant was stopped; no `except Exception` in it keeps it alive."""


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Stop what takes longer."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        raise TooLongError

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def outcomes(task: Task, seed: int = PUBLIC) -> dict[str, str]:
    """What comes of each mutant by what was changed in it: it "fails", is "refused" or "survives"."""
    reference, by_change = observation(task, task.solution, seed), {}
    for change, answer in mutants_of(task).items():
        try:
            with time_limit(SECONDS):
                observed = observation(task, answer, seed) if answer else Observation([], ValueError())
                refused = observed.error or fault(task, observed, reference, seed)
        except TooLongError:
            refused = TooLongError()
        fails = isinstance(refused, BaseException) and not isinstance(refused, Wrong)
        by_change[change] = "fails" if fails else "refused" if refused else "survives"
    return by_change


def reasons(task: Task, change: str) -> list[str]:
    """Why a mutant is right all the same: what `equivalent.toml` says of a text that only its changed lines hold."""
    lines = change.splitlines(keepends=True)
    old, new = ("".join(line[1:] for line in lines if line[0] == sign) + "\n" for sign in "-+")
    return [reason for text, reason in EQUIVALENT.get(task.number, {}).items() if text in new and text not in old]


def main(numbers: list[str]) -> None:
    total = Counter[str]()
    for task in [find_task(number) for number in numbers] or ALL:
        started, by_change = time.process_time(), outcomes(task)
        total.update(by_change.values())
        print(
            f"{task.number} {task.name}: {in_words(Counter(by_change.values()))}, {time.process_time() - started:.1f} s"
        )
        for change in (change for change in by_change if by_change[change] == "survives"):
            print(
                textwrap.indent(change, "    "),
                f"    = {'; '.join(reasons(task, change)) or 'NOT EXPLAINED'}",
                sep="\n",
            )
    print(f"all: {in_words(total)}")


def in_words(counts: Counter[str]) -> str:
    """The counts of outcomes in words."""
    return (
        f"{counts.total()} mutants, {counts['fails']} fail, {counts['refused']} refused, {counts['survives']} survive"
    )


if __name__ == "__main__":
    main(sys.argv[1:])
