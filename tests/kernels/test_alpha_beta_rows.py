import pytest
import torch

from lightning_abkd.kernels import AlphaBetaRows
from tests._asserts import CASES, gradient_error, logits, relative_error, rounding_bound

POINTS = sorted({(case["alpha"], case["beta"]) for case in CASES})


@pytest.mark.parametrize("near", [False, True])
def test_agrees_with_fifty_digits(near):
    for case in (case for case in CASES if case["near"] is near):
        student, teacher = (torch.tensor([case[f"{side}_logits"]]) for side in ("student", "teacher"))
        gradient = torch.full_like(student, torch.nan)
        value = AlphaBetaRows(case["alpha"], case["beta"], case["temperature"])(student, teacher, gradient)
        bound = rounding_bound(case, torch.finfo(torch.float32).eps) if near else 2e-5
        assert relative_error(value.item(), case) <= bound
        assert gradient_error(gradient[0], case) <= 1e-4
        assert value >= 0


@pytest.mark.parametrize(("alpha", "beta"), POINTS)
def test_equal_rows_give_zero(alpha, beta):
    rows = logits(4, 33).float()
    gradient = torch.full_like(rows, torch.nan)
    value = AlphaBetaRows(alpha, beta)(rows, rows.clone(), gradient)
    assert (value == 0).all()
    assert (gradient == 0).all()


def test_infinite_logits_are_refused():
    student = torch.tensor([[0.0, 1.0, -torch.inf]])
    value = AlphaBetaRows(1.0, 0.0)(student, torch.zeros(1, 3))
    assert value is None


def test_workspace_adapts_to_another_shape():
    fused = AlphaBetaRows(0.2, 0.7)
    student, teacher = logits(5, 17).float(), logits(5, 17, seed=1).float()
    gradient, parts = torch.empty(5, 17), torch.empty(5, 17)
    values = fused(student, teacher, gradient)
    split = [fused(student[rows], teacher[rows], parts[rows]) for rows in (slice(0, 3), slice(3, 5))]
    torch.testing.assert_close(torch.cat(split), values)
    torch.testing.assert_close(parts, gradient)
