import pytest
import torch
from torch.nn.functional import cross_entropy

from lightning_abkd.losses import DKD, ForwardKL, WeightedSum
from lightning_abkd.training._terms import accuracy, distillation_terms, label_cross_entropy, weighted_sum
from tests._asserts import logits

LABELS = torch.tensor([0, 3, -100, 2])


def signals():
    return {"student_logits": logits(4, 5), "teacher_logits": logits(4, 5, seed=1)}


def test_a_single_loss_is_the_divergence():
    terms = distillation_terms(ForwardKL(), 2.0, signals(), training=True)
    assert list(terms) == ["divergence"]
    assert terms["divergence"][0] == 2.0


def test_a_sum_shows_each_term_with_its_share_of_the_weight():
    loss = WeightedSum({"kd": ForwardKL(), "hot": ForwardKL(4.0)}, {"hot": 0.25})
    terms = distillation_terms(loss, 2.0, signals(), training=True)
    assert {name: float(weight) for name, (weight, _) in terms.items()} == {"kd": 2.0, "hot": 0.5}
    total = sum(weight * value for weight, value in terms.values())
    torch.testing.assert_close(total, 2.0 * loss(**signals()))


def test_labels_missing_in_training_say_what_the_batch_should_be():
    with pytest.raises(ValueError, match=r"DKD asks for .* `labels`.*batch be \(inputs, labels\)"):
        distillation_terms(DKD(), 1.0, signals(), training=True)


def test_an_evaluation_goes_without_what_it_cannot_compute():
    loss = WeightedSum({"kd": ForwardKL(), "dkd": DKD()})
    assert list(distillation_terms(loss, 1.0, signals(), training=False)) == ["kd"]
    assert distillation_terms(DKD(), 1.0, signals(), training=False) == {}
    assert distillation_terms(None, 1.0, signals(), training=True) == {}


def test_cross_entropy_counts_every_view_and_no_ignored_label():
    first, second = logits(4, 5), logits(4, 5, seed=1)
    both = label_cross_entropy({"student_logits": first, "student_logits_strong": second, "labels": LABELS})
    torch.testing.assert_close(both, (cross_entropy(first, LABELS) + cross_entropy(second, LABELS)) / 2)


def test_cross_entropy_without_labels_says_how_to_go_without():
    with pytest.raises(ValueError, match=r"task loss asks for .* `labels`.*or set `task_weight` to 0"):
        label_cross_entropy(signals())


def test_accuracy_is_of_what_has_labels_everywhere():
    batch = {"student_logits": torch.eye(4), "labels": torch.tensor([0, 1, 2, 0])}
    assert accuracy(batch) == {"accuracy": 0.75}
    assert accuracy({"student_logits": torch.eye(4)}) == {}
    assert accuracy(batch | {"mask": torch.ones(4, dtype=torch.bool)}) == {}


def test_terms_are_summed_by_weights_of_any_kind():
    value = torch.tensor(2.0, requires_grad=True)
    terms = {"a": (1.0, value), "b": (1, value), "c": (0.5, value), "d": (torch.tensor(3.0), value), "e": (0.0, value)}
    total = weighted_sum(terms)
    total.backward()
    assert (total.item(), value.grad.item()) == (11.0, 5.5)
