import ast
import re
from importlib import import_module
from pathlib import Path
from types import FunctionType

import pytest

from tests import _density as density, _source as source

ROOT = Path(__file__).parent.parent
FILES = source.sources(ROOT)
EXTRA = {
    f"test_{name}.py"
    for name in (
        "house",
        "package",
        "readme",
        "docs",
        "configs",
        "examples",
        "benchmarks",
        "compatibility",
        "paths",
        "deprecations",
        "door",
    )
}


ROOMS = ("functional", "kernels", "losses", "metrics", "models", "data", "modules", "callbacks", "diagnostics")
# A doctest, or a line that names whose example is shared.
EXAMPLE = re.compile(r">>>|Example: see `")


def place(name):
    """losses___a is losses/_a.py, losses__init is losses/__init__.py."""
    room, _, file = name.partition("__")
    return Path("lightning_abkd", room, "__init__.py" if file == "init" else f"{file}.py")


def tree(**files):
    return {place(name): ast.parse(text) for name, text in files.items()}


def write(root, **files):
    for name, text in files.items():
        path = root / place(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root, source.sources(root)


def test_imports_point_down():
    assert source.upward_imports(FILES) == []


def test_rooms_import_no_private_names_of_each_other():
    assert source.private_imports(FILES) == []


def test_third_parties_enter_on_their_floor():
    assert source.foreign_imports(FILES) == []


def test_no_two_files_import_each_other():
    assert source.cycles(FILES) == []


def test_tests_mirror_the_package():
    assert source.mirror(ROOT, EXTRA) == []


def test_files_of_packages_are_private():
    assert source.misnamed(FILES) == []


def test_files_and_functions_fit_a_screen():
    assert source.oversized(ROOT, FILES) == []


def test_functions_are_simple():
    assert density.complex_functions(FILES) == []


def test_assignments_set_one_thing():
    share, places = density.tuple_assignments(FILES)
    assert share < density.LARGEST_TUPLE_SHARE, places
    assert [place for place in density.packed_assignments(FILES) if "_triton.py" not in place] == []


def test_few_types_are_ignored_each_with_its_reason():
    ignored, unexplained = density.ignored_types(ROOT, FILES)
    assert len(ignored) <= density.MOST_IGNORES, ignored
    assert unexplained == []


@pytest.mark.parametrize("room", ROOMS)
def test_every_public_object_shows_an_example(room):
    module = import_module(f"lightning_abkd.{room}")
    objects = {name: getattr(module, name) for name in module.__all__}
    documented = {name: value for name, value in objects.items() if isinstance(value, type | FunctionType)}
    assert [name for name, value in documented.items() if not EXAMPLE.search(value.__doc__ or "")] == []


def test_everything_is_annotated():
    assert source.unannotated(FILES) == []


def test_nothing_forbidden_is_used():
    assert source.forbidden(ROOT, FILES) == []


def test_exports_are_what_is_importable():
    assert source.wrong_exports(FILES) == []


@pytest.mark.parametrize(
    "statement",
    ["from lightning_abkd.training import X", "import lightning_abkd.losses", "from lightning_abkd import losses"],
)
def test_upward_import_is_caught(statement):
    assert source.upward_imports(tree(functional___x=statement))
    assert not source.upward_imports(tree(losses___x="from lightning_abkd.functional import y"))


def test_import_from_the_other_wing_or_the_door_is_caught():
    assert source.upward_imports(tree(vision___x="from lightning_abkd.language import y"))
    assert source.upward_imports(tree(vision___x="from lightning_abkd import DistillationModule"))


@pytest.mark.parametrize(
    "statement",
    ["from lightning_abkd.functional._x import y", "from lightning_abkd.functional import _x"],
)
def test_private_import_of_another_room_is_caught(statement):
    assert source.private_imports(tree(losses___x=statement))
    assert not source.private_imports(tree(functional___y=statement))


def test_helpers_are_imported_from_their_room():
    assert not source.private_imports(tree(losses___x="from lightning_abkd._utils import digest"))
    assert source.private_imports(tree(losses___x="from lightning_abkd._utils._identity import digest"))


def test_foreign_import_is_caught():
    assert source.foreign_imports(tree(functional___x="import torchmetrics"))
    assert source.foreign_imports(tree(losses___x="from lightning.pytorch import Trainer"))
    assert source.foreign_imports(tree(training___x="import pandas"))
    assert not source.foreign_imports(tree(training___x="def f():\n    import pandas"))


def test_cycle_is_caught():
    first, second = "from lightning_abkd.losses._b import x", "from lightning_abkd.losses._a import y"
    assert source.cycles(tree(losses___a=first, losses___b=second))


def test_missing_and_stray_tests_are_caught(tmp_path):
    write(tmp_path, losses___a="")
    stray = tmp_path / "tests" / "losses" / "test_b.py"
    stray.parent.mkdir(parents=True)
    stray.write_text("")
    problems = source.mirror(tmp_path, set())
    assert problems == ["tests/losses/test_a.py is missing", "tests/losses/test_b.py tests no file"]


def test_public_file_name_is_caught():
    assert source.misnamed(tree(losses__a=""))


def test_long_file_and_long_function_are_caught(tmp_path):
    long = "def f() -> None:\n" + "    x = 1\n" * 41 + "\n" * 220
    problems = source.oversized(*write(tmp_path, losses___a=long, kernels___b=f"@triton.jit\n{long.strip()}"))
    assert problems == [
        "lightning_abkd/losses/_a.py has 262 lines",
        "lightning_abkd/losses/_a.py:1 f has 42 code lines",
    ]


@pytest.mark.parametrize("text", ["def f(x) -> int: ...", "def f(x: int): ..."])
def test_missing_annotation_is_caught(text):
    assert source.unannotated(tree(losses___a=text))


@pytest.mark.parametrize("text", ["x: Any = 1", "print(1)", "assert True", "x = 1  # type: ignore"])
def test_forbidden_use_is_caught(tmp_path, text):
    assert source.forbidden(*write(tmp_path, losses___a=text))


def test_wrong_export_is_caught():
    assert source.wrong_exports(tree(losses__init='"""Doc."""\nfrom x import a, b\n__all__ = ["a"]'))
    assert source.wrong_exports(tree(losses__init='from x import a\n__all__ = ["a"]'))


def test_lazy_table_that_differs_from_the_types_is_caught():
    text = """\
\"\"\"Doc.\"\"\"
if TYPE_CHECKING:
    from lightning_abkd.a import x as x
else:
    export_lazily(__name__, {"lightning_abkd.a": ["y"]})
"""
    assert len(source.wrong_exports(tree(training__init=text))) == 2
    assert not source.wrong_exports(tree(training__init=text.replace('"y"', '"x"')))


def test_complex_function_is_caught():
    branches = "\n".join(f"    if x == {i} and y:\n        return {i}" for i in range(5))
    text = f"def f(x: int, y: int) -> int:\n{branches}\n    return 9"
    assert density.complex_functions(tree(losses___a=text)) == ["lightning_abkd/losses/_a.py:1 f has complexity 11"]
    assert not density.complex_functions(tree(losses___a=f"@triton.jit\n{text}"))


def test_packed_assignment_is_caught():
    files = tree(losses___a="a, b = x, y\nc, d = d, c\ne = 1\nf, g = pair")
    assert density.packed_assignments(files) == ["lightning_abkd/losses/_a.py:1 a, b = (x, y)"]
    assert density.tuple_assignments(files)[0] == 0.75


def test_unexplained_ignored_type_is_caught(tmp_path):
    # Written in parts, so that this line ignores nothing.
    mark = "# type: " + "ignore[override]"
    root, files = write(tmp_path, losses___a=f"x = 1  {mark}\ny = 2  {mark}  # narrower than torch's")
    ignored, unexplained = density.ignored_types(root, files)
    assert (len(ignored), len(unexplained)) == (2, 1)
