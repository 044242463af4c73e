import pytest
import torch

from lightning_abkd import kernels
from lightning_abkd.kernels import softmax_exponents
from tests._asserts import logits


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_powers_of_two_are_the_softmax_up_to_its_sum(temperature):
    powers = softmax_exponents(logits(4, 9), temperature).exp2()
    torch.testing.assert_close(powers / powers.sum(-1, keepdim=True), torch.softmax(logits(4, 9) / temperature, -1))


def test_result_is_written_where_wanted():
    out = torch.full((4, 9), torch.nan)
    assert softmax_exponents(logits(4, 9).float(), out=out) is out
    torch.testing.assert_close(out, softmax_exponents(logits(4, 9)).float(), rtol=1e-6, atol=1e-6)


def test_a_common_shift_is_common_to_the_exponents():
    rows = (logits(4, 9).float() * 64).round() / 64
    moved = softmax_exponents(rows + 4096) - softmax_exponents(rows)
    # What rounding the largest logit leaves is divided out by the softmax's sum.
    assert (moved - moved[:, :1]).abs().max() <= 2e-6
    assert moved.abs().max() <= 4096 * 2**-23


def test_old_name_warns():
    with pytest.warns(DeprecationWarning, match="binary_exponents is now lightning_abkd.kernels.softmax_exponents"):
        assert kernels.binary_exponents is softmax_exponents
