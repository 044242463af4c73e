import pytest
import torch

from lightning_abkd.language.teachers._ragged import Ragged


def test_rows_are_those_of_the_samples_in_their_order():
    samples = Ragged(torch.tensor([2, 0, 3, 1]))
    assert samples.rows(torch.tensor([3, 1, 2, 3])).tolist() == [5, 2, 3, 4, 5]
    assert samples.rows(torch.tensor([], dtype=torch.int64)).tolist() == []


@pytest.mark.parametrize("indices", [[-1], [4], [[0]]])
def test_positions_outside_the_data_set_are_refused(indices):
    with pytest.raises(ValueError, match=r"positions from 0 to 3, shape \(B,\)"):
        Ragged(torch.tensor([2, 0, 3, 1])).check_positions(torch.tensor(indices))
