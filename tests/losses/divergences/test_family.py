import copy
import logging
import pickle

import pytest
import torch

from lightning_abkd.kernels import runs_triton
from lightning_abkd.kernels._closed_form import compiled_form
from lightning_abkd.losses import AlphaBetaDivergence, AlphaDivergence, BetaDivergence, ForwardKL
from lightning_abkd.losses.divergences._family import ConstantMember, FamilyMember
from tests._asserts import logits

needs_triton = pytest.mark.skipif(not runs_triton(torch.device("cpu")), reason="Triton does not run here")


def step(loss, student, teacher, mask=None):
    student = student.clone().requires_grad_()
    value = loss(student, teacher, mask)
    value.sum().backward()
    return value.detach(), student.grad


@pytest.fixture
def pair():
    return logits(5, 33).float(), logits(5, 33, seed=1).float()


@pytest.fixture
def traced(monkeypatch):
    """Compile without a compiler of the machine: what is tested is the way there."""
    real = torch.compile
    monkeypatch.setattr(torch, "compile", lambda f, **options: real(f, backend="eager"))
    compiled_form.cache_clear()
    yield
    compiled_form.cache_clear()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("reduction", ["mean", "none"])
@pytest.mark.parametrize("point", [(0.2, 0.7), (1.0, 0.0), (0.0, 1.0), (-0.5, 0.5), (0.0, 0.0)])
def test_every_backend_gives_the_same_numbers(traced, pair, point, reduction):
    mask = torch.tensor([True, False, True, True, True])
    expected = step(AlphaBetaDivergence(*point, 2.0, True, reduction, "eager"), *pair, mask)
    for backend in ("fused", "compile", "auto"):
        found = step(AlphaBetaDivergence(*point, 2.0, True, reduction, backend), *pair, mask)
        torch.testing.assert_close(found, expected, rtol=2e-5, atol=2e-6)


@needs_triton
@pytest.mark.parametrize("reduction", ["mean", "none"])
@pytest.mark.parametrize("point", [(0.2, 0.7), (1.0, 0.0), (-0.5, 0.5)])
def test_triton_gives_the_same_numbers(pair, point, reduction):
    mask = torch.tensor([True, False, True, True, True])
    expected = step(AlphaBetaDivergence(*point, 2.0, True, reduction, "eager"), *pair, mask)
    found = step(AlphaBetaDivergence(*point, 2.0, True, reduction, "triton"), *pair, mask)
    torch.testing.assert_close(found, expected, rtol=2e-5, atol=2e-6)


@needs_triton
def test_triton_takes_half_precision_as_it_is_and_reads_no_masked_row(pair):
    student, teacher = (x.bfloat16() for x in pair)
    mask = torch.tensor([True, False, True, True, True])
    teacher[1] = torch.nan
    value, gradient = step(AlphaBetaDivergence(backend="triton"), student, teacher, mask)
    expected, slope = step(AlphaBetaDivergence(backend="eager"), student[mask].float(), teacher[mask].float())
    assert gradient.dtype == torch.bfloat16
    torch.testing.assert_close(value, expected)
    torch.testing.assert_close(gradient[mask].float(), slope, rtol=0.01, atol=1e-5)
    assert (gradient[1] == 0).all()


@needs_triton
def test_triton_without_a_gradient_and_compiled_is_the_same(pair):
    loss = AlphaBetaDivergence(backend="triton")
    expected = loss(*pair)
    compiled = torch.compile(loss, backend="aot_eager", fullgraph=True)
    student = pair[0].clone().requires_grad_()
    value = compiled(student, pair[1])
    value.backward()
    torch.testing.assert_close(value.detach(), expected)
    torch.testing.assert_close(student.grad, step(loss, *pair)[1])


@pytest.mark.parametrize("loss", [AlphaDivergence(0.3), BetaDivergence(0.3)])
def test_lines_of_the_family_are_its_points(loss, pair):
    point = (0.3, 0.7) if isinstance(loss, AlphaDivergence) else (1.0, 0.3)
    torch.testing.assert_close(step(loss, *pair), step(AlphaBetaDivergence(*point), *pair))


def test_choice_is_logged_once_until_it_changes(pair, caplog):
    loss, (student, teacher) = ForwardKL(), pair
    with caplog.at_level(logging.INFO, "lightning_abkd"):
        loss(student, teacher), loss(student, teacher)
        loss(student.double(), teacher.double())
    first, second = (record.message for record in caplog.records)
    assert "ForwardKL: backend fused for torch.float32 on cpu" in first
    assert "ForwardKL: backend eager for torch.float64 on cpu" in second


def test_backend_that_cannot_do_the_logits_says_why(pair):
    student, teacher = (x.double() for x in pair)
    with pytest.raises(ValueError, match="'fused' needs float32 on a CPU. Found torch.float64"):
        AlphaBetaDivergence(backend="fused")(student, teacher)


def test_triton_where_it_does_not_run_says_so(pair, monkeypatch):
    monkeypatch.setattr("lightning_abkd.kernels._backends.runs_triton", lambda device: False)
    with pytest.raises(ValueError, match="'triton' needs float32 on a GPU where Triton is installed"):
        AlphaBetaDivergence(backend="triton")(*pair)


def test_unknown_backend_is_refused():
    with pytest.raises(ValueError, match="Parameter `backend` should be 'auto', .*Found `backend = 'magic'`"):
        AlphaBetaDivergence(backend="magic")


def test_member_without_exponents_says_what_to_define(pair):
    with pytest.raises(NotImplementedError, match="ConstantMember should define exponents"):
        ConstantMember()(*pair)
    with pytest.raises(NotImplementedError, match="FamilyMember should define exponents_of"):
        step(FamilyMember(), *pair)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda loss: pickle.loads(pickle.dumps(loss))])
def test_copies_give_the_same_numbers_and_hold_nothing_of_the_last_batch(pair, copied):
    loss = AlphaBetaDivergence(0.2, 0.7)
    empty = len(pickle.dumps(loss))
    before = step(loss, *pair)
    assert len(pickle.dumps(loss)) < empty + 100
    torch.testing.assert_close(step(copied(loss), *pair), before, rtol=0, atol=0)


def test_evaluation_and_training_may_take_turns(pair):
    loss, (student, teacher) = AlphaBetaDivergence(0.2, 0.7), pair
    with torch.inference_mode():
        value, infinite = loss(student, teacher), loss(student, teacher.masked_fill(teacher > 3.0, -torch.inf))
    assert infinite.isfinite()
    assert loss(student.requires_grad_(), teacher).item() == value.item()


def test_an_unweighted_and_a_weighted_backward_pass_have_one_direction(pair):
    loss, (student, teacher) = AlphaBetaDivergence(0.2, 0.7, 2.0, True), pair
    once, thrice = student.clone().requires_grad_(), student.clone().requires_grad_()
    loss(once, teacher).backward()
    (3.0 * loss(thrice, teacher)).backward()
    torch.testing.assert_close(thrice.grad, 3.0 * once.grad)
