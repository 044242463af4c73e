import pytest
import torch

from lightning_abkd import functional
from lightning_abkd.losses import AdaptiveKL, EntropyWeightedKL
from tests._asserts import log_probabilities


def test_loss_is_the_mean_of_its_function():
    log_p, log_q = log_probabilities(4, 9), log_probabilities(4, 9, seed=1)
    torch.testing.assert_close(AdaptiveKL(0.3)(log_q, log_p), functional.adaptive_kl(log_p, log_q, 0.3).mean())
    expected = functional.entropy_weighted_kl(log_p, log_q, 2.0).mean()
    torch.testing.assert_close(EntropyWeightedKL(2.0)(log_q, log_p), expected)


def test_parameters_outside_their_range_are_errors():
    with pytest.raises(ValueError, match=r"`mass` should lie in \[0, 1\]"):
        AdaptiveKL(mass=-0.1)
    with pytest.raises(ValueError, match="`factor` should be finite and at least 0"):
        EntropyWeightedKL(factor=float("nan"))
