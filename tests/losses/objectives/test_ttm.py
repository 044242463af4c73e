import json
from pathlib import Path

import pytest
import torch

from lightning_abkd.losses import ForwardKL, TransformedTeacherMatching, WeightedTransformedTeacherMatching
from tests._asserts import logits

VECTORS = json.loads((Path(__file__).parent.parent.parent / "vectors" / "methods.json").read_text())


@pytest.mark.parametrize(
    ("name", "loss"),
    [
        ("KD", ForwardKL(4.0, scale_by_temperature=True)),
        ("TTM", TransformedTeacherMatching(power=0.1)),
        ("WTTM", WeightedTransformedTeacherMatching(power=0.2)),
    ],
)
def test_agrees_with_the_released_code(name, loss):
    case = VECTORS[name]
    student, teacher = (
        torch.tensor(case["inputs"][f"{x}_logits"], dtype=torch.float64) for x in ("student", "teacher")
    )
    # Powers, α and β are float32 buffers; official values have nine digits.
    assert loss(student, teacher).item() == pytest.approx(case["expected"], rel=1e-7)


def test_masked_samples_do_not_count():
    student, teacher, mask = logits(4, 9), logits(4, 9, seed=1), torch.tensor([True, False, True, True])
    for loss in (TransformedTeacherMatching(), WeightedTransformedTeacherMatching()):
        torch.testing.assert_close(loss(student, teacher, mask), loss(student[mask], teacher[mask]))


def test_weights_need_one_value_a_sample():
    with pytest.raises(ValueError, match="should have the reduction 'none'.*Found 'mean'"):
        WeightedTransformedTeacherMatching(ForwardKL())


def test_power_must_be_positive():
    with pytest.raises(ValueError, match="`power` should be finite and greater than 0"):
        TransformedTeacherMatching(power=0.0)
