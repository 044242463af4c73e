"""What the sources say of themselves, read without importing them: each check gives a list of violations."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

FLOORS = {
    "_utils": -1,
    "functional": 0, "schedules": 0,
    "kernels": 1,
    "losses": 2, "models": 2, "data": 2, "metrics": 2,
    "modules": 3, "callbacks": 3,
    "cli": 4, "diagnostics": 4,
}  # fmt: skip
BASE = {"torch", *sys.stdlib_module_names}
MIDDLE = BASE | {"torchvision", "torchmetrics", "transformers", "safetensors", "numpy", "PIL"}
THIRD_PARTY = {
    -1: BASE,
    0: BASE,
    1: BASE | {"triton"},
    2: MIDDLE,
    3: MIDDLE | {"lightning"},
    4: MIDDLE | {"lightning", "jsonargparse"},
}
PACKAGE = "lightning_abkd"


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


def upward_imports(files: dict[Path, ast.Module]) -> list[str]:
    found = []
    for path, tree in files.items():
        if path.name == "__init__.py" and len(path.parts) == 2:
            continue
        for line, name in imports(tree):
            parts = name.split(".")
            if parts[0] == PACKAGE and (len(parts) == 1 or FLOORS.get(parts[1], 9) > FLOORS[room(path)]):
                found.append(f"{path}:{line} imports {name}")
    return sorted(set(found))


def foreign_imports(files: dict[Path, ast.Module]) -> list[str]:
    found = []
    for path, tree in files.items():
        if len(path.parts) == 2 and path.name == "__init__.py":
            continue
        allowed = THIRD_PARTY[FLOORS[room(path)]] | ({"lightning"} if room(path) == "data" else set()) | {PACKAGE}
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
        path.relative_to(root / PACKAGE) for path in (root / PACKAGE).rglob("*.py") if path.name != "__init__.py"
    }
    wanted = {path.with_name(f"test_{path.name.lstrip('_')}") for path in package}
    tests = {path.relative_to(root / "tests") for path in (root / "tests").rglob("test_*.py")}
    missing = [f"tests/{path} is missing" for path in sorted(wanted - tests)]
    return missing + [f"tests/{path} tests no file" for path in sorted(tests - wanted) if str(path) not in extra]


def misnamed(files: dict[Path, ast.Module]) -> list[str]:
    return [f"{p} should start with an underscore" for p in files if len(p.parts) > 2 and not p.name.startswith("_")]


def code_lines(function: ast.AST, text: list[str]) -> int:
    body = function.body  # type: ignore[attr-defined]
    documented = isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant)
    doc = range(body[0].lineno, (body[0].end_lineno or 0) + 1) if documented else range(0)
    lines = range(function.lineno, (function.end_lineno or 0) + 1)  # type: ignore[attr-defined]
    return sum(n not in doc and bool(line := text[n - 1].strip()) and not line.startswith("#") for n in lines)


def oversized(root: Path, files: dict[Path, ast.Module]) -> list[str]:
    found = []
    for path, tree in files.items():
        longest, function_limit = (400, 150) if room(path) == "kernels" else (250, 40)
        text = (root / path).read_text().splitlines()
        if len(text) > longest:
            found.append(f"{path} has {len(text)} lines")
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef) and (size := code_lines(node, text)) > function_limit:
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
    """Any, print, assert and a bare type: ignore; forwarded **options have their types where they arrive."""
    found = []
    for path, tree in files.items():
        forwarded = [n.args.kwarg.annotation for n in ast.walk(tree) if isinstance(n, ast.FunctionDef) and n.args.kwarg]
        for node in ast.walk(tree):
            named = isinstance(node, ast.Name) and node.id in ("Any", "print") and node not in forwarded
            if named or isinstance(node, ast.Assert):
                found.append(f"{path}:{node.lineno} {getattr(node, 'id', 'assert')}")
        for number, line in enumerate((root / path).read_text().splitlines(), 1):
            if "type: ignore" in line and "type: ignore[" not in line:
                found.append(f"{path}:{number} bare type: ignore")
    return found


def wrong_exports(files: dict[Path, ast.Module]) -> list[str]:
    """Package __init__ files whose __all__ is not the sorted list of what they import, or without docstring."""
    found = []
    for path, tree in files.items():
        if path.name != "__init__.py":
            continue
        if not ast.get_docstring(tree):
            found.append(f"{path} has no docstring")
        names = {a.asname or a.name for n in tree.body if isinstance(n, ast.ImportFrom) for a in n.names}
        listed = [n.value for n in tree.body if isinstance(n, ast.Assign) and n.targets[0].id == "__all__"]  # type: ignore[attr-defined]
        exported = ast.literal_eval(listed[0]) if listed else []
        if set(exported) != names or len(set(exported)) != len(exported):
            found.append(f"{path} exports {sorted(set(exported) ^ names)} only in __all__ or only by import")
    return found
