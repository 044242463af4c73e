import pytest

from lightning_abkd.losses import ForwardKL
from lightning_abkd.losses.objectives._check import check_divergence_reduction


def test_another_reduction_is_named_with_advice():
    check_divergence_reduction(ForwardKL(), "mean")
    with pytest.raises(ValueError, match="should have the reduction 'none'. Found 'mean'. Each counts."):
        check_divergence_reduction(ForwardKL(), "none", "Each counts.")
