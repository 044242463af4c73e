import math

import pytest
import torch

from lightning_abkd.training._teacher_check import describe_ignorance, is_chance, warn_of_ignorance


def values(**numbers):
    return {f"teacher_{name}": torch.tensor(float(number)) for name, number in numbers.items()}


@pytest.mark.parametrize(
    ("found", "classes", "finding"),
    [
        (values(accuracy=0.1, entropy=1.5), 10, "its accuracy is 0.1, which is chance with 10 classes"),
        (values(accuracy=0.01, entropy=4.55), 100, r"nearly equally probable \(entropy 4.55, at most 4.61\)"),
        (values(perplexity=60000, entropy=2.0), 50257, r"its perplexity is 6e\+04 with 50257 classes"),
    ],
)
def test_a_teacher_that_knows_nothing_is_said_with_the_likely_causes(found, classes, finding):
    with pytest.warns(UserWarning, match=rf"know nothing of val: .*{finding}.*a checkpoint.*normalisation.*same order"):
        warn_of_ignorance("val", found, classes, 1000)


def test_a_flat_teacher_that_decides_right_is_told_of_its_scale():
    found = values(accuracy=0.9, entropy=math.log(10))
    with pytest.warns(UserWarning, match=r"is right in 0.9 of val, but its 10 classes are nearly equal.*the scale of"):
        warn_of_ignorance("val", found, 10, 1000)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("found", "classes", "positions"),
    [
        (values(accuracy=0.9, entropy=0.3), 10, 1000),
        (values(accuracy=0.08, entropy=5.0), 1000, 50000),
        (values(accuracy=0.0, entropy=math.log(10)), 10, 99),
        (values(perplexity=20, entropy=3.0), 50257, 10000),
        (values(entropy=0.0, accuracy=1.0), 1, 1000),
        ({"accuracy": torch.tensor(0.1), "student_entropy": torch.tensor(math.log(10))}, 10, 1000),
    ],
)
def test_useful_teachers_small_sets_and_students_are_no_alarm(found, classes, positions):
    warn_of_ignorance("val", found, classes, positions)


def test_chance_needs_more_positions_for_fewer_classes_and_rarer_ones():
    needed = {}
    for classes in (2, 10, 100):
        needed[classes] = next(n for n in range(1, 10**4) if is_chance(1 / classes, classes, n))
    # ln 100 / KL(a‖u): 4.605 / 0.03227, / 0.03669 and / 0.003118
    assert needed == {2: 143, 10: 126, 100: 1477}


def test_a_binary_teacher_of_three_quarters_is_useful():
    assert not is_chance(0.75, 2, 10**6)
    assert is_chance(0.0, 2, 1000)


def test_a_finding_is_told_without_a_warning():
    assert "chance with 10 classes" in describe_ignorance({"teacher_accuracy": 0.1}, 10, 1000)
    assert describe_ignorance({"teacher_accuracy": 0.9}, 10, 1000) == ""
