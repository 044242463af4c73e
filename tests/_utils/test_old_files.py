import importlib

import pytest

from lightning_abkd.data import read_records


def test_a_private_file_of_a_catalogue_forwards_its_public_names():
    old = importlib.import_module("lightning_abkd.data._records")
    with pytest.warns(DeprecationWarning, match=r"data._records.read_records is now lightning_abkd.data.read_records"):
        assert old.read_records is read_records


def test_an_unknown_name_of_it_is_an_error():
    old = importlib.import_module("lightning_abkd.data._records")
    with pytest.raises(AttributeError, match="'lightning_abkd.data' has no attribute 'nonsense'"):
        _ = old.nonsense


def test_public_submodules_of_a_catalogue_do_not_exist():
    with pytest.raises(ModuleNotFoundError, match=r"No module named 'lightning_abkd.data.records'"):
        importlib.import_module("lightning_abkd.data.records")
