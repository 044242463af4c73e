import sys

import pytest

from lightning_abkd._utils import require


def test_missing_package_names_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "rouge_score", None)
    with pytest.raises(ModuleNotFoundError, match=r"ROUGE needs rouge-score: pip install 'lightning-abkd\[language\]'"):
        require("rouge_score.rouge_scorer", "language", "ROUGE", package="rouge-score")


def test_fault_inside_a_package_is_not_hidden(tmp_path, monkeypatch):
    (tmp_path / "half_there.py").write_text("import what_it_needs")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="No module named 'what_it_needs'"):
        require("half_there", "language", "A test")


def test_package_is_returned():
    assert require("json.decoder", "language", "A test").JSONDecodeError
