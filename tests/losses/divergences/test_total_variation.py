import torch

from lightning_abkd import functional
from lightning_abkd.losses import TotalVariation
from tests._asserts import log_probabilities


def test_loss_is_the_mean_of_its_function():
    log_p, log_q = log_probabilities(4, 9), log_probabilities(4, 9, seed=1)
    torch.testing.assert_close(TotalVariation()(log_q, log_p), functional.total_variation(log_p, log_q).mean())
