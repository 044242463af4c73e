import subprocess
import sys
from types import ModuleType

import pytest

from lightning_abkd._utils import export_lazily, renamed_names


@pytest.fixture
def table(monkeypatch):
    module = ModuleType("table")
    monkeypatch.setitem(sys.modules, "table", module)
    export_lazily("table", {"fractions": ["Fraction"]}, {"Ratio": "Fraction"})
    return module


def test_name_is_loaded_when_it_is_touched(table):
    assert "Fraction" not in vars(table)
    assert table.Fraction.__module__ == "fractions"
    assert "Fraction" in vars(table)


def test_names_are_listed_before_they_are_loaded(table):
    assert "Fraction" in dir(table)
    assert table.__all__ == ["Fraction"]


def test_helpers_of_a_table_are_not_listed(table):
    table.helper = len
    assert not {name for name in dir(table) if not name.startswith("__")} - {"Fraction"}


def test_unknown_name_is_an_attribute_error(table):
    with pytest.raises(AttributeError, match="module 'table' has no attribute 'Decimal'"):
        _ = table.Decimal


def test_old_name_of_a_table_warns(table):
    with pytest.warns(DeprecationWarning, match="table.Ratio is now table.Fraction") as caught:
        assert table.Ratio is table.Fraction
    assert caught[0].filename == __file__


def test_submodule_is_imported_when_it_is_touched(monkeypatch):
    import xml

    monkeypatch.setitem(sys.modules, "xml", module := ModuleType("xml"))
    module.__path__ = xml.__path__
    export_lazily("xml", {}, rooms=["sax"])
    assert module.sax.__name__ == "xml.sax"
    assert "sax" in dir(module)


def test_old_name_warns_and_forwards():
    get = renamed_names("math", {"tau_": "tau", "Old": "fractions.Fraction"})
    with pytest.warns(DeprecationWarning, match=r"math.tau_ is now math.tau; .* will be removed in version 0.3."):
        assert round(get("tau_"), 2) == 6.28
    with pytest.warns(DeprecationWarning, match=r"math.Old is now fractions.Fraction;"):
        assert get("Old").__name__ == "Fraction"


def test_helpers_load_no_torch():
    code = "import sys, lightning_abkd._utils; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
