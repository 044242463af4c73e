import pytest
import torch

from lightning_abkd import functional
from lightning_abkd.losses import JensenShannon, SkewedForwardKL, SkewedReverseKL, SymmetricKL
from tests._asserts import log_probabilities


@pytest.mark.parametrize(
    ("loss", "pointwise"),
    [
        (SymmetricKL(0.3), lambda p, q: functional.symmetric_kl(p, q, 0.3)),
        (JensenShannon(0.3), lambda p, q: functional.jensen_shannon(p, q, 0.3)),
        (SkewedForwardKL(0.3), lambda p, q: functional.skewed_forward_kl(p, q, 0.3)),
        (SkewedReverseKL(0.3), lambda p, q: functional.skewed_reverse_kl(p, q, 0.3)),
    ],
)
def test_loss_is_the_mean_of_its_function(loss, pointwise):
    log_p, log_q = log_probabilities(4, 9), log_probabilities(4, 9, seed=1)
    torch.testing.assert_close(loss(log_q, log_p), pointwise(log_p, log_q).mean())


@pytest.mark.parametrize("loss", [JensenShannon, SkewedForwardKL, SkewedReverseKL])
def test_ends_of_the_mixture_are_an_error(loss):
    with pytest.raises(ValueError, match=r"should lie in \(0, 1\)"):
        loss(0.0)


def test_symmetric_weight_may_be_an_end_but_not_beyond():
    SymmetricKL(1.0)
    with pytest.raises(ValueError, match=r"should lie in \[0, 1\]. Found `weight = 1.5`"):
        SymmetricKL(1.5)
