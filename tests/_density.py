"""How dense the code is: complexity of functions, tuple assignments, ignored types. Counts are those of the AST."""

import ast
import re
from pathlib import Path

from tests._source import is_triton

LARGEST_COMPLEXITY = 10
LARGEST_TUPLE_SHARE = 0.04
MOST_IGNORES = 8

_BRANCHES = (
    ast.If, ast.For, ast.AsyncFor, ast.While, ast.ExceptHandler, ast.IfExp, ast.Assert, ast.comprehension,
    ast.match_case,
)  # fmt: skip


def complexity(function: ast.FunctionDef) -> int:
    """Count the ways through a function, inner functions included: 1 and one more for each branch or condition."""
    count = 1
    for node in ast.walk(function):
        count += isinstance(node, _BRANCHES)
        count += len(node.ifs) if isinstance(node, ast.comprehension) else 0
        count += len(node.values) - 1 if isinstance(node, ast.BoolOp) else 0
    return count


def functions(tree: ast.Module) -> list[ast.FunctionDef]:
    return [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]


def complex_functions(files: dict[Path, ast.Module]) -> list[str]:
    found = []
    for path, tree in files.items():
        for function in functions(tree):
            count = complexity(function)
            if count > LARGEST_COMPLEXITY and not is_triton(function):
                found.append(f"{path}:{function.lineno} {function.name} has complexity {count}")
    return found


def tuple_assignments(files: dict[Path, ast.Module]) -> tuple[float, list[str]]:
    """Share of the assignments that set several names at once, and where they are."""
    places = []
    count = 0
    for path, tree in files.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Assign):
                count += 1
                if isinstance(node.targets[0], ast.Tuple):
                    places.append(f"{path}:{node.lineno} {ast.unparse(node)[:80]}")
    return len(places) / max(count, 1), places


def packed_assignments(files: dict[Path, ast.Module]) -> list[str]:
    """Assignments `a, b = x, y` of things that do not come together; an exchange `a, b = b, a` is one thing."""
    found = []
    for path, tree in files.items():
        for node in ast.walk(tree):
            if not isinstance(node, ast.Assign) or not isinstance(node.targets[0], ast.Tuple):
                continue
            if isinstance(node.value, ast.Tuple):
                left = {ast.unparse(name) for name in node.targets[0].elts}
                if left != {ast.unparse(value) for value in node.value.elts}:
                    found.append(f"{path}:{node.lineno} {ast.unparse(node)[:80]}")
    return found


def ignored_types(root: Path, files: dict[Path, ast.Module]) -> tuple[list[str], list[str]]:
    """Lines that ignore a type error, and those of them that give no reason in a comment behind it."""
    ignored = []
    unexplained = []
    for path in files:
        for number, line in enumerate((root / path).read_text().splitlines(), 1):
            if match := re.search(r"# type: ignore(\[[\w, -]+\])?(.*)", line):
                ignored.append(f"{path}:{number}")
                if not match[2].strip(" #"):
                    unexplained.append(f"{path}:{number}")
    return ignored, unexplained
