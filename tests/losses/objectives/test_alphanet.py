from functools import partial

import pytest
import torch

from lightning_abkd.losses import AdaptiveAlphaDivergence, AlphaDivergence, ForwardKL, LargerDivergence
from tests._asserts import logits
from tests._losses import assert_loss, assert_reductions, pair
from tests._vectors import METHODS, logits_of


def test_are_losses():
    student, teacher = logits(4, 7), logits(4, 7, seed=1)
    larger = partial(LargerDivergence, AlphaDivergence(0.3), AlphaDivergence(0.7))
    assert_loss(larger, pair(student, teacher), zero=pair(teacher, teacher))
    # The surrogate's value is not that whose gradient it has.
    assert_loss(AdaptiveAlphaDivergence, pair(student, teacher), exact=False)


def test_reductions_are_those_of_its_values():
    assert_reductions(lambda x: AdaptiveAlphaDivergence(reduction=x), pair(logits(4, 7), logits(4, 7, seed=1)))


def test_adaptive_form_agrees_with_the_official_code():
    student, teacher = logits_of(METHODS["AlphaNet_adaptive"])
    expected, loss = METHODS["AlphaNet_adaptive"]["expected"], AdaptiveAlphaDivergence()
    log_q, log_p = student.log_softmax(-1), teacher.log_softmax(-1)
    for alpha in (-1.0, 1.0):
        values = torch.tensor(expected[f"D_alpha={alpha:.0f}"], dtype=torch.float64)
        torch.testing.assert_close(loss._order(log_p, log_q, alpha)[0], values, rtol=1e-7, atol=0)
    assert loss(student, teacher).item() == pytest.approx(expected["surrogate_loss"], rel=1e-8)


def test_form_of_the_released_abkd_agrees_with_it():
    student, teacher = logits_of(METHODS["LLM_divergences"])
    mask = torch.tensor(METHODS["LLM_divergences"]["inputs"]["label"]) != -100
    value = LargerDivergence(AlphaDivergence(0.3), AlphaDivergence(0.7))(student, teacher, mask)
    # The orders are float32 buffers.
    assert value.item() == pytest.approx(
        METHODS["LLM_divergences"]["expected"]["alphanet(alpha=0.3,beta=0.7)"], rel=1e-6
    )


def test_surrogate_has_the_gradient_of_the_larger_divergence():
    student, teacher = logits(4, 9).requires_grad_(), logits(4, 9, seed=1)
    loss = AdaptiveAlphaDivergence(alpha_min=0.999, alpha_max=1.0, clip=1e9)
    (gradient,) = torch.autograd.grad(loss(student, teacher), student)
    (expected,) = torch.autograd.grad(ForwardKL()(student, teacher), student)
    torch.testing.assert_close(gradient, expected, rtol=2e-2, atol=1e-4)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"alpha_min": 0.0}, "`alpha_min` should not be 0"),
        ({"clip": 0.0}, "`clip` should be finite and greater than 0"),
        ({"reduction": "average"}, "`reduction` should be 'mean', 'sum' or 'none'"),
    ],
)
def test_bad_parameters_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        AdaptiveAlphaDivergence(**options)
