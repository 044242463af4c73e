import os
import pickle

import pytest
import torch

from lightning_abkd._utils import needed_code


class Own:
    def __reduce__(self):
        return Own, ()


class Calls:
    def __reduce__(self):
        return os.system, ("touch called",)


@pytest.mark.parametrize(("value", "name"), [(Own(), "test_pickles.Own"), (Calls(), "posix.system")])
def test_what_a_file_needs_is_named(tmp_path, value, name):
    torch.save(value, tmp_path / "x.pt")
    with pytest.raises(pickle.UnpicklingError) as refused:
        torch.load(tmp_path / "x.pt")
    assert needed_code(refused.value).endswith(name)


def test_other_errors_need_no_code():
    assert needed_code(ValueError("It ends too early.")) is None
