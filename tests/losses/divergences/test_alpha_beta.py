import pytest
import torch
from torch._dynamo.testing import CompileCounter

from lightning_abkd import functional
from lightning_abkd.losses import (
    AlphaBetaDivergence,
    AlphaDivergence,
    BetaDivergence,
    ForwardKL,
    Hellinger,
    ReverseKL,
)
from tests._asserts import CASES, gradient_error, log_probabilities, logits, relative_error


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_agrees_with_fifty_digits(dtype):
    for case in (case for case in CASES if not case["near"]):
        student = torch.tensor([case["student_logits"]], dtype=dtype, requires_grad=True)
        loss = AlphaBetaDivergence(case["alpha"], case["beta"], case["temperature"])
        value = loss(student, torch.tensor([case["teacher_logits"]], dtype=dtype))
        value.backward()
        # α and β are float32 buffers, so that float64 logits see them rounded; a mean may come from sums of powers.
        assert relative_error(value.item(), case) <= (1e-4 if dtype == torch.float32 else 2e-5)
        assert gradient_error(student.grad[0], case) <= 1e-4


@pytest.mark.parametrize(
    ("loss", "pointwise"),
    [
        (ForwardKL(), functional.forward_kl),
        (ReverseKL(), functional.reverse_kl),
        (Hellinger(), functional.hellinger),
        (AlphaDivergence(0.25), lambda p, q: functional.alpha_divergence(p, q, 0.25)),
        (BetaDivergence(0.25), lambda p, q: functional.beta_divergence(p, q, 0.25)),
    ],
)
def test_loss_is_the_mean_of_its_function(loss, pointwise):
    log_p, log_q = log_probabilities(4, 9), log_probabilities(4, 9, seed=1)
    torch.testing.assert_close(loss(log_q, log_p), pointwise(log_p, log_q).mean())


def test_rows_with_infinite_logits_take_the_general_form():
    student, teacher = logits(4, 9).float(), logits(4, 9, seed=1).float()
    student[:, 3], teacher[:, 3] = -torch.inf, -torch.inf
    teacher[1, 5] = -torch.inf
    student.requires_grad_()
    value = AlphaBetaDivergence(0.2, 0.7)(student, teacher)
    expected = functional.alpha_beta_divergence(teacher.log_softmax(-1), student.log_softmax(-1), 0.2, 0.7).mean()
    torch.testing.assert_close(value, expected)
    value.backward()
    assert student.grad.isfinite().all()


def test_value_without_a_gradient_is_the_one_with():
    loss, student, teacher = AlphaBetaDivergence(0.2, 0.7), logits(4, 9).float(), logits(4, 9, seed=1).float()
    torch.testing.assert_close(loss(student, teacher), loss(student.requires_grad_(), teacher).detach())


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_changing_alpha_and_beta_recompiles_nothing():
    counter, loss = CompileCounter(), AlphaBetaDivergence(0.2, 0.7)
    compiled = torch.compile(loss, backend=counter, fullgraph=True)
    student, teacher = logits(4, 9).float().requires_grad_(), logits(4, 9, seed=1).float()
    for alpha in (0.2, 0.0, -0.5, 1.0):
        loss.alpha.fill_(alpha)
        loss.beta.fill_(1.0 - alpha)
        torch.testing.assert_close(compiled(student, teacher), loss(student, teacher))
    assert counter.frame_count == 1


def test_live_numbers_act_at_once():
    loss, student, teacher = AlphaBetaDivergence(1.0, 0.0), logits(4, 9), logits(4, 9, seed=1)
    loss.alpha.fill_(0.0)
    loss.beta.fill_(1.0)
    torch.testing.assert_close(loss(student, teacher), ReverseKL()(student, teacher))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("name", ["alpha", "beta"])
def test_exponents_must_be_finite(name, value):
    with pytest.raises(ValueError, match=f"Parameter `{name}` should be finite. Found `{name} = {value}`"):
        AlphaBetaDivergence(**{name: value})


@pytest.mark.parametrize("loss", [ForwardKL(), ReverseKL()])
def test_a_checkpoint_moves_no_named_point(loss):
    before = loss.state_dict()
    with pytest.warns(UserWarning, match=f"{type(loss).__name__} stays at alpha = .*The checkpoint holds alpha = 0.5"):
        loss.load_state_dict(AlphaBetaDivergence(0.5, before["beta"].item(), temperature=3.0).state_dict())
    assert loss.state_dict() == before | {"temperature": torch.tensor(3.0)}


def test_a_named_point_loads_its_own_checkpoint_without_a_word():
    ForwardKL(2.0).load_state_dict(ForwardKL(3.0).state_dict())
