import pytest
import torch

from lightning_abkd.diagnostics.doctor._divergence import alpha_and_beta, at_equality, exponents_of, start_on_the_map
from lightning_abkd.losses import DKD, AlphaBetaDivergence, Divergence, ForwardKL, TotalVariation, WeightedSum
from tests.diagnostics.doctor._patients import Sorter, module, patient


def examined(divergence, **options):
    return patient(module(divergence=divergence, **options))


@pytest.mark.parametrize("loss", [ForwardKL(), TotalVariation(), WeightedSum({"kd": ForwardKL(4.0)})])
def test_divergences_are_zero_at_equality(loss):
    assert at_equality(examined(loss)).state == "green"


def test_a_divergence_that_is_not_zero_at_equality_is_red():
    class CrossEntropy(Divergence):
        def pointwise(self, log_p, log_q):
            return -(log_p.exp() * log_q).sum(-1)

    assert at_equality(examined(CrossEntropy())).text.startswith("Divergence not 0: CrossEntropy is")


def test_an_objective_of_labels_is_not_checked_at_equality():
    assert at_equality(examined(DKD())).state == "not checked"


def test_exponents_are_said_now_and_at_the_end():
    loss = AlphaBetaDivergence(1.0, 0.0)
    assert alpha_and_beta(loss, {}, {}).text == "(1, 0), constant"
    assert alpha_and_beta(loss, {}, {"divergence.beta": 0.5}).text == "(1, 0) to (1, 0.5)"
    assert alpha_and_beta(TotalVariation(), {}, {}).state == alpha_and_beta(None, {}, {}).state == "not checked"
    assert exponents_of(DKD(divergence=AlphaBetaDivergence(0.5, 0.25))).path == "divergence.divergence"


@pytest.mark.parametrize(("point", "said"), [((9.0, 9.0), "Vanishing start"), ((-6.0, -6.0), "Exploding start")])
def test_points_without_a_useful_gradient_are_red(point, said):
    torch.manual_seed(0)
    assert start_on_the_map(examined(AlphaBetaDivergence(*point))).text.startswith(said)


def test_a_weight_makes_up_for_a_small_gradient():
    small = start_on_the_map(examined(AlphaBetaDivergence(9.0, 9.0), distillation_weight=1e9))
    assert small.state == "green"


def test_a_student_that_is_the_teacher_has_no_start():
    assert "the student answers as the teacher" in start_on_the_map(examined(ForwardKL(), student=Sorter())).text
    assert start_on_the_map(examined(TotalVariation())).state == "not checked"
