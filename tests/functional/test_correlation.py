import torch

from lightning_abkd.functional import pearson_correlation
from tests._asserts import log_probabilities, logits


def test_agrees_with_torch():
    x, y = logits(2, 9).unbind()
    torch.testing.assert_close(pearson_correlation(x, y), torch.corrcoef(torch.stack((x, y)))[0, 1])


def test_any_dimension_may_be_correlated():
    x, y = logits(4, 9), logits(4, 9, seed=1)
    torch.testing.assert_close(pearson_correlation(x, y, dim=0), pearson_correlation(x.T, y.T))


def test_a_known_mean_changes_nothing():
    p, q = log_probabilities(4, 9).exp(), log_probabilities(4, 9, seed=1).exp()
    torch.testing.assert_close(pearson_correlation(p, q, mean=1 / 9), pearson_correlation(p, q))


def test_a_constant_has_no_correlation_and_a_finite_gradient():
    x, y = torch.ones(5, requires_grad=True), logits(5).float()
    value = pearson_correlation(x, y)
    value.backward()
    assert value == 0
    assert x.grad.isfinite().all()
