import pytest
import torch

from lightning_abkd.losses import (
    AlphaBetaDivergence,
    ForwardKL,
    JensenShannon,
    ReverseKL,
    TotalVariation,
    evaluate_divergences,
)
from tests._asserts import logits

COMPARED = {
    "forward": ForwardKL(),
    "reverse at 4": ReverseKL(4.0, scale_by_temperature=True),
    "α-β": AlphaBetaDivergence(0.2, 0.7),
    "α-β at 4": AlphaBetaDivergence(0.2, 0.7, 4.0),
    "at the origin": AlphaBetaDivergence(0.0, 0.0),
    "mixture": JensenShannon(),
    "variation": TotalVariation(2.0),
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_values_are_those_of_each_by_itself(dtype):
    student, teacher = logits(3, 5, 9).to(dtype), logits(3, 5, 9, seed=1).to(dtype)
    mask = torch.arange(15).reshape(3, 5) % 4 != 0
    found = evaluate_divergences(COMPARED, student, teacher, mask)
    for name, divergence in COMPARED.items():
        torch.testing.assert_close(found.divergences[name], divergence(student, teacher, mask), rtol=2e-5, atol=1e-6)


def test_entropies_are_textbook():
    student, teacher = logits(6, 9), logits(6, 9, seed=1)
    found = evaluate_divergences({}, student, teacher)
    for entropy, x in ((found.student_entropy, student), (found.teacher_entropy, teacher)):
        torch.testing.assert_close(entropy, torch.distributions.Categorical(logits=x).entropy().mean())


def test_a_temperature_is_normalised_once(monkeypatch):
    calls, real = [], torch.log_softmax
    monkeypatch.setattr(torch, "log_softmax", lambda *args: calls.append(1) or real(*args))
    five = {str(i): AlphaBetaDivergence(0.2, 0.1 * i) for i in range(1, 6)}
    evaluate_divergences(five, logits(4, 9).float(), logits(4, 9, seed=1).float())
    assert len(calls) == 2


def test_masked_rows_are_not_read_and_none_give_zero():
    student, teacher = logits(4, 9).float(), logits(4, 9, seed=1).float()
    teacher[2] = torch.nan
    mask = torch.tensor([True, True, False, True])
    assert evaluate_divergences(COMPARED, student, teacher, mask).divergences["forward"].isfinite()
    assert evaluate_divergences(COMPARED, student, teacher, mask & False).divergences["forward"] == 0


def test_another_reduction_is_refused():
    with pytest.raises(ValueError, match="Found 'sum', a ForwardKL of reduction 'sum'"):
        evaluate_divergences({"sum": ForwardKL(reduction="sum")}, logits(4, 9), logits(4, 9))
