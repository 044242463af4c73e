import logging

import pytest
import torch

from lightning_abkd import functional
from lightning_abkd.kernels import runs_triton
from lightning_abkd.losses import (
    AlphaBetaDivergence,
    TeacherUncertainty,
    TokenRule,
    TokenwiseAlphaBeta,
    TopOneAgreement,
)
from tests._asserts import assert_divergence, log_probabilities, logits

ENDS = {"alpha": 0.2, "beta": 0.7, "other_alpha": 1.0, "other_beta": 0.25}
RULES = [TeacherUncertainty(), TopOneAgreement()]


@pytest.mark.parametrize("rule", RULES)
def test_is_a_divergence(rule):
    assert_divergence(TokenwiseAlphaBeta(rule, **ENDS).pointwise, exact=False)


@pytest.mark.parametrize("rule", RULES)
def test_equal_ends_are_the_plain_divergence(rule):
    loss = TokenwiseAlphaBeta(rule, 0.2, 0.7, 0.2, 0.7, temperature=2.0)
    student, teacher = logits(4, 3, 9).float(), logits(4, 3, 9, seed=1).float()
    torch.testing.assert_close(loss(student, teacher), AlphaBetaDivergence(0.2, 0.7, 2.0)(student, teacher))


@pytest.mark.parametrize("rule", RULES)
def test_gradient_holds_the_exponents_constant(rule):
    student, teacher = logits(6, 9).requires_grad_(), logits(6, 9, seed=1)
    TokenwiseAlphaBeta(rule, 0.0, 1.0, 1.0, 0.0)(student, teacher).backward()
    again = student.detach().requires_grad_()
    log_p, log_q = teacher.log_softmax(-1), again.log_softmax(-1)
    share = rule(log_p, log_q).detach()
    functional.alpha_beta_divergence(log_p, log_q, share, 1.0 - share).mean().backward()
    torch.testing.assert_close(student.grad, again.grad)


def test_each_position_has_its_own_exponents():
    student, teacher = torch.tensor([[2.0, 0.0], [0.0, 2.0]]), torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    values = TokenwiseAlphaBeta(TopOneAgreement(), **ENDS, reduction="none")(student, teacher)
    ends = (AlphaBetaDivergence(1.0, 0.25), AlphaBetaDivergence(0.2, 0.7))
    torch.testing.assert_close(values, torch.stack([end(student[i], teacher[i]) for i, end in enumerate(ends)]))


def test_certainty_is_0_and_ignorance_of_the_possible_classes_1():
    inf = torch.inf
    log_p = torch.tensor([[0.0, -inf, -inf], [0.5, 0.5, 0.0], [0.9, 0.1, 0.0]]).log().nan_to_num(neginf=-inf)
    log_p[0] = torch.tensor([0.0, -inf, -inf])
    # H(0.9, 0.1) = 0.468996 bits, and 1 bit is the most of two classes.
    torch.testing.assert_close(
        TeacherUncertainty()(log_p, log_p), torch.tensor([0.0, 1.0, 0.468996]), rtol=0, atol=1e-6
    )


def test_uncertainty_stays_a_share_for_large_vocabularies():
    share = TeacherUncertainty()(torch.zeros(1, 50_257).log_softmax(-1), torch.zeros(1, 50_257))
    assert 0.9999 < share.item() <= 1.0


def test_all_four_ends_are_live():
    loss = TokenwiseAlphaBeta(TopOneAgreement(), 0.5, 0.5, 0.5, 0.5)
    student, teacher = logits(8, 9), logits(8, 9, seed=1)
    student[0] = teacher[0] * 2.0
    values = [loss(student, teacher).item()]
    for name in ENDS:
        getattr(loss, name).fill_(ENDS[name])
        values.append(loss(student, teacher).item())
    assert len(set(values)) == 5
    assert set(ENDS) <= set(loss.state_dict())


class HalfWay(TokenRule):
    def forward(self, log_p, log_q):
        return torch.full(log_p.shape[:-1], 0.5)


class OnePerClass(TokenRule):
    def forward(self, log_p, log_q):
        return log_p.exp()


def test_a_rule_of_ones_own_moves_linearly():
    log_p, log_q = log_probabilities(4, 9).float(), log_probabilities(4, 9, seed=1).float()
    value = TokenwiseAlphaBeta(HalfWay(), 0.0, 1.0, 0.5, 0.5).pointwise(log_p, log_q)
    torch.testing.assert_close(value, functional.alpha_beta_divergence(log_p, log_q, 0.25, 0.75))


def test_a_rule_must_give_one_share_a_position():
    with pytest.raises(ValueError, match=r"OnePerClass should return one share per position, shape \(4,\)"):
        TokenwiseAlphaBeta(OnePerClass(), **ENDS)(logits(4, 9), logits(4, 9))


@pytest.mark.parametrize("name", ENDS)
def test_ends_must_be_finite(name):
    with pytest.raises(ValueError, match=f"Parameter `{name}` should be finite. Found `{name} = nan`"):
        TokenwiseAlphaBeta(TopOneAgreement(), **ENDS | {name: float("nan")})


def step(backend, student, teacher):
    leaf = student.clone().requires_grad_()
    value = TokenwiseAlphaBeta(TopOneAgreement(), **ENDS, temperature=2.0, backend=backend)(leaf, teacher)
    return value.detach(), torch.autograd.grad(value, leaf)[0]


def test_backends_agree_and_the_choice_is_logged(caplog):
    pair = logits(6, 9).float(), logits(6, 9, seed=1).float()
    with caplog.at_level(logging.INFO, "lightning_abkd"):
        torch.testing.assert_close(step("eager", *pair), step("fused", *pair), rtol=2e-5, atol=1e-6)
    assert [record.message.split()[2] for record in caplog.records] == ["eager", "fused"]


@pytest.mark.skipif(not runs_triton(torch.device("cpu")), reason="Triton does not run here")
def test_the_kernel_takes_exponents_of_each_row():
    pair = logits(6, 9).float(), logits(6, 9, seed=1).float()
    torch.testing.assert_close(step("triton", *pair), step("eager", *pair), rtol=2e-5, atol=1e-6)


def test_a_backend_that_cannot_compute_the_logits_says_why():
    with pytest.raises(ValueError, match="'fused' needs float32 on a CPU. Found torch.float64"):
        TokenwiseAlphaBeta(TopOneAgreement(), **ENDS, backend="fused")(logits(2, 3).requires_grad_(), logits(2, 3))


def test_the_old_name_of_row_exponents_warns():
    log_p, log_q = log_probabilities(4, 9), log_probabilities(4, 9, seed=1)
    loss = TokenwiseAlphaBeta(HalfWay(), **ENDS)
    with pytest.warns(DeprecationWarning, match="TokenwiseAlphaBeta.exponents is now row_exponents"):
        alpha, beta = loss.exponents(log_p, log_q)
    assert alpha.tolist() == pytest.approx([0.6] * 4)
    assert beta.tolist() == pytest.approx([0.475] * 4)
