import pytest
import torch

from lightning_abkd.functional import jensen_shannon, skewed_forward_kl, skewed_reverse_kl
from tests._asserts import assert_divergence, log_probabilities


def kl(p, q):
    return (p * (p / q).log()).sum(-1)


@pytest.mark.parametrize("pointwise", [jensen_shannon, skewed_forward_kl, skewed_reverse_kl])
def test_is_a_divergence(pointwise):
    assert_divergence(pointwise)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_mixtures_are_textbook(share):
    log_p, log_q = log_probabilities(4, 9), log_probabilities(4, 9, seed=1)
    p, q = log_p.exp(), log_q.exp()
    m = share * p + (1 - share) * q
    torch.testing.assert_close(jensen_shannon(log_p, log_q, share), share * kl(p, m) + (1 - share) * kl(q, m))
    torch.testing.assert_close(skewed_forward_kl(log_p, log_q, share), kl(p, m))
    torch.testing.assert_close(skewed_reverse_kl(log_p, log_q, share), kl(q, (1 - share) * p + share * q))


def test_disjoint_distributions_are_one_bit_apart():
    log_p, log_q = torch.tensor([1.0, 0.0]).log(), torch.tensor([0.0, 1.0]).log()
    torch.testing.assert_close(jensen_shannon(log_p, log_q), torch.tensor(2.0).log())


@pytest.mark.parametrize("weight", [0.0, 1.0, -0.5, float("nan")])
def test_share_outside_the_open_interval_is_an_error(weight):
    with pytest.raises(ValueError, match=r"Parameter `weight` should lie in \(0, 1\).*Use `forward_kl`"):
        jensen_shannon(torch.zeros(2), torch.zeros(2), weight)
