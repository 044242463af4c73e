import pytest
import torch

from lightning_abkd import functional
from tests._asserts import assert_divergence, log_probabilities
from tests._vectors import METHODS

CASE = METHODS["LLM_divergences"]


def counted():
    """Teacher and student log-probabilities of the positions whose label counts."""
    logits = (torch.tensor(CASE["inputs"][f"{side}_logits"], dtype=torch.float64) for side in ("teacher", "student"))
    mask = torch.tensor(CASE["inputs"]["label"]) != -100
    return tuple(x.log_softmax(-1)[mask] for x in logits)


def test_are_divergences():
    assert_divergence(functional.entropy_weighted_kl)
    assert_divergence(functional.adaptive_kl, exact=False)


def test_share_of_the_head_has_no_gradient():
    log_p, log_q = log_probabilities(4, 9), log_probabilities(4, 9, seed=1).requires_grad_()
    value = functional.adaptive_kl(log_p, log_q)
    forward, reverse = functional.forward_kl(log_p, log_q), functional.reverse_kl(log_p, log_q)
    share = ((value - reverse) / (forward - reverse)).detach()
    expected = torch.autograd.grad((share * forward + (1 - share) * reverse).sum(), log_q)
    torch.testing.assert_close(torch.autograd.grad(value.sum(), log_q), expected)


@pytest.mark.parametrize(
    ("name", "pointwise"),
    [
        ("ab_div(0.2,0.7)", lambda p, q: functional.alpha_beta_divergence(p, q, 0.2, 0.7)),
        ("ab_div(0,0)", lambda p, q: functional.alpha_beta_divergence(p, q, 0.0, 0.0)),
        ("ab_div(0.5,0.5)", functional.hellinger),
        ("forward_kl_true", functional.forward_kl),
        ("reverse_kl", functional.reverse_kl),
        ("AKL(mu=0.5)", functional.adaptive_kl),
        ("js_distance(lam=0.1)", lambda p, q: functional.jensen_shannon(p, q, 0.9)),
        ("tv_distance", functional.total_variation),
        ("skewed_forward_kl_true(lam=0.1)", functional.skewed_forward_kl),
        ("skewed_reverse_kl(lam=0.1)", functional.skewed_reverse_kl),
    ],
)
def test_agrees_with_the_released_code(name, pointwise):
    factor = 4.0 if pointwise is functional.hellinger else 1.0
    # Official values have nine digits.
    assert factor * pointwise(*counted()).mean().item() == pytest.approx(CASE["expected"][name], rel=1e-8)


def test_cross_entropy_forms_differ_by_the_teachers_entropy():
    log_p, log_q = counted()
    entropy = -(log_p.exp() * log_p).sum(-1)
    symmetric = functional.symmetric_kl(log_p, log_q) + 0.5 * entropy
    assert symmetric.mean().item() == pytest.approx(CASE["expected"]["wsd(lam=0.5)"], rel=1e-8)
    uncertain = entropy > -(log_q.exp() * log_q).sum(-1)
    weighted = functional.entropy_weighted_kl(log_p, log_q) + torch.where(uncertain, 3.0, 1.0) * entropy
    assert weighted.mean().item() == pytest.approx(CASE["expected"]["bdkd"], rel=1e-8)


def test_head_always_holds_the_first_class():
    log_p, log_q = log_probabilities(4, 9), log_probabilities(4, 9, seed=1)
    p, q = log_p.exp(), log_q.exp()
    first = p.argmax(-1, keepdim=True)
    share = ((p - q).abs().gather(-1, first).squeeze(-1)) / (p - q).abs().sum(-1)
    expected = share * functional.forward_kl(log_p, log_q) + (1 - share) * functional.reverse_kl(log_p, log_q)
    torch.testing.assert_close(functional.adaptive_kl(log_p, log_q, mass=0.0), expected)


def test_parameters_outside_their_range_are_errors():
    with pytest.raises(ValueError, match=r"`mass` should lie in \[0, 1\]. Found `mass = 1.5`"):
        functional.adaptive_kl(torch.zeros(2), torch.zeros(2), mass=1.5)
    with pytest.raises(ValueError, match="`factor` should be finite and at least 0"):
        functional.entropy_weighted_kl(torch.zeros(2), torch.zeros(2), factor=-1.0)
