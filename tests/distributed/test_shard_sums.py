import pytest
import torch

from lightning_abkd.distributed._shard_sums import ShardSums, ShardTerms, stored
from lightning_abkd.functional import forward_kl

TERMS = ShardTerms(forward_kl, torch.tensor(1.0), (), None)


@pytest.mark.parametrize("needed", [(False, False), (True, False), (False, True), (True, True)])
def test_only_the_gradients_that_are_needed_are_computed(needed):
    sums = ShardSums(torch.randn(2, 3), torch.randn(2, 3), TERMS, needed)
    assert tuple(gradient is not None for gradient in sums.gradients) == needed


def test_gradients_with_respect_to_logits_add_up_to_zero():
    sums = ShardSums(torch.randn(2, 3), torch.randn(2, 3), TERMS, (True, True))
    assert [gradient.sum().item() for gradient in sums.gradients] == pytest.approx([0, 0], abs=1e-6)


def test_the_wider_dtype_is_computed_in():
    assert ShardSums(torch.zeros(1, 2), torch.zeros(1, 2, dtype=torch.float64), TERMS, (True, False)).values.dtype == (
        torch.float64
    )


def test_gradients_are_kept_as_logits_are_unless_these_are_float16():
    gradient = torch.zeros(2)
    assert stored(gradient, torch.bfloat16).dtype == torch.bfloat16
    assert stored(gradient, torch.float16).dtype == torch.float32
    assert stored(None, torch.float16) is None
