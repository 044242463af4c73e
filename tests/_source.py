"""What the sources say of themselves, read without importing them: each check gives a list of violations."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

FLOORS = {
    "_utils": 0,
    "functional": 1, "schedules": 1,
    "distributed": 2,
    "kernels": 3,
    "losses": 4, "metrics": 4,
    "training": 5,
    "exports": 6,
    "vision": 7, "language": 7,
    "data": 8, "models": 8, "modules": 8, "callbacks": 8,
    "diagnostics": 9,
    "cli": 10,
    "__main__": 11,
}  # fmt: skip
BASE = {"torch", *sys.stdlib_module_names}
NETWORKS = BASE | {"lightning", "torchvision", "torchmetrics", "transformers", "safetensors", "numpy", "PIL"}
THIRD_PARTY = {
    "kernels": BASE | {"triton"},
    "metrics": BASE | {"torchmetrics"},
    "training": NETWORKS | {"jsonargparse"},
    "exports": NETWORKS,
    "vision": NETWORKS,
    "language": NETWORKS,
    "diagnostics": NETWORKS,
    "cli": NETWORKS | {"jsonargparse", "yaml"},
}
PACKAGE = "lightning_abkd"
CATALOGUES = ("data", "models", "modules", "callbacks")
# Folders of tests that start from users' files and commands, or from several processes, instead of a source file.
WITHOUT_SOURCE = ("field", "cluster")
# What a room's __init__ may import for itself.
HELPERS = {"TYPE_CHECKING", "renamed_names", "export_lazily", "forward_old_files"}


def sources(root: Path) -> dict[Path, ast.Module]:
    return {path.relative_to(root): ast.parse(path.read_text()) for path in sorted((root / PACKAGE).rglob("*.py"))}


def room(path: Path) -> str:
    return path.parts[1].removesuffix(".py")


def imports(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and full name of every import, each imported name of a package on its own."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            whole = module == PACKAGE
            yield from ((node.lineno, f"{module}.{alias.name}" if whole else module) for alias in node.names)


def nested(tree: ast.Module) -> set[int]:
    """Lines of imports inside functions."""
    functions = (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))
    return {line for function in functions for line, _ in imports(function)}


def is_door(path: Path) -> bool:
    return len(path.parts) == 2 and path.name == "__init__.py"


def upward_imports(files: dict[Path, ast.Module]) -> list[str]:
    """Imports of a room that does not lie below: higher, beside it (as the wings do), or the door."""
    found = []
    for path, tree in files.items():
        if is_door(path):
            continue
        for line, name in imports(tree):
            parts = name.split(".")
            if parts[0] != PACKAGE or parts[1:2] == [room(path)]:
                continue
            if len(parts) == 1 or FLOORS.get(parts[1], 99) >= FLOORS[room(path)]:
                found.append(f"{path}:{line} imports {name}")
    return sorted(set(found))


def private_imports(files: dict[Path, ast.Module]) -> list[str]:
    """Imports of a private file, or of a private name, of another room."""
    found = []
    for path, tree in files.items():
        if is_door(path):
            continue
        for node in ast.walk(tree):
            if not isinstance(node, ast.Import | ast.ImportFrom):
                continue
            names = [alias.name for alias in node.names]
            module = (node.module or "") if isinstance(node, ast.ImportFrom) else ""
            for name in names:
                parts = f"{module}.{name}".strip(".").split(".")
                private = any(part.startswith("_") for part in parts[2:])
                if parts[0] == PACKAGE and parts[1] != room(path) and private:
                    found.append(f"{path}:{node.lineno} imports {'.'.join(parts)}")
    return found


def foreign_imports(files: dict[Path, ast.Module]) -> list[str]:
    found = []
    for path, tree in files.items():
        if is_door(path):
            continue
        allowed = THIRD_PARTY.get(room(path), BASE) | {PACKAGE}
        inside = nested(tree)
        for line, name in imports(tree):
            if name.split(".")[0] not in allowed and line not in inside:
                found.append(f"{path}:{line} imports {name}")
    return found


def cycles(files: dict[Path, ast.Module]) -> list[str]:
    graph = {}
    for path, tree in files.items():
        name = ".".join(path.with_suffix("").parts).removesuffix(".__init__")
        graph[name] = {target for _, target in imports(tree) if target.startswith(PACKAGE)} - {name}
    state: dict[str, int] = {}

    def visit(name: str, trail: tuple[str, ...]) -> list[str]:
        if state.get(name) == 2 or name not in graph:
            return []
        if state.get(name) == 1:
            return [" -> ".join((*trail[trail.index(name) :], name))]
        state[name] = 1
        found = [cycle for target in sorted(graph[name]) for cycle in visit(target, (*trail, name))]
        state[name] = 2
        return found

    return [cycle for name in graph for cycle in visit(name, ())]


def mirror(root: Path, extra: set[str]) -> list[str]:
    """Files without a test, and tests without a file."""
    package = {
        path.relative_to(root / PACKAGE)
        for path in (root / PACKAGE).rglob("*.py")
        if path.name != "__init__.py" and path.stem not in CATALOGUES
    }
    wanted = {path.with_name(f"test_{path.name.lstrip('_')}") for path in package}
    tests = {path.relative_to(root / "tests") for path in (root / "tests").rglob("test_*.py")}
    tests = {path for path in tests if path.parts[0] not in WITHOUT_SOURCE}
    missing = [f"tests/{path} is missing" for path in sorted(wanted - tests)]
    return missing + [f"tests/{path} tests no file" for path in sorted(tests - wanted) if str(path) not in extra]


def misnamed(files: dict[Path, ast.Module]) -> list[str]:
    """Files of rooms without an underscore, which would be public modules."""
    return [f"{p} should start with an underscore" for p in files if len(p.parts) > 2 and not p.name.startswith("_")]


def code_lines(function: ast.AST, text: list[str]) -> int:
    body = function.body  # type: ignore[attr-defined]
    documented = isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant)
    doc = range(body[0].lineno, (body[0].end_lineno or 0) + 1) if documented else range(0)
    lines = range(function.lineno, (function.end_lineno or 0) + 1)  # type: ignore[attr-defined]
    return sum(n not in doc and bool(line := text[n - 1].strip()) and not line.startswith("#") for n in lines)


def is_triton(function: ast.FunctionDef) -> bool:
    return any("jit" in ast.unparse(decorator) for decorator in function.decorator_list)


def oversized(root: Path, files: dict[Path, ast.Module]) -> list[str]:
    found = []
    for path, tree in files.items():
        text = (root / path).read_text().splitlines()
        if len(text) > 250:
            found.append(f"{path} has {len(text)} lines")
        for node in ast.walk(tree):
            # A kernel of Triton is one program, which cannot be parted into functions at will.
            limit = 150 if isinstance(node, ast.FunctionDef) and is_triton(node) else 40
            if isinstance(node, ast.FunctionDef) and (size := code_lines(node, text)) > limit:
                found.append(f"{path}:{node.lineno} {node.name} has {size} code lines")
    return found


def unannotated(files: dict[Path, ast.Module]) -> list[str]:
    found = []
    for path, tree in files.items():
        for node in ast.walk(tree):
            if not isinstance(node, ast.FunctionDef):
                continue
            arguments = [
                *node.args.posonlyargs,
                *node.args.args,
                *node.args.kwonlyargs,
                node.args.vararg,
                node.args.kwarg,
            ]
            bare = [a.arg for a in arguments if a and not a.annotation and a.arg not in ("self", "cls", "ctx")]
            if bare or node.returns is None:
                found.append(f"{path}:{node.lineno} {node.name} lacks annotations of {', '.join(bare) or 'its result'}")
    return found


def forbidden(root: Path, files: dict[Path, ast.Module]) -> list[str]:
    """Any, print, assert and a bare type: ignore; forwarded **options have their types where they arrive.

    One Any is allowed, that of the alias `Batch`: each task has batches of its own, and overrides name their types.
    """
    found = []
    for path, tree in files.items():
        batch = [n.value for n in tree.body if isinstance(n, ast.AnnAssign) and ast.unparse(n.target) == "Batch"]
        forwarded = [n.args.kwarg.annotation for n in ast.walk(tree) if isinstance(n, ast.FunctionDef) and n.args.kwarg]
        for node in ast.walk(tree):
            named = isinstance(node, ast.Name) and node.id in ("Any", "print") and node not in [*forwarded, *batch]
            if isinstance(node, ast.Assert) or (named and isinstance(node, ast.Name)):
                found.append(f"{path}:{node.lineno} {getattr(node, 'id', 'assert')}")
        for number, line in enumerate((root / path).read_text().splitlines(), 1):
            if "type: ignore" in line and "type: ignore[" not in line:
                found.append(f"{path}:{number} bare type: ignore")
    return found


def is_type_checking(node: ast.stmt) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def exporting(files: dict[Path, ast.Module]) -> dict[Path, ast.Module]:
    """Files that only list names: the package's and its rooms' __init__, and the catalogues."""
    return {path: tree for path, tree in files.items() if path.name == "__init__.py" or room(path) in CATALOGUES}


def lazy_tables(tree: ast.Module) -> tuple[set[tuple[str, str]], set[tuple[str, str]]]:
    """Module and name of what a file imports for type checkers, and of what its lazy table lists."""
    checked: set[tuple[str, str]] = set()
    listed: set[tuple[str, str]] = set()
    for block in filter(is_type_checking, tree.body):
        assert isinstance(block, ast.If)
        for node in block.body:
            assert isinstance(node, ast.ImportFrom)
            checked |= {(node.module or "", alias.name) for alias in node.names if alias.asname == alias.name}
        for call in (node for part in block.orelse for node in ast.walk(part) if isinstance(node, ast.Call)):
            if ast.unparse(call.func) == "export_lazily":
                table = ast.literal_eval(call.args[1])
                listed |= {(module, name) for module, names in table.items() for name in names}
    return checked, listed


def wrong_exports(files: dict[Path, ast.Module]) -> list[str]:
    """Files that list names without a docstring, or whose list is not what they import."""
    found = []
    for path, tree in exporting(files).items():
        if not ast.get_docstring(tree):
            found.append(f"{path} has no docstring")
        checked, listed = lazy_tables(tree)
        for module, name in sorted(checked ^ listed):
            found.append(f"{path} offers {module}.{name} only lazily or only to type checkers")
        lists = [node.value for node in tree.body if isinstance(node, ast.Assign) and assigns(node, "__all__")]
        exported = ast.literal_eval(lists[0]) if lists else []
        if checked:
            continue
        names = {a.asname or a.name for n in tree.body if isinstance(n, ast.ImportFrom) for a in n.names}
        if exported and (set(exported) != names - (HELPERS - set(exported)) or len(set(exported)) != len(exported)):
            found.append(f"{path} exports {sorted(set(exported) ^ names)} only in __all__ or only by import")
        if not exported and names:
            found.append(f"{path} imports {sorted(names)} and lists nothing in __all__")
    return found


def assigns(node: ast.Assign, name: str) -> bool:
    return any(isinstance(target, ast.Name) and target.id == name for target in node.targets)
