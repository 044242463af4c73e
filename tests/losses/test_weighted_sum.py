import pytest
import torch
from jsonargparse import ArgumentParser

from lightning_abkd.losses import DKD, DistillationLoss, ForwardKL, ReverseKL, WeightedSum, loss_terms
from tests._asserts import logits


class Distance(DistillationLoss):
    def forward(self, student_features, teacher_features, mask=None):
        return (student_features - teacher_features).square().mean()


def both():
    return WeightedSum({"kd": ForwardKL(2.0), "distance": Distance()}, {"distance": 0.5})


def signals():
    names = ("student_logits", "teacher_logits", "student_features", "teacher_features")
    return {name: logits(4, 5, seed=seed) for seed, name in enumerate(names)}


def test_value_is_the_weighted_sum():
    given = signals()
    first, second, *features = given.values()
    torch.testing.assert_close(both()(**given), ForwardKL(2.0)(first, second) + 0.5 * Distance()(*features))


def test_it_asks_for_the_signals_of_all_terms_once():
    assert both().required_signals == ("student_logits", "teacher_logits", "student_features", "teacher_features")
    assert both().accepted_signals.count("mask") == 1


def test_terms_without_their_signals_are_left_out_of_a_listing():
    some = {name: signal for name, signal in signals().items() if name.endswith("logits")}
    assert list(both().terms(some)) == ["kd"]
    with pytest.raises(ValueError, match="signals of all terms. Found no student_features, teacher_features"):
        both()(**some)


def test_weights_are_live_and_saved():
    loss = both().double()
    loss.kd_weight.fill_(0.0)
    torch.testing.assert_close(loss(**signals()), 0.5 * loss.terms(signals())["distance"][1])
    other = both()
    other.load_state_dict(loss.state_dict())
    assert (other.kd_weight.item(), other.kd_weight.dtype) == (0.0, torch.float32)


def test_configuration_builds_it():
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--loss", type=DistillationLoss)
    inner = {"class_path": "lightning_abkd.losses.ForwardKL", "init_args": {"temperature": 4.0}}
    options = {"losses": {"kd": inner, "rkl": {"class_path": "lightning_abkd.losses.ReverseKL"}}, "weights": {"rkl": 2}}
    config = parser.parse_object({"loss": {"class_path": "lightning_abkd.losses.WeightedSum", "init_args": options}})
    loss = parser.instantiate(config).loss
    assert (loss.losses.kd.temperature, loss.rkl_weight, loss.kd_weight) == (4.0, 2.0, 1.0)
    assert isinstance(loss.losses.rkl, ReverseKL)


@pytest.mark.parametrize("name", ["", "a.b", "items", "loss", "task_loss", "accuracy"])
def test_names_are_plain_and_free(name):
    with pytest.raises(ValueError, match="`losses` should have plain names.* Found"):
        WeightedSum({name: ForwardKL()})


def test_at_least_one_term():
    with pytest.raises(ValueError, match="should hold at least one loss"):
        WeightedSum({})


def test_a_weight_of_no_term_is_named():
    with pytest.raises(ValueError, match="`weights` should name terms of `losses`, kd. Found crd"):
        WeightedSum({"kd": ForwardKL()}, {"crd": 0.8})


def test_weights_are_finite():
    with pytest.raises(ValueError, match=r"Parameter `weights\['kd'\]` should be finite"):
        WeightedSum({"kd": ForwardKL()}, {"kd": float("nan")})


def test_a_loss_of_labels_without_a_mask_gets_the_counted_positions():
    student, teacher = logits(2, 3, 5), logits(2, 3, 5, seed=1)
    labels = torch.tensor([[1, 4, -100], [-100, 0, -100]])
    signals = {"student_logits": student, "teacher_logits": teacher, "labels": labels, "mask": labels >= 0}
    counted = (student[labels >= 0], teacher[labels >= 0], torch.tensor([1, 4, 0]))
    torch.testing.assert_close(loss_terms(DKD(), signals)["divergence"][1], DKD()(*counted))
    alone = WeightedSum({"dkd": DKD(), "kd": ForwardKL()}).terms(signals)
    torch.testing.assert_close(alone["dkd"][1], DKD()(*counted))
    torch.testing.assert_close(alone["kd"][1], ForwardKL()(student, teacher, labels >= 0))


def test_a_loss_of_labels_without_counted_positions_is_a_connected_zero():
    student = logits(2, 5).requires_grad_()
    labels = torch.full((2,), -100)
    signals = {"student_logits": student, "teacher_logits": logits(2, 5), "labels": labels, "mask": labels >= 0}
    loss = loss_terms(DKD(), signals)["divergence"][1]
    loss.backward()
    assert loss == 0
    assert not student.grad.any()
