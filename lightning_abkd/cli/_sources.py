"""What the package defines, read from its sources, because importing it takes seconds.

Here: names, docstrings and signatures. Not here: how a command shows them.
"""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

_PACKAGE = "lightning_abkd"
_ROOT = Path(__file__).parent.parent


class Definition(NamedTuple):
    """A class or function of the package: its public address, and where it is defined."""

    address: str
    module: str
    node: ast.ClassDef | ast.FunctionDef

    @property
    def name(self) -> str:
        """Its name without the module."""
        return self.address.rpartition(".")[2]

    @property
    def text(self) -> str:
        """Its docstring, without the indentation."""
        return ast.get_docstring(self.node) or ""

    @property
    def summary(self) -> str:
        """The first sentence of its docstring."""
        return " ".join(self.text.partition("\n\n")[0].split())


def definitions(room: str) -> list[Definition]:
    """Return the public classes and functions of a room or catalogue, sorted by name."""
    module = f"{_PACKAGE}.{room}"
    found = (find(module, name) for name in sorted(_exported(module), key=str.casefold))
    return [Definition(f"{module}.{each.name}", each.module, each.node) for each in found if each]


def find(module: str, name: str) -> Definition | None:
    """Return what a module of the package means by a name, None for what is no class or function of the package."""
    for node in _tree(module).body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name == name:
            return Definition(f"{module}.{name}", module, node)
    for place, imported in _imports(module):
        if imported == name:
            return find(place, name)
    return None


def parameters(definition: Definition) -> list[str]:
    """Return the parameters as they are written; `**options` stands for those of the base class."""
    node = definition.node
    if isinstance(node, ast.FunctionDef):
        return _written(node.args)
    own = _fields(node) or _init(node)
    if not own or not own[-1].startswith("**"):
        return own
    return [*own[:-1], *(each for base in _bases(definition)[:1] for each in parameters(base))]


def _init(node: ast.ClassDef) -> list[str]:
    """Return the parameters of the constructor as they are written; a class without one forwards to its base."""
    found = [each.args for each in node.body if isinstance(each, ast.FunctionDef) and each.name == "__init__"]
    return _written(found[0])[1:] if found else ["**options"]


def descends(definition: Definition, name: str) -> bool:
    """Return True for a class of a name and for all classes of the package below it."""
    return definition.name == name or any(descends(base, name) for base in _bases(definition))


def _bases(definition: Definition) -> list[Definition]:
    bases = definition.node.bases if isinstance(definition.node, ast.ClassDef) else []
    return list(filter(None, (find(definition.module, ast.unparse(each)) for each in bases)))


def _written(arguments: ast.arguments) -> list[str]:
    """Split arguments as they are written: the commas between them, not those inside a type."""
    plain = [*arguments.posonlyargs, *arguments.args]
    defaults = [None] * (len(plain) - len(arguments.defaults)) + arguments.defaults
    pairs = [*zip(plain, defaults, strict=True), *zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)]
    written = [ast.unparse(each) + (f" = {ast.unparse(default)}" if default else "") for each, default in pairs]
    variadic = f"*{ast.unparse(arguments.vararg)}" if arguments.vararg else None
    options = f"**{ast.unparse(arguments.kwarg)}" if arguments.kwarg else None
    return [*written, *filter(None, (variadic, options))]


def _fields(node: ast.ClassDef) -> list[str]:
    """Return the fields of a data class or named tuple as they are written, which are its parameters."""
    kinds = " ".join(map(ast.unparse, [*node.decorator_list, *node.bases]))
    listed = [ast.unparse(each) for each in node.body if isinstance(each, ast.AnnAssign)]
    return listed if "dataclass" in kinds or "NamedTuple" in kinds else []


def _exported(module: str) -> list[str]:
    """Return the names that a module lists, in `__all__` or for type checkers, or else those that it defines."""
    body = _tree(module).body
    lazy = [name for block in body if isinstance(block, ast.If) for _, name in _imported(block)]
    return _listed(body) or lazy or _defined(body)


def _listed(body: list[ast.stmt]) -> list[str]:
    """Return the names in `__all__`."""
    assigned = [node for node in body if isinstance(node, ast.Assign)]
    lists = [node.value for node in assigned if ast.unparse(node.targets[0]) == "__all__"]
    return [str(name) for each in lists for name in ast.literal_eval(each)]


def _defined(body: list[ast.stmt]) -> list[str]:
    """Return the public classes and functions among statements."""
    names = [node.name for node in body if isinstance(node, ast.ClassDef | ast.FunctionDef)]
    return [name for name in names if not name.startswith("_")]


def _imports(module: str) -> list[tuple[str, str]]:
    """Return the module and the name of everything that a module imports from the package."""
    return list(_imported(_tree(module)))


def _imported(tree: ast.AST) -> Iterator[tuple[str, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith(_PACKAGE):
            yield from ((str(node.module), alias.name) for alias in node.names)


@cache
def _tree(module: str) -> ast.Module:
    path = _ROOT.joinpath(*module.split(".")[1:])
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    return ast.parse(file.read_text(encoding="utf-8"))
