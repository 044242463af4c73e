import pytest
import torch

from lightning_abkd.losses.features._check import check_features


@pytest.mark.parametrize("shape", [(2, 4), (2, 3, 1), (3,)])
def test_features_of_another_shape_are_named(shape):
    with pytest.raises(ValueError, match=r"`student_dim = 3` and features of shape \(" + str(shape[0])):
        check_features(torch.ones(shape), "student", 3)
    check_features(torch.ones(2, 3), "student", 3)
