import pytest
import torch
from torch.nn.functional import cross_entropy

from lightning_abkd.losses import DKD, ForwardKL, WeightedSum
from lightning_abkd.training._terms import (
    accuracy,
    distillation_terms,
    label_cross_entropy,
    step_count,
    term_counts,
    weighted_sum,
)
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


@pytest.mark.parametrize("views", [1, 2])
def test_cross_entropy_of_probabilities_counts_every_view_and_what_the_mask_counts(views):
    names, soft = ("student_logits", "student_logits_strong")[:views], logits(4, 5, seed=2).softmax(-1)
    batch = {name: logits(4, 5, seed=seed) for seed, name in enumerate(names)} | {"labels": soft}
    expected = sum(cross_entropy(batch[name], soft) for name in names) / views
    torch.testing.assert_close(label_cross_entropy(batch), expected)
    mask = torch.tensor([True, False, True, False])
    expected = sum(cross_entropy(batch[name][mask], soft[mask]) for name in names) / views
    torch.testing.assert_close(label_cross_entropy(batch | {"mask": mask}), expected)


@pytest.mark.parametrize("labels", [torch.full((4,), -100), torch.full((4, 5), 0.2)])
def test_cross_entropy_of_nothing_is_a_connected_zero(labels):
    student = logits(4, 5).requires_grad_()
    loss = label_cross_entropy({"student_logits": student, "labels": labels, "mask": torch.zeros(4, dtype=torch.bool)})
    loss.backward()
    assert loss == 0
    assert not student.grad.any()


def test_cross_entropy_counts_what_the_mask_counts():
    mask = torch.tensor([True, False, True, False])
    batch = {"student_logits": logits(4, 5), "labels": torch.tensor([1, 99, -100, 0]), "mask": mask}
    torch.testing.assert_close(label_cross_entropy(batch), cross_entropy(logits(4, 5)[:1], torch.tensor([1])))


def test_each_term_counts_its_own_positions():
    batch = signals() | {"labels": LABELS}
    counts = {name: int(count) for name, count in term_counts(batch, ("task_loss", "divergence")).items()}
    assert counts == {"task_loss": 3, "divergence": 4}
    assert step_count(batch, ["task_loss"], ignored=True) == 3
    assert step_count(batch, ["task_loss", "divergence"], ignored=True) == 4
    mask = torch.tensor([True, False, False, False])
    assert [int(count) for count in term_counts(batch | {"mask": mask}, ("task_loss", "divergence")).values()] == [1, 1]


def test_accuracy_is_of_what_has_labels_everywhere():
    batch = {"student_logits": torch.eye(4), "labels": torch.tensor([0, 1, 2, 0])}
    assert accuracy(batch) == {"accuracy": 0.75}
    assert accuracy({"student_logits": torch.eye(4)}) == {}
    assert accuracy(batch | {"labels": torch.tensor([0, -100, 2, 0])})["accuracy"] == pytest.approx(2 / 3)
    assert accuracy(batch | {"labels": torch.full((4,), -100)}) == {}
    assert accuracy(batch | {"labels": 0.6 * torch.eye(4) + 0.1}) == {"accuracy": 1.0}
    assert accuracy(batch | {"mask": torch.ones(4, dtype=torch.bool)}) == {}


def test_terms_are_summed_by_weights_of_any_kind():
    value = torch.tensor(2.0, requires_grad=True)
    terms = {"a": (1.0, value), "b": (1, value), "c": (0.5, value), "d": (torch.tensor(3.0), value), "e": (0.0, value)}
    total = weighted_sum(terms)
    total.backward()
    assert (total.item(), value.grad.item()) == (11.0, 5.5)
