import copy

import pytest
import torch
from torch.nn.functional import normalize

from lightning_abkd.losses import CRD
from lightning_abkd.losses.features._crd import contrast
from tests._asserts import logits
from tests._losses import assert_loss
from tests._vectors import METHODS

CASE = METHODS["CRD_ContrastLoss"]
INDEX = torch.tensor([3, 11, 19, 0])


def crd(**options):
    torch.manual_seed(0)
    return CRD(**{"n_data": 20, "student_dim": 3, "teacher_dim": 5, "dim": 4, "negatives": 8, **options}).double()


def features(seed=0):
    return logits(4, 3, seed=seed), logits(4, 5, seed=seed + 9)


def test_is_a_loss():
    student, teacher = features()

    def after_a_batch():
        loss = crd()
        loss(student, teacher, INDEX)
        return loss.float()

    assert_loss(after_a_batch, {"student_features": student, "teacher_features": teacher, "index": INDEX})


def test_agrees_with_the_released_code():
    scores = torch.tensor(CASE["inputs"]["x"], dtype=torch.float64).squeeze(-1)
    value = contrast(scores, 3 / CASE["params"]["n_data"]).mean()
    assert value.item() == pytest.approx(CASE["expected"][0], rel=1e-7)


def test_value_is_that_of_its_definition():
    loss = crd()
    student, teacher = features()
    v_s, v_t = normalize(loss.student_head(student)), normalize(loss.teacher_head(teacher))
    expected, drawn = 0.0, loss._draw(INDEX.device)
    for v, memory in ((v_s, loss.teacher_memory), (v_t, loss.student_memory)):
        columns = torch.cat([INDEX.unsqueeze(1), drawn.expand(4, 8)], 1)
        raw = (torch.einsum("bd,bkd->bk", v, memory[columns]) / 0.07).exp()
        expected += contrast(raw / (raw.mean() * 20), 8 / 20, drawn == INDEX.unsqueeze(1)).mean()
    torch.testing.assert_close(loss(student, teacher, INDEX), expected)


def test_memories_of_the_batch_move_by_their_momentum():
    loss = crd(momentum=0.25)
    before, (student, teacher) = loss.teacher_memory.clone(), features()
    loss(student, teacher, INDEX)
    moved = 0.25 * before[INDEX] + 0.75 * normalize(loss.teacher_head(teacher))
    torch.testing.assert_close(loss.teacher_memory[INDEX], normalize(moved).detach())
    others = torch.ones(20, dtype=torch.bool).index_fill(0, INDEX, False)
    assert torch.equal(loss.teacher_memory[others], before[others])


def test_z_is_that_of_the_first_batch():
    loss = crd()
    loss(*features(), INDEX)
    first = loss.log_z.clone()
    loss(*features(1), INDEX)
    assert torch.equal(loss.log_z, first)
    assert first.isfinite().all()


def test_evaluation_leaves_no_trace():
    loss = crd().eval()
    before = copy.deepcopy(loss.state_dict())
    assert loss(*features(), INDEX) == loss(*features(), INDEX)
    torch.testing.assert_close(loss.state_dict(), before, rtol=0, atol=0)


def test_samples_of_the_same_class_are_no_negatives():
    loss, labels = crd(), torch.zeros(4, dtype=torch.long)
    loss.classes.zero_()
    value = loss.eval()(*features(), INDEX, labels)
    one_of_none = crd().eval()(*features(), INDEX)
    assert value < one_of_none
    loss.train()(*features(), INDEX, labels + 5)
    assert loss.classes[INDEX].tolist() == [5] * 4


def test_samples_without_a_label_are_negatives_of_each_other():
    loss, unlabelled = crd(), torch.full((4,), -100)
    loss(*features(), INDEX, unlabelled)
    with_labels = loss.eval()(*features(), INDEX, unlabelled)
    torch.testing.assert_close(with_labels, loss(*features(), INDEX))


def test_probabilities_are_no_classes():
    with pytest.raises(ValueError, match=r"`labels` should have shape \(4,\). .* CRD takes class indices"):
        crd()(*features(), INDEX, torch.full((4, 2), 0.5))


def test_negatives_follow_the_seed_and_change_with_every_batch():
    loss, same, other = crd(), crd(), crd(seed=1)
    first = loss._draw(INDEX.device)
    assert torch.equal(first, same._draw(INDEX.device))
    assert not torch.equal(first, other._draw(INDEX.device))
    loss(*features(), INDEX)
    assert not torch.equal(first, loss._draw(INDEX.device))


def test_a_restored_loss_goes_on_as_the_saved_one():
    loss, restored = crd(), crd(seed=0)
    loss(*features(), INDEX)
    restored.load_state_dict(copy.deepcopy(loss.state_dict()))
    assert restored(*features(1), INDEX) == loss(*features(1), INDEX)


def test_both_heads_are_trained():
    loss = crd()
    loss(*features(), INDEX).backward()
    assert all(parameter.grad.any() for parameter in loss.parameters())


def test_training_brings_a_samples_features_together():
    loss, (student, teacher) = crd(), features()
    optimizer = torch.optim.SGD(loss.parameters(), lr=0.1)
    values = []
    for _ in range(60):
        values.append(loss(student, teacher, INDEX))
        optimizer.zero_grad()
        values[-1].backward()
        optimizer.step()
    assert values[-1] < 0.7 * values[0]


def test_a_position_outside_the_memory_says_so():
    with pytest.raises(ValueError, match=r"`n_data = 20` and the position 20"):
        crd()(*features(), INDEX + 1)


def test_another_size_of_features_names_the_parameter():
    with pytest.raises(ValueError, match=r"`teacher_dim = 5` and features of shape \(4, 3\)"):
        crd()(features()[0], features()[0], INDEX)


@pytest.mark.parametrize("name", ["n_data", "student_dim", "teacher_dim", "dim", "negatives", "temperature"])
def test_numbers_are_positive(name):
    with pytest.raises(ValueError, match=f"`{name}` should be finite and greater than 0"):
        crd(**{name: 0})


def test_momentum_is_below_one():
    with pytest.raises(ValueError, match=r"`momentum` should lie in \[0, 1\)"):
        crd(momentum=1.0)
