import pytest
import torch

from lightning_abkd import kernels
from lightning_abkd.kernels._closed_form import closed_form, closed_form_of_log_probabilities, compiled_form
from tests._asserts import CASES, gradient_error, logits, relative_error


def numbers(*values):
    return tuple(torch.tensor(value, dtype=torch.float64) for value in values)


def test_agrees_with_fifty_digits():
    for case in (case for case in CASES if not case["near"]):
        student, teacher = (torch.tensor([case[f"{s}_logits"]], dtype=torch.float64) for s in ("student", "teacher"))
        value, gradient = closed_form(student, teacher, *numbers(case["alpha"], case["beta"], case["temperature"]))
        assert relative_error(value.item(), case) <= 1e-12
        assert gradient_error(gradient[0], case) <= 1e-12


@pytest.mark.parametrize("missing", ["both", "teacher"])
def test_excluded_classes_have_the_gradient_of_the_limit(missing):
    student, teacher = logits(4, 9), logits(4, 9, seed=1)
    teacher[:, 3] = -torch.inf
    student[:, 3] = -torch.inf if missing == "both" else -80.0
    value, gradient = closed_form(student, teacher, *numbers(0.2, 0.7, 1.0))
    rest = [index for index in range(9) if index != 3]
    expected = closed_form(student[:, rest], teacher[:, rest], *numbers(0.2, 0.7, 1.0))
    torch.testing.assert_close(value, expected[0])
    torch.testing.assert_close(gradient[:, rest], expected[1])
    assert gradient[:, 3].abs().max() <= 1e-12


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_compiled_form_gives_the_same_and_is_compiled_once(monkeypatch):
    compiled, real = [], torch.compile
    monkeypatch.setattr(torch, "compile", lambda f, **options: compiled.append(f) or real(f, backend="eager"))
    compiled_form.cache_clear()
    student, teacher = logits(4, 9), logits(4, 9, seed=1)
    for alpha in (0.2, 0.5):
        result = compiled_form()(student, teacher, *numbers(alpha, 0.7, 1.0))
        torch.testing.assert_close(result, closed_form(student, teacher, *numbers(alpha, 0.7, 1.0)))
    compiled_form.cache_clear()
    assert compiled == [closed_form]


def test_log_probabilities_give_the_same():
    student, teacher = logits(4, 9), logits(4, 9, seed=1)
    point = numbers(0.2, 0.7, 2.0)
    log_p, log_q = ((x / 2.0).log_softmax(-1) for x in (teacher, student))
    torch.testing.assert_close(
        closed_form_of_log_probabilities(log_p, log_q, *point), closed_form(student, teacher, *point)
    )


@pytest.mark.parametrize("function", [closed_form, compiled_form])
def test_old_public_names_warn(function):
    with pytest.warns(DeprecationWarning, match=f"kernels.{function.__name__} is now .*_closed_form"):
        assert getattr(kernels, function.__name__) is function
