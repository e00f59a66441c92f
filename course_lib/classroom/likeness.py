"""What the answers of a class have in common: the same code under other names, or the course's own code called."""

import ast
import builtins
import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

Definitions = dict[str, ast.stmt]
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
INSIDE = {"__code__", "__globals__", "__closure__", "_getframe", "f_back", "f_locals", "get_objects", "get_referrers"}


@dataclass(frozen=True)
class Answer:
    """A task's answer, as it can be read without running it.

    Attributes:
        form: a hash of its code, and of its helpers', without names, comments, layout and types.
        course: what of the course it uses, such as "course_lib.models.SimpleCNN".
    """

    form: str
    course: frozenset[str]


def read_answer(cells: Iterable[str], name: str, drawn: str | None = None) -> Answer | None:
    """The answer called `name` in the code cells of a page; None if none of them defines it in plain sight.

    The default of the parameter called `drawn` does not count: each variant of a page has another.
    """
    defined: Definitions = {}
    for code in cells:
        plain = "\n".join(line for line in code.splitlines() if not line.lstrip().startswith(("%", "!", "?")))
        try:
            defined |= _definitions(ast.parse(plain).body)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            continue
    if name not in defined:
        return None
    try:
        parts, imported = _with_helpers(name, defined)
        nodes = [node for part in parts for node in ast.walk(part)]
        course = frozenset(_course(nodes, imported))
        normal = _Normal(nodes, imported, drawn)
        form = "\n".join(ast.dump(normal.visit(part)) for part in parts)
    except RecursionError:
        return None
    return Answer(hashlib.sha256(form.encode()).hexdigest(), course)


def _definitions(statements: list[ast.stmt]) -> Definitions:
    """What each name of the outermost level is defined by, last."""
    definitions: Definitions = {}
    for statement in statements:
        if isinstance(statement, (*FUNCTIONS, ast.ClassDef)):
            definitions[statement.name] = statement
        elif isinstance(statement, ast.Import | ast.ImportFrom):
            definitions |= {_local(alias): statement for alias in statement.names}
        else:
            stored = (node for node in ast.walk(statement) if isinstance(node, ast.Name))
            definitions |= {node.id: statement for node in stored if isinstance(node.ctx, ast.Store)}
            for field in ("body", "orelse", "finalbody"):
                definitions |= _definitions(getattr(statement, field, []))
    return definitions


def _with_helpers(name: str, defined: Definitions) -> tuple[list[ast.stmt], dict[str, str]]:
    """The statement that defines a name and those that it needs, and the imported names with their origins."""
    parts: list[ast.stmt] = []
    imported: dict[str, str] = {}
    waiting = [name]
    for name in waiting:  # grows while it is read
        statement = defined[name]
        if isinstance(statement, ast.Import | ast.ImportFrom):
            imported |= {key: value for key, value in _imports(statement) if key == name}
            parts += [] if parts else [ast.Expr(ast.Name(name, ast.Load()))]  # the answer itself was imported
        elif statement not in parts:
            parts.append(statement)
            loaded = [node.id for node in ast.walk(statement) if isinstance(node, ast.Name)]
            waiting += [name for name in loaded if name in defined and name not in waiting]
    for part in parts:
        for node in ast.walk(part):
            if isinstance(node, ast.Import | ast.ImportFrom):
                imported |= dict(_imports(node))
    if "*" in defined:  # whatever is not defined comes from there
        nodes = [node for part in parts for node in ast.walk(part)]
        used = {node.id for node in nodes if isinstance(node, ast.Name)}
        own = {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
        own |= {node.arg for node in nodes if isinstance(node, ast.arg)}
        unknown = {name for name in used - own if name not in defined and not hasattr(builtins, name)}
        imported |= {name: f"{origin}.{name}" for _, origin in _imports(defined["*"]) for name in unknown}
    return parts, imported


def _local(alias: ast.alias) -> str:
    return alias.asname or alias.name.partition(".")[0]


def _imports(statement: ast.stmt) -> Iterator[tuple[str, str]]:
    """Each name that an import makes, and where it comes from."""
    if isinstance(statement, ast.Import):
        for alias in statement.names:
            yield _local(alias), alias.name if alias.asname else alias.name.partition(".")[0]
    elif isinstance(statement, ast.ImportFrom):
        for alias in statement.names:
            yield _local(alias), f"{statement.module}.{alias.name}" if alias.name != "*" else str(statement.module)


def _course(nodes: list[ast.AST], imported: dict[str, str]) -> Iterator[str]:
    """What of the course, or of the insides of Python, an answer uses."""
    for node in nodes:
        if isinstance(node, ast.Name) and imported.get(node.id, "").startswith("course_lib"):
            yield imported[node.id]
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("course_lib"):
            yield from (origin for _, origin in _imports(node))
        elif isinstance(node, ast.Attribute) and node.attr in INSIDE:
            yield node.attr
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.startswith("course_lib"):
            yield node.value


class _Normal(ast.NodeTransformer):
    """Takes away what makes the same code look different: names of one's own, docstrings, types, a drawn default."""

    def __init__(self, nodes: list[ast.AST], imported: dict[str, str], drawn: str | None) -> None:
        self._imported, self._drawn, self._new = imported, drawn, dict[str, str]()
        own, attributes = set[str](), set[str]()
        for node in nodes:
            if isinstance(node, (*FUNCTIONS, ast.ClassDef)):
                own.add(node.name)
            if isinstance(node, ast.ClassDef):
                attributes |= {method.name for method in node.body if isinstance(method, FUNCTIONS)}
            elif isinstance(node, ast.arg):
                own.add(node.arg)
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                own.add(node.id)
            elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
                attributes.add(node.attr)
        self._own, self._attributes = own - set(imported), attributes

    def _name(self, name: str) -> str:
        return self._renamed(name) if name in self._own else self._imported.get(name, name)

    def _renamed(self, name: str) -> str:
        return self._new.setdefault(name, f"v{len(self._new)}")

    def visit_Name(self, node: ast.Name) -> ast.AST:
        return ast.Name(self._name(node.id), node.ctx)

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        value = self.visit(node.value)
        return ast.Attribute(value, self._renamed(node.attr) if node.attr in self._attributes else node.attr, node.ctx)

    def visit_arguments(self, node: ast.arguments) -> ast.AST:
        positional = [*node.posonlyargs, *node.args][-len(node.defaults) :]
        for arguments, defaults in ((positional, node.defaults), (node.kwonlyargs, node.kw_defaults)):
            for index in range(len(defaults)):
                if arguments[index].arg == self._drawn:
                    defaults[index] = ast.Constant(...)
        return self.generic_visit(node)

    def visit_arg(self, node: ast.arg) -> ast.AST:
        return ast.arg(self._name(node.arg))

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST | None:
        return self.visit(ast.Assign([node.target], node.value)) if node.value else None

    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:
        is_text = isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        return None if is_text else self.generic_visit(node)

    def generic_visit(self, node: ast.AST) -> ast.AST:
        if isinstance(node, (*FUNCTIONS, ast.ClassDef)):
            node = type(node)(**{**dict(ast.iter_fields(node)), "name": self._name(node.name)})
            if not isinstance(node, ast.ClassDef):
                node.returns = None
        elif isinstance(node, ast.Import | ast.ImportFrom):
            return node
        return super().generic_visit(node)
