import subprocess
import sys

import pytest

from lightning_abkd._utils import lazy_names, renamed_names


def test_name_is_loaded_when_it_is_touched():
    get, names = lazy_names(__name__, {"fractions": ["Fraction"]})
    assert names() == ["Fraction"]
    assert get("Fraction").__module__ == "fractions"
    assert vars(sys.modules[__name__])["Fraction"] is get("Fraction")


def test_unknown_name_is_an_attribute_error():
    get, _ = lazy_names(__name__, {"fractions": ["Fraction"]})
    with pytest.raises(AttributeError, match=f"module '{__name__}' has no attribute 'Decimal'"):
        get("Decimal")


def test_old_name_warns_and_forwards():
    get = renamed_names("math", {"tau_": "tau", "Old": "fractions.Fraction"})
    with pytest.warns(DeprecationWarning, match=r"math.tau_ is now math.tau; the old name goes with version 0.3."):
        assert round(get("tau_"), 2) == 6.28
    with pytest.warns(DeprecationWarning, match=r"math.Old is now fractions.Fraction;"):
        assert get("Old").__name__ == "Fraction"


def test_helpers_load_no_torch():
    code = "import sys, lightning_abkd._utils; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
